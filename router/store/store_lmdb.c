/* SPDX-License-Identifier: MIT */
/*
 * The durable store: one worker thread between the clients' links and the LMDB file.
 *
 * A round of the worker: take what every client has asked, a few requests from each in turn. Reads are answered from a
 * read transaction at once, without waiting for anybody's commit, until a client's first write; from there on all that
 * this client asked joins the batch, which is carried out in one write transaction in order and answered after its
 * commit. So replies keep the order of requests, a read sees the client's own writes, and while one commit waits for
 * the disk the next batch gathers in the links.
 */
#include "router/store/store.h"

#include "core/base/check.h"
#include "core/base/link.h"
#include "core/base/log.h"
#include "router/store/store_file_priv.h"
#include "router/store/store_request_priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A record of a link is one pointer and the link's own head; with room for twice STORE_REQUESTS of 16 bytes a link of
 * replies is never full. */
#define LINK_SIZE   (STORE_REQUESTS * 32u)
#define TURN_MAX    64u         /* requests taken from one client before the next one's turn */
#define ROUND_MAX   4096u       /* requests in one round: bounds the time until the first reply */
#define ROUND_BYTES (16u << 20) /* of what is asked and what is answered, and so of one transaction's dirty pages */

struct store_client {
    /* written by the client */
    _Alignas(64) struct store *store;
    struct link *requests;
    struct link *replies;
    store_wake_fn wake;
    void *wake_context;
    uint32_t pending;
    uint32_t bytes;

    /* written by the worker */
    _Alignas(64) bool has_batched; /* a write of this client is in the batch: what follows must join it */
};

struct store {
    struct store_file *file; /* the worker's while it runs */
    pthread_t worker;
    unsigned client_count;
    unsigned first_client; /* whose turn it is to be served first */
    bool is_failed;
    uint32_t batch_count;
    struct store_request *batch[ROUND_MAX];
    unsigned owners[ROUND_MAX]; /* the client of each */

    /* Rung by a client at each flush. The worker sleeps on its value: a ring after the worker's last look makes
     * futex() return at once, so none is missed. is_asleep only saves the system call while the worker is up. */
    _Alignas(64) _Atomic uint32_t bell;
    _Atomic uint32_t is_asleep;
    _Atomic bool is_closing;

    /* written by the worker, read by store_stats() */
    _Alignas(64) _Atomic uint64_t reads;
    _Atomic uint64_t writes;
    _Atomic uint64_t commits;
    _Atomic uint64_t full;
    _Atomic uint64_t size;
    _Atomic bool has_failed;

    struct store_client clients[];
};

static void stat_add(_Atomic uint64_t *value, uint64_t n)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

/*
 * The bell. The two sequentially consistent pairs (bell then is_asleep here, is_asleep then bell in the kernel's
 * comparison) leave no order in which the client sees the worker awake and the worker sees the old bell.
 */

