/* SPDX-License-Identifier: MIT */
/* Connections coming and going: backlog, dial, handoff. */
#include "tests/unit/io/sim_cmocka.h"
#include "tests/unit/io/sim_probe.h"

#include <arpa/inet.h>
#include <errno.h>

static struct probe probe;

static struct sockaddr_in address(const char *host, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, host, &in.sin_addr), 1);
    return in;
}

static struct io_conn *dial(const char *host, uint16_t port)
{
    struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET6, host, &to6.sin6_addr) == 1)
        return io_dial(probe.ios[0], NULL, (const struct sockaddr *)&to6, &probe);
    struct sockaddr_in to = address(host, port);
    return io_dial(probe.ios[0], NULL, (const struct sockaddr *)&to, &probe);
}

/* ------------------------------------------------------------------------------------------------ accept */

static void accept__full_shard__waits_in_the_backlog(void **state)
{
    (void)state;
    struct io_config config = io_config_default;
    config.connection_max = 1;
    probe_init(&probe, 1, NULL, &config);
    struct peer *first = probe_connect(&probe);
    struct peer *second = peer_connect(probe.world, 0, PROBE_TAG);
    peer_send(second, SPAN("early"));
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, ACCEPTED), 1);
    assert_false(peer_is_closed(second));
    io_close(probe.ios[0], probe.conn);
    probe_settle(&probe);
    assert_true(peer_is_closed(first));
    assert_int_equal(probe_count(&probe, ACCEPTED), 2);
    assert_memory_equal(probe.bytes, "early", 5);
    probe_fini(&probe);
}

static void accept__after_unlisten__refused_and_others_live(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *old = probe_connect(&probe);
    struct peer *waiting = peer_connect(probe.world, 0, PROBE_TAG);
    io_unlisten(probe.ios[0]);
    struct peer *late = peer_connect(probe.world, 0, PROBE_TAG);
    struct peer *elsewhere = peer_connect(probe.world, 1, PROBE_TAG);
    peer_send(old, SPAN("alive"));
    probe_settle(&probe);
    assert_true(peer_is_closed(waiting) && peer_is_closed(late));
    assert_false(peer_is_closed(old) || peer_is_closed(elsewhere));
    assert_int_equal(probe.size, 5);
    assert_int_equal(probe_count(&probe, ACCEPTED), 2);
    probe_fini(&probe);
}

static void unlisten_now(struct probe *p, const struct probe_event *event)
{
    if (event->kind == ACCEPTED)
        io_unlisten(p->ios[0]);
}

static void accept__unlisten_inside_the_batch__rest_refused(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe.hook = unlisten_now;
    peer_connect(probe.world, 0, PROBE_TAG);
    struct peer *second = peer_connect(probe.world, 0, PROBE_TAG);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, ACCEPTED), 1);
    assert_true(peer_is_closed(second));
    probe_fini(&probe);
}

static void listen__same_port_twice__says_so(void **state)
{
    (void)state;
    struct err err;
    struct world *world = world_new(1, NULL);
    struct io_group *group = world_group(world, 1);
    struct io_group *other = world_group(world, 1);
    uint16_t port = 5222, same = 5222, any = 0, any_too = 0;
    assert_true(io_group_listen(group, "10.0.0.1", &port, 1, &err));
    assert_false(io_group_listen(group, "10.0.0.1", &same, 1, &err));
    assert_non_null(strstr(err.text, "5222"));
    assert_false(io_group_listen(other, "::", &same, 1, &err));
    assert_false(io_group_listen(group, "no address", &any, 1, &err));
    assert_non_null(strstr(err.text, "no address"));
    assert_true(io_group_listen(other, "10.0.0.2", &same, 1, &err));
    assert_true(io_group_listen(other, "::1", &same, 1, &err));
    assert_true(io_group_listen(group, "*", &any, 2, &err));
    assert_true(io_group_listen(group, "*", &any_too, 2, &err));
    assert_true(any != 0 && any_too != 0 && any != any_too);
    world_free(world);
}

/* ------------------------------------------------------------------------------------------------ dial */

