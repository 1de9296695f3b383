/* SPDX-License-Identifier: MIT */
#include "bench/histogram.h"

#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

#include <stdlib.h>
#include <string.h>

static struct histogram histogram, other;

static int clear(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof histogram);
    memset(&other, 0, sizeof other);
    return 0;
}

static void histogram_at__nothing_recorded__zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_at(&histogram, 0.5), 0);
    assert_int_equal(histogram_at(&histogram, 1), 0);
}

static void histogram_at__one_value__that_value(void **state)
{
    (void)state;
    histogram_record(&histogram, 1234567);
    assert_int_equal(histogram_at(&histogram, 0), 1234567);
    assert_int_equal(histogram_at(&histogram, 0.5), 1234567);
    assert_int_equal(histogram_at(&histogram, 1), 1234567);
}

static void histogram_at__small_values__exact(void **state)
{
    (void)state;
    for (uint64_t value = 1; value <= 100; value++)
        histogram_record(&histogram, value);
    assert_int_equal(histogram_at(&histogram, 0.5), 50);
    assert_int_equal(histogram_at(&histogram, 0.99), 99);
    assert_int_equal(histogram_at(&histogram, 1), 100);
}

static void histogram_record__beyond_the_range__counts_as_its_end(void **state)
{
    (void)state;
    histogram_record(&histogram, UINT64_MAX);
    assert_int_equal(histogram.count, 1);
    assert_int_equal(histogram_at(&histogram, 1), (UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1);
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Against the sorted values themselves: never below, and at most one cell's width (1 / 64) above. */
static void histogram_at__random_values__within_a_cell_of_the_exact_rank(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static uint64_t values[COUNT];
    struct dice dice = dice_seeded("histogram", 7);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = dice_throw(&dice) >> (24 + dice_below(&dice, 40));
        histogram_record(i % 2 ? &histogram : &other, values[i]);
    }
    histogram_merge(&histogram, &other);
    qsort(values, COUNT, sizeof *values, by_value);
    assert_int_equal(histogram.count, COUNT);
    assert_int_equal(histogram.max, values[COUNT - 1]);
    static const double shares[] = {0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t exact = values[(size_t)(shares[i] * COUNT + 0.999999) - 1];
        uint64_t told = histogram_at(&histogram, shares[i]);
        assert_true(told >= exact);
        assert_true(told - exact <= exact / 64);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(histogram_at__nothing_recorded__zero, clear),
        cmocka_unit_test_setup(histogram_at__one_value__that_value, clear),
        cmocka_unit_test_setup(histogram_at__small_values__exact, clear),
        cmocka_unit_test_setup(histogram_record__beyond_the_range__counts_as_its_end, clear),
        cmocka_unit_test_setup(histogram_at__random_values__within_a_cell_of_the_exact_rank, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
