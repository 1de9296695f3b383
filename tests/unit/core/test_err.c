/* SPDX-License-Identifier: MIT */
#include "core/base/err.h"
#include "tests/unit/core/suite.h"

#include <string.h>

static void err_set__formats__text(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, "port %d is taken", 5222);
    assert_string_equal(err.text, "port 5222 is taken");
}

static void err_prefix__text_there__before_it(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, "no such key");
    err_prefix(&err, "line %d", 7);
    err_prefix(&err, "%s", "sluice.conf");
    assert_string_equal(err.text, "sluice.conf: line 7: no such key");
    err_prefix(&err, "[%s]", err.text); /* its own text as an argument */
    assert_string_equal(err.text, "[sluice.conf: line 7: no such key]: sluice.conf: line 7: no such key");
}

static void err_set__longer_than_the_room__cut_with_nul(void **state)
{
    (void)state;
    struct err err;
    char text[1000];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    err_set(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    err_prefix(&err, "why");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "why: xxx", 8);
    err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_string_equal(err.text + sizeof err.text - 3, ": ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_set__formats__text),
        cmocka_unit_test(err_prefix__text_there__before_it),
        cmocka_unit_test(err_set__longer_than_the_room__cut_with_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
