/* SPDX-License-Identifier: MIT */
/* The whole way from a domain to its candidates, with the DNS and the time from a script. */
#include "router/s2s/resolver_script.h"
#include "router/s2s/static_route.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/resolver_rig.h"

#include <stdio.h>

struct bed {
    struct resolver *resolver;
    struct resolver_client *client;
    uint64_t now_ms;
    unsigned answers;
    uint64_t tag;
    bool is_cached;
    char text[RIG_TEXT_MAX];
};

static struct resolver_settings settings_of_tests(void)
{
    struct resolver_settings settings = resolver_settings_default;
    settings.dice_seed = 7;
    settings.policy.allow_private = true; /* the addresses for documentation */
    return settings;
}

static void bed_open(struct bed *bed, const struct resolver_settings *settings, const char *script)
{
    struct err err = {""};
    memset(bed, 0, sizeof *bed);
    bed->now_ms = 1000;
    bed->resolver = resolver_open(settings, 2, &err);
    assert_non_null(bed->resolver);
    bed->client = resolver_client(bed->resolver, 0, NULL, NULL);
    if (!resolver_script_add(bed->resolver, script, &err))
        fail_msg("%s", err.text);
}

static void keep(void *context, const struct resolver_answer *answer)
{
    struct bed *bed = context;
    bed->answers++;
    bed->tag = answer->tag;
    bed->is_cached = answer->is_cached;
    rig_describe(answer, bed->text);
}

/* Lets time go from deadline to deadline until the answer is there; returns how long that took. */
static uint64_t ask(struct bed *bed, const char *domain)
{
    static uint64_t tag;
    uint64_t begin = bed->now_ms;
    unsigned before = bed->answers;
    assert_true(resolver_post(bed->client, ++tag, span_str(domain)));
    resolver_flush(bed->client, bed->now_ms);
    while (bed->answers == before) {
        uint64_t due = resolver_deadline_ms(bed->client);
        assert_true(due != UINT64_MAX);
        if (due > bed->now_ms)
            bed->now_ms = due;
        (void)resolver_poll(bed->client, bed->now_ms, keep, bed);
    }
    assert_int_equal(bed->answers, before + 1);
    assert_int_equal(bed->tag, tag);
    assert_int_equal(resolver_pending(bed->client), 0);
    return bed->now_ms - begin;
}

/* One domain, one script, one line expected. */
static void hold(const struct resolver_settings *settings, const char *script, const char *domain, const char *expected)
{
    struct bed bed;
    struct resolver_settings plain = settings_of_tests();
    bed_open(&bed, settings != NULL ? settings : &plain, script);
    (void)ask(&bed, domain);
    if (strcmp(bed.text, expected) != 0)
        fail_msg("%s:\n  %s\nexpected\n  %s", domain, bed.text, expected);
    resolver_close(bed.resolver);
}

#define HOSTS                                                                                                          \
    "a.example A 192.0.2.1\n"                                                                                          \
    "a.example AAAA 2001:db8::1\n"                                                                                     \
    "b.example A 192.0.2.2\n"

/*
 * SRV, merged and by priority.
 */

static void srv__both_services__merged_by_priority(void **state)
{
    (void)state;
    hold(NULL,
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
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings,
             HOSTS "_xmpp-server._tcp.example.com SRV 1 0 5269 a.example\n"
                   "_xmpp-server._tcp.example.com SRV 2 0 5222 A.EXAMPLE\n"
                   "_xmpps-server._tcp.example.com SRV 3 0 5270 a.example\n");
    (void)ask(&bed, "example.com");
    assert_int_equal(resolver_script_asked(bed.resolver, "a.example", 0), 2);
    assert_int_equal(resolver_script_asked(bed.resolver, "example.com", 0), 0);
    resolver_close(bed.resolver);
}

