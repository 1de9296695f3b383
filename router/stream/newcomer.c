/* SPDX-License-Identifier: MIT */
#include "router/stream/newcomer.h"

#include "io/io.h"
#include "router/route/shard.h"
#include "router/stream/nego.h"
#include "router/stream/stream.h"

#define CHEAP_STEPS 3u /* together as dear as a step of a handshake */
#define PUT_OFF_MAX 8u
#define QUIET_MS    100u

static struct waiting *list_of(const struct stream *stream)
{
    struct shard *shard = stream->shard;
    return stream->nego->has_begun ? &shard->newcomers_begun : &shard->newcomers;
}

bool newcomer_is(const struct stream *stream)
{
    return stream->nego && stream->state != STREAM_BOUND && stream->state != STREAM_CLOSING;
}

bool newcomer_is_entered(const struct stream *stream)
{
    return stream->nego && stream->nego->newcomer_link;
}

void newcomer_enter(struct stream *stream)
{
    struct shard *shard = stream->shard;
    struct nego *nego = stream->nego;
    uint32_t a_turn = shard->policy->config->limits_handshakes_per_turn;
    if (nego->newcomer_link) { /* nobody fills our memory while waiting */
        stream_pause(stream);
        return;
    }
    /* Not to be read while it waits for a later turn; one that is served in this turn is spared the two operations. */
    if (shard->newcomer_count >= a_turn)
        stream_pause(stream);
    struct waiting *list = list_of(stream);
    nego->next_newcomer = NULL;
    nego->newcomer_link = list->end;
    *list->end = stream;
    list->end = &nego->next_newcomer;
    if (++shard->newcomer_count >= shard->policy->config->limits_logins_waiting)
        io_hold_accepts(shard->io, true);
}

void newcomer_leave(struct stream *stream)
{
    struct shard *shard = stream->shard;
    struct nego *nego = stream->nego;
    if (!newcomer_is_entered(stream))
        return;
    *nego->newcomer_link = nego->next_newcomer;
    if (nego->next_newcomer)
        nego->next_newcomer->nego->newcomer_link = nego->newcomer_link;
    else
        list_of(stream)->end = nego->newcomer_link;
    nego->newcomer_link = NULL;
    if (--shard->newcomer_count <= shard->policy->config->limits_logins_waiting / 2)
        io_hold_accepts(shard->io, false);
}

static void step(struct stream *stream)
{
    newcomer_leave(stream);
    stream->nego->has_begun = true;
    stream_run(stream);
    if (stream->has_ended && !newcomer_is_entered(stream))
        stream_ended(stream);
}

/* No session has said or been sent anything for a while: nobody minds a longer turn, and that costs less. */
static bool is_quiet(struct shard *shard)
{
    uint64_t said = counter_read(shard->counters, COUNTER_STANZAS_IN) + counter_read(shard->counters, COUNTER_MAIL_IN);
    if (said != shard->said) {
        shard->said = said;
        shard->said_ms = shard_now_ms(shard);
    }
    return shard_now_ms(shard) - shard->said_ms > QUIET_MS;
}

/* While others want something. */
static bool is_put_off(struct shard *shard)
{
    bool is = shard->put_off < PUT_OFF_MAX && io_has_news(shard->io);
    shard->put_off = is ? shard->put_off + 1 : 0;
    return is;
}

bool newcomer_run(struct shard *shard)
{
    if (!shard->newcomer_count)
        return false;
    bool is_alone = is_quiet(shard);
    if (!is_alone && is_put_off(shard))
        return true;
    if (!is_alone)
        io_submit(shard->io);
    uint32_t most = CHEAP_STEPS * shard->policy->config->limits_handshakes_per_turn;
    for (uint32_t done = 0; shard->newcomer_count && done < most;) {
        struct waiting *list = shard->newcomers_begun.first ? &shard->newcomers_begun : &shard->newcomers;
        struct stream *stream = list->first;
        done += stream->state == STREAM_TLS ? CHEAP_STEPS : 1;
        step(stream);
        if (!is_alone && done >= CHEAP_STEPS && io_has_news(shard->io))
            break;
    }
    return shard->newcomer_count != 0;
}
