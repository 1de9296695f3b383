/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Reader: the incremental tokenizer of one XML stream.
 *
 * Bytes go in as they come; out come the stream header, whole top-level elements with their tape, the closing tag, or
 * one refusal with its exact reason. A top-level element that lies whole in the fed bytes is reported where it lies;
 * one that is cut is assembled by the reader, and no byte is scanned twice at any chunking.
 *
 * Accepts what a conforming namespace-aware XML 1.0 (5th edition) parser accepts, less what RFC 6120 s11.1 forbids.
 * A reader is strict about form only: which namespace, element or attribute may stand where is the stream's business.
 *
 * What breaks Namespaces 1.0 alone still has tags that match by their names as written (XML s3), so its end is certain:
 * a reader whose limits say so reads on to it (RFC 6120 s11.3, rule 4). A fault in the stream header, or one that
 * leaves the namespace of the top-level element itself unknown, refuses the stream all the same.
 *
 * Thread:  the shard's. The scratch is shared by all readers of a shard and holds nothing between two calls.
 * Memory:  at rest (between top-level elements) a reader holds only this struct, plus one small block if the stream
 *          header declared other prefixes than one for the stream namespace; a cut element costs its bytes and tape.
 * Bounds:  struct xml_limits, each checked before memory is spent; no recursion; references do not expand.
 */
#include "core/xml/tape.h"

struct xml_limits {
    uint32_t stanza_size_max; /* bytes of one top-level element; also of the stream header */
    uint32_t element_max;     /* elements in one top-level element */
    uint16_t depth_max;       /* nesting inside a top-level element; the element itself is 1 */
    uint16_t attribute_max;   /* per element, declarations included */
    uint16_t name_size_max;   /* bytes of a qualified name */
    uint16_t namespace_max;   /* declarations in scope, those of the stream header included; at most 32 there */
    bool spares_misnamed;     /* what breaks only Namespaces 1.0 inside a top-level element is told as XML_MISNAMED */
};

/* Wide limits for tests and tools; the router's come from its configuration. */
extern const struct xml_limits xml_limits_default;

enum xml_event {
    XML_MORE,    /* all bytes taken; feed more */
    XML_HEADER,  /* the stream's start tag: a stanza of one element whose tail and end are its body */
    XML_STANZA,  /* a whole top-level element */
    XML_FOOTER,  /* the stream's end tag; nothing may follow */
    XML_REFUSED, /* the stream cannot go on; see reader->error. Sticky. */
    XML_MISNAMED /* a whole top-level element that is not namespace-well-formed, if the limits spare those: never to be
                    passed on. The name and namespace of its first element are certain; below it a namespace may be
                    NS_NONE where it could not be told. */
};

enum xml_error {
    XML_OK,
    XML_NOT_WELL_FORMED, /* XML 1.0: <not-well-formed/> */
    XML_NAMESPACE,       /* Namespaces 1.0: unbound prefix, duplicate expanded name, reserved names: <not-well-formed/>;
                            see also spares_misnamed */
    XML_RESTRICTED,      /* comment, PI, DTD, undefined entity (RFC 6120 s11.1): <restricted-xml/> */
    XML_ENCODING,        /* not UTF-8, other declared encoding, BOM UTF-16 (s11.6): <unsupported-encoding/> */
    XML_VERSION,         /* XML declaration with a version other than 1.x: <not-well-formed/> */
    XML_STRAY_TEXT,      /* character data other than white space between top-level elements: <bad-format/> */
    XML_LIMIT_SIZE,      /* <policy-violation/>, all below */
    XML_LIMIT_DEPTH,
    XML_LIMIT_ATTRIBUTES,
    XML_LIMIT_ELEMENTS,
    XML_LIMIT_NAME,
    XML_LIMIT_NAMESPACES,
    XML_MEMORY, /* the allocator refused: <resource-constraint/> */
    XML_ERROR_COUNT
};

const char *xml_error_text(enum xml_error error);

struct xml_scratch;
/* Sized for the limits given; NULL when memory is refused. */
struct xml_scratch *xml_scratch_new(const struct xml_limits *limits);
void xml_scratch_free(struct xml_scratch *scratch);

struct xml_reader {
    const struct xml_limits *limits; /* may be exchanged between two top-level elements; not above the scratch's */
    struct xml_partial *partial;     /* the cut element; NULL at rest */
    struct xml_header_names *header; /* what the stream header bound; NULL before it */
    uint64_t offset;                 /* bytes taken since xml_reader_init or restart: where an error is */
    uint8_t state;                   /* private */
    uint8_t error;                   /* enum xml_error */
};

void xml_reader_init(struct xml_reader *reader, const struct xml_limits *limits);
void xml_reader_fini(struct xml_reader *reader);
/* A new stream on the same connection (after TLS, after SASL): everything is forgotten. */
void xml_reader_restart(struct xml_reader *reader);

/*
 * Takes bytes from the front of *in and says what came next; call again while it is not XML_MORE. White space between
 * top-level elements is taken silently. *out is set for XML_HEADER, XML_STANZA and XML_MISNAMED.
 */
enum xml_event xml_reader_next(struct xml_reader *reader, struct xml_scratch *scratch, struct span *in,
                               struct xml_stanza *out);

/* Bytes held by the reader beside its struct. */
size_t xml_reader_memory(const struct xml_reader *reader);
/* Declaration i of the stream header (prefix, empty for the default one; URI), i below xml_reader_prefixes(). */
unsigned xml_reader_prefixes(const struct xml_reader *reader);
void xml_reader_prefix(const struct xml_reader *reader, unsigned i, struct span *prefix, struct span *uri);
/* Chosen once at first use: "avx2" or "generic"; tests force one by name. */
const char *xml_scan_name(void);
bool xml_scan_force(const char *name);
