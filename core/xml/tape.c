/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "core/xml/scan_priv.h"

struct span xml_outer(const struct xml_stanza *s, uint32_t element)
{
    const struct xml_element *e = &s->elements[element];
    return span_of(s->bytes + e->start, e->end - e->start);
}

struct span xml_inner(const struct xml_stanza *s, uint32_t element)
{
    const struct xml_element *e = &s->elements[element];
    return span_of(s->bytes + e->body, e->tail - e->body);
}

struct span xml_element_ns(const struct xml_stanza *s, uint32_t element)
{
    uint16_t ns = s->elements[element].ns;
    return ns < NS_DYNAMIC ? xml_ns_uri((enum xml_ns)ns) : s->namespaces[ns - NS_DYNAMIC];
}

uint32_t xml_child(const struct xml_stanza *s, uint32_t element)
{
    return element + 1 < s->elements[element].next ? element + 1 : XML_NOWHERE;
}

uint32_t xml_sibling(const struct xml_stanza *s, uint32_t element)
{
    uint32_t next = s->elements[element].next;
    bool is_there = next < s->element_count && s->elements[next].depth == s->elements[element].depth;
    return is_there ? next : XML_NOWHERE;
}

uint32_t xml_child_named(const struct xml_stanza *s, uint32_t element, enum xml_ns ns, const char *name)
{
    for (uint32_t i = xml_child(s, element); i != XML_NOWHERE; i = xml_sibling(s, i)) {
        if (xml_is(s, i, ns, name))
            return i;
    }
    return XML_NOWHERE;
}

const struct xml_attribute *xml_attribute(const struct xml_stanza *s, uint32_t element, enum xml_ns ns,
                                          const char *name)
{
    const struct xml_element *e = &s->elements[element];
    struct span wanted = span_str(name);
    for (uint32_t i = e->attribute; i < e->attribute + e->attributes; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        uint32_t skip = a->prefix_size ? a->prefix_size + 1u : 0;
        if (a->ns == ns && span_equal(span_of(s->bytes + a->name + skip, a->name_size - skip), wanted))
            return a;
    }
    return NULL;
}

struct span xml_raw_value(const struct xml_stanza *s, const struct xml_attribute *attribute)
{
    return span_of(s->bytes + attribute->value, attribute->value_size);
}

struct span xml_value(const struct xml_stanza *s, const struct xml_attribute *attribute, char *out, size_t out_size)
{
    struct span raw = xml_raw_value(s, attribute);
    if ((attribute->flags & (XML_ATTR_REFERENCE | XML_ATTR_SPACE)) == 0)
        return raw;
    if (out_size < raw.size)
        return SPAN_NONE;
    return span_of(out, xml_decode_value(raw, out));
}

/* --- text -----------------------------------------------------------------------------------------------------------
 */

static bool is_verbatim(struct span text)
{
    return !memchr(text.ptr, '&', text.size) && !memchr(text.ptr, '<', text.size) && !memchr(text.ptr, '\r', text.size);
}

struct span xml_text(const struct xml_stanza *s, uint32_t element, char *out, size_t out_size)
{
    const struct xml_element *e = &s->elements[element];
    struct span inner = xml_inner(s, element);
    if (inner.size == 0)
        return inner;
    if (xml_child(s, element) == XML_NOWHERE && is_verbatim(inner))
        return inner;
    if (out_size < inner.size)
        return SPAN_NONE;
    char *end = out;
    uint32_t at = e->body;
    for (uint32_t i = xml_child(s, element); i != XML_NOWHERE; i = xml_sibling(s, i)) {
        end = xml_decode_content(span_of(s->bytes + at, s->elements[i].start - at), end);
        at = s->elements[i].end;
    }
    end = xml_decode_content(span_of(s->bytes + at, e->tail - at), end);
    return span_of(out, (size_t)(end - out));
}
