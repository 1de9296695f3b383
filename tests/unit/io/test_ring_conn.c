/* SPDX-License-Identifier: MIT */
/* One connection's life on the real kernel: every way to end it, with every operation in flight. */
#include "ring_rig.h"

#include "core/base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BIG (4u << 20) /* more than both socket buffers take */

enum {
    DO_PAUSE = 1,
    DO_RESUME = 2,
    DO_SEND = 4,
    DO_FIN = 8,
    DO_RESET = 16,
    DO_LATER = 32,
    DO_TWICE = 64,
    DO_ALL = 128
};

static unsigned char big[BIG];

static void append_pattern(struct io *io, struct chain *chain)
{
    if (big[1] == 0)
        rig_pattern(big, sizeof big, 5, 0);
    for (size_t done = 0; done < sizeof big; done += 4000)
        chain_append(chain, io_pool(io), span_of(big + done, sizeof big - done < 4000 ? sizeof big - done : 4000));
}

static void end_connection(struct io *io, struct io_conn *conn, unsigned mask)
{
    if ((mask & DO_RESET) != 0)
        io_reset(io, conn);
    else
        io_close(io, conn);
    assert_false(io_can_send(conn));
    if ((mask & DO_TWICE) != 0) {
        io_close(io, conn);
        io_reset(io, conn);
        io_pause(io, conn);
        io_resume(io, conn);
        io_shutdown(io, conn);
    }
}

struct end_case {
    struct rig *rig;
    unsigned mask;
};

static void start_operations(struct io *io, void *argument)
{
    struct end_case *end = argument;
    struct io_conn *conn = end->rig->shards[0].last;
    assert_non_null(conn);
    if ((end->mask & DO_PAUSE) != 0)
        io_pause(io, conn);
    if ((end->mask & DO_RESUME) != 0)
        io_resume(io, conn);
    if ((end->mask & DO_SEND) != 0) {
        struct chain bytes = {0};
        append_pattern(io, &bytes);
        io_send(io, conn, &bytes);
        assert_true(chain_is_empty(&bytes));
    }
    if ((end->mask & DO_FIN) != 0)
        io_shutdown(io, conn);
    if ((end->mask & DO_FIN) != 0) {
        assert_false(io_can_send(conn));
        ((struct rig_conn *)conn->owner)->is_shut = true;
    }
    if ((end->mask & DO_LATER) == 0)
        end_connection(io, conn, end->mask);
}

static void end_later(struct io *io, void *argument)
{
    struct end_case *end = argument;
    end_connection(io, end->rig->shards[0].last, end->mask);
}

/* Returns 0 at the end of the stream, else the error. */
static int drain(int fd)
{
    char bytes[65536];
    ssize_t size;
    do
        size = recv(fd, bytes, sizeof bytes, 0);
    while (size > 0);
    return size == 0 ? 0 : errno;
}

static void close__every_subset_in_flight__closed_once_and_all_returned(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.connection_max = 4;
    rig_start(&rig);
    uint64_t closed = 0;
    for (unsigned mask = 0; mask < DO_ALL; mask++) {
        int fd = rig_connect(&rig);
        rig_await(&rig, COUNTER_ACCEPTED, closed + 1);
        struct end_case end = {&rig, mask};
        rig_call(&rig, 0, start_operations, &end);
        if ((mask & DO_LATER) != 0)
            rig_call(&rig, 0, end_later, &end);
        rig_await(&rig, COUNTER_CLOSED, ++closed);
        int error = drain(fd);
        if ((mask & (DO_RESET | DO_FIN)) == DO_RESET)
            assert_int_equal(error, ECONNRESET);
        else
            assert_true(error == 0 || error == ECONNRESET);
        close(fd);
        assert_int_equal(rig.shards[0].error_last, 0);
        assert_int_equal(rig.shards[0].closed_count, closed);
    }
    rig_stop(&rig);
}

