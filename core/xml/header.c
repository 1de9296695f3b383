/* SPDX-License-Identifier: MIT */
/*
 * Header: what a stream header leaves behind for the life of the stream (its bindings and its name), and the XML
 * declaration before it.
 */
#include "core/xml/chars_priv.h"
#include "core/xml/scan_priv.h"

#include <stdlib.h>
#include <strings.h>

/* The usual headers cost an idle stream nothing: all of them share these. */
static const struct xml_header_binding client_bindings[] = {
    {{"", 0}, {"jabber:client", 13}, NS_CLIENT},
    {{"stream", 6}, {"http://etherx.jabber.org/streams", 32}, NS_STREAM},
};
static const struct xml_header_binding server_bindings[] = {
    {{"", 0}, {"jabber:server", 13}, NS_SERVER},
    {{"stream", 6}, {"http://etherx.jabber.org/streams", 32}, NS_STREAM},
};
static struct xml_header_names client_names = {{"stream:stream", 13}, 0, NS_CLIENT, 2, client_bindings};
static struct xml_header_names server_names = {{"stream:stream", 13}, 0, NS_SERVER, 2, server_bindings};

static struct xml_header_names *usual_header(const struct xml_scan *t, struct span name)
{
    if (t->binding_count != 2 || !span_is(name, "stream:stream"))
        return NULL;
    if (t->default_ns != NS_CLIENT && t->default_ns != NS_SERVER)
        return NULL;
    for (unsigned i = 0; i < 2; i++) {
        const struct xml_binding *b = &t->arrays.bindings[i];
        if (b->prefix_size == 0)
            continue;
        if (b->ns != NS_STREAM || !span_equal(span_of(t->bytes + b->prefix, b->prefix_size), SPAN("stream")))
            return NULL;
    }
    return t->default_ns == NS_CLIENT ? &client_names : &server_names;
}

static char *put(char **room, struct span bytes)
{
    char *at = *room;
    if (bytes.size)
        memcpy(at, bytes.ptr, bytes.size);
    *room += bytes.size;
    return at;
}

static struct span binding_uri(const struct xml_stanza *stanza, uint16_t ns)
{
    return ns < NS_DYNAMIC ? xml_ns_uri((enum xml_ns)ns) : stanza->namespaces[ns - NS_DYNAMIC];
}

struct xml_header_names *xml_header_new(const struct xml_scan *t, const struct xml_stanza *stanza)
{
    struct span name = span_of(stanza->bytes + 1, stanza->elements[0].name_size);
    struct xml_header_names *usual = usual_header(t, name);
    if (usual)
        return usual;
    size_t bindings_size = t->binding_count * sizeof(struct xml_header_binding);
    size_t size = sizeof(struct xml_header_names) + bindings_size + name.size;
    for (uint32_t i = 0; i < t->binding_count; i++)
        size += t->arrays.bindings[i].prefix_size + binding_uri(stanza, t->arrays.bindings[i].ns).size;
    struct xml_header_names *header = malloc(size);
    if (!header)
        return NULL;
    struct xml_header_binding *bindings = (struct xml_header_binding *)(header + 1);
    char *room = (char *)bindings + bindings_size;
    *header = (struct xml_header_names){.memory = (uint32_t)size, .count = t->binding_count, .bindings = bindings};
    header->name = span_of(put(&room, name), name.size);
    uint32_t count = 0;
    /* The default namespace first, then the prefixes in the order of their declarations. */
    for (uint32_t i = 0; i < 2u * t->binding_count; i++) {
        const struct xml_binding *b = &t->arrays.bindings[i % t->binding_count];
        bool is_turn = (b->prefix_size == 0) == (i < t->binding_count);
        if (!is_turn)
            continue;
        struct span uri = binding_uri(stanza, b->ns);
        struct xml_header_binding *to = &bindings[count++];
        to->ns = b->ns < NS_DYNAMIC ? b->ns : (uint16_t)NS_DYNAMIC;
        to->prefix = span_of(put(&room, span_of(t->bytes + b->prefix, b->prefix_size)), b->prefix_size);
        to->uri = span_of(put(&room, uri), uri.size);
        if (b->prefix_size == 0)
            header->default_ns = to->ns;
    }
    return header;
}

void xml_header_free(struct xml_header_names *header)
{
    if (header && header->memory)
        free(header);
}

/* --- the XML declaration (XML s2.8, s2.9, s4.3.3; RFC 6120 s11.5, s11.6, s11.8) -------------------------------------
 */

/* Takes ` name = 'value'` from the front; false: it is not there or not well-formed. */
static bool take_pseudo(struct span *in, const char *name, struct span *value)
{
    const char *p = in->ptr;
    const char *end = p + in->size;
    size_t name_size = strlen(name);
    if (p == end || !xml_is_space(*p))
        return false;
    while (p < end && xml_is_space(*p))
        p++;
    if ((size_t)(end - p) < name_size || memcmp(p, name, name_size) != 0)
        return false;
    p += name_size;
    while (p < end && xml_is_space(*p))
        p++;
    if (p == end || *p++ != '=')
        return false;
    while (p < end && xml_is_space(*p))
        p++;
    if (p == end || (*p != '\'' && *p != '"'))
        return false;
    char quote = *p++;
    const char *close = memchr(p, quote, (size_t)(end - p));
    if (!close)
        return false;
    *value = span_of(p, (size_t)(close - p));
    *in = span_of(close + 1, (size_t)(end - close - 1));
    return true;
}

/* EncName ::= [A-Za-z] ([A-Za-z0-9._] | '-')* */
static bool is_encoding_name(struct span name)
{
    for (size_t i = 0; i < name.size; i++) {
        char c = name.ptr[i];
        bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool is_other = (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
        if (!is_letter && (i == 0 || !is_other))
            return false;
    }
    return name.size > 0;
}

enum xml_error xml_header_declaration(struct span bytes)
{
    /* "<?xml" and white space are known to be there, and '>' at the end. */
    if (bytes.size < 8 || bytes.ptr[bytes.size - 2] != '?')
        return XML_NOT_WELL_FORMED;
    struct span in = span_of(bytes.ptr + 5, bytes.size - 7);
    struct span value = SPAN_NONE;
    if (!take_pseudo(&in, "version", &value))
        return XML_NOT_WELL_FORMED;
    if (!span_is(value, "1.0"))
        return XML_VERSION;
    if (take_pseudo(&in, "encoding", &value)) {
        if (!is_encoding_name(value))
            return XML_NOT_WELL_FORMED;
        if (value.size != 5 || strncasecmp(value.ptr, "UTF-8", 5) != 0)
            return XML_ENCODING;
    }
    bool is_alone = take_pseudo(&in, "standalone", &value);
    if (is_alone && !span_is(value, "yes") && !span_is(value, "no"))
        return XML_NOT_WELL_FORMED;
    for (size_t i = 0; i < in.size; i++) {
        if (!xml_is_space(in.ptr[i]))
            return XML_NOT_WELL_FORMED;
    }
    /* It announces external markup declarations, which a stream cannot have (RFC 6120 s11.5). */
    return is_alone && span_is(value, "no") ? XML_RESTRICTED : XML_OK;
}
