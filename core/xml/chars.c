/* SPDX-License-Identifier: MIT */
#include "core/xml/chars_priv.h"

#define N (CLASS_NAME | T)
#define S (CLASS_NAME_START | N)
#define B (CLASS_SPACE | CLASS_TEXT) /* a space that a value turns into U+0020 */
#define P (CLASS_SPACE | T)
#define T (Q | CLASS_WRITTEN)
#define Q (CLASS_TEXT | CLASS_VALUE) /* quotes */
#define V CLASS_VALUE
/* clang-format off */
const uint8_t xml_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, B, B, 0, 0, B, 0, 0, /* 00 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
    P, T, Q, T, T, T, 0, Q, T, T, T, T, T, N, N, T, /* 20   ! " # $ % & ' ( ) * + , - . / */
    N, N, N, N, N, N, N, N, N, N, T, T, 0, T, V, T, /* 30 0 1 2 3 4 5 6 7 8 9 : ; < = > ? */
    T, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* 40 @ A..O */
    S, S, S, S, S, S, S, S, S, S, S, T, T, T, T, S, /* 50 P..Z [ \ ] ^ _ */
    T, S, S, S, S, S, S, S, S, S, S, S, S, S, S, S, /* 60 ` a..o */
    S, S, S, S, S, S, S, S, S, S, S, T, T, T, T, T, /* 70 p..z { | } ~ DEL */
};
/* clang-format on */
#undef N
#undef S
#undef B
#undef P
#undef T
#undef Q
#undef V

struct range {
    uint32_t first, last;
};

static const struct range starts[] = {
    {0xc0, 0xd6},     {0xd8, 0xf6},     {0xf8, 0x2ff},    {0x370, 0x37d},   {0x37f, 0x1fff},  {0x200c, 0x200d},
    {0x2070, 0x218f}, {0x2c00, 0x2fef}, {0x3001, 0xd7ff}, {0xf900, 0xfdcf}, {0xfdf0, 0xfffd}, {0x10000, 0xeffff},
};

bool xml_is_name_start(uint32_t code)
{
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        if (code <= starts[i].last)
            return code >= starts[i].first;
    }
    return false;
}

bool xml_is_name(uint32_t code)
{
    return xml_is_name_start(code) || code == 0xb7 || (code >= 0x300 && code <= 0x36f) || code == 0x203f ||
           code == 0x2040;
}
