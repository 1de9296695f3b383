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

/* Not those of today, which a reload may have lowered since: what is ours was judged when it came. More than any
 * configuration allows (config_keys.def), for a stanza that was just small enough has grown by its stamp, a language,
 * and what its sender's header had declared. */
static const struct xml_limits ours = {
    .stanza_size_max = 64u << 20,
    .element_max = 1u << 21,
    .depth_max = 2000,
    .attribute_max = 2000,
    .name_size_max = 8192,
    .namespace_max = 2000,
};

void unsent_walk(struct shard *shard, const struct chain *out, enum xml_ns content, unsent_fn each, void *context)
{
    struct xml_reader reader;
    struct xml_stanza stanza;
    enum xml_event event;
    xml_reader_init(&reader, &ours);
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
