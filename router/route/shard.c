/* SPDX-License-Identifier: MIT */
#include "router/route/shard.h"

#include "core/base/check.h"
#include "core/base/log.h"
#include "router/route/session.h"
#include "router/s2s/contact.h"
#include "router/s2s/remote.h"
#include "router/certs/inspector.h"
#include "router/s2s/resolver.h"
#include "router/stream/newcomer.h"
#include "router/stream/reset.h"
#include "router/stream/sasl.h"
#include "router/stream/stream.h"
#include "router/stream/verify.h"

#include <stdlib.h>

/* Streams that one turn of a drain or a policy change looks at: 100,000 must not stop the shard for long. */
#define WALK_MAX 512u

static struct span user_key(const void *object)
{
    const struct user *user = object;
    return span_of(user->bare, user->bare_size);
}

bool shard_init(struct shard *shard, unsigned index, struct router *router, struct policy *policy,
                struct counters *counters, struct store_client *store, struct err *err)
{
    *shard = (struct shard){.index = index, .router = router, .counters = counters, .store = store};
    table_init(&shard->users, &router->hash_key, user_key);
    watch_init(&shard->watches, &router->hash_key);
    remote_init(shard);
    contact_init(shard);
    shard->verify_end = &shard->verify_first;
    shard->newcomers.end = &shard->newcomers.first;
    shard->newcomers_begun.end = &shard->newcomers_begun.first;
    shard->overflow = mail_overflow_new(router->shard_count);
    shard->wake_mask = calloc((router->shard_count + 63) / 64, sizeof(uint64_t));
    if (!shard->overflow || !shard->wake_mask) {
        err_set(err, "no memory for shard %u", index);
        return false;
    }
    shard_set_policy(shard, policy_ref(policy));
    return true;
}

void shard_start(struct shard *shard, struct io *io)
{
    shard->io = io;
    shard->pool = io_pool(io);
    shard->wheel = wheel_new(io_now_ms(io));
}

/* Readers point at the shard's copies of the limits, so a change reaches every stream at once; the scratch holds any of
 * them. */
void shard_set_policy(struct shard *shard, struct policy *policy)
{
    struct xml_limits widest = policy->limits;
    if (policy->limits_unauthenticated.stanza_size_max > widest.stanza_size_max)
        widest.stanza_size_max = policy->limits_unauthenticated.stanza_size_max;
    if (policy->limits_unauthenticated.element_max > widest.element_max)
        widest.element_max = policy->limits_unauthenticated.element_max;
    struct xml_scratch *scratch = xml_scratch_new(&widest);
    if (!scratch) {
        log_event(LOG_ERROR, "shard.policy", "no memory for the new limits: the old configuration stays in force");
        SL_CHECK(shard->policy); /* without memory for the first one there is nothing to run */
        policy_unref(policy);
        return;
    }
    xml_scratch_free(shard->scratch);
    shard->scratch = scratch;
    shard->limits = policy->limits;
    shard->limits_unauthenticated = policy->limits_unauthenticated;
    struct policy *before = shard->policy;
    shard->policy = policy;
    if (before) {
        reset_streams(shard, before);
        watch_policy(shard);
    }
    policy_unref(before);
}

void shard_fini(struct shard *shard)
{
    contact_fini(shard);
    remote_fini(shard);
    while (shard->streams)
        stream_drop(shard->streams);
    mail_discard(shard);
    mail_overflow_free(shard);
    free(shard->wake_mask);
    watch_fini(&shard->watches);
    table_fini(&shard->users);
    wheel_free(shard->wheel);
    xml_scratch_free(shard->scratch);
    policy_unref(shard->policy);
}

static void accepted(void *context, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    struct shard *shard = context;
    stream_accept(shard, conn, (enum listener_tag)tag, peer);
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    contact_opened(context, conn, error);
}

static void received(void *context, struct io_conn *conn, struct span bytes)
{
    (void)context;
    if (conn->owner)
        stream_received(conn->owner, bytes);
}

static void ended(void *context, struct io_conn *conn)
{
    (void)context;
    if (conn->owner)
        stream_ended(conn->owner);
}

static void sent(void *context, struct io_conn *conn)
{
    (void)context;
    if (conn->owner)
        stream_sent(conn->owner);
}

static void closed(void *context, struct io_conn *conn, int error)
{
    (void)context;
    if (conn->owner)
        stream_closed(conn->owner, error);
}

static void departing(void *context, struct io_conn *conn)
{
    (void)context;
    stream_departing(conn->owner);
}

