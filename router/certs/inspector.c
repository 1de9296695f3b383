/* SPDX-License-Identifier: MIT */
#include "router/certs/inspector.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/link.h"
#include "core/base/log.h"
#include "router/certs/fetch_priv.h"
#include "router/certs/inquiries_priv.h"
#include "router/certs/memory_file_priv.h"
#include "router/certs/staples_priv.h"
#include "tls/context.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define LINK_SIZE    65536u /* about 1,200 posts or findings; more wait, with their sender */
#define SAVE_EVERY_S 60     /* at most that often, and at the end */
#define CONTEXTS_MAX 4u     /* of our own certificates */

const struct inspector_settings inspector_settings_default = {
    .interval_s = 86400, .retry_min_s = 30, .retry_max_s = 3600, .timeout_ms = 10000, .fetches_max = 32};

/* What a client posts. */
struct post {
    uint64_t tag;
    struct credential *credential; /* NULL: unwatch, or where there is a staple, that alone */
    struct span staple;            /* owned */
};

/* Findings that had no room in the link yet. */
struct backlog {
    struct inspector_finding *findings;
    uint32_t count, room;
};

struct inspector_client {
    struct inspector *inspector;
    struct link *posts;
    struct link *findings;
    struct backlog backlog; /* the worker's */
    inspector_wake_fn wake;
    void *wake_context;
};

struct inspector {
    struct inspector_settings settings;
    char *cache_file;                       /* the settings': a reload frees the configuration that it came from */
    struct inquiries *inquiries;            /* the worker's while it runs, or of who holds the mutex */
    struct staples *staples;                /* the same */
    struct context *contexts[CONTEXTS_MAX]; /* with our own certificates, kept; the control thread's */
    unsigned context_count;
    struct fetcher *fetcher;
    pthread_mutex_t mutex; /* of the inquiries: the control thread's questions come seldom */
    pthread_t worker;
    int bell;
    int timer;
    _Atomic bool is_closing;
    bool is_roused; /* of who holds the mutex */
    uint64_t saved_version;
    int64_t saved_at;
    unsigned client_count;
    struct inspector_client clients[];
};

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

static void ring(const struct inspector *inspector)
{
    uint64_t one = 1;
    (void)!write(inspector->bell, &one, sizeof one);
}

/* ---- hooks of the inquiries -------------------------------------------------------------------------------------- */

static void begin_fetch(void *context, uint64_t number, const char *url, struct span body)
{
    struct inspector *inspector = context;
    log_event(LOG_DEBUG, "certs.fetch", "url=%s", log_quoted(span_str(url)).text);
    fetcher_begin(inspector->fetcher, number, url, body);
}

/* Without memory the finding is lost; the next change of its standing comes again. */
static void backlog_add(struct backlog *backlog, const struct inspector_finding *finding)
{
    if (backlog->count == backlog->room) {
        uint32_t room = backlog->room ? backlog->room * 2 : 16;
        struct inspector_finding *findings = realloc(backlog->findings, room * sizeof *findings);
        if (!findings)
            return;
        backlog->findings = findings;
        backlog->room = room;
    }
    backlog->findings[backlog->count++] = *finding;
}

static bool link_put(struct link *link, const struct inspector_finding *finding)
{
    void *room = link_reserve(link, sizeof *finding);
    if (!room)
        return false;
    memcpy(room, finding, sizeof *finding);
    link_commit(link, sizeof *finding);
    return true;
}

static void tell(void *context, unsigned index, const struct inspector_finding *finding)
{
    struct inspector *inspector = context;
    struct inspector_client *client = &inspector->clients[index];
    if (client->backlog.count || !link_put(client->findings, finding))
        backlog_add(&client->backlog, finding);
}

static bool show_staple(void *context, struct context *where, unsigned index, struct span response)
{
    (void)context;
    return context_set_staple(where, index, response);
}