static void srv__direct_tls_declined__starttls_records_used(void **state)
{
    (void)state;
    hold(NULL,
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
        hold(NULL, scripts[i], "example.com", "no-service, ttl 600");
}

static void srv__dot_among_others__ignored(void **state)
{
    (void)state;
    hold(NULL,
         HOSTS "_xmpp-server._tcp.example.com SRV 0 0 0 .\n"
               "_xmpp-server._tcp.example.com SRV 1 0 5269 b.example\n",
         "example.com", "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
}

static void srv__records_that_lead_nowhere__no_fallback(void **state)
{
    (void)state;
    hold(NULL,
         "example.com A 192.0.2.9\n"
         "_xmpp-server._tcp.example.com SRV 1 0 5269 gone.example\n"
         "_xmpp-server._tcp.example.com SRV 1 0 0 a.example\n",
         "example.com", "no-address, ttl 300");
    hold(NULL, "example.com A 192.0.2.9\n_xmpp-server._tcp.example.com SRV 1 0 0 a.example\n", "example.com",
         "no-address, ttl 300");
}

static void srv__some_hosts_gone__the_others_remain(void **state)
{
    (void)state;
    hold(NULL,
         HOSTS "_xmpp-server._tcp.example.com SRV 1 0 5269 gone.example\n"
               "_xmpp-server._tcp.example.com SRV 2 0 5269 failing.example\n"
               "_xmpp-server._tcp.example.com SRV 3 0 5269 b.example\n"
               "failing.example * fail\n",
         "example.com", "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
}

static void srv__weights__both_come_first(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings,
             HOSTS "_xmpp-server._tcp.example.com SRV 1 75 5269 a.example\n"
                   "_xmpp-server._tcp.example.com SRV 1 25 5269 b.example\n");
    unsigned first_a = 0;
    for (unsigned i = 0; i < 2000; i++) {
        (void)ask(&bed, "example.com");
        first_a += strstr(bed.text, ": a.example") != NULL;
    }
    /* Cached all the time, drawn anew each time: 1500 +- 4 standard deviations of 19. */
    assert_true(first_a > 1420 && first_a < 1580);
    assert_int_equal(resolver_script_asked(bed.resolver, "a.example", DNS_A), 1);
    resolver_close(bed.resolver);
}

static void srv__as_many_as_allowed__used_and_one_more_refused(void **state)
{
    (void)state;
    char script[8192] = HOSTS;
    for (unsigned i = 0; i < RESOLVER_RECORDS_MAX; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script),
                 "_xmpp-server._tcp.example.com SRV %u 0 5269 b.example\n", i);
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, script);
    (void)ask(&bed, "example.com");
    assert_int_equal(strncmp(bed.text, "found by srv", 12), 0);
    resolver_close(bed.resolver);
    strcat(script, "_xmpps-server._tcp.example.com SRV 0 0 5269 b.example\n");
    hold(NULL, script, "example.com", "too-many, ttl 300");
}

static void srv__two_thousand_records__refused(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "");
    struct err err;
    for (unsigned i = 0; i < 2000; i++) {
        char line[128];
        snprintf(line, sizeof line, "_xmpp-server._tcp.example.com SRV 0 0 5269 h%u.example", i);
        assert_true(resolver_script_add(bed.resolver, line, &err));
    }
    (void)ask(&bed, "example.com");
    assert_string_equal(bed.text, "too-many, ttl 300");
    assert_int_equal(resolver_script_asked(bed.resolver, "h0.example", 0), 0);
    resolver_close(bed.resolver);
}

/*
 * Fallback, literals, routes, names.
 */

static void fallback__no_records__the_domain_at_5269(void **state)
{
    (void)state;
    hold(NULL, "example.com A 192.0.2.7\nexample.com AAAA 2001:db8::7\n", "example.com",
         "found by fallback, ttl 300: example.com:5269 starttls [2001:db8::7 192.0.2.7]");
    hold(NULL, "example.com AAAA 2001:db8::7 ttl=20 secure\n", "example.com",
         "found by fallback, ttl 20: example.com:5269 starttls [2001:db8::7]");
}

static void fallback__nothing_there__told_apart(void **state)
{
    (void)state;
    hold(NULL, "", "example.com", "no-such-domain, ttl 300");
    hold(NULL, "example.com TLSA 3 1 1 00\n", "example.com", "no-address, ttl 300");
}

static void fallback__after_a_failure__not_tried(void **state)
{
    (void)state;
    hold(NULL, "example.com A 192.0.2.7\n_xmpp-server._tcp.example.com * fail\n", "example.com", "failed, ttl 30");
    hold(NULL, "example.com A 192.0.2.7\n_xmpp-server._tcp.example.com * silent\n", "example.com", "timeout, ttl 30");
    hold(NULL, "example.com A 192.0.2.7\n_xmpps-server._tcp.example.com * bogus\n", "example.com", "bogus, ttl 30");
    hold(NULL,
         "example.com A 192.0.2.7\n_xmpps-server._tcp.example.com SRV 0 0 0 .\n"
         "_xmpp-server._tcp.example.com * fail\n",
         "example.com", "failed, ttl 30");
}

