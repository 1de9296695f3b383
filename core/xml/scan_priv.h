/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Scan: the state of one top-level element under way, and the seams between the files of this folder.
 *
 * tokenize_priv.h holds the hot path and is compiled once per scanner (generic, AVX2); careful.c holds every path that
 * ends in a verdict or resumes a cut token, once. A scanner only skips bytes that are surely clean, so the twins
 * cannot disagree about an error.
 */
#include "core/xml/reader.h"

enum xml_verdict {
    VERDICT_MORE,
    VERDICT_STANZA,
    VERDICT_HEADER,
    VERDICT_FOOTER,
    VERDICT_DECLARATION, /* <?xml ...?> was taken */
    VERDICT_REFUSED,
};

/* Where in the grammar the next byte stands. */
enum xml_state {
    STATE_CONTENT,
    STATE_MARKUP,     /* behind '<' */
    STATE_START_NAME, /* in an element's name */
    STATE_AFTER,      /* behind a name or a value: white space, '/' or '>' */
    STATE_SPACED,     /* behind white space in a start tag: also a name */
    STATE_ATTR_NAME,
    STATE_EQUALS,
    STATE_QUOTE,
    STATE_VALUE,
    STATE_EMPTY,      /* behind '/' */
    STATE_CLOSE_NAME, /* behind "</" */
    STATE_CLOSE_END,  /* behind an end tag's name */
    STATE_CDATA,
    STATE_BANG,        /* behind "<!" */
    STATE_PI,          /* behind "<?" */
    STATE_DECLARATION, /* behind "<?xml" and one white space */
    STATE_REF,         /* behind '&' */
    STATE_REF_NAME,
    STATE_REF_NUMBER, /* behind "&#" */
    STATE_REF_DECIMAL,
    STATE_REF_HEX,
};

/* An element that waits for its end tag. */
struct xml_open {
    uint32_t start;
    uint32_t index;
    uint16_t name_size;
    uint16_t ns;
    uint16_t default_ns; /* in force inside it */
    uint16_t bindings;   /* declarations in scope outside it */
};

/* One declaration in scope. prefix_size 0: the default namespace. */
struct xml_binding {
    uint32_t prefix;
    uint16_t prefix_size;
    uint16_t ns;
};

/* A namespace name outside namespaces.def. */
struct xml_dynamic {
    uint32_t offset; /* of the raw value; or the number of the header's declaration */
    uint32_t size;   /* with the two flags below */
};
#define DYNAMIC_HEADER   0x80000000u
#define DYNAMIC_ENCODED  0x40000000u
#define DYNAMIC_SIZE_MAX 0x3fffffffu

/* A namespace name of a stanza is looked for among its first DYNAMIC_SEARCH dynamic ones; later ones get a number
 * each. So a stanza of n declarations costs n times a constant, whatever they are. */
#define DYNAMIC_SEARCH  8u
#define DYNAMIC_MAX     (UINT16_MAX - NS_DYNAMIC)
#define HEADER_MAX      32u
#define STANZA_SIZE_CAP (1u << 28)
#define BLOCK_SIZE      32u
#define WINDOW_SIZE     64u /* as many zeros of ours follow a cut element's bytes */

struct xml_header_binding {
    struct span prefix;
    struct span uri;
    uint16_t ns; /* NS_DYNAMIC: any other */
};

struct xml_header_names {
    struct span name; /* the qualified name, for the end tag */
    uint32_t memory;  /* of this block; 0: shared and static */
    uint16_t default_ns;
    uint16_t count;
    const struct xml_header_binding *bindings; /* the default namespace, if declared, first */
};

struct xml_arrays {
    struct xml_element *elements;
    struct xml_attribute *attributes;
    struct xml_open *open;
    struct xml_binding *bindings;
    struct xml_dynamic *dynamics;
    uint32_t element_room, attribute_room, open_room, binding_room, dynamic_room;
};

/* The compact tape of a cut element: see trail.c. */
struct xml_trail {
    uint8_t *bytes;
    uint32_t size, room;
    uint32_t at;    /* offset behind the last markup that was noted */
    bool just_open; /* the last byte opened an element in short form and nothing followed */
};

enum xml_tag_flag {
    TAG_DECLARES = 1, /* has a namespace declaration */
    TAG_PREFIXED = 2, /* has a prefixed attribute that is none */
    TAG_SUSPECT = 4,  /* two attribute names fell on the same bit of tag_seen */
};

