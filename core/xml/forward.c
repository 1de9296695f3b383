/* SPDX-License-Identifier: MIT */
/*
 * Forward: an accepted stanza on another stream. Only what must change is written again; everything else is the bytes
 * that the reader accepted, with their own quotes.
 */
#include "core/base/check.h"
#include "core/xml/escape_priv.h"
#include "core/xml/forward_priv.h"
#include "core/xml/reader.h"
#include "core/xml/scan_priv.h"
#include "core/xml/writer.h"

void forward_put(struct forward_job *job, struct span bytes)
{
    chain_append(job->chain, job->pool, bytes);
}

void forward_put_attribute(struct forward_job *job, struct span name, struct span value)
{
    char *at = chain_reserve(job->chain, job->pool, name.size + 3);
    at[0] = ' ';
    memcpy(at + 1, name.ptr, name.size);
    memcpy(at + 1 + name.size, "='", 2);
    chain_commit(job->chain, name.size + 3);
    xml_escape(job->chain, job->pool, XML_IN_ATTRIBUTE, value);
    forward_put(job, SPAN("'"));
}

static bool is_swap(const struct forward_job *job)
{
    return job->forward->content_from != NS_NONE && job->forward->content_to != NS_NONE;
}

/* A declaration whose namespace name is the one to be swapped. */
static bool is_swapped(const struct forward_job *job, const struct xml_attribute *a)
{
    if (!is_swap(job) || !(a->flags & XML_ATTR_DECLARATION))
        return false;
    bool is_encoded = (a->flags & (XML_ATTR_REFERENCE | XML_ATTR_SPACE)) != 0;
    struct span from = xml_ns_uri(job->forward->content_from);
    return xml_decode_compare(xml_raw_value(job->stanza, a), is_encoded, from, false) == 0;
}

struct span forward_uri(const struct forward_job *job, struct span uri)
{
    if (is_swap(job) && span_equal(uri, xml_ns_uri(job->forward->content_from)))
        return xml_ns_uri(job->forward->content_to);
    return uri;
}

/* --- content --------------------------------------------------------------------------------------------------------
 */

/* Verbatim but for CDATA sections. "<![" can only be the start of one: no value holds '<'. */
void forward_put_range(struct forward_job *job, uint32_t from, uint32_t to)
{
    struct span rest = span_of(job->stanza->bytes + from, to - from);
    while (job->stanza->flags & XML_HAS_CDATA) {
        const char *start = memmem(rest.ptr, rest.size, "<![CDATA[", 9);
        if (!start)
            break;
        forward_put(job, span_of(rest.ptr, (size_t)(start - rest.ptr)));
        rest = span_skip(rest, (size_t)(start - rest.ptr) + 9);
        const char *end = memmem(rest.ptr, rest.size, "]]>", 3);
        SL_CHECK(end != NULL);
        xml_escape(job->chain, job->pool, XML_IN_CDATA, span_of(rest.ptr, (size_t)(end - rest.ptr)));
        rest = span_skip(rest, (size_t)(end - rest.ptr) + 3);
    }
    forward_put(job, rest);
}

static void put_content(struct forward_job *job)
{
    const struct xml_stanza *s = job->stanza;
    uint32_t at = s->elements[0].body;
    uint32_t i = s->elements[0].attributes;
    bool has_work = is_swap(job) && (s->flags & XML_HAS_DECLARATION);
    for (; has_work && i < s->attribute_count; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        if (!is_swapped(job, a))
            continue;
        forward_put_range(job, at, a->value);
        forward_put(job, xml_ns_uri(job->forward->content_to));
        at = a->value + a->value_size;
    }
    forward_put_range(job, at, s->elements[0].end);
}

/* --- the start tag --------------------------------------------------------------------------------------------------
 */

static bool is_replaced(const struct forward_job *job, struct span name)
{
    return (job->forward->from.ptr && span_equal(name, SPAN("from"))) ||
           (job->forward->to.ptr && span_equal(name, SPAN("to")));
}

void forward_put_attributes(struct forward_job *job, uint32_t element, bool with_default)
{
    const struct xml_stanza *s = job->stanza;
    uint32_t first = s->elements[element].attribute;
    for (uint32_t i = first; i < first + s->elements[element].attributes; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        struct span name = span_of(s->bytes + a->name, a->name_size);
        if (!with_default && span_equal(name, SPAN("xmlns")))
            continue;
        if (is_swapped(job, a))
            forward_put_attribute(job, name, xml_ns_uri(job->forward->content_to));
        else if (element || !is_replaced(job, name)) {
            forward_put(job, SPAN(" "));
            forward_put(job, span_of(s->bytes + a->name, a->value + a->value_size + 1 - a->name));
        }
    }
}

/* Prefixes that only the sender's stream header bound. A use implies that the start tag does not bind it itself. */
static void put_stream_prefixes(struct forward_job *job)
{
    for (uint32_t i = 0; i < job->header->count; i++) {
        const struct xml_header_binding *b = &job->header->bindings[i];
        if (!(job->stanza->prefixes_used >> i & 1))
            continue;
        if (b->ns == NS_STREAM && span_equal(b->prefix, SPAN("stream")))
            continue;
        forward_put(job, SPAN(" xmlns:"));
        forward_put(job, b->prefix);
        forward_put(job, SPAN("='"));
        xml_escape(job->chain, job->pool, XML_IN_ATTRIBUTE, forward_uri(job, b->uri));
        forward_put(job, SPAN("'"));
    }
}

