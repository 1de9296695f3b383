/* SPDX-License-Identifier: MIT */
/* Prefixes of addresses, and the table that counts what they do: exact for one, fair in a flood, shared by threads. */
#include "router/stream/rate.h"

#include "tests/unit/core/dice.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#define START_MS 1000000u

static const struct hash_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
static const struct rate_limit five = {5, 10000};

static struct prefix parsed(const char *text, unsigned bits_ipv4, unsigned bits_ipv6)
{
    uint8_t address[16] = {[10] = 0xff, [11] = 0xff};
    if (inet_pton(AF_INET, text, address + 12) != 1)
        assert_int_equal(inet_pton(AF_INET6, text, address), 1);
    return prefix_of(address, bits_ipv4, bits_ipv6);
}

static struct prefix numbered(uint64_t number)
{
    struct prefix prefix = {{0x20, 0x01}};
    memcpy(prefix.bytes + 2, &number, 6);
    return prefix;
}

static bool is_same(const char *a, const char *b, unsigned bits_ipv4, unsigned bits_ipv6)
{
    struct prefix first = parsed(a, bits_ipv4, bits_ipv6), second = parsed(b, bits_ipv4, bits_ipv6);
    return memcmp(&first, &second, sizeof first) == 0;
}

static void prefix__of_addresses__joins_those_that_share_its_bits(void **state)
{
    (void)state;
    assert_true(is_same("192.0.2.1", "192.0.2.1", 32, 64));
    assert_false(is_same("192.0.2.1", "192.0.2.2", 32, 64));
    assert_true(is_same("192.0.2.1", "192.0.2.254", 24, 64));
    assert_true(is_same("192.0.2.128", "192.0.2.255", 25, 64));
    assert_false(is_same("192.0.2.127", "192.0.2.128", 25, 64));
    assert_true(is_same("2001:db8::1", "2001:db8::ffff:2", 32, 64));
    assert_false(is_same("2001:db8::1", "2001:db8:0:1::1", 32, 64));
    assert_true(is_same("2001:db8::1", "2001:db8:0:1::1", 32, 63));
    assert_false(is_same("2001:db8::1", "2001:db8::2", 32, 128));
    assert_false(is_same("::ffff:192.0.2.1", "::1", 8, 64));
    assert_true(is_same("::ffff:192.0.2.1", "192.0.2.1", 32, 64));
}

static void prefix__as_text__names_its_bits(void **state)
{
    (void)state;
    char out[PREFIX_TEXT_SIZE];
    struct prefix prefix = parsed("192.0.2.77", 24, 64);
    assert_string_equal(prefix_text(&prefix, 24, 64, out), "192.0.2.0/24");
    prefix = parsed("2001:db8:1:2:3:4:5:6", 32, 64);
    assert_string_equal(prefix_text(&prefix, 32, 64, out), "2001:db8:1:2::/64");
}

static void rate__up_to_its_burst__is_free_then_held(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    struct prefix one = numbered(1), other = numbered(2);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rate_take(rate, five, &one, START_MS), RATE_FREE);
    assert_false(rate_is_held(rate, five, &one, START_MS));
    assert_int_equal(rate_take(rate, five, &one, START_MS), RATE_LAST);
    assert_true(rate_is_held(rate, five, &one, START_MS));
    assert_int_equal(rate_take(rate, five, &one, START_MS), RATE_HELD);
    assert_false(rate_is_held(rate, five, &other, START_MS));
    assert_int_equal(rate_take(rate, five, &other, START_MS), RATE_FREE);
    rate_free(rate);
}

/* One is forgotten every 2 s, and to go on trying while held makes it no longer. */
static void rate__held__is_forgotten_by_and_by(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    struct prefix one = numbered(1);
    for (unsigned i = 0; i < 5; i++)
        rate_take(rate, five, &one, START_MS);
    for (unsigned ms = 0; ms < 2000; ms++)
        assert_int_equal(rate_take(rate, five, &one, START_MS + ms), RATE_HELD);
    assert_int_equal(rate_take(rate, five, &one, START_MS + 2000), RATE_LAST);
    assert_int_equal(rate_take(rate, five, &one, START_MS + 3999), RATE_HELD);
    assert_int_equal(rate_take(rate, five, &one, START_MS + 4000), RATE_LAST);
    /* The whole window later nothing is left of it. */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rate_take(rate, five, &one, START_MS + 14000), RATE_FREE);
    assert_int_equal(rate_take(rate, five, &one, START_MS + 14000), RATE_LAST);
    rate_free(rate);
}

static void rate__without_a_limit__holds_nobody(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    struct prefix one = numbered(1);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(rate_take(rate, (struct rate_limit){0, 1000}, &one, START_MS), RATE_FREE);
    /* And a limit that comes by a reload begins from nothing; one that is lowered holds at once. */
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rate_take(rate, five, &one, START_MS), RATE_FREE);
    assert_true(rate_is_held(rate, (struct rate_limit){2, 10000}, &one, START_MS));
    rate_free(rate);
}

