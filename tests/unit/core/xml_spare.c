/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/xml_spare.h"

#include <expat.h>
#include <stdlib.h>

const struct xml_limits spare_limits = {
    .stanza_size_max = 16u << 20,
    .element_max = 1u << 20,
    .depth_max = 1024,
    .attribute_max = 4096,
    .name_size_max = 4096,
    .namespace_max = 256,
    .spares_misnamed = true,
};

static void add(struct spared_list *list, struct spared item)
{
    if (list->count == list->room) {
        list->room = 2 * list->room + 8;
        list->items = realloc(list->items, list->room * sizeof *list->items);
    }
    list->items[list->count++] = item;
}

void spare_free(struct spared_list *list)
{
    free(list->items);
    list->items = NULL;
}

struct spared_list spare_reader(struct span bytes)
{
    struct spared_list list = {.end = RUN_OPEN};
    struct xml_scratch *scratch = xml_scratch_new(&spare_limits);
    struct xml_reader reader;
    struct xml_stanza stanza;
    enum xml_event event;
    xml_reader_init(&reader, &spare_limits);
    while ((event = xml_reader_next(&reader, scratch, &bytes, &stanza)) != XML_MORE && event != XML_REFUSED) {
        if (event == XML_HEADER)
            list.header_end = reader.offset;
        else if (event == XML_FOOTER)
            list.end = RUN_ENDED;
        else
            add(&list, (struct spared){reader.offset - stanza.size, reader.offset, event == XML_MISNAMED});
    }
    if (event == XML_REFUSED)
        list.end = RUN_REFUSED;
    list.error = (enum xml_error)reader.error;
    xml_reader_fini(&reader);
    xml_scratch_free(scratch);
    return list;
}

/* --- expat, which matches tags by their names as written ------------------------------------------------------------
 */

struct plain {
    struct spared_list list;
    XML_Parser parser;
    unsigned depth;
    uint64_t start;
};

static void plain_start(void *user, const XML_Char *name, const XML_Char **attributes)
{
    struct plain *plain = user;
    (void)name;
    (void)attributes;
    if (plain->depth++ == 1)
        plain->start = (uint64_t)XML_GetCurrentByteIndex(plain->parser);
}

static void plain_end(void *user, const XML_Char *name)
{
    struct plain *plain = user;
    (void)name;
    if (--plain->depth != 1)
        return;
    /* Of an empty-element tag expat gives the tag's start and size at both events. */
    uint64_t end = (uint64_t)XML_GetCurrentByteIndex(plain->parser) + (uint64_t)XML_GetCurrentByteCount(plain->parser);
    add(&plain->list, (struct spared){plain->start, end, false});
}

struct spared_list spare_expat(struct span bytes)
{
    struct plain plain = {.list = {.end = RUN_OPEN}, .parser = XML_ParserCreate("UTF-8")};
    XML_SetUserData(plain.parser, &plain);
    XML_SetElementHandler(plain.parser, plain_start, plain_end);
    if (XML_Parse(plain.parser, bytes.ptr, (int)bytes.size, 0) != XML_STATUS_OK) {
        plain.list.end = RUN_REFUSED;
        plain.list.code = (int)XML_GetErrorCode(plain.parser);
    } else if (XML_Parse(plain.parser, "", 0, 1) == XML_STATUS_OK) {
        plain.list.end = RUN_ENDED;
    }
    XML_ParserFree(plain.parser);
    return plain.list;
}

/* --- held against each other ----------------------------------------------------------------------------------------
 */

static bool is_ascii(struct span bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        if ((uint8_t)bytes.ptr[i] >= 0x80)
            return false;
    return true;
}

/* The header, one element of the stream, and the header's end tag: is that namespace-well-formed? */
static bool is_named_well(struct span bytes, uint64_t header_end, const struct spared *item)
{
    const char *name = memrchr(bytes.ptr, '<', header_end);
    size_t name_size = 1;
    while (!strchr(" \t\r\n/>", name[name_size]))
        name_size++;
    struct record alone = {0};
    record_add(&alone, bytes.ptr, header_end);
    record_add(&alone, bytes.ptr + item->start, item->end - item->start);
    record_add(&alone, "</", 2);
    record_add(&alone, name + 1, name_size - 1);
    record_add(&alone, ">", 1);
    struct peer peer = run_expat(span_of(alone.bytes, alone.size));
    record_free(&alone);
    record_free(&peer.record);
    return peer.end == PEER_ENDED;
}

static const char *list_fault(struct span bytes, const struct spared_list *ours, const struct spared_list *plain)
{
    /* The names of the fourth edition, see test_xml_differential: what follows is not comparable. */
    bool is_older = plain->end == RUN_REFUSED && plain->code == XML_ERROR_INVALID_TOKEN && !is_ascii(bytes);
    if (ours->count > plain->count && !is_older)
        return "tells more elements than there are";
    for (uint32_t i = 0; i < ours->count && i < plain->count; i++) {
        const struct spared *item = &ours->items[i];
        if (item->start != plain->items[i].start || item->end != plain->items[i].end)
            return "an element begins or ends elsewhere";
        if (!is_ascii(span_of(bytes.ptr + item->start, item->end - item->start)) ||
            !is_ascii(span_of(bytes.ptr, ours->header_end)))
            continue;
        if (is_named_well(bytes, ours->header_end, item) == item->is_misnamed)
            return item->is_misnamed ? "misnamed is what expat accepts" : "accepted is what expat refuses";
    }
    if (is_older)
        return NULL;
    if (ours->end == RUN_ENDED && (plain->end != RUN_ENDED || ours->count != plain->count))
        return "ends where expat does not";
    if (ours->end == RUN_OPEN && plain->end != RUN_OPEN)
        return "waits where expat does not";
    if (ours->end == RUN_REFUSED && ours->error == XML_NOT_WELL_FORMED && plain->end == RUN_ENDED)
        return "refused is what expat without namespaces accepts";
    return NULL;
}

const char *spare_fault(struct span bytes, size_t first, size_t chunk)
{
    struct run strict = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_TAPE);
    struct run whole = run_reader(bytes, 0, bytes.size, &spare_limits, RUN_TAPE);
    struct run cut = run_reader(bytes, 0, chunk, &spare_limits, RUN_TAPE);
    struct run split = run_reader(bytes, first, bytes.size, &spare_limits, RUN_TAPE);
    struct spared_list ours = spare_reader(bytes);
    struct spared_list plain = spare_expat(bytes);
    const char *fault = NULL;
    if (!run_is_equal(&whole, &cut) || !run_is_equal(&whole, &split))
        fault = "another chunking says otherwise of what is misnamed";
    else if (strict.error != XML_NAMESPACE && !run_is_equal(&strict, &whole))
        fault = "sparing changes what is namespace-well-formed";
    else if (strict.error == XML_NAMESPACE && whole.end == RUN_ENDED && whole.misnamed == 0)
        fault = "a namespace fault is lost";
    else
        fault = list_fault(bytes, &ours, &plain);
    spare_free(&plain);
    spare_free(&ours);
    run_free(&split);
    run_free(&cut);
    run_free(&whole);
    run_free(&strict);
    return fault;
}
