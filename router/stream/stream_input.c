/* SPDX-License-Identifier: MIT */
/*
 * The way in: from the io's bytes through TLS to whole elements, with what must wait on it: holds. Streams in
 * negotiation wait for their turn (newcomer.h).
 */
#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/border.h"
#include "router/s2s/s2s.h"
#include "router/stream/intake.h"
#include "router/stream/nego.h"
#include "router/stream/newcomer.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

/* Of what was held back a turn handles so much of each stream, 30 us of work: it may be a quarter of a megabyte. */
#define RUN_MAX 16384u

/* A record of TLS with its head (RFC 5246 s6.2.3; in TLS 1.3 it is smaller). */
#define RECORD_SIZE_MAX 18437u

/* Bytes in order: one element after the other, until a hold or the end. What is left stays in *bytes. */
static void consume(struct stream *stream, struct span *bytes)
{
    struct xml_stanza stanza;
    /* Until the reader wants more, not until the bytes end: a header that closes itself is two events. */
    while (!stream->holds && stream->state != STREAM_CLOSING) {
        enum xml_event event = xml_reader_next(&stream->reader, stream->shard->scratch, bytes, &stanza);
        /* What runs from held (its front is bytes) may have more chunks behind. */
        stream->behind = bytes->size + stream->held.size - chain_front(&stream->held).size;
        switch (event) {
        case XML_MORE:
            return;
        case XML_HEADER:
            nego_header(stream, &stanza);
            break;
        case XML_STANZA:
            if (stream->state != STREAM_BOUND)
                nego_element(stream, &stanza);
            else if (stream->is_s2s)
                border_element(stream, &stanza);
            else
                intake_element(stream, &stanza);
            break;
        case XML_MISNAMED:
            if (stream->state != STREAM_BOUND)
                nego_misnamed(stream, &stanza);
            else if (stream->is_s2s)
                border_misnamed(stream, &stanza);
            else
                intake_misnamed(stream, &stanza);
            break;
        case XML_FOOTER:
            stream->has_footer = true;
            stream_close(stream, STREAM_NO_ERROR, NULL);
            break;
        case XML_REFUSED:
            shard_count(stream->shard, COUNTER_XML_REFUSED, 1);
            stream_close(stream, stream_error_of((enum xml_error)stream->reader.error),
                         xml_error_text((enum xml_error)stream->reader.error));
            break;
        }
    }
}

/* Behind our own end tag the peer's end tag matters, and what a session had under way (RFC 6120 s4.4); the rest is
 * thrown away. */
static void consume_closing(struct stream *stream, struct span *bytes)
{
    struct xml_stanza stanza;
    while (bytes->size && !stream->has_footer) {
        enum xml_event event = xml_reader_next(&stream->reader, stream->shard->scratch, bytes, &stanza);
        stream->has_footer = event == XML_FOOTER;
        if (event == XML_STANZA && stream->session)
            intake_last(stream, &stanza);
        else if (event == XML_STANZA && stream->is_s2s)
            border_late(stream, &stanza);
        if (event == XML_REFUSED || event == XML_MORE)
            break;
    }
    bytes->size = 0;
    if (stream->has_footer && stream->is_s2s)
        s2s_settle(s2s_of(stream));
    if (stream->has_footer)
        stream_touch(stream);
}

bool stream_is_heard(const struct stream *stream)
{
    const struct s2s *s2s = stream->is_s2s ? s2s_of((struct stream *)(uintptr_t)stream) : NULL;
    return stream->session || (s2s && (s2s->hears_late || s2s->asks_late));
}

/* Decrypted, in order. */
static void take_plain(void *context, struct span bytes)
{
    struct stream *stream = context;
    if (stream->state == STREAM_TLS && engine_is_ready(stream->tls))
        nego_event(stream, EV_TLS_READY, NULL);
    if (stream->state == STREAM_CLOSING && (!stream_is_heard(stream) || chain_is_empty(&stream->held))) {
        consume_closing(stream, &bytes);
        return;
    }
    if (!stream->holds && !stream->is_running && chain_is_empty(&stream->held)) {
        stream->is_running = true;
        consume(stream, &bytes);
        stream->is_running = false;
    }
    if (stream->state == STREAM_CLOSING && chain_is_empty(&stream->held)) {
        consume_closing(stream, &bytes);
    } else if (bytes.size) {
        chain_append(&stream->held, stream->shard->pool, bytes);
        if (stream->state != STREAM_CLOSING) /* that is read on: what waits is gone with the next turn */
            stream_pause(stream);
    }
}

static void make_runnable(struct stream *stream)
{
    if (newcomer_is(stream)) {
        newcomer_enter(stream);
        return;
    }
    if (stream->is_runnable)
        return;
    stream->is_runnable = true;
    stream->next_runnable = stream->shard->runnable;
    stream->shard->runnable = stream;
}

/* Who has not authenticated fills no memory: a receive may bring eight times what a stanza may have by then. Not one
 * that we called: how many there are is up to us, and before its certificate it may send a long list of issuers. */
static bool is_too_much(struct stream *stream, size_t size)
{
    bool has_authenticated =
        stream->state == STREAM_MOVE || stream->state == STREAM_RESTART || stream->state == STREAM_BIND;
    bool is_called = stream->is_s2s && s2s_of(stream)->is_out;
    uint32_t most = stream->shard->policy->config->limits_stanza_size_unauthenticated + RECORD_SIZE_MAX;
    return !has_authenticated && !is_called && stream->held.size + size > most;
}