/* A shard counts: counters are the shards'. */
static void count_staple(void *context, enum standing what)
{
    const struct inspector_finding finding = {.tag = INSPECTOR_OWN_TAG, .standing = what};
    tell(context, 0, &finding);
}

static uint32_t throw_dice(void *context)
{
    uint32_t dice = 0;
    (void)context;
    (void)!getrandom(&dice, sizeof dice, 0);
    return dice;
}

static void fetched(void *context, uint64_t number, struct span body, const char *error)
{
    struct inspector *inspector = context;
    (void)error; /* the fetcher has told it */
    pthread_mutex_lock(&inspector->mutex);
    if (number & STAPLES_NUMBER)
        staples_fetched(inspector->staples, number, body, now_s());
    else
        inquiries_fetched(inspector->inquiries, number, body, now_s());
    pthread_mutex_unlock(&inspector->mutex);
}

/* ---- the worker -------------------------------------------------------------------------------------------------- */

static bool post_take(struct link *posts, struct post *out)
{
    struct span record = link_take(posts);
    if (record.ptr)
        memcpy(out, record.ptr, sizeof *out);
    return record.ptr != NULL;
}

static void take_posts(struct inspector *inspector)
{
    struct post post;
    for (unsigned i = 0; i < inspector->client_count; i++) {
        struct link *posts = inspector->clients[i].posts;
        while (post_take(posts, &post)) {
            if (post.credential)
                inquiries_watch(inspector->inquiries, i, post.tag, post.credential, post.staple, now_s());
            else if (post.staple.size)
                inquiries_staple(inspector->inquiries, i, post.tag, post.staple, now_s());
            else
                inquiries_unwatch(inspector->inquiries, i, post.tag);
            span_free(&post.staple);
        }
        link_release(posts);
    }
}

static void publish(struct inspector *inspector)
{
    if (!inspector->is_roused)
        return;
    for (unsigned i = 0; i < inspector->client_count; i++) {
        struct inspector_client *client = &inspector->clients[i];
        struct backlog *backlog = &client->backlog;
        uint32_t moved = 0;
        while (moved < backlog->count && link_put(client->findings, &backlog->findings[moved]))
            moved++;
        if (moved)
            memmove(backlog->findings, backlog->findings + moved, (backlog->count - moved) * sizeof *backlog->findings);
        backlog->count -= moved;
        if (link_publish(client->findings) && client->wake)
            client->wake(client->wake_context);
    }
}

/* Fires at the next due time, and at once when the wall clock is set. Without anything due it still tells that. */
#define NOTHING_DUE_S (10 * 365 * 86400LL)

