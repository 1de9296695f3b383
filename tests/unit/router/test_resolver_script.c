/* SPDX-License-Identifier: MIT */
/* The whole way from a domain to its candidates, with the DNS from a script: what is found, and what is refused. */
#include "router/s2s/static_route.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/router/script_bed.h"

#include <stdio.h>

/*
 * SRV, merged and by priority.
 */

static void srv__both_services__merged_by_priority(void **state)
{
    (void)state;
    script_bed_hold(
        NULL,
        HOSTS "_xmpp-server._tcp.example.com SRV 10 0 5269 a.example\n"
              "_xmpps-server._tcp.example.com SRV 5 0 5270 b.example\n"
              "_xmpps-server._tcp.example.com SRV 20 0 443 a.example\n",
        "example.com",
        "found by srv, ttl 300: b.example:5270 tls [192.0.2.2] | a.example:5269 starttls [2001:db8::1 192.0.2.1] | "
        "a.example:443 tls [2001:db8::1 192.0.2.1]");
}

static void srv__one_host_of_many_records__asked_once(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings,
                    HOSTS "_xmpp-server._tcp.example.com SRV 1 0 5269 a.example\n"
                          "_xmpp-server._tcp.example.com SRV 2 0 5222 A.EXAMPLE\n"
                          "_xmpps-server._tcp.example.com SRV 3 0 5270 a.example\n");
    (void)script_bed_ask(&bed, "example.com");
    assert_int_equal(resolver_script_asked(bed.resolver, "a.example", 0), 2);
    assert_int_equal(resolver_script_asked(bed.resolver, "example.com", 0), 0);
    script_bed_close(&bed);
}

static void srv__direct_tls_declined__starttls_records_used(void **state)
{
    (void)state;
    script_bed_hold(NULL,
                    HOSTS "_xmpps-server._tcp.example.com SRV 0 0 0 .\n"
                          "_xmpp-server._tcp.example.com SRV 0 0 5269 b.example ttl=60\n",
                    "example.com", "found by srv, ttl 60: b.example:5269 starttls [192.0.2.2]");
}

/* Holds 6120:3.2.1/1. */
static void srv__declined__no_service_and_no_fallback(void **state)
{
    (void)state;
    const char *const scripts[] = {
        "example.com A 192.0.2.9\n_xmpp-server._tcp.example.com SRV 0 0 0 . ttl=600\n"
        "_xmpps-server._tcp.example.com SRV 0 0 0 . ttl=600\n",
        "example.com A 192.0.2.9\n_xmpp-server._tcp.example.com SRV 0 0 0 . ttl=600\n"
        "_xmpps-server._tcp.example.com * nodata ttl=600\n",
        /* XEP-0368 s5: the same when only direct TLS was declined. */
        "example.com A 192.0.2.9\n_xmpps-server._tcp.example.com SRV 0 0 0 . ttl=600\n"
        "_xmpp-server._tcp.example.com * nxdomain ttl=600\n",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        script_bed_hold(NULL, scripts[i], "example.com", "no-service, ttl 600");
}

static void srv__dot_among_others__ignored(void **state)
{
    (void)state;
    script_bed_hold(NULL,
                    HOSTS "_xmpp-server._tcp.example.com SRV 0 0 0 .\n"
                          "_xmpp-server._tcp.example.com SRV 1 0 5269 b.example\n",
                    "example.com", "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
}

static void srv__records_that_lead_nowhere__no_fallback(void **state)
{
    (void)state;
    static const char *const records[] = {
        "_xmpp-server._tcp.example.com SRV 1 0 5269 gone.example\n",
        "_xmpp-server._tcp.example.com SRV 1 0 0 b.example\n", /* no port */
        /* RFC 2782: "." has its meaning when it is the only record. */
        "_xmpp-server._tcp.example.com SRV 0 0 0 .\n_xmpp-server._tcp.example.com SRV 1 0 0 .\n",
    };
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        char script[1024];
        snprintf(script, sizeof script, HOSTS "example.com A 192.0.2.9\n%s", records[i]);
        script_bed_hold(NULL, script, "example.com", "no-address, ttl 300");
    }
}

static void srv__some_hosts_gone__the_others_remain(void **state)
{
    (void)state;
    script_bed_hold(NULL,
                    HOSTS "_xmpp-server._tcp.example.com SRV 1 0 5269 gone.example\n"
                          "_xmpp-server._tcp.example.com SRV 2 0 5269 failing.example\n"
                          "_xmpp-server._tcp.example.com SRV 3 0 5269 b.example\n"
                          "failing.example * fail\n",
                    "example.com", "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
}

static void srv__weights__both_come_first(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings,
                    HOSTS "_xmpp-server._tcp.example.com SRV 1 75 5269 a.example\n"
                          "_xmpp-server._tcp.example.com SRV 1 25 5269 b.example\n");
    unsigned first_a = 0;
    for (unsigned i = 0; i < 2000; i++) {
        (void)script_bed_ask(&bed, "example.com");
        first_a += strstr(bed.text, ": a.example") != NULL;
    }
    /* Cached all the time, drawn anew each time: 1500 +- 4 standard deviations of 19. */
    assert_true(first_a > 1420 && first_a < 1580);
    assert_int_equal(resolver_script_asked(bed.resolver, "a.example", DNS_A), 1);
    script_bed_close(&bed);
}

static void srv__as_many_as_allowed__used_and_one_more_refused(void **state)
{
    (void)state;
    char script[8192] = HOSTS;
    for (unsigned i = 0; i < RESOLVER_RECORDS_MAX; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script),
                 "_xmpp-server._tcp.example.com SRV %u 0 5269 b.example\n", i);
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, script);
    (void)script_bed_ask(&bed, "example.com");
    assert_int_equal(strncmp(bed.text, "found by srv", 12), 0);
    script_bed_close(&bed);
    strcat(script, "_xmpps-server._tcp.example.com SRV 0 0 5269 b.example\n");
    script_bed_hold(NULL, script, "example.com", "too-many, ttl 300");
}