/* More in a window than it has microseconds. */
static void rate__beyond_the_clock__still_ends(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    struct rate_limit limit = {4000000, 100};
    struct prefix one = numbered(1);
    unsigned count = 0;
    while (count < 5000000 && rate_take(rate, limit, &one, START_MS) != RATE_HELD)
        count++;
    assert_int_equal(count, 4000000);
    rate_free(rate);
}

/* Against a plain model with a list of times, any mix of a few prefixes and steps of time. */
static void rate__against_a_model__agrees(void **state)
{
    (void)state;
    struct dice dice = dice_seeded("rate", 7);
    struct rate *rate = rate_new(&key);
    double debts[20] = {0};
    uint64_t now = START_MS;
    unsigned held = 0;
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t step = dice_below(&dice, 4) == 0 ? dice_below(&dice, 800) : 0;
        now += step;
        for (unsigned p = 0; p < 20; p++)
            debts[p] = debts[p] > (double)step ? debts[p] - (double)step : 0;
        unsigned who = dice_below(&dice, 20);
        struct prefix prefix = numbered(who);
        bool is_held = debts[who] + 2000 > 10000;
        assert_int_equal(rate_take(rate, five, &prefix, now) == RATE_HELD, is_held);
        debts[who] += is_held ? 0 : 2000;
        held += is_held;
    }
    assert_true(held > 1000 && held < 199000);
    rate_free(rate);
}

/* A million other prefixes, each once: nobody of them is held, and the record of who is held survives them. */
static void flood__of_prefixes__frees_nobody_and_holds_nobody(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    for (unsigned guilty = 0; guilty < 1000; guilty++) {
        struct prefix prefix = numbered(guilty);
        for (unsigned i = 0; i < 5; i++)
            rate_take(rate, five, &prefix, START_MS);
    }
    for (unsigned i = 0; i < 1000000; i++) {
        struct prefix prefix = numbered(1000000 + i);
        assert_int_equal(rate_take(rate, five, &prefix, START_MS + 1), RATE_FREE);
    }
    unsigned still_held = 0;
    for (unsigned guilty = 0; guilty < 1000; guilty++) {
        struct prefix prefix = numbered(guilty);
        still_held += rate_is_held(rate, five, &prefix, START_MS + 1);
    }
    assert_int_equal(still_held, 1000);
    rate_free(rate);
}

/* What it costs to be forgotten early: whole sets of other prefixes at their own limit. An attacker with a tenth of
 * the table's prefixes buys nearly nothing. */
static void eviction__by_prefixes_at_their_limit__is_rare(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    for (unsigned who = 0; who < RATE_RECORDS / 10; who++) {
        struct prefix prefix = numbered(who);
        for (unsigned i = 0; i < 5; i++)
            rate_take(rate, five, &prefix, START_MS + (who > 0));
    }
    for (unsigned i = 0; i < 100000; i++) {
        struct prefix prefix = numbered(1000000 + i);
        rate_take(rate, five, &prefix, START_MS + 1);
    }
    unsigned lost = 0;
    for (unsigned who = 0; who < RATE_RECORDS / 10; who++) {
        struct prefix prefix = numbered(who);
        lost += !rate_is_held(rate, five, &prefix, START_MS + 1);
    }
    assert_true(lost < RATE_RECORDS / 10 / 1000);
    rate_free(rate);
}

#define THREADS 4u
#define TAKES   20000u

struct runner {
    struct rate *rate;
    unsigned taken;
};

static void *take_all(void *argument)
{
    struct runner *runner = argument;
    struct rate_limit limit = {30000, 3000000};
    for (unsigned i = 0; i < TAKES; i++) {
        struct prefix shared = numbered(1), own = numbered(2 + i % 64);
        runner->taken += rate_take(runner->rate, limit, &shared, START_MS) != RATE_HELD;
        (void)rate_is_held(runner->rate, limit, &own, START_MS);
    }
    return NULL;
}

/* Many shards, one limit: together they get exactly as much as it says. */
static void rate__of_several_threads__is_one(void **state)
{
    (void)state;
    struct rate *rate = rate_new(&key);
    struct runner runners[THREADS];
    pthread_t threads[THREADS];
    unsigned taken = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        runners[i] = (struct runner){.rate = rate};
        assert_int_equal(pthread_create(&threads[i], NULL, take_all, &runners[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        taken += runners[i].taken;
    }
    assert_int_equal(taken, 30000);
    rate_free(rate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefix__of_addresses__joins_those_that_share_its_bits),
        cmocka_unit_test(prefix__as_text__names_its_bits),
        cmocka_unit_test(rate__up_to_its_burst__is_free_then_held),
        cmocka_unit_test(rate__held__is_forgotten_by_and_by),
        cmocka_unit_test(rate__without_a_limit__holds_nobody),
        cmocka_unit_test(rate__beyond_the_clock__still_ends),
        cmocka_unit_test(rate__against_a_model__agrees),
        cmocka_unit_test(flood__of_prefixes__frees_nobody_and_holds_nobody),
        cmocka_unit_test(eviction__by_prefixes_at_their_limit__is_rare),
        cmocka_unit_test(rate__of_several_threads__is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
