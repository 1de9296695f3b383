/* SPDX-License-Identifier: MIT */
/* One shard: struct io, its slots, its step (complete, then turn), time and entropy. */
#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const struct io_config io_config_default = {
    .connection_max = 65536,
    .entries = 1024,
    .completions = 4096,
    .buffer_count = 256,
    .buffer_size = 8192,
    .send_max = 262144,
    .cpu = -1,
};

void sim_enter(const struct io *io)
{
    SL_CHECK(io->world->running == NULL || io->world->running == io);
}

/* ------------------------------------------------------------------------------------------------ life */

bool io_probe(struct err *err)
{
    (void)err;
    return true;
}

static void check_handler(const struct io_handler *handler)
{
    SL_CHECK(handler->accepted != NULL && handler->dialled != NULL && handler->received != NULL);
    SL_CHECK(handler->ended != NULL && handler->sent != NULL && handler->closed != NULL);
    SL_CHECK(handler->departing != NULL && handler->handoff_failed != NULL && handler->arrived != NULL);
    SL_CHECK(handler->turn != NULL);
}

struct io *io_new(struct io_group *group, unsigned shard, const struct io_config *config,
                  const struct io_handler *handler, void *context, struct counters *counters, struct err *err)
{
    (void)err;
    SL_CHECK(shard < group->shard_count && group->ios[shard] == NULL);
    SL_CHECK(config->connection_max > 0 && config->buffer_size > 0 && config->send_max > 0);
    SL_CHECK(counters != NULL);
    check_handler(handler);
    struct io *io = calloc(1, sizeof *io);
    SL_CHECK(io != NULL);
    io->world = group->world;
    io->group = group;
    io->shard = shard;
    io->config = *config;
    io->handler = *handler;
    io->context = context;
    io->counters = counters;
    io->entropy.state = dice_throw(&group->world->dice);
    io->deadline = UINT64_MAX;
    io->answer_ms = UINT64_MAX;
    io->wake_due = 1; /* the first turn needs no reason */
    io->listening = true;
    chunk_pool_init(&io->pool, 64);
    group->ios[shard] = io;
    group->started = true;
    return io;
}

bool io_ready(struct io *io)
{
    return !io->group->abandoned;
}

void io_abandon(struct io_group *group)
{
    group->abandoned = true;
}

void io_run(struct io *io)
{
    (void)io;
    check_failed("a simulated shard is run by world_step()", __FILE__, __LINE__);
}

void io_stop(struct io *io)
{
    atomic_store_explicit(&io->stop, true, memory_order_release);
}

void io_notify(struct io *io)
{
    atomic_store_explicit(&io->notified, true, memory_order_release);
}

void io_wake(struct io *io, unsigned shard)
{
    sim_enter(io);
    SL_CHECK(shard < io->group->shard_count);
    struct io *target = io->group->ios[shard];
    if (target == NULL || target->wake_due != 0)
        return;
    counter_add(io->counters, COUNTER_WAKES, 1);
    target->wake_due = sim_due(io->world);
}

void sim_drop_connections(struct io *io)
{
    for (uint32_t i = 0; i < io->slot_count; i++) {
        struct sim_conn *conn = io->slots[i].conn;
        if (conn == NULL)
            continue;
        /* After io_stop() this is the way of io.h; before, a test or a router forgot them. */
        if (!atomic_load_explicit(&io->stop, memory_order_acquire))
            io->world->dropped++;
        if (conn->transit != NULL)
            conn->transit->source = NULL;
        sim_conn_drop(conn);
    }
    sim_calls_refuse(io);
    sim_transits_drop(io);
    io->listening = false;
}

void io_free(struct io *io)
{
    if (io == NULL)
        return;
    SL_CHECK(io->world->running == NULL);
    sim_drop_connections(io);
    if (io->pool.live != 0)
        fprintf(stderr, "io/sim: shard %u of seed %llu: %llu chunks were not given back\n", io->shard,
                (unsigned long long)io->world->seed, (unsigned long long)io->pool.live);
    SL_CHECK(io->pool.live == 0);
    chunk_pool_fini(&io->pool);
    io->group->ios[io->shard] = NULL;
    free(io->slots);
    free(io->active);
    free(io->batch);
    free(io);
}

