/* SPDX-License-Identifier: MIT */
#include "router/stream/silence.h"

#include "router/route/session.h"
#include "router/route/shard.h"

static void ask(struct stream *stream)
{
    struct jid own = session_jid(stream->session);
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "iq");
    xml_write_attribute(&w, "type", SPAN("get"));
    /* One is under way at a time, and none is sent twice in a millisecond. */
    xml_write_attribute_f(&w, "id", "silence-%llx", (unsigned long long)shard_now_ms(stream->shard));
    xml_write_attribute(&w, "from", jid_domain(&own));
    xml_write_attribute(&w, "to", jid_full(&own));
    xml_empty(&w, "ping", "urn:xmpp:ping");
    xml_close(&w);
    shard_count(stream->shard, COUNTER_PINGS, 1);
    stream_wrote_stanza(stream);
}

void silence_blank(struct stream *stream)
{
    if (!chain_is_empty(&stream->out))
        return;
    chain_append(&stream->out, stream->shard->pool, SPAN(" "));
    stream_touch(stream);
}

void silence_check(struct stream *stream)
{
    struct shard *shard = stream->shard;
    const struct config *config = shard->policy->config;
    uint64_t now = shard_now_ms(shard), idle = config->timeouts_idle_ms, answer = config->timeouts_answer_ms;
    if (!idle)
        return;
    if (stream->is_paused) /* it is we who do not read: what that says of the peer is nothing */
        stream->received_ms = now;
    if (stream->received_ms == SILENCE_ASKED) {
        shard_count(shard, COUNTER_SILENT, 1);
        stream_close(stream, STREAM_CONNECTION_TIMEOUT_ERROR, "no answer to a ping");
        return;
    }
    uint64_t silent = now - stream->received_ms;
    if (silent < idle) {
        stream_set_deadline(stream, idle - silent);
    } else if (answer) {
        stream->received_ms = SILENCE_ASKED;
        stream_set_deadline(stream, answer);
        ask(stream); /* may throttle the stream by its own queue, which sets another deadline */
    } else {
        silence_blank(stream);
        stream_set_deadline(stream, idle);
    }
}
