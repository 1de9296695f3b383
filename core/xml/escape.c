/* SPDX-License-Identifier: MIT */
#include "core/xml/escape_priv.h"

#include "core/xml/chars_priv.h"

/* The longest thing written for one character: "&quot;". */
#define UNIT_MAX 8u
/* Reserved in a chunk at a time. */
#define PIECE 512u

static struct span entity_of(char c, enum xml_position position)
{
    bool is_attribute = position == XML_IN_ATTRIBUTE;
    switch (c) {
    case '<':
        return SPAN("&lt;");
    case '&':
        return SPAN("&amp;");
    case '>':
        return SPAN("&gt;");
    case '\r':
        return position == XML_IN_CDATA ? SPAN("\n") : SPAN("&#13;");
    case '\'':
        return is_attribute ? SPAN("&apos;") : SPAN_NONE;
    case '"':
        return is_attribute ? SPAN("&quot;") : SPAN_NONE;
    case '\t':
        return is_attribute ? SPAN("&#9;") : SPAN_NONE;
    case '\n':
        return is_attribute ? SPAN("&#10;") : SPAN_NONE;
    case ']':
        return position == XML_IN_CDATA ? SPAN("&#93;") : SPAN_NONE;
    default:
        return SPAN_NONE;
    }
}

static bool is_clean(char c, enum xml_position position)
{
    unsigned class = xml_class[(uint8_t)c];
    if (position == XML_IN_TEXT)
        return (class & CLASS_TEXT) && c != '\r';
    if (position == XML_IN_CDATA)
        return (class & CLASS_TEXT) && c != '\r' && c != ']';
    return (class & CLASS_WRITTEN) != 0;
}

/* Takes one character that is not clean from the front; what stands for it lies in room or is a literal. */
static struct span take_unit(struct span *in, enum xml_position position, char room[4])
{
    const char *end = in->ptr + in->size;
    uint8_t byte = (uint8_t)*in->ptr;
    size_t taken = 1;
    struct span unit = SPAN("\xef\xbf\xbd");
    if (byte >= 0x80) {
        uint32_t code = 0;
        int size = xml_utf8_take(in->ptr, end, &code);
        if (size > 0 && xml_is_char(code)) {
            taken = (size_t)size;
            memcpy(room, in->ptr, taken);
            unit = span_of(room, taken);
        }
    } else {
        struct span entity = entity_of((char)byte, position);
        if (entity.ptr)
            unit = entity;
        else if (xml_class[byte] & (CLASS_TEXT | CLASS_VALUE))
            unit = span_of(in->ptr, 1);
        if (byte == '\r' && position == XML_IN_CDATA && in->size > 1 && in->ptr[1] == '\n')
            taken = 2;
    }
    *in = span_skip(*in, taken);
    return unit;
}

void xml_escape(struct chain *chain, struct chunk_pool *pool, enum xml_position position, struct span bytes)
{
    /* A LF behind a CR that stood before the section would be one line end with it. */
    if (position == XML_IN_CDATA && bytes.size && *bytes.ptr == '\n') {
        chain_append(chain, pool, SPAN("&#10;"));
        bytes = span_skip(bytes, 1);
    }
    while (bytes.size) {
        size_t clean = 0;
        while (clean < bytes.size && is_clean(bytes.ptr[clean], position))
            clean++;
        chain_append(chain, pool, span_of(bytes.ptr, clean));
        bytes = span_skip(bytes, clean);
        if (bytes.size == 0)
            return;
        /* A run of characters that are not clean, many at a time. */
        char *room = chain_reserve(chain, pool, PIECE);
        size_t used = 0;
        while (bytes.size && used + UNIT_MAX <= PIECE && !is_clean(*bytes.ptr, position)) {
            char copy[4];
            struct span unit = take_unit(&bytes, position, copy);
            memcpy(room + used, unit.ptr, unit.size);
            used += unit.size;
        }
        chain_commit(chain, used);
    }
}
