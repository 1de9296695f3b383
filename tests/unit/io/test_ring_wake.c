/* SPDX-License-Identifier: MIT */
/* Wake-ups: none is lost, none is sent without need, and a deadline is kept. */
#include "ring_rig.h"

#include "core/base/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define NOTIFIERS 4u
#define NOTES     1000u

static uint64_t (*turn_of_rig)(void *shard);

/* What other threads wrote before io_notify(), as seen by turn(). */
struct board {
    _Atomic unsigned written[NOTIFIERS];
    _Atomic unsigned seen[NOTIFIERS];
};

struct notifier {
    struct rig *rig;
    unsigned index;
    bool is_good;
};

static uint64_t turn_reads(void *context)
{
    struct rig_shard *shard = context;
    struct board *board = shard->rig->user;
    for (unsigned i = 0; i < NOTIFIERS; i++)
        atomic_store_explicit(&board->seen[i], atomic_load_explicit(&board->written[i], memory_order_relaxed),
                              memory_order_relaxed);
    return turn_of_rig(context);
}

static void *notify_many(void *argument)
{
    struct notifier *notifier = argument;
    struct board *board = notifier->rig->user;
    for (unsigned n = 1; n <= NOTES; n++) {
        atomic_store_explicit(&board->written[notifier->index], n, memory_order_relaxed);
        io_notify(notifier->rig->shards[0].io);
        uint64_t end_ms = clock_mono_ms() + 5000;
        while (atomic_load_explicit(&board->seen[notifier->index], memory_order_relaxed) < n)
            if (clock_mono_ms() > end_ms)
                return NULL; /* a lost one */
    }
    notifier->is_good = true;
    return NULL;
}

static void notify__four_threads__each_followed_by_a_turn(void **state)
{
    (void)state;
    struct board board = {0};
    struct rig rig;
    rig_init(&rig, 1);
    rig.user = &board;
    turn_of_rig = rig.handler.turn;
    rig.handler.turn = turn_reads;
    rig_start(&rig);
    pthread_t threads[NOTIFIERS];
    struct notifier notifiers[NOTIFIERS];
    for (unsigned i = 0; i < NOTIFIERS; i++) {
        notifiers[i] = (struct notifier){.rig = &rig, .index = i};
        pthread_create(&threads[i], NULL, notify_many, &notifiers[i]);
    }
    for (unsigned i = 0; i < NOTIFIERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(notifiers[i].is_good);
    }
    rig_stop(&rig);
}

#define PASSES 20000u

/* A ball that goes round the shards: each that finds it its own passes it on and wakes the next. */
static uint64_t turn_passes(void *context)
{
    struct rig_shard *shard = context;
    _Atomic unsigned *ball = shard->rig->user;
    unsigned value = atomic_load_explicit(ball, memory_order_relaxed);
    if (value < PASSES && value % shard->rig->shard_count == shard->index) {
        atomic_store_explicit(ball, value + 1, memory_order_relaxed);
        for (unsigned i = 0; i < 5; i++)
            io_wake(shard->io, (shard->index + 1) % shard->rig->shard_count);
    }
    return turn_of_rig(context);
}

static void wake__ball_round_three_shards__never_lost(void **state)
{
    (void)state;
    _Atomic unsigned ball = PASSES;
    struct rig rig;
    rig_init(&rig, 3);
    rig.user = &ball;
    turn_of_rig = rig.handler.turn;
    rig.handler.turn = turn_passes;
    rig_start(&rig);
    atomic_store(&ball, 0);
    io_notify(rig.shards[0].io);
    for (unsigned i = 0; i < 10000 && atomic_load(&ball) < PASSES; i++)
        rig_sleep_ms(1);
    assert_int_equal(atomic_load(&ball), PASSES);
    uint64_t wakes = rig_counter(&rig, COUNTER_WAKES);
    printf("%lu wake-ups for %u passes\n", (unsigned long)wakes, PASSES);
    assert_true(wakes <= PASSES);
    rig_stop(&rig);
}

static void wake_often(struct io *io, void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < 100; i++) {
        io_wake(io, 1);
        io_wake(io, 0); /* itself: nothing to do */
    }
}

