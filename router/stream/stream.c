/* SPDX-License-Identifier: MIT */
#include "router/stream/stream.h"

#include "core/base/check.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/s2s/ack.h"
#include "router/s2s/idle.h"
#include "router/s2s/s2s.h"
#include "router/stream/crowd.h"
#include "router/stream/nego.h"
#include "router/stream/newcomer.h"
#include "router/stream/reset.h"
#include "router/stream/silence.h"
#include "router/stream/stream_header.h"
#include "router/stream/throttle.h"
#include "router/stream/unsent.h"
#include "tls/engine.h"

#include <arpa/inet.h>
#include <stdlib.h>

static const char *const conditions[] = {
#define STREAM_ERROR(symbol, condition) condition,
#include "router/stream/stream_errors.def"
#undef STREAM_ERROR
};

enum stream_error stream_error_of(enum xml_error error)
{
    switch (error) {
    case XML_NOT_WELL_FORMED:
    case XML_NAMESPACE:
    case XML_VERSION:
        return STREAM_NOT_WELL_FORMED_ERROR;
    case XML_RESTRICTED:
        return STREAM_RESTRICTED_XML_ERROR;
    case XML_ENCODING:
        return STREAM_UNSUPPORTED_ENCODING_ERROR;
    case XML_STRAY_TEXT:
        return STREAM_BAD_FORMAT_ERROR;
    case XML_LIMIT_SIZE:
    case XML_LIMIT_DEPTH:
    case XML_LIMIT_ATTRIBUTES:
    case XML_LIMIT_ELEMENTS:
    case XML_LIMIT_NAME:
    case XML_LIMIT_NAMESPACES:
        return STREAM_POLICY_VIOLATION_ERROR;
    case XML_MEMORY:
        return STREAM_RESOURCE_CONSTRAINT_ERROR;
    case XML_OK:
    case XML_ERROR_COUNT:
        break;
    }
    return STREAM_INTERNAL_SERVER_ERROR_ERROR;
}

struct stream_ref stream_ref(const struct stream *stream)
{
    return (struct stream_ref){io_ref(stream->conn), stream->shard->index};
}

struct stream *stream_find(struct shard *shard, struct stream_ref ref)
{
    if (!ref.ref || ref.shard != shard->index)
        return NULL;
    struct io_conn *conn = io_find(shard->io, ref.ref);
    return conn ? conn->owner : NULL;
}

static void list_add(struct shard *shard, struct stream *stream)
{
    stream->shard = shard;
    stream->previous = NULL;
    stream->next = shard->streams;
    if (shard->streams)
        shard->streams->previous = stream;
    shard->streams = stream;
    if (stream->is_s2s)
        s2s_enter(s2s_of(stream));
}

static void unlink_from(struct stream **head, struct stream *stream, bool dirty_list)
{
    while (*head != stream)
        head = dirty_list ? &(*head)->next_dirty : &(*head)->next_runnable;
    *head = dirty_list ? stream->next_dirty : stream->next_runnable;
}

static void list_remove(struct stream *stream)
{
    struct shard *shard = stream->shard;
    newcomer_leave(stream);
    if (stream->is_s2s)
        s2s_leave(s2s_of(stream));
    if (shard->cursor == stream)
        shard->cursor = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        shard->streams = stream->next;
    /* Rare (a stream that ends with something to send), so the walk over the turn's list is affordable. */
    if (stream->is_dirty)
        unlink_from(&shard->dirty, stream, true);
    if (stream->is_runnable)
        unlink_from(&shard->runnable, stream, false);
    stream->is_dirty = stream->is_runnable = false;
}

/* A recipient that left its queue unread, or a session or a server that may have been silent. */
static void bound_deadline(struct stream *stream)
{
    if (stream->throttled)
        stream_close(stream, STREAM_RESOURCE_CONSTRAINT_ERROR, "what was sent to this session was not read");
    else if (stream->is_s2s)
        idle_check(stream);
    else
        silence_check(stream);
}

