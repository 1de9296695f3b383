/* SPDX-License-Identifier: MIT */
/* Connections move between rings of the real kernel under traffic: none is lost and their bytes stay in order. */
#include "ring_rig.h"

#include "io/ring/ring_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS 4u
#define SOCKETS 250u
#define ROUNDS  6u
#define SHARDS  3u

/* Echoes, and moves on at every second piece received. */
static void received_then_move(void *context, struct io_conn *conn, struct span bytes)
{
    struct rig_shard *shard = context;
    struct rig_conn *own = conn->owner;
    rig_received(context, conn, bytes);
    if (++own->received_count == 2) { /* more may come while it leaves */
        io_handoff(shard->io, conn, (shard->index + 1) % shard->rig->shard_count, own);
    }
}

static void (*arrived_of_rig)(void *shard, struct io_conn *conn, void *parcel);

static void arrived_again(void *context, struct io_conn *conn, void *parcel)
{
    ((struct rig_conn *)parcel)->received_count = 0;
    arrived_of_rig(context, conn, parcel);
}

struct crowd {
    const struct rig *rig;
    unsigned seed;
    bool is_good;
};

static void *crowd_main(void *argument)
{
    struct crowd *crowd = argument;
    int fds[SOCKETS];
    unsigned char sent[900], got[900];
    for (unsigned i = 0; i < SOCKETS; i++)
        fds[i] = rig_connect(crowd->rig);
    crowd->is_good = true;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < SOCKETS; i++) {
            /* In three pieces, so that bytes are under way while the connection leaves. */
            rig_pattern(sent, sizeof sent, crowd->seed + i, round * sizeof sent);
            rig_send_all(fds[i], sent, 300);
            rig_send_all(fds[i], sent + 300, 1);
            rig_send_all(fds[i], sent + 301, 599);
        }
        if (round == ROUNDS - 1)
            for (unsigned i = 0; i < SOCKETS; i++)
                shutdown(fds[i], SHUT_WR);
        for (unsigned i = 0; i < SOCKETS; i++) {
            rig_pattern(sent, sizeof sent, crowd->seed + i, round * sizeof sent);
            for (size_t done = 0; done < sizeof got;) {
                ssize_t size = recv(fds[i], got + done, sizeof got - done, 0);
                if (size <= 0) {
                    crowd->is_good = false;
                    break;
                }
                done += (size_t)size;
            }
            crowd->is_good = crowd->is_good && memcmp(sent, got, sizeof sent) == 0;
        }
    }
    for (unsigned i = 0; i < SOCKETS; i++) {
        crowd->is_good = crowd->is_good && recv(fds[i], got, 1, 0) == 0; /* the FIN was met on the last shard */
        close(fds[i]);
    }
    return NULL;
}

static void handoff__thousand_connections_under_traffic__none_lost(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, SHARDS);
    rig.handler.received = received_then_move;
    arrived_of_rig = rig.handler.arrived;
    rig.handler.arrived = arrived_again;
    rig_start(&rig);
    pthread_t threads[THREADS];
    struct crowd crowds[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.rig = &rig, .seed = i * 1000};
        pthread_create(&threads[i], NULL, crowd_main, &crowds[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(crowds[i].is_good);
    }
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    uint64_t moves = rig_counter(&rig, COUNTER_DEPARTED);
    printf("%lu handoffs of %u connections\n", (unsigned long)moves, THREADS * SOCKETS);
    assert_true(moves >= THREADS * SOCKETS);
    assert_int_equal(moves, rig_counter(&rig, COUNTER_ARRIVED));
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPTED), THREADS * SOCKETS);
    assert_int_equal(rig_counter(&rig, COUNTER_CLOSED), THREADS * SOCKETS);
    assert_int_equal(rig_counter(&rig, COUNTER_BYTES_IN), THREADS * SOCKETS * ROUNDS * 900);
    rig_stop(&rig);
}

static void unlisten(struct io *io, void *argument)
{
    (void)argument;
    io_unlisten(io);
}

static void received_then_move_to_1(void *context, struct io_conn *conn, struct span bytes)
{
    struct rig_shard *shard = context;
    rig_received(context, conn, bytes);
    if (shard->index == 0)
        io_handoff(shard->io, conn, 1, conn->owner);
}

#define PLACES 2048u

struct hoard {
    void *places[PLACES];
    unsigned count;
};

/* No memory for a connection is left. */
static void hoard_all(struct io *io, void *argument)
{
    struct hoard *hoard = argument;
    while ((hoard->places[hoard->count] = slab_take(io->conns)))
        assert_true(++hoard->count < PLACES);
}

static void hoard_give(struct io *io, void *argument)
{
    struct hoard *hoard = argument;
    while (hoard->count)
        slab_give(io->conns, hoard->places[--hoard->count]);
}

static _Atomic uint64_t arrived_in_turn;

static void arrived_and_noted(void *context, struct io_conn *conn, void *parcel)
{
    struct rig_shard *shard = context;
    arrived_in_turn = counter_read(&shard->counters, COUNTER_TURNS);
    arrived_of_rig(context, conn, parcel);
}

