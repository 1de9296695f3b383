/* SPDX-License-Identifier: MIT */
#include "core/base/utf8.h"

static inline bool is_tail(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The syntax of RFC 3629 s4: the second byte's range, which depends on the first, is what keeps overlong forms,
 * surrogates and everything above U+10FFFF out. */
unsigned utf8_decode(struct span bytes, uint32_t *code_point)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    uint32_t first = at[0];
    if (first < 0x80) {
        *code_point = first;
        return 1;
    }
    if (first < 0xc2 || first > 0xf4)
        return 0;
    if (first < 0xe0) {
        if (bytes.size < 2 || !is_tail(at[1]))
            return 0;
        *code_point = (first & 0x1f) << 6 | (at[1] & 0x3fu);
        return 2;
    }
    if (first < 0xf0) {
        unsigned char low = first == 0xe0 ? 0xa0 : 0x80;
        unsigned char high = first == 0xed ? 0x9f : 0xbf;
        if (bytes.size < 3 || at[1] < low || at[1] > high || !is_tail(at[2]))
            return 0;
        *code_point = (first & 0x0f) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
        return 3;
    }
    unsigned char low = first == 0xf0 ? 0x90 : 0x80;
    unsigned char high = first == 0xf4 ? 0x8f : 0xbf;
    if (bytes.size < 4 || at[1] < low || at[1] > high || !is_tail(at[2]) || !is_tail(at[3]))
        return 0;
    *code_point = (first & 0x07) << 18 | (at[1] & 0x3fu) << 12 | (at[2] & 0x3fu) << 6 | (at[3] & 0x3fu);
    return 4;
}

bool utf8_is_valid(struct span bytes)
{
    while (bytes.size > 0) {
        /* Most text is ASCII: eight bytes at a time until one has its top bit set. */
        uint64_t word;
        if (bytes.size >= sizeof word) {
            memcpy(&word, bytes.ptr, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                bytes = span_skip(bytes, sizeof word);
                continue;
            }
        }
        uint32_t code_point;
        unsigned size = utf8_decode(bytes, &code_point);
        if (size == 0)
            return false;
        bytes = span_skip(bytes, size);
    }
    return true;
}

unsigned utf8_encode(uint32_t code_point, char out[4])
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xc0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        if (code_point >= 0xd800 && code_point <= 0xdfff)
            return 0;
        out[0] = (char)(0xe0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    if (code_point > 0x10ffff)
        return 0;
    out[0] = (char)(0xf0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}