struct xml_scan {
    struct xml_arrays arrays; /* owned; everything below is copied when an element is cut */
    const char *bytes;        /* of the element's '<' */
    const struct xml_limits *limits;
    const struct xml_header_names *header;
    struct xml_trail *trail; /* of a large cut element; NULL: the tape is written directly */
    ptrdiff_t reach;         /* bytes that must lie before end for a block to be read: BLOCK_SIZE, or 0 when the bytes
                                are followed by WINDOW_SIZE zeros of ours */
    uint32_t at;             /* offset of the next byte; of the offending one when refused */
    uint32_t token;          /* offset of the name under way */
    uint32_t number;         /* of the character reference under way */
    uint32_t tag;            /* offset of the tag's '<' */
    uint32_t element_count;
    uint32_t attribute_count; /* written to the tape, or of the tag when there is a trail */
    uint32_t attribute_total;
    uint32_t tag_attribute; /* index of the tag's first attribute */
    uint32_t flags;
    uint32_t prefixes_used;
    uint64_t tag_seen;
    uint16_t tag_name_size;
    uint16_t tag_prefix_size;
    uint16_t colon; /* size of the prefix of the name under way */
    uint16_t depth;
    uint16_t binding_count;
    uint16_t dynamic_count;
    uint16_t default_ns;
    uint8_t tag_flags;
    uint8_t state;
    uint8_t back; /* STATE_CONTENT or STATE_VALUE: where a reference returns to */
    uint8_t quote;
    uint8_t matched; /* bytes of a keyword */
    uint8_t verdict;
    uint8_t error;
    bool is_first;                  /* the element's '<' is the stream's first byte */
    uint16_t header_ns[HEADER_MAX]; /* numbers of the header's dynamic namespaces in this stanza; 0: none yet */
};

struct xml_partial {
    struct xml_scan scan;
    struct xml_trail trail;
    char *bytes;
    uint32_t size, room;
    bool is_done; /* reported; to be given back at the next call */
};

typedef void (*xml_tokenize_fn)(struct xml_scan *t, const char *end);

struct xml_scratch {
    struct xml_limits limits;
    struct xml_scan scan;
    struct span *namespaces;
    uint32_t namespace_room;
    char *pool; /* decoded namespace names */
    uint32_t pool_room;
    struct xml_partial *spare; /* one cut element's memory, empty, for the next one */
};

/* --- verdicts ---------------------------------------------------------------------------------------------------- */

static inline const char *xml_suspend(struct xml_scan *t, const char *p, enum xml_state state)
{
    t->state = (uint8_t)state;
    t->at = (uint32_t)(p - t->bytes);
    t->verdict = VERDICT_MORE;
    return NULL;
}

static inline const char *xml_done(struct xml_scan *t, const char *p, enum xml_verdict verdict)
{
    t->at = (uint32_t)(p - t->bytes);
    t->verdict = (uint8_t)verdict;
    return NULL;
}

const char *xml_refuse(struct xml_scan *t, const char *p, enum xml_error error);
/* A byte that no rule allows here. */
const char *xml_refuse_byte(struct xml_scan *t, const char *p);
enum xml_error xml_byte_error(uint8_t byte);

/* --- namespace faults --------------------------------------------------------------------------------------------- */

/* A fault of Namespaces 1.0 that leaves the top-level element's own name certain: XML_OK when it is noted and the
 * element read on, XML_NAMESPACE when it ends the stream. Called on faults only. */
static inline enum xml_error xml_spare(struct xml_scan *t)
{
    if (!t->header || !t->limits->spares_misnamed)
        return XML_NAMESPACE;
    t->flags |= XML_HAS_MISNAMED;
    return XML_OK;
}

/* --- careful.c: everything rare. Each returns the byte to go on with, or NULL after a verdict. -------------------- */

const char *xml_careful_name(struct xml_scan *t, const char *p, const char *end, enum xml_state state);
const char *xml_careful_char(struct xml_scan *t, const char *p, const char *end, enum xml_state state);
const char *xml_careful_reference(struct xml_scan *t, const char *p, const char *end, enum xml_state state);
/* Behind "<!": goes on behind "<![CDATA[" with state STATE_CDATA. */
const char *xml_careful_bang(struct xml_scan *t, const char *p, const char *end);
const char *xml_careful_pi(struct xml_scan *t, const char *p, const char *end);
const char *xml_careful_declaration(struct xml_scan *t, const char *p, const char *end);
/* The end tag's name and the white space behind it; returns behind '>'. */
const char *xml_careful_close(struct xml_scan *t, const char *p, const char *end);
const char *xml_careful_close_end(struct xml_scan *t, const char *p, const char *end);

/* --- tag.c ---------------------------------------------------------------------------------------------------------
 */

