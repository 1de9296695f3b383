/* SPDX-License-Identifier: MIT */
#include "router/stream/handshake.h"

#include "io/io.h"
#include "router/route/shard.h"
#include "router/stream/nego.h"
#include "router/stream/stream.h"

static void pause(struct stream *stream)
{
    if (stream->is_paused)
        return;
    stream->is_paused = true;
    io_pause(stream->shard->io, stream->conn);
}

static struct waiting *list_of(const struct stream *stream)
{
    struct shard *shard = stream->shard;
    return stream->nego->has_greeted ? &shard->handshakes_begun : &shard->handshakes_new;
}

static void enter(struct stream *stream)
{
    struct shard *shard = stream->shard;
    struct nego *nego = stream->nego;
    struct waiting *list = list_of(stream);
    nego->next_handshake = NULL;
    nego->handshake_link = list->end;
    *list->end = stream;
    list->end = &nego->next_handshake;
    if (++shard->handshakes_waiting >= shard->policy->config->limits_handshakes_waiting)
        io_hold_accepts(shard->io, true);
}

void handshake_leave(struct stream *stream)
{
    struct shard *shard = stream->shard;
    struct nego *nego = stream->nego;
    if (!nego || !nego->handshake_link)
        return;
    *nego->handshake_link = nego->next_handshake;
    if (nego->next_handshake)
        nego->next_handshake->nego->handshake_link = nego->handshake_link;
    else
        list_of(stream)->end = nego->handshake_link;
    nego->handshake_link = NULL;
    if (--shard->handshakes_waiting <= shard->policy->config->limits_handshakes_waiting / 2)
        io_hold_accepts(shard->io, false);
}

void handshake_received(struct stream *stream, struct span wire)
{
    struct shard *shard = stream->shard;
    chain_append(&stream->held, shard->pool, wire);
    if (stream->nego->handshake_link) { /* nobody fills our memory while waiting */
        pause(stream);
        return;
    }
    /* Not to be read while it waits for a later turn; one that is served in this turn is spared the two operations. */
    if (shard->handshakes_waiting >= shard->policy->config->limits_handshakes_per_turn)
        pause(stream);
    enter(stream);
}

static void step(struct stream *stream)
{
    struct shard *shard = stream->shard;
    struct chain wire = stream->held;
    stream->held = (struct chain){0};
    stream->nego->has_greeted = true;
    while (!chain_is_empty(&wire) && stream->state != STREAM_CLOSING) {
        struct span front = chain_front(&wire);
        stream_take_wire(stream, front);
        chain_consume(&wire, shard->pool, front.size);
    }
    chain_clear(&wire, shard->pool);
    if (stream->state != STREAM_CLOSING && !stream->holds && stream->is_paused) {
        stream->is_paused = false;
        io_resume(shard->io, stream->conn);
    }
}

bool handshake_run(struct shard *shard)
{
    uint32_t most = shard->policy->config->limits_handshakes_per_turn;
    for (uint32_t count = 0; shard->handshakes_waiting && count < most; count++) {
        if (count && io_has_news(shard->io))
            break;
        struct waiting *list = shard->handshakes_begun.first ? &shard->handshakes_begun : &shard->handshakes_new;
        struct stream *stream = list->first;
        handshake_leave(stream);
        step(stream);
    }
    return shard->handshakes_waiting != 0;
}
