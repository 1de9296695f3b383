/* SPDX-License-Identifier: MIT */
/* Which domains may be spoken to. */
#include "router/s2s/access.h"
#include "router/admin/config.h"
#include "tests/unit/core/suite.h"

static void access__of_lists__deny_is_stronger(void **state)
{
    (void)state;
    static const struct {
        const char *allow, *deny, *domain;
        bool is_permitted;
    } cases[] = {
        {"", "", "example.org", true},
        {"", "example.org", "example.org", false},
        {"", "example.org", "sub.example.org", true},
        {"", "example.org", "example.or", true},
        {"", "example.org", "xexample.org", true},
        {"", "*.example.org", "sub.example.org", false},
        {"", "*.example.org", "a.b.example.org", false},
        {"", "*.example.org", "example.org", true},
        {"", "*.example.org", "xexample.org", true},
        {"", "*.org", "example.org", false},
        {"", "a.example, b.example", "b.example", false},
        {"example.org", "", "example.org", true},
        {"example.org", "", "example.net", false},
        {"*.example.org", "", "sub.example.org", true},
        {"*.example.org", "", "example.org", false},
        {"*.example.org, example.org", "bad.example.org", "example.org", true},
        {"*.example.org, example.org", "bad.example.org", "good.example.org", true},
        {"*.example.org, example.org", "bad.example.org", "bad.example.org", false},
        {"example.org", "*.org", "example.org", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char allow[64], deny[64];
        const char *const settings[] = {allow, deny};
        struct err err = {""};
        snprintf(allow, sizeof allow, "s2s.allow=%s", cases[i].allow);
        snprintf(deny, sizeof deny, "s2s.deny=%s", cases[i].deny);
        struct config *config = config_load(NULL, settings, 2, &err);
        if (!config)
            fail_msg("%s", err.text);
        if (access_permits(config, span_str(cases[i].domain)) != cases[i].is_permitted)
            fail_msg("allow %s deny %s: %s", cases[i].allow, cases[i].deny, cases[i].domain);
        config_unref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(access__of_lists__deny_is_stronger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
