/* SPDX-License-Identifier: MIT */
/* What is scarce: receive buffers, completion entries, slots. All progress, nothing spins, nothing is lost. */
#include "ring_rig.h"

#include "core/base/clock.h"
#include "io/ring/ring_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TALKERS 240u

static void talk(int *fds, unsigned count, unsigned rounds, size_t size)
{
    unsigned char sent[4096], got[4096];
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < count; i++) {
            rig_pattern(sent, size, i, round * size);
            rig_send_all(fds[i], sent, size);
        }
        uint64_t start_ms = clock_mono_ms();
        for (unsigned i = 0; i < count; i++) {
            rig_pattern(sent, size, i, round * size);
            rig_recv_all(fds[i], got, size);
            assert_memory_equal(sent, got, size);
        }
        assert_true(clock_mono_ms() - start_ms < 1000); /* none starves for a second */
    }
}

/* The process's CPU time while nothing is to be done must be next to none. */
static void assert_idle(const struct rig *rig)
{
    uint64_t turns = rig_counter(rig, COUNTER_TURNS), cpu_us = rig_cpu_us();
    rig_sleep_ms(300);
    assert_true(rig_counter(rig, COUNTER_TURNS) - turns <= 5);
    assert_true(rig_cpu_us() - cpu_us < 15000); /* 5 % of 300 ms */
}

static void run_scarce(uint32_t buffer_count, uint32_t buffer_size, uint32_t completions, enum counter seen)
{
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.entries = 8;
    rig.config.completions = completions;
    rig.config.buffer_count = buffer_count;
    rig.config.buffer_size = buffer_size;
    rig_start(&rig);
    int fds[TALKERS];
    for (unsigned i = 0; i < TALKERS; i++)
        fds[i] = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, TALKERS);
    talk(fds, TALKERS, 10, 1000);
    printf("%lu times without buffer, %lu overflows, %lu turns\n",
           (unsigned long)rig_counter(&rig, COUNTER_BUFFERS_EMPTY),
           (unsigned long)rig_counter(&rig, COUNTER_CQ_OVERFLOWS), (unsigned long)rig_counter(&rig, COUNTER_TURNS));
    assert_true(rig_counter(&rig, seen) > 0); /* else the test shows nothing */
    rig_sleep_ms(50);
    assert_idle(&rig);
    talk(fds, TALKERS, 1, 1000);
    for (unsigned i = 0; i < TALKERS; i++)
        close(fds[i]);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

/* 1,000 bytes are in 16 buffers: bundles come round the end, and are handed out in pieces. */
static void buffers__many_small_ones__bytes_in_order(void **state)
{
    (void)state;
    run_scarce(64, 64, 4096, COUNTER_BUFFERS_EMPTY);
}

static void buffers__two_for_240_talkers__all_progress_and_idle_is_idle(void **state)
{
    (void)state;
    run_scarce(2, 256, 4096, COUNTER_BUFFERS_EMPTY);
}

static void read_offered(struct io *io, void *argument)
{
    *(uint32_t *)argument = io->buffers.offered;
}

/* What one talker never needs is never touched; 240 at once get what they need within four steps, and none is without
 * a buffer any more. */
static void buffers__few_at_first__as_many_as_are_needed(void **state)
{
    (void)state;
    struct rig rig;
    uint32_t offered = 0;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fds[TALKERS];
    fds[0] = rig_connect(&rig);
    talk(fds, 1, 200, 1000);
    rig_call(&rig, 0, read_offered, &offered);
    assert_int_equal(offered, 16);
    for (unsigned i = 1; i < TALKERS; i++)
        fds[i] = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, TALKERS);
    talk(fds, TALKERS, 100, 1000);
    rig_call(&rig, 0, read_offered, &offered);
    uint64_t empty = rig_counter(&rig, COUNTER_BUFFERS_EMPTY);
    printf("%u buffers, %lu times without one\n", offered, (unsigned long)empty);
    assert_in_range(offered, 32, 256);
    assert_in_range(empty, 1, 4 * TALKERS);
    for (unsigned i = 0; i < TALKERS; i++)
        close(fds[i]);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void completions__eight_entries__overflow_is_drained(void **state)
{
    (void)state;
    run_scarce(256, 4096, 8, COUNTER_CQ_OVERFLOWS);
}

static void slots__more_clients_than_slots__the_rest_wait_and_are_served(void **state)
{
    (void)state;
    enum { SLOTS = 8, CLIENTS = 40 };
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.connection_max = SLOTS;
    rig_start(&rig);
    int fds[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        fds[i] = rig_connect(&rig); /* the listener's queue takes them */
        rig_send_all(fds[i], "hello", 5);
    }
    rig_await(&rig, COUNTER_ACCEPTED, SLOTS);
    rig_sleep_ms(20);
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPTED), SLOTS);
    assert_idle(&rig);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char echo[5];
        rig_recv_all(fds[i], echo, sizeof echo);
        assert_memory_equal(echo, "hello", 5);
        close(fds[i]); /* makes room for one that waits */
    }
    rig_await(&rig, COUNTER_CLOSED, CLIENTS);
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPTED), CLIENTS);
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPT_PAUSES), 0);
    rig_stop(&rig);
}

struct table_case {
    struct rig *rig;
    uint32_t taken;
};