static void bell_ring(struct store *store)
{
    atomic_fetch_add(&store->bell, 1);
    if (atomic_load(&store->is_asleep) != 0)
        (void)syscall(SYS_futex, &store->bell, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void bell_wait(struct store *store, uint32_t heard)
{
    atomic_store(&store->is_asleep, 1);
    (void)syscall(SYS_futex, &store->bell, FUTEX_WAIT_PRIVATE, heard, NULL, NULL, 0);
    atomic_store(&store->is_asleep, 0);
}

/*
 * The worker.
 */

static void reply_put(struct store *store, unsigned index, struct store_request *request)
{
    stat_add(store_request_is_write(request) ? &store->writes : &store->reads, 1);
    if (request->status == STORE_FULL)
        stat_add(&store->full, 1);
    void *room = link_reserve(store->clients[index].replies, sizeof request);
    SL_CHECK(room != NULL);
    memcpy(room, &request, sizeof request);
    link_commit(store->clients[index].replies, sizeof request);
}

/* Makes visible what reply_put() put, and wakes each client that got something once. */
static void replies_publish(struct store *store)
{
    for (unsigned i = 0; i < store->client_count; i++) {
        struct store_client *client = &store->clients[i];
        if (link_publish(client->replies) && client->wake != NULL)
            client->wake(client->wake_context);
    }
}

static struct store_request *request_take(struct store_client *client)
{
    struct store_request *request = NULL;
    struct span record = link_take(client->requests);
    if (record.ptr != NULL)
        memcpy(&request, record.ptr, sizeof request);
    return request;
}

/* Takes up to TURN_MAX requests of one client: reads are carried out, the rest is batched. */
static unsigned client_turn(struct store *store, unsigned index, bool can_read, size_t *bytes)
{
    struct store_client *client = &store->clients[index];
    unsigned count = 0;
    while (count < TURN_MAX && store->batch_count < ROUND_MAX && *bytes < ROUND_BYTES) {
        struct store_request *request = request_take(client);
        if (request == NULL)
            break;
        count++;
        *bytes += store_request_size(request);
        if (store_request_is_write(request) || client->has_batched) {
            client->has_batched = true;
            store->owners[store->batch_count] = index;
            store->batch[store->batch_count++] = request;
            continue;
        }
        if (can_read)
            (void)store_file_carry_out(store->file, request);
        *bytes += request->answer_value_size;
        reply_put(store, index, request);
    }
    /* Before the replies are published: the client may then post as many again. */
    if (count > 0)
        link_release(client->requests);
    return count;
}

/* Takes what all clients have asked; answers the reads that need not wait. */
static unsigned requests_gather(struct store *store)
{
    unsigned total = 0;
    unsigned taken = 1;
    size_t bytes = 0;
    bool can_read = store_file_begin_read(store->file) == FILE_OK;
    store->batch_count = 0;
    for (unsigned i = 0; i < store->client_count; i++)
        store->clients[i].has_batched = false;
    while (taken > 0 && total < ROUND_MAX) {
        taken = 0;
        for (unsigned i = 0; i < store->client_count; i++)
            taken += client_turn(store, (store->first_client + i) % store->client_count, can_read, &bytes);
        total += taken;
    }
    store->first_client = (store->first_client + 1) % store->client_count;
    if (can_read)
        store_file_end_read(store->file);
    return total;
}

static bool batch_is_deletion(const struct store *store)
{
    for (uint32_t i = 0; i < store->batch_count; i++) {
        if (store_request_is_write(store->batch[i]) && store->batch[i]->op != STORE_DELETE)
            return false;
    }
    return true;
}

/* One try: everything in one transaction, in order. */
static enum file_status batch_try(struct store *store, bool is_deletion)
{
    enum file_status status = store_file_begin_write(store->file, is_deletion);
    if (status != FILE_OK)
        return status;
    for (uint32_t i = 0; i < store->batch_count; i++) {
        store_request_reset(store->batch[i]);
        status = store_file_carry_out(store->file, store->batch[i]);
        if (status != FILE_OK) {
            store_file_abort(store->file);
            return status;
        }
    }
    return store_file_commit(store->file);
}

/* Nothing was changed: every write hears why, and the reads, which may have seen what was undone, are done anew. */
static void batch_refuse(struct store *store, enum store_status why)
{
    bool can_read = store_file_begin_read(store->file) == FILE_OK;
    for (uint32_t i = 0; i < store->batch_count; i++) {
        struct store_request *request = store->batch[i];
        store_request_reset(request);
        if (store_request_is_write(request))
            request->status = why;
        else if (can_read)
            (void)store_file_carry_out(store->file, request);
    }
    if (can_read)
        store_file_end_read(store->file);
}

static void fail(struct store *store)
{
    store->is_failed = true;
    atomic_store_explicit(&store->has_failed, true, memory_order_relaxed);
    log_event(LOG_ERROR, "store.failed",
              "error=\"%s\" effect=\"every change is refused until the router is restarted\"",
              store_file_reason(store->file));
}

static void batch_carry_out(struct store *store)
{
    bool is_deletion = batch_is_deletion(store);
    enum file_status status = store->is_failed ? FILE_BROKEN : batch_try(store, is_deletion);
    while (status == FILE_NEEDS_ROOM) {
        status = store_file_grow(store->file, is_deletion);
        atomic_store_explicit(&store->size, store_file_size(store->file), memory_order_relaxed);
        if (status == FILE_OK)
            status = batch_try(store, is_deletion);
    }
    switch (status) {
    case FILE_OK:
        stat_add(&store->commits, 1);
        break;
    case FILE_NEEDS_ROOM:
    case FILE_FULL:
        log_event(LOG_ERROR, "store.full",
                  "error=\"%s\" size=%llu refused=%u effect=\"changes are refused until there is room: free some disk; "
                  "no restart is needed\"",
                  store_file_reason(store->file), (unsigned long long)store_file_size(store->file), store->batch_count);
        batch_refuse(store, STORE_FULL);
        break;
    case FILE_BROKEN:
        if (!store->is_failed)
            fail(store);
        batch_refuse(store, STORE_FAILED);
        break;
    }
}

static unsigned worker_round(struct store *store)
{
    unsigned count = requests_gather(store);
    if (count == 0)
        return 0;
    replies_publish(store);
    if (store->batch_count == 0)
        return count;
    batch_carry_out(store);
    for (uint32_t i = 0; i < store->batch_count; i++)
        reply_put(store, store->owners[i], store->batch[i]);
    replies_publish(store);
    return count;
}

static void *worker_run(void *argument)
{
    struct store *store = argument;
    log_name_thread("store");
    for (;;) {
        /* Both before the round: what is flushed after it rings anew, and closing comes after the last flush. */
        bool is_closing = atomic_load(&store->is_closing);
        uint32_t heard = atomic_load(&store->bell);
        if (worker_round(store) > 0)
            continue;
        if (is_closing)
            return NULL;
        bell_wait(store, heard);
    }
}

/* The process's signals are the control thread's. */
static int worker_start(struct store *store)
{
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int rc = pthread_create(&store->worker, NULL, worker_run, store);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        (void)pthread_setname_np(store->worker, "store");
    return rc;
}

/*
 * Open and close.
 */

static bool clients_init(struct store *store)
{
    bool is_made = true;
    for (unsigned i = 0; i < store->client_count; i++) {
        struct store_client *client = &store->clients[i];
        client->store = store;
        client->requests = link_new(LINK_SIZE);
        client->replies = link_new(LINK_SIZE);
        is_made = is_made && client->requests != NULL && client->replies != NULL;
    }
    return is_made;
}

static void link_fini(struct link *link)
{
    if (link == NULL)
        return;
    for (struct span record = link_take(link); record.ptr != NULL; record = link_take(link)) {
        struct store_request *request = NULL;
        memcpy(&request, record.ptr, sizeof request);
        store_request_free(request);
    }
    link_free(link);
}

static void store_free(struct store *store)
{
    for (unsigned i = 0; i < store->client_count; i++) {
        link_fini(store->clients[i].requests);
        link_fini(store->clients[i].replies);
    }
    if (store->file != NULL)
        store_file_close(store->file);
    free(store);
}

struct store *store_open(const char *path, unsigned client_count, struct err *err)
{
    SL_CHECK(client_count > 0);
    size_t size = sizeof(struct store) + client_count * sizeof(struct store_client);
    struct store *store = aligned_alloc(_Alignof(struct store), size);
    if (store == NULL) {
        err_set(err, "no memory for a store with %u clients", client_count);
        return NULL;
    }
    memset(store, 0, size);
    store->client_count = client_count;
    if (!clients_init(store)) {
        err_set(err, "no memory for a store with %u clients", client_count);
        store_free(store);
        return NULL;
    }
    store->file = store_file_open(path, err);
    if (store->file == NULL) {
        store_free(store);
        return NULL;
    }
    atomic_store(&store->size, store_file_size(store->file));
    int rc = worker_start(store);
    if (rc != 0) {
        err_set(err, "cannot start the store's thread: %s", strerror(rc));
        store_free(store);
        return NULL;
    }
    return store;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    for (unsigned i = 0; i < store->client_count; i++)
        (void)link_publish(store->clients[i].requests);
    atomic_store(&store->is_closing, true);
    bell_ring(store);
    pthread_join(store->worker, NULL);
    store_free(store);
}

/*
 * Clients.
 */

struct store_client *store_client(struct store *store, unsigned index, store_wake_fn wake, void *wake_context)
{
    SL_CHECK(index < store->client_count);
    struct store_client *client = &store->clients[index];
    client->wake = wake;
    client->wake_context = wake_context;
    return client;
}

bool store_post(struct store_client *client, enum store_op op, enum store_bucket bucket, uint64_t tag, struct span key,
                struct span value)
{
    uint32_t size = (uint32_t)(key.size + value.size);
    if (client->pending == STORE_REQUESTS || client->bytes + size > STORE_BYTES)
        return false;
    void *room = link_reserve(client->requests, sizeof(struct store_request *));
    if (room == NULL)
        return false;
    struct store_request *request = store_request_new(op, bucket, tag, key, value);
    if (request == NULL)
        return false;
    memcpy(room, &request, sizeof request);
    link_commit(client->requests, sizeof request);
    client->pending++;
    client->bytes += size;
    return true;
}

void store_flush(struct store_client *client)
{
    if (link_publish(client->requests))
        bell_ring(client->store);
}

unsigned store_poll(struct store_client *client, store_reply_fn reply, void *context)
{
    /* Not more than was asked before this call, since the reply function may ask again and be answered meanwhile. */
    uint32_t count_max = client->pending;
    unsigned count = 0;
    while (count < count_max) {
        struct span record = link_take(client->replies);
        if (record.ptr == NULL)
            break;
        struct store_request *request = NULL;
        memcpy(&request, record.ptr, sizeof request);
        /* One by one: were the room given back later, requests of the reply function could overfill the link. */
        link_release(client->replies);
        client->pending--;
        client->bytes -= store_request_size(request);
        count++;
        store_request_reply(request, reply, context);
        store_request_free(request);
    }
    return count;
}

uint32_t store_pending(const struct store_client *client)
{
    return client->pending;
}

void store_stats(struct store *store, struct store_stats *stats)
{
    *stats = (struct store_stats){
        .reads = atomic_load_explicit(&store->reads, memory_order_relaxed),
        .writes = atomic_load_explicit(&store->writes, memory_order_relaxed),
        .commits = atomic_load_explicit(&store->commits, memory_order_relaxed),
        .full = atomic_load_explicit(&store->full, memory_order_relaxed),
        .size = atomic_load_explicit(&store->size, memory_order_relaxed),
        .is_failed = atomic_load_explicit(&store->has_failed, memory_order_relaxed),
    };
}