static void dial__own_listener__both_ends_talk(void **state)
{
    (void)state;
    probe_init(&probe, 4, NULL, NULL);
    struct io_conn *near = dial("127.0.0.1", probe.port);
    assert_non_null(near);
    assert_ptr_equal(near->owner, &probe);
    assert_false(io_can_send(near));
    assert_int_equal(probe.event_count, 0);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, DIALLED), 1);
    assert_int_equal(probe_count(&probe, ACCEPTED), 1);
    assert_int_equal(probe.events[0].error, 0);
    const struct probe_event *accepted = &probe.events[1];
    assert_int_equal(accepted->kind, ACCEPTED);
    probe_send(&probe, 0, near, SPAN("ping"));
    probe_send(&probe, accepted->shard, accepted->conn, SPAN("pong"));
    probe_settle(&probe);
    assert_int_equal(probe.size, 8);
    assert_int_equal(probe_count(&probe, SENT), 2);
    io_close(probe.ios[0], near);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, ENDED);
    probe_fini(&probe);
}

static void dial__paused_reader__window_of_the_wire_fills(void **state)
{
    (void)state;
    probe_init(&probe, 4, NULL, NULL);
    struct io_conn *near = dial("127.0.0.1", probe.port);
    probe_settle(&probe);
    const struct probe_event accepted = probe.events[1];
    io_pause(probe.ios[accepted.shard], accepted.conn);
    static char bytes[70000];
    probe_send(&probe, 0, near, span_of(bytes, sizeof bytes));
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, SENT), 0);
    io_resume(probe.ios[accepted.shard], accepted.conn);
    probe.size = 0;
    for (unsigned i = 0; i < 1000 && world_step(probe.world); i++)
        probe.size = 0; /* only their number counts */
    assert_int_equal(probe_count(&probe, SENT), 1);
    assert_int_equal(counter_read(&probe.counters[accepted.shard], COUNTER_BYTES_IN), sizeof bytes);
    probe_fini(&probe);
}

static void dial__nobody_there__refused_then_closed(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    assert_non_null(dial("127.0.0.1", 9));
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 2);
    assert_int_equal(probe.events[0].kind, DIALLED);
    assert_int_equal(probe.events[0].error, ECONNREFUSED);
    assert_int_equal(probe.events[1].kind, CLOSED);
    assert_int_equal(probe.events[1].error, ECONNREFUSED);
    assert_int_equal(world_open_count(probe.world), 0);
    /* The address counts as well as the port. */
    assert_non_null(dial("127.0.0.2", probe.port));
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->error, ECONNREFUSED);
    probe_fini(&probe);
}

static void dial__far_accepts__test_plays_the_peer(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    world_set_far(probe.world, 5269, FAR_ACCEPTS);
    assert_null(world_accept(probe.world));
    struct io_conn *first = dial("192.0.2.1", 5269);
    probe_settle(&probe);
    dial("192.0.2.2", 5269);
    probe_settle(&probe);
    struct peer *peer = world_accept(probe.world);
    struct peer *other = world_accept(probe.world);
    assert_null(world_accept(probe.world));
    assert_int_equal(((const struct sockaddr_in *)(const void *)peer_address(peer))->sin_addr.s_addr,
                     inet_addr("192.0.2.1"));
    assert_int_equal(((const struct sockaddr_in *)(const void *)peer_address(other))->sin_addr.s_addr,
                     inet_addr("192.0.2.2"));
    probe_send(&probe, 0, first, SPAN("hello"));
    peer_send(peer, SPAN("welcome"));
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("hello")));
    assert_memory_equal(probe.bytes, "welcome", 7);
    probe_fini(&probe);
}

