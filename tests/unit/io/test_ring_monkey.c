/* SPDX-License-Identifier: MIT */
/*
 * A router that does anything at any time, against clients that do the same: random sends, pauses, shutdowns, closes,
 * resets, dials and handoffs on three shards of the real kernel. What io.h promises must hold whatever happens.
 */
#include "ring_rig.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "tests/unit/core/dice.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <unistd.h>

#define SHARDS    3u
#define CLIENTS   4u
#define RUN_MS    1500u
#define DIALS_MAX 20u

/* One per connection; travels with it. */
struct ape {
    struct io_conn *conn;
    struct ape *next, *previous; /* in its shard's list */
    bool is_closing, is_leaving, is_shut, is_dialling;
};

struct jungle {
    struct ape *apes[SHARDS];
    struct dice dice[SHARDS];
    unsigned dials[SHARDS];
    _Atomic uint64_t born, ended;
};

static struct jungle *jungle_of(const struct rig_shard *shard)
{
    return shard->rig->user;
}

static void link_ape(struct rig_shard *shard, struct ape *ape)
{
    struct ape **head = &jungle_of(shard)->apes[shard->index];
    ape->previous = NULL;
    ape->next = *head;
    if (*head != NULL)
        (*head)->previous = ape;
    *head = ape;
}

static void unlink_ape(struct rig_shard *shard, struct ape *ape)
{
    if (ape->previous != NULL)
        ape->previous->next = ape->next;
    else
        jungle_of(shard)->apes[shard->index] = ape->next;
    if (ape->next != NULL)
        ape->next->previous = ape->previous;
}

static struct ape *ape_new(struct rig_shard *shard)
{
    struct ape *ape = calloc(1, sizeof *ape);
    SL_CHECK(ape != NULL);
    link_ape(shard, ape);
    jungle_of(shard)->born++;
    return ape;
}

static void end_ape(struct rig_shard *shard, struct ape *ape, bool is_reset)
{
    ape->is_closing = true;
    if (is_reset)
        io_reset(shard->io, ape->conn);
    else
        io_close(shard->io, ape->conn);
}

static void send_some(struct rig_shard *shard, struct ape *ape)
{
    static const char bytes[30000];
    struct chain chain = {0};
    uint32_t size = 1 + dice_below(&jungle_of(shard)->dice[shard->index], sizeof bytes - 1);
    chain_append(&chain, io_pool(shard->io), span_of(bytes, size));
    io_send(shard->io, ape->conn, &chain);
    SL_CHECK(!io_can_send(ape->conn) && chain_is_empty(&chain));
}

static void dial(struct rig_shard *shard)
{
    struct jungle *jungle = jungle_of(shard);
    if (jungle->dials[shard->index] >= DIALS_MAX)
        return;
    bool is_refused = dice_below(&jungle->dice[shard->index], 3) == 0;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(is_refused ? 1 : shard->rig->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct ape *ape = ape_new(shard);
    ape->is_dialling = true;
    ape->conn = io_dial(shard->io, NULL, (const struct sockaddr *)&to, ape);
    if (ape->conn != NULL) {
        jungle->dials[shard->index]++;
        return;
    }
    unlink_ape(shard, ape);
    free(ape);
    jungle->born--;
}

static void act(struct rig_shard *shard, struct ape *ape)
{
    struct dice *dice = &jungle_of(shard)->dice[shard->index];
    for (unsigned i = dice_below(dice, 4); i > 0; i--) {
        SL_CHECK(io_find(shard->io, io_ref(ape->conn)) == ape->conn);
        uint32_t what = dice_below(dice, 40);
        if (what < 4)
            io_pause(shard->io, ape->conn);
        else if (what < 12)
            io_resume(shard->io, ape->conn);
        else if (what < 26 && io_can_send(ape->conn))
            send_some(shard, ape);
        else if (what == 26 && !ape->is_dialling) {
            io_shutdown(shard->io, ape->conn);
            SL_CHECK(!io_can_send(ape->conn));
        } else if (what < 30 && !ape->is_closing)
            end_ape(shard, ape, what == 27);
        else if (what < 34 && !ape->is_closing && !ape->is_leaving && !ape->is_dialling) {
            ape->is_leaving = true;
            io_handoff(shard->io, ape->conn, (shard->index + 1 + dice_below(dice, SHARDS - 1)) % SHARDS, ape);
        } else if (what == 34)
            dial(shard);
    }
}

static void check_open(const struct ape *ape, const struct io_conn *conn)
{
    SL_CHECK(ape != NULL && ape->conn == conn && !ape->is_closing);
}

static void accepted(void *context, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    struct ape *ape = ape_new(context);
    SL_CHECK(tag == 7 && peer->sa_family == AF_INET);
    ape->conn = conn;
    conn->owner = ape;
    act(context, ape);
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    struct ape *ape = conn->owner;
    check_open(ape, conn);
    SL_CHECK(ape->is_dialling);
    if (error != 0)
        return; /* closed follows by itself */
    ape->is_dialling = false;
    act(context, ape);
}

static void received(void *context, struct io_conn *conn, struct span bytes)
{
    check_open(conn->owner, conn);
    SL_CHECK(bytes.size > 0);
    act(context, conn->owner);
}

static void ended(void *context, struct io_conn *conn)
{
    struct rig_shard *shard = context;
    struct ape *ape = conn->owner;
    check_open(ape, conn);
    if (dice_below(&jungle_of(context)->dice[io_shard(shard->io)], 2) == 0)
        act(context, ape);
    else
        end_ape(context, ape, false);
}

static void sent(void *context, struct io_conn *conn)
{
    check_open(conn->owner, conn);
    act(context, conn->owner);
}

static void closed(void *context, struct io_conn *conn, int error)
{
    struct rig_shard *shard = context;
    struct ape *ape = conn->owner;
    SL_CHECK(ape->conn == conn && error >= 0);
    unlink_ape(shard, ape);
    free(ape);
    jungle_of(shard)->ended++;
}

static void departing(void *context, struct io_conn *conn)
{
    struct ape *ape = conn->owner;
    check_open(ape, conn);
    SL_CHECK(ape->is_leaving);
    unlink_ape(context, ape);
}

static void handoff_failed(void *context, struct io_conn *conn, void *parcel, int error)
{
    struct ape *ape = parcel;
    SL_CHECK(ape == conn->owner && error > 0);
    ape->is_leaving = false;
    link_ape(context, ape);
    end_ape(context, ape, false);
}

static void arrived(void *context, struct io_conn *conn, void *parcel)
{
    struct rig_shard *shard = context;
    struct ape *ape = parcel;
    SL_CHECK(ape->is_leaving && !ape->is_closing);
    ape->is_leaving = false;
    ape->conn = conn;
    conn->owner = ape;
    link_ape(shard, ape);
    io_resume(shard->io, conn);
    act(shard, ape);
}

static void *client_main(void *argument)
{
    const struct rig *rig = argument;
    static _Atomic unsigned number;
    struct dice dice = {0x5eed + number++};
    char bytes[20000] = {0};
    uint64_t end_ms = clock_mono_ms() + RUN_MS;
    while (clock_mono_ms() < end_ms) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(rig->port)};
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct linger linger = {.l_onoff = 1};
        (void)connect(fd, (const struct sockaddr *)&to, sizeof to);
        for (uint32_t i = dice_below(&dice, 20); i > 0; i--) {
            uint32_t what = dice_below(&dice, 10);
            if (what < 6)
                (void)send(fd, bytes, 1 + dice_below(&dice, sizeof bytes - 1), MSG_NOSIGNAL | MSG_DONTWAIT);
            else if (what < 8)
                (void)recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
            else if (what == 8)
                rig_sleep_ms(1);
            else
                shutdown(fd, SHUT_WR);
        }
        if (dice_below(&dice, 2) == 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(fd);
    }
    return NULL;
}

