/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "core/base/counters.h"
#include "tests/unit/core/suite.h"

#include <string.h>
#include <time.h>

static void counter_infos__every_row__complete_and_unique(void **state)
{
    (void)state;
    for (int i = 0; i < COUNTER_COUNT; i++) {
        const struct counter_info *info = &counter_infos[i];
        assert_non_null(info->name);
        assert_int_equal(strspn(info->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(info->name));
        assert_true(info->name[0] >= 'a' && info->name[0] <= 'z');
        assert_true(info->kind == COUNTER_TOTAL || info->kind == COUNTER_GAUGE);
        assert_int_equal(info->text[strlen(info->text) - 1], '.');
        for (int other = 0; other < i; other++)
            assert_string_not_equal(info->name, counter_infos[other].name);
    }
}

static void counter_add__sub_set__read(void **state)
{
    (void)state;
    static struct counters counters;
    counter_add(&counters, COUNTER_CONNECTIONS, 5);
    counter_sub(&counters, COUNTER_CONNECTIONS, 2);
    assert_int_equal(counter_read(&counters, COUNTER_CONNECTIONS), 3);
    counter_set(&counters, COUNTER_CONNECTIONS, 0);
    assert_int_equal(counter_read(&counters, COUNTER_CONNECTIONS), 0);
    assert_int_equal(counter_read(&counters, COUNTER_ACCEPTED), 0);
}

static void clock__read_twice__never_back_and_in_its_unit(void **state)
{
    (void)state;
    uint64_t ns = clock_mono_ns(), ms = clock_mono_ms();
    assert_true(clock_mono_ns() >= ns);
    assert_true(ms >= ns / 1000000 && ms < ns / 1000000 + 10000);
    int64_t wall = clock_wall_ms();
    int64_t seconds = (int64_t)time(NULL);
    assert_true(wall / 1000 <= seconds + 1 && wall / 1000 >= seconds - 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counter_infos__every_row__complete_and_unique),
        cmocka_unit_test(counter_add__sub_set__read),
        cmocka_unit_test(clock__read_twice__never_back_and_in_its_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
