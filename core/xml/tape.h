/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Tape: what the tokenizer knows of one top-level element: its bytes, contiguous and unchanged, and a flat index of its
 * elements (document order) and attributes as offsets into them.
 *
 * A stanza is borrowed: bytes and tape belong to the receive buffer, the shard's scratch or the stream's reader, and
 * are valid until the next call of xml_reader_next() on that reader (or, in place, the end of the receive callback).
 */
#include "core/base/span.h"

#include <stdint.h>

enum xml_ns {
    NS_NONE, /* no namespace: unprefixed attributes; elements where xmlns='' is in force */
#define NAMESPACE(symbol, uri) NS_##symbol,
#include "core/xml/namespaces.def"
#undef NAMESPACE
    NS_KNOWN_COUNT,
    NS_DYNAMIC = 0x100 /* NS_DYNAMIC + i: stanza.namespaces[i]. Equal numbers are equal names; the converse holds for the
                          first eight dynamic names of a stanza only: compare xml_element_ns() when it matters. */
};

/* The URI of a known namespace; an empty span for NS_NONE. */
struct span xml_ns_uri(enum xml_ns ns);

struct xml_element {
    uint32_t start;      /* offset of '<' */
    uint32_t body;       /* offset behind the start tag's '>' */
    uint32_t tail;       /* offset of the end tag's '<'; equal to end for an empty-element tag */
    uint32_t end;        /* offset behind the element's last '>' */
    uint32_t attribute;  /* index of its first attribute */
    uint32_t next;       /* index of the first element behind its subtree */
    uint16_t attributes; /* count, namespace declarations included */
    uint16_t name_size;  /* of the qualified name at start + 1 */
    uint16_t prefix_size;
    uint16_t depth; /* 0: the stanza itself */
    uint16_t ns;    /* enum xml_ns or dynamic */
};

enum xml_attribute_flag {
    XML_ATTR_REFERENCE = 1,   /* the value holds a character or entity reference */
    XML_ATTR_DECLARATION = 2, /* xmlns or xmlns:prefix */
    XML_ATTR_SPACE = 4,       /* the value holds a tab, CR or LF that a parser turns into a space */
};

struct xml_attribute {
    uint32_t name;  /* offset of the qualified name */
    uint32_t value; /* offset behind the opening quote */
    uint32_t value_size;
    uint16_t name_size;
    uint16_t prefix_size;
    uint16_t ns;
    uint16_t flags;
};

enum xml_stanza_flag {
    XML_HAS_CDATA = 1,       /* some CDATA section: written out again escaped, never verbatim */
    XML_HAS_DECLARATION = 2, /* some namespace declaration inside the stanza */
    XML_USES_STREAM_PREFIX = 4, /* a prefix bound on the stream header, other than xml, is used: see prefixes_used */
    XML_HAS_REFERENCE = 8,   /* some reference in text or an attribute value */
    XML_HAS_MISNAMED = 16,   /* not namespace-well-formed: set in what XML_MISNAMED tells, and nowhere else */
};

struct xml_stanza {
    const char *bytes;
    uint32_t size;
    uint32_t element_count; /* at least 1 */
    uint32_t attribute_count;
    uint32_t flags;
    const struct xml_element *elements;
    const struct xml_attribute *attributes;
    const struct span *namespaces; /* dynamic ones, decoded URIs */
    uint32_t namespace_count;
    uint32_t prefixes_used; /* bit i: header declaration i of the reader (xml_reader_prefix) is used */
};

/* Views. An element is named by its index; 0 is the stanza itself. */
static inline struct span xml_name(const struct xml_stanza *s, uint32_t element)
{
    const struct xml_element *e = &s->elements[element];
    uint32_t skip = e->prefix_size ? e->prefix_size + 1u : 0;
    return span_of(s->bytes + e->start + 1 + skip, e->name_size - skip);
}

static inline bool xml_is(const struct xml_stanza *s, uint32_t element, enum xml_ns ns, const char *name)
{
    return s->elements[element].ns == ns && span_is(xml_name(s, element), name);
}

/* The whole element, and what stands between its tags. */
struct span xml_outer(const struct xml_stanza *s, uint32_t element);
struct span xml_inner(const struct xml_stanza *s, uint32_t element);
/* URI of an element's namespace, known or dynamic. */
struct span xml_element_ns(const struct xml_stanza *s, uint32_t element);

#define XML_NOWHERE UINT32_MAX
/* First child of element; next sibling; XML_NOWHERE behind the last. */
uint32_t xml_child(const struct xml_stanza *s, uint32_t element);
uint32_t xml_sibling(const struct xml_stanza *s, uint32_t element);
/* First child with that expanded name. */
uint32_t xml_child_named(const struct xml_stanza *s, uint32_t element, enum xml_ns ns, const char *name);

/* The attribute without namespace of that name (or xml:name with NS_XML); NULL if absent. */
const struct xml_attribute *xml_attribute(const struct xml_stanza *s, uint32_t element, enum xml_ns ns,
                                          const char *name);
/* Its bytes as they stand between the quotes. */
struct span xml_raw_value(const struct xml_stanza *s, const struct xml_attribute *attribute);
/* Its value: references resolved, white space normalised (XML s3.3.3). Returns the bytes in place when there is nothing
 * to resolve, else decodes into out (at least value_size bytes are needed; the value is never longer than its raw
 * form); an empty span with ptr NULL when out is too small. */
struct span xml_value(const struct xml_stanza *s, const struct xml_attribute *attribute, char *out, size_t out_size);
/* The character data directly inside an element, references resolved, CDATA opened, CR and CRLF as LF, child elements
 * skipped; in place when that is possible. Same rule for out. */
struct span xml_text(const struct xml_stanza *s, uint32_t element, char *out, size_t out_size);
