/* SPDX-License-Identifier: MIT */
/* The simulation under load: many peers, every mix of chaos, many seeds; no byte lost, none out of order. */
#include "io/sim/dice_priv.h"
#include "tests/unit/io/sim_cmocka.h"
#include "tests/unit/io/sim_echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PEERS 6u

/* Byte i of the stream of peer p: position and stream are both visible in it. */
static char pattern(unsigned p, size_t i)
{
    return (char)(uint8_t)(i * 31 + (i >> 8) * 7 + p * 101);
}

/* The run that a failed assertion was in. */
static unsigned current_bits;
static uint64_t current_seed;

static void note(unsigned bits, uint64_t seed)
{
    current_bits = bits;
    current_seed = seed;
}

static int tell(void **state)
{
    (void)state;
    print_message("last run: chaos %u seed %llu\n", current_bits, (unsigned long long)current_seed);
    return 0;
}

struct talker {
    struct peer *peer;
    unsigned number;
    size_t to_send;
    size_t sent;
    size_t checked;
};

static void talk(struct talker *talker, size_t size)
{
    char bytes[4096];
    size = size < sizeof bytes ? size : sizeof bytes;
    size_t left = talker->to_send - talker->sent;
    size = size < left ? size : left;
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern(talker->number, talker->sent + i);
    peer_send(talker->peer, span_of(bytes, size));
    talker->sent += size;
    if (talker->sent == talker->to_send && !peer_is_closed(talker->peer) && size > 0)
        peer_end(talker->peer);
}

static void listen_to(struct talker *talker, size_t most)
{
    struct span bytes = peer_received(talker->peer);
    size_t size = bytes.size < most ? bytes.size : most;
    for (size_t i = 0; i < size; i++)
        if (bytes.ptr[i] != pattern(talker->number, talker->checked + i))
            fail_msg("peer %u: wrong byte at %zu", talker->number, talker->checked + i);
    talker->checked += size;
    peer_take(talker->peer, size);
}

/* What a run leaves: its trace, to compare runs. */
static uint64_t run(uint64_t seed, const struct world_chaos *chaos, unsigned shards, size_t move_every)
{
    struct echo echo;
    struct dice dice = {seed};
    struct talker talkers[PEERS];
    echo_init(&echo, seed, chaos, shards, NULL);
    echo.move_every = move_every;
    echo.sends_while_moving = seed & 1;
    for (unsigned i = 0; i < PEERS; i++) {
        talkers[i] = (struct talker){
            .peer = peer_connect(echo.world, (unsigned)dice_below(&dice, shards), ECHO_TAG),
            .number = i,
            .to_send =
                1 + (size_t)dice_below(&dice, i == 0 || dice_one_in(&dice, 3) ? 60000 : 600) + (i == 0 ? 2000 : 0),
        };
        peer_set_window(talkers[i].peer, 1 + (size_t)dice_below(&dice, 9000));
    }
    for (unsigned open = PEERS, step = 0; open > 0; step++) {
        assert_true(step < 200000);
        open = 0;
        for (unsigned i = 0; i < PEERS; i++) {
            if (talkers[i].sent < talkers[i].to_send && dice_one_in(&dice, 2))
                talk(&talkers[i], 1 + (size_t)dice_below(&dice, 3000));
            if (dice_one_in(&dice, 2))
                listen_to(&talkers[i], 1 + (size_t)dice_below(&dice, 3000));
            open += talkers[i].checked < talkers[i].to_send;
        }
        world_step(echo.world);
    }
    echo_settle(&echo);
    assert_int_equal(echo.closed, PEERS);
    assert_int_equal(echo.closed_with_error, 0);
    for (unsigned i = 0; i < PEERS; i++) {
        assert_int_equal(talkers[i].checked, talkers[i].to_send);
        assert_true(peer_is_ended(talkers[i].peer) && peer_is_closed(talkers[i].peer));
        assert_false(peer_is_reset(talkers[i].peer));
    }
    if (move_every != 0)
        assert_true(echo.moves > 0);
    uint64_t trace = world_trace(echo.world);
    echo_fini(&echo);
    return trace;
}

static struct world_chaos chaos_of(unsigned bits)
{
    return (struct world_chaos){
        .cut_receives = bits & 1,
        .cut_sends = bits & 2,
        .delay = bits & 4,
        .buffers_run_out = bits & 8,
    };
}

static void echo__every_chaos_and_many_seeds__bytes_intact(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct world_chaos chaos = chaos_of(bits);
        for (uint64_t seed = 1; seed <= 25; seed++) {
            note(bits, seed);
            run(seed, &chaos, 1 + (unsigned)seed % 3, 0);
        }
    }
}

static void echo__handoff_ping_pong_between_three_shards__bytes_intact(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct world_chaos chaos = chaos_of(bits);
        for (uint64_t seed = 1; seed <= 25; seed++) {
            note(bits, seed);
            run(seed, &chaos, 3, 1 + (size_t)seed * 40);
        }
    }
}

