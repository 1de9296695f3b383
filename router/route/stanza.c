/* SPDX-License-Identifier: MIT */
#include "router/route/stanza.h"

static const char *const kind_names[] = {"message", "presence", "iq", ""};

const char *stanza_kind_name(enum stanza_kind kind)
{
    return kind_names[kind];
}

enum stanza_kind stanza_kind_of(const struct xml_stanza *stanza, enum xml_ns content)
{
    if (stanza->elements[0].ns != (uint16_t)content)
        return STANZA_NONE;
    struct span name = xml_name(stanza, 0);
    for (int kind = STANZA_MESSAGE; kind <= STANZA_IQ; kind++)
        if (span_is(name, kind_names[kind]))
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

/* *known is false when the attribute is there and names no type of this kind. */
static enum stanza_type type_read(const struct xml_stanza *stanza, enum stanza_kind kind, bool *present, bool *known)
{
    const struct type_row *row = types_of[kind];
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "type");
    *present = attribute != NULL;
    *known = true;
    char room[32];
    struct span value = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    for (; row->name; row++)
        if (attribute && span_is(value, row->name))
            return row->type;
    *known = attribute == NULL;
    return row->type;
}

/* An address attribute: absent, or prepared into room. The value is decoded first; decoding never makes it longer, and
 * what does not fit the largest JID's room by far cannot be one. */
static bool address_read(const struct xml_stanza *stanza, const char *name, bool *has, struct jid_buffer *room,
                         struct jid *out)
{
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, name);
    *has = attribute != NULL;
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
static enum stanza_fault iq_fault(const struct xml_stanza *stanza, const struct stanza_head *head, bool type_known)
{
    if (!type_known)
        return STANZA_BAD_TYPE;
    if (!xml_attribute(stanza, 0, NS_NONE, "id"))
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
    bool type_present, type_known;
    head->kind = kind;
    head->type = type_read(stanza, kind, &type_present, &type_known);
    head->has_lang = xml_attribute(stanza, 0, NS_XML, "lang") != NULL;
    head->to = head->from = (struct jid){0};
    head->id = SPAN("");
    const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
    if (id) {
        struct span value = xml_value(stanza, id, head->id_room, sizeof head->id_room);
        if (!value.ptr || value.size > STANZA_ID_MAX)
            fault = STANZA_BAD_ID;
        else
            head->id = value;
    }
    if (!fault && kind == STANZA_IQ)
        fault = iq_fault(stanza, head, type_present && type_known);
    /* RFC 6121 s4.7.1: presence of an undefined type is answered as a bad request; message falls back to normal
     * (s5.2.2). */
    if (!fault && kind == STANZA_PRESENCE && !type_known)
        fault = STANZA_BAD_TYPE;
    if (!address_read(stanza, "from", &head->has_from, &head->from_room, &head->from))
        return STANZA_BAD_FROM;
    if (!address_read(stanza, "to", &head->has_to, &head->to_room, &head->to) && !fault)
        fault = STANZA_BAD_TO;
    return fault;
}
