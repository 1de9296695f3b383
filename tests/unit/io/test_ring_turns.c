/* SPDX-License-Identifier: MIT */
/* What a turn takes on: ends a few at a time; and what the router can do in the middle of one. */
#include "ring_rig.h"

#include "core/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 60u

/* Written on the shard's thread. */
struct watch {
    uint64_t (*turn)(void *);
    unsigned now, most, sum;
};

static struct watch watched;

static uint64_t watch_turn(void *context)
{
    watched.most = watched.now > watched.most ? watched.now : watched.most;
    watched.sum += watched.now;
    watched.now = 0;
    return watched.turn(context);
}

static void watch(struct rig *rig)
{
    watched = (struct watch){.turn = rig->handler.turn};
    rig->handler.turn = watch_turn;
}

static void wait_ms(uint64_t ms)
{
    for (uint64_t until = clock_mono_ms() + ms; clock_mono_ms() < until;)
        continue;
}

/* ------------------------------------------------------------------------------------------------ ends */

static void dear_ended(void *shard, struct io_conn *conn)
{
    watched.now++;
    wait_ms(2); /* by a clock of milliseconds: one at least */
    rig_ended(shard, conn);
}

static void dear_closed(void *shard, struct io_conn *conn, int error)
{
    watched.now++;
    wait_ms(2); /* by a clock of milliseconds: one at least */
    rig_closed(shard, conn, error);
}

static void cut_all(int *fds, bool by_reset)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        if (by_reset)
            assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        close(fds[i]);
    }
}

/* Each takes longer than a turn may spend on all of them: so it is one a turn, and others are heard between. */
static void run_ends(bool by_reset)
{
    struct rig rig;
    int fds[CONNECTIONS];
    rig_init(&rig, 1);
    watch(&rig);
    if (by_reset)
        rig.handler.closed = dear_closed;
    else
        rig.handler.ended = dear_ended;
    rig_start(&rig);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        fds[i] = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, CONNECTIONS);
    cut_all(fds, by_reset);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
    assert_int_equal(watched.sum, CONNECTIONS);
    assert_int_equal(watched.most, 1);
}

static void ends__of_many_at_once__told_a_few_a_turn(void **state)
{
    (void)state;
    run_ends(false);
}

static void breaks__of_many_at_once__told_a_few_a_turn(void **state)
{
    (void)state;
    run_ends(true);
}

static struct {
    struct rig *rig;
    int fd; /* less than 0: silent; changed on the shard's thread */
} talker;

static void set_talker(struct io *io, void *argument)
{
    (void)io;
    talker.fd = *(const int *)argument;
}

/* Before the turn is over the next one has something to read. */
static uint64_t talkative_turn(void *context)
{
    char echo[64];
    struct io *io = talker.rig->shards[0].io;
    while (talker.fd >= 0 && recv(talker.fd, echo, sizeof echo, MSG_DONTWAIT) > 0)
        continue;
    if (talker.fd >= 0 && send(talker.fd, "?", 1, MSG_NOSIGNAL) == 1)
        for (uint64_t until = clock_mono_ms() + 100; !io_has_news(io) && clock_mono_ms() < until;)
            continue;
    return watched.turn(context);
}

static void ends__news_without_end__told_all_the_same(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    watch(&rig);
    rig.handler.turn = talkative_turn;
    talker.rig = &rig;
    talker.fd = -1;
    rig_start(&rig);
    int fd = rig_connect(&rig), silent = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 2);
    rig_call(&rig, 0, set_talker, &fd);
    close(silent);
    rig_await(&rig, COUNTER_CLOSED, 1);
    int none = -1;
    rig_call(&rig, 0, set_talker, &none);
    close(fd);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

/* ------------------------------------------------------------------------------------------------ in the middle */

struct middle {
    struct io_conn *conn;
    int fd;
    bool was_out, has_news;
};

static void send_and_submit(struct io *io, void *argument)
{
    struct middle *middle = argument;
    struct chain bytes = {0};
    struct pollfd ready = {.fd = middle->fd, .events = POLLIN};
    chain_append(&bytes, io_pool(io), SPAN("now"));
    io_send(io, middle->conn, &bytes);
    io_submit(io);
    middle->was_out = poll(&ready, 1, 1000) == 1;
    rig_send_all(middle->fd, "?", 1);
    for (uint64_t until = clock_mono_ms() + 1000; !io_has_news(io) && clock_mono_ms() < until;)
        wait_ms(1);
    middle->has_news = io_has_news(io);
}

static void submit__in_the_middle_of_a_turn__bytes_are_out_and_news_are_seen(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 1);
    rig_start(&rig);
    struct middle middle = {.fd = rig_connect(&rig)};
    rig_await(&rig, COUNTER_ACCEPTED, 1);
    while (!rig.shards[0].last)
        rig_sleep_ms(1);
    middle.conn = rig.shards[0].last;
    rig_call(&rig, 0, send_and_submit, &middle);
    assert_true(middle.was_out);
    assert_true(middle.has_news);
    close(middle.fd);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void hold(struct io *io, void *argument)
{
    io_hold_accepts(io, *(bool *)argument);
}

static void accepts__held__wait_and_come_later(void **state)
{
    (void)state;
    struct rig rig;
    int fds[50];
    bool is_held = true;
    rig_init(&rig, 1);
    rig_start(&rig);
    rig_call(&rig, 0, hold, &is_held);
    for (unsigned i = 0; i < 50; i++)
        fds[i] = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 8); /* those that were under way */
    rig_sleep_ms(20);
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPTED), 8);
    is_held = false;
    rig_call(&rig, 0, hold, &is_held);
    rig_await(&rig, COUNTER_ACCEPTED, 50);
    for (unsigned i = 0; i < 50; i++)
        close(fds[i]);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends__of_many_at_once__told_a_few_a_turn),
        cmocka_unit_test(breaks__of_many_at_once__told_a_few_a_turn),
        cmocka_unit_test(ends__news_without_end__told_all_the_same),
        cmocka_unit_test(submit__in_the_middle_of_a_turn__bytes_are_out_and_news_are_seen),
        cmocka_unit_test(accepts__held__wait_and_come_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
