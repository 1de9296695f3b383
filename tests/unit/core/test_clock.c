/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "tests/unit/core/suite.h"

static void clock_text__seconds__as_xep_0082_has_them(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00Z"},
                 {951782399, "2000-02-28T23:59:59Z"},
                 {951782400, "2000-02-29T00:00:00Z"},
                 {4102444800, "2100-01-01T00:00:00Z"},
                 {-1, "1969-12-31T23:59:59Z"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[CLOCK_TEXT_SIZE];
        assert_true(clock_text(cases[i].seconds, text));
        assert_string_equal(text, cases[i].text);
    }
}

static void clock_text__beyond_the_calendar__unknown(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    assert_false(clock_text(INT64_MAX, text));
    assert_string_equal(text, "unknown");
    assert_false(clock_text(INT64_MIN, text));
}

static void clocks__read_twice__go_on_and_agree(void **state)
{
    (void)state;
    uint64_t before_ns = clock_mono_ns();
    assert_true(clock_mono_ns() >= before_ns);
    assert_true(clock_mono_ms() >= before_ns / 1000000);
    assert_true(clock_wall_ms() > 1700000000000);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(clock_text__seconds__as_xep_0082_has_them),
        cmocka_unit_test(clock_text__beyond_the_calendar__unknown),
        cmocka_unit_test(clocks__read_twice__go_on_and_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
