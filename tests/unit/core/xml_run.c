/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/xml_run.h"

#include "core/xml/scan_priv.h"

#include <stdlib.h>

void record_add(struct record *record, const void *bytes, size_t size)
{
    if (record->size + size > record->room) {
        record->room = 2 * (record->size + size);
        record->bytes = realloc(record->bytes, record->room);
    }
    if (size)
        memcpy(record->bytes + record->size, bytes, size);
    record->size += size;
}

void record_free(struct record *record)
{
    free(record->bytes);
    *record = (struct record){0};
}

bool record_is_equal(const struct record *a, const struct record *b)
{
    return a->size == b->size && (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0);
}

/* --- events ---------------------------------------------------------------------------------------------------------
 */

static void record_span(struct record *record, char tag, struct span bytes)
{
    uint32_t size = (uint32_t)bytes.size;
    record_add(record, &tag, 1);
    record_add(record, &size, sizeof size);
    record_add(record, bytes.ptr, bytes.size);
}

void record_start(struct record *record, struct span uri, struct span local)
{
    record_span(record, 'S', uri);
    record_span(record, 'N', local);
}

void record_attribute(struct record *record, struct span uri, struct span local, struct span value)
{
    record_span(record, 'A', uri);
    record_span(record, 'N', local);
    record_span(record, 'V', value);
}

/* Parsers cut text as they like: neighbours are joined. */
void record_text(struct record *record, struct span text)
{
    if (text.size == 0)
        return;
    if (record->text_size == 0 || record->text_end != record->size) {
        record_span(record, 'X', SPAN(""));
        record->text_size = 0;
    }
    record_add(record, text.ptr, text.size);
    record->text_size += (uint32_t)text.size;
    record->text_end = record->size;
    memcpy(record->bytes + record->size - record->text_size - sizeof record->text_size, &record->text_size,
           sizeof record->text_size);
}

void record_end(struct record *record)
{
    record_add(record, "E", 1);
}

void record_print(const struct record *record, FILE *to)
{
    for (size_t i = 0; i < record->size; i++) {
        uint8_t c = record->bytes[i];
        fprintf(to, c >= 0x20 && c < 0x7f ? "%c" : "\\%02x", c);
    }
    fprintf(to, "\n");
}

static void record_content(struct record *record, const struct xml_stanza *s, uint32_t from, uint32_t to)
{
    char *room = malloc(to - from + 1);
    char *end = xml_decode_content(span_of(s->bytes + from, to - from), room);
    record_text(record, span_of(room, (size_t)(end - room)));
    free(room);
}

static void record_tag(struct record *record, const struct xml_stanza *s, uint32_t element)
{
    const struct xml_element *e = &s->elements[element];
    record_start(record, xml_element_ns(s, element), xml_name(s, element));
    for (uint32_t i = e->attribute; i < e->attribute + e->attributes; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        if (a->flags & XML_ATTR_DECLARATION)
            continue;
        uint32_t skip = a->prefix_size ? a->prefix_size + 1u : 0;
        struct span uri = a->ns < NS_DYNAMIC ? xml_ns_uri((enum xml_ns)a->ns) : s->namespaces[a->ns - NS_DYNAMIC];
        char *room = malloc(a->value_size + 1);
        struct span value = xml_value(s, a, room, a->value_size);
        record_attribute(record, uri, span_of(s->bytes + a->name + skip, a->name_size - skip), value);
        free(room);
    }
}

static void record_events(struct record *record, const struct xml_stanza *s, bool is_header)
{
    uint32_t *open = malloc((s->element_count + 1) * sizeof *open);
    uint32_t depth = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i <= s->element_count; i++) {
        uint32_t stays = i < s->element_count ? s->elements[i].depth : 0;
        while (depth > stays) {
            const struct xml_element *e = &s->elements[open[--depth]];
            if (e->tail > e->body)
                record_content(record, s, at, e->tail);
            if (!is_header)
                record_end(record);
            at = e->end;
        }
        if (i == s->element_count)
            break;
        if (depth)
            record_content(record, s, at, s->elements[i].start);
        record_tag(record, s, i);
        at = s->elements[i].body;
        open[depth++] = i;
    }
    free(open);
}

