/* SPDX-License-Identifier: MIT */
/*
 * Unprefix: the rare stanza whose sender put a prefix on elements of the content namespace. Nothing is verbatim but
 * text and attributes; prefixes stay declared, since attributes may use them.
 */
#include "core/base/check.h"
#include "core/xml/forward_priv.h"
#include "core/xml/scan_priv.h"

#include <stdlib.h>

#define OUTER UINT32_MAX

/* The elements that are open, outermost first, and for each whose namespace is the default one inside it. */
struct trail {
    struct {
        uint32_t element;
        uint32_t named; /* OUTER: what was in force around the stanza */
    } * open;
    uint32_t count;
};

static uint32_t named_around(const struct trail *trail)
{
    return trail->count ? trail->open[trail->count - 1].named : OUTER;
}

/* What an element without prefix and declaration stands for; around the stanza, the content namespace of the other
 * stream, told as this one's. */
static struct span default_around(const struct forward_job *job, const struct trail *trail)
{
    uint32_t named = named_around(trail);
    enum xml_ns outer = (enum xml_ns)job->header->default_ns;
    if (named != OUTER)
        return xml_element_ns(job->stanza, named);
    if (job->forward->content_from != NS_NONE)
        outer = job->forward->content_from;
    else if (outer != NS_SERVER)
        outer = NS_CLIENT;
    return xml_ns_uri(outer);
}

/* The prefix xml cannot be done without: its namespace must not be declared as the default one (Namespaces s3). */
static bool keeps_prefix(const struct forward_job *job, uint32_t element)
{
    return job->stanza->elements[element].ns == NS_XML;
}

static void put_name(struct forward_job *job, uint32_t element)
{
    if (keeps_prefix(job, element))
        forward_put(job, SPAN("xml:"));
    forward_put(job, xml_name(job->stanza, element));
}

static void put_namespace(struct forward_job *job, uint32_t element, const struct trail *trail)
{
    struct span uri = xml_element_ns(job->stanza, element);
    if (!keeps_prefix(job, element) && !span_equal(uri, default_around(job, trail)))
        forward_put_attribute(job, SPAN("xmlns"), forward_uri(job, uri));
}

static void put_end_tags(struct forward_job *job, struct trail *trail, uint32_t before, uint32_t *at)
{
    const struct xml_stanza *s = job->stanza;
    while (trail->count && s->elements[trail->open[trail->count - 1].element].end <= before) {
        uint32_t element = trail->open[--trail->count].element;
        forward_put_range(job, *at, s->elements[element].tail);
        forward_put(job, SPAN("</"));
        put_name(job, element);
        forward_put(job, SPAN(">"));
        *at = s->elements[element].end;
    }
}

static void put_start_tag(struct forward_job *job, struct trail *trail, uint32_t element)
{
    const struct xml_element *e = &job->stanza->elements[element];
    forward_put(job, SPAN("<"));
    put_name(job, element);
    if (element == 0)
        forward_put_head(job, false);
    else
        forward_put_attributes(job, element, false);
    put_namespace(job, element, trail);
    if (e->body == e->end) {
        forward_put(job, SPAN("/>"));
        return;
    }
    forward_put(job, SPAN(">"));
    uint32_t named = keeps_prefix(job, element) ? named_around(trail) : element;
    trail->open[trail->count].element = element;
    trail->open[trail->count++].named = named;
}

void unprefix_stanza(struct forward_job *job)
{
    const struct xml_stanza *s = job->stanza;
    struct trail trail = {NULL, 0};
    size_t size = s->element_count * sizeof *trail.open;
    uint32_t at = 0;
    trail.open = malloc(size);
    if (!trail.open)
        check_memory_refused(size);
    for (uint32_t i = 0; i < s->element_count; i++) {
        put_end_tags(job, &trail, s->elements[i].start, &at);
        forward_put_range(job, at, s->elements[i].start);
        put_start_tag(job, &trail, i);
        at = s->elements[i].body;
    }
    put_end_tags(job, &trail, s->size, &at);
    free(trail.open);
}