/* Takes slots behind the reactor's back, so that an accept that is in flight finds none. */
static void take_slots(struct io *io, void *argument)
{
    struct table_case *table = argument;
    int null = dup(0);
    for (uint32_t slot = 0; slot < io->config.connection_max; slot++)
        if (io_uring_register_files_update(&io->ring, slot, &null, 1) == 1)
            table->taken++;
    close(null);
}

static void return_slots(struct io *io, void *argument)
{
    (void)argument;
    const int none = -1;
    for (uint32_t slot = 0; slot < io->config.connection_max; slot++)
        (void)io_uring_register_files_update(&io->ring, slot, &none, 1);
}

static void accept__table_full__rests_and_recovers(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.connection_max = 64;
    rig_start(&rig);
    struct table_case table = {.rig = &rig};
    rig_call(&rig, 0, take_slots, &table);
    assert_int_equal(table.taken, 64);
    int lost = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPT_PAUSES, 1);
    char byte;
    assert_true(recv(lost, &byte, 1, 0) <= 0);
    close(lost);
    uint64_t turns = rig_counter(&rig, COUNTER_TURNS);
    rig_sleep_ms(250);
    assert_true(rig_counter(&rig, COUNTER_TURNS) - turns < 20); /* rests, does not spin */
    rig_call(&rig, 0, return_slots, NULL);
    int fd = rig_connect(&rig);
    uint64_t start_ms = clock_mono_ms();
    rig_send_all(fd, "x", 1);
    rig_recv_all(fd, &byte, 1);
    assert_true(clock_mono_ms() - start_ms <= 150);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    rig_stop(&rig);
}

static void hold_accepts(struct io *io, void *argument)
{
    io_hold_accepts(io, *(const bool *)argument);
}

/* The router wants none while accepting rests: that the rest is over wakes nobody. */
static void accept__held_while_it_rests__does_not_spin(void **state)
{
    (void)state;
    static bool yes = true, no = false;
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.connection_max = 64;
    rig_start(&rig);
    struct table_case table = {.rig = &rig};
    rig_call(&rig, 0, take_slots, &table);
    int lost = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPT_PAUSES, 1);
    rig_call(&rig, 0, hold_accepts, &yes);
    close(lost);
    rig_sleep_ms(ACCEPT_PAUSE_MS + 50);
    assert_idle(&rig);
    rig_call(&rig, 0, return_slots, NULL);
    rig_call(&rig, 0, hold_accepts, &no);
    int fd = rig_connect(&rig);
    rig_send_all(fd, "x", 1);
    char byte;
    rig_recv_all(fd, &byte, 1);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    rig_stop(&rig);
}

/* A completion with the token of a connection that is gone: another ring of this process posts it. */
static void post(struct rig *rig, uint64_t token)
{
    struct io_uring ring;
    assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    SL_CHECK(sqe != NULL);
    io_uring_prep_msg_ring(sqe, rig->group->members[0].ring_fd, 1, token, 0);
    struct io_uring_cqe *cqe;
    assert_int_equal(io_uring_submit_and_wait(&ring, 1), 1);
    assert_int_equal(io_uring_peek_cqe(&ring, &cqe), 0);
    assert_int_equal(cqe->res, 0);
    io_uring_queue_exit(&ring);
}

struct token_case {
    struct rig *rig;
    uint64_t recv, send;
};

static void take_token(struct io *io, void *argument)
{
    struct token_case *token = argument;
    struct conn *conn = conn_of(token->rig->shards[0].last);
    (void)io;
    token->recv = token_of_conn(conn, OP_RECV);
    token->send = token_of_conn(conn, OP_SEND);
}

static void stale__completion_of_a_former_owner__counted_and_dropped(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.connection_max = 1;
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    struct token_case old = {.rig = &rig}, new = {.rig = &rig};
    rig_call(&rig, 0, take_token, &old);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 2);
    rig_call(&rig, 0, take_token, &new);
    assert_true(old.recv != new.recv && (old.recv & UINT32_MAX) == (new.recv &UINT32_MAX)); /* only the generation */
    post(&rig, old.recv);
    rig_await(&rig, COUNTER_STALE, 1);
    post(&rig, new.send); /* of the new owner, but nothing is being sent */
    rig_await(&rig, COUNTER_STALE, 2);
    post(&rig, token_make(OP_COUNT, 0, 0)); /* of nothing at all */
    rig_await(&rig, COUNTER_STALE, 3);
    char byte = 'x';
    rig_send_all(fd, &byte, 1); /* the new owner is not concerned */
    rig_recv_all(fd, &byte, 1);
    assert_int_equal(byte, 'x');
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 2);
    counter_set(&rig.shards[0].counters, COUNTER_STALE, 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers__many_small_ones__bytes_in_order),
        cmocka_unit_test(buffers__two_for_240_talkers__all_progress_and_idle_is_idle),
        cmocka_unit_test(buffers__few_at_first__as_many_as_are_needed),
        cmocka_unit_test(completions__eight_entries__overflow_is_drained),
        cmocka_unit_test(slots__more_clients_than_slots__the_rest_wait_and_are_served),
        cmocka_unit_test(accept__table_full__rests_and_recovers),
        cmocka_unit_test(accept__held_while_it_rests__does_not_spin),
        cmocka_unit_test(stale__completion_of_a_former_owner__counted_and_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