/* ------------------------------------------------------------------------------------------------ slots */

static void slots_grow(struct io *io)
{
    uint32_t count = io->slot_count == 0 ? 16 : io->slot_count * 2;
    io->slots = realloc(io->slots, count * sizeof *io->slots);
    SL_CHECK(io->slots != NULL);
    for (uint32_t i = count; i-- > io->slot_count;) {
        io->slots[i] = (struct slot){.generation = 1, .next_free = io->slot_free};
        io->slot_free = i + 1;
    }
    io->slot_count = count;
}

struct sim_conn *sim_slot_take(struct io *io)
{
    SL_CHECK(io->conn_count < io->config.connection_max);
    if (io->slot_free == 0)
        slots_grow(io);
    /* One allocation a connection, and the slot freed last is taken first: stale pointers and stale references meet
     * their successor at once. */
    struct sim_conn *conn = calloc(1, sizeof *conn);
    SL_CHECK(conn != NULL);
    conn->magic = SIM_CONN_MAGIC;
    conn->io = io;
    conn->slot = io->slot_free - 1;
    struct slot *slot = &io->slots[conn->slot];
    io->slot_free = slot->next_free;
    slot->conn = conn;
    io->conn_count++;
    return conn;
}

void sim_slot_give(struct sim_conn *conn)
{
    struct io *io = conn->io;
    struct slot *slot = &io->slots[conn->slot];
    slot->conn = NULL;
    slot->generation++;
    slot->next_free = io->slot_free;
    io->slot_free = conn->slot + 1;
    io->conn_count--;
    if (conn->active != 0)
        io->active[conn->active - 1] = NULL;
    memset(conn, 0xdd, sizeof *conn);
    __asm__ volatile("" : : "r"(conn) : "memory");
    free(conn);
}

uint64_t io_ref(const struct io_conn *conn)
{
    const struct sim_conn *sim = (const struct sim_conn *)(const void *)conn;
    SL_CHECK(sim->magic == SIM_CONN_MAGIC);
    sim_enter(sim->io);
    return (uint64_t)sim->io->slots[sim->slot].generation << 32 | (sim->slot + 1u);
}

/* Until closed; one that is closing is found, as in the real one, and is not to be used. */
static bool is_findable(enum sim_state state)
{
    return state != SIM_TRANSIT && state != SIM_RETURNING && state != SIM_CLOSED;
}

struct io_conn *io_find(struct io *io, uint64_t ref)
{
    sim_enter(io);
    uint32_t index = (uint32_t)ref;
    SL_CHECK(index != 0);
    if (index > io->slot_count)
        return NULL;
    const struct slot *slot = &io->slots[index - 1];
    if (slot->conn == NULL || slot->generation != ref >> 32 || !is_findable(slot->conn->state))
        return NULL;
    return &slot->conn->head;
}

uint32_t io_conn_count(const struct io *io)
{
    return io->conn_count;
}

/* ------------------------------------------------------------------------------------------------ step */

void sim_batch_add(struct io *io, enum sim_op op, void *subject)
{
    if (io->batch_count == io->batch_capacity) {
        io->batch_capacity = io->batch_capacity == 0 ? 64 : io->batch_capacity * 2;
        io->batch = realloc(io->batch, io->batch_capacity * sizeof *io->batch);
        SL_CHECK(io->batch != NULL);
    }
    io->batch[io->batch_count++] = (struct batch_entry){op, subject};
}

void sim_want(struct io *io, enum sim_op op, void *subject, uint64_t *due)
{
    if (*due == 0)
        *due = sim_due(io->world);
    if (*due > io->world->step) {
        io->pending = true;
        return;
    }
    *due = 0;
    sim_batch_add(io, op, subject);
}

static void collect(struct io *io)
{
    io->batch_count = 0;
    io->pending = false;
    io->answer_ms = UINT64_MAX;
    sim_calls_collect(io);
    sim_transits_collect(io);
    size_t kept = 0;
    for (size_t i = 0; i < io->active_count; i++) {
        struct sim_conn *conn = io->active[i];
        if (conn == NULL)
            continue;
        conn->active = 0;
        if (!sim_conn_collect(conn))
            continue;
        io->active[kept++] = conn;
        conn->active = (uint32_t)kept;
    }
    io->active_count = kept;
    if (!io->world->chaos.delay)
        return;
    for (size_t i = io->batch_count; i > 1; i--) {
        size_t other = (size_t)dice_below(&io->world->dice, i);
        struct batch_entry entry = io->batch[i - 1];
        io->batch[i - 1] = io->batch[other];
        io->batch[other] = entry;
    }
}