static void literal__domain_is_an_address__no_question(void **state)
{
    (void)state;
    struct resolver_settings settings = settings_of_tests();
    hold(NULL, "", "192.0.2.5", "found by literal, ttl 86400: 192.0.2.5:5269 starttls [192.0.2.5]");
    hold(NULL, "", "[2001:db8::5]", "found by literal, ttl 86400: 2001:db8::5:5269 starttls [2001:db8::5]");
    settings.policy.allow_private = false;
    hold(&settings, "", "127.0.0.1", "refused, ttl 3600");
    hold(&settings, "", "[::1]", "refused, ttl 3600");
    hold(&settings, "", "[::ffff:10.0.0.1]", "refused, ttl 3600");
    hold(NULL, "", "[fe80::1%25eth0]", "bad-name, ttl 3600");
}

static void name__u_labels__asked_as_a_labels(void **state)
{
    (void)state;
    hold(NULL, HOSTS "_xmpp-server._tcp.xn--bcher-kva.example SRV 0 0 5269 b.example\n",
         "b\xc3\xbc"
         "cher.example",
         "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
}

static void name__no_dns_name__bad_name(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "");
    char label[65 + 8];
    memset(label, 'a', 64);
    memcpy(label + 64, ".com", 5);
    (void)ask(&bed, label);
    assert_string_equal(bed.text, "bad-name, ttl 3600");
    (void)ask(&bed, "a..b");
    assert_string_equal(bed.text, "bad-name, ttl 3600");
    (void)ask(&bed, "exa mple");
    assert_string_equal(bed.text, "bad-name, ttl 3600");
    resolver_close(bed.resolver);
}

