/* SPDX-License-Identifier: MIT */
/* Static routes, as the operator writes them. */
#include "router/s2s/static_route.h"
#include "tests/unit/core/suite.h"

static void route__good_texts__read(void **state)
{
    (void)state;
    static const struct {
        const char *text, *domain, *host;
        uint16_t port;
        bool is_direct_tls;
    } cases[] = {
        {"example.net=10.0.0.5:5269", "example.net", "10.0.0.5", 5269, false},
        {"Example.NET=10.0.0.5", "example.net", "10.0.0.5", 5269, false},
        {"example.net=[fd00:0::1]:5270/tls", "example.net", "fd00::1", 5270, true},
        {"example.net=[fd00::1]", "example.net", "fd00::1", 5269, false},
        {"example.net=XMPP.internal:1/tls", "example.net", "xmpp.internal", 1, true},
        {"b\xc3\xbc"
         "cher.example=b\xc3\xbc"
         "cher.internal:65535",
         "b\xc3\xbc"
         "cher.example",
         "xn--bcher-kva.internal", 65535, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct static_route route;
        struct err err = {""};
        if (!static_route_parse(cases[i].text, &route, &err))
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_string_equal(route.domain, cases[i].domain);
        assert_string_equal(route.host, cases[i].host);
        assert_int_equal(route.port, cases[i].port);
        assert_int_equal(route.is_direct_tls, cases[i].is_direct_tls);
    }
}

static void route__bad_texts__refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "example.net",
                                      "=10.0.0.5:5269",
                                      "example.net=",
                                      "example.net=:5269",
                                      "example.net=10.0.0.5:0",
                                      "example.net=10.0.0.5:65536",
                                      "example.net=10.0.0.5:x",
                                      "example.net=10.0.0.5:",
                                      "example.net=fd00::1:5269",
                                      "example.net=[fd00::1",
                                      "example.net=[10.0.0.5]:5269",
                                      "example.net=a b:5269",
                                      "exa mple=10.0.0.5",
                                      "example.net=10.0.0.5:5269/ssl"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct static_route route;
        struct err err = {""};
        if (static_route_parse(bad[i], &route, &err))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(strlen(err.text) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route__good_texts__read),
        cmocka_unit_test(route__bad_texts__refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