/* What waited for memory arrives behind the router's turn, and gets the next one without waiting for anything else. */
static void handoff__memory_refused_at_first__arrives_and_has_its_turn(void **state)
{
    (void)state;
    static struct hoard hoard;
    struct rig rig;
    rig_init(&rig, 2);
    rig.config.connection_max = 16;
    rig.handler.received = received_then_move_to_1;
    arrived_of_rig = rig.handler.arrived;
    rig.handler.arrived = arrived_and_noted;
    rig_start(&rig);
    rig_call(&rig, 1, unlisten, NULL);
    rig_sleep_ms(20); /* until its socket is closed */
    rig_call(&rig, 1, hoard_all, &hoard);
    int fd = rig_connect(&rig);
    rig_send_all(fd, "x", 1);
    char byte;
    rig_recv_all(fd, &byte, 1);
    rig_await(&rig, COUNTER_DEPARTED, 1);
    rig_sleep_ms(30);
    assert_int_equal(rig_counter(&rig, COUNTER_ARRIVED), 0);
    rig_call(&rig, 1, hoard_give, &hoard);
    rig_await(&rig, COUNTER_ARRIVED, 1);
    rig_sleep_ms(50);
    assert_true(counter_read(&rig.shards[1].counters, COUNTER_TURNS) > arrived_in_turn);
    rig_send_all(fd, "y", 1);
    rig_recv_all(fd, &byte, 1);
    close(fd);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void handoff__target_full__failed_there_and_closed_here(void **state)
{
    (void)state;
    enum { CLIENTS = 12, ROOM = 4 };
    struct rig rig;
    rig_init(&rig, 2);
    rig.shards[1].connection_max = ROOM;
    rig.handler.received = received_then_move_to_1;
    rig_start(&rig);
    rig_call(&rig, 1, unlisten, NULL);
    rig_sleep_ms(20); /* until its socket is closed: what was steered there meanwhile would be reset */
    int fds[CLIENTS];
    unsigned echoed = 0, closed = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        char byte = 'x';
        fds[i] = rig_connect(&rig);
        rig_send_all(fds[i], &byte, 1);
        rig_recv_all(fds[i], &byte, 1);
    }
    rig_await(&rig, COUNTER_CLOSED, CLIENTS - ROOM);
    for (unsigned i = 0; i < CLIENTS; i++) {
        char byte = 'y';
        if (send(fds[i], &byte, 1, MSG_NOSIGNAL) == 1 && recv(fds[i], &byte, 1, 0) == 1)
            echoed++;
        else
            closed++;
        close(fds[i]);
    }
    assert_int_equal(echoed, ROOM);
    assert_int_equal(closed, CLIENTS - ROOM);
    assert_int_equal(rig.shards[0].failed_count, CLIENTS - ROOM);
    assert_int_equal(rig_counter(&rig, COUNTER_ARRIVED), ROOM);
    assert_int_equal(rig_counter(&rig, COUNTER_DEPARTED), ROOM);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void handoff__target_has_ended__failed_there_and_closed_here(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    rig.handler.received = received_then_move_to_1;
    rig_start(&rig);
    io_stop(rig.shards[1].io);
    rig_sleep_ms(50);
    for (unsigned i = 0; i < 5; i++) {
        int fd = rig_connect(&rig);
        char byte = 'x';
        rig_send_all(fd, &byte, 1);
        rig_recv_all(fd, &byte, 1);
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
        close(fd);
    }
    rig_await(&rig, COUNTER_CLOSED, 5);
    assert_int_equal(rig.shards[0].failed_count, 5);
    assert_int_equal(rig_counter(&rig, COUNTER_DEPARTED), 0);
    rig_stop(&rig);
}

static void received_then_move_and_close(void *context, struct io_conn *conn, struct span bytes)
{
    struct rig_shard *shard = context;
    rig_received(context, conn, bytes);
    io_handoff(shard->io, conn, 1 - shard->index, conn->owner);
    if (bytes.ptr[0] == 'c')
        io_close(shard->io, conn);
    else
        io_reset(shard->io, conn);
}

static void handoff__closed_before_departing__closed_here(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    rig.handler.received = received_then_move_and_close;
    rig_start(&rig);
    for (unsigned i = 0; i < 20; i++) {
        int fd = rig_connect(&rig);
        char byte = i % 2 == 0 ? 'c' : 'r';
        rig_send_all(fd, &byte, 1);
        while (recv(fd, &byte, 1, 0) > 0)
            ;
        close(fd);
    }
    rig_await(&rig, COUNTER_CLOSED, 20);
    assert_int_equal(rig_counter(&rig, COUNTER_DEPARTED), 0);
    assert_int_equal(rig_counter(&rig, COUNTER_ARRIVED), 0);
    rig_stop(&rig);
}

static void handoff__peer_resets_meanwhile__closed_on_one_of_both(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig, 2);
    rig.handler.received = received_then_move;
    arrived_of_rig = rig.handler.arrived;
    rig.handler.arrived = arrived_again;
    rig_start(&rig);
    struct linger linger = {.l_onoff = 1};
    for (unsigned i = 0; i < 300; i++) {
        int fd = rig_connect(&rig);
        rig_send_all(fd, "a", 1);
        rig_send_all(fd, "b", 1);
        rig_send_all(fd, "c", 1);
        if (i % 3 == 0)
            rig_sleep_ms(1);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(fd);
    }
    rig_await(&rig, COUNTER_ACCEPTED, 300);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    assert_int_equal(rig_counter(&rig, COUNTER_CLOSED), 300);
    assert_int_equal(rig_counter(&rig, COUNTER_DEPARTED), rig_counter(&rig, COUNTER_ARRIVED));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handoff__thousand_connections_under_traffic__none_lost),
        cmocka_unit_test(handoff__memory_refused_at_first__arrives_and_has_its_turn),
        cmocka_unit_test(handoff__target_full__failed_there_and_closed_here),
        cmocka_unit_test(handoff__target_has_ended__failed_there_and_closed_here),
        cmocka_unit_test(handoff__closed_before_departing__closed_here),
        cmocka_unit_test(handoff__peer_resets_meanwhile__closed_on_one_of_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