static void dial__far_at_an_address__that_one_alone_and_late(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    world_set_far_at(probe.world, "192.0.2.1", 5269, FAR_ACCEPTS, 300);
    world_set_far_at(probe.world, "192.0.2.2", 5269, FAR_REFUSES, 400);
    world_set_far(probe.world, 5269, FAR_SILENT);
    struct io_conn *others = dial("192.0.2.3", 5269);
    dial("192.0.2.1", 5269);
    dial("192.0.2.2", 5269);
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 0);
    assert_int_equal(world_deadline_ms(probe.world), world_now_ms(probe.world) + 300);
    world_advance(probe.world, 300);
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 1);
    assert_int_equal(probe_last(&probe)->error, 0);
    struct peer *peer = world_accept(probe.world);
    assert_non_null(peer);
    assert_null(world_accept(probe.world));
    world_advance(probe.world, 100);
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 3); /* dialled, closed */
    assert_int_equal(probe_last(&probe)->error, ECONNREFUSED);
    assert_int_equal(world_deadline_ms(probe.world), UINT64_MAX);
    io_close(probe.ios[0], others);
    probe_settle(&probe);
    probe_fini(&probe);
}

static void dial__closed_before_it_is_answered__only_closed(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    world_set_far_at(probe.world, "2001:db8::1", 5269, FAR_ACCEPTS, 300);
    struct io_conn *conn = dial("2001:db8::1", 5269);
    probe_settle(&probe);
    io_close(probe.ios[0], conn);
    probe_settle(&probe);
    world_advance(probe.world, 300);
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 1);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_null(world_accept(probe.world));
    probe_fini(&probe);
}

static void dial__far_silent__open_until_closed(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    world_set_far(probe.world, 0, FAR_SILENT);
    struct io_conn *conn = dial("192.0.2.1", 5269);
    probe_settle(&probe);
    world_advance(probe.world, 600000);
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 0);
    io_close(probe.ios[0], conn);
    probe_settle(&probe);
    assert_int_equal(probe.event_count, 1);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_equal(probe_last(&probe)->error, 0);
    probe_fini(&probe);
}

static void dial__no_slot__null(void **state)
{
    (void)state;
    struct io_config config = io_config_default;
    config.connection_max = 2;
    probe_init(&probe, 1, NULL, &config);
    assert_non_null(dial("192.0.2.1", 1));
    assert_non_null(dial("192.0.2.1", 1));
    assert_null(dial("192.0.2.1", 1));
    probe_settle(&probe);
    assert_non_null(dial("192.0.2.1", 1));
    probe_settle(&probe);
    probe_fini(&probe);
}

/* ------------------------------------------------------------------------------------------------ handoff */

static void handoff__quiet__departs_and_arrives_paused(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    struct io_conn *old = probe.conn;
    uint64_t ref = io_ref(old);
    io_handoff(probe.ios[0], old, 2, &probe);
    peer_send(peer, SPAN("on the way"));
    probe_settle(&probe);
    assert_int_equal(probe.events[1].kind, DEPARTING);
    assert_int_equal(probe.events[2].kind, ARRIVED);
    assert_int_equal(probe.events[2].shard, 2);
    assert_int_equal(probe.event_count, 3);
    assert_null(io_find(probe.ios[0], ref));
    assert_int_equal(io_conn_count(probe.ios[0]), 0);
    assert_int_equal(io_conn_count(probe.ios[2]), 1);
    assert_null(probe.conn->owner);
    io_resume(probe.ios[2], probe.conn);
    probe_settle(&probe);
    assert_memory_equal(probe.bytes, "on the way", 10);
    assert_int_equal(counter_read(&probe.counters[0], COUNTER_DEPARTED), 1);
    assert_int_equal(counter_read(&probe.counters[2], COUNTER_ARRIVED), 1);
    probe_fini(&probe);
}

static void handoff__send_in_flight__sent_before_departing(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_set_window(peer, 1);
    probe_send(&probe, 0, probe.conn, SPAN("success"));
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, DEPARTING), 0);
    peer_set_window(peer, 100);
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("success")));
    assert_int_equal(probe.events[1].kind, SENT);
    assert_int_equal(probe.events[2].kind, DEPARTING);
    assert_int_equal(probe.events[3].kind, ARRIVED);
    probe_fini(&probe);
}

