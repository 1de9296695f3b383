/* SPDX-License-Identifier: MIT */
#include "core/base/utf8.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

/*
 * An independent decoder, written from the definition instead of the syntax: take the bits, then refuse what has a
 * shorter form, is a surrogate or is too large (RFC 3629 s3). Slow and without the ranges that utf8.c is made of.
 */
static unsigned slow_decode(const unsigned char *at, size_t size, uint32_t *code_point)
{
    static const struct {
        unsigned mask, lead, bits;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 7, 0}, {0xe0, 0xc0, 5, 0x80}, {0xf0, 0xe0, 4, 0x800}, {0xf8, 0xf0, 3, 0x10000}};
    for (unsigned form = 0; form < 4; form++) {
        if ((at[0] & forms[form].mask) != forms[form].lead)
            continue;
        if (size < form + 1)
            return 0;
        uint32_t value = at[0] & ((1u << forms[form].bits) - 1);
        for (unsigned i = 1; i <= form; i++) {
            if (at[i] / 64 != 2)
                return 0;
            value = value * 64 + at[i] % 64;
        }
        if (value < forms[form].min || value > 0x10ffff || value / 0x800 == 0xd800 / 0x800)
            return 0;
        *code_point = value;
        return form + 1;
    }
    return 0;
}

static bool slow_is_valid(const unsigned char *at, size_t size)
{
    uint32_t code_point;
    while (size > 0) {
        unsigned part = slow_decode(at, size, &code_point);
        if (part == 0)
            return false;
        at += part;
        size -= part;
    }
    return true;
}

/* One failing comparison is worth a message; millions of cmocka assertions are not worth the time. */
static void check_same(const unsigned char *bytes, size_t size)
{
    uint32_t wanted_point = 0, point = 0;
    unsigned wanted = slow_decode(bytes, size, &wanted_point);
    unsigned got = utf8_decode(span_of(bytes, size), &point);
    if (got != wanted || (got != 0 && point != wanted_point))
        fail_msg("decode of %02x %02x %02x %02x, size %zu: %u U+%04X, wanted %u U+%04X", bytes[0], bytes[1], bytes[2],
                 bytes[3], size, got, (unsigned)point, wanted, (unsigned)wanted_point);
    if (utf8_is_valid(span_of(bytes, size)) != slow_is_valid(bytes, size))
        fail_msg("is_valid of %02x %02x %02x %02x, size %zu", bytes[0], bytes[1], bytes[2], bytes[3], size);
}

/* Every sequence of one and two bytes; for three and four bytes every first two bytes with every class of the rest:
 * the last byte matters only by its top bits, and its borders are all here. */
static void utf8_decode__all_sequences__as_the_slow_decoder(void **state)
{
    (void)state;
    static const unsigned char classes[] = {0x00, 0x22, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xa1, 0xbe,
                                            0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xff};
    enum { CLASS_COUNT = sizeof classes };
    unsigned char bytes[4] = {0};
    for (unsigned two = 0; two < 65536; two++) {
        bytes[0] = (unsigned char)(two >> 8);
        bytes[1] = (unsigned char)two;
        check_same(bytes, 1);
        check_same(bytes, 2);
        for (unsigned c = 0; c < CLASS_COUNT; c++) {
            bytes[2] = classes[c];
            bytes[3] = 0;
            check_same(bytes, 3);
            /* Four bytes differ from three only where the first one asks for four. */
            unsigned last_count = bytes[0] >= 0xf0 ? CLASS_COUNT : 2;
            for (unsigned d = 0; d < last_count; d++) {
                bytes[3] = classes[d * (last_count == 2 ? 3 : 1)];
                check_same(bytes, 4);
            }
        }
    }
}

static void utf8_encode__every_code_point__round_trip_or_refusal(void **state)
{
    (void)state;
    for (uint32_t point = 0; point < 0x120000; point++) {
        char out[4];
        unsigned size = utf8_encode(point, out);
        bool is_scalar = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
        uint32_t back = 0;
        if ((size != 0) != is_scalar)
            fail_msg("encode of U+%04X: %u", (unsigned)point, size);
        if (size != 0 && (slow_decode((unsigned char *)out, size, &back) != size || back != point))
            fail_msg("encode of U+%04X gives U+%04X", (unsigned)point, (unsigned)back);
    }
    char out[4];
    assert_int_equal(utf8_encode(UINT32_MAX, out), 0);
}

/* Bad bytes at every place around the eight-byte steps of the ASCII fast path. */
static void utf8_is_valid__damage_anywhere_in_text__false(void **state)
{
    (void)state;
    static const char text[] = "plain text, gr\xc3\xbc\xc3\x9f"
                               "e, \xe2\x82\xac, \xf0\x9f\x98\x80 and plain text again";
    unsigned char bytes[sizeof text];
    assert_true(utf8_is_valid(span_str(text)));
    for (size_t at = 0; at < sizeof text - 1; at++) {
        static const unsigned char bad[] = {0x80, 0xbf, 0xc0, 0xc1, 0xf5, 0xfe, 0xff};
        for (size_t b = 0; b < sizeof bad; b++) {
            memcpy(bytes, text, sizeof text);
            bytes[at] = bad[b];
            assert_int_equal(utf8_is_valid(span_of(bytes, sizeof text - 1)), slow_is_valid(bytes, sizeof text - 1));
        }
        assert_int_equal(utf8_is_valid(span_of(text, at)), slow_is_valid((const unsigned char *)text, at));
    }
    assert_true(utf8_is_valid(SPAN_NONE));
    assert_true(utf8_is_valid(SPAN("\0")));
}

static void utf8_is_valid__random_bytes__as_the_slow_decoder(void **state)
{
    (void)state;
    struct dice dice = dice_seeded("utf8", 8);
    for (int i = 0; i < 20000; i++) {
        unsigned char bytes[48];
        size_t size = 0;
        while (size < 40 && dice_below(&dice, 20) != 0) {
            uint32_t point = (uint32_t)dice_throw(&dice) >> (11 + dice_below(&dice, 20));
            size += utf8_encode(point, (char *)bytes + size);
        }
        if (size > 0 && dice_below(&dice, 2) == 0)
            bytes[dice_below(&dice, (uint32_t)size)] ^= (unsigned char)(1u << dice_below(&dice, 8));
        assert_int_equal(utf8_is_valid(span_of(bytes, size)), slow_is_valid(bytes, size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_decode__all_sequences__as_the_slow_decoder),
        cmocka_unit_test(utf8_encode__every_code_point__round_trip_or_refusal),
        cmocka_unit_test(utf8_is_valid__damage_anywhere_in_text__false),
        cmocka_unit_test(utf8_is_valid__random_bytes__as_the_slow_decoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