/* Resolves the namespaces of the start tag under way and checks that its attributes are unique. */
enum xml_error xml_tag_resolve(struct xml_scan *t, uint16_t *ns);
void xml_tag_begin_element(struct xml_scan *t, const char *bytes, const struct xml_limits *limits,
                           const struct xml_header_names *header, bool is_first);

bool xml_grow(void *array, uint32_t *room, uint64_t need, size_t item_size);
/* Room for one more of each; false: memory refused. */
bool xml_grow_elements(struct xml_scan *t);
bool xml_grow_attributes(struct xml_scan *t);
bool xml_grow_open(struct xml_scan *t);

/* --- namespaces.c --------------------------------------------------------------------------------------------------
 */

/* NS_NONE when it is none of namespaces.def. */
enum xml_ns xml_ns_find(struct span uri);

/* --- trail.c -------------------------------------------------------------------------------------------------------
 */

/* A start tag: of e, what is known at its end; attributes are the tag's. */
bool xml_trail_start(struct xml_trail *trail, const struct xml_element *e, uint16_t parent_ns, bool is_empty,
                     const struct xml_attribute *attributes);
bool xml_trail_end(struct xml_trail *trail, uint32_t name_size, uint32_t tail, uint32_t end);
/* Notes what the tape of a scan holds so far. The open array of stack is overwritten. */
bool xml_trail_convert(struct xml_trail *trail, const struct xml_scan *from, struct xml_arrays *stack);
/* The inverse: fills the scratch's arrays. */
bool xml_trail_read(const struct xml_partial *partial, struct xml_scan *into);

/* --- header.c ------------------------------------------------------------------------------------------------------
 */

/* What the stream header bound; NULL when memory is refused. */
struct xml_header_names *xml_header_new(const struct xml_scan *t, const struct xml_stanza *stanza);
void xml_header_free(struct xml_header_names *header);
enum xml_error xml_header_declaration(struct span bytes);

/* --- partial.c -----------------------------------------------------------------------------------------------------
 */

struct xml_partial *xml_partial_cut(struct xml_scratch *scratch, size_t size);
/* Room for size more bytes and the zeros behind them. */
bool xml_partial_grow(struct xml_partial *partial, size_t size);
/* The tape becomes a trail. */
bool xml_partial_shrink(struct xml_scratch *scratch, struct xml_partial *partial);
void xml_partial_recycle(struct xml_scratch *scratch, struct xml_partial *partial);
void xml_partial_free(struct xml_partial *partial);
size_t xml_partial_memory(const struct xml_partial *partial);

/* Up to this size a cut element keeps its tape as it is, which is quicker; beyond, a trail, which is smaller. */
#define TAPE_SIZE_MAX 1024u

static inline size_t xml_tape_size(const struct xml_scan *t)
{
    return t->element_count * sizeof(struct xml_element) + t->attribute_count * sizeof(struct xml_attribute);
}

/* These two are what every piece of a cut element costs beside its tokens, and mostly find nothing to do. */
static inline bool xml_partial_append(struct xml_partial *partial, struct span bytes)
{
    if (partial->room - partial->size < bytes.size + WINDOW_SIZE && !xml_partial_grow(partial, bytes.size))
        return false;
    char *to = partial->bytes + partial->size;
    memcpy(to, bytes.ptr, bytes.size);
    memset(to + bytes.size, 0, WINDOW_SIZE); /* see reach in struct xml_scan */
    partial->size += (uint32_t)bytes.size;
    partial->scan.bytes = partial->bytes;
    return true;
}

/* The bytes ran out once more. */
static inline bool xml_partial_settle(struct xml_scratch *scratch, struct xml_partial *partial)
{
    bool is_small = partial->scan.trail || xml_tape_size(&partial->scan) <= TAPE_SIZE_MAX;
    return is_small || xml_partial_shrink(scratch, partial);
}

/* --- decode.c ------------------------------------------------------------------------------------------------------
 */

/* An attribute value: references resolved, white space made spaces. Returns the size written, never above raw.size. */
size_t xml_decode_value(struct span raw, char *out);
/* A run of character data without child elements: CDATA sections opened, references resolved, line ends made LF.
 * Returns the byte behind the last one written; never more than raw.size are. */
char *xml_decode_content(struct span raw, char *out);
/* Order of two raw attribute values by what they decode to. */
int xml_decode_compare(struct span a, bool a_encoded, struct span b, bool b_encoded);

/* --- tokenize_*.c --------------------------------------------------------------------------------------------------
 */

void xml_tokenize_generic(struct xml_scan *t, const char *end);
void xml_tokenize_avx2(struct xml_scan *t, const char *end);
bool xml_avx2_is_here(void);
