/* SPDX-License-Identifier: MIT */
/*
 * The real resolver: one worker thread between the clients' links and libunbound.
 *
 * Why a thread, and not a libunbound context in each shard's reactor: io.h has no way to wait for a descriptor that is
 * not a connection, and should not get one for this alone; libunbound's callbacks validate signatures, which takes
 * hundreds of microseconds (they would be the shard's); and one cache serves all shards, so a domain that all of them
 * want is looked up once.
 *
 * The worker waits in poll() for its bell, for libunbound's descriptor, or for the next deadline.
 */
#include "router/s2s/resolver.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/link.h"
#include "core/base/log.h"
#include "router/s2s/finder_priv.h"
#include "router/s2s/unbound_context_priv.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A record of a link is one pointer and the link's own head: room for twice RESOLVER_PENDING_MAX of 16 bytes. */
#define LINK_SIZE (RESOLVER_PENDING_MAX * 32u)

struct resolver_client {
    struct resolver *resolver;
    struct link *requests;
    struct link *answers;
    resolver_wake_fn wake;
    void *wake_context;
    unsigned index;
    uint32_t pending; /* the client's alone */
};

struct resolver {
    struct resolver_settings settings;
    struct finder *finder; /* the worker's while it runs, as is the next */
    struct unbound_context *unbound;
    pthread_t worker;
    int bell; /* rung by a client at each flush */
    _Atomic bool is_closing;
    unsigned client_count;
    struct resolver_client clients[];
};

/*
 * The worker.
 */

static bool worker_ask(void *context, struct question *question)
{
    struct resolver *resolver = context;
    return unbound_context_ask(resolver->unbound, question);
}

static void worker_forget(void *context, struct question *question)
{
    (void)context;
    unbound_context_forget(question);
}

static void worker_reply(void *context, struct resolver_request *request)
{
    struct resolver *resolver = context;
    struct link *answers = resolver->clients[request->client].answers;
    void *room = link_reserve(answers, sizeof request);
    SL_CHECK(room != NULL);
    memcpy(room, &request, sizeof request);
    link_commit(answers, sizeof request);
}

static void worker_answered(void *context, struct question *question, const struct dns_answer *answer)
{
    struct resolver *resolver = context;
    finder_answered(resolver->finder, question, answer, clock_mono_ms());
}

static struct resolver_request *request_take(struct link *link)
{
    struct resolver_request *request = NULL;
    struct span record = link_take(link);
    if (record.ptr != NULL)
        memcpy(&request, record.ptr, sizeof request);
    return request;
}

static void requests_take(struct resolver *resolver)
{
    for (unsigned i = 0; i < resolver->client_count; i++) {
        struct link *requests = resolver->clients[i].requests;
        for (struct resolver_request *one = request_take(requests); one != NULL; one = request_take(requests))
            finder_request(resolver->finder, one, clock_mono_ms());
        link_release(requests);
    }
}

static void answers_publish(struct resolver *resolver)
{
    for (unsigned i = 0; i < resolver->client_count; i++) {
        struct resolver_client *client = &resolver->clients[i];
        if (link_publish(client->answers) && client->wake != NULL)
            client->wake(client->wake_context);
    }
}

static int wait_ms(const struct resolver *resolver)
{
    uint64_t due_ms = finder_deadline_ms(resolver->finder), now_ms = clock_mono_ms();
    if (due_ms == UINT64_MAX)
        return -1;
    return due_ms <= now_ms ? 0 : due_ms - now_ms > 60000 ? 60000 : (int)(due_ms - now_ms);
}

static void *worker_run(void *argument)
{
    struct resolver *resolver = argument;
    log_name_thread("resolver");
    int descriptor = unbound_context_descriptor(resolver->unbound);
    while (!atomic_load(&resolver->is_closing)) {
        struct pollfd waits[2] = {{.fd = resolver->bell, .events = POLLIN}, {.fd = descriptor, .events = POLLIN}};
        int count = poll(waits, 2, wait_ms(resolver));
        SL_CHECK(count >= 0 || errno == EINTR);
        if (count > 0 && waits[0].revents != 0) {
            uint64_t rings;
            (void)!read(resolver->bell, &rings, sizeof rings);
        }
        if (count > 0 && waits[1].revents != 0 && !unbound_context_process(resolver->unbound))
            descriptor = -1; /* not looked at by poll(): lookups time out from now on */
        requests_take(resolver);
        finder_advance(resolver->finder, clock_mono_ms());
        answers_publish(resolver);
    }
    return NULL;
}

static void bell_ring(struct resolver *resolver)
{
    uint64_t one = 1;
    /* It fails only when 2^64 - 2 rings were not heard yet, and then it is ringing. */
    (void)!write(resolver->bell, &one, sizeof one);
}

/* The process's signals are the control thread's; libunbound's thread inherits that. */
static int worker_start(struct resolver *resolver)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int rc = pthread_create(&resolver->worker, NULL, worker_run, resolver);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        (void)pthread_setname_np(resolver->worker, "resolver");
    return rc;
}

