/* SPDX-License-Identifier: MIT */
/* One connection: reading, sending, closing, as io.h says. */
#include "tests/unit/io/sim_cmocka.h"
#include "tests/unit/io/sim_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

static struct probe probe;

static void assert_got(const char *text)
{
    assert_int_equal(probe.size, strlen(text));
    assert_memory_equal(probe.bytes, text, probe.size);
}

static void receive__three_sends__bytes_in_order(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_send(peer, SPAN("one "));
    peer_send(peer, SPAN("two "));
    probe_settle(&probe);
    peer_send(peer, SPAN("three"));
    probe_settle(&probe);
    assert_got("one two three");
    assert_int_equal(counter_read(&probe.counters[0], COUNTER_BYTES_IN), 13);
    probe_fini(&probe);
}

static void receive__larger_than_a_buffer__cut_at_buffer_size(void **state)
{
    (void)state;
    struct io_config config = io_config_default;
    config.buffer_size = 5;
    probe_init(&probe, 1, NULL, &config);
    struct peer *peer = probe_connect(&probe);
    peer_send(peer, SPAN("0123456789ab"));
    probe_settle(&probe);
    assert_got("0123456789ab");
    assert_int_equal(probe_count(&probe, RECEIVED), 3);
    for (unsigned i = 0; i < probe.event_count; i++)
        assert_true(probe.events[i].size <= 5 || probe.events[i].kind != RECEIVED);
    probe_fini(&probe);
}

static void pause__nothing_ahead__nothing_delivered(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    io_pause(probe.ios[0], probe.conn);
    peer_send(peer, SPAN("held"));
    peer_end(peer);
    probe_settle(&probe);
    assert_int_equal(probe.size, 0);
    assert_int_equal(probe_count(&probe, ENDED), 0);
    io_resume(probe.ios[0], probe.conn);
    probe_settle(&probe);
    assert_got("held");
    assert_int_equal(probe_last(&probe)->kind, ENDED);
    probe_fini(&probe);
}

static void pause_at_once(struct probe *p, const struct probe_event *event)
{
    if (event->kind == RECEIVED)
        io_pause(p->ios[0], event->conn);
}

/* With delay the real one's completion queue is modelled: a bounded rest still comes, in some runs. */
static void pause__delayed_completions__bounded_rest_delivered(void **state)
{
    (void)state;
    struct world_chaos chaos = {.cut_receives = true, .delay = true};
    struct io_config config = io_config_default;
    config.buffer_size = 16;
    unsigned with_rest = 0;
    char bytes[1000];
    memset(bytes, 'x', sizeof bytes);
    for (uint64_t seed = 1; seed <= 50; seed++) {
        probe_init(&probe, seed, &chaos, &config);
        struct peer *peer = probe_connect(&probe);
        probe.hook = pause_at_once;
        peer_send(peer, span_of(bytes, sizeof bytes));
        probe_settle(&probe);
        assert_true(probe.size > 0 && probe.size <= 4 * 16);
        with_rest += probe_count(&probe, RECEIVED) > 1;
        probe_fini(&probe);
    }
    assert_true(with_rest > 5 && with_rest < 50);
}

static void send__open_window__sent_once_and_bytes_at_peer(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    probe_send(&probe, 0, probe.conn, SPAN("hello"));
    assert_false(io_can_send(probe.conn));
    assert_int_equal(peer_received(peer).size, 0);
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("hello")));
    assert_int_equal(probe_count(&probe, SENT), 1);
    assert_true(io_can_send(probe.conn));
    probe_fini(&probe);
}

static void send__full_window__waits_for_the_peer(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_set_window(peer, 4);
    probe_send(&probe, 0, probe.conn, SPAN("0123456789"));
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("0123")));
    assert_int_equal(probe_count(&probe, SENT), 0);
    peer_take(peer, 3);
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("3456")));
    assert_false(io_can_send(probe.conn));
    peer_set_window(peer, 100);
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("3456789")));
    assert_int_equal(probe_count(&probe, SENT), 1);
    probe_fini(&probe);
}

static void send__cut__peer_sees_parts_and_sent_comes_once(void **state)
{
    (void)state;
    struct world_chaos chaos = {.cut_sends = true};
    unsigned with_parts = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        probe_init(&probe, seed, &chaos, NULL);
        struct peer *peer = probe_connect(&probe);
        probe_send(&probe, 0, probe.conn, SPAN("0123456789"));
        bool is_part = false;
        while (world_step(probe.world)) {
            size_t size = peer_received(peer).size;
            assert_true(probe_count(&probe, SENT) == (size == 10));
            is_part |= size > 0 && size < 10;
        }
        with_parts += is_part;
        assert_true(span_equal(peer_received(peer), SPAN("0123456789")));
        probe_fini(&probe);
    }
    assert_true(with_parts > 2 && with_parts < 20);
}

