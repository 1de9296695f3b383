/* SPDX-License-Identifier: MIT */
#include "router/s2s/idle.h"

#include "router/route/shard.h"
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

static void ask(struct s2s *s2s)
{
    struct stream *stream = &s2s->stream;
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "iq");
    xml_write_attribute(&w, "type", SPAN("get"));
    xml_write_attribute_f(&w, "id", "silence-%llx", (unsigned long long)shard_now_ms(stream->shard));
    xml_write_attribute(&w, "from", pair_local(s2s->pair));
    xml_write_attribute(&w, "to", pair_remote(s2s->pair));
    xml_empty(&w, "ping", "urn:xmpp:ping");
    xml_close(&w);
    shard_count(stream->shard, COUNTER_PINGS, 1);
    stream_wrote_stanza(stream);
}

void idle_check(struct stream *stream)
{
    struct s2s *s2s = s2s_of(stream);
    struct shard *shard = stream->shard;
    const struct config *config = shard->policy->config;
    uint64_t now = shard_now_ms(shard), limit = limit_of(s2s), unused = now - s2s->used_ms;
    uint64_t silence = config->timeouts_idle_ms;
    if (limit && unused >= limit && chain_is_empty(&stream->out)) {
        stream_close(stream, STREAM_NO_ERROR, NULL);
        return;
    }
    if (stream->is_paused) /* it is we who do not read */
        stream->received_ms = now;
    if (stream->received_ms == SILENCE_ASKED) {
        shard_count(shard, COUNTER_SILENT, 1);
        stream_close(stream, STREAM_CONNECTION_TIMEOUT_ERROR, "no answer to a ping");
        return;
    }
    uint64_t silent = now - stream->received_ms, again = silence;
    bool is_silent = silence && silent >= silence;
    bool asks = is_silent && s2s->is_bidi && s2s->pair && config->timeouts_answer_ms;
    if (asks)
        again = config->timeouts_answer_ms;
    else if (silence && !is_silent)
        again = silence - silent;
    /* While an answer is due nothing else wakes the stream. */
    uint64_t rest = limit && !asks ? (unused < limit ? limit - unused : 1000) : 0;
    stream_set_deadline(stream, earlier(again, rest));
    if (asks) {
        stream->received_ms = SILENCE_ASKED;
        ask(s2s); /* may throttle the stream by its own queue, which sets another deadline */
    } else if (is_silent) {
        silence_blank(stream);
    }
}