/* The stream's deadline has come: what it means depends on where the stream is. */
static void deadline(void *context, struct timer *timer)
{
    (void)context;
    struct stream *stream = (struct stream *)((char *)timer - offsetof(struct stream, timer));
    if (stream->ending) {
        enum stream_error error = (enum stream_error)(stream->ending - 1);
        stream->ending = 0;
        stream_close(stream, error, stream->ending_text);
        return;
    }
    switch ((enum stream_state)stream->state) {
    case STREAM_CLOSING:
        io_reset(stream->shard->io, stream->conn);
        break;
    case STREAM_TLS:
        if (stream->is_s2s)
            s2s_fails(s2s_of(stream), COUNTER_S2S_FAILED_TIMEOUT);
        stream_abort(stream);
        break;
    case STREAM_BOUND:
        bound_deadline(stream);
        break;
    case STREAM_HEADER:
    case STREAM_OPEN:
    case STREAM_LOOKUP:
    case STREAM_SASL:
    case STREAM_PROCEED:
    case STREAM_DIALBACK:
    case STREAM_MOVE:
    case STREAM_RESTART:
    case STREAM_BIND:
    case STREAM_STATE_COUNT:
        shard_count(stream->shard, COUNTER_TIMEOUTS, 1);
        if (stream->is_s2s)
            s2s_fails(s2s_of(stream), COUNTER_S2S_FAILED_TIMEOUT);
        stream_close(stream, STREAM_CONNECTION_TIMEOUT_ERROR, "the negotiation took too long");
        break;
    }
}

void stream_set_deadline(struct stream *stream, uint64_t ms)
{
    if (stream->ending)
        return;
    stream->timer.fire = deadline;
    if (ms)
        wheel_set(stream->shard->wheel, &stream->timer, shard_now_ms(stream->shard) + ms);
    else
        wheel_cancel(stream->shard->wheel, &stream->timer);
}

