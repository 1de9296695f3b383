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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex__every_byte__two_digits_as_printf_writes_them),
        cmocka_unit_test(hex__several_bytes__in_order_and_nothing_behind),
        cmocka_unit_test(span_copy__bytes__own_memory_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