static void echo__same_seed__same_trace(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 16; bits++) {
        struct world_chaos chaos = chaos_of(bits);
        assert_true(run(5, &chaos, 3, 100) == run(5, &chaos, 3, 100));
    }
}

static void echo__another_seed__another_trace(void **state)
{
    (void)state;
    struct world_chaos chaos = chaos_of(15);
    uint64_t seen[8];
    for (uint64_t seed = 0; seed < 8; seed++) {
        seen[seed] = run(seed, &chaos, 3, 100);
        for (uint64_t other = 0; other < seed; other++)
            assert_true(seen[other] != seen[seed]);
    }
}

static void echo__single_bytes__bytes_intact(void **state)
{
    (void)state;
    struct world_chaos chaos = chaos_of(15);
    chaos.receive_max = 1;
    run(3, &chaos, 2, 70);
}

/* Peers reset, end or vanish at random moments while connections move and shards refuse them. */
static void reset_run(uint64_t seed)
{
    struct echo echo;
    struct dice dice = {seed};
    struct world_chaos chaos = chaos_of((unsigned)dice_below(&dice, 16));
    chaos.handoff_fail_one_in = dice_one_in(&dice, 2) ? 5 : 0;
    struct talker talkers[PEERS];
    echo_init(&echo, seed, &chaos, 3, NULL);
    echo.move_every = dice_one_in(&dice, 2) ? 200 : 0;
    for (unsigned i = 0; i < PEERS; i++)
        talkers[i] = (struct talker){peer_connect(echo.world, i % 3, ECHO_TAG), i, 100000, 0, 0};
    for (unsigned step = 0; step < 300; step++) {
        for (unsigned i = 0; i < PEERS; i++) {
            struct talker *talker = &talkers[i];
            if (talker->peer == NULL)
                continue;
            talk(talker, (size_t)dice_below(&dice, 500));
            listen_to(talker, (size_t)dice_below(&dice, 500));
            if (dice_one_in(&dice, 100))
                peer_reset(talker->peer);
            if (dice_one_in(&dice, 200)) {
                peer_free(talker->peer);
                talker->peer = NULL;
            }
        }
        world_step(echo.world);
    }
    for (unsigned i = 0; i < PEERS; i++)
        peer_free(talkers[i].peer);
    echo_settle(&echo);
    assert_int_equal(echo.opened, PEERS);
    echo_fini(&echo);
}

static void echo__resets_at_random_moments__everything_closed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        note(0, seed);
        reset_run(seed);
    }
}

/* The figure of the README; the assertions are those of every run. */
static void echo__two_thousand_connections__all_answered(void **state)
{
    (void)state;
    enum { COUNT = 2000, ROUNDS = 10 };
    struct echo echo;
    struct peer **peers = calloc(COUNT, sizeof(struct peer *));
    struct timespec from, to;
    uint64_t events = 0, steps = 0;
    assert_non_null(peers);
    clock_gettime(CLOCK_MONOTONIC, &from);
    echo_init(&echo, 1, NULL, 8, NULL);
    for (unsigned i = 0; i < COUNT; i++)
        peers[i] = peer_connect(echo.world, i % 8, ECHO_TAG);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            peer_send(peers[i], SPAN("<message to='romeo@example.net'><body>hello</body></message>"));
        while (world_step(echo.world))
            steps++;
        for (unsigned i = 0; i < COUNT; i++) {
            assert_int_equal(peer_received(peers[i]).size, 60);
            peer_take(peers[i], 60);
        }
    }
    for (unsigned i = 0; i < COUNT; i++)
        peer_free(peers[i]);
    while (world_step(echo.world))
        steps++;
    for (unsigned i = 0; i < 8; i++)
        events += counter_read(&echo.shards[i].counters, COUNTER_RECEIVES) +
                  counter_read(&echo.shards[i].counters, COUNTER_SENDS) +
                  counter_read(&echo.shards[i].counters, COUNTER_ACCEPTED) +
                  counter_read(&echo.shards[i].counters, COUNTER_CLOSED);
    assert_int_equal(events, COUNT * (2 * ROUNDS + 2));
    echo_fini(&echo);
    free(peers);
    clock_gettime(CLOCK_MONOTONIC, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    print_message("%.0f events/s, %llu steps, %.2f s\n", (double)events / seconds, (unsigned long long)steps, seconds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(echo__every_chaos_and_many_seeds__bytes_intact, tell),
        cmocka_unit_test_teardown(echo__handoff_ping_pong_between_three_shards__bytes_intact, tell),
        cmocka_unit_test_teardown(echo__same_seed__same_trace, tell),
        cmocka_unit_test_teardown(echo__another_seed__another_trace, tell),
        cmocka_unit_test_teardown(echo__single_bytes__bytes_intact, tell),
        cmocka_unit_test_teardown(echo__resets_at_random_moments__everything_closed, tell),
        cmocka_unit_test_teardown(echo__two_thousand_connections__all_answered, tell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
