/* SPDX-License-Identifier: MIT */
#include "router/stream/unsent.h"

#include "router/route/deliver.h"
#include "router/route/shard.h"

/* "db": an answer to a dialback key may wait before the stanzas. */
#define HEADER(content)                                                                                                \
    "<stream:stream xmlns='" content "' xmlns:stream='http://etherx.jabber.org/streams' "                              \
    "xmlns:db='jabber:server:dialback' version='1.0'>"

/* What becomes of each stanza that was not sent. */
struct fate {
    struct shard *shard;
    enum xml_ns content;
    enum counter counted;
    enum stanza_error error;
};

static void take_back(void *context, const struct xml_stanza *stanza)
{
    const struct fate *fate = context;
    struct shard *shard = fate->shard;
    struct stanza_head head;
    enum stanza_kind kind = stanza_kind_of(stanza, fate->content);
    counter_sub(shard->counters, fate->counted, 1);
    shard_count(shard, COUNTER_RETURNED, 1);
    enum stanza_fault fault = stanza_head_read(stanza, kind, &head);
    struct letter letter = {.kind = kind, .type = head.type, .id = head.id};
    if (fault == STANZA_FINE && head.has_to && head.has_from) {
        letter.to = head.to;
        letter.from = head.from;
    }
    deliver_bounce(shard, &letter, fate->error);
}

/* A stanza that was just small enough has grown by its stamp, a language, and what its sender's header had declared. */
static struct xml_limits wide_limits(const struct shard *shard)
{
    struct xml_limits limits = shard->limits;
    limits.spares_misnamed = false;
    limits.stanza_size_max = 2 * limits.stanza_size_max + 4 * JID_SIZE_MAX;
    limits.attribute_max = (uint16_t)(limits.attribute_max + 64);
    limits.namespace_max = (uint16_t)(limits.namespace_max + 64);
    return limits;
}

void unsent_walk(struct shard *shard, const struct chain *out, enum xml_ns content, unsent_fn each, void *context)
{
    struct xml_reader reader;
    struct xml_stanza stanza;
    struct xml_limits limits = wide_limits(shard);
    enum xml_event event;
    xml_reader_init(&reader, &limits);
    struct span bytes = content == NS_SERVER ? SPAN(HEADER("jabber:server")) : SPAN(HEADER("jabber:client"));
    xml_reader_next(&reader, shard->scratch, &bytes, &stanza);
    for (struct chunk *chunk = out->head; chunk; chunk = chunk->next) {
        bytes = span_of(chunk->bytes + chunk->start, chunk->end - chunk->start);
        while ((event = xml_reader_next(&reader, shard->scratch, &bytes, &stanza)) <= XML_STANZA && event != XML_MORE)
            if (event == XML_STANZA && stanza_kind_of(&stanza, content) != STANZA_NONE)
                each(context, &stanza);
        if (event != XML_MORE)
            break;
    }
    xml_reader_fini(&reader);
}

void unsent_return(struct shard *shard, const struct chain *out, enum xml_ns content, enum counter counted,
                   enum stanza_error error)
{
    struct fate fate = {.shard = shard, .content = content, .counted = counted, .error = error};
    unsent_walk(shard, out, content, take_back, &fate);
}