static void name__too_long_for_a_service__fallback_alone(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    char name[DNS_NAME_MAX + 1], script[512];
    for (unsigned i = 0; i < DNS_NAME_MAX; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    name[DNS_NAME_MAX] = '\0';
    snprintf(script, sizeof script, "%s A 192.0.2.8\n", name);
    bed_open(&bed, &settings, script);
    (void)ask(&bed, name);
    assert_int_equal(strncmp(bed.text, "found by fallback", 17), 0);
    resolver_close(bed.resolver);
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
    struct resolver_settings settings = settings_of_tests();
    settings.policy.allow_private = false; /* the operator's word stands above the policy */
    settings.routes = routes;
    settings.route_count = 4;
    const char *script = HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 a.example\n";
    hold(&settings, script, "example.com",
         "found by route, ttl 300: 127.0.0.1:5555 starttls [127.0.0.1] | ::1:5556 tls [::1] | "
         "b.example:5557 starttls [192.0.2.2]");
    hold(&settings, script, "other.example", "found by route, ttl 300: b.example:5270 tls [192.0.2.2]");
    hold(&settings, script, "sub.example.com", "no-such-domain, ttl 300");
}

/*
 * Addresses.
 */

static void policy__addresses_of_dns__judged(void **state)
{
    (void)state;
    struct resolver_settings settings = settings_of_tests();
    settings.policy.allow_private = false;
    static const char *const bad_v4[] = {"127.0.0.1", "10.1.1.1",   "169.254.169.254",
                                         "0.0.0.0",   "100.64.0.1", "224.0.0.1"};
    static const char *const bad_v6[] = {
        "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "::"};
    char script[256];
    for (size_t i = 0; i < sizeof bad_v4 / sizeof bad_v4[0]; i++) {
        snprintf(script, sizeof script, "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\nh.example A %s\n",
                 bad_v4[i]);
        hold(&settings, script, "example.com", "refused, ttl 300");
        snprintf(script, sizeof script, "example.com A %s\n", bad_v4[i]);
        hold(&settings, script, "example.com", "refused, ttl 300");
    }
    for (size_t i = 0; i < sizeof bad_v6 / sizeof bad_v6[0]; i++) {
        snprintf(script, sizeof script, "_xmpps-server._tcp.example.com SRV 0 0 5269 h.example\nh.example AAAA %s\n",
                 bad_v6[i]);
        hold(&settings, script, "example.com", "refused, ttl 300");
    }
}

static void policy__some_addresses_refused__the_others_remain(void **state)
{
    (void)state;
    struct resolver_settings settings = settings_of_tests();
    settings.policy.allow_private = false;
    hold(&settings,
         "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\n"
         "_xmpp-server._tcp.example.com SRV 1 0 5269 inside.example\n"
         "h.example A 127.0.0.1\nh.example A 8.8.8.8\nh.example AAAA ::1\ninside.example A 10.0.0.1\n",
         "example.com", "found by srv, ttl 300: h.example:5269 starttls [8.8.8.8]");
}

static void family__switched_off__not_asked(void **state)
{
    (void)state;
    struct resolver_settings settings = settings_of_tests();
    settings.without_ipv6 = true;
    hold(&settings, "example.com A 192.0.2.7\nexample.com AAAA 2001:db8::7\n", "example.com",
         "found by fallback, ttl 300: example.com:5269 starttls [192.0.2.7]");
    hold(&settings, "example.com AAAA 2001:db8::7\n", "example.com", "no-address, ttl 300");
    hold(&settings, "", "example.com", "no-such-domain, ttl 300");
    settings.without_ipv4 = true;
    settings.without_ipv6 = false;
    hold(&settings, "example.com A 192.0.2.7\nexample.com AAAA 2001:db8::7\n", "example.com",
         "found by fallback, ttl 300: example.com:5269 starttls [2001:db8::7]");
}

static void addresses__more_than_allowed__the_first_ones(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    char script[4096] = "";
    for (unsigned i = 0; i < RESOLVER_ADDRESSES_MAX + 5; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script), "example.com A 192.0.2.%u\n", 100 + i);
    bed_open(&bed, &settings, script);
    (void)ask(&bed, "example.com");
    assert_non_null(strstr(bed.text, "192.0.2.115]"));
    assert_null(strstr(bed.text, "192.0.2.116"));
    resolver_close(bed.resolver);
}

static void aliases__chain__followed_to_its_limit(void **state)
{
    (void)state;
    char script[2048] = "end.example A 192.0.2.3\n";
    for (unsigned i = 0; i < RESOLVER_ALIASES_MAX; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script), "c%u.example CNAME c%u.example\n", i, i + 1);
    snprintf(script + strlen(script), sizeof script - strlen(script), "c%u.example CNAME end.example\n",
             RESOLVER_ALIASES_MAX);
    hold(NULL, script, "c1.example", "found by fallback, ttl 300: c1.example:5269 starttls [192.0.2.3]");
    hold(NULL, script, "c0.example", "too-many, ttl 300");
    hold(NULL, "loop.example CNAME pool.example\npool.example CNAME loop.example\n", "loop.example",
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
    hold(NULL,
         SECURE_SRV SECURE_HOST TLSA_NAME "TLSA 3 1 1 0123456789abcdef secure ttl=40\n" TLSA_NAME
                                          "TLSA 2 0 0 ff secure\n",
         "example.com",
         "found by srv, ttl 40: h.example:5269 starttls [192.0.2.4] secure tlsa 3 1 1 (8) tlsa 2 0 0 (1)");
    hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* nodata secure\n", "example.com",
         "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] secure");
    hold(NULL, SECURE_SRV SECURE_HOST, "example.com",
         "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] secure");
}

static void secure__not_all_the_way__no_tlsa_asked(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    const char *const scripts[] = {
        SECURE_SRV "h.example A 192.0.2.4\n" TLSA_NAME "TLSA 3 1 1 00 secure\n",
        "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\n" SECURE_HOST TLSA_NAME "TLSA 3 1 1 00 secure\n",
    };
    const char *const expected[] = {"found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] srv-secure",
                                    "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4]"};
    for (unsigned i = 0; i < 2; i++) {
        bed_open(&bed, &settings, scripts[i]);
        (void)ask(&bed, "example.com");
        assert_string_equal(bed.text, expected[i]);
        assert_int_equal(resolver_script_asked(bed.resolver, "_5269._tcp.h.example", 0), 0);
        resolver_close(bed.resolver);
    }
}

static void secure__insecure_tlsa__ignored(void **state)
{
    (void)state;
    hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "TLSA 3 1 1 00\n", "example.com",
         "found by srv, ttl 300: h.example:5269 starttls [192.0.2.4] secure");
}