/*
 * Open and close.
 */

static void link_fini(struct link *link)
{
    if (link == NULL)
        return;
    for (struct resolver_request *one = request_take(link); one != NULL; one = request_take(link))
        resolver_request_free(one);
    link_free(link);
}

static void resolver_free(struct resolver *resolver)
{
    finder_free(resolver->finder);
    if (resolver->unbound != NULL)
        unbound_context_free(resolver->unbound);
    for (unsigned i = 0; i < resolver->client_count; i++) {
        link_fini(resolver->clients[i].requests);
        link_fini(resolver->clients[i].answers);
    }
    if (resolver->bell >= 0)
        close(resolver->bell);
    free(resolver);
}

static bool parts_init(struct resolver *resolver, struct err *err)
{
    bool is_made = true;
    for (unsigned i = 0; i < resolver->client_count; i++) {
        struct resolver_client *client = &resolver->clients[i];
        *client = (struct resolver_client){
            .resolver = resolver, .index = i, .requests = link_new(LINK_SIZE), .answers = link_new(LINK_SIZE)};
        is_made = is_made && client->requests != NULL && client->answers != NULL;
    }
    struct finder_hooks hooks = {resolver, worker_ask, worker_forget, worker_reply};
    resolver->finder = finder_new(&resolver->settings, &hooks, clock_mono_ms());
    if (!is_made || resolver->finder == NULL) {
        err_set(err, "no memory for a resolver with %u clients", resolver->client_count);
        return false;
    }
    resolver->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (resolver->bell < 0) {
        err_set(err, "no descriptor for the resolver: %s", strerror(errno));
        return false;
    }
    resolver->unbound = unbound_context_new(&resolver->settings, worker_answered, resolver, err);
    return resolver->unbound != NULL;
}

struct resolver *resolver_open(const struct resolver_settings *settings, unsigned client_count, struct err *err)
{
    SL_CHECK(client_count > 0);
    struct resolver *resolver = calloc(1, sizeof *resolver + client_count * sizeof resolver->clients[0]);
    if (resolver == NULL) {
        err_set(err, "no memory for a resolver with %u clients", client_count);
        return NULL;
    }
    resolver->settings = *settings;
    resolver->client_count = client_count;
    resolver->bell = -1;
    if (!parts_init(resolver, err)) {
        resolver_free(resolver);
        return NULL;
    }
    int rc = worker_start(resolver);
    if (rc != 0) {
        err_set(err, "cannot start the resolver's thread: %s", strerror(rc));
        resolver_free(resolver);
        return NULL;
    }
    return resolver;
}

void resolver_close(struct resolver *resolver)
{
    if (resolver == NULL)
        return;
    atomic_store(&resolver->is_closing, true);
    bell_ring(resolver);
    pthread_join(resolver->worker, NULL);
    for (unsigned i = 0; i < resolver->client_count; i++) {
        (void)link_publish(resolver->clients[i].requests);
        (void)link_publish(resolver->clients[i].answers);
    }
    resolver_free(resolver);
}

/*
 * Clients.
 */

struct resolver_client *resolver_client(struct resolver *resolver, unsigned index, resolver_wake_fn wake,
                                        void *wake_context)
{
    SL_CHECK(index < resolver->client_count);
    struct resolver_client *client = &resolver->clients[index];
    client->wake = wake;
    client->wake_context = wake_context;
    return client;
}

bool resolver_post(struct resolver_client *client, uint64_t tag, struct span domain)
{
    if (client->pending == RESOLVER_PENDING_MAX)
        return false;
    void *room = link_reserve(client->requests, sizeof(struct resolver_request *));
    if (room == NULL)
        return false;
    struct resolver_request *request = resolver_request_new(client->index, tag, domain);
    if (request == NULL)
        return false;
    memcpy(room, &request, sizeof request);
    link_commit(client->requests, sizeof request);
    client->pending++;
    return true;
}

void resolver_flush(struct resolver_client *client, uint64_t now_ms)
{
    (void)now_ms;
    if (link_publish(client->requests))
        bell_ring(client->resolver);
}

unsigned resolver_poll(struct resolver_client *client, uint64_t now_ms, resolver_answer_fn answer, void *context)
{
    (void)now_ms;
    /* Not more than was asked before this call, since the answer function may ask again and be answered meanwhile. */
    uint32_t count_max = client->pending;
    unsigned count = 0;
    while (count < count_max) {
        struct resolver_request *request = request_take(client->answers);
        if (request == NULL)
            break;
        /* One by one: were the room given back later, requests of the answer function could overfill the link. */
        link_release(client->answers);
        client->pending--;
        count++;
        answer(context, &request->answer);
        resolver_request_free(request);
    }
    return count;
}

uint64_t resolver_deadline_ms(const struct resolver_client *client)
{
    (void)client;
    return UINT64_MAX;
}

uint32_t resolver_pending(const struct resolver_client *client)
{
    return client->pending;
}

void resolver_stats(struct resolver *resolver, struct resolver_stats *stats)
{
    finder_stats(resolver->finder, stats);
}
