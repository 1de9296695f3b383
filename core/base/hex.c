/* SPDX-License-Identifier: MIT */
#include "core/base/hex.h"

void hex_encode(struct span bytes, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        out[2 * i] = digits[(unsigned char)bytes.ptr[i] >> 4];
        out[2 * i + 1] = digits[bytes.ptr[i] & 15];
    }
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool hex_decode(struct span text, uint8_t *out, size_t room, size_t *size)
{
    *size = 0;
    while (text.size > 0) {
        if (*size > 0 && text.ptr[0] == ':')
            text = span_skip(text, 1);
        int high = text.size > 1 ? digit(text.ptr[0]) : -1, low = text.size > 1 ? digit(text.ptr[1]) : -1;
        if (high < 0 || low < 0 || *size == room)
            return false;
        out[(*size)++] = (uint8_t)(high << 4 | low);
        text = span_skip(text, 2);
    }
    return true;
}