static void record_tape(struct record *record, const struct xml_stanza *s)
{
    uint32_t numbers[] = {s->size,  s->element_count,   s->attribute_count,
                          s->flags, s->namespace_count, s->prefixes_used};
    record_add(record, numbers, sizeof numbers);
    record_add(record, s->bytes, s->size);
    for (uint32_t i = 0; i < s->element_count; i++) {
        const struct xml_element *e = &s->elements[i];
        uint32_t fields[] = {e->start,      e->body,      e->tail,        e->end,   e->attribute, e->next,
                             e->attributes, e->name_size, e->prefix_size, e->depth, e->ns};
        record_add(record, fields, sizeof fields);
    }
    for (uint32_t i = 0; i < s->attribute_count; i++) {
        const struct xml_attribute *a = &s->attributes[i];
        uint32_t fields[] = {a->name, a->value, a->value_size, a->name_size, a->prefix_size, a->ns, a->flags};
        record_add(record, fields, sizeof fields);
    }
    for (uint32_t i = 0; i < s->namespace_count; i++)
        record_span(record, 'U', s->namespaces[i]);
}

/* --- the reader -----------------------------------------------------------------------------------------------------
 */

static void note(struct run *run, enum xml_event event, const struct xml_stanza *s, enum run_kind kind)
{
    run->stanzas += event == XML_STANZA;
    run->misnamed += event == XML_MISNAMED;
    if (kind == RUN_TAPE) {
        uint32_t tag = (uint32_t)event;
        record_add(&run->record, &tag, sizeof tag);
        if (event == XML_HEADER || event == XML_STANZA || event == XML_MISNAMED)
            record_tape(&run->record, s);
    } else if (kind == RUN_EVENTS) {
        if (event == XML_HEADER || event == XML_STANZA)
            record_events(&run->record, s, event == XML_HEADER);
        else if (event == XML_FOOTER)
            record_end(&run->record);
    }
}

static void feed(struct run *run, struct xml_reader *reader, struct xml_scratch *scratch, struct span in,
                 enum run_kind kind)
{
    for (;;) {
        struct xml_stanza stanza;
        enum xml_event event = xml_reader_next(reader, scratch, &in, &stanza);
        size_t memory = xml_reader_memory(reader);
        run->memory_max = memory > run->memory_max ? memory : run->memory_max;
        if (event == XML_MORE)
            return;
        if (event == XML_REFUSED) {
            run->end = RUN_REFUSED;
            return;
        }
        if (event == XML_FOOTER)
            run->end = RUN_ENDED;
        note(run, event, &stanza, kind);
    }
}

/* One scratch for all runs: it is larger than most of the streams. */
static struct xml_scratch *shared;

static void free_shared(void)
{
    xml_scratch_free(shared);
}

static struct xml_scratch *shared_scratch(void)
{
    if (!shared) {
        shared = xml_scratch_new(&xml_limits_default);
        atexit(free_shared);
    }
    return shared;
}

struct run run_reader(struct span bytes, size_t first, size_t chunk, const struct xml_limits *limits,
                      enum run_kind kind)
{
    struct run run = {.end = RUN_OPEN};
    struct xml_scratch *scratch = shared_scratch();
    struct xml_reader reader;
    xml_reader_init(&reader, limits);
    size_t size = first ? first : chunk;
    while (bytes.size && run.end != RUN_REFUSED) {
        size = size < bytes.size ? size : bytes.size;
        char *piece = malloc(size);
        memcpy(piece, bytes.ptr, size);
        feed(&run, &reader, scratch, span_of(piece, size), kind);
        free(piece);
        bytes = span_skip(bytes, size);
        size = chunk;
    }
    run.error = (enum xml_error)reader.error;
    run.offset = reader.offset;
    xml_reader_fini(&reader);
    return run;
}

void run_free(struct run *run)
{
    record_free(&run->record);
}

bool run_is_equal(const struct run *a, const struct run *b)
{
    return a->end == b->end && a->error == b->error && a->offset == b->offset && a->stanzas == b->stanzas &&
           a->misnamed == b->misnamed &&
           record_is_equal(&a->record, &b->record);
}