static void srv__two_thousand_records__refused(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "");
    struct err err;
    for (unsigned i = 0; i < 2000; i++) {
        char line[128];
        snprintf(line, sizeof line, "_xmpp-server._tcp.example.com SRV 0 0 5269 h%u.example", i);
        assert_true(resolver_script_add(bed.resolver, line, &err));
    }
    (void)script_bed_ask(&bed, "example.com");
    assert_string_equal(bed.text, "too-many, ttl 300");
    assert_int_equal(resolver_script_asked(bed.resolver, "h0.example", 0), 0);
    script_bed_close(&bed);
}

/*
 * Fallback, literals, routes, names.
 */

static void fallback__no_records__the_domain_at_5269(void **state)
{
    (void)state;
    script_bed_hold(NULL, "example.com A 192.0.2.7\nexample.com AAAA 2001:db8::7\n", "example.com",
                    "found by fallback, ttl 300: example.com:5269 starttls [2001:db8::7 192.0.2.7]");
    script_bed_hold(NULL, "example.com AAAA 2001:db8::7 ttl=20 secure\n", "example.com",
                    "found by fallback, ttl 20: example.com:5269 starttls [2001:db8::7]");
}

static void fallback__nothing_there__told_apart(void **state)
{
    (void)state;
    script_bed_hold(NULL, "", "example.com", "no-such-domain, ttl 300");
    script_bed_hold(NULL, "example.com TLSA 3 1 1 00\n", "example.com", "no-address, ttl 300");
}

static void fallback__after_a_failure__not_tried(void **state)
{
    (void)state;
    script_bed_hold(NULL, "example.com A 192.0.2.7\n_xmpp-server._tcp.example.com * fail\n", "example.com",
                    "failed, ttl 30");
    script_bed_hold(NULL, "example.com A 192.0.2.7\n_xmpp-server._tcp.example.com * silent\n", "example.com",
                    "timeout, ttl 30");
    script_bed_hold(NULL, "example.com A 192.0.2.7\n_xmpps-server._tcp.example.com * bogus\n", "example.com",
                    "bogus, ttl 30");
    script_bed_hold(NULL,
                    "example.com A 192.0.2.7\n_xmpps-server._tcp.example.com SRV 0 0 0 .\n"
                    "_xmpp-server._tcp.example.com * fail\n",
                    "example.com", "failed, ttl 30");
}

static void literal__domain_is_an_address__no_question(void **state)
{
    (void)state;
    struct resolver_settings settings = script_bed_settings();
    script_bed_hold(NULL, "", "192.0.2.5", "found by literal, ttl 86400: 192.0.2.5:5269 starttls [192.0.2.5]");
    script_bed_hold(NULL, "", "[2001:db8::5]", "found by literal, ttl 86400: 2001:db8::5:5269 starttls [2001:db8::5]");
    settings.policy.allow_private = false;
    script_bed_hold(&settings, "", "127.0.0.1", "refused, ttl 3600");
    script_bed_hold(&settings, "", "[::1]", "refused, ttl 3600");
    script_bed_hold(&settings, "", "[::ffff:10.0.0.1]", "refused, ttl 3600");
    script_bed_hold(NULL, "", "[fe80::1%25eth0]", "bad-name, ttl 3600");
}