/* RFC 7673 s3.4: without a word on TLSA there is no connection, or a downgrade would be for the asking. */
static void secure__tlsa_bogus_or_missing__no_candidate(void **state)
{
    (void)state;
    hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* bogus\n", "example.com", "bogus, ttl 30");
    hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* fail\n", "example.com", "failed, ttl 30");
    hold(NULL, SECURE_SRV SECURE_HOST TLSA_NAME "* silent\n", "example.com", "timeout, ttl 30");
    hold(NULL,
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
    hold(NULL, script, "example.com", "too-many, ttl 300");
}

static void bogus__addresses__host_left_alone(void **state)
{
    (void)state;
    hold(NULL, "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\nh.example A 192.0.2.4\nh.example AAAA bogus\n",
         "example.com", "bogus, ttl 30");
    hold(NULL,
         HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 h.example\n"
               "_xmpp-server._tcp.example.com SRV 1 0 5269 b.example\nh.example A bogus\nh.example AAAA 2001:db8::4\n",
         "example.com", "found by srv, ttl 300: b.example:5269 starttls [192.0.2.2]");
    hold(NULL, "example.com A bogus\n", "example.com", "bogus, ttl 30");
}

/*
 * Time.
 */

static void time__silent_servers__timeout_at_the_limit(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "_xmpp-server._tcp.example.com * silent\n_xmpps-server._tcp.example.com * silent\n");
    assert_int_equal(ask(&bed, "example.com"), settings.timeout_ms);
    assert_string_equal(bed.text, "timeout, ttl 30");
    resolver_close(bed.resolver);
}

static void time__one_family_silent__patience_only(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "example.com A 192.0.2.7 delay=200\nexample.com AAAA silent\n");
    assert_int_equal(ask(&bed, "example.com"), 200 + settings.patience_ms);
    assert_string_equal(bed.text, "found by fallback, ttl 30, partial: example.com:5269 starttls [192.0.2.7]");
    resolver_close(bed.resolver);
}

static void time__one_service_silent__patience_only(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings,
             HOSTS "_xmpps-server._tcp.example.com * silent\n_xmpp-server._tcp.example.com SRV 0 0 5269 b.example\n");
    assert_int_equal(ask(&bed, "example.com"), settings.patience_ms);
    assert_string_equal(bed.text, "found by srv, ttl 30, partial: b.example:5269 starttls [192.0.2.2]");
    resolver_close(bed.resolver);
}

static void time__one_host_slow__waited_for_within_patience(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings,
             HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 slow.example\nslow.example A 192.0.2.6 delay=900\n"
                   "_xmpp-server._tcp.example.com SRV 1 0 5269 b.example\n"
                   "_xmpp-server._tcp.example.com SRV 2 0 5269 dead.example\ndead.example * silent\n");
    assert_int_equal(ask(&bed, "example.com"), settings.patience_ms);
    assert_string_equal(bed.text, "found by srv, ttl 30, partial: slow.example:5269 starttls [192.0.2.6] | "
                                  "b.example:5269 starttls [192.0.2.2]");
    resolver_close(bed.resolver);
}

static void time__late_answers__not_taken(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "example.com A 192.0.2.7 delay=10001\nexample.com AAAA nodata\n");
    assert_int_equal(ask(&bed, "example.com"), settings.timeout_ms);
    assert_string_equal(bed.text, "timeout, ttl 30");
    resolver_close(bed.resolver);
}

/*
 * Cache.
 */

static void cache__within_the_ttl__not_asked_again(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    const char *name = "_xmpp-server._tcp.example.com";
    bed_open(&bed, &settings, HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 b.example ttl=60\n");
    (void)ask(&bed, "example.com");
    assert_false(bed.is_cached);
    bed.now_ms += 59000;
    (void)ask(&bed, "example.com");
    assert_true(bed.is_cached);
    assert_string_equal(bed.text, "found by srv, ttl 1: b.example:5269 starttls [192.0.2.2]");
    assert_int_equal(resolver_script_asked(bed.resolver, name, DNS_SRV), 1);
    bed.now_ms += 1000;
    (void)ask(&bed, "example.com");
    assert_false(bed.is_cached);
    assert_int_equal(resolver_script_asked(bed.resolver, name, DNS_SRV), 2);
    resolver_close(bed.resolver);
}

static void cache__absence__by_its_ttl_within_bounds(void **state)
{
    (void)state;
    hold(NULL,
         "example.com * nxdomain ttl=100000\n_xmpp-server._tcp.example.com * nxdomain ttl=100000\n"
         "_xmpps-server._tcp.example.com * nxdomain ttl=100000\n",
         "example.com", "no-such-domain, ttl 3600");
    hold(NULL, "example.com * nxdomain ttl=0\n", "example.com", "no-such-domain, ttl 30");
    hold(NULL, "example.com * nxdomain ttl=77\n", "example.com", "no-such-domain, ttl 77");
}

static void cache__failure__told_again_without_asking(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "_xmpp-server._tcp.example.com * silent\n");
    (void)ask(&bed, "example.com");
    assert_int_equal(ask(&bed, "example.com"), 0);
    assert_true(bed.is_cached);
    resolver_script_clear(bed.resolver);
    struct err err;
    assert_true(resolver_script_add(bed.resolver, "example.com A 192.0.2.1\n", &err));
    bed.now_ms += 30000;
    (void)ask(&bed, "example.com");
    assert_string_equal(bed.text, "found by fallback, ttl 300: example.com:5269 starttls [192.0.2.1]");
    resolver_close(bed.resolver);
}

