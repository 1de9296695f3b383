/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "core/xml/chars_priv.h"
#include "core/xml/scan_priv.h"

#include <stdlib.h>

/* What a cut element takes from the fed bytes at a time: what lies behind its end was copied for nothing. */
#define SLICE_MIN 512u
#define SLICE_MAX 16384u

enum reader_state {
    READER_START,   /* nothing but white space and the XML declaration came */
    READER_OPEN,    /* behind the header */
    READER_CLOSING, /* the header was an empty-element tag: the footer is still to be told */
    READER_ENDED,
    READER_REFUSED,
};

const struct xml_limits xml_limits_default = {
    .stanza_size_max = 16u << 20,
    .element_max = 1u << 20,
    .depth_max = 1024,
    .attribute_max = 4096,
    .name_size_max = 4096,
    .namespace_max = 256,
};

const char *xml_error_text(enum xml_error error)
{
    static const char *const texts[XML_ERROR_COUNT] = {
        [XML_OK] = "no error",
        [XML_NOT_WELL_FORMED] = "not well-formed",
        [XML_NAMESPACE] = "not namespace-well-formed",
        [XML_RESTRICTED] = "comment, processing instruction, DTD or entity",
        [XML_ENCODING] = "not UTF-8",
        [XML_VERSION] = "not XML 1.0",
        [XML_STRAY_TEXT] = "text between top-level elements",
        [XML_LIMIT_SIZE] = "element too large",
        [XML_LIMIT_DEPTH] = "elements nested too deep",
        [XML_LIMIT_ATTRIBUTES] = "too many attributes",
        [XML_LIMIT_ELEMENTS] = "too many elements",
        [XML_LIMIT_NAME] = "name too long",
        [XML_LIMIT_NAMESPACES] = "too many namespace declarations",
        [XML_MEMORY] = "out of memory",
    };
    return (unsigned)error < XML_ERROR_COUNT ? texts[error] : "unknown error";
}

/* --- scanner --------------------------------------------------------------------------------------------------------
 */

static xml_tokenize_fn tokenize = xml_tokenize_generic;

/* Before main(), so that all threads see the same one. */
__attribute__((constructor)) static void choose_scanner(void)
{
    if (xml_avx2_is_here())
        tokenize = xml_tokenize_avx2;
}

const char *xml_scan_name(void)
{
    return tokenize == xml_tokenize_avx2 ? "avx2" : "generic";
}

bool xml_scan_force(const char *name)
{
    if (strcmp(name, "generic") == 0) {
        tokenize = xml_tokenize_generic;
        return true;
    }
    if (strcmp(name, "avx2") == 0 && xml_avx2_is_here()) {
        tokenize = xml_tokenize_avx2;
        return true;
    }
    return false;
}

/* --- scratch --------------------------------------------------------------------------------------------------------
 */

struct xml_scratch *xml_scratch_new(const struct xml_limits *limits)
{
    SL_CHECK(limits->stanza_size_max <= STANZA_SIZE_CAP);
    struct xml_scratch *scratch = calloc(1, sizeof *scratch);
    if (!scratch)
        return NULL;
    scratch->limits = *limits;
    /* A first size that usual stanzas do not outgrow; the arrays grow by what is received, never by what is claimed. */
    struct xml_arrays *a = &scratch->scan.arrays;
    if (!xml_grow(&a->elements, &a->element_room, 64, sizeof *a->elements) ||
        !xml_grow(&a->attributes, &a->attribute_room, 128, sizeof *a->attributes) ||
        !xml_grow(&a->open, &a->open_room, 32, sizeof *a->open) ||
        !xml_grow(&a->bindings, &a->binding_room, 32, sizeof *a->bindings) ||
        !xml_grow(&a->dynamics, &a->dynamic_room, 32, sizeof *a->dynamics) ||
        !xml_grow(&scratch->namespaces, &scratch->namespace_room, 32, sizeof *scratch->namespaces)) {
        xml_scratch_free(scratch);
        return NULL;
    }
    return scratch;
}

void xml_scratch_free(struct xml_scratch *scratch)
{
    if (!scratch)
        return;
    xml_partial_free(scratch->spare);
    free(scratch->scan.arrays.elements);
    free(scratch->scan.arrays.attributes);
    free(scratch->scan.arrays.open);
    free(scratch->scan.arrays.bindings);
    free(scratch->scan.arrays.dynamics);
    free(scratch->namespaces);
    free(scratch->pool);
    free(scratch);
}

/* --- reader ---------------------------------------------------------------------------------------------------------
 */

void xml_reader_init(struct xml_reader *reader, const struct xml_limits *limits)
{
    *reader = (struct xml_reader){.limits = limits, .state = READER_START};
}