static void name__u_labels__asked_as_a_labels(void **state)
{
    (void)state;
    script_bed_hold(NULL, HOSTS "_xmpp-server._tcp.xn--bcher-kva.example SRV 0 0 5269 b.example\n",
                    "b\xc3\xbc"
                    "cher.example",
                    "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
}

static void name__no_dns_name__bad_name(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "");
    char label[65 + 8];
    memset(label, 'a', 64);
    memcpy(label + 64, ".com", 5);
    (void)script_bed_ask(&bed, label);
    assert_string_equal(bed.text, "bad-name, ttl 3600");
    (void)script_bed_ask(&bed, "a..b");
    assert_string_equal(bed.text, "bad-name, ttl 3600");
    (void)script_bed_ask(&bed, "exa mple");
    assert_string_equal(bed.text, "bad-name, ttl 3600");
    script_bed_close(&bed);
}

static void name__too_long_for_a_service__fallback_alone(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    char name[DNS_NAME_MAX + 1], script[512];
    for (unsigned i = 0; i < DNS_NAME_MAX; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[DNS_NAME_MAX] = '\0';
    snprintf(script, sizeof script, "%s A 192.0.2.8\n", name);
    script_bed_open(&bed, &settings, script);
    (void)script_bed_ask(&bed, name);
    assert_int_equal(strncmp(bed.text, "found by fallback", 17), 0);
    script_bed_close(&bed);
}

static void route__configured__instead_of_dns(void **state)
{
    (void)state;
    struct static_route routes[4];
    struct err err;
    assert_true(static_route_parse("example.com=127.0.0.1:5555", &routes[0], &err));
    assert_true(static_route_parse("other.example=b.example:5270/tls", &routes[1], &err));
    assert_true(static_route_parse("example.com=[::1]:5556/tls", &routes[2], &err));
    assert_true(static_route_parse("example.com=b.example:5557", &routes[3], &err));
    struct resolver_settings settings = script_bed_settings();
    settings.policy.allow_private = false; /* the operator's word stands above the policy */
    settings.routes = routes;
    settings.route_count = 4;
    const char *script = HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 a.example\n";
    script_bed_hold(&settings, script, "example.com",
                    "found by route, ttl 300: 127.0.0.1:5555 starttls [127.0.0.1] | ::1:5556 tls [::1] | "
                    "b.example:5557 starttls [192.0.2.2]");
    script_bed_hold(&settings, script, "other.example", "found by route, ttl 300: b.example:5270 tls [192.0.2.2]");
    script_bed_hold(&settings, script, "sub.example.com", "no-such-domain, ttl 300");
}

/*
 * Addresses.
 */

static void policy__addresses_of_dns__judged(void **state)
{
    (void)state;
    struct resolver_settings settings = script_bed_settings();
    settings.policy.allow_private = false;
    static const char *const bad_v4[] = {"127.0.0.1", "10.1.1.1",   "169.254.169.254",
                                         "0.0.0.0",   "100.64.0.1", "224.0.0.1"};
    static const char *const bad_v6[] = {
        "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "::"};
    char script[256];
    for (size_t i = 0; i < sizeof bad_v4 / sizeof bad_v4[0]; i++) {
        snprintf(script, sizeof script, "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\nh.example A %s\n",
                 bad_v4[i]);
        script_bed_hold(&settings, script, "example.com", "refused, ttl 300");
        snprintf(script, sizeof script, "example.com A %s\n", bad_v4[i]);
        script_bed_hold(&settings, script, "example.com", "refused, ttl 300");
    }
    for (size_t i = 0; i < sizeof bad_v6 / sizeof bad_v6[0]; i++) {
        snprintf(script, sizeof script, "_xmpps-server._tcp.example.com SRV 0 0 5269 h.example\nh.example AAAA %s\n",
                 bad_v6[i]);
        script_bed_hold(&settings, script, "example.com", "refused, ttl 300");
    }
}

static void policy__some_addresses_refused__the_others_remain(void **state)
{
    (void)state;
    struct resolver_settings settings = script_bed_settings();
    settings.policy.allow_private = false;
    script_bed_hold(&settings,
                    "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\n"
                    "_xmpp-server._tcp.example.com SRV 1 0 5269 inside.example\n"
                    "h.example A 127.0.0.1\nh.example A 8.8.8.8\nh.example AAAA ::1\ninside.example A 10.0.0.1\n",
                    "example.com", "found by srv, ttl 300: h.example:5269 starttls [8.8.8.8]");
}

static void family__switched_off__not_asked(void **state)
{
    (void)state;
    struct resolver_settings settings = script_bed_settings();
    settings.without_ipv6 = true;
    script_bed_hold(&settings, "example.com A 192.0.2.7\nexample.com AAAA 2001:db8::7\n", "example.com",
                    "found by fallback, ttl 300: example.com:5269 starttls [192.0.2.7]");
    script_bed_hold(&settings, "example.com AAAA 2001:db8::7\n", "example.com", "no-address, ttl 300");
    script_bed_hold(&settings, "", "example.com", "no-such-domain, ttl 300");
    settings.without_ipv4 = true;
    settings.without_ipv6 = false;
    script_bed_hold(&settings, "example.com A 192.0.2.7\nexample.com AAAA 2001:db8::7\n", "example.com",
                    "found by fallback, ttl 300: example.com:5269 starttls [2001:db8::7]");
}

static void addresses__more_than_allowed__the_first_ones(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    char script[4096] = "";
    for (unsigned i = 0; i < RESOLVER_ADDRESSES_MAX + 5; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script), "example.com A 192.0.2.%u\n", 100 + i);
    script_bed_open(&bed, &settings, script);
    (void)script_bed_ask(&bed, "example.com");
    assert_non_null(strstr(bed.text, "192.0.2.115]"));
    assert_null(strstr(bed.text, "192.0.2.116"));
    script_bed_close(&bed);
}

static void aliases__chain__followed_to_its_limit(void **state)
{
    (void)state;
    char script[2048] = "end.example A 192.0.2.3\n";
    for (unsigned i = 0; i < RESOLVER_ALIASES_MAX; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script), "c%u.example CNAME c%u.example\n", i, i + 1);
    snprintf(script + strlen(script), sizeof script - strlen(script), "c%u.example CNAME end.example\n",
             RESOLVER_ALIASES_MAX);
    script_bed_hold(NULL, script, "c1.example", "found by fallback, ttl 300: c1.example:5269 starttls [192.0.2.3]");
    script_bed_hold(NULL, script, "c0.example", "too-many, ttl 300");
    script_bed_hold(NULL, "loop.example CNAME pool.example\npool.example CNAME loop.example\n", "loop.example",
                    "too-many, ttl 300");
}

