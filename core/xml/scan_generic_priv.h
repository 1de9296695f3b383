/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Generic scanner: a byte at a time by table. The reference, and the tail of the vector ones.
 */
#include "core/xml/chars_priv.h"

#define SCAN_NAME_MAX 32u /* a longer name goes the careful way */

struct scan_name_result {
    uint32_t size;
    uint32_t colons; /* bit i: byte i is ':' */
};

static inline const char *scan_text_bytes(const char *p, const char *end)
{
    while (p < end && (xml_class[(uint8_t)*p] & CLASS_TEXT))
        p++;
    return p;
}

static inline const char *scan_value_bytes(const char *p, const char *end, char quote)
{
    while (p < end && (xml_class[(uint8_t)*p] & CLASS_VALUE) && *p != quote)
        p++;
    return p;
}

static inline struct scan_name_result scan_name_bytes(const char *p, const char *end)
{
    struct scan_name_result r = {0, 0};
    while (r.size < SCAN_NAME_MAX && p + r.size < end) {
        char c = p[r.size];
        if (c == ':')
            r.colons |= 1u << r.size;
        else if (!(xml_class[(uint8_t)c] & CLASS_NAME))
            break;
        r.size++;
    }
    return r;
}