/* Of a stream in negotiation. */
static void hold_back(struct stream *stream, struct span bytes)
{
    if (is_too_much(stream, bytes.size)) {
        stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "too much at once before authentication");
        return;
    }
    chain_append(&stream->held, stream->shard->pool, bytes);
    if (!stream->holds)
        newcomer_enter(stream);
}

/* Decrypted, as it comes. */
static void arrive(void *context, struct span bytes)
{
    struct stream *stream = context;
    if (newcomer_is(stream))
        hold_back(stream, bytes);
    else
        take_plain(stream, bytes);
}

static void take_wire(struct stream *stream, struct span wire, engine_plain_fn take)
{
    enum engine_status status = engine_feed(stream->tls, wire, &stream->wire, stream->shard->pool, take, stream);
    if (stream->state == STREAM_TLS && engine_is_ready(stream->tls))
        nego_event(stream, EV_TLS_READY, NULL);
    if (!chain_is_empty(&stream->wire))
        stream_touch(stream);
    switch (status) {
    case ENGINE_OK:
        break;
    case ENGINE_CLOSED:
        /* close_notify without an end tag before it: the stream is over all the same (RFC 6120 s4.4). */
        stream_ended(stream);
        break;
    case ENGINE_FAILED:
        shard_count(stream->shard, COUNTER_TLS_FAILED, 1);
        log_event(LOG_DEBUG, "tls.failed", "reason=%s", log_quoted(span_str(engine_error(stream->tls))).text);
        stream_abort(stream);
        break;
    }
}

void stream_received(struct stream *stream, struct span wire)
{
    stream->received_ms = shard_now_ms(stream->shard);
    if (stream->state == STREAM_TLS)
        hold_back(stream, wire);
    else if (stream->tls)
        take_wire(stream, wire, arrive);
    else
        arrive(stream, wire);
}

/* Of a stream that is closing. */
static void hear_held(struct stream *stream)
{
    struct chunk_pool *pool = stream->shard->pool;
    while (stream_is_heard(stream) && !chain_is_empty(&stream->held)) {
        struct span front = chain_front(&stream->held), rest = front;
        consume_closing(stream, &rest);
        chain_consume(&stream->held, pool, front.size);
    }
    chain_clear(&stream->held, pool);
}

static void run_held(struct stream *stream)
{
    struct chunk_pool *pool = stream->shard->pool;
    size_t left = RUN_MAX;
    while (!stream->holds && stream->state != STREAM_CLOSING && !chain_is_empty(&stream->held)) {
        if (left == 0) {
            stream_pause(stream); /* one whose turn came at once is read until here (newcomer.c) */
            make_runnable(stream);
            return;
        }
        struct span front = chain_front(&stream->held);
        struct span rest = front;
        stream->is_running = true;
        consume(stream, &rest);
        stream->is_running = false;
        chain_consume(&stream->held, pool, front.size - rest.size);
        left -= left < front.size ? left : front.size;
    }
    if (stream->state == STREAM_CLOSING)
        hear_held(stream);
}

/* What came before the end of a stream in negotiation is handled first. */
static void catch_up(struct stream *stream)
{
    while (newcomer_is_entered(stream) && stream->state != STREAM_TLS) {
        newcomer_leave(stream);
        run_held(stream);
    }
}

void stream_hear_out(struct stream *stream)
{
    catch_up(stream);
    /* Before that it is no XML yet, or nobody's. */
    bool is_bound = stream->state == STREAM_BOUND;
    if (!is_bound && stream->state != STREAM_CLOSING)
        return;
    if (is_bound && stream->is_s2s)
        s2s_of(stream)->hears_late = true;
    stream->state = STREAM_CLOSING;
    hear_held(stream);
}

/* Whatever comes out of a handshake is handled at once. */
static void run_wire(struct stream *stream)
{
    struct chunk_pool *pool = stream->shard->pool;
    struct chain wire = stream->held;
    stream->held = (struct chain){0};
    while (!chain_is_empty(&wire) && stream->state != STREAM_CLOSING) {
        struct span front = chain_front(&wire);
        take_wire(stream, front, take_plain);
        chain_consume(&wire, pool, front.size);
    }
    chain_clear(&wire, pool);
}

void stream_run(struct stream *stream)
{
    if (stream->state == STREAM_TLS)
        run_wire(stream);
    else
        run_held(stream);
    if (stream->state != STREAM_CLOSING && !stream->holds && chain_is_empty(&stream->held) && stream->is_paused) {
        stream->is_paused = false;
        stream->received_ms = shard_now_ms(stream->shard); /* its silence begins now: until here we did not read it */
        io_resume(stream->shard->io, stream->conn);
    }
}

bool stream_run_all(struct shard *shard)
{
    /* Only those that are on the list now: one that runs may make another runnable, for the next round. */
    struct stream *list = shard->runnable;
    shard->runnable = NULL;
    while (list) {
        struct stream *stream = list;
        list = stream->next_runnable;
        stream->is_runnable = false;
        stream_run(stream);
    }
    return shard->runnable != NULL;
}

void stream_pause(struct stream *stream)
{
    if (stream->is_paused)
        return;
    stream->is_paused = true;
    io_pause(stream->shard->io, stream->conn);
}

void stream_hold(struct stream *stream)
{
    if (stream->state == STREAM_CLOSING)
        return;
    stream->holds++;
    stream_pause(stream);
}

void stream_release(struct stream *stream)
{
    /* A stream that began to close has dropped its holds; a late release finds none. */
    if (stream->holds && --stream->holds == 0)
        make_runnable(stream);
}