static void arm(struct inspector *inspector)
{
    int64_t due = inquiries_due(inspector->inquiries), now = now_s();
    if (due > staples_due(inspector->staples))
        due = staples_due(inspector->staples);
    if (due > now + NOTHING_DUE_S)
        due = now + NOTHING_DUE_S;
    for (unsigned i = 0; i < inspector->client_count; i++)
        if (inspector->clients[i].backlog.count)
            due = now + 1; /* its shard makes room meanwhile */
    const struct itimerspec when = {.it_value = {.tv_sec = due > now ? due : now, .tv_nsec = due > now ? 0 : 1}};
    (void)timerfd_settime(inspector->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
}

static void hear_timer(struct inspector *inspector)
{
    static const struct inspector_finding clock_was_set = {.tag = INSPECTOR_CLOCK_TAG};
    uint64_t count;
    if (read(inspector->timer, &count, sizeof count) >= 0 || errno != ECANCELED)
        return;
    log_event(LOG_WARN, "certs.clock", "the wall clock was set");
    inspector->saved_at = 0; /* by the old one it may be far ahead */
    inquiries_clock(inspector->inquiries, now_s());
    staples_clock(inspector->staples, now_s());
    for (unsigned i = 0; i < inspector->client_count; i++)
        tell(inspector, i, &clock_was_set);
}

static void save(struct inspector *inspector)
{
    struct err err = {0};
    if (!inspector->settings.cache_file || inquiries_version(inspector->inquiries) == inspector->saved_version)
        return;
    inspector->saved_at = now_s();
    if (memory_file_write(inspector->settings.cache_file, inspector->inquiries, &err))
        inspector->saved_version = inquiries_version(inspector->inquiries);
    else /* the next time again: what is distrusted may be in it */
        log_event(LOG_WARN, "certs.cache", "reason=%s", log_quoted(span_str(err.text)).text);
}

static void *worker_run(void *argument)
{
    struct inspector *inspector = argument;
    log_name_thread("inspector");
    while (!atomic_load(&inspector->is_closing)) {
        uint64_t rings;
        pthread_mutex_lock(&inspector->mutex);
        (void)!read(inspector->bell, &rings, sizeof rings);
        hear_timer(inspector);
        take_posts(inspector);
        inquiries_advance(inspector->inquiries, now_s());
        staples_advance(inspector->staples, now_s());
        publish(inspector);
        if (now_s() >= inspector->saved_at + SAVE_EVERY_S)
            save(inspector);
        arm(inspector);
        pthread_mutex_unlock(&inspector->mutex);
        fetcher_wait(inspector->fetcher, inspector->bell, inspector->timer);
    }
    save(inspector);
    return NULL;
}

/* ---- open and close ---------------------------------------------------------------------------------------------- */

static void client_fini(struct inspector_client *client)
{
    struct post post;
    while (client->posts && post_take(client->posts, &post)) {
        credential_free(post.credential);
        span_free(&post.staple);
    }
    link_free(client->posts);
    link_free(client->findings);
    free(client->backlog.findings);
}

static void contexts_drop(struct context *const *contexts, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        context_unref(contexts[i]);
}

static void inspector_free(struct inspector *inspector)
{
    fetcher_free(inspector->fetcher);
    for (unsigned i = 0; i < inspector->client_count; i++)
        client_fini(&inspector->clients[i]);
    staples_free(inspector->staples);
    if (inspector->inquiries)
        inquiries_free(inspector->inquiries);
    contexts_drop(inspector->contexts, inspector->context_count);
    if (inspector->bell >= 0)
        close(inspector->bell);
    if (inspector->timer >= 0)
        close(inspector->timer);
    pthread_mutex_destroy(&inspector->mutex);
    free(inspector->cache_file);
    free(inspector);
}

static bool parts_init(struct inspector *inspector, struct err *err)
{
    const struct inquiries_hooks hooks = {inspector, begin_fetch, tell, throw_dice};
    const struct staples_hooks staple_hooks = {inspector, begin_fetch, throw_dice, show_staple, count_staple};
    bool is_made = true;
    for (unsigned i = 0; i < inspector->client_count; i++) {
        struct inspector_client *client = &inspector->clients[i];
        *client = (struct inspector_client){
            .inspector = inspector, .posts = link_new(LINK_SIZE), .findings = link_new(LINK_SIZE)};
        is_made = is_made && client->posts && client->findings;
    }
    inspector->inquiries = inquiries_new(&inspector->settings, &hooks);
    if (inspector->inquiries)
        inspector->staples = staples_new(&inspector->settings, inquiries_evidence(inspector->inquiries), &staple_hooks);
    inspector->fetcher = fetcher_new(&inspector->settings, fetched, inspector);
    inspector->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    inspector->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (is_made && inspector->staples && inspector->fetcher && inspector->bell >= 0 && inspector->timer >= 0)
        return true;
    err_set(err, "no memory or descriptors to watch over certificates");
    return false;
}

static bool recall(struct inspector *inspector, struct err *err)
{
    if (inspector->settings.cache_file &&
        !memory_file_read(inspector->settings.cache_file, inspector->inquiries, now_s(), err))
        return false;
    inspector->saved_version = inquiries_version(inspector->inquiries);
    return true;
}

/* The process's signals are the control thread's. */
static int worker_start(struct inspector *inspector)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    int rc = pthread_create(&inspector->worker, NULL, worker_run, inspector);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc == 0)
        (void)pthread_setname_np(inspector->worker, "inspector");
    return rc;
}

