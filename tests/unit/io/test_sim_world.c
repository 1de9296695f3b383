/* SPDX-License-Identifier: MIT */
/* The world itself: turns, timers, wakes, clocks, chance, faults, the end. */
#include "tests/unit/io/sim_cmocka.h"
#include "tests/unit/io/sim_probe.h"

#include <arpa/inet.h>
#include <pthread.h>

static struct probe probe;

static void turn__new_shard__one_turn_then_idle(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    assert_true(world_step(probe.world));
    assert_false(world_step(probe.world));
    assert_false(world_step(probe.world));
    for (unsigned i = 0; i < PROBE_SHARDS; i++)
        assert_int_equal(probe.turns[i], 1);
    probe_fini(&probe);
}

static void turn__completions_of_one_shard__only_that_shard_turns(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe_settle(&probe);
    peer_connect(probe.world, 2, PROBE_TAG);
    peer_connect(probe.world, 2, PROBE_TAG);
    probe_settle(&probe);
    assert_int_equal(probe.turns[0], 1);
    assert_int_equal(probe.turns[2], 2); /* one for both completions */
    probe_fini(&probe);
}

static void turn__answers_zero__turns_again_at_once(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe.deadline[1] = 0;
    assert_false(world_settle(probe.world, 10));
    assert_int_equal(probe.turns[1], 10);
    assert_int_equal(probe.turns[0], 1);
    probe.deadline[1] = UINT64_MAX;
    probe_settle(&probe);
    probe_fini(&probe);
}

static void timer__deadline_passes__turn_in_the_next_step(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    uint64_t now = world_now_ms(probe.world);
    probe.deadline[0] = now + 100;
    probe.deadline[2] = now + 50;
    probe_settle(&probe);
    assert_int_equal(world_deadline_ms(probe.world), now + 50);
    world_advance(probe.world, 49);
    assert_false(world_step(probe.world));
    probe.deadline[2] = UINT64_MAX;
    world_advance(probe.world, 1);
    assert_true(world_step(probe.world));
    assert_int_equal(probe.turns[2], 2);
    assert_int_equal(probe.turns[0], 1);
    assert_int_equal(world_deadline_ms(probe.world), now + 100);
    probe.deadline[0] = UINT64_MAX;
    world_advance(probe.world, 1000);
    probe_settle(&probe);
    assert_int_equal(probe.turns[0], 2);
    assert_true(world_deadline_ms(probe.world) == UINT64_MAX);
    assert_int_equal(io_now_ms(probe.ios[0]), now + 1050);
    assert_int_equal(io_now_fresh_ns(probe.ios[0]), (now + 1050) * 1000000);
    probe_fini(&probe);
}

static void wake_once(struct probe *p, unsigned shard)
{
    if (shard != 0 || p->turns[0] != 2)
        return;
    io_wake(p->ios[0], 1);
    io_wake(p->ios[0], 1);
}

static void wake__twice_in_a_turn__one_turn_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        probe_init(&probe, seed, NULL, NULL);
        probe_settle(&probe);
        probe.turn_hook = wake_once;
        io_notify(probe.ios[0]);
        probe_settle(&probe);
        assert_int_equal(probe.turns[0], 2);
        assert_int_equal(probe.turns[1], 2);
        assert_int_equal(probe.turns[2], 1);
        assert_int_equal(counter_read(&probe.counters[0], COUNTER_WAKES), 1);
        probe_fini(&probe);
    }
}

static void wake__delayed__never_lost(void **state)
{
    (void)state;
    struct world_chaos chaos = {.delay = true};
    for (uint64_t seed = 1; seed <= 50; seed++) {
        probe_init(&probe, seed, &chaos, NULL);
        probe_settle(&probe);
        unsigned before = probe.turns[2];
        io_wake(probe.ios[0], 2);
        probe_settle(&probe);
        assert_true(probe.turns[2] > before);
        probe_fini(&probe);
    }
}

static void *notify_often(void *io)
{
    for (unsigned i = 0; i < 2000; i++)
        io_notify(io);
    return NULL;
}

static void notify__from_another_thread__turn_after_the_last(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe_settle(&probe);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, notify_often, probe.ios[1]), 0);
    for (unsigned i = 0; i < 200; i++)
        world_step(probe.world);
    assert_int_equal(pthread_join(thread, NULL), 0);
    unsigned before = probe.turns[1];
    io_notify(probe.ios[1]);
    assert_true(world_step(probe.world));
    assert_int_equal(probe.turns[1], before + 1);
    assert_int_equal(probe.turns[0], 1);
    probe_fini(&probe);
}

