/* SPDX-License-Identifier: MIT */
/*
 * Trail: the tape of a cut element in about a quarter of its bytes, or less. Marks are appended as tags end and read
 * once, when the element is whole. All offsets are kept as distances, so usual tags and attributes take one byte.
 *
 *   0eennnnn  start tag: name of n + 1 bytes, no prefix, no attributes, the parent's namespace; e: 0 stays open,
 *             1 "/>", 2 its end tag follows at once
 *   10gggggg  g bytes of text before the next mark; 0: a number follows
 *   110ggggg  g bytes of text, then an end tag without white space
 *   11100000  end tag; number: white space in it
 *   1110eaaa  start tag: of a attributes, no prefix, the parent's namespace, nothing behind the last attribute; number:
 *             name size; then the attributes
 *   1111anpe  start tag: numbers: name size, [prefix size], [namespace], [attribute count], white space before the
 *             end; then the attributes
 *   attributes: 0vvvvnnn  name of n + 1 bytes, value of v, one space before, nothing around '='
 *               10nnnnnn  the same with a number for the value's size
 *               11fffpo0  f: flags; p: prefix size and namespace follow; o: two distances follow; name and value size
 */
#include "core/base/check.h"
#include "core/xml/scan_priv.h"

#define MARK_SIZE_MAX 48u /* of a mark with all its numbers */

enum {
    START_EMPTY = 1,
    START_PREFIX = 2,
    START_NS = 4,
    START_ATTRIBUTES = 8,
    ATTR_ODD = 2,
    ATTR_PREFIX = 4,
};

static void put(struct xml_trail *trail, unsigned byte)
{
    trail->bytes[trail->size++] = (uint8_t)byte;
}

static void put_number(struct xml_trail *trail, uint32_t number)
{
    while (number >= 0x80) {
        put(trail, (number & 0x7f) | 0x80);
        number >>= 7;
    }
    put(trail, number);
}

static bool reserve(struct xml_trail *trail, uint32_t marks)
{
    return xml_grow(&trail->bytes, &trail->room, trail->size + (uint64_t)marks * MARK_SIZE_MAX, 1);
}

static void put_gap(struct xml_trail *trail, uint32_t gap)
{
    if (gap == 0)
        return;
    if (gap < 64) {
        put(trail, 0x80 | gap);
    } else {
        put(trail, 0x80);
        put_number(trail, gap);
    }
}

static void put_attribute(struct xml_trail *trail, const struct xml_attribute *a, uint32_t at)
{
    uint32_t before = a->name - at;
    uint32_t between = a->value - a->name - a->name_size;
    bool is_plain = before == 1 && between == 2;
    if (is_plain && a->flags == 0 && a->prefix_size == 0 && a->name_size <= 64) {
        if (a->name_size <= 8 && a->value_size <= 15) {
            put(trail, a->value_size << 3 | (a->name_size - 1u));
        } else {
            put(trail, 0x80 | (a->name_size - 1u));
            put_number(trail, a->value_size);
        }
        return;
    }
    bool is_default = (a->flags & XML_ATTR_DECLARATION) && a->prefix_size == 0;
    put(trail, 0xc0u | (unsigned)a->flags << 3 | (a->prefix_size ? ATTR_PREFIX : 0u) | (is_plain ? 0u : ATTR_ODD));
    if (!is_default)
        put_number(trail, a->name_size);
    put_number(trail, a->value_size);
    if (a->prefix_size) {
        put_number(trail, a->prefix_size);
        put_number(trail, a->ns);
    }
    if (!is_plain) {
        put_number(trail, before);
        put_number(trail, between);
    }
}

static void put_full_start(struct xml_trail *trail, const struct xml_element *e, uint16_t parent_ns, bool is_empty,
                           uint32_t space)
{
    put(trail, 0xf0u | (is_empty ? START_EMPTY : 0u) | (e->prefix_size ? START_PREFIX : 0u) |
                   (e->ns != parent_ns ? START_NS : 0u) | (e->attributes ? START_ATTRIBUTES : 0u));
    put_number(trail, e->name_size);
    if (e->prefix_size)
        put_number(trail, e->prefix_size);
    if (e->ns != parent_ns)
        put_number(trail, e->ns);
    if (e->attributes)
        put_number(trail, e->attributes);
    put_number(trail, space);
}