static void send_once_more(struct probe *p, const struct probe_event *event)
{
    if (event->kind != SENT || probe_count(p, SENT) > 1)
        return;
    assert_true(io_can_send(event->conn));
    probe_send(p, 0, event->conn, SPAN("two"));
}

static void handoff__sends_while_waiting__departs_behind_them(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    probe.hook = send_once_more;
    probe_send(&probe, 0, probe.conn, SPAN("one "));
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("one two")));
    assert_int_equal(probe.events[2].kind, SENT);
    assert_int_equal(probe.events[3].kind, DEPARTING);
    probe_fini(&probe);
}

/* received and sent may come before departing, ended may not: the FIN is told on the other shard. */
static void handoff__fin_under_way__told_after_arrival(void **state)
{
    (void)state;
    struct world_chaos chaos = {.delay = true};
    unsigned received_late = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        probe_init(&probe, seed, &chaos, NULL);
        struct peer *peer = probe_connect(&probe);
        peer_send(peer, SPAN("last words"));
        peer_end(peer);
        for (uint64_t i = 0; i < seed % 6; i++)
            world_step(probe.world);
        bool is_told = probe_count(&probe, ENDED) > 0;
        size_t size = probe.size;
        io_handoff(probe.ios[0], probe.conn, 1, &probe);
        probe_settle(&probe);
        received_late += probe.size > size; /* before departing: the other end is not reading yet */
        assert_int_equal(probe_last(&probe)->kind, ARRIVED);
        assert_int_equal(probe_count(&probe, ENDED), is_told);
        io_resume(probe.ios[1], probe.conn);
        probe_settle(&probe);
        assert_int_equal(probe.size, 10);
        assert_int_equal(probe_count(&probe, ENDED), 1);
        probe_fini(&probe);
    }
    assert_true(received_late > 3);
}

static void hand_off_when_sent(struct probe *p, const struct probe_event *event)
{
    if (event->kind == SENT)
        io_handoff(p->ios[0], event->conn, 1, p);
}

/* The send and the FIN complete in one batch, in this order or the other. */
static void handoff__in_the_batch_of_the_fin__told_once(void **state)
{
    (void)state;
    struct world_chaos chaos = {.delay = true};
    unsigned told_there = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        probe_init(&probe, seed, &chaos, NULL);
        struct peer *peer = probe_connect(&probe);
        probe.hook = hand_off_when_sent;
        probe_send(&probe, 0, probe.conn, SPAN("x"));
        peer_end(peer);
        probe_settle(&probe);
        assert_int_equal(probe_last(&probe)->kind, ARRIVED);
        bool is_told = probe_count(&probe, ENDED) > 0;
        for (unsigned i = 0; is_told && probe.events[i].kind != ENDED; i++)
            assert_true(probe.events[i].kind != SENT);
        io_resume(probe.ios[1], probe.conn);
        probe_settle(&probe);
        assert_int_equal(probe_count(&probe, ENDED), 1);
        told_there += !is_told;
        probe_fini(&probe);
    }
    assert_true(told_there > 10 && told_there < 90);
}

static void handoff__delayed__in_flight_stage_is_seen(void **state)
{
    (void)state;
    struct world_chaos chaos = {.delay = true};
    unsigned apart = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        probe_init(&probe, seed, &chaos, NULL);
        probe_connect(&probe);
        io_handoff(probe.ios[0], probe.conn, 1, &probe);
        unsigned between = 0;
        while (world_step(probe.world))
            between += probe_count(&probe, DEPARTING) == 1 && probe_count(&probe, ARRIVED) == 0;
        apart += between > 1;
        assert_int_equal(probe_last(&probe)->kind, ARRIVED);
        probe_fini(&probe);
    }
    assert_true(apart > 3);
}