static void clock__wall__starts_in_2026_moves_and_jumps(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    uint64_t mono = world_now_ms(probe.world);
    assert_int_equal(io_wall_ms(probe.ios[0]), 1767225600000);
    world_advance(probe.world, 1500);
    assert_int_equal(io_wall_ms(probe.ios[0]), 1767225601500);
    world_jump_wall(probe.world, -86400000);
    assert_int_equal(io_wall_ms(probe.ios[0]), 1767139201500);
    assert_int_equal(io_now_ms(probe.ios[0]), mono + 1500);
    probe_fini(&probe);
}

static void random__same_seed__same_bytes_whatever_the_shard_does(void **state)
{
    (void)state;
    char first[37], second[37], other[37];
    probe_init(&probe, 7, NULL, NULL);
    io_random(probe.ios[1], first, sizeof first);
    io_random(probe.ios[2], other, sizeof other);
    assert_memory_not_equal(first, other, sizeof first);
    probe_fini(&probe);
    probe_init(&probe, 7, NULL, NULL);
    probe_connect(&probe);
    io_random(probe.ios[1], second, sizeof second);
    assert_memory_equal(first, second, sizeof first);
    probe_fini(&probe);
    probe_init(&probe, 8, NULL, NULL);
    io_random(probe.ios[1], second, sizeof second);
    assert_memory_not_equal(first, second, sizeof first);
    probe_fini(&probe);
}

static void stop__open_connections__last_turn_then_no_callbacks(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    struct peer *waiting = peer_connect(probe.world, 1, PROBE_TAG);
    io_stop(probe.ios[0]);
    unsigned turns = probe.turns[0];
    probe_settle(&probe);
    assert_int_equal(probe.turns[0], turns + 1);
    assert_int_equal(probe_count(&probe, CLOSED), 0);
    assert_true(peer_is_closed(peer));
    assert_false(peer_is_closed(waiting));
    io_notify(probe.ios[0]);
    probe_settle(&probe);
    assert_int_equal(probe.turns[0], turns + 1);
    struct peer *late = peer_connect(probe.world, 0, PROBE_TAG);
    assert_true(peer_is_closed(late));
    probe_fini(&probe);
}

static void stall__shard_stuck__others_go_on(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe_settle(&probe);
    world_set_stalled(probe.ios[1], true);
    peer_connect(probe.world, 1, PROBE_TAG);
    peer_connect(probe.world, 2, PROBE_TAG);
    probe_settle(&probe);
    assert_int_equal(probe.turns[1], 1);
    assert_int_equal(probe_count(&probe, ACCEPTED), 1);
    world_set_stalled(probe.ios[1], false);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, ACCEPTED), 2);
    probe_fini(&probe);
}

static void ready__abandoned__false(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    assert_true(io_ready(probe.ios[0]));
    io_abandon(probe.group);
    assert_false(io_ready(probe.ios[0]));
    struct err err;
    assert_true(io_probe(&err));
    assert_null(io_group_new(1, &err));
    assert_non_null(strstr(err.text, "world_group"));
    probe_fini(&probe);
}

static uint64_t order_seen;

static void note_order(struct probe *p, unsigned shard)
{
    (void)p;
    order_seen = order_seen * 4 + shard;
}

static void order__of_shards__differs_between_seeds(void **state)
{
    (void)state;
    uint64_t seen[20];
    unsigned different = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        probe_init(&probe, seed, NULL, NULL);
        order_seen = 0;
        probe.turn_hook = note_order;
        world_step(probe.world);
        seen[seed] = order_seen;
        different += seed > 0 && seen[seed] != seen[0];
        probe_fini(&probe);
    }
    assert_true(different > 8);
}

static void peer__from__address_is_what_the_router_sees(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_port = htons(4000)};
    struct peer *peer = peer_connect_from(probe.group, 1, PROBE_TAG, (const struct sockaddr *)&from);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, ACCEPTED);
    assert_int_equal(probe_last(&probe)->size, AF_INET6); /* the probe notes the family there */
    assert_int_equal(peer_address(peer)->sa_family, AF_INET6);
    probe_fini(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turn__new_shard__one_turn_then_idle),
        cmocka_unit_test(turn__completions_of_one_shard__only_that_shard_turns),
        cmocka_unit_test(turn__answers_zero__turns_again_at_once),
        cmocka_unit_test(timer__deadline_passes__turn_in_the_next_step),
        cmocka_unit_test(wake__twice_in_a_turn__one_turn_there),
        cmocka_unit_test(wake__delayed__never_lost),
        cmocka_unit_test(notify__from_another_thread__turn_after_the_last),
        cmocka_unit_test(clock__wall__starts_in_2026_moves_and_jumps),
        cmocka_unit_test(random__same_seed__same_bytes_whatever_the_shard_does),
        cmocka_unit_test(stop__open_connections__last_turn_then_no_callbacks),
        cmocka_unit_test(stall__shard_stuck__others_go_on),
        cmocka_unit_test(ready__abandoned__false),
        cmocka_unit_test(order__of_shards__differs_between_seeds),
        cmocka_unit_test(peer__from__address_is_what_the_router_sees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