struct inspector *inspector_open(const struct inspector_settings *settings, unsigned client_count, struct err *err)
{
    SL_CHECK(client_count > 0);
    struct inspector *inspector = calloc(1, sizeof *inspector + client_count * sizeof inspector->clients[0]);
    if (!inspector) {
        err_set(err, "no memory to watch over certificates");
        return NULL;
    }
    inspector->settings = *settings;
    inspector->cache_file = settings->cache_file ? strdup(settings->cache_file) : NULL;
    inspector->settings.cache_file = inspector->cache_file;
    SL_CHECK(!settings->cache_file == !inspector->cache_file);
    inspector->client_count = client_count;
    pthread_mutex_init(&inspector->mutex, NULL);
    int rc = 0;
    if (parts_init(inspector, err) && recall(inspector, err) && (rc = worker_start(inspector)) == 0)
        return inspector;
    if (rc != 0)
        err_set(err, "cannot start the inspector's thread: %s", strerror(rc));
    inspector_free(inspector);
    return NULL;
}

void inspector_close(struct inspector *inspector)
{
    if (!inspector)
        return;
    atomic_store(&inspector->is_closing, true);
    ring(inspector);
    pthread_join(inspector->worker, NULL);
    for (unsigned i = 0; i < inspector->client_count; i++)
        (void)link_publish(inspector->clients[i].posts);
    inspector_free(inspector);
}

static void set_roused(struct inspector *inspector, bool is_roused)
{
    pthread_mutex_lock(&inspector->mutex);
    inspector->is_roused = is_roused;
    pthread_mutex_unlock(&inspector->mutex);
    ring(inspector);
}

void inspector_rouse(struct inspector *inspector)
{
    set_roused(inspector, true);
}

void inspector_hush(struct inspector *inspector)
{
    set_roused(inspector, false);
}

unsigned inspector_distrust(struct inspector *inspector, struct span name)
{
    pthread_mutex_lock(&inspector->mutex);
    unsigned count = inquiries_distrust(inspector->inquiries, name);
    inspector->saved_at = 0; /* the operator's word outlives a crash too: written at the next turn */
    pthread_mutex_unlock(&inspector->mutex);
    ring(inspector);
    return count;
}

bool inspector_trust(struct inspector *inspector, struct span name)
{
    pthread_mutex_lock(&inspector->mutex);
    bool was_distrusted = inquiries_trust(inspector->inquiries, name, now_s());
    inspector->saved_at = 0;
    pthread_mutex_unlock(&inspector->mutex);
    ring(inspector);
    return was_distrusted;
}

void inspector_list_distrusted(struct inspector *inspector, inspector_name_fn fn, void *context)
{
    pthread_mutex_lock(&inspector->mutex);
    inquiries_list_distrusted(inspector->inquiries, fn, context);
    pthread_mutex_unlock(&inspector->mutex);
}

bool inspector_is_lasting(const struct inspector *inspector)
{
    return inspector->settings.cache_file != NULL;
}

void inspector_exchange_files(struct inspector *inspector, struct crl_files *files)
{
    pthread_mutex_lock(&inspector->mutex);
    inquiries_exchange_files(inspector->inquiries, files, now_s());
    pthread_mutex_unlock(&inspector->mutex);
    ring(inspector);
}

unsigned inspector_check(struct inspector *inspector, struct span domain)
{
    pthread_mutex_lock(&inspector->mutex);
    unsigned count = inquiries_check(inspector->inquiries, domain, now_s());
    count += staples_check(inspector->staples, domain, now_s());
    pthread_mutex_unlock(&inspector->mutex);
    ring(inspector);
    return count;
}

