/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/der_edit.h"

#include "core/base/check.h"

#include <stdlib.h>

#define DEPTH_MAX 24u
#define STEP_SIZE 4u

enum step {
    FLIP,
    DELETE,
    INSERT,
    TRANSPLANT,
    ELEMENT_DELETE,
    ELEMENT_DOUBLE,
    ELEMENT_REPLACE,
    ELEMENT_TAG,
    STEP_COUNT
};

bool der_edit_next(struct span *rest, uint8_t *tag, struct span *whole, struct span *content)
{
    const uint8_t *bytes = (const uint8_t *)rest->ptr;
    size_t head = 2, size;
    if (rest->size < 2 || (bytes[0] & 0x1f) == 0x1f)
        return false;
    size = bytes[1];
    if (size & 0x80) {
        size_t count = size & 0x7f;
        if (count == 0 || count > 3 || rest->size < 2 + count)
            return false;
        size = 0;
        for (size_t i = 0; i < count; i++)
            size = size << 8 | bytes[2 + i];
        head += count;
    }
    if (size > rest->size - head)
        return false;
    *tag = bytes[0];
    *whole = span_of(bytes, head + size);
    *content = span_of(bytes + head, size);
    *rest = span_skip(*rest, head + size);
    return true;
}

struct span der_edit_find(struct span der, const char *path)
{
    struct span rest = der, whole = SPAN_NONE, content = SPAN_NONE;
    uint8_t tag = 0;
    for (; *path; path++) {
        for (int i = *path - '0'; i >= 0; i--)
            if (!der_edit_next(&rest, &tag, &whole, &content))
                return SPAN_NONE;
        rest = content;
        if (tag == 3) /* BIT STRING: its unused bits */
            rest = content.size ? span_skip(content, 1) : content;
    }
    return whole;
}

bool der_edit_holds(struct span whole, struct span part)
{
    return part.size && memmem(whole.ptr, whole.size, part.ptr, part.size);
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

struct room {
    uint8_t *bytes;
    size_t used;
};

static void put(struct room *room, struct span bytes)
{
    size_t size = bytes.size < DER_EDIT_MAX - room->used ? bytes.size : DER_EDIT_MAX - room->used;
    if (size)
        memcpy(room->bytes + room->used, bytes.ptr, size);
    room->used += size;
}

static void put_element(struct room *room, uint8_t tag, struct span content)
{
    uint8_t head[4] = {tag, (uint8_t)content.size};
    size_t size = 2;
    if (content.size >= 0x100) {
        head[1] = 0x82;
        head[2] = (uint8_t)(content.size >> 8);
        head[3] = (uint8_t)content.size;
        size = 4;
    } else if (content.size >= 0x80) {
        head[1] = 0x81;
        head[2] = (uint8_t)content.size;
        size = 3;
    }
    put(room, span_of(head, size));
    put(room, content);
}

/* A walk over all elements, in their order, which does something at one of them. */
struct walk {
    unsigned index, target;
    enum step step;
    uint8_t argument;
    struct span replacement;
};

static bool has_elements(uint8_t tag, struct span content)
{
    return (tag & 0x20) || (tag == 4 && content.size > 2 && content.ptr[0] == 0x30);
}

static void rewrite(struct walk *walk, struct span series, struct room *out, unsigned depth);

static void rewrite_one(struct walk *walk, uint8_t tag, struct span content, struct room *out, unsigned depth)
{
    struct room inner = {malloc(DER_EDIT_MAX), 0};
    SL_CHECK(inner.bytes);
    rewrite(walk, content, &inner, depth + 1);
    put_element(out, tag, span_of(inner.bytes, inner.used < 0xffff ? inner.used : 0xffff));
    free(inner.bytes);
}

static void rewrite(struct walk *walk, struct span series, struct room *out, unsigned depth)
{
    struct span whole, content;
    uint8_t tag;
    while (der_edit_next(&series, &tag, &whole, &content)) {
        bool is_it = walk->index++ == walk->target;
        if (is_it && walk->step == ELEMENT_DELETE)
            continue;
        if (is_it && walk->step == ELEMENT_REPLACE) {
            put(out, walk->replacement);
            continue;
        }
        if (is_it && walk->step == ELEMENT_TAG)
            tag = walk->argument;
        if (is_it && walk->step == ELEMENT_DOUBLE)
            put(out, whole);
        if (!is_it && depth < DEPTH_MAX && has_elements(tag, content))
            rewrite_one(walk, tag, content, out, depth);
        else
            put_element(out, tag, content);
    }
    put(out, series); /* what is no element */
}

/* The one of that number in the same order. */
static struct span find_element(struct span series, unsigned *left, unsigned depth)
{
    struct span whole, content;
    uint8_t tag;
    while (der_edit_next(&series, &tag, &whole, &content)) {
        if ((*left)-- == 0)
            return whole;
        struct span found = SPAN_NONE;
        if (depth < DEPTH_MAX && has_elements(tag, content))
            found = find_element(content, left, depth + 1);
        if (found.ptr)
            return found;
    }
    return SPAN_NONE;
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void edit_elements(struct room *room, struct span donor, enum step step, unsigned position, uint8_t argument)
{
    struct room out = {malloc(DER_EDIT_MAX), 0};
    unsigned left = argument;
    SL_CHECK(out.bytes);
    struct walk walk = {.target = position, .step = step, .argument = argument, .replacement = SPAN("")};
    struct span found = find_element(donor, &left, 0);
    if (found.ptr)
        walk.replacement = found;
    rewrite(&walk, span_of(room->bytes, room->used), &out, 0);
    free(room->bytes);
    *room = out;
}

static void edit_bytes(struct room *room, struct span donor, enum step step, size_t position, uint8_t argument)
{
    size_t at = room->used ? position % room->used : 0, run = argument % 32u + 1;
    if (step == FLIP && room->used)
        room->bytes[at] ^= argument;
    if (step == DELETE) {
        run = run < room->used - at ? run : room->used - at;
        memmove(room->bytes + at, room->bytes + at + run, room->used - at - run);
        room->used -= run;
    }
    if (step == INSERT && room->used + run <= DER_EDIT_MAX) {
        memmove(room->bytes + at + run, room->bytes + at, room->used - at);
        memset(room->bytes + at, (int)(position >> 8), run);
        room->used += run;
    }
    if (step == TRANSPLANT && at < donor.size) {
        size_t size = argument < donor.size - at ? argument : donor.size - at;
        size = size < room->used - at ? size : room->used - at;
        memcpy(room->bytes + at, donor.ptr + at, size);
    }
}

struct span der_edit(struct span original, struct span donor, struct span program)
{
    struct room room = {malloc(DER_EDIT_MAX), 0};
    SL_CHECK(room.bytes);
    put(&room, original);
    for (unsigned i = 0; i < 16 && program.size >= STEP_SIZE; i++, program = span_skip(program, STEP_SIZE)) {
        const uint8_t *octets = (const uint8_t *)program.ptr;
        enum step step = (enum step)(octets[0] % STEP_COUNT);
        unsigned position = (unsigned)octets[1] << 8 | octets[2];
        if (step >= ELEMENT_DELETE)
            edit_elements(&room, donor, step, position % 512, octets[3]);
        else
            edit_bytes(&room, donor, step, position, octets[3]);
    }
    uint8_t *exact = malloc(room.used ? room.used : 1);
    SL_CHECK(exact);
    memcpy(exact, room.bytes, room.used);
    free(room.bytes);
    return span_of(exact, room.used);
}