/*
 * DNSSEC and DANE (RFC 7673).
 */

#define SECURE_SRV  "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example secure\n"
#define SECURE_HOST "h.example A 192.0.2.4 secure\n"
#define TLSA_NAME   "_5269._tcp.h.example "

static void secure__all_the_way__tlsa_told(void **state)
{
    (void)state;
    script_bed_hold(NULL,
                    SECURE_SRV SECURE_HOST TLSA_NAME "TLSA 3 1 1 0123456789abcdef secure ttl=40\n" TLSA_NAME
                                                     "TLSA 2 0 0 ff secure\n",
                    "example.com",
                    "found by srv, ttl 40: h.example:5269 starttls [192.0.2.4] secure tlsa 3 1 1 (8) tlsa 2 0 0 (1)");
    script_bed_hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* nodata secure\n", "example.com",
                    "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] secure");
    script_bed_hold(NULL, SECURE_SRV SECURE_HOST, "example.com",
                    "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] secure");
}

static void secure__not_all_the_way__no_tlsa_asked(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    const char *const scripts[] = {
        SECURE_SRV "h.example A 192.0.2.4\n" TLSA_NAME "TLSA 3 1 1 00 secure\n",
        "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\n" SECURE_HOST TLSA_NAME "TLSA 3 1 1 00 secure\n",
    };
    const char *const expected[] = {"found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] srv-secure",
                                    "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4]"};
    for (unsigned i = 0; i < 2; i++) {
        script_bed_open(&bed, &settings, scripts[i]);
        (void)script_bed_ask(&bed, "example.com");
        assert_string_equal(bed.text, expected[i]);
        assert_int_equal(resolver_script_asked(bed.resolver, "_5269._tcp.h.example", 0), 0);
        script_bed_close(&bed);
    }
}

