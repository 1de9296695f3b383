/* SPDX-License-Identifier: MIT */
/* The resolver's settings, as the configuration has them. */
#include "router/s2s/resolver_config.h"

#include "router/admin/config.h"
#include "router/s2s/static_route.h"
#include "tests/unit/core/suite.h"

/* s2s.routes, s2s.nameservers and s2s.dnssec_anchor alone; all else is zero. */
static bool init(struct resolver_config *resolver, const char *routes, const char *nameservers, struct err *err)
{
    struct config config = {
        .s2s_routes = (char *)(uintptr_t)routes,
        .s2s_nameservers = (char *)(uintptr_t)nameservers,
        .s2s_dnssec_anchor = (char *)(uintptr_t) "",
    };
    *err = (struct err){""};
    return resolver_config_init(resolver, &config, err);
}

static void settings__nothing_configured__the_defaults(void **state)
{
    (void)state;
    struct resolver_config resolver;
    struct err err;
    assert_true(init(&resolver, "", "", &err));
    assert_int_equal(resolver.settings.route_count, 0);
    assert_int_equal(resolver.settings.nameserver_count, 0);
    assert_null(resolver.settings.anchor_file);
    assert_false(resolver.settings.policy.allow_private);
    assert_int_equal(resolver.settings.timeout_ms, resolver_settings_default.timeout_ms);
    resolver_config_fini(&resolver);
}

static void settings__policy_and_anchor__as_configured(void **state)
{
    (void)state;
    struct resolver_config resolver;
    struct err err;
    struct config config = {
        .s2s_routes = (char *)(uintptr_t) "",
        .s2s_nameservers = (char *)(uintptr_t) "",
        .s2s_dnssec_anchor = (char *)(uintptr_t) "/etc/root.key",
        .s2s_allow_private = true,
    };
    assert_true(resolver_config_init(&resolver, &config, &err));
    assert_string_equal(resolver.settings.anchor_file, "/etc/root.key");
    assert_true(resolver.settings.policy.allow_private);
    resolver_config_fini(&resolver);
}

/* Blanks and commas in any number part the words; the order is kept, and a domain may have several routes. */
static void routes__several__in_their_order(void **state)
{
    (void)state;
    struct resolver_config resolver;
    struct err err;
    assert_true(
        init(&resolver, " a.example=10.0.0.1,,b.example=[fd00::1]:5270/tls ,  a.example=10.0.0.2:99,", "", &err));
    assert_int_equal(resolver.settings.route_count, 3);
    const struct static_route *routes = resolver.settings.routes;
    assert_string_equal(routes[0].domain, "a.example");
    assert_string_equal(routes[0].host, "10.0.0.1");
    assert_int_equal(routes[0].port, 5269);
    assert_string_equal(routes[1].domain, "b.example");
    assert_true(routes[1].is_direct_tls);
    assert_string_equal(routes[2].host, "10.0.0.2");
    assert_int_equal(routes[2].port, 99);
    resolver_config_fini(&resolver);
}

static void routes__one_of_them_wrong__refused_with_key_and_word(void **state)
{
    (void)state;
    static const char *const texts[] = {"a.example=10.0.0.1 wrong", "wrong", "wrong,a.example=10.0.0.1",
                                        "w w w w w w w wrong"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct resolver_config resolver;
        struct err err;
        assert_false(init(&resolver, texts[i], "", &err));
        assert_non_null(strstr(err.text, "s2s.routes"));
        assert_non_null(strstr(err.text, "w"));
        assert_null(resolver.routes); /* nothing is left to be freed */
        assert_null(resolver.words);
    }
}

static void nameservers__up_to_the_limit__kept(void **state)
{
    (void)state;
    struct resolver_config resolver;
    struct err err;
    assert_true(init(&resolver, "", "192.0.2.1 192.0.2.2@5353,::1", &err));
    assert_int_equal(resolver.settings.nameserver_count, 3);
    assert_string_equal(resolver.settings.nameservers[1], "192.0.2.2@5353");
    assert_string_equal(resolver.settings.nameservers[2], "::1");
    resolver_config_fini(&resolver);
    assert_true(init(&resolver, "", "::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8", &err));
    assert_int_equal(resolver.settings.nameserver_count, RESOLVER_NAMESERVERS_MAX);
    resolver_config_fini(&resolver);
}

static void nameservers__too_many__refused(void **state)
{
    (void)state;
    struct resolver_config resolver;
    struct err err;
    assert_false(init(&resolver, "a.example=10.0.0.1", "::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9", &err));
    assert_non_null(strstr(err.text, "s2s.nameservers"));
    assert_null(resolver.routes);
}

static void nameservers__that_are_none__refused_with_key_and_word(void **state)
{
    (void)state;
    static const char *const good[] = {"192.0.2.1", "::1@53", "192.0.2.1@65535", "fe80::1%eth0", "fe80::1%eth0@5353"};
    static const char *const bad[] = {"nowhere",       "192.0.2",         "192.0.2.1@",      "192.0.2.1@0",
                                      "192.0.2.1@dns", "192.0.2.1@5353x", "192.0.2.1@65536", "192.0.2.1%eth0",
                                      "[::1]",         "192.0.2.1:53"};
    struct resolver_config resolver;
    struct err err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(init(&resolver, "", good[i], &err));
        resolver_config_fini(&resolver);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(init(&resolver, "", bad[i], &err));
        assert_non_null(strstr(err.text, "s2s.nameservers"));
        assert_non_null(strstr(err.text, bad[i]));
    }
}

/* The anchors are looked at where they are wanted. */
static void check__of_anchors__readable_where_other_servers_are_on(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool is_enabled, is_good;
    } cases[] = {{"", true, true},
                 {"/dev/null", true, true},
                 {"/nonexistent/root.key", true, false},
                 {"/tmp", true, false},
                 {"/nonexistent/root.key", false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {""};
        struct config config = {
            .s2s_enabled = cases[i].is_enabled,
            .s2s_routes = (char *)(uintptr_t) "",
            .s2s_nameservers = (char *)(uintptr_t) "",
            .s2s_dnssec_anchor = cases[i].path,
        };
        assert_int_equal(resolver_config_check(&config, &err), cases[i].is_good);
        assert_true(cases[i].is_good || (strstr(err.text, "s2s.dnssec_anchor") && strstr(err.text, cases[i].path)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings__nothing_configured__the_defaults),
        cmocka_unit_test(settings__policy_and_anchor__as_configured),
        cmocka_unit_test(routes__several__in_their_order),
        cmocka_unit_test(routes__one_of_them_wrong__refused_with_key_and_word),
        cmocka_unit_test(nameservers__up_to_the_limit__kept),
        cmocka_unit_test(nameservers__too_many__refused),
        cmocka_unit_test(nameservers__that_are_none__refused_with_key_and_word),
        cmocka_unit_test(check__of_anchors__readable_where_other_servers_are_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
