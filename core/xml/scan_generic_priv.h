/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Generic scanner: a byte at a time by table. The reference, and the tail of the vector ones.
 */
#include "core/xml/chars_priv.h"

#define SCAN_NAME_MAX 32u /* a longer name goes the careful way */

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

static inline uint32_t scan_name_bytes(const char *p, const char *end)
{
    uint32_t size = 0;
    while (size < SCAN_NAME_MAX && p + size < end && (xml_class[(uint8_t)p[size]] & CLASS_NAME))
        size++;
    return size;
}
