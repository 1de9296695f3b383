/* SPDX-License-Identifier: MIT */
/* The same: how long it takes, what is remembered, many at a time, and a DNS that does everything at random. */
#include "tests/unit/core/suite.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/script_bed.h"

#include <stdio.h>

/*
 * Time.
 */

static void time__silent_servers__timeout_at_the_limit(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings,
                    "_xmpp-server._tcp.example.com * silent\n_xmpps-server._tcp.example.com * silent\n");
    assert_int_equal(script_bed_ask(&bed, "example.com"), settings.timeout_ms);
    assert_string_equal(bed.text, "timeout, ttl 30");
    script_bed_close(&bed);
}

static void time__one_family_silent__patience_only(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "example.com A 192.0.2.7 delay=200\nexample.com AAAA silent\n");
    assert_int_equal(script_bed_ask(&bed, "example.com"), 200 + settings.patience_ms);
    assert_string_equal(bed.text, "found by fallback, ttl 30, partial: example.com:5269 starttls [192.0.2.7]");
    script_bed_close(&bed);
}

static void time__one_service_silent__patience_only(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings,
                    HOSTS
                    "_xmpps-server._tcp.example.com * silent\n_xmpp-server._tcp.example.com SRV 0 0 5269 b.example\n");
    assert_int_equal(script_bed_ask(&bed, "example.com"), settings.patience_ms);
    assert_string_equal(bed.text, "found by srv, ttl 30, partial: b.example:5269 starttls [192.0.2.2]");
    script_bed_close(&bed);
}

static void time__one_host_slow__waited_for_within_patience(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings,
                    HOSTS
                    "_xmpp-server._tcp.example.com SRV 0 0 5269 slow.example\nslow.example A 192.0.2.6 delay=900\n"
                    "_xmpp-server._tcp.example.com SRV 1 0 5269 b.example\n"
                    "_xmpp-server._tcp.example.com SRV 2 0 5269 dead.example\ndead.example * silent\n");
    assert_int_equal(script_bed_ask(&bed, "example.com"), settings.patience_ms);
    assert_string_equal(bed.text, "found by srv, ttl 30, partial: slow.example:5269 starttls [192.0.2.6] | "
                                  "b.example:5269 starttls [192.0.2.2]");
    script_bed_close(&bed);
}

static void time__late_answers__not_taken(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "example.com A 192.0.2.7 delay=10001\nexample.com AAAA nodata\n");
    assert_int_equal(script_bed_ask(&bed, "example.com"), settings.timeout_ms);
    assert_string_equal(bed.text, "timeout, ttl 30");
    script_bed_close(&bed);
}

/* Twelve targets that answer after 100 ms each: three rounds of four. */
static void time__many_targets__four_at_a_time(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    char script[4096] = "";
    for (unsigned i = 0; i < 12; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script),
                 "_xmpp-server._tcp.example.com SRV %u 0 5269 h%u.example\nh%u.example A 192.0.2.%u delay=100\n",
                 50 - i, i, i, i);
    script_bed_open(&bed, &settings, script);
    assert_int_equal(script_bed_ask(&bed, "example.com"), 300);
    assert_int_equal(strncmp(bed.text, "found by srv, ttl 300: h11.example:5269", 39), 0);
    assert_non_null(strstr(bed.text, "h0.example:5269 starttls [192.0.2.0]"));
    script_bed_close(&bed);
}

static void time__many_dead_targets__the_best_four_asked(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    char script[4096] = "";
    for (unsigned i = 0; i < 12; i++)
        snprintf(script + strlen(script), sizeof script - strlen(script),
                 "_xmpp-server._tcp.example.com SRV %u 0 5269 h%u.example\nh%u.example * silent\n", 50 - i, i, i);
    script_bed_open(&bed, &settings, script);
    assert_int_equal(script_bed_ask(&bed, "example.com"), settings.timeout_ms);
    assert_string_equal(bed.text, "timeout, ttl 30");
    for (unsigned i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "h%u.example", i);
        assert_int_equal(resolver_script_asked(bed.resolver, name, 0), i >= 8 ? 2 : 0);
    }
    script_bed_close(&bed);
}

/*
 * Cache.
 */

static void cache__within_the_ttl__not_asked_again(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    const char *name = "_xmpp-server._tcp.example.com";
    script_bed_open(&bed, &settings, HOSTS "_xmpp-server._tcp.example.com SRV 0 0 5269 b.example ttl=60\n");
    (void)script_bed_ask(&bed, "example.com");
    assert_false(bed.is_cached);
    bed.now_ms += 59000;
    (void)script_bed_ask(&bed, "example.com");
    assert_true(bed.is_cached);
    assert_string_equal(bed.text, "found by srv, ttl 1: b.example:5269 starttls [192.0.2.2]");
    assert_int_equal(resolver_script_asked(bed.resolver, name, DNS_SRV), 1);
    bed.now_ms += 1000;
    (void)script_bed_ask(&bed, "example.com");
    assert_false(bed.is_cached);
    assert_int_equal(resolver_script_asked(bed.resolver, name, DNS_SRV), 2);
    script_bed_close(&bed);
}

