/* SPDX-License-Identifier: MIT */
/* The promises of io.h under random calls: a model of every connection beside it, checked in every callback. */
#include "io/sim/dice_priv.h"
#include "io/sim/world.h"
#include "tests/unit/io/sim_cmocka.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define SHARDS 3u
#define TAG    1u
#define STEPS  250u

enum model_state { M_DIALLING, M_OPEN, M_HANDING, M_TRANSIT, M_CLOSING };

struct model {
    struct model *next;
    struct io_conn *conn;
    unsigned shard;
    enum model_state state;
    bool is_sending, is_shut, is_ended;
    uint64_t ref;
};

struct monkey {
    struct world *world;
    struct io *ios[SHARDS];
    struct counters counters[SHARDS];
    struct monkey_shard {
        struct monkey *monkey;
        unsigned number;
    } shards[SHARDS];
    struct model *models;
    struct dice dice;
    uint16_t port;
    unsigned opened, closed, arrived, failed;
};

static struct model *model_new(struct monkey *monkey, unsigned shard, struct io_conn *conn, enum model_state state)
{
    struct model *model = calloc(1, sizeof *model);
    assert_non_null(model);
    *model = (struct model){.next = monkey->models, .conn = conn, .shard = shard, .state = state, .ref = io_ref(conn)};
    monkey->models = model;
    conn->owner = model;
    monkey->opened++;
    return model;
}

/* The model of a callback's connection, which must be in one of two states. */
static struct model *model_of(void *context, struct io_conn *conn, enum model_state a, enum model_state b)
{
    const struct monkey_shard *shard = context;
    struct model *model = conn->owner;
    assert_non_null(model);
    assert_ptr_equal(model->conn, conn);
    assert_int_equal(model->shard, shard->number);
    assert_true(model->state == a || model->state == b);
    return model;
}

/* One random call that io.h allows now. */
static void poke(struct monkey *monkey, struct model *model)
{
    struct io *io = monkey->ios[model->shard];
    struct chain chain = {0};
    if (model->state == M_TRANSIT || model->state == M_CLOSING)
        return;
    assert_ptr_equal(io_find(io, model->ref), model->conn);
    switch (dice_below(&monkey->dice, 12)) {
    case 0:
        model->state = M_CLOSING;
        io_close(io, model->conn);
        return;
    case 1:
        if (!dice_one_in(&monkey->dice, 4))
            return;
        model->state = M_CLOSING;
        io_reset(io, model->conn);
        return;
    case 2:
    case 3:
        io_pause(io, model->conn);
        return;
    case 4:
    case 5:
    case 6:
        io_resume(io, model->conn);
        return;
    case 7:
        if (model->state != M_OPEN)
            return;
        model->state = M_HANDING;
        io_handoff(io, model->conn, (model->shard + 1 + (unsigned)dice_below(&monkey->dice, 2)) % SHARDS, model);
        return;
    case 8:
        if (model->state == M_DIALLING)
            return;
        model->is_shut = true;
        io_shutdown(io, model->conn);
        assert_false(io_can_send(model->conn));
        return;
    default:
        if (!io_can_send(model->conn))
            return;
        assert_false(model->is_sending || model->is_shut || model->state == M_DIALLING);
        char bytes[6000];
        size_t size = 1 + (size_t)dice_below(&monkey->dice, sizeof bytes);
        memset(bytes, 'm', size);
        chain_append(&chain, io_pool(io), span_of(bytes, size));
        model->is_sending = true;
        io_send(io, model->conn, &chain);
    }
}

static void on_accepted(void *context, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    struct monkey_shard *shard = context;
    assert_int_equal(tag, TAG);
    assert_int_equal(peer->sa_family, AF_INET);
    poke(shard->monkey, model_new(shard->monkey, shard->number, conn, M_OPEN));
}

static void on_dialled(void *context, struct io_conn *conn, int error)
{
    struct model *model = model_of(context, conn, M_DIALLING, M_DIALLING);
    struct monkey_shard *shard = context;
    model->state = M_OPEN;
    assert_int_equal(io_can_send(conn), error == 0);
    poke(shard->monkey, model);
}