bool xml_trail_start(struct xml_trail *trail, const struct xml_element *e, uint16_t parent_ns, bool is_empty,
                     const struct xml_attribute *attributes)
{
    if (!reserve(trail, e->attributes + 2u))
        return false;
    put_gap(trail, e->start - trail->at);
    uint32_t at = e->start + 1 + e->name_size;
    uint32_t closing = is_empty ? 2 : 1;
    trail->at = e->body;
    trail->just_open = false;
    if (!e->attributes && !e->prefix_size && e->ns == parent_ns && e->name_size <= 32 && at + closing == e->body) {
        put(trail, (is_empty ? 0x20u : 0u) | (e->name_size - 1u));
        trail->just_open = !is_empty;
        return true;
    }
    uint32_t last = at;
    if (e->attributes)
        last = attributes[e->attributes - 1].value + attributes[e->attributes - 1].value_size + 1;
    uint32_t space = e->body - closing - last;
    if (e->attributes - 1u < 7 && !e->prefix_size && e->ns == parent_ns && space == 0) {
        put(trail, 0xe0u | (is_empty ? 8u : 0u) | e->attributes);
        put_number(trail, e->name_size);
    } else {
        put_full_start(trail, e, parent_ns, is_empty, space);
    }
    for (uint32_t i = 0; i < e->attributes; i++) {
        put_attribute(trail, &attributes[i], at);
        at = attributes[i].value + attributes[i].value_size + 1;
    }
    return true;
}

bool xml_trail_end(struct xml_trail *trail, uint32_t name_size, uint32_t tail, uint32_t end)
{
    if (!reserve(trail, 2))
        return false;
    uint32_t gap = tail - trail->at;
    uint32_t space = end - tail - name_size - 3;
    if (trail->just_open && gap == 0 && space == 0) {
        trail->bytes[trail->size - 1] |= 0x40;
    } else if (gap < 32 && space == 0) {
        put(trail, 0xc0 | gap);
    } else {
        put_gap(trail, gap);
        put(trail, space ? 0xe0 : 0xc0);
        if (space)
            put_number(trail, space);
    }
    trail->just_open = false;
    trail->at = end;
    return true;
}