void xml_reader_fini(struct xml_reader *reader)
{
    xml_partial_free(reader->partial);
    xml_header_free(reader->header);
    reader->partial = NULL;
    reader->header = NULL;
}

void xml_reader_restart(struct xml_reader *reader)
{
    xml_reader_fini(reader);
    xml_reader_init(reader, reader->limits);
}

size_t xml_reader_memory(const struct xml_reader *reader)
{
    size_t memory = reader->partial ? xml_partial_memory(reader->partial) : 0;
    return memory + (reader->header ? reader->header->memory : 0);
}

unsigned xml_reader_prefixes(const struct xml_reader *reader)
{
    return reader->header ? reader->header->count : 0;
}

void xml_reader_prefix(const struct xml_reader *reader, unsigned i, struct span *prefix, struct span *uri)
{
    SL_CHECK(i < xml_reader_prefixes(reader));
    *prefix = reader->header->bindings[i].prefix;
    *uri = reader->header->bindings[i].uri;
}

static void take(struct xml_reader *reader, struct span *in, size_t size)
{
    reader->offset += size;
    *in = span_skip(*in, size);
}

static enum xml_event refuse(struct xml_reader *reader, enum xml_error error)
{
    reader->state = READER_REFUSED;
    reader->error = (uint8_t)error;
    xml_partial_free(reader->partial);
    reader->partial = NULL;
    return XML_REFUSED;
}

/* The decoded names of the stanza's dynamic namespaces. */
static bool list_namespaces(struct xml_scratch *scratch, const struct xml_scan *t)
{
    if (t->dynamic_count == 0)
        return true;
    uint64_t pool_size = 0;
    const struct xml_dynamic *d = t->arrays.dynamics;
    for (uint32_t i = 0; i < t->dynamic_count; i++)
        pool_size += d[i].size & DYNAMIC_ENCODED ? d[i].size & DYNAMIC_SIZE_MAX : 0;
    if (!xml_grow(&scratch->namespaces, &scratch->namespace_room, t->dynamic_count, sizeof *scratch->namespaces) ||
        !xml_grow(&scratch->pool, &scratch->pool_room, pool_size, 1))
        return false;
    char *room = scratch->pool;
    for (uint32_t i = 0; i < t->dynamic_count; i++) {
        struct span *to = &scratch->namespaces[i];
        if (d[i].size & DYNAMIC_HEADER) {
            *to = t->header->bindings[d[i].offset].uri;
            continue;
        }
        *to = span_of(t->bytes + d[i].offset, d[i].size & DYNAMIC_SIZE_MAX);
        if (d[i].size & DYNAMIC_ENCODED) {
            *to = span_of(room, xml_decode_value(*to, room));
            room += to->size;
        }
    }
    return true;
}

static bool fill_stanza(struct xml_scratch *scratch, const struct xml_scan *t, struct xml_stanza *out)
{
    if (!list_namespaces(scratch, t))
        return false;
    /* A trail was read into the scratch's arrays. */
    const struct xml_arrays *tape = t->trail ? &scratch->scan.arrays : &t->arrays;
    *out = (struct xml_stanza){
        .bytes = t->bytes,
        .size = t->at,
        .element_count = t->element_count,
        .attribute_count = t->attribute_total,
        .flags = t->flags,
        .elements = tape->elements,
        .attributes = tape->attributes,
        .namespaces = scratch->namespaces,
        .namespace_count = t->dynamic_count,
        .prefixes_used = t->prefixes_used,
    };
    return true;
}

/* The element of t is whole: t is the scratch's, or a partial's. */
static enum xml_event finish(struct xml_reader *reader, struct xml_scratch *scratch, struct xml_scan *t,
                             struct xml_stanza *out)
{
    if (t->verdict == VERDICT_FOOTER) {
        reader->state = READER_ENDED;
        return XML_FOOTER;
    }
    if (!fill_stanza(scratch, t, out))
        return refuse(reader, XML_MEMORY);
    if (t->verdict == VERDICT_STANZA)
        return t->flags & XML_HAS_MISNAMED ? XML_MISNAMED : XML_STANZA;
    reader->header = xml_header_new(t, out);
    if (!reader->header)
        return refuse(reader, XML_MEMORY);
    reader->state = t->bytes[t->at - 2] == '/' ? READER_CLOSING : READER_OPEN;
    return XML_HEADER;
}

/* An XML declaration was taken whole. XML_MORE: go on. */
static enum xml_event finish_declaration(struct xml_reader *reader, const struct xml_scan *t)
{
    enum xml_error error = xml_header_declaration(span_of(t->bytes, t->at));
    if (error == XML_OK)
        return XML_MORE;
    reader->offset--; /* the '>' at which it was judged */
    return refuse(reader, error);
}

