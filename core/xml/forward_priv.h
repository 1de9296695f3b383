/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Forward, for unprefix.c: the pieces of an accepted stanza on their way out.
 */
#include "core/xml/writer.h"

struct xml_header_names;

struct forward_job {
    struct chain *chain;
    struct chunk_pool *pool;
    const struct xml_stanza *stanza;
    const struct xml_forward *forward;
    const struct xml_header_names *header;
};

void forward_put(struct forward_job *job, struct span bytes);
void forward_put_attribute(struct forward_job *job, struct span name, struct span value);
/* Bytes of the stanza, verbatim but for CDATA sections. */
void forward_put_range(struct forward_job *job, uint32_t from, uint32_t to);
/* An element's attributes as they are; with_default: a declaration of the default namespace too. */
void forward_put_attributes(struct forward_job *job, uint32_t element, bool with_default);
/* The stanza's own attributes with what forward changes, and the prefixes of the stream header that it uses. */
void forward_put_head(struct forward_job *job, bool with_default);
/* A namespace name as the other stream must see it. */
struct span forward_uri(const struct forward_job *job, struct span uri);

/* unprefix.c: RFC 6120 s4.8.5 forbids to deliver elements of the content namespace under a prefix. The stanza is
 * written again with no prefix on any element: each declares its namespace where it is another than its parent's. */
void unprefix_stanza(struct forward_job *job);