static void cache__ttl_zero__not_kept(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "example.com A 192.0.2.1 ttl=0\n");
    (void)ask(&bed, "example.com");
    (void)ask(&bed, "example.com");
    assert_false(bed.is_cached);
    assert_int_equal(resolver_script_asked(bed.resolver, "example.com", DNS_A), 2);
    struct resolver_stats stats;
    resolver_stats(bed.resolver, &stats);
    assert_int_equal(stats.cached, 0);
    resolver_close(bed.resolver);
}

static void cache__longest_ttl__bounded(void **state)
{
    (void)state;
    hold(NULL,
         "example.com A 192.0.2.1 ttl=4000000\nexample.com AAAA nodata ttl=4000000\n"
         "_xmpp-server._tcp.example.com * nodata ttl=4000000\n_xmpps-server._tcp.example.com * nodata ttl=4000000\n",
         "example.com", "found by fallback, ttl 86400: example.com:5269 starttls [192.0.2.1]");
}

static void cache__full__least_recently_used_goes(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    struct resolver_stats stats;
    settings.cache_count = 3;
    bed_open(&bed, &settings, "");
    (void)ask(&bed, "a.example");
    (void)ask(&bed, "b.example");
    (void)ask(&bed, "c.example");
    (void)ask(&bed, "a.example");
    assert_true(bed.is_cached);
    (void)ask(&bed, "d.example"); /* b goes */
    (void)ask(&bed, "a.example");
    assert_true(bed.is_cached);
    (void)ask(&bed, "b.example");
    assert_false(bed.is_cached);
    resolver_stats(bed.resolver, &stats);
    assert_int_equal(stats.cached, 3);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.requests, 7);
    assert_int_equal(stats.lookups, 5);
    resolver_close(bed.resolver);
}

/*
 * Many at a time.
 */

static void ring(void *context)
{
    (*(unsigned *)context)++;
}

static void count_answer(void *context, const struct resolver_answer *answer)
{
    (void)answer;
    (*(unsigned *)context)++;
}

static void requests__of_one_domain__one_lookup_and_all_answered(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    unsigned rings = 0, first = 0, second = 0;
    bed_open(&bed, &settings, "example.com A 192.0.2.1 delay=50\n");
    struct resolver_client *other = resolver_client(bed.resolver, 1, ring, &rings);
    for (unsigned i = 0; i < 10; i++) {
        assert_true(resolver_post(bed.client, i, SPAN("example.com")));
        assert_true(resolver_post(other, i, SPAN("example.com")));
    }
    resolver_flush(bed.client, bed.now_ms);
    resolver_flush(other, bed.now_ms);
    assert_int_equal(resolver_poll(bed.client, bed.now_ms + 49, count_answer, &first), 0);
    assert_int_equal(resolver_poll(bed.client, bed.now_ms + 50, count_answer, &first), 10);
    assert_int_equal(rings, 1);
    assert_int_equal(resolver_deadline_ms(other), 0);
    assert_int_equal(resolver_poll(other, bed.now_ms + 50, count_answer, &second), 10);
    assert_int_equal(first + second, 20);
    assert_int_equal(resolver_script_asked(bed.resolver, "example.com", DNS_A), 1);
    resolver_close(bed.resolver);
}

static void requests__beyond_the_bound__refused_until_answered(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    unsigned count = 0;
    bed_open(&bed, &settings, "");
    for (unsigned i = 0; i < RESOLVER_PENDING_MAX; i++)
        assert_true(resolver_post(bed.client, i, SPAN("example.com")));
    assert_false(resolver_post(bed.client, 0, SPAN("example.com")));
    resolver_flush(bed.client, bed.now_ms);
    assert_int_equal(resolver_poll(bed.client, bed.now_ms, count_answer, &count), RESOLVER_PENDING_MAX);
    assert_true(resolver_post(bed.client, 0, SPAN("example.com")));
    resolver_close(bed.resolver); /* with one that was never flushed */
}

