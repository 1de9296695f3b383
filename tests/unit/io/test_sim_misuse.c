/* SPDX-License-Identifier: MIT */
/* What the router must not do ends the process by a check that names it: each case in a child of its own. */
#include "tests/unit/io/sim_cmocka.h"
#include "tests/unit/io/sim_probe.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static struct probe probe;

/* Runs the case in a child; its standard error must hold the check's expression, its end must be no clean one. */
static void expect_failed_check(void (*misuse)(void), const char *expression)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        signal(SIGABRT, SIG_DFL);
        misuse();
        _exit(0);
    }
    close(ends[1]);
    char text[4096];
    size_t size = 0;
    for (ssize_t got = 1; got > 0 && size < sizeof text - 1; size += (size_t)got) {
        got = read(ends[0], text + size, sizeof text - 1 - size);
        assert_true(got >= 0);
    }
    text[size] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    if (strstr(text, expression) == NULL)
        fail_msg("\"%s\" is not in: %s", expression, text);
}

static struct peer *start(void)
{
    probe_init(&probe, 1, NULL, NULL);
    return probe_connect(&probe);
}

static void send_twice(void)
{
    start();
    probe_send(&probe, 0, probe.conn, SPAN("a"));
    probe_send(&probe, 0, probe.conn, SPAN("b"));
}

static void send_after_close(void)
{
    start();
    io_close(probe.ios[0], probe.conn);
    probe_send(&probe, 0, probe.conn, SPAN("a"));
}

static void send_after_shutdown(void)
{
    start();
    io_shutdown(probe.ios[0], probe.conn);
    probe_send(&probe, 0, probe.conn, SPAN("a"));
}

static void send_in_departing_hook(struct probe *p, const struct probe_event *event)
{
    if (event->kind == DEPARTING)
        probe_send(p, 0, event->conn, SPAN("a"));
}

static void send_in_departing(void)
{
    start();
    probe.hook = send_in_departing_hook;
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
}

static void send_empty_chain(void)
{
    start();
    struct chain chain = {0};
    io_send(probe.ios[0], probe.conn, &chain);
}

static void send_foreign_chain(void)
{
    start();
    struct chain chain = {0};
    chain_append(&chain, io_pool(probe.ios[1]), SPAN("of another shard"));
    io_send(probe.ios[0], probe.conn, &chain);
}

static void pause_after_close(void)
{
    start();
    io_close(probe.ios[0], probe.conn);
    io_pause(probe.ios[0], probe.conn);
}

static void resume_after_close(void)
{
    start();
    io_close(probe.ios[0], probe.conn);
    io_resume(probe.ios[0], probe.conn);
}

static void handoff_after_close(void)
{
    start();
    io_close(probe.ios[0], probe.conn);
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
}

static void handoff_to_itself(void)
{
    start();
    io_handoff(probe.ios[0], probe.conn, 0, &probe);
}

static void conn_of_another_shard(void)
{
    start();
    io_close(probe.ios[1], probe.conn);
}

static void close_in_closed_hook(struct probe *p, const struct probe_event *event)
{
    if (event->kind == CLOSED)
        io_close(p->ios[0], event->conn);
}

static void close_in_closed(void)
{
    start();
    probe.hook = close_in_closed_hook;
    io_close(probe.ios[0], probe.conn);
    probe_settle(&probe);
}

static void close_in_departing_hook(struct probe *p, const struct probe_event *event)
{
    if (event->kind == DEPARTING)
        io_close(p->ios[0], event->conn);
}

static void close_in_departing(void)
{
    start();
    probe.hook = close_in_departing_hook;
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
}

static void step_hook(struct probe *p, const struct probe_event *event)
{
    (void)event;
    world_step(p->world);
}

static void step_in_a_callback(void)
{
    struct peer *peer = start();
    probe.hook = step_hook;
    peer_send(peer, SPAN("a"));
    probe_settle(&probe);
}

static void other_shard_hook(struct probe *p, unsigned shard)
{
    (void)shard;
    io_pool(p->ios[(p->now_in + 1) % PROBE_SHARDS]);
}

static void other_shard_in_a_turn(void)
{
    probe_init(&probe, 1, NULL, NULL);
    probe.turn_hook = other_shard_hook;
    probe_settle(&probe);
}

static void chunk_leaked(void)
{
    start();
    struct chain chain = {0};
    chain_append(&chain, io_pool(probe.ios[0]), SPAN("never given back"));
    io_free(probe.ios[0]);
}

static void run_the_real_way(void)
{
    start();
    io_run(probe.ios[0]);
}

static void shards_left_in_world(void)
{
    start();
    world_free(probe.world);
}

static void peer_sends_after_fin(void)
{
    struct peer *peer = start();
    peer_end(peer);
    peer_send(peer, SPAN("a"));
}

static void send__not_allowed__check(void **state)
{
    (void)state;
    expect_failed_check(send_twice, "io_can_send(conn)");
    expect_failed_check(send_after_close, "io_can_send(conn)");
    expect_failed_check(send_after_shutdown, "io_can_send(conn)");
    expect_failed_check(send_in_departing, "io_can_send(conn)");
    expect_failed_check(send_empty_chain, "!chain_is_empty(bytes)");
    expect_failed_check(send_foreign_chain, "count <= pool->live");
}

static void conn__wrong_state__check(void **state)
{
    (void)state;
    expect_failed_check(pause_after_close, "SIM_OPEN");
    expect_failed_check(resume_after_close, "SIM_OPEN");
    expect_failed_check(handoff_after_close, "SIM_OPEN");
    expect_failed_check(handoff_to_itself, "shard != io->shard");
    expect_failed_check(close_in_closed, "SIM_CLOSED");
    expect_failed_check(close_in_departing, "SIM_TRANSIT");
}

static void shard__not_its_own__check(void **state)
{
    (void)state;
    expect_failed_check(conn_of_another_shard, "sim->io == io");
    expect_failed_check(step_in_a_callback, "!world->stepping");
    expect_failed_check(other_shard_in_a_turn, "running == io");
    expect_failed_check(run_the_real_way, "world_step");
}

static void end__things_left__check(void **state)
{
    (void)state;
    expect_failed_check(chunk_leaked, "pool.live == 0");
    expect_failed_check(shards_left_in_world, "group->ios[i] == NULL");
    expect_failed_check(peer_sends_after_fin, "ended");
}

static void nothing_wrong(void)
{
    start();
    probe_fini(&probe);
    fprintf(stderr, "clean");
    _exit(1);
}

/* The harness itself: a child without a misuse fails no check. */
static void harness__clean_child__no_check(void **state)
{
    (void)state;
    expect_failed_check(nothing_wrong, "clean");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(send__not_allowed__check),       cmocka_unit_test(conn__wrong_state__check),
        cmocka_unit_test(shard__not_its_own__check),      cmocka_unit_test(end__things_left__check),
        cmocka_unit_test(harness__clean_child__no_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
