/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Writer: the only place that produces XML. Appends to a chain; escapes by position; keeps tags balanced.
 *
 * Names and namespace URIs of the router's own elements are literals of ours, checked by tests; everything that came
 * from a peer goes through xml_write_attribute or xml_write_text (escaped), or is forwarded (bytes of a stanza the
 * reader accepted).
 *
 *   struct xml_writer w = xml_writer_on(chain, pool);
 *   xml_open(&w, "iq");  xml_write_attribute(&w, "type", SPAN("result"));  xml_write_attribute(&w, "id", id);
 *   xml_open(&w, "ping"); xml_namespace(&w, "urn:xmpp:ping"); xml_close(&w);
 *   xml_close(&w);
 *
 * Bounds:  XML_WRITER_DEPTH open elements.
 * Fails:   never at run time; misuse (attribute after content, close without open) is a failed SL_CHECK.
 * Text:    bytes must be valid UTF-8 and XML Char; others (possible only by a bug of the caller) are written as
 *          U+FFFD, so the output is well-formed whatever comes in.
 */
#include "core/base/chain.h"
#include "core/xml/tape.h"

#define XML_WRITER_DEPTH 16

struct xml_writer {
    struct chain *chain;
    struct chunk_pool *pool;
    const char *open[XML_WRITER_DEPTH];
    unsigned depth;
    bool in_tag; /* the last start tag still wants its '>' */
};

static inline struct xml_writer xml_writer_on(struct chain *chain, struct chunk_pool *pool)
{
    return (struct xml_writer){.chain = chain, .pool = pool};
}

void xml_open(struct xml_writer *w, const char *name);
void xml_namespace(struct xml_writer *w, const char *uri);
void xml_write_attribute(struct xml_writer *w, const char *name, struct span value);
/* printf into an attribute of at most 255 bytes; for numbers and our own words. */
void xml_write_attribute_f(struct xml_writer *w, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void xml_write_text(struct xml_writer *w, struct span text);
void xml_close(struct xml_writer *w);
/* <name xmlns='uri'/> in one call. */
void xml_empty(struct xml_writer *w, const char *name, const char *uri);
/* <text xmlns='uri' xml:lang='en'>text</text>: what a person may read of an error (RFC 6120 s4.9.2, s8.3.2). */
void xml_text_in_english(struct xml_writer *w, const char *uri, const char *text);
/* Leaves the start tag open for good (a stream header): writes its '>' and forgets the element. */
void xml_leave_open(struct xml_writer *w);

/* What changes when an accepted stanza is sent on: the start tag is written anew, the rest goes verbatim. */
struct xml_forward {
    struct span from;         /* the stamp; ptr NULL: leave as it is */
    struct span to;           /* ptr NULL: leave as it is */
    struct span lang;         /* added if ptr is set and the stanza has no xml:lang (RFC 6120 s8.1.5) */
    enum xml_ns content_from; /* declarations of this namespace inside the stanza become ... */
    enum xml_ns content_to;   /* ... this one; NS_NONE in both: no swap */
};

struct xml_reader;
/* The swap would make two attributes of one expanded name out of two names (xmlns:a='jabber:client'
 * xmlns:b='jabber:server' a:k='' b:k=''): such a stanza must not be forwarded with it. */
bool xml_swap_collides(const struct xml_stanza *stanza, enum xml_ns content_from, enum xml_ns content_to);
/*
 * Appends the stanza as it must look on another stream of ours (default namespace content_to or the same, prefix
 * "stream" bound to the stream namespace): start tag with the changes above, declarations added for prefixes that were
 * bound on the sender's stream header, then every other byte verbatim. Where CDATA makes verbatim impossible the text
 * is written again, escaped. Parsed by any conforming parser the result is the tree that was accepted, with the
 * changes.
 */
void xml_forward(struct chain *chain, struct chunk_pool *pool, const struct xml_stanza *stanza,
                 const struct xml_reader *reader, const struct xml_forward *forward);