static void handoff__target_full__failed_and_usable_for_close(void **state)
{
    (void)state;
    struct io_config config = io_config_default;
    config.connection_max = 1;
    probe_init(&probe, 1, NULL, &config);
    peer_connect(probe.world, 1, PROBE_TAG);
    probe_settle(&probe);
    struct peer *peer = probe_connect(&probe);
    struct io_conn *conn = probe.conn;
    io_handoff(probe.ios[0], conn, 1, &probe);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, HANDOFF_FAILED);
    assert_int_equal(probe_last(&probe)->error, ENFILE);
    assert_int_equal(probe_last(&probe)->shard, 0);
    assert_ptr_equal(probe_last(&probe)->conn, conn);
    assert_int_equal(counter_read(&probe.counters[0], COUNTER_DEPARTED), 0);
    io_close(probe.ios[0], conn);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_true(peer_is_closed(peer));
    probe_fini(&probe);
}

static void handoff__fault_injected__failed(void **state)
{
    (void)state;
    struct world_chaos chaos = {.handoff_fail_one_in = 1};
    probe_init(&probe, 1, &chaos, NULL);
    probe_connect(&probe);
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, HANDOFF_FAILED);
    probe_fini(&probe);
}

static void handoff__reset_on_the_way__new_shard_is_told(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    peer_reset(peer);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, ARRIVED);
    io_resume(probe.ios[1], probe.conn);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_equal(probe_last(&probe)->shard, 1);
    assert_int_equal(probe_last(&probe)->error, ECONNRESET);
    probe_fini(&probe);
}

static void handoff__closed_before_departing__no_departing(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe_connect(&probe);
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    io_close(probe.ios[0], probe.conn);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, DEPARTING), 0);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    probe_fini(&probe);
}

static void handoff__target_stopped__failed(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe_connect(&probe);
    io_stop(probe.ios[1]);
    probe_settle(&probe);
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, HANDOFF_FAILED);
    assert_int_equal(probe_last(&probe)->error, EOWNERDEAD);
    probe_fini(&probe);
}

static void handoff__after_fin_and_shutdown__both_travel(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_end(peer);
    probe_settle(&probe);
    io_handoff(probe.ios[0], probe.conn, 1, &probe);
    probe_settle(&probe);
    io_resume(probe.ios[1], probe.conn);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, ENDED), 1);
    io_shutdown(probe.ios[1], probe.conn);
    probe_settle(&probe);
    assert_true(peer_is_ended(peer));
    io_handoff(probe.ios[1], probe.conn, 2, &probe);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, ARRIVED);
    assert_false(io_can_send(probe.conn));
    probe_fini(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept__full_shard__waits_in_the_backlog),
        cmocka_unit_test(accept__after_unlisten__refused_and_others_live),
        cmocka_unit_test(accept__unlisten_inside_the_batch__rest_refused),
        cmocka_unit_test(listen__same_port_twice__says_so),
        cmocka_unit_test(dial__own_listener__both_ends_talk),
        cmocka_unit_test(dial__paused_reader__window_of_the_wire_fills),
        cmocka_unit_test(dial__nobody_there__refused_then_closed),
        cmocka_unit_test(dial__far_accepts__test_plays_the_peer),
        cmocka_unit_test(dial__far_at_an_address__that_one_alone_and_late),
        cmocka_unit_test(dial__closed_before_it_is_answered__only_closed),
        cmocka_unit_test(dial__far_silent__open_until_closed),
        cmocka_unit_test(dial__no_slot__null),
        cmocka_unit_test(handoff__quiet__departs_and_arrives_paused),
        cmocka_unit_test(handoff__send_in_flight__sent_before_departing),
        cmocka_unit_test(handoff__sends_while_waiting__departs_behind_them),
        cmocka_unit_test(handoff__fin_under_way__told_after_arrival),
        cmocka_unit_test(handoff__in_the_batch_of_the_fin__told_once),
        cmocka_unit_test(handoff__delayed__in_flight_stage_is_seen),
        cmocka_unit_test(handoff__target_full__failed_and_usable_for_close),
        cmocka_unit_test(handoff__fault_injected__failed),
        cmocka_unit_test(handoff__reset_on_the_way__new_shard_is_told),
        cmocka_unit_test(handoff__closed_before_departing__no_departing),
        cmocka_unit_test(handoff__target_stopped__failed),
        cmocka_unit_test(handoff__after_fin_and_shutdown__both_travel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
