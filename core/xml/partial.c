/* SPDX-License-Identifier: MIT */
/*
 * Partial: a top-level element that was cut by the end of the fed bytes: its bytes so far, its trail, and the
 * tokenizer's state with what is open.
 */
#include "core/xml/scan_priv.h"

#include <stdlib.h>

/* A scratch keeps one cut element's memory for the next one; a larger one goes back to the allocator. */
#define SPARE_SIZE_MAX 65536u

bool xml_partial_grow(struct xml_partial *partial, size_t size)
{
    return xml_grow(&partial->bytes, &partial->room, (uint64_t)partial->size + size + WINDOW_SIZE, 1);
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

/* Attributes of the tag under way, the slot behind the finished ones with them: that of the one under way. */
static uint32_t pending_slots(const struct xml_scan *t)
{
    if (!is_in_tag(t))
        return 0;
    uint32_t slots = t->attribute_count - t->tag_attribute + 1;
    uint32_t most = t->arrays.attribute_room - t->tag_attribute;
    return slots < most ? slots : most;
}

static inline bool copy_array(void *to, uint32_t *room, const void *from, uint32_t count, size_t item_size)
{
    bool has_room = *room && count <= *room;
    if (!has_room && !xml_grow(to, room, count ? count : 1, item_size))
        return false;
    void *target = NULL;
    memcpy(&target, to, sizeof target);
    if (count)
        memcpy(target, from, count * item_size);
    return true;
}

/* What the tokenizer needs to go on. */
static bool copy_scope(struct xml_arrays *to, const struct xml_scan *t)
{
    const struct xml_arrays *from = &t->arrays;
    return copy_array(&to->open, &to->open_room, from->open, t->depth, sizeof *to->open) &&
           copy_array(&to->bindings, &to->binding_room, from->bindings, t->binding_count, sizeof *to->bindings) &&
           copy_array(&to->dynamics, &to->dynamic_room, from->dynamics, t->dynamic_count, sizeof *to->dynamics);
}

static bool copy_tape(struct xml_arrays *to, const struct xml_scan *t)
{
    const struct xml_arrays *from = &t->arrays;
    uint32_t slots = pending_slots(t);
    uint32_t attributes = slots ? t->tag_attribute + slots : t->attribute_count;
    return copy_array(&to->elements, &to->element_room, from->elements, t->element_count, sizeof *to->elements) &&
           copy_array(&to->attributes, &to->attribute_room, from->attributes, attributes, sizeof *to->attributes);
}

/* The tape of t, which may be the partial's own, becomes the partial's trail. */
static bool become_trail(struct xml_partial *partial, const struct xml_scan *t, struct xml_arrays *stack)
{
    struct xml_scan *own = &partial->scan;
    uint32_t slots = pending_slots(t);
    uint32_t pending = is_in_tag(t) ? t->attribute_count - t->tag_attribute : 0;
    if (!xml_grow(&partial->trail.bytes, &partial->trail.room, 64, 1) || !xml_trail_convert(&partial->trail, t, stack))
        return false;
    struct xml_attribute *kept = NULL;
    uint32_t room = 0;
    if (!copy_array(&kept, &room, t->arrays.attributes + t->tag_attribute, slots, sizeof *kept))
        return false;
    free(own->arrays.attributes);
    free(own->arrays.elements);
    own->arrays.attributes = kept;
    own->arrays.attribute_room = room;
    own->arrays.elements = NULL;
    own->arrays.element_room = 0;
    own->attribute_count = pending;
    own->tag_attribute = 0;
    own->trail = &partial->trail;
    return true;
}

bool xml_partial_shrink(struct xml_scratch *scratch, struct xml_partial *partial)
{
    return become_trail(partial, &partial->scan, &scratch->scan.arrays);
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
    partial->scan.reach = 0;
    struct xml_arrays *own = &partial->scan.arrays;
    bool is_copied = xml_partial_append(partial, span_of(from->bytes, size));
    if (xml_tape_size(from) <= TAPE_SIZE_MAX)
        is_copied = is_copied && copy_tape(own, from);
    else
        is_copied = is_copied && become_trail(partial, from, own);
    if (!is_copied || !copy_scope(own, from)) {
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
           a->attribute_room * sizeof *a->attributes + a->element_room * sizeof *a->elements;
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
    free(partial->scan.arrays.elements);
    free(partial);
}