static void secure__insecure_tlsa__ignored(void **state)
{
    (void)state;
    script_bed_hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "TLSA 3 1 1 00\n", "example.com",
                    "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] secure");
}

/* RFC 7673 s3.4: without a word on TLSA there is no connection, or a downgrade would be for the asking. */
static void secure__tlsa_bogus_or_missing__no_candidate(void **state)
{
    (void)state;
    script_bed_hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* bogus\n", "example.com", "bogus, ttl 30");
    script_bed_hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* fail\n", "example.com", "failed, ttl 30");
    script_bed_hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* silent\n", "example.com", "timeout, ttl 30");
    script_bed_hold(NULL,
                    SECURE_SRV SECURE_HOST TLSA_NAME
                    "* bogus\n_xmpps-server._tcp.example.com SRV 9 0 5270 b.example secure\n" HOSTS,
                    "example.com", "found by srv, ttl 300: b.example:5270 tls [192.0.2.2] srv-secure");
}

static void secure__tlsa_beyond_the_limit__no_candidate(void **state)
{
    (void)state;
    char script[4096] = SECURE_SRV SECURE_HOST;
    for (unsigned i = 0; i <= RESOLVER_TLSA_MAX; i++)
        strcat(script, TLSA_NAME "TLSA 3 1 1 00 secure\n");
    script_bed_hold(NULL, script, "example.com", "too-many, ttl 300");
}

static void bogus__addresses__host_left_alone(void **state)
{
    (void)state;
    script_bed_hold(
        NULL, "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\nh.example A 192.0.2.4\nh.example AAAA bogus\n",
        "example.com", "bogus, ttl 30");
    script_bed_hold(
        NULL,
        HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\n"
              "_xmpp-server._tcp.example.com SRV 1 0 5269 b.example\nh.example A bogus\nh.example AAAA 2001:db8::4\n",
        "example.com", "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
    script_bed_hold(NULL, "example.com A bogus\n", "example.com", "bogus, ttl 30");
}

static void script__bad_lines__refused(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "# nothing\n\n");
    static const char *const bad[] = {"example.com",           "example.com MX 1",  "example.com A 1.2.3",
                                      "example.com SRV 1 2 3", "example.com A ::1", "example.com A 1.2.3.4 quick"};
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(resolver_script_add(bed.resolver, bad[i], &err));
    script_bed_close(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(srv__both_services__merged_by_priority),
        cmocka_unit_test(srv__one_host_of_many_records__asked_once),
        cmocka_unit_test(srv__direct_tls_declined__starttls_records_used),
        cmocka_unit_test(srv__declined__no_service_and_no_fallback),
        cmocka_unit_test(srv__dot_among_others__ignored),
        cmocka_unit_test(srv__records_that_lead_nowhere__no_fallback),
        cmocka_unit_test(srv__some_hosts_gone__the_others_remain),
        cmocka_unit_test(srv__weights__both_come_first),
        cmocka_unit_test(srv__as_many_as_allowed__used_and_one_more_refused),
        cmocka_unit_test(srv__two_thousand_records__refused),
        cmocka_unit_test(fallback__no_records__the_domain_at_5269),
        cmocka_unit_test(fallback__nothing_there__told_apart),
        cmocka_unit_test(fallback__after_a_failure__not_tried),
        cmocka_unit_test(literal__domain_is_an_address__no_question),
        cmocka_unit_test(name__u_labels__asked_as_a_labels),
        cmocka_unit_test(name__no_dns_name__bad_name),
        cmocka_unit_test(name__too_long_for_a_service__fallback_alone),
        cmocka_unit_test(route__configured__instead_of_dns),
        cmocka_unit_test(policy__addresses_of_dns__judged),
        cmocka_unit_test(policy__some_addresses_refused__the_others_remain),
        cmocka_unit_test(family__switched_off__not_asked),
        cmocka_unit_test(addresses__more_than_allowed__the_first_ones),
        cmocka_unit_test(aliases__chain__followed_to_its_limit),
        cmocka_unit_test(secure__all_the_way__tlsa_told),
        cmocka_unit_test(secure__not_all_the_way__no_tlsa_asked),
        cmocka_unit_test(secure__insecure_tlsa__ignored),
        cmocka_unit_test(secure__tlsa_bogus_or_missing__no_candidate),
        cmocka_unit_test(secure__tlsa_beyond_the_limit__no_candidate),
        cmocka_unit_test(bogus__addresses__host_left_alone),
        cmocka_unit_test(script__bad_lines__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
