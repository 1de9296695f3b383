/* SPDX-License-Identifier: MIT */
#include "router/s2s/idle.h"

#include "router/route/shard.h"
#include "router/s2s/ack.h"
#include "router/s2s/remote.h"
#include "router/s2s/s2s.h"
#include "router/stream/silence.h"

/* When to look again: the earlier of both; 0 is never. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
    if (!a || !b)
        return a ? a : b;
    return a < b ? a : b;
}

/* Only the side that dialled tires: else both would close at once, and each would dial anew for what was under way. */
static uint64_t limit_of(const struct s2s *s2s)
{
    return s2s->is_out ? s2s->stream.shard->policy->config->s2s_idle_ms : 0;
}

void idle_used(struct s2s *s2s)
{
    s2s->used_ms = shard_now_ms(s2s->stream.shard);
}

void idle_begin(struct s2s *s2s)
{
    idle_used(s2s);
    stream_set_deadline(&s2s->stream, earlier(s2s->stream.shard->policy->config->timeouts_idle_ms, limit_of(s2s)));
}

void idle_check(struct stream *stream)
{
    struct s2s *s2s = s2s_of(stream);
    const struct config *config = stream->shard->policy->config;
    uint64_t now = shard_now_ms(stream->shard), limit = limit_of(s2s), unused = now - s2s->used_ms;
    uint64_t silence = config->timeouts_idle_ms;
    if (limit && unused >= limit && chain_is_empty(&stream->out) && ack_is_clear(s2s)) {
        stream_close(stream, STREAM_NO_ERROR, NULL);
        return;
    }
    if (silence_ends(stream))
        return;
    uint64_t silent = now - stream->received_ms, again = silence;
    bool is_silent = silence && silent >= silence;
    bool may_ask = ack_is_hearing(s2s) || (s2s->is_bidi && s2s->pair);
    bool asks = is_silent && may_ask && config->timeouts_answer_ms;
    if (asks)
        again = config->timeouts_answer_ms;
    else if (silence && !is_silent)
        again = silence - silent;
    /* While an answer is due nothing else wakes the stream. */
    uint64_t rest = limit && !asks ? (unused < limit ? limit - unused : 1000) : 0;
    stream_set_deadline(stream, earlier(again, rest));
    if (asks && ack_ask(s2s))
        stream->received_ms = SILENCE_ASKED;
    else if (asks)
        silence_ask(stream, pair_local(s2s->pair), pair_remote(s2s->pair));
    else if (is_silent)
        silence_blank(stream);
}
