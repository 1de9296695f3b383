/* SPDX-License-Identifier: MIT */
/* The order of SRV records (RFC 2782): what must always hold, and how often each comes first. */
#include "router/s2s/srv.h"
#include "tests/unit/core/suite.h"

#include <math.h>

#include "tests/unit/router/dice.h"

static uint32_t below(uint64_t *dice, uint32_t sides)
{
    return (uint32_t)(dice_next(dice) % sides);
}

#define COUNT_MAX 24u

static void read__record__fields(void **state)
{
    (void)state;
    struct srv srv;
    assert_true(srv_read(SPAN("\x00\x05\x01\x00\x14\x95\x04xmpp\x07"
                              "example\0"),
                         &srv));
    assert_int_equal(srv.priority, 5);
    assert_int_equal(srv.weight, 256);
    assert_int_equal(srv.port, 5269);
    assert_string_equal(srv.target, "xmpp.example");
    assert_int_equal(srv.target_status, DNS_NAME_HOST);
    assert_true(srv_read(SPAN("\0\0\0\0\0\0\0"), &srv));
    assert_int_equal(srv.target_status, DNS_NAME_ROOT);
}

static void read__not_a_record__refused(void **state)
{
    (void)state;
    struct srv srv;
    assert_false(srv_read(SPAN_NONE, &srv));
    assert_false(srv_read(span_of("\0\0\0\0\0\0", 6), &srv));
    assert_true(srv_read(span_of("\0\0\0\0\0\x01\x05"
                                 "ab",
                                 9),
                         &srv));
    assert_int_equal(srv.target_status, DNS_NAME_BAD);
    assert_string_equal(srv.target, "");
}

/* A permutation, by rising priority. */
static void order__random_lists__permutation_by_priority(void **state)
{
    (void)state;
    uint64_t dice = dice_seed("order__random_lists");
    uint64_t seed = dice_next(&dice);
    for (unsigned i = 0; i < 20000; i++) {
        struct srv_rank ranks[COUNT_MAX], before[COUNT_MAX];
        bool is_seen[COUNT_MAX] = {false};
        unsigned count = below(&dice, COUNT_MAX + 1);
        for (unsigned j = 0; j < count; j++) {
            ranks[j] = (struct srv_rank){(uint16_t)below(&dice, 4), (uint16_t)(below(&dice, 3) * dice_next(&dice)), j};
            before[j] = ranks[j];
        }
        srv_order(ranks, count, &seed);
        for (unsigned j = 0; j < count; j++) {
            assert_true(ranks[j].index < count);
            assert_false(is_seen[ranks[j].index]);
            is_seen[ranks[j].index] = true;
            assert_int_equal(ranks[j].weight, before[ranks[j].index].weight);
            assert_int_equal(ranks[j].priority, before[ranks[j].index].priority);
            assert_true(j == 0 || ranks[j - 1].priority <= ranks[j].priority);
        }
    }
}

#define ROUNDS 60000u

/* How often each of the records is at a place, held against what is due by four standard deviations; with a fixed seed
 * that is no matter of luck. */
static void hold_places(const uint16_t *weights, unsigned count, unsigned place, const double *due)
{
    unsigned at[COUNT_MAX] = {0};
    uint64_t seed = 20261122;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct srv_rank ranks[COUNT_MAX];
        for (unsigned j = 0; j < count; j++)
            ranks[j] = (struct srv_rank){10, weights[j], j};
        srv_order(ranks, count, &seed);
        at[ranks[place].index]++;
    }
    for (unsigned j = 0; j < count; j++) {
        double expected = ROUNDS * due[j];
        double slack = 4 * sqrt(ROUNDS * due[j] * (1 - due[j])) + 1;
        if (fabs(at[j] - expected) > slack)
            fail_msg("weight %u at place %u: %u times, expected %.0f +- %.0f", weights[j], place, at[j], expected,
                     slack);
    }
}

