/* SPDX-License-Identifier: MIT */
#include "router/s2s/unacked.h"

#include "core/base/clock.h"
#include "router/route/shard.h"
#include "router/s2s/ack_priv.h"
#include "router/s2s/s2s.h"
#include "router/stream/unsent.h"

struct collection {
    struct s2s *s2s;
    struct span domain; /* ours */
    struct chain *stanzas;
    uint32_t number; /* of the stanza before, as counted on the wire */
    uint32_t count;
    unsigned mark;
};

/* XEP-0203 s4: by us, when we first sent it. Once: it may break again. */
static bool is_stamped(const struct xml_stanza *stanza, struct span domain)
{
    char room[JID_PART_MAX];
    for (uint32_t child = xml_child(stanza, 0); child != XML_NOWHERE; child = xml_sibling(stanza, child)) {
        const struct xml_attribute *from = xml_attribute(stanza, child, NS_NONE, "from");
        if (xml_is(stanza, child, NS_DELAY, "delay") && from &&
            span_equal(xml_value(stanza, from, room, sizeof room), domain))
            return true;
    }
    return false;
}

static void write_stamp(struct chain *chain, struct chunk_pool *pool, struct span domain, uint64_t wall_ms)
{
    char date[CLOCK_TEXT_SIZE];
    clock_text((int64_t)(wall_ms / 1000), date);
    struct xml_writer w = xml_writer_on(chain, pool);
    xml_open(&w, "delay");
    xml_namespace(&w, "urn:xmpp:delay");
    xml_write_attribute(&w, "from", domain);
    xml_write_attribute_f(&w, "stamp", "%.*s.%03uZ", (int)strcspn(date, "Z"), date, (unsigned)(wall_ms % 1000));
    xml_close(&w);
}

/* The stamp comes last, before the end tag; one that has none gets one. */
static void copy_stamped(const struct collection *all, const struct xml_stanza *stanza)
{
    struct chunk_pool *pool = all->s2s->stream.shard->pool;
    const struct xml_element *root = &stanza->elements[0];
    uint64_t wall_ms = all->s2s->ack->marks[all->mark].wall_ms;
    struct span whole = span_of(stanza->bytes, stanza->size);
    bool is_empty = root->tail == root->end;
    chain_append(all->stanzas, pool, span_of(whole.ptr, is_empty ? root->end - 2 : root->tail));
    if (is_empty)
        chain_append(all->stanzas, pool, SPAN(">"));
    write_stamp(all->stanzas, pool, all->domain, wall_ms);
    if (!is_empty) {
        chain_append(all->stanzas, pool, span_skip(whole, root->tail));
        return;
    }
    chain_append(all->stanzas, pool, SPAN("</"));
    chain_append(all->stanzas, pool, span_of(whole.ptr + 1, root->name_size));
    chain_append(all->stanzas, pool, SPAN(">"));
}

static void collect_one(void *context, const struct xml_stanza *stanza)
{
    struct collection *all = context;
    const struct ack *ack = all->s2s->ack;
    struct shard *shard = all->s2s->stream.shard;
    all->number++;
    while (all->mark + 1u < ack->mark_count && all->number - ack->marks[all->mark].count - 1 < UINT32_C(1) << 31)
        all->mark++;
    if (ack->acked - all->number < UINT32_C(1) << 31)
        return; /* it is in a mark with some that are not acknowledged */
    all->count++;
    /* The limits of a stanza are ours: one that has as many elements as it may is not given another. */
    bool may_stamp = stanza_kind_of(stanza, NS_SERVER) == STANZA_MESSAGE &&
                     stanza->element_count < shard->limits.element_max && !is_stamped(stanza, all->domain);
    if (may_stamp)
        copy_stamped(all, stanza);
    else
        chain_append(all->stanzas, shard->pool, span_of(stanza->bytes, stanza->size));
}

uint32_t unacked_collect(struct s2s *s2s, struct span domain, struct chain *stanzas)
{
    struct ack *ack = s2s->ack;
    if (!ack || ack->sent == ack->acked)
        return 0;
    struct collection all = {.s2s = s2s, .domain = domain, .stanzas = stanzas, .number = ack->released};
    unsent_walk(s2s->stream.shard, &ack->kept, NS_SERVER, collect_one, &all);
    shard_count(s2s->stream.shard, COUNTER_S2S_RESENT, all.count);
    ack->acked = ack->sent;
    ack_let_go(s2s);
    return all.count;
}
