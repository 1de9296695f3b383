/* SPDX-License-Identifier: MIT */
#include "router/stream/unsent.h"

#include "router/route/deliver.h"
#include "router/route/shard.h"

static const char header[] =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

static void take_back(struct shard *shard, const struct xml_stanza *stanza)
{
    struct stanza_head head;
    enum stanza_kind kind = stanza_kind_of(stanza, NS_CLIENT);
    if (kind == STANZA_NONE)
        return; /* our own stream error */
    counter_sub(shard->counters, COUNTER_DELIVERED, 1);
    shard_count(shard, COUNTER_RETURNED, 1);
    enum stanza_fault fault = stanza_head_read(stanza, kind, &head);
    struct letter letter = {.kind = kind, .type = head.type, .id = head.id};
    if (fault == STANZA_FINE && head.has_to && head.has_from) {
        letter.to = head.to;
        letter.from = head.from;
    }
    /* Not <recipient-unavailable/>: that would tell a stranger that there was a session (RFC 6120 s8.3.3.13). */
    deliver_bounce(shard, &letter, ERROR_SERVICE_UNAVAILABLE);
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

void unsent_return(struct shard *shard, const struct chain *out)
{
    struct xml_reader reader;
    struct xml_stanza stanza;
    struct xml_limits limits = wide_limits(shard);
    struct span bytes = chain_front(out);
    enum xml_event event;
    xml_reader_init(&reader, &limits);
    /* A client that did not wait for <success/> to bind may have taken nothing since: then our own header is there. */
    bool has_header = bytes.size > 5 && memcmp(bytes.ptr, "<?xml", 5) == 0;
    bytes = SPAN(header);
    if (!has_header)
        xml_reader_next(&reader, shard->scratch, &bytes, &stanza);
    for (struct chunk *chunk = out->head; chunk; chunk = chunk->next) {
        bytes = span_of(chunk->bytes + chunk->start, chunk->end - chunk->start);
        while ((event = xml_reader_next(&reader, shard->scratch, &bytes, &stanza)) <= XML_STANZA && event != XML_MORE)
            if (event == XML_STANZA)
                take_back(shard, &stanza);
        if (event != XML_MORE)
            break;
    }
    xml_reader_fini(&reader);
}