static void stop__every_subset_in_flight__nothing_left(void **state)
{
    (void)state;
    for (unsigned mask = 0; mask < DO_RESET; mask++) {
        struct rig rig;
        rig_init(&rig, 1);
        rig_start(&rig);
        int fd = rig_connect(&rig);
        rig_await(&rig, COUNTER_ACCEPTED, 1);
        struct end_case end = {&rig, mask | DO_LATER};
        rig_call(&rig, 0, start_operations, &end);
        struct rig_conn *own = rig.shards[0].last->owner;
        io_stop(rig.shards[0].io);
        assert_int_equal(drain(fd) == 0 || errno == ECONNRESET, 1);
        close(fd);
        rig.shards[0].open_count = 0; /* closed is not called at the end */
        rig_stop(&rig);
        assert_int_equal(rig.shards[0].closed_count, 0);
        free(own);
    }
}

static void peer_reset__send_in_flight__closed_with_the_error(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    struct end_case end = {&rig, DO_SEND | DO_LATER};
    rig_call(&rig, 0, start_operations, &end);
    struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    int error = rig.shards[0].error_last;
    assert_true(error == ECONNRESET || error == EPIPE);
    rig_stop(&rig);
}

static void send__slow_reader__every_byte_in_order(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.send_max = 10000; /* cuts within chunks */
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    struct end_case end = {&rig, DO_SEND | DO_LATER};
    rig_call(&rig, 0, start_operations, &end);
    static unsigned char got[50000];
    size_t total = 0;
    for (unsigned i = 0; total < BIG; i++) {
        if (i < 20)
            rig_sleep_ms(5); /* the window is shut meanwhile */
        ssize_t size = recv(fd, got, i < 20 ? 777 : sizeof got, 0);
        assert_true(size > 0);
        assert_memory_equal(got, big + total, (size_t)size);
        total += (size_t)size;
    }
    assert_true(rig_counter(&rig, COUNTER_SENDS) >= BIG / 10000);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    rig_stop(&rig);
}

static void shutdown__send_in_flight__fin_after_the_last_byte(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    struct end_case end = {&rig, DO_SEND | DO_FIN | DO_LATER};
    rig_call(&rig, 0, start_operations, &end);
    static unsigned char bytes[65536];
    size_t total = 0;
    ssize_t size;
    while ((size = recv(fd, bytes, sizeof bytes, 0)) > 0)
        total += (size_t)size;
    assert_int_equal(size, 0);
    assert_int_equal(total, BIG);
    uint64_t in = rig_counter(&rig, COUNTER_BYTES_IN);
    rig_send_all(fd, "still read", 10); /* the other half goes on */
    rig_await(&rig, COUNTER_BYTES_IN, in + 10);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    rig_stop(&rig);
}

static void shut(struct io *io, void *argument)
{
    struct rig *rig = argument;
    io_shutdown(io, rig->shards[0].last);
}

struct end_seen {
    struct rig *rig;
    bool is_seen;
};

static void see_end(struct io *io, void *argument)
{
    struct end_seen *end = argument;
    (void)io;
    end->is_seen = ((struct rig_conn *)end->rig->shards[0].last->owner)->has_ended;
}

/* Then there is nothing to sever, and no completion to wait for. */
static void close__both_have_sent_their_fin__closed(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    rig_call(&rig, 0, shut, &rig);
    assert_int_equal(drain(fd), 0);
    close(fd);
    struct end_seen seen = {.rig = &rig};
    while (!seen.is_seen) {
        rig_sleep_ms(1);
        rig_call(&rig, 0, see_end, &seen);
    }
    struct end_case end = {&rig, 0};
    rig_call(&rig, 0, end_later, &end);
    rig_await(&rig, COUNTER_CLOSED, 1);
    assert_int_equal(rig.shards[0].error_last, 0);
    rig_stop(&rig);
}