bool xml_trail_convert(struct xml_trail *trail, const struct xml_scan *from, struct xml_arrays *stack)
{
    const struct xml_element *elements = from->arrays.elements;
    uint32_t depth = 0; /* of stack->open, which holds indices */
    for (uint32_t i = 0; i <= from->element_count; i++) {
        uint32_t stays = i < from->element_count ? elements[i].depth : from->depth;
        while (depth > stays) {
            const struct xml_element *e = &elements[stack->open[--depth].index];
            if (!xml_trail_end(trail, e->name_size, e->tail, e->end))
                return false;
        }
        if (i == from->element_count)
            break;
        const struct xml_element *e = &elements[i];
        bool is_empty = from->bytes[e->body - 2] == '/';
        uint16_t parent_ns = depth ? elements[stack->open[depth - 1].index].ns : (uint16_t)NS_NONE;
        if (!xml_trail_start(trail, e, parent_ns, is_empty, from->arrays.attributes + e->attribute))
            return false;
        if (is_empty)
            continue;
        if (!xml_grow(&stack->open, &stack->open_room, depth + 1u, sizeof *stack->open))
            return false;
        stack->open[depth++].index = i;
    }
    return true;
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

struct trail_cursor {
    const uint8_t *p;
    uint32_t at;
    uint32_t depth;
    struct xml_scan *into;
};

static uint32_t get_number(struct trail_cursor *c)
{
    uint32_t number = *c->p & 0x7f;
    for (unsigned shift = 7; *c->p++ & 0x80; shift += 7)
        number |= (uint32_t)(*c->p & 0x7f) << shift;
    return number;
}

static void get_attribute(struct trail_cursor *c, struct xml_attribute *a)
{
    uint32_t before = 1;
    uint32_t between = 2;
    unsigned mark = *c->p++;
    *a = (struct xml_attribute){0};
    if (mark < 0x80) {
        a->name_size = (uint16_t)((mark & 7) + 1);
        a->value_size = mark >> 3;
    } else if (mark < 0xc0) {
        a->name_size = (uint16_t)((mark & 0x3f) + 1);
        a->value_size = get_number(c);
    } else {
        a->flags = (uint16_t)(mark >> 3 & 7);
        bool is_default = (a->flags & XML_ATTR_DECLARATION) && !(mark & ATTR_PREFIX);
        a->name_size = is_default ? 5 : (uint16_t)get_number(c);
        a->ns = is_default ? NS_XMLNS : NS_NONE;
        a->value_size = get_number(c);
        if (mark & ATTR_PREFIX) {
            a->prefix_size = (uint16_t)get_number(c);
            a->ns = (uint16_t)get_number(c);
        }
        if (mark & ATTR_ODD) {
            before = get_number(c);
            between = get_number(c);
        }
    }
    a->name = c->at + before;
    a->value = a->name + a->name_size + between;
    c->at = a->value + a->value_size + 1;
}

static struct xml_element *add_element(struct trail_cursor *c)
{
    struct xml_scan *t = c->into;
    struct xml_element *e = &t->arrays.elements[t->element_count];
    *e = (struct xml_element){.start = c->at,
                              .attribute = t->attribute_count,
                              .next = t->element_count + 1,
                              .depth = (uint16_t)c->depth,
                              .ns = c->depth ? t->arrays.open[c->depth - 1].ns : (uint16_t)NS_NONE};
    t->element_count++;
    return e;
}

static void push(struct trail_cursor *c, const struct xml_element *e)
{
    struct xml_open *open = &c->into->arrays.open[c->depth++];
    open->index = (uint32_t)(e - c->into->arrays.elements);
    open->ns = e->ns;
}

static void get_end(struct trail_cursor *c, uint32_t space)
{
    struct xml_element *e = &c->into->arrays.elements[c->into->arrays.open[--c->depth].index];
    e->tail = c->at;
    c->at += e->name_size + 3u + space;
    e->end = c->at;
    e->next = c->into->element_count;
}

static void get_short_start(struct trail_cursor *c, unsigned mark)
{
    struct xml_element *e = add_element(c);
    e->name_size = (uint16_t)((mark & 0x1f) + 1);
    c->at += 1u + e->name_size + (mark & 0x20 ? 2 : 1);
    e->body = e->tail = e->end = c->at;
    if (mark & 0x20)
        return;
    push(c, e);
    if (mark & 0x40)
        get_end(c, 0);
}

static void get_attributes(struct trail_cursor *c, struct xml_element *e, uint32_t space, bool is_empty)
{
    struct xml_scan *t = c->into;
    c->at += 1u + e->name_size;
    for (uint32_t i = 0; i < e->attributes; i++)
        get_attribute(c, &t->arrays.attributes[t->attribute_count++]);
    c->at += space + (is_empty ? 2 : 1);
    e->body = e->tail = e->end = c->at;
    if (!is_empty)
        push(c, e);
}

static void get_start(struct trail_cursor *c, unsigned mark)
{
    struct xml_element *e = add_element(c);
    e->name_size = (uint16_t)get_number(c);
    e->attributes = mark & 7;
    get_attributes(c, e, 0, (mark & 8) != 0);
}

static void get_full_start(struct trail_cursor *c, unsigned mark)
{
    struct xml_element *e = add_element(c);
    e->name_size = (uint16_t)get_number(c);
    if (mark & START_PREFIX)
        e->prefix_size = (uint16_t)get_number(c);
    if (mark & START_NS)
        e->ns = (uint16_t)get_number(c);
    if (mark & START_ATTRIBUTES)
        e->attributes = (uint16_t)get_number(c);
    uint32_t space = get_number(c);
    get_attributes(c, e, space, (mark & START_EMPTY) != 0);
}

bool xml_trail_read(const struct xml_partial *partial, struct xml_scan *into)
{
    const struct xml_scan *from = &partial->scan;
    struct xml_arrays *a = &into->arrays;
    if (!xml_grow(&a->elements, &a->element_room, from->element_count, sizeof *a->elements) ||
        !xml_grow(&a->attributes, &a->attribute_room, from->attribute_total, sizeof *a->attributes) ||
        !xml_grow(&a->open, &a->open_room, (uint64_t)from->arrays.open_room + 1, sizeof *a->open))
        return false;
    into->element_count = 0;
    into->attribute_count = 0;
    struct trail_cursor c = {.p = partial->trail.bytes, .into = into};
    const uint8_t *end = c.p + partial->trail.size;
    while (c.p < end) {
        unsigned mark = *c.p++;
        if (mark < 0x80) {
            get_short_start(&c, mark);
        } else if (mark < 0xc0) {
            c.at += mark & 0x3f ? mark & 0x3f : get_number(&c);
        } else if (mark < 0xe0) {
            c.at += mark & 0x1f;
            get_end(&c, 0);
        } else if (mark == 0xe0) {
            get_end(&c, get_number(&c));
        } else if (mark < 0xf0) {
            get_start(&c, mark);
        } else {
            get_full_start(&c, mark);
        }
    }
    SL_CHECK(into->element_count == from->element_count && into->attribute_count == from->attribute_total);
    return true;
}