void inspector_list(struct inspector *inspector, struct span domain, inspector_chain_fn fn, void *context)
{
    pthread_mutex_lock(&inspector->mutex);
    inquiries_list(inspector->inquiries, domain, fn, context);
    pthread_mutex_unlock(&inspector->mutex);
}

/* ---- our own ----------------------------------------------------------------------------------------------------- */

static void add_own(struct inspector *inspector, struct context *context, const struct anchors *others)
{
    struct context_certificate own;
    for (unsigned i = 0; context_certificate(context, i, &own); i++) {
        struct span issuer = context_certificate_issuer(context, i, others);
        const struct staple_place place = {own.domain, own.der, issuer, context, i};
        if (own.der.ptr)
            staples_add(inspector->staples, &place, now_s());
    }
}

void inspector_own(struct inspector *inspector, struct context *const *contexts, unsigned count,
                   const struct anchors *others)
{
    struct context *old[CONTEXTS_MAX];
    unsigned old_count = inspector->context_count;
    SL_CHECK(count <= CONTEXTS_MAX);
    memcpy(old, inspector->contexts, sizeof old);
    inspector->context_count = 0;
    pthread_mutex_lock(&inspector->mutex);
    staples_begin(inspector->staples);
    for (unsigned i = 0; i < count; i++) {
        if (!contexts[i])
            continue;
        inspector->contexts[inspector->context_count++] = context_ref(contexts[i]);
        add_own(inspector, contexts[i], others);
    }
    staples_end(inspector->staples);
    pthread_mutex_unlock(&inspector->mutex);
    contexts_drop(old, old_count);
    ring(inspector);
}

bool inspector_staple(struct inspector *inspector, const uint8_t sha256[CREDENTIAL_SHA256],
                      struct inspector_staple *out)
{
    pthread_mutex_lock(&inspector->mutex);
    bool is_ours = staples_find(inspector->staples, sha256, out);
    pthread_mutex_unlock(&inspector->mutex);
    return is_ours;
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

struct inspector_client *inspector_client(struct inspector *inspector, unsigned index, inspector_wake_fn wake,
                                          void *wake_context)
{
    SL_CHECK(index < inspector->client_count);
    struct inspector_client *client = &inspector->clients[index];
    client->wake = wake;
    client->wake_context = wake_context;
    return client;
}

static bool post_put(struct inspector_client *client, const struct post *post)
{
    void *room = link_reserve(client->posts, sizeof *post);
    if (!room)
        return false;
    memcpy(room, post, sizeof *post);
    link_commit(client->posts, sizeof *post);
    return true;
}

bool inspector_watch(struct inspector_client *client, uint64_t tag, struct credential *credential, struct span staple)
{
    struct post post = {.tag = tag, .credential = credential};
    SL_CHECK(tag != INSPECTOR_CLOCK_TAG && credential->is_shared);
    if (staple.size)
        post.staple = span_copy(staple);
    if ((staple.size && !post.staple.ptr) || !post_put(client, &post)) {
        span_free(&post.staple);
        return false;
    }
    credential_ref(credential); /* before it is published */
    return true;
}

bool inspector_shown(struct inspector_client *client, uint64_t tag, struct span staple)
{
    SL_CHECK(staple.size > 0);
    struct post post = {.tag = tag, .staple = span_copy(staple)};
    if (post.staple.ptr && post_put(client, &post))
        return true;
    span_free(&post.staple);
    return false;
}

bool inspector_unwatch(struct inspector_client *client, uint64_t tag)
{
    const struct post post = {.tag = tag};
    return post_put(client, &post);
}

void inspector_flush(struct inspector_client *client)
{
    if (link_publish(client->posts))
        ring(client->inspector);
}

void inspector_poll(struct inspector_client *client, inspector_finding_fn finding, void *context)
{
    for (;;) {
        struct inspector_finding one;
        struct span record = link_take(client->findings);
        if (!record.ptr)
            return;
        memcpy(&one, record.ptr, sizeof one);
        link_release(client->findings);
        finding(context, &one);
    }
}