static void arrived(void *context, struct io_conn *conn, void *parcel)
{
    stream_arrived(context, conn, parcel);
}

/* The other shard is full: the stream is ours again, and ends. */
static void handoff_failed(void *context, struct io_conn *conn, void *parcel, int error)
{
    struct stream *stream = parcel;
    log_event(LOG_WARN, "stream.handoff_failed", "error=\"%s\" effect=\"the stream ends\"", strerror(error));
    stream->state = STREAM_CLOSING;
    stream_arrived(context, conn, stream);
}

static void store_reply(void *context, const struct store_reply *reply)
{
    struct shard *shard = context;
    struct io_conn *conn = io_find(shard->io, reply->tag);
    if (conn && conn->owner)
        sasl_store_reply(conn->owner, reply);
}

/* No stream is left here: the last shard to say so lets all others go. Until then letters may still be on their way. */
static void drained(struct shard *shard)
{
    shard->is_drained = true;
    /* Release what this shard has posted before the others see the count; acquire in drain_some(). */
    if (atomic_fetch_sub_explicit(&shard->router->undrained, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned other = 0; other < shard->router->shard_count; other++)
        if (other != shard->index)
            io_wake(shard->io, other);
}

/* Goes on with a drain: closes the next streams, and stops the io when no shard has any, or when time is up. */
static bool drain_some(struct shard *shard)
{
    unsigned count = 0;
    while (shard->cursor && count++ < WALK_MAX) {
        struct stream *stream = shard->cursor;
        shard->cursor = stream->next;
        stream_close(stream, STREAM_SYSTEM_SHUTDOWN_ERROR, NULL);
    }
    if (!shard->streams && !shard->is_drained)
        drained(shard);
    bool is_over = atomic_load_explicit(&shard->router->undrained, memory_order_acquire) == 0;
    if ((is_over || shard_now_ms(shard) >= shard->drain_deadline_ms) && !shard->is_stopping) {
        shard->is_stopping = true;
        io_stop(shard->io);
    }
    return shard->cursor != NULL;
}

void shard_drain(struct shard *shard)
{
    if (shard->drain_deadline_ms)
        return;
    shard->drain_deadline_ms = shard_now_ms(shard) + shard->policy->config->timeouts_drain_ms;
    shard->cursor = shard->streams;
    contact_drain(shard);
    io_unlisten(shard->io);
}

/* What is dear and can wait: new streams that want in. All that those who are in have said and are to hear is on its
 * way before it begins. True: there is more of it. */
static bool work_on(struct shard *shard)
{
    if (!shard->newcomer_count && !shard->verify_first)
        return false;
    bool more = newcomer_run(shard);
    more |= verify_run(shard);
    more |= shard->runnable != NULL;
    stream_flush_all(shard);
    mail_publish(shard);
    return more;
}

static uint64_t turn(void *context)
{
    struct shard *shard = context;
    bool more = mail_drain(shard);
    store_poll(shard->store, store_reply, shard);
    if (shard->resolver)
        resolver_poll(shard->resolver, shard_now_ms(shard), contact_resolved, shard);
    if (shard->inspector)
        inspector_poll(shard->inspector, watch_found, shard);
    wheel_advance(shard->wheel, shard_now_ms(shard), shard);
    more |= stream_run_all(shard);
    if (shard->drain_deadline_ms)
        more |= drain_some(shard);
    stream_flush_all(shard);
    bool is_waiting = mail_retry(shard);
    mail_publish(shard);
    more |= work_on(shard);
    store_flush(shard->store);
    if (shard->resolver)
        resolver_flush(shard->resolver, shard_now_ms(shard));
    if (shard->inspector)
        inspector_flush(shard->inspector);
    if (more || shard->runnable || shard->dirty)
        return 0;
    uint64_t next = wheel_next_ms(shard->wheel);
    if (shard->resolver && next > resolver_deadline_ms(shard->resolver))
        next = resolver_deadline_ms(shard->resolver);
    /* A full link empties without telling us: look again in a millisecond. */
    if (is_waiting && next > shard_now_ms(shard) + 1)
        next = shard_now_ms(shard) + 1;
    if (shard->drain_deadline_ms && next > shard->drain_deadline_ms)
        next = shard->drain_deadline_ms;
    return next;
}

const struct io_handler shard_io_handler = {
    .accepted = accepted,
    .dialled = dialled,
    .received = received,
    .ended = ended,
    .sent = sent,
    .closed = closed,
    .departing = departing,
    .handoff_failed = handoff_failed,
    .arrived = arrived,
    .turn = turn,
};