static void cache__absence__by_its_ttl_within_bounds(void **state)
{
    (void)state;
    script_bed_hold(NULL,
                    "example.com * nxdomain ttl=100000\n_xmpp-server._tcp.example.com * nxdomain ttl=100000\n"
                    "_xmpps-server._tcp.example.com * nxdomain ttl=100000\n",
                    "example.com", "no-such-domain, ttl 3600");
    script_bed_hold(NULL, "example.com * nxdomain ttl=0\n", "example.com", "no-such-domain, ttl 30");
    script_bed_hold(NULL, "example.com * nxdomain ttl=77\n", "example.com", "no-such-domain, ttl 77");
}

static void cache__failure__told_again_without_asking(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "_xmpp-server._tcp.example.com * silent\n");
    (void)script_bed_ask(&bed, "example.com");
    assert_int_equal(script_bed_ask(&bed, "example.com"), 0);
    assert_true(bed.is_cached);
    resolver_script_clear(bed.resolver);
    struct err err;
    assert_true(resolver_script_add(bed.resolver, "example.com A 192.0.2.1\n", &err));
    bed.now_ms += 30000;
    (void)script_bed_ask(&bed, "example.com");
    assert_string_equal(bed.text, "found by fallback, ttl 300: example.com:5269 starttls [192.0.2.1]");
    script_bed_close(&bed);
}

static void cache__ttl_zero__not_kept(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    script_bed_open(&bed, &settings, "example.com A 192.0.2.1 ttl=0\n");
    (void)script_bed_ask(&bed, "example.com");
    (void)script_bed_ask(&bed, "example.com");
    assert_false(bed.is_cached);
    assert_int_equal(resolver_script_asked(bed.resolver, "example.com", DNS_A), 2);
    struct resolver_stats stats;
    resolver_stats(bed.resolver, &stats);
    assert_int_equal(stats.cached, 0);
    script_bed_close(&bed);
}

static void cache__longest_ttl__bounded(void **state)
{
    (void)state;
    script_bed_hold(
        NULL,
        "example.com A 192.0.2.1 ttl=4000000\nexample.com AAAA nodata ttl=4000000\n"
        "_xmpp-server._tcp.example.com * nodata ttl=4000000\n_xmpps-server._tcp.example.com * nodata ttl=4000000\n",
        "example.com", "found by fallback, ttl 86400: example.com:5269 starttls [192.0.2.1]");
}

static void cache__full__least_recently_used_goes(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    struct resolver_stats stats;
    settings.cache_count = 3;
    script_bed_open(&bed, &settings, "");
    (void)script_bed_ask(&bed, "a.example");
    (void)script_bed_ask(&bed, "b.example");
    (void)script_bed_ask(&bed, "c.example");
    (void)script_bed_ask(&bed, "a.example");
    assert_true(bed.is_cached);
    (void)script_bed_ask(&bed, "d.example"); /* b goes */
    (void)script_bed_ask(&bed, "a.example");
    assert_true(bed.is_cached);
    (void)script_bed_ask(&bed, "b.example");
    assert_false(bed.is_cached);
    resolver_stats(bed.resolver, &stats);
    assert_int_equal(stats.cached, 3);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.requests, 7);
    assert_int_equal(stats.lookups, 5);
    script_bed_close(&bed);
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
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    unsigned rings = 0, first = 0, second = 0;
    script_bed_open(&bed, &settings, "example.com A 192.0.2.1 delay=50\n");
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
    script_bed_close(&bed);
}

static void requests__beyond_the_bound__refused_until_answered(void **state)
{
    (void)state;
    struct script_bed bed;
    struct resolver_settings settings = script_bed_settings();
    unsigned count = 0;
    script_bed_open(&bed, &settings, "");
    for (unsigned i = 0; i < RESOLVER_PENDING_MAX; i++)
        assert_true(resolver_post(bed.client, i, SPAN("example.com")));
    assert_false(resolver_post(bed.client, 0, SPAN("example.com")));
    resolver_flush(bed.client, bed.now_ms);
    assert_int_equal(resolver_poll(bed.client, bed.now_ms, count_answer, &count), RESOLVER_PENDING_MAX);
    assert_true(resolver_post(bed.client, 0, SPAN("example.com")));
    script_bed_close(&bed); /* with one that was never flushed */
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
    struct script_bed bed;
    struct tally tally = {{0}};
    struct resolver_settings settings = script_bed_settings();
    settings.lookups_max = 16;
    script_bed_open(&bed, &settings, "");
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
    script_bed_close(&bed);
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

static void random_dns(struct script_bed *bed, uint64_t *dice)
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
        struct script_bed bed;
        struct tally tally = {{0}};
        struct resolver_settings settings = resolver_settings_default;
        settings.dice_seed = 1 + dice_next(&dice);
        settings.cache_count = (uint32_t)(dice_next(&dice) % 4);
        script_bed_open(&bed, &settings, "");
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
        script_bed_close(&bed);
    }
    /* The dice reached what matters. */
    assert_true(all.count[RESOLVER_FOUND] > 0 && all.count[RESOLVER_BOGUS] > 0 && all.count[RESOLVER_TIMEOUT] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time__silent_servers__timeout_at_the_limit),
        cmocka_unit_test(time__one_family_silent__patience_only),
        cmocka_unit_test(time__one_service_silent__patience_only),
        cmocka_unit_test(time__one_host_slow__waited_for_within_patience),
        cmocka_unit_test(time__late_answers__not_taken),
        cmocka_unit_test(time__many_targets__four_at_a_time),
        cmocka_unit_test(time__many_dead_targets__the_best_four_asked),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