static void on_received(void *context, struct io_conn *conn, struct span bytes)
{
    struct model *model = model_of(context, conn, M_OPEN, M_HANDING);
    struct monkey_shard *shard = context;
    assert_true(bytes.size > 0 && !model->is_ended);
    poke(shard->monkey, model);
}

static void on_ended(void *context, struct io_conn *conn)
{
    struct model *model = model_of(context, conn, M_OPEN, M_OPEN);
    struct monkey_shard *shard = context;
    assert_false(model->is_ended);
    model->is_ended = true;
    poke(shard->monkey, model);
}

static void on_sent(void *context, struct io_conn *conn)
{
    struct model *model = model_of(context, conn, M_OPEN, M_HANDING);
    struct monkey_shard *shard = context;
    assert_true(model->is_sending);
    model->is_sending = false;
    assert_int_equal(io_can_send(conn), !model->is_shut);
    poke(shard->monkey, model);
}

static void on_closed(void *context, struct io_conn *conn, int error)
{
    struct monkey_shard *shard = context;
    struct monkey *monkey = shard->monkey;
    struct model *model = conn->owner;
    assert_ptr_equal(model->conn, conn);
    assert_int_equal(model->shard, shard->number);
    assert_true(model->state != M_TRANSIT);
    assert_true(model->state == M_CLOSING || error > 0);
    struct model **link = &monkey->models;
    while (*link != model)
        link = &(*link)->next;
    *link = model->next;
    free(model);
    monkey->closed++;
}

static void on_departing(void *context, struct io_conn *conn)
{
    struct model *model = model_of(context, conn, M_HANDING, M_HANDING);
    assert_false(model->is_sending);
    model->state = M_TRANSIT;
    model->conn = NULL;
}

static void land(struct monkey_shard *shard, struct io_conn *conn, struct model *model)
{
    assert_int_equal(model->state, M_TRANSIT);
    assert_null(conn->owner);
    conn->owner = model;
    model->conn = conn;
    model->state = M_OPEN;
    model->shard = shard->number;
    model->ref = io_ref(conn);
    assert_int_equal(io_can_send(conn), !model->is_shut);
    poke(shard->monkey, model);
}

static void on_handoff_failed(void *context, struct io_conn *conn, void *parcel, int error)
{
    struct monkey_shard *shard = context;
    struct model *model = parcel;
    assert_int_equal(model->shard, shard->number);
    assert_true(error > 0);
    shard->monkey->failed++;
    land(shard, conn, model);
}

static void on_arrived(void *context, struct io_conn *conn, void *parcel)
{
    struct monkey_shard *shard = context;
    struct model *model = parcel;
    assert_int_not_equal(model->shard, shard->number);
    shard->monkey->arrived++;
    land(shard, conn, model);
}

static uint64_t on_turn(void *context)
{
    struct monkey_shard *shard = context;
    struct monkey *monkey = shard->monkey;
    if (dice_one_in(&monkey->dice, 8))
        io_wake(monkey->ios[shard->number], (unsigned)dice_below(&monkey->dice, SHARDS));
    return UINT64_MAX;
}

static const struct io_handler handler = {
    .accepted = on_accepted,
    .dialled = on_dialled,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .closed = on_closed,
    .departing = on_departing,
    .handoff_failed = on_handoff_failed,
    .arrived = on_arrived,
    .turn = on_turn,
};

static void monkey_init(struct monkey *monkey, uint64_t seed)
{
    struct err err;
    memset(monkey, 0, sizeof *monkey);
    monkey->dice.state = seed;
    struct world_chaos chaos = {
        .cut_receives = dice_one_in(&monkey->dice, 2),
        .cut_sends = dice_one_in(&monkey->dice, 2),
        .delay = dice_one_in(&monkey->dice, 2),
        .buffers_run_out = dice_one_in(&monkey->dice, 2),
        .handoff_fail_one_in = dice_one_in(&monkey->dice, 2) ? 4 : 0,
    };
    struct io_config config = io_config_default;
    config.connection_max = 8;
    monkey->world = world_new(seed, &chaos);
    struct io_group *group = world_group(monkey->world, SHARDS);
    assert_true(io_group_listen(group, "*", &monkey->port, TAG, &err));
    world_set_far(monkey->world, 5269, FAR_ACCEPTS);
    world_set_far(monkey->world, 5270, FAR_SILENT);
    for (unsigned i = 0; i < SHARDS; i++) {
        monkey->shards[i] = (struct monkey_shard){monkey, i};
        monkey->ios[i] = io_new(group, i, &config, &handler, &monkey->shards[i], &monkey->counters[i], &err);
    }
}