void stream_keep_address(struct stream *stream, const struct sockaddr *peer)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (peer && peer->sa_family == AF_INET) {
        memcpy(stream->address, mapped, sizeof mapped);
        memcpy(stream->address + 12, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    } else if (peer && peer->sa_family == AF_INET6) {
        memcpy(stream->address, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    }
}

const char *stream_address(const struct stream *stream, char out[STREAM_ADDRESS_SIZE])
{
    struct in6_addr address;
    memcpy(&address, stream->address, sizeof address);
    bool is_mapped = IN6_IS_ADDR_V4MAPPED(&address);
    inet_ntop(is_mapped ? AF_INET : AF_INET6, is_mapped ? stream->address + 12 : stream->address, out,
              STREAM_ADDRESS_SIZE);
    return out;
}

/* A stream before its first byte; NULL when memory is refused. */
static struct stream *stream_new(struct shard *shard, struct io_conn *conn, size_t size)
{
    struct stream *stream = calloc(1, size);
    if (stream)
        stream->shard = shard;
    if (!stream || !nego_new(stream)) {
        free(stream);
        conn->owner = NULL;
        return NULL;
    }
    stream->is_s2s = size != sizeof *stream;
    stream->conn = conn;
    stream->epoch = shard->policy->epoch;
    stream->accepted_ms = shard_now_ms(shard);
    conn->owner = stream;
    list_add(shard, stream);
    xml_reader_init(&stream->reader, &shard->limits_unauthenticated);
    stream_set_deadline(stream, shard->policy->config->timeouts_header_ms);
    return stream;
}

struct stream *stream_dialled(struct shard *shard, struct io_conn *conn, size_t size)
{
    return stream_new(shard, conn, size);
}

void stream_accept(struct shard *shard, struct io_conn *conn, enum listener_tag listener, const struct sockaddr *peer)
{
    bool direct_tls = listener == LISTEN_C2S_TLS || listener == LISTEN_S2S_TLS;
    bool is_s2s = listener == LISTEN_S2S || listener == LISTEN_S2S_TLS;
    struct stream *stream = stream_new(shard, conn, is_s2s ? sizeof(struct s2s) : sizeof *stream);
    if (!stream) {
        io_reset(shard->io, conn);
        return;
    }
    if (is_s2s)
        shard_count(shard, COUNTER_S2S_ACCEPTED, 1);
    stream_keep_address(stream, peer);
    if (!crowd_enter(stream) || (direct_tls && !crowd_may_handshake(stream))) {
        /* Nothing that could be said is read before TLS; a flood is cheapest to answer with a reset. */
        stream->state = STREAM_CLOSING;
        io_reset(shard->io, conn);
        return;
    }
    if (direct_tls && !stream_start_tls(stream))
        stream_abort(stream);
}

/* Everything that the stream owns but its place in the lists. */
static void stream_clear(struct stream *stream)
{
    struct chunk_pool *pool = stream->shard->pool;
    chain_clear(&stream->out, pool);
    chain_clear(&stream->wire, pool);
    chain_clear(&stream->held, pool);
    xml_reader_fini(&stream->reader);
    nego_free(stream);
    if (stream->is_watched)
        watch_leave(stream);
    if (stream->tls)
        engine_free(stream->tls);
    if (stream->is_s2s)
        s2s_clear(s2s_of(stream));
}

void stream_drop(struct stream *stream)
{
    list_remove(stream);
    crowd_leave(stream);
    free(stream->throttled);
    if (stream->session)
        session_discard(stream->shard, stream->session);
    stream_clear(stream);
    free(stream);
}

/* A stream that closes, in whatever way, has no session from then on: its resource is free for the next one. What the
 * peer had under way may still be heard, in its name. What a pair of domains had to say on it goes on elsewhere. */
static void end_session(struct stream *stream, bool is_heard)
{
    struct session *session = stream->session;
    if (stream->is_s2s)
        s2s_ending(s2s_of(stream));
    if (!session)
        return;
    if (session->user)
        session_leave(stream->shard, session);
    if (is_heard)
        return;
    stream->session = NULL;
    session_free(session);
}

void stream_closed(struct stream *stream, int error)
{
    struct shard *shard = stream->shard;
    if (error)
        log_event(LOG_DEBUG, "stream.broken", "state=%u error=%d", stream->state, error);
    if (stream->is_s2s && stream->state == STREAM_TLS)
        s2s_fails(s2s_of(stream), COUNTER_S2S_FAILED_TLS);
    stream->is_gone = stream->is_paused = true;
    stream_hear_out(stream);
    list_remove(stream);
    crowd_leave(stream);
    stream->state = STREAM_CLOSING;
    stream->holds = 0;
    throttle_release_all(stream);
    end_session(stream, false);
    if (stream->is_s2s)
        s2s_settle(s2s_of(stream));
    if (stream->was_bound && !chain_is_empty(&stream->out))
        /* Not <recipient-unavailable/>: that would tell a stranger that there was a session (RFC 6120 s8.3.3.13). */
        unsent_return(shard, &stream->out, NS_CLIENT, COUNTER_DELIVERED, ERROR_SERVICE_UNAVAILABLE);
    wheel_cancel(shard->wheel, &stream->timer); /* last: what was heard out may have set it, by a letter to itself */
    stream_clear(stream);
    free(stream);
}

void stream_touch(struct stream *stream)
{
    if (stream->is_dirty)
        return;
    stream->is_dirty = true;
    stream->next_dirty = stream->shard->dirty;
    stream->shard->dirty = stream;
}

void stream_flush_all(struct shard *shard)
{
    while (shard->dirty) {
        struct stream *stream = shard->dirty;
        shard->dirty = stream->next_dirty;
        stream->is_dirty = false;
        stream_flush(stream);
    }
}

void stream_wrote_stanza(struct stream *stream)
{
    shard_count(stream->shard, COUNTER_BORN, 1);
    shard_count(stream->shard, COUNTER_DELIVERED, 1);
    stream_touch(stream);
    /* A peer that asks much and reads nothing is not read either. */
    if (stream->out.size > stream->shard->policy->config->limits_queue_soft)
        throttle_sender(stream, stream_ref(stream));
}

/* out and wire are empty and nothing is in flight: the orderly end goes on by one step. */
static void flush_end(struct stream *stream)
{
    struct shard *shard = stream->shard;
    if (!stream->is_shut) {
        stream->is_shut = true;
        io_shutdown(shard->io, stream->conn);
    }
    /* RFC 6120 s4.4, security warning: under TLS the peer's end tag is not the end, its close_notify is due (it sets
     * has_ended, as FIN does). A peer that sends neither has timeouts.close. */
    if (stream->has_ended || (stream->has_footer && !stream->tls))
        io_close(shard->io, stream->conn);
}

/* From out to wire. False: TLS has failed. */
static bool flush_out(struct stream *stream)
{
    if (stream->is_acked && stream->state == STREAM_BOUND)
        return ack_flush(s2s_of(stream));
    if (!stream->tls)
        chain_splice(&stream->wire, &stream->out);
    else if (!chain_is_empty(&stream->out) && engine_is_ready(stream->tls))
        return engine_write(stream->tls, &stream->out, SIZE_MAX, &stream->wire, stream->shard->pool) != ENGINE_FAILED;
    return true;
}

void stream_flush(struct stream *stream)
{
    struct shard *shard = stream->shard;
    if (stream->is_shut) {
        flush_end(stream);
        return;
    }
    if (!io_can_send(stream->conn))
        return; /* stream_sent() comes here again */
    if (!flush_out(stream)) {
        stream_abort(stream);
        return;
    }
    bool is_ending = stream->state == STREAM_CLOSING;
    if (is_ending && stream->tls && !stream->has_notified) {
        stream->has_notified = true;
        engine_close(stream->tls, &stream->wire, shard->pool);
    }
    if (!chain_is_empty(&stream->wire))
        io_send(shard->io, stream->conn, &stream->wire);
    else if (is_ending)
        flush_end(stream);
    else if (stream->is_moving) {
        stream->is_moving = false; /* once: TLS may still answer a KeyUpdate before the connection departs */
        io_handoff(shard->io, stream->conn, stream->move_to, stream);
    }
}

void stream_seal(struct stream *stream)
{
    if (!stream->tls)
        chain_splice(&stream->wire, &stream->out);
    else if (!chain_is_empty(&stream->out)) /* a failure is met again by the next one who writes */
        (void)engine_write(stream->tls, &stream->out, SIZE_MAX, &stream->wire, stream->shard->pool);
}

void stream_sent(struct stream *stream)
{
    if (stream->throttled && stream->out.size <= stream->shard->policy->config->limits_queue_soft / 2)
        throttle_release_all(stream);
    if (!chain_is_empty(&stream->out) || !chain_is_empty(&stream->wire) || stream->is_moving ||
        stream->state == STREAM_CLOSING || (stream->is_acked && ack_is_pending(s2s_of(stream))))
        stream_touch(stream);
}

void stream_ended(struct stream *stream)
{
    stream->has_ended = true;
    if (newcomer_is_entered(stream) && stream->state != STREAM_TLS)
        return; /* what it said before comes first: we are called again behind its turn */
    /* A connection cut without an end tag still ends in order on our side (RFC 6120 s4.4, s4.6). */
    if (stream->state == STREAM_TLS)
        stream_abort(stream);
    else if (stream->state != STREAM_CLOSING)
        stream_close(stream, STREAM_NO_ERROR, NULL);
    else
        stream_touch(stream);
}

void stream_abort(struct stream *stream)
{
    if (stream->is_s2s && stream->state == STREAM_TLS)
        s2s_fails(s2s_of(stream), COUNTER_S2S_FAILED_TLS);
    if (stream->state == STREAM_TLS && !chain_is_empty(&stream->wire) && io_can_send(stream->conn))
        io_send(stream->shard->io, stream->conn, &stream->wire); /* the alert */
    stream_hear_out(stream);
    stream->state = STREAM_CLOSING;
    stream->holds = 0;
    stream->is_moving = false;
    end_session(stream, false);
    if (stream->is_s2s)
        s2s_settle(s2s_of(stream));
    if (!stream->is_gone)
        io_close(stream->shard->io, stream->conn);
}

static void write_end(struct stream *stream, enum stream_error error, const char *text)
{
    struct chunk_pool *pool = stream->shard->pool;
    if (error != STREAM_NO_ERROR) {
        struct xml_writer w = stream_writer(stream, pool);
        xml_open(&w, "stream:error");
        xml_empty(&w, conditions[error], "urn:ietf:params:xml:ns:xmpp-streams");
        if (text)
            xml_text_in_english(&w, "urn:ietf:params:xml:ns:xmpp-streams", text);
        if (error == STREAM_UNDEFINED_CONDITION_ERROR && stream->is_s2s)
            ack_write_fault(s2s_of(stream), &w);
        xml_close(&w);
        shard_count(stream->shard, COUNTER_STREAM_ERRORS, 1);
        log_event(LOG_DEBUG, "stream.error", "condition=%s text=\"%s\"", conditions[error], text ? text : "");
    }
    chain_append(&stream->out, pool, SPAN("</stream:stream>"));
}

/* RFC 6120 s4.4: who sends the end tag goes on to process what comes until the other side's. Not from one whose stream
 * is not to be trusted or read any more; and there is nothing behind the peer's own end but what waits before it. */
static bool is_heard_out(const struct stream *stream, enum stream_error error)
{
    bool is_trusted = error == STREAM_NO_ERROR || error == STREAM_RESET_ERROR || error == STREAM_CONFLICT_ERROR ||
                      error == STREAM_SYSTEM_SHUTDOWN_ERROR || error == STREAM_RESOURCE_CONSTRAINT_ERROR ||
                      error == STREAM_CONNECTION_TIMEOUT_ERROR;
    bool is_over = stream->has_footer || (stream->has_ended && chain_is_empty(&stream->held));
    return is_trusted && !is_over;
}

void stream_close(struct stream *stream, enum stream_error error, const char *text)
{
    struct shard *shard = stream->shard;
    if (stream->state == STREAM_CLOSING)
        return;
    if (stream->state == STREAM_TLS) {
        stream_abort(stream);
        return;
    }
    /* An error before the headers are exchanged still comes inside a stream (RFC 6120 s4.9.1.2). */
    if (stream->is_s2s && error != STREAM_NO_ERROR)
        s2s_refuses(s2s_of(stream), conditions[error]);
    if (stream->is_s2s) {
        s2s_closing(s2s_of(stream), is_heard_out(stream, error));
        s2s_ending(s2s_of(stream)); /* takes what is unsent along */
    }
    if (stream->nego)
        stream_header_write(stream);
    if (stream->is_s2s)
        ack_say_last(s2s_of(stream));
    write_end(stream, error, text);
    newcomer_leave(stream); /* what waited has come too late */
    stream->state = STREAM_CLOSING;
    stream->ending = 0;
    stream->is_moving = false;
    stream->holds = 0;
    if (stream->is_paused && !stream->is_gone) {
        stream->is_paused = false;
        io_resume(shard->io, stream->conn);
    }
    throttle_release_all(stream);
    end_session(stream, is_heard_out(stream, error));
    if (!stream->is_s2s) /* whose negotiation may still be answered */
        nego_free(stream);
    if (stream_is_heard(stream) && !chain_is_empty(&stream->held)) {
        stream->holds = 1; /* what waits is heard out too, in the next turn */
        stream_release(stream);
    }
    stream_set_deadline(stream, shard->policy->config->timeouts_close_ms);
    stream_touch(stream);
}

void stream_end_later(struct stream *stream, enum stream_error error, const char *text, uint64_t ms)
{
    /* One millisecond at least: 0 would mean no deadline. */
    stream_set_deadline(stream, ms + 1);
    stream->ending = (uint8_t)(error + 1);
    stream->ending_text = text;
}

static struct engine *engine_of(struct stream *stream)
{
    const struct policy *policy = stream->shard->policy;
    if (!stream->is_s2s)
        return policy->tls ? engine_new(policy->tls, stream->nego->domain) : NULL;
    if (!s2s_of(stream)->is_out)
        return policy->tls_server ? engine_new(policy->tls_server, stream->nego->domain) : NULL;
    return policy->tls_client ? engine_new_client(policy->tls_client, s2s_of(stream)->remote, stream->nego->domain)
                              : NULL;
}

bool stream_start_tls(struct stream *stream)
{
    struct shard *shard = stream->shard;
    stream->tls = engine_of(stream);
    if (!stream->tls)
        return false;
    /* What was written before (<proceed/>) goes out in plain text. */
    chain_splice(&stream->wire, &stream->out);
    if (engine_start(stream->tls, &stream->wire, shard->pool) != ENGINE_OK)
        return false;
    stream_touch(stream);
    xml_reader_restart(&stream->reader);
    stream->has_sent_header = false;
    stream->state = STREAM_TLS;
    stream_set_deadline(stream, shard->policy->config->timeouts_tls_ms);
    return true;
}

void stream_move(struct stream *stream, unsigned shard)
{
    stream_hold(stream);
    stream->is_moving = true;
    stream->move_to = (uint16_t)shard;
    stream_touch(stream);
}

void stream_departing(struct stream *stream)
{
    struct shard *shard = stream->shard;
    if (stream->is_watched) /* it enters again over there when it is bound */
        watch_leave(stream);
    if (stream->nego)
        stream->nego->withdrawn_serial = shard->withdrawn_serial;
    /* The timer's due time stays in the struct: the deadline goes on over there. */
    wheel_cancel(shard->wheel, &stream->timer);
    list_remove(stream);
    chain_release(&stream->held, shard->pool);
    chain_release(&stream->out, shard->pool);
    chain_release(&stream->wire, shard->pool);
    stream->shard = NULL;
    stream->conn = NULL;
}

void stream_arrived(struct shard *shard, struct io_conn *conn, struct stream *stream)
{
    stream->conn = conn;
    conn->owner = stream;
    list_add(shard, stream);
    chain_adopt(&stream->held, shard->pool);
    chain_adopt(&stream->out, shard->pool);
    chain_adopt(&stream->wire, shard->pool);
    stream->reader.limits = &shard->limits;
    wheel_set(shard->wheel, &stream->timer, stream->timer.due_ms);
    stream->is_moving = false;
    if (stream->state == STREAM_CLOSING && shard->index != stream->move_to) {
        stream_abort(stream); /* it came back: the other shard could not take it */
        return;
    }
    if (stream->state == STREAM_CLOSING) { /* since io_handoff(): its end goes on here */
        io_resume(shard->io, conn);
        stream_touch(stream);
        return;
    }
    nego_event(stream, EV_ARRIVED, NULL);
    stream_release(stream);
    if (stream->state == STREAM_RESTART && reset_is_stale(stream))
        stream_close(stream, STREAM_RESET_ERROR, NULL);
    if (stream->state == STREAM_RESTART && !stream->is_s2s && session_was_closed(shard, stream->nego->jid, stream->nego->withdrawn_serial))
        stream_close(stream, STREAM_NOT_AUTHORIZED_ERROR, "the account was removed or disabled");
    if (shard->drain_deadline_ms) /* the walk that closes all has passed the head of the list already */
        stream_close(stream, STREAM_SYSTEM_SHUTDOWN_ERROR, NULL);
}
