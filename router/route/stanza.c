/* SPDX-License-Identifier: MIT */
#include "router/route/stanza.h"

static const struct span kind_names[] = {{"message", 7}, {"presence", 8}, {"iq", 2}, {"", 0}};

const char *stanza_kind_name(enum stanza_kind kind)
{
    return kind_names[kind].ptr;
}

enum stanza_kind stanza_kind_of(const struct xml_stanza *stanza, enum xml_ns content)
{
    if (stanza->elements[0].ns != (uint16_t)content)
        return STANZA_NONE;
    struct span name = xml_name(stanza, 0);
    for (int kind = STANZA_MESSAGE; kind <= STANZA_IQ; kind++)
        if (span_equal(name, kind_names[kind]))
            return (enum stanza_kind)kind;
    return STANZA_NONE;
}

struct type_row {
    const char *name;
    enum stanza_type type;
};

static const struct type_row message_types[] = {
    {"chat", TYPE_CHAT},         {"normal", TYPE_NORMAL}, {"groupchat", TYPE_GROUPCHAT},
    {"headline", TYPE_HEADLINE}, {"error", TYPE_ERROR},   {NULL, TYPE_NORMAL},
};
static const struct type_row presence_types[] = {
    {"unavailable", TYPE_UNAVAILABLE},
    {"probe", TYPE_PROBE},
    {"subscribe", TYPE_SUBSCRIPTION},
    {"subscribed", TYPE_SUBSCRIPTION},
    {"unsubscribe", TYPE_SUBSCRIPTION},
    {"unsubscribed", TYPE_SUBSCRIPTION},
    {"error", TYPE_ERROR},
    {NULL, TYPE_AVAILABLE},
};
static const struct type_row iq_types[] = {
    {"get", TYPE_GET}, {"set", TYPE_SET}, {"result", TYPE_RESULT}, {"error", TYPE_ERROR}, {NULL, TYPE_GET},
};
static const struct type_row *const types_of[] = {message_types, presence_types, iq_types};

/* What a head is read from; NULL where the stanza has none. */
struct head_attributes {
    const struct xml_attribute *from, *id, *lang, *to, *type;
};

/* One walk for all five: a lookup for each was a tenth of what a short message costs outside of the kernel. */
static struct head_attributes attributes_find(const struct xml_stanza *stanza)
{
    struct head_attributes found = {0};
    for (uint32_t i = 0; i < stanza->elements[0].attributes; i++) {
        const struct xml_attribute *attribute = &stanza->attributes[i];
        struct span name = span_of(stanza->bytes + attribute->name, attribute->name_size);
        if (attribute->ns == NS_NONE && span_equal(name, SPAN("to")))
            found.to = attribute;
        else if (attribute->ns == NS_NONE && span_equal(name, SPAN("id")))
            found.id = attribute;
        else if (attribute->ns == NS_NONE && span_equal(name, SPAN("type")))
            found.type = attribute;
        else if (attribute->ns == NS_NONE && span_equal(name, SPAN("from")))
            found.from = attribute;
        else if (attribute->ns == NS_XML && span_equal(name, SPAN("xml:lang")))
            found.lang = attribute;
    }
    return found;
}

/* *known is false when the attribute is there and names no type of this kind. */
static enum stanza_type type_read(const struct xml_stanza *stanza, enum stanza_kind kind,
                                  const struct xml_attribute *attribute, bool *known)
{
    const struct type_row *row = types_of[kind];
    *known = true;
    char room[32];
    struct span value = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    for (; row->name; row++)
        if (attribute && span_is(value, row->name))
            return row->type;
    *known = attribute == NULL;
    return row->type;
}

/* An address: absent, or prepared into room. The value is decoded first; decoding never makes it longer, and what does
 * not fit the largest JID's room by far cannot be one. */
static bool address_read(const struct xml_stanza *stanza, const struct xml_attribute *attribute,
                         struct jid_buffer *room, struct jid *out)
{
    if (!attribute)
        return true;
    char decoded[2 * JID_SIZE_MAX];
    struct span value = xml_value(stanza, attribute, decoded, sizeof decoded);
    return value.ptr && jid_prepare(value, room, out) == JID_OK;
}

static uint32_t child_count(const struct xml_stanza *stanza)
{
    uint32_t count = 0;
    for (uint32_t child = xml_child(stanza, 0); child != XML_NOWHERE; child = xml_sibling(stanza, child))
        count++;
    return count;
}

/* RFC 6120 s8.2.3: id is REQUIRED, type is REQUIRED and one of four, get and set contain exactly one child element, a
 * result zero or one. */
static enum stanza_fault iq_fault(const struct xml_stanza *stanza, const struct stanza_head *head,
                                  const struct head_attributes *attributes, bool type_known)
{
    if (!attributes->type || !type_known)
        return STANZA_BAD_TYPE;
    if (!attributes->id)
        return STANZA_NO_ID;
    uint32_t children = child_count(stanza);
    if ((head->type == TYPE_GET || head->type == TYPE_SET) && children != 1)
        return STANZA_BAD_PAYLOAD;
    if (head->type == TYPE_RESULT && children > 1)
        return STANZA_BAD_PAYLOAD;
    return STANZA_FINE;
}

enum stanza_fault stanza_head_read(const struct xml_stanza *stanza, enum stanza_kind kind, struct stanza_head *head)
{
    enum stanza_fault fault = STANZA_FINE;
    struct head_attributes attributes = attributes_find(stanza);
    bool type_known;
    head->kind = kind;
    head->type = type_read(stanza, kind, attributes.type, &type_known);
    head->has_lang = attributes.lang != NULL;
    head->has_from = attributes.from != NULL;
    head->has_to = attributes.to != NULL;
    head->to = head->from = (struct jid){0};
    head->id = SPAN_NONE;
    if (attributes.id) {
        struct span value = xml_value(stanza, attributes.id, head->id_room, sizeof head->id_room);
        if (!value.ptr || value.size > STANZA_ID_MAX)
            fault = STANZA_BAD_ID;
        else
            head->id = value;
    }
    if (!fault && kind == STANZA_IQ)
        fault = iq_fault(stanza, head, &attributes, type_known);
    /* RFC 6121 s4.7.1: presence of an undefined type is answered as a bad request; message falls back to normal
     * (s5.2.2). */
    if (!fault && kind == STANZA_PRESENCE && !type_known)
        fault = STANZA_BAD_TYPE;
    if (!address_read(stanza, attributes.from, &head->from_room, &head->from))
        return STANZA_BAD_FROM;
    if (!address_read(stanza, attributes.to, &head->to_room, &head->to) && !fault)
        fault = STANZA_BAD_TO;
    return fault;
}