static void monkey_dial(struct monkey *monkey)
{
    const uint16_t ports[] = {monkey->port, monkey->port, 5269, 5270, 9};
    unsigned shard = (unsigned)dice_below(&monkey->dice, SHARDS);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ports[dice_below(&monkey->dice, 5)])};
    struct io_conn *conn = io_dial(monkey->ios[shard], NULL, (const struct sockaddr *)&to, NULL);
    if (conn == NULL)
        assert_int_equal(io_conn_count(monkey->ios[shard]), 8);
    else
        model_new(monkey, shard, conn, M_DIALLING);
}

static void play_peer(struct monkey *monkey, struct peer **peer)
{
    struct dice *dice = &monkey->dice;
    char bytes[3000];
    if (*peer == NULL) {
        *peer = dice_one_in(dice, 2) ? world_accept(monkey->world)
                                     : peer_connect(monkey->world, (unsigned)dice_below(dice, SHARDS), TAG);
        return;
    }
    switch (dice_below(dice, 12)) {
    case 0:
        peer_reset(*peer);
        return;
    case 1:
        peer_free(*peer);
        *peer = NULL;
        return;
    case 2:
        peer_set_window(*peer, (size_t)dice_below(dice, 4000));
        return;
    case 3:
    case 4:
    case 5:
        peer_take(*peer, peer_received(*peer).size);
        return;
    default:
        memset(bytes, 'p', sizeof bytes);
        peer_send(*peer, span_of(bytes, (size_t)dice_below(dice, sizeof bytes)));
    }
}

static void monkey_run(uint64_t seed, unsigned *arrived, unsigned *failed)
{
    struct monkey monkey;
    struct peer *peers[6] = {NULL};
    monkey_init(&monkey, seed);
    for (unsigned step = 0; step < STEPS; step++) {
        play_peer(&monkey, &peers[dice_below(&monkey.dice, 6)]);
        if (dice_one_in(&monkey.dice, 6))
            monkey_dial(&monkey);
        for (struct model *model = monkey.models; model != NULL; model = model->next)
            if (dice_one_in(&monkey.dice, 12))
                poke(&monkey, model);
        world_step(monkey.world);
    }
    /* Faults stop; all must drain. Two rounds: what is between two shards can be closed when it has landed. */
    for (unsigned round = 0; round < 50 && monkey.models != NULL; round++) {
        for (unsigned i = 0; i < SHARDS; i++)
            io_unlisten(monkey.ios[i]);
        for (struct model *model = monkey.models; model != NULL; model = model->next)
            if (model->state != M_TRANSIT && model->state != M_CLOSING) {
                model->state = M_CLOSING;
                io_close(monkey.ios[model->shard], model->conn);
            }
        assert_true(world_settle(monkey.world, 10000));
    }
    assert_null(monkey.models);
    assert_int_equal(monkey.opened, monkey.closed);
    assert_int_equal(world_open_count(monkey.world), 0);
    *arrived += monkey.arrived;
    *failed += monkey.failed;
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_int_equal(io_pool(monkey.ios[i])->live, 0);
        assert_int_equal(counter_read(&monkey.counters[i], COUNTER_CONNECTIONS), 0);
        io_free(monkey.ios[i]);
    }
    world_free(monkey.world);
}

static void monkey__random_calls__promises_of_io_hold(void **state)
{
    unsigned arrived = 0, failed = 0;
    uint64_t *seed = *state;
    for (*seed = 1; *seed <= 400; (*seed)++)
        monkey_run(*seed, &arrived, &failed);
    assert_true(arrived > 1000);
    assert_true(failed > 100);
}

static int tell(void **state)
{
    print_message("last seed: %llu\n", (unsigned long long)*(uint64_t *)*state);
    return 0;
}

int main(void)
{
    static uint64_t seed;
    const struct CMUnitTest tests[] = {
        {"monkey__random_calls__promises_of_io_hold", monkey__random_calls__promises_of_io_hold, NULL, tell, &seed},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