/* The sender's default namespace, when it is not what the other stream's stands for. */
static void put_default_namespace(struct forward_job *job)
{
    uint16_t ns = job->header->default_ns;
    bool is_same = is_swap(job) ? ns == job->forward->content_from : ns == NS_CLIENT || ns == NS_SERVER;
    if (is_same || xml_attribute(job->stanza, 0, NS_XMLNS, "xmlns"))
        return;
    bool is_declared = job->header->count && job->header->bindings[0].prefix.size == 0;
    forward_put_attribute(job, SPAN("xmlns"), is_declared ? job->header->bindings[0].uri : SPAN(""));
}

/* What the stanza's start tag has not: stamps, and what it took from its stream. */
static void put_additions(struct forward_job *job, bool with_default)
{
    const struct xml_forward *forward = job->forward;
    if (forward->from.ptr)
        forward_put_attribute(job, SPAN("from"), forward->from);
    if (forward->to.ptr)
        forward_put_attribute(job, SPAN("to"), forward->to);
    if (job->stanza->flags & XML_USES_STREAM_PREFIX)
        put_stream_prefixes(job);
    if (with_default)
        put_default_namespace(job);
    if (forward->lang.ptr && !xml_attribute(job->stanza, 0, NS_XML, "lang"))
        forward_put_attribute(job, SPAN("xml:lang"), forward->lang);
}

void forward_put_head(struct forward_job *job, bool with_default)
{
    put_additions(job, with_default);
    forward_put_attributes(job, 0, with_default);
}

/* Nothing of what the sender wrote behind the element's name has to change, so all of it is one piece: the usual case,
 * twelve to fifteen pieces otherwise. White space between attributes stays as it is. */
static bool is_verbatim(const struct forward_job *job)
{
    const struct xml_stanza *s = job->stanza;
    if (s->flags & XML_HAS_CDATA)
        return false;
    for (uint32_t i = 0; i < s->elements[0].attributes; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        if (is_replaced(job, span_of(s->bytes + a->name, a->name_size)))
            return false;
    }
    bool may_swap = is_swap(job) && (s->flags & XML_HAS_DECLARATION);
    for (uint32_t i = 0; may_swap && i < s->attribute_count; i++)
        if (is_swapped(job, &s->attributes[i]))
            return false;
    return true;
}

/* An element of a content namespace under a prefix: only a declaration, here or on the stream header, can bring one. */
static bool has_prefixed_content(const struct xml_stanza *s)
{
    if (!(s->flags & (XML_HAS_DECLARATION | XML_USES_STREAM_PREFIX)))
        return false;
    for (uint32_t i = 0; i < s->element_count; i++)
        if (s->elements[i].prefix_size && (s->elements[i].ns == NS_CLIENT || s->elements[i].ns == NS_SERVER))
            return true;
    return false;
}

static struct span local_name(const struct xml_stanza *s, const struct xml_attribute *a)
{
    uint32_t skip = a->prefix_size ? a->prefix_size + 1u : 0;
    return span_of(s->bytes + a->name + skip, a->name_size - skip);
}

static bool has_attribute(const struct xml_stanza *s, const struct xml_element *e, uint16_t ns, struct span name)
{
    for (uint32_t i = e->attribute; i < e->attribute + e->attributes; i++)
        if (s->attributes[i].ns == ns && span_equal(local_name(s, &s->attributes[i]), name))
            return true;
    return false;
}

bool xml_swap_collides(const struct xml_stanza *s, enum xml_ns content_from, enum xml_ns content_to)
{
    /* Only a declaration brings an attribute into a content namespace. */
    if (!(s->flags & (XML_HAS_DECLARATION | XML_USES_STREAM_PREFIX)))
        return false;
    for (uint32_t element = 0; element < s->element_count; element++) {
        const struct xml_element *e = &s->elements[element];
        for (uint32_t i = e->attribute; i < e->attribute + e->attributes; i++)
            if (s->attributes[i].ns == content_from &&
                has_attribute(s, e, (uint16_t)content_to, local_name(s, &s->attributes[i])))
                return true;
    }
    return false;
}

void xml_forward(struct chain *chain, struct chunk_pool *pool, const struct xml_stanza *stanza,
                 const struct xml_reader *reader, const struct xml_forward *forward)
{
    SL_CHECK(reader->header != NULL);
    struct forward_job job = {chain, pool, stanza, forward, reader->header};
    const struct xml_element *e = &stanza->elements[0];
    if (has_prefixed_content(stanza)) {
        unprefix_stanza(&job);
        return;
    }
    forward_put(&job, span_of(stanza->bytes, 1u + e->name_size));
    if (is_verbatim(&job)) {
        put_additions(&job, true);
        forward_put(&job, span_of(stanza->bytes + 1u + e->name_size, e->end - 1u - e->name_size));
        return;
    }
    forward_put_head(&job, true);
    if (e->body == e->end) {
        forward_put(&job, SPAN("/>"));
        return;
    }
    forward_put(&job, SPAN(">"));
    put_content(&job);
}