static void pause__bytes_arrive__delivered_after_resume(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    unsigned char sent[5000], got[5000];
    for (unsigned round = 0; round < 50; round++) {
        struct end_case end = {&rig, DO_PAUSE | DO_LATER};
        rig_pattern(sent, sizeof sent, round, 0);
        if (round % 2 == 0)
            rig_send_all(fd, sent, 1000); /* around the pause: some may have been completed already */
        rig_call(&rig, 0, start_operations, &end);
        uint64_t in = 0;
        if (round % 2 == 0)
            rig_send_all(fd, sent + 1000, sizeof sent - 1000);
        else
            rig_send_all(fd, sent, sizeof sent);
        if (round < 4) {
            rig_sleep_ms(20);
            in = rig_counter(&rig, COUNTER_BYTES_IN);
            rig_sleep_ms(20);
            assert_int_equal(rig_counter(&rig, COUNTER_BYTES_IN), in); /* not read while paused */
            assert_true(in < (round + 1) * sizeof sent);
        }
        end.mask = DO_RESUME | DO_LATER;
        rig_call(&rig, 0, start_operations, &end);
        rig_recv_all(fd, got, sizeof got);
        assert_memory_equal(got, sent, sizeof sent);
    }
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    rig_stop(&rig);
}

static void reuse__thousands_of_lives_in_eight_slots__none_lost(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig.config.connection_max = 8;
    rig_start(&rig);
    uint64_t end_ms = clock_mono_ms() + 2000;
    unsigned cycle = 0;
    struct linger linger = {.l_onoff = 1};
    for (; cycle < 1000 || (cycle < 100000 && clock_mono_ms() < end_ms); cycle++) {
        int fd = rig_connect(&rig);
        char byte = (char)cycle, echo = 0;
        if (cycle % 3 == 0) {
            rig_send_all(fd, &byte, 1);
            rig_recv_all(fd, &echo, 1);
            assert_int_equal(echo, byte); /* of this connection, not of the slot's last owner */
        } else if (cycle % 3 == 1) {
            rig_send_all(fd, &byte, 1);
        }
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(fd);
    }
    rig_await(&rig, COUNTER_CLOSED, cycle); /* the last ones are accepted and closed after we have gone */
    assert_int_equal(rig_counter(&rig, COUNTER_CONNECTIONS), 0);
    printf("%u lives in eight slots\n", cycle);
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPTED), rig_counter(&rig, COUNTER_CLOSED));
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPT_PAUSES), 0);
    rig_stop(&rig);
}

struct found {
    struct rig *rig;
    uint64_t ref;
    bool is_there;
};

static void take_ref(struct io *io, void *argument)
{
    struct found *found = argument;
    found->ref = io_ref(found->rig->shards[0].last);
    found->is_there = io_find(io, found->ref) == found->rig->shards[0].last;
    assert_int_equal(io_conn_count(io), 1);
}

static void look_up(struct io *io, void *argument)
{
    struct found *found = argument;
    found->is_there = io_find(io, found->ref) != NULL;
}

static void find__before_and_after_the_end__conn_then_nothing(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    int fd = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    struct found found = {.rig = &rig};
    rig_call(&rig, 0, take_ref, &found);
    assert_true(found.is_there && found.ref != 0);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 1);
    fd = rig_connect(&rig); /* the same slot again */
    rig_await(&rig, COUNTER_ACCEPTED, 2);
    rig_call(&rig, 0, look_up, &found);
    assert_false(found.is_there);
    close(fd);
    rig_await(&rig, COUNTER_CLOSED, 2);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(close__every_subset_in_flight__closed_once_and_all_returned),
        cmocka_unit_test(stop__every_subset_in_flight__nothing_left),
        cmocka_unit_test(peer_reset__send_in_flight__closed_with_the_error),
        cmocka_unit_test(send__slow_reader__every_byte_in_order),
        cmocka_unit_test(shutdown__send_in_flight__fin_after_the_last_byte),
        cmocka_unit_test(close__both_have_sent_their_fin__closed),
        cmocka_unit_test(pause__bytes_arrive__delivered_after_resume),
        cmocka_unit_test(reuse__thousands_of_lives_in_eight_slots__none_lost),
        cmocka_unit_test(find__before_and_after_the_end__conn_then_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