static void wake__hundred_times_in_a_turn__one_message(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    rig_start(&rig);
    for (unsigned i = 1; i <= 20; i++) {
        rig_sleep_ms(2); /* the target is asleep again */
        uint64_t turns = counter_read(&rig.shards[1].counters, COUNTER_TURNS);
        rig_call(&rig, 0, wake_often, NULL);
        for (unsigned wait = 0; wait < 1000; wait++) {
            if (counter_read(&rig.shards[1].counters, COUNTER_TURNS) > turns)
                break;
            rig_sleep_ms(1);
        }
        assert_true(counter_read(&rig.shards[1].counters, COUNTER_TURNS) > turns);
        assert_int_equal(rig_counter(&rig, COUNTER_WAKES), i);
    }
    rig_stop(&rig);
}

static void hold_up(struct io *io, void *argument)
{
    _Atomic bool *may_go = argument;
    (void)io;
    while (!atomic_load(may_go))
        rig_sleep_ms(1);
}

struct held {
    struct rig *rig;
    _Atomic bool may_go;
};

static void *call_hold_up(void *argument)
{
    struct held *held = argument;
    rig_call(held->rig, 1, hold_up, &held->may_go);
    return NULL;
}

static void wake__target_busy__at_most_one_message_under_way(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    rig_start(&rig);
    struct held held = {.rig = &rig};
    pthread_t thread;
    pthread_create(&thread, NULL, call_hold_up, &held);
    rig_sleep_ms(20); /* shard 1 is in its turn() now */
    for (unsigned i = 0; i < 20; i++)
        rig_call(&rig, 0, wake_often, NULL);
    assert_true(rig_counter(&rig, COUNTER_WAKES) <= 1);
    atomic_store(&held.may_go, true);
    pthread_join(thread, NULL);
    rig_stop(&rig);
}

static void set_deadline(struct io *io, void *argument)
{
    struct rig_shard *shard = argument;
    shard->deadline_ms = io_now_ms(io) + 80;
}

static void turn__deadline__wakes_then_and_not_before(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    struct rig_shard *shard = &rig.shards[0];
    rig_sleep_ms(20);
    rig_call(&rig, 0, set_deadline, shard);
    uint64_t start_ms = clock_mono_ms();
    uint64_t turns = rig_counter(&rig, COUNTER_TURNS);
    while (rig_counter(&rig, COUNTER_TURNS) <= turns + 1 && clock_mono_ms() < start_ms + 5000)
        rig_sleep_ms(1);
    uint64_t waited_ms = clock_mono_ms() - start_ms;
    assert_in_range(waited_ms, 75, 2000);
    shard->deadline_ms = UINT64_MAX; /* seen by the next turn: turns go on without sleep until then */
    rig_sleep_ms(50);
    turns = rig_counter(&rig, COUNTER_TURNS);
    rig_sleep_ms(50);
    assert_true(rig_counter(&rig, COUNTER_TURNS) - turns <= 1);
    rig_stop(&rig);
}

static void fill_random(struct io *io, void *argument)
{
    unsigned char *bytes = argument;
    io_random(io, bytes, 1000);
    io_random(io, bytes + 1000, 24);
}

static void random__two_requests__differ_and_hold_all_values(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    unsigned char a[1024] = {0}, b[1024] = {0};
    rig_call(&rig, 0, fill_random, a);
    rig_call(&rig, 0, fill_random, b);
    unsigned same = 0, zero = 0;
    for (unsigned i = 0; i < sizeof a; i++) {
        same += a[i] == b[i];
        zero += a[i] == 0;
    }
    assert_true(same < 40 && zero < 40); /* 4 expected of each */
    rig_stop(&rig);
}

static void stop__from_many_threads_at_once__ends(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        struct rig rig;
        rig_init(&rig, 2);
        rig_start(&rig);
        io_stop(rig.shards[0].io);
        io_stop(rig.shards[1].io);
        io_notify(rig.shards[0].io);
        rig_stop(&rig); /* stops once more */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notify__four_threads__each_followed_by_a_turn),
        cmocka_unit_test(wake__ball_round_three_shards__never_lost),
        cmocka_unit_test(wake__hundred_times_in_a_turn__one_message),
        cmocka_unit_test(wake__target_busy__at_most_one_message_under_way),
        cmocka_unit_test(turn__deadline__wakes_then_and_not_before),
        cmocka_unit_test(random__two_requests__differ_and_hold_all_values),
        cmocka_unit_test(stop__from_many_threads_at_once__ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
