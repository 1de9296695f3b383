/* SPDX-License-Identifier: MIT */
#include "core/base/hex.h"
#include "tests/unit/core/suite.h"

#include <stdio.h>

static void hex__every_byte__two_digits_as_printf_writes_them(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        char byte = (char)value, out[3] = "..", expected[3];
        hex_encode(span_of(&byte, 1), out);
        snprintf(expected, sizeof expected, "%02x", value);
        assert_string_equal(out, expected);
    }
}

static void hex__several_bytes__in_order_and_nothing_behind(void **state)
{
    (void)state;
    char out[] = "........";
    hex_encode(SPAN("\x01\xfe\x80"), out);
    assert_string_equal(out, "01fe80..");
    hex_encode(SPAN(""), out);
    assert_string_equal(out, "01fe80..");
}

static void span_copy__bytes__own_memory_with_a_nul(void **state)
{
    (void)state;
    char original[] = "abc";
    struct span copy = span_copy(span_of(original, 2));
    original[0] = 'x';
    assert_true(span_is(copy, "ab"));
    assert_memory_equal(copy.ptr, "ab", 3);
    span_free(&copy);
    assert_null(copy.ptr);
    copy = span_copy(SPAN_NONE);
    assert_non_null(copy.ptr);
    assert_int_equal(copy.size, 0);
    span_free(&copy);
}

static void decode__what_encode_wrote__the_same(void **state)
{
    (void)state;
    char text[513] = {0};
    uint8_t bytes[256], back[256];
    size_t size;
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    hex_encode(span_of(bytes, 256), text);
    assert_true(hex_decode(span_str(text), back, sizeof back, &size));
    assert_int_equal(size, 256);
    assert_memory_equal(back, bytes, 256);
    assert_false(hex_decode(span_str(text), back, sizeof back - 1, &size));
}

static void decode__digits_cases_and_colons__as_documented(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
        const char *bytes;
    } cases[] = {
        {"", true, ""},
        {"aB", true, "\xab"},
        {"01:fE:80", true, "\x01\xfe\x80"},
        {"01fe:80", true, "\x01\xfe\x80"},
        {"0", false, ""},
        {"012", false, ""},
        {":01", false, ""},
        {"01:", false, ""},
        {"01::02", false, ""},
        {"0:1", false, ""},
        {"0g", false, ""},
        {"01 02", false, ""},
        {"\x11\x11", false, ""},
        {"0102030405", false, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t out[4];
        size_t size;
        assert_int_equal(hex_decode(span_str(cases[i].text), out, sizeof out, &size), cases[i].is_good);
        if (cases[i].is_good) {
            assert_int_equal(size, strlen(cases[i].bytes));
            assert_memory_equal(out, cases[i].bytes, size);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode__what_encode_wrote__the_same),
        cmocka_unit_test(decode__digits_cases_and_colons__as_documented),
        cmocka_unit_test(hex__every_byte__two_digits_as_printf_writes_them),
        cmocka_unit_test(hex__several_bytes__in_order_and_nothing_behind),
        cmocka_unit_test(span_copy__bytes__own_memory_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