static void close_all(struct io *io, void *argument)
{
    struct rig *rig = argument;
    struct rig_shard *shard = &rig->shards[io_shard(io)];
    jungle_of(shard)->dials[shard->index] = DIALS_MAX;
    for (struct ape *ape = jungle_of(shard)->apes[shard->index]; ape != NULL; ape = ape->next)
        if (!ape->is_closing)
            end_ape(shard, ape, false);
}

static void run(uint32_t entries, uint32_t completions, uint32_t buffers, uint32_t connections, uint64_t seed)
{
    struct jungle jungle = {0};
    for (unsigned i = 0; i < SHARDS; i++)
        jungle.dice[i] = (struct dice){seed + i};
    struct rig rig;
    rig_init(&rig, SHARDS);
    rig.user = &jungle;
    rig.config.entries = entries;
    rig.config.completions = completions;
    rig.config.buffer_count = buffers;
    rig.config.connection_max = connections;
    rig.handler = (struct io_handler){accepted, dialled,   received,       ended,   sent,
                                      closed,   departing, handoff_failed, arrived, rig.handler.turn};
    rig_start(&rig);
    pthread_t threads[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_create(&threads[i], NULL, client_main, &rig);
    for (unsigned i = 0; i < CLIENTS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned round = 0; round < 500; round++) {
        for (unsigned i = 0; i < SHARDS; i++)
            rig_call(&rig, i, close_all, &rig);
        if (rig_counter(&rig, COUNTER_CONNECTIONS) == 0 && jungle.born == jungle.ended)
            break;
        rig_sleep_ms(5);
    }
    printf("%lu connections, %lu handoffs, %lu without buffer, %lu overflows, %lu pauses of accepting\n",
           (unsigned long)jungle.born, (unsigned long)rig_counter(&rig, COUNTER_DEPARTED),
           (unsigned long)rig_counter(&rig, COUNTER_BUFFERS_EMPTY),
           (unsigned long)rig_counter(&rig, COUNTER_CQ_OVERFLOWS),
           (unsigned long)rig_counter(&rig, COUNTER_ACCEPT_PAUSES));
    assert_int_equal(jungle.born, jungle.ended);
    assert_int_equal(rig_counter(&rig, COUNTER_CLOSED), jungle.ended);
    assert_int_equal(rig_counter(&rig, COUNTER_DEPARTED), rig_counter(&rig, COUNTER_ARRIVED));
    rig_stop(&rig);
}

static void monkey__ample_rings__promises_hold(void **state)
{
    (void)state;
    run(256, 4096, 256, 1024, dice_seeded("ample", 1).state);
}

static void monkey__tiny_rings__promises_hold(void **state)
{
    (void)state;
    run(8, 16, 2, 24, dice_seeded("tiny", 1000).state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monkey__ample_rings__promises_hold),
        cmocka_unit_test(monkey__tiny_rings__promises_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