static void shutdown__behind_a_send__fin_after_the_bytes(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_set_window(peer, 2);
    probe_send(&probe, 0, probe.conn, SPAN("last"));
    io_shutdown(probe.ios[0], probe.conn);
    probe_settle(&probe);
    assert_false(peer_is_ended(peer));
    peer_set_window(peer, 9);
    probe_settle(&probe);
    assert_true(peer_is_ended(peer));
    assert_true(span_equal(peer_received(peer), SPAN("last")));
    assert_false(peer_is_closed(peer));
    assert_false(io_can_send(probe.conn));
    /* Reading goes on. */
    peer_send(peer, SPAN("heard"));
    probe_settle(&probe);
    assert_got("heard");
    probe_fini(&probe);
}

static void ended__half_close__sending_still_works(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_send(peer, SPAN("bye"));
    peer_end(peer);
    probe_settle(&probe);
    assert_got("bye");
    assert_int_equal(probe_last(&probe)->kind, ENDED);
    probe_send(&probe, 0, probe.conn, SPAN("later"));
    probe_settle(&probe);
    assert_true(span_equal(peer_received(peer), SPAN("later")));
    assert_int_equal(probe_count(&probe, ENDED), 1);
    assert_int_equal(probe_count(&probe, CLOSED), 0);
    probe_fini(&probe);
}

static void close_twice(struct probe *p, const struct probe_event *event)
{
    if (event->kind != RECEIVED)
        return;
    io_close(p->ios[0], event->conn);
    assert_int_equal(probe_count(p, CLOSED), 0);
    io_close(p->ios[0], event->conn);
    assert_int_equal(probe_count(p, CLOSED), 0);
    assert_false(io_can_send(event->conn));
}

static void close__inside_received__closed_alone_and_later(void **state)
{
    (void)state;
    struct io_config config = io_config_default;
    config.buffer_size = 2;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world_chaos chaos = {.cut_receives = seed & 1, .delay = seed & 2, .buffers_run_out = seed & 4};
        probe_init(&probe, seed, &chaos, &config);
        struct peer *peer = probe_connect(&probe);
        probe.hook = close_twice;
        peer_send(peer, SPAN("much more than one piece"));
        peer_end(peer);
        unsigned turns = probe.turns[0];
        while (probe_count(&probe, RECEIVED) == 0)
            world_step(probe.world);
        assert_int_equal(probe_count(&probe, CLOSED), 0);
        assert_true(probe.turns[0] > turns);
        probe_settle(&probe);
        assert_int_equal(probe_count(&probe, RECEIVED), 1);
        assert_int_equal(probe_count(&probe, ENDED), 0);
        assert_int_equal(probe_last(&probe)->kind, CLOSED);
        assert_int_equal(probe_last(&probe)->error, 0);
        /* Unread bytes were lost, which TCP tells with a reset. */
        assert_true(peer_is_closed(peer) && peer_is_reset(peer));
        assert_int_equal(io_conn_count(probe.ios[0]), 0);
        probe_fini(&probe);
    }
}

static void close__all_read__peer_sees_fin(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    io_close(probe.ios[0], probe.conn);
    probe_settle(&probe);
    assert_true(peer_is_ended(peer) && peer_is_closed(peer));
    assert_false(peer_is_reset(peer));
    probe_fini(&probe);
}

static void close__send_in_flight__given_up(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct world_chaos chaos = {.cut_sends = seed & 1, .delay = seed & 2};
        probe_init(&probe, seed, &chaos, NULL);
        struct peer *peer = probe_connect(&probe);
        peer_set_window(peer, 3);
        probe_send(&probe, 0, probe.conn, SPAN("0123456789"));
        if (seed & 4)
            probe_settle(&probe);
        io_close(probe.ios[0], probe.conn);
        probe_settle(&probe);
        assert_int_equal(probe_count(&probe, SENT), 0);
        assert_int_equal(probe_count(&probe, CLOSED), 1);
        assert_true(peer_received(peer).size <= 3);
        assert_memory_equal("0123456789", peer_received(peer).ptr == NULL ? "" : peer_received(peer).ptr,
                            peer_received(peer).size);
        assert_int_equal(io_pool(probe.ios[0])->live, 0);
        probe_fini(&probe);
    }
}

static void reset__by_the_router__peer_sees_a_reset(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    io_reset(probe.ios[0], probe.conn);
    io_close(probe.ios[0], probe.conn); /* no second thoughts */
    probe_settle(&probe);
    assert_true(peer_is_reset(peer) && peer_is_closed(peer));
    assert_false(peer_is_ended(peer));
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_equal(probe_last(&probe)->error, 0);
    probe_fini(&probe);
}

