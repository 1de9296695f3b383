/* SPDX-License-Identifier: MIT */
#include "router/stream/silence.h"

#include "router/route/session.h"
#include "router/route/shard.h"

void silence_ask(struct stream *stream, struct span from, struct span to)
{
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "iq");
    xml_write_attribute(&w, "type", SPAN("get"));
    /* One is under way at a time, and none is sent twice in a millisecond. */
    xml_write_attribute_f(&w, "id", "silence-%llx", (unsigned long long)shard_now_ms(stream->shard));
    xml_write_attribute(&w, "from", from);
    xml_write_attribute(&w, "to", to);
    xml_empty(&w, "ping", "urn:xmpp:ping");
    xml_close(&w);
    stream->received_ms = SILENCE_ASKED;
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

bool silence_ends(struct stream *stream)
{
    if (stream->is_paused) /* it is we who do not read: what that says of the peer is nothing */
        stream->received_ms = shard_now_ms(stream->shard);
    if (stream->received_ms != SILENCE_ASKED)
        return false;
    shard_count(stream->shard, COUNTER_SILENT, 1);
    stream_close(stream, STREAM_CONNECTION_TIMEOUT_ERROR, "no answer to a ping");
    return true;
}

void silence_check(struct stream *stream)
{
    const struct config *config = stream->shard->policy->config;
    uint64_t now = shard_now_ms(stream->shard), idle = config->timeouts_idle_ms, answer = config->timeouts_answer_ms;
    if (!idle)
        return;
    if (silence_ends(stream))
        return;
    uint64_t silent = now - stream->received_ms;
    if (silent < idle) {
        stream_set_deadline(stream, idle - silent);
    } else if (answer) {
        stream_set_deadline(stream, answer);
        struct jid own = session_jid(stream->session);
        silence_ask(stream, jid_domain(&own), jid_full(&own));
    } else {
        silence_blank(stream);
        stream_set_deadline(stream, idle);
    }
}
