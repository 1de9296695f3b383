/* SPDX-License-Identifier: MIT */
#include "bench/seats.h"

#include "tests/unit/core/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Reads count numbers of a file with that text. */
static uint32_t *read_text(const char *text, uint32_t count, struct err *err)
{
    char path[] = "/tmp/test-seats-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    uint32_t *seats = seats_read(path, count, err);
    unlink(path);
    return seats;
}

static void seats__numbers__in_order(void **state)
{
    (void)state;
    struct err err = {0};
    uint32_t *seats = read_text("7 0\n199  3 4", 4, &err);
    assert_non_null(seats);
    assert_int_equal(seats[0], 7);
    assert_int_equal(seats[1], 0);
    assert_int_equal(seats[2], 199);
    assert_int_equal(seats[3], 3);
    free(seats);
}

static void seats__too_few_or_none__said_why(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1 2", "1 x 3", "x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct err err = {0};
        assert_null(read_text(texts[i], 3, &err));
        assert_non_null(strstr(err.text, "3 sessions"));
    }
    struct err err = {0};
    assert_null(seats_read("/nowhere/at/all", 1, &err));
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seats__numbers__in_order),
        cmocka_unit_test(seats__too_few_or_none__said_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