static void reset__by_a_read_peer__closed_with_econnreset(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    peer_send(peer, SPAN("before"));
    peer_reset(peer);
    probe_settle(&probe);
    assert_got("before");
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_equal(probe_last(&probe)->error, ECONNRESET);
    assert_int_equal(probe_count(&probe, ENDED), 0);
    probe_fini(&probe);
}

static void reset__by_a_paused_peer__noticed_by_the_next_send(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    io_pause(probe.ios[0], probe.conn);
    peer_reset(peer);
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, CLOSED), 0);
    probe_send(&probe, 0, probe.conn, SPAN("anyone?"));
    probe_settle(&probe);
    assert_int_equal(probe_count(&probe, SENT), 0);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_equal(probe_last(&probe)->error, ECONNRESET);
    probe_fini(&probe);
}

static void reset__peer_process_gone__second_send_fails(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    peer_free(probe_connect(&probe));
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, ENDED);
    probe_send(&probe, 0, probe.conn, SPAN("lost"));
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, SENT);
    probe_send(&probe, 0, probe.conn, SPAN("refused"));
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_equal(probe_last(&probe)->error, ECONNRESET);
    probe_fini(&probe);
}

static void reset__stalled_send__closed_with_error(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    struct peer *peer = probe_connect(&probe);
    io_pause(probe.ios[0], probe.conn);
    peer_set_window(peer, 0);
    probe_send(&probe, 0, probe.conn, SPAN("stuck"));
    probe_settle(&probe);
    peer_reset(peer);
    probe_settle(&probe);
    assert_int_equal(probe_last(&probe)->kind, CLOSED);
    assert_int_not_equal(probe_last(&probe)->error, 0);
    probe_fini(&probe);
}

static void starve__buffers_run_out__counted_and_nothing_lost(void **state)
{
    (void)state;
    struct world_chaos chaos = {.buffers_run_out = true};
    struct io_config config = io_config_default;
    config.buffer_size = 1;
    probe_init(&probe, 1, &chaos, &config);
    struct peer *peer = probe_connect(&probe);
    peer_send(peer, SPAN("every byte has to wait for a buffer sometimes"));
    probe_settle(&probe);
    assert_got("every byte has to wait for a buffer sometimes");
    assert_true(counter_read(&probe.counters[0], COUNTER_BUFFERS_EMPTY) > 3);
    probe_fini(&probe);
}

static void ref__closed_and_slot_reused__finds_nothing(void **state)
{
    (void)state;
    probe_init(&probe, 1, NULL, NULL);
    probe_connect(&probe);
    uint64_t ref = io_ref(probe.conn);
    assert_int_not_equal(ref, 0);
    assert_ptr_equal(io_find(probe.ios[0], ref), probe.conn);
    io_close(probe.ios[0], probe.conn);
    probe_settle(&probe);
    assert_null(io_find(probe.ios[0], ref));
    probe_connect(&probe);
    assert_null(io_find(probe.ios[0], ref));
    assert_ptr_equal(io_find(probe.ios[0], io_ref(probe.conn)), probe.conn);
    assert_null(io_find(probe.ios[0], ref + 1000));
    probe_fini(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receive__three_sends__bytes_in_order),
        cmocka_unit_test(receive__larger_than_a_buffer__cut_at_buffer_size),
        cmocka_unit_test(pause__nothing_ahead__nothing_delivered),
        cmocka_unit_test(pause__delayed_completions__bounded_rest_delivered),
        cmocka_unit_test(send__open_window__sent_once_and_bytes_at_peer),
        cmocka_unit_test(send__full_window__waits_for_the_peer),
        cmocka_unit_test(send__cut__peer_sees_parts_and_sent_comes_once),
        cmocka_unit_test(shutdown__behind_a_send__fin_after_the_bytes),
        cmocka_unit_test(ended__half_close__sending_still_works),
        cmocka_unit_test(close__inside_received__closed_alone_and_later),
        cmocka_unit_test(close__all_read__peer_sees_fin),
        cmocka_unit_test(close__send_in_flight__given_up),
        cmocka_unit_test(reset__by_the_router__peer_sees_a_reset),
        cmocka_unit_test(reset__by_a_read_peer__closed_with_econnreset),
        cmocka_unit_test(reset__by_a_paused_peer__noticed_by_the_next_send),
        cmocka_unit_test(reset__peer_process_gone__second_send_fails),
        cmocka_unit_test(reset__stalled_send__closed_with_error),
        cmocka_unit_test(starve__buffers_run_out__counted_and_nothing_lost),
        cmocka_unit_test(ref__closed_and_slot_reused__finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
