/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Generic scanner: a byte at a time by table. The reference, and the tail of the vector ones.
 */
#include "core/xml/chars_priv.h"

#include <endian.h>

#define SCAN_NAME_MAX 32u /* a longer name goes the careful way */

/* The size of one of the five entity references, whole, at '&'; 0: the careful way has to look. One question for all
 * five, as which of them comes next is what no branch predictor knows. */
static inline uint32_t scan_reference(const char *p, const char *end)
{
    if (end - p < 6)
        return 0;
    uint32_t word = 0;
    memcpy(&word, p + 1, sizeof word);
    word = le32toh(word);
    uint32_t two = word & 0xffff;
    bool is_short = ((word & 0xff0000) == 0x3b0000) & ((two == 0x746c) | (two == 0x7467)); /* "lt;", "gt;" */
    bool is_long = ((word == 0x736f7061) | (word == 0x746f7571)) & (p[5] == ';');          /* "apos;", "quot;" */
    bool is_amp = word == 0x3b706d61;                                                      /* "amp;" */
    return is_short * 4u + is_amp * 5u + is_long * 6u;
}

static inline const char *scan_text_bytes(const char *p, const char *end, bool *refers)
{
    for (;;) {
        while (p < end && (xml_class[(uint8_t)*p] & CLASS_TEXT))
            p++;
        uint32_t size = p < end && *p == '&' ? scan_reference(p, end) : 0;
        if (size == 0)
            return p;
        *refers = true;
        p += size;
    }
}

static inline const char *scan_value_bytes(const char *p, const char *end, char quote)
{
    while (p < end && (xml_class[(uint8_t)*p] & CLASS_VALUE) && *p != quote)
        p++;
    return p;
}

static inline uint32_t scan_name_bytes(const char *p, const char *end)
{
    uint32_t size = 0;
    while (size < SCAN_NAME_MAX && p + size < end && (xml_class[(uint8_t)p[size]] & CLASS_NAME))
        size++;
    return size;
}