/* The number drawn is 0 to the sum, inclusive: the first record in the list that is drawn from has one chance more than
 * its weight. Without records of weight 0 every record is that first one equally often, since the list is shuffled. */
static void order__three_weights__first_by_weight(void **state)
{
    (void)state;
    const uint16_t weights[] = {10, 30, 60};
    const double extra = 1.0 / 3 / 101;
    const double due[] = {10.0 / 101 + extra, 30.0 / 101 + extra, 60.0 / 101 + extra};
    hold_places(weights, 3, 0, due);
}

static void order__weight_zero__very_small_chance(void **state)
{
    (void)state;
    const uint16_t weights[] = {0, 49, 50};
    const double due[] = {0.01, 0.49, 0.50};
    hold_places(weights, 3, 0, due);
}

static void order__two_zeros__share_their_chance(void **state)
{
    (void)state;
    const uint16_t weights[] = {0, 9, 0};
    const double due[] = {0.05, 0.9, 0.05};
    hold_places(weights, 3, 0, due);
}

static void order__all_zero__uniform(void **state)
{
    (void)state;
    const uint16_t weights[] = {0, 0, 0, 0};
    const double due[] = {0.25, 0.25, 0.25, 0.25};
    hold_places(weights, 4, 0, due);
    hold_places(weights, 4, 3, due);
}

/* The rest is drawn by the same rule: the second place, given who was first. */
static void order__second_place__drawn_anew(void **state)
{
    (void)state;
    const uint16_t weights[] = {1000, 1000, 8000};
    double first[3], due[3] = {0};
    for (unsigned i = 0; i < 3; i++)
        first[i] = (weights[i] + 1.0 / 3) / 10001;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned j = 0; j < 3; j++) {
            if (j != i)
                due[i] += first[j] * (weights[i] + 0.5) / (10001.0 - weights[j]);
        }
    }
    hold_places(weights, 3, 1, due);
}

static void order__greatest_weights__no_overflow(void **state)
{
    (void)state;
    struct srv_rank ranks[COUNT_MAX];
    uint64_t seed = 3;
    for (unsigned i = 0; i < COUNT_MAX; i++)
        ranks[i] = (struct srv_rank){65535, 65535, i};
    srv_order(ranks, COUNT_MAX, &seed);
    unsigned sum = 0;
    for (unsigned i = 0; i < COUNT_MAX; i++)
        sum += ranks[i].index;
    assert_int_equal(sum, COUNT_MAX * (COUNT_MAX - 1) / 2);
}

static void order__same_seed__same_order(void **state)
{
    (void)state;
    uint64_t one = 99, two = 99, other = 100;
    unsigned differs = 0;
    for (unsigned i = 0; i < 50; i++) {
        struct srv_rank a[COUNT_MAX], b[COUNT_MAX], c[COUNT_MAX];
        for (unsigned j = 0; j < COUNT_MAX; j++)
            a[j] = b[j] = c[j] = (struct srv_rank){0, (uint16_t)j, j};
        srv_order(a, COUNT_MAX, &one);
        srv_order(b, COUNT_MAX, &two);
        srv_order(c, COUNT_MAX, &other);
        assert_memory_equal(a, b, sizeof a);
        differs += memcmp(a, c, sizeof a) != 0;
    }
    assert_int_equal(differs, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read__record__fields),
        cmocka_unit_test(read__not_a_record__refused),
        cmocka_unit_test(order__random_lists__permutation_by_priority),
        cmocka_unit_test(order__three_weights__first_by_weight),
        cmocka_unit_test(order__weight_zero__very_small_chance),
        cmocka_unit_test(order__two_zeros__share_their_chance),
        cmocka_unit_test(order__all_zero__uniform),
        cmocka_unit_test(order__second_place__drawn_anew),
        cmocka_unit_test(order__greatest_weights__no_overflow),
        cmocka_unit_test(order__same_seed__same_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
