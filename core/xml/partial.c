/* SPDX-License-Identifier: MIT */
/*
 * Partial: a top-level element that was cut by the end of the fed bytes: its bytes so far, its trail, and the
 * tokenizer's state with what is open.
 */
#include "core/xml/scan_priv.h"

#include <stdlib.h>

/* A scratch keeps one cut element's memory for the next one; a larger one goes back to the allocator. */
#define SPARE_SIZE_MAX 65536u

bool xml_partial_append(struct xml_partial *partial, struct span bytes)
{
    if (!xml_grow(&partial->bytes, &partial->room, (uint64_t)partial->size + bytes.size + WINDOW_SIZE, 1))
        return false;
    memcpy(partial->bytes + partial->size, bytes.ptr, bytes.size);
    partial->size += (uint32_t)bytes.size;
    memset(partial->bytes + partial->size, 0, WINDOW_SIZE); /* see reach in struct xml_scan */
    partial->scan.bytes = partial->bytes;
    return true;
}

static bool is_in_tag(const struct xml_scan *t)
{
    switch ((enum xml_state)t->state) {
    case STATE_AFTER:
    case STATE_SPACED:
    case STATE_START_NAME:
    case STATE_ATTR_NAME:
    case STATE_EQUALS:
    case STATE_QUOTE:
    case STATE_VALUE:
    case STATE_EMPTY:
        return true;
    case STATE_REF:
    case STATE_REF_NAME:
    case STATE_REF_NUMBER:
    case STATE_REF_DECIMAL:
    case STATE_REF_HEX:
        return t->back == STATE_VALUE;
    case STATE_CONTENT:
    case STATE_MARKUP:
    case STATE_CLOSE_NAME:
    case STATE_CLOSE_END:
    case STATE_CDATA:
    case STATE_BANG:
    case STATE_PI:
    case STATE_DECLARATION:
        return false;
    }
    return false;
}

/* Copies what the tokenizer needs to go on; the tape itself becomes the trail. */
static bool copy_arrays(struct xml_scan *to, const struct xml_scan *from)
{
    struct xml_arrays *a = &to->arrays;
    uint32_t pending = is_in_tag(from) ? from->attribute_count - from->tag_attribute : 0;
    /* The attribute under way is in the slot behind the finished ones. */
    uint32_t slots = pending + (pending + from->tag_attribute < from->arrays.attribute_room && is_in_tag(from));
    if (!xml_grow(&a->open, &a->open_room, from->depth, sizeof *a->open) ||
        !xml_grow(&a->bindings, &a->binding_room, from->binding_count, sizeof *a->bindings) ||
        !xml_grow(&a->dynamics, &a->dynamic_room, from->dynamic_count, sizeof *a->dynamics) ||
        !xml_grow(&a->attributes, &a->attribute_room, slots ? slots : 1, sizeof *a->attributes) ||
        !xml_grow(&to->trail->bytes, &to->trail->room, 1, 1))
        return false;
    if (from->depth)
        memcpy(a->open, from->arrays.open, from->depth * sizeof *a->open);
    if (from->binding_count)
        memcpy(a->bindings, from->arrays.bindings, from->binding_count * sizeof *a->bindings);
    if (from->dynamic_count)
        memcpy(a->dynamics, from->arrays.dynamics, from->dynamic_count * sizeof *a->dynamics);
    if (slots)
        memcpy(a->attributes, from->arrays.attributes + from->tag_attribute, slots * sizeof *a->attributes);
    to->attribute_count = pending;
    to->tag_attribute = 0;
    return true;
}

struct xml_partial *xml_partial_cut(struct xml_scratch *scratch, size_t size)
{
    struct xml_partial *partial = scratch->spare;
    scratch->spare = NULL;
    if (!partial)
        partial = calloc(1, sizeof *partial);
    if (!partial)
        return NULL;
    const struct xml_scan *from = &scratch->scan;
    struct xml_arrays arrays = partial->scan.arrays;
    partial->scan = *from;
    partial->scan.arrays = arrays;
    partial->scan.trail = &partial->trail;
    partial->scan.reach = 0;
    if (!xml_partial_append(partial, span_of(from->bytes, size)) || !xml_trail_convert(&partial->scan, from) ||
        !copy_arrays(&partial->scan, from)) {
        xml_partial_free(partial);
        return NULL;
    }
    return partial;
}

size_t xml_partial_memory(const struct xml_partial *partial)
{
    const struct xml_arrays *a = &partial->scan.arrays;
    return sizeof *partial + partial->room + partial->trail.room + a->open_room * sizeof *a->open +
           a->binding_room * sizeof *a->bindings + a->dynamic_room * sizeof *a->dynamics +
           a->attribute_room * sizeof *a->attributes;
}

void xml_partial_recycle(struct xml_scratch *scratch, struct xml_partial *partial)
{
    if (scratch->spare || xml_partial_memory(partial) > SPARE_SIZE_MAX) {
        xml_partial_free(partial);
        return;
    }
    partial->size = 0;
    partial->is_done = false;
    partial->trail.size = 0;
    partial->trail.at = 0;
    partial->trail.just_open = false;
    scratch->spare = partial;
}

void xml_partial_free(struct xml_partial *partial)
{
    if (!partial)
        return;
    free(partial->bytes);
    free(partial->trail.bytes);
    free(partial->scan.arrays.open);
    free(partial->scan.arrays.bindings);
    free(partial->scan.arrays.dynamics);
    free(partial->scan.arrays.attributes);
    free(partial);
}
