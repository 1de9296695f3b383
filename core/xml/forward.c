/* SPDX-License-Identifier: MIT */
/*
 * Forward: an accepted stanza on another stream. Only what must change is written again; everything else is the bytes
 * that the reader accepted, with their own quotes.
 */
#include "core/base/check.h"
#include "core/xml/escape_priv.h"
#include "core/xml/reader.h"
#include "core/xml/scan_priv.h"
#include "core/xml/writer.h"

struct forward_job {
    struct chain *chain;
    struct chunk_pool *pool;
    const struct xml_stanza *stanza;
    const struct xml_forward *forward;
    const struct xml_header_names *header;
};

static void put(struct forward_job *job, struct span bytes)
{
    chain_append(job->chain, job->pool, bytes);
}

static void put_attribute(struct forward_job *job, struct span name, struct span value)
{
    put(job, SPAN(" "));
    put(job, name);
    put(job, SPAN("='"));
    xml_escape(job->chain, job->pool, XML_IN_ATTRIBUTE, value);
    put(job, SPAN("'"));
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

static struct span swapped_uri(const struct forward_job *job, struct span uri)
{
    if (is_swap(job) && span_equal(uri, xml_ns_uri(job->forward->content_from)))
        return xml_ns_uri(job->forward->content_to);
    return uri;
}

/* --- content --------------------------------------------------------------------------------------------------------
 */

/* Verbatim but for CDATA sections. "<![" can only be the start of one: no value holds '<'. */
static void put_range(struct forward_job *job, uint32_t from, uint32_t to)
{
    struct span rest = span_of(job->stanza->bytes + from, to - from);
    while (job->stanza->flags & XML_HAS_CDATA) {
        const char *start = memmem(rest.ptr, rest.size, "<![CDATA[", 9);
        if (!start)
            break;
        put(job, span_of(rest.ptr, (size_t)(start - rest.ptr)));
        rest = span_skip(rest, (size_t)(start - rest.ptr) + 9);
        const char *end = memmem(rest.ptr, rest.size, "]]>", 3);
        SL_CHECK(end != NULL);
        xml_escape(job->chain, job->pool, XML_IN_CDATA, span_of(rest.ptr, (size_t)(end - rest.ptr)));
        rest = span_skip(rest, (size_t)(end - rest.ptr) + 3);
    }
    put(job, rest);
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
        put_range(job, at, a->value);
        put(job, xml_ns_uri(job->forward->content_to));
        at = a->value + a->value_size;
    }
    put_range(job, at, s->elements[0].end);
}

/* --- the start tag --------------------------------------------------------------------------------------------------
 */

static bool is_replaced(const struct forward_job *job, struct span name)
{
    return (job->forward->from.ptr && span_equal(name, SPAN("from"))) ||
           (job->forward->to.ptr && span_equal(name, SPAN("to")));
}

static void put_old_attributes(struct forward_job *job)
{
    const struct xml_stanza *s = job->stanza;
    for (uint32_t i = 0; i < s->elements[0].attributes; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        struct span name = span_of(s->bytes + a->name, a->name_size);
        if (is_swapped(job, a))
            put_attribute(job, name, xml_ns_uri(job->forward->content_to));
        else if (!is_replaced(job, name)) {
            put(job, SPAN(" "));
            put(job, span_of(s->bytes + a->name, a->value + a->value_size + 1 - a->name));
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
        put(job, SPAN(" xmlns:"));
        put(job, b->prefix);
        put(job, SPAN("='"));
        xml_escape(job->chain, job->pool, XML_IN_ATTRIBUTE, swapped_uri(job, b->uri));
        put(job, SPAN("'"));
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
    put_attribute(job, SPAN("xmlns"), is_declared ? job->header->bindings[0].uri : SPAN(""));
}

void xml_forward(struct chain *chain, struct chunk_pool *pool, const struct xml_stanza *stanza,
                 const struct xml_reader *reader, const struct xml_forward *forward)
{
    SL_CHECK(reader->header != NULL);
    struct forward_job job = {chain, pool, stanza, forward, reader->header};
    const struct xml_element *e = &stanza->elements[0];
    put(&job, span_of(stanza->bytes, 1u + e->name_size));
    if (forward->from.ptr)
        put_attribute(&job, SPAN("from"), forward->from);
    if (forward->to.ptr)
        put_attribute(&job, SPAN("to"), forward->to);
    put_old_attributes(&job);
    if (stanza->flags & XML_USES_STREAM_PREFIX)
        put_stream_prefixes(&job);
    put_default_namespace(&job);
    if (forward->lang.ptr && !xml_attribute(stanza, 0, NS_XML, "lang"))
        put_attribute(&job, SPAN("xml:lang"), forward->lang);
    if (e->body == e->end) {
        put(&job, SPAN("/>"));
        return;
    }
    put(&job, SPAN(">"));
    put_content(&job);
}
