/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Chars: the character classes of XML 1.0 5th edition (s2.2, s2.3) and strict UTF-8 (RFC 3629), a character at a time.
 */
#include "core/base/span.h"

#include <stdint.h>

enum xml_class {
    CLASS_NAME_START = 1, /* without ':' */
    CLASS_NAME = 2,       /* without ':' */
    CLASS_SPACE = 4,
    CLASS_TEXT = 8,     /* nothing to do in character data */
    CLASS_VALUE = 16,   /* nothing to do in an attribute value, quotes apart */
    CLASS_WRITTEN = 32, /* stands for itself in an attribute value that is written, whatever the quotes */
};

extern const uint8_t xml_class[256];

static inline bool xml_is_space(char c)
{
    return (xml_class[(uint8_t)c] & CLASS_SPACE) != 0;
}

#define UTF8_CUT 0 /* a valid beginning; more bytes are needed */
#define UTF8_BAD -1

/* Size of the character that starts with the byte >= 0x80 at p. */
static inline int xml_utf8_take(const char *at, const char *end, uint32_t *code)
{
    const uint8_t *p = (const uint8_t *)at;
    size_t n = (size_t)(end - at);
    uint32_t a = p[0];
    if (a < 0xc2 || a > 0xf4)
        return UTF8_BAD;
    if (n < 2)
        return UTF8_CUT;
    uint32_t b = p[1];
    uint32_t lowest = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    uint32_t highest = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (b < lowest || b > highest)
        return UTF8_BAD;
    if (a < 0xe0) {
        *code = (a & 0x1f) << 6 | (b & 0x3f);
        return 2;
    }
    if (n < 3)
        return UTF8_CUT;
    uint32_t c = p[2];
    if ((c & 0xc0) != 0x80)
        return UTF8_BAD;
    if (a < 0xf0) {
        *code = (a & 0x0f) << 12 | (b & 0x3f) << 6 | (c & 0x3f);
        return 3;
    }
    if (n < 4)
        return UTF8_CUT;
    uint32_t d = p[3];
    if ((d & 0xc0) != 0x80)
        return UTF8_BAD;
    *code = (a & 0x07) << 18 | (b & 0x3f) << 12 | (c & 0x3f) << 6 | (d & 0x3f);
    return 4;
}

/* Char, XML s2.2. */
static inline bool xml_is_char(uint32_t code)
{
    if (code < 0x20)
        return code == 0x9 || code == 0xa || code == 0xd;
    return code <= 0xd7ff || (code >= 0xe000 && code <= 0xfffd) || (code >= 0x10000 && code <= 0x10ffff);
}

/* NameStartChar and NameChar, XML s2.3, above U+007F. */
bool xml_is_name_start(uint32_t code);
bool xml_is_name(uint32_t code);