struct tally {
    unsigned count[RESOLVER_STATUS_COUNT];
};

static void tally_answer(void *context, const struct resolver_answer *answer)
{
    ((struct tally *)context)->count[answer->status]++;
}

/* A thousand made-up domains: as many lookups as allowed, the rest is told at once. */
static void lookups__beyond_the_bound__busy_at_once(void **state)
{
    (void)state;
    struct bed bed;
    struct tally tally = {{0}};
    struct resolver_settings settings = settings_of_tests();
    settings.lookups_max = 16;
    bed_open(&bed, &settings, "");
    struct err err;
    for (unsigned i = 0; i < 1000; i++) {
        char domain[64], line[128];
        snprintf(domain, sizeof domain, "d%u.example", i);
        snprintf(line, sizeof line, "_xmpp-server._tcp.%s * silent", domain);
        if (i < 20)
            assert_true(resolver_script_add(bed.resolver, line, &err));
        assert_true(resolver_post(bed.client, i, span_str(domain)));
        if (i == 19) /* 16 stay open */
            resolver_flush(bed.client, bed.now_ms);
    }
    resolver_flush(bed.client, bed.now_ms);
    (void)resolver_poll(bed.client, bed.now_ms, tally_answer, &tally);
    assert_int_equal(tally.count[RESOLVER_BUSY], 1000 - 16);
    (void)resolver_poll(bed.client, bed.now_ms + settings.timeout_ms, tally_answer, &tally);
    assert_int_equal(tally.count[RESOLVER_TIMEOUT], 16);
    resolver_close(bed.resolver);
}

/* A DNS that does everything at random: every request gets exactly one answer within the time limit, what is found
 * obeys the limits, and closing in the middle leaves nothing behind (LeakSanitizer looks). */
static void random_line(uint64_t *dice, const char *name, const char *type, const char *data, char *out, size_t size)
{
    static const char *const outcomes[] = {"nodata", "nxdomain", "fail", "bogus", "silent"};
    static const char *const secures[] = {"", "secure"};
    bool is_bad = dice_next(dice) % 3 == 0;
    snprintf(out, size, "%s %s %s ttl=%u delay=%u %s", name, type, is_bad ? outcomes[dice_next(dice) % 5] : data,
             (unsigned)(dice_next(dice) % 100), (unsigned)(dice_next(dice) % 3 * 400), secures[dice_next(dice) % 2]);
}

static void random_dns(struct bed *bed, uint64_t *dice)
{
    static const char *const names[] = {"a.example", "b.example", "c.example", "d.example"};
    struct err err;
    resolver_script_clear(bed->resolver);
    for (unsigned i = 0; i < 24; i++) {
        char line[256], name[64], data[64];
        const char *host = names[dice_next(dice) % 4];
        const char *type = "SRV";
        switch (dice_next(dice) % 5) {
        case 0:
            snprintf(name, sizeof name, "_xmpp%s-server._tcp.%s", dice_next(dice) % 2 ? "s" : "", host);
            snprintf(data, sizeof data, "%u %u 5269 %s", (unsigned)(dice_next(dice) % 3),
                     (unsigned)(dice_next(dice) % 3), dice_next(dice) % 6 == 0 ? "." : names[dice_next(dice) % 4]);
            break;
        case 1:
            type = "A";
            snprintf(name, sizeof name, "%s", host);
            snprintf(data, sizeof data, "%s", dice_next(dice) % 3 == 0 ? "127.0.0.1" : "8.8.8.8");
            break;
        case 2:
            type = "AAAA";
            snprintf(name, sizeof name, "%s", host);
            snprintf(data, sizeof data, "%s", dice_next(dice) % 3 == 0 ? "::1" : "2600::1");
            break;
        case 3:
            type = "TLSA";
            snprintf(name, sizeof name, "_5269._tcp.%s", host);
            snprintf(data, sizeof data, "3 1 1 00");
            break;
        default:
            type = "CNAME";
            snprintf(name, sizeof name, "%s", host);
            snprintf(data, sizeof data, "%s", names[dice_next(dice) % 4]);
            break;
        }
        random_line(dice, name, type, data, line, sizeof line);
        if (!resolver_script_add(bed->resolver, line, &err))
            fail_msg("%s", err.text);
    }
}

