/* SPDX-License-Identifier: MIT */
#include "core/base/base64.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A character's value, or 64 if it is none of the alphabet. Computed without a table lookup at an index that depends
 * on the character: what is decoded here are passwords and proofs, and a table would leave their trace in the cache. */
static inline uint32_t value_of(unsigned char c)
{
    uint32_t upper = (uint32_t)(unsigned char)(c - 'A');
    uint32_t lower = (uint32_t)(unsigned char)(c - 'a');
    uint32_t digit = (uint32_t)(unsigned char)(c - '0');
    uint32_t value = 64;
    value = upper < 26 ? upper : value;
    value = lower < 26 ? lower + 26 : value;
    value = digit < 10 ? digit + 52 : value;
    value = c == '+' ? 62 : value;
    value = c == '/' ? 63 : value;
    return value;
}

size_t base64_encode(struct span bytes, char *out)
{
    char *start = out;
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    size_t left = bytes.size;
    for (; left >= 3; left -= 3, at += 3) {
        uint32_t group = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = alphabet[group >> 6 & 63];
        *out++ = alphabet[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)at[0] << 16 | (left == 2 ? (uint32_t)at[1] << 8 : 0);
        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        *out++ = left == 2 ? alphabet[group >> 6 & 63] : '=';
        *out++ = '=';
    }
    return (size_t)(out - start);
}

bool base64_decode(struct span text, char *out, size_t *out_size)
{
    if (text.size % 4 != 0)
        return false;
    size_t padding = 0;
    if (text.size > 0 && text.ptr[text.size - 1] == '=')
        padding = text.ptr[text.size - 2] == '=' ? 2 : 1;

    char *start = out;
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t whole = padding > 0 ? text.size - 4 : text.size;
    uint32_t bad = 0;
    for (size_t i = 0; i < whole; i += 4, at += 4) {
        uint32_t a = value_of(at[0]), b = value_of(at[1]), c = value_of(at[2]), d = value_of(at[3]);
        bad |= (a | b | c | d) & 64;
        uint32_t group = a << 18 | b << 12 | c << 6 | d;
        *out++ = (char)(group >> 16);
        *out++ = (char)(group >> 8);
        *out++ = (char)group;
    }
    if (padding > 0) {
        /* The bits behind the last byte must be zero (RFC 4648 s3.5): one text for one value. */
        uint32_t a = value_of(at[0]), b = value_of(at[1]), c = padding == 1 ? value_of(at[2]) : 0;
        bad |= (a | b | c) & 64;
        bad |= padding == 1 ? c & 3 : b & 15;
        *out++ = (char)(a << 2 | b >> 4);
        if (padding == 1)
            *out++ = (char)(b << 4 | c >> 2);
    }
    *out_size = (size_t)(out - start);
    return bad == 0;
}