/* Goes on with a cut element. XML_MORE with bytes left: an XML declaration ended. */
static enum xml_event go_on(struct xml_reader *reader, struct xml_scratch *scratch, struct span *in,
                            struct xml_stanza *out)
{
    struct xml_partial *partial = reader->partial;
    struct xml_scan *t = &partial->scan;
    for (size_t slice = SLICE_MIN; in->size; slice = slice < SLICE_MAX ? 2 * slice : SLICE_MAX) {
        size_t old_size = partial->size;
        size_t size = in->size < slice ? in->size : slice;
        /* The limit may have been lowered below what is held already. */
        size_t max = reader->limits->stanza_size_max, room = max > old_size ? max - old_size : 0;
        if (size > room)
            size = room;
        if (size == 0)
            return refuse(reader, XML_LIMIT_SIZE);
        if (!xml_partial_append(partial, span_of(in->ptr, size)))
            return refuse(reader, XML_MEMORY);
        tokenize(t, partial->bytes + partial->size);
        if (t->verdict == VERDICT_MORE) {
            take(reader, in, size);
            if (!xml_partial_settle(scratch, partial))
                return refuse(reader, XML_MEMORY);
            continue;
        }
        if (t->verdict == VERDICT_REFUSED) {
            reader->offset += t->at;
            reader->offset -= old_size;
            return refuse(reader, (enum xml_error)t->error);
        }
        take(reader, in, t->at - old_size);
        partial->size = t->at;
        partial->is_done = true;
        if (t->verdict == VERDICT_DECLARATION)
            return finish_declaration(reader, t);
        if (t->trail && !xml_trail_read(partial, &scratch->scan))
            return refuse(reader, XML_MEMORY);
        return finish(reader, scratch, t, out);
    }
    return XML_MORE;
}

/* A top-level element, header or end tag begins at the first byte. */
static enum xml_event begin(struct xml_reader *reader, struct xml_scratch *scratch, struct span *in,
                            struct xml_stanza *out)
{
    struct xml_scan *t = &scratch->scan;
    size_t size = in->size < reader->limits->stanza_size_max ? in->size : reader->limits->stanza_size_max;
    xml_tag_begin_element(t, in->ptr, reader->limits, reader->header, reader->offset == 0);
    tokenize(t, in->ptr + size);
    if (t->verdict == VERDICT_REFUSED) {
        take(reader, in, t->at);
        return refuse(reader, (enum xml_error)t->error);
    }
    if (t->verdict == VERDICT_MORE) {
        take(reader, in, size);
        if (in->size)
            return refuse(reader, XML_LIMIT_SIZE);
        reader->partial = xml_partial_cut(scratch, size);
        return reader->partial ? XML_MORE : refuse(reader, XML_MEMORY);
    }
    take(reader, in, t->at);
    if (t->verdict == VERDICT_DECLARATION)
        return finish_declaration(reader, t);
    return finish(reader, scratch, t, out);
}

/* A byte that opens nothing stands between top-level elements. */
static enum xml_event refuse_stray(struct xml_reader *reader, uint8_t byte)
{
    if (byte == 0 && reader->offset == 0) /* UTF-16 or UTF-32 (XML appendix F) */
        return refuse(reader, XML_ENCODING);
    enum xml_error error = xml_byte_error(byte);
    bool is_text = byte >= 0x20 && error == XML_NOT_WELL_FORMED;
    return refuse(reader, is_text && reader->state == READER_OPEN ? XML_STRAY_TEXT : error);
}

static enum xml_event between(struct xml_reader *reader, struct xml_scratch *scratch, struct span *in,
                              struct xml_stanza *out)
{
    size_t space = 0;
    while (space < in->size && xml_is_space(in->ptr[space]))
        space++;
    take(reader, in, space);
    if (in->size == 0)
        return XML_MORE;
    if (*in->ptr != '<' || reader->state == READER_ENDED)
        return refuse_stray(reader, (uint8_t)*in->ptr);
    return begin(reader, scratch, in, out);
}

enum xml_event xml_reader_next(struct xml_reader *reader, struct xml_scratch *scratch, struct span *in,
                               struct xml_stanza *out)
{
    if (reader->state == READER_REFUSED)
        return XML_REFUSED;
    if (reader->state == READER_CLOSING) {
        reader->state = READER_ENDED;
        return XML_FOOTER;
    }
    /* An XML declaration is XML_MORE to nobody: the loop goes on behind it. */
    for (;;) {
        if (reader->partial && reader->partial->is_done) {
            xml_partial_recycle(scratch, reader->partial);
            reader->partial = NULL;
        }
        if (in->size == 0)
            return XML_MORE;
        enum xml_event event = reader->partial ? go_on(reader, scratch, in, out) : between(reader, scratch, in, out);
        if (event != XML_MORE)
            return event;
    }
}