static void check_answer(void *context, const struct resolver_answer *answer)
{
    struct tally *tally = context;
    tally->count[answer->status]++;
    assert_int_equal(answer->status == RESOLVER_FOUND, answer->count > 0);
    for (unsigned i = 0; i < answer->count; i++) {
        const struct resolver_candidate *one = &answer->candidates[i];
        assert_true(one->address_count > 0);
        assert_true(one->tlsa_count == 0 || one->is_secure);
        assert_true(!one->is_secure || one->is_srv_secure);
        assert_true(i == 0 || one[-1].priority <= one->priority);
        for (unsigned j = 0; j < one->address_count; j++)
            assert_int_equal(address_class(&one->addresses[j]), ADDRESS_PUBLIC);
    }
}

static void dns__at_random__every_request_answered_within_limits(void **state)
{
    (void)state;
    uint64_t dice = dice_seed("dns__at_random");
    struct tally all = {{0}};
    for (unsigned round = 0; round < 60; round++) {
        struct bed bed;
        struct tally tally = {{0}};
        struct resolver_settings settings = resolver_settings_default;
        settings.dice_seed = 1 + dice_next(&dice);
        settings.cache_count = (uint32_t)(dice_next(&dice) % 4);
        bed_open(&bed, &settings, "");
        unsigned posted = 0;
        for (unsigned i = 0; i < 40; i++) {
            static const char *const domains[] = {"a.example", "b.example", "c.example", "d.example", "none.example"};
            random_dns(&bed, &dice);
            assert_true(resolver_post(bed.client, i, span_str(domains[dice_next(&dice) % 5])));
            posted++;
            resolver_flush(bed.client, bed.now_ms);
            bed.now_ms += dice_next(&dice) % 700;
            (void)resolver_poll(bed.client, bed.now_ms, check_answer, &tally);
        }
        if (round % 4 != 0) {
            bed.now_ms += settings.timeout_ms;
            (void)resolver_poll(bed.client, bed.now_ms, check_answer, &tally);
            unsigned sum = 0;
            for (unsigned i = 0; i < RESOLVER_STATUS_COUNT; i++)
                sum += tally.count[i];
            assert_int_equal(sum, posted);
            assert_int_equal(resolver_deadline_ms(bed.client), UINT64_MAX);
        }
        for (unsigned i = 0; i < RESOLVER_STATUS_COUNT; i++)
            all.count[i] += tally.count[i];
        resolver_close(bed.resolver);
    }
    /* The dice reached what matters. */
    assert_true(all.count[RESOLVER_FOUND] > 0 && all.count[RESOLVER_BOGUS] > 0 && all.count[RESOLVER_TIMEOUT] > 0);
}

static void script__bad_lines__refused(void **state)
{
    (void)state;
    struct bed bed;
    struct resolver_settings settings = settings_of_tests();
    bed_open(&bed, &settings, "# nothing\n\n");
    static const char *const bad[] = {"example.com",           "example.com MX 1",  "example.com A 1.2.3",
                                      "example.com SRV 1 2 3", "example.com A ::1", "example.com A 1.2.3.4 quick"};
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(resolver_script_add(bed.resolver, bad[i], &err));
    resolver_close(bed.resolver);
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
        cmocka_unit_test(time__silent_servers__timeout_at_the_limit),
        cmocka_unit_test(time__one_family_silent__patience_only),
        cmocka_unit_test(time__one_service_silent__patience_only),
        cmocka_unit_test(time__one_host_slow__waited_for_within_patience),
        cmocka_unit_test(time__late_answers__not_taken),
        cmocka_unit_test(cache__within_the_ttl__not_asked_again),
        cmocka_unit_test(cache__absence__by_its_ttl_within_bounds),
        cmocka_unit_test(cache__failure__told_again_without_asking),
        cmocka_unit_test(cache__ttl_zero__not_kept),
        cmocka_unit_test(cache__longest_ttl__bounded),
        cmocka_unit_test(cache__full__least_recently_used_goes),
        cmocka_unit_test(requests__of_one_domain__one_lookup_and_all_answered),
        cmocka_unit_test(requests__beyond_the_bound__refused_until_answered),
        cmocka_unit_test(lookups__beyond_the_bound__busy_at_once),
        cmocka_unit_test(dns__at_random__every_request_answered_within_limits),
        cmocka_unit_test(script__bad_lines__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