/* No entry can lose its subject to an earlier one of the same batch: a connection leaves only by its own close,
 * departure or return, and those stand alone. */
static void carry_out(struct io *io, const struct batch_entry *entry)
{
    switch (entry->op) {
    case SIM_ACCEPT:
        sim_call_accept(io, entry->subject);
        return;
    case SIM_ARRIVE:
        sim_arrive(io, entry->subject);
        return;
    case SIM_DIAL:
        sim_dial_finish(entry->subject);
        return;
    case SIM_RECEIVE:
        sim_conn_receive(entry->subject);
        return;
    case SIM_SEND:
        sim_conn_send(entry->subject);
        return;
    case SIM_SHUTDOWN:
        sim_conn_shut(entry->subject);
        return;
    case SIM_CLOSE:
        sim_conn_finish(entry->subject);
        return;
    case SIM_DEPART:
        sim_depart(entry->subject);
        return;
    case SIM_RETURN:
        sim_return(entry->subject);
        return;
    case SIM_TURN:
        check_failed("a turn is no operation", __FILE__, __LINE__);
    }
}

static bool is_turn_due(struct io *io)
{
    struct world *world = io->world;
    if (atomic_exchange_explicit(&io->notified, false, memory_order_acquire))
        return true;
    if (io->wake_due != 0 && io->wake_due <= world->step)
        return true;
    if (io->deadline <= world->now_ms)
        return true;
    io->pending |= io->wake_due != 0;
    /* The real one also turns for completions that tell the router nothing. */
    return world->chaos.delay && world->was_busy && dice_one_in(&world->dice, 16);
}

static void take_turn(struct io *io)
{
    io->wake_due = 0;
    counter_add(io->counters, COUNTER_TURNS, 1);
    sim_trace(io, SIM_TURN, 0, 0);
    uint64_t deadline = io->handler.turn(io->context);
    io->deadline = deadline == 0 ? UINT64_MAX : deadline;
    if (deadline == 0)
        io->wake_due = io->world->step + 1;
}

bool sim_shard_step(struct io *io)
{
    if (io->stopped || io->stalled)
        return false;
    io->world->running = io;
    bool is_stopping = atomic_load_explicit(&io->stop, memory_order_acquire);
    collect(io);
    for (size_t i = 0; i < io->batch_count; i++)
        carry_out(io, &io->batch[i]);
    bool is_turning = is_turn_due(io);
    bool was_busy = io->batch_count > 0 || is_turning || is_stopping;
    if (was_busy)
        take_turn(io);
    io->world->running = NULL;
    if (is_stopping) {
        sim_drop_connections(io);
        io->stopped = true;
    }
    return was_busy || io->pending;
}

/* Sends are carried out in later steps in any case. */
void io_submit(struct io *io)
{
    sim_enter(io);
}

bool io_has_news(const struct io *io)
{
    return io->pending || io->wake_due != 0;
}

void io_unlisten(struct io *io)
{
    sim_enter(io);
    io->listening = false;
    sim_calls_refuse(io);
}

/* ------------------------------------------------------------------------------------------------ time, entropy */

uint64_t io_now_ms(const struct io *io)
{
    return io->world->now_ms;
}

uint64_t io_now_fresh_ns(const struct io *io)
{
    return io->world->now_ms * 1000000u;
}

int64_t io_wall_ms(const struct io *io)
{
    return io->world->wall_ms;
}

void io_random(struct io *io, void *out, size_t size)
{
    sim_enter(io);
    char *bytes = out;
    while (size > 0) {
        uint64_t word = dice_throw(&io->entropy);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(bytes, &word, part);
        bytes += part;
        size -= part;
    }
}

unsigned io_shard(const struct io *io)
{
    return io->shard;
}

struct chunk_pool *io_pool(struct io *io)
{
    sim_enter(io);
    return &io->pool;
}
