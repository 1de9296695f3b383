/* SPDX-License-Identifier: MIT */
/* One connection: the calls of io.h on it, and receive, send, shutdown and close as the kernel would complete them. */
#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <errno.h>
#include <stdlib.h>

/* Under chaos.delay so much can be completed ahead of the callbacks, in pieces of buffer_size: what a multishot
 * receive leaves in the completion queue when its connection is paused. */
#define COMPLETED_PIECES 4u

/* ------------------------------------------------------------------------------------------------ life */

struct sim_conn *sim_conn_of(struct io *io, struct io_conn *conn)
{
    sim_enter(io);
    SL_CHECK(conn != NULL);
    struct sim_conn *sim = (struct sim_conn *)(void *)conn;
    SL_CHECK(sim->magic == SIM_CONN_MAGIC);
    SL_CHECK(sim->io == io);
    SL_CHECK(sim->state != SIM_CLOSED);
    return sim;
}

struct sim_conn *sim_conn_attach(struct io *io, struct wire *wire, unsigned side)
{
    struct sim_conn *conn = sim_slot_take(io);
    conn->serial = ++io->world->serial;
    conn->state = SIM_OPEN;
    conn->wire = wire;
    conn->side = side;
    if (wire != NULL)
        wire->end[side].conn = conn;
    sim_conn_stir(conn);
    return conn;
}

void sim_conn_stir(struct sim_conn *conn)
{
    struct io *io = conn->io;
    if (conn->active != 0 || conn->state == SIM_TRANSIT || conn->state == SIM_CLOSED)
        return;
    if (io->active_count == io->active_capacity) {
        io->active_capacity = io->active_capacity == 0 ? 64 : io->active_capacity * 2;
        io->active = realloc(io->active, io->active_capacity * sizeof *io->active);
        SL_CHECK(io->active != NULL);
    }
    io->active[io->active_count++] = conn;
    conn->active = (uint32_t)io->active_count;
}

void sim_conn_drop(struct sim_conn *conn)
{
    chain_clear(&conn->sending, &conn->io->pool);
    if (conn->wire != NULL) {
        if (conn->abort)
            wire_reset(conn->wire, conn->side, SIZE_MAX);
        else
            wire_close(conn->wire, conn->side);
        wire_release(conn->wire, conn->side);
    }
    sim_slot_give(conn);
}

void sim_conn_break(struct sim_conn *conn, int error)
{
    conn->state = SIM_BROKEN;
    conn->error = error;
    conn->due = 0;
    sim_conn_stir(conn);
}

void sim_conn_finish(struct sim_conn *conn)
{
    struct io *io = conn->io;
    struct world *world = io->world;
    /* The send in flight is given up, but nobody can tell how much of it was out already. */
    if (world->chaos.delay && conn->state == SIM_CLOSING && !conn->abort && !chain_is_empty(&conn->sending)) {
        struct span front = chain_front(&conn->sending);
        size_t room = wire_room(conn->wire, conn->side);
        size_t most = front.size < room ? front.size : room;
        wire_put(conn->wire, conn->side, span_of(front.ptr, (size_t)dice_below(&world->dice, most + 1)));
    }
    conn->state = SIM_CLOSED;
    counter_add(io->counters, COUNTER_CLOSED, 1);
    counter_sub(io->counters, COUNTER_CONNECTIONS, 1);
    io->handler.closed(io->context, &conn->head, conn->error);
    sim_conn_drop(conn);
}

/* ------------------------------------------------------------------------------------------------ collect */

static bool is_reading(const struct sim_conn *conn)
{
    return conn->state == SIM_OPEN && !conn->paused && !conn->ended;
}

static const struct flow *flow_of(const struct sim_conn *conn)
{
    return &conn->wire->flow[conn->side];
}

/* Lets the system complete receives ahead of the callbacks; what it completed is delivered even after a pause. */
static void complete_ahead(struct sim_conn *conn)
{
    struct io *io = conn->io;
    struct dice *dice = &io->world->dice;
    const struct flow *flow = flow_of(conn);
    size_t most = (size_t)COMPLETED_PIECES * io->config.buffer_size;
    size_t fresh = flow->size - conn->completed;
    if (conn->completed < most && fresh > 0 && dice_one_in(dice, 2)) {
        size_t room = most - conn->completed;
        conn->completed += 1 + (size_t)dice_below(dice, fresh < room ? fresh : room);
    }
    if (conn->completed == flow->size && flow->ended && dice_one_in(dice, 2))
        conn->end_completed = true;
}

static bool collect_receive(struct sim_conn *conn)
{
    struct io *io = conn->io;
    struct world *world = io->world;
    const struct flow *flow = flow_of(conn);
    bool is_reset = conn->wire->end[conn->side].reset;
    bool is_ready = is_reading(conn) && (flow->size > 0 || flow->ended || is_reset);
    if (is_ready && conn->starved_until > world->step) {
        io->pending = true;
        is_ready = false;
    } else if (is_ready && world->chaos.buffers_run_out && dice_one_in(&world->dice, 4)) {
        counter_add(io->counters, COUNTER_BUFFERS_EMPTY, 1);
        conn->starved_until = world->step + 1 + dice_below(&world->dice, 8);
        io->pending = true;
        is_ready = false;
    } else if (is_ready && world->chaos.delay) {
        complete_ahead(conn);
    }
    /* On its way to another shard the FIN is not told: it is met again there. */
    bool is_end_due = conn->end_completed && conn->state == SIM_OPEN;
    if (!is_ready && conn->completed == 0 && !is_end_due)
        return conn->starved_until > world->step;
    sim_want(io, SIM_RECEIVE, conn, &conn->receive_due);
    return true;
}

static bool collect_send(struct sim_conn *conn)
{
    if (chain_is_empty(&conn->sending)) {
        if (!conn->shutdown || conn->shut)
            return false;
        sim_want(conn->io, SIM_SHUTDOWN, conn, &conn->send_due);
        return true;
    }
    /* A full window stalls the send until the peer reads. */
    if (wire_room(conn->wire, conn->side) == 0 && !conn->wire->end[conn->side].reset)
        return false;
    sim_want(conn->io, SIM_SEND, conn, &conn->send_due);
    return true;
}

static bool is_quiet(const struct sim_conn *conn)
{
    return conn->completed == 0 && chain_is_empty(&conn->sending) && (!conn->shutdown || conn->shut);
}

bool sim_conn_collect(struct sim_conn *conn)
{
    bool is_waiting = false;
    switch (conn->state) {
    case SIM_OPEN:
        is_waiting |= collect_receive(conn);
        is_waiting |= collect_send(conn);
        return is_waiting;
    case SIM_HANDING:
        if (is_quiet(conn)) {
            sim_want(conn->io, SIM_DEPART, conn, &conn->due);
            return true;
        }
        is_waiting |= collect_receive(conn);
        is_waiting |= collect_send(conn);
        return is_waiting;
    case SIM_DIALLING:
        if (sim_dial_is_lost(conn))
            return false;
        if (conn->answer_ms > conn->io->world->now_ms) {
            if (conn->answer_ms < conn->io->answer_ms)
                conn->io->answer_ms = conn->answer_ms;
            return true; /* looked at again when the clock has moved */
        }
        sim_want(conn->io, SIM_DIAL, conn, &conn->due);
        return true;
    case SIM_CLOSING:
    case SIM_BROKEN:
        sim_want(conn->io, SIM_CLOSE, conn, &conn->due);
        return true;
    case SIM_RETURNING:
        sim_want(conn->io, SIM_RETURN, conn, &conn->due);
        return true;
    case SIM_TRANSIT:
    case SIM_CLOSED:
        return false;
    }
    return false;
}

/* ------------------------------------------------------------------------------------------------ receive */

/* Single bytes, short runs and whole buffers are equally likely: cuts inside every token, yet 100 KB take 100 steps
 * and not 100,000. */
static size_t piece_size(struct io *io, size_t available)
{
    const struct world_chaos *chaos = &io->world->chaos;
    struct dice *dice = &io->world->dice;
    size_t most = io->config.buffer_size;
    if (chaos->receive_max != 0 && chaos->receive_max < most)
        most = chaos->receive_max;
    if (available < most)
        most = available;
    if (!chaos->cut_receives)
        return most;
    static const size_t limits[] = {1, 16, 256, SIZE_MAX};
    size_t limit = limits[dice_below(dice, sizeof limits / sizeof limits[0])];
    return 1 + (size_t)dice_below(dice, limit < most ? limit : most);
}

/* What that end may still read before world_break_after() cuts the wire. */
static uint64_t before_cut(const struct sim_conn *conn)
{
    const struct world *world = conn->io->world;
    if (world->cut_wire == 0 || world->cut_wire != conn->wire->number || world->cut_end != conn->side)
        return UINT64_MAX;
    return world->cut_bytes - flow_of(conn)->passed;
}

static void cut(struct sim_conn *conn)
{
    size_t kept[2] = {SIZE_MAX, SIZE_MAX};
    kept[conn->side] = 0;
    conn->completed = 0;
    conn->io->world->cut_wire = 0;
    wire_break(conn->wire, kept);
}

static void deliver(struct sim_conn *conn, size_t size)
{
    struct io *io = conn->io;
    if (size > before_cut(conn))
        size = (size_t)before_cut(conn);
    /* A block of its own size for every piece: one byte too far, or one look after return, and ASan speaks. */
    char *copy = malloc(size);
    SL_CHECK(copy != NULL);
    memcpy(copy, wire_front(conn->wire, conn->side).ptr, size);
    conn->completed -= size;
    wire_consume(conn->wire, conn->side, size);
    if (before_cut(conn) == 0)
        cut(conn);
    counter_add(io->counters, COUNTER_RECEIVES, 1);
    counter_add(io->counters, COUNTER_BYTES_IN, size);
    sim_trace(io, SIM_RECEIVE, conn->serial, size);
    sim_trace_bytes(io->world, span_of(copy, size));
    io->handler.received(io->context, &conn->head, span_of(copy, size));
    /* Without ASan a stale reader finds this rather than what it hoped for. */
    memset(copy, 0xdd, size);
    __asm__ volatile("" : : "r"(copy) : "memory");
    free(copy);
}

void sim_conn_receive(struct sim_conn *conn)
{
    if (conn->state != SIM_OPEN && conn->state != SIM_HANDING)
        return;
    const struct flow *flow = flow_of(conn);
    /* Nothing had been completed ahead and a callback of this batch stopped the reading: the bytes stay unread. */
    if (conn->completed == 0 && !conn->end_completed && !is_reading(conn))
        return;
    if (conn->completed == 0) {
        size_t most = conn->io->config.buffer_size;
        conn->completed = flow->size < most ? flow->size : most;
    }
    if (conn->completed > 0) {
        size_t size = piece_size(conn->io, conn->completed);
        /* Without delay nothing is ahead of the callback. */
        if (!conn->io->world->chaos.delay)
            conn->completed = size;
        deliver(conn, size);
        return;
    }
    if (conn->wire->end[conn->side].reset) {
        conn->wire->end[conn->side].reset = false;
        sim_trace(conn->io, SIM_RECEIVE, conn->serial, ECONNRESET);
        sim_conn_break(conn, ECONNRESET);
        return;
    }
    if (!flow->ended || conn->state != SIM_OPEN)
        return;
    conn->end_completed = false;
    conn->ended = true;
    sim_trace(conn->io, SIM_RECEIVE, conn->serial, 0);
    conn->io->handler.ended(conn->io->context, &conn->head);
}

/* ------------------------------------------------------------------------------------------------ send */

static size_t send_some(struct sim_conn *conn)
{
    struct io *io = conn->io;
    size_t most = io->config.send_max < conn->sending.size ? io->config.send_max : conn->sending.size;
    size_t room = wire_room(conn->wire, conn->side);
    most = room < most ? room : most;
    if (io->world->chaos.cut_sends && most > 0 && dice_one_in(&io->world->dice, 2))
        most = 1 + (size_t)dice_below(&io->world->dice, most);
    for (size_t left = most; left > 0;) {
        struct span front = chain_front(&conn->sending);
        size_t size = front.size < left ? front.size : left;
        sim_trace_bytes(io->world, span_of(front.ptr, size));
        wire_put(conn->wire, conn->side, span_of(front.ptr, size));
        chain_consume(&conn->sending, &io->pool, size);
        left -= size;
    }
    return most;
}

void sim_conn_send(struct sim_conn *conn)
{
    struct io *io = conn->io;
    if ((conn->state != SIM_OPEN && conn->state != SIM_HANDING) || chain_is_empty(&conn->sending))
        return;
    if (conn->wire->end[conn->side].reset) {
        /* As Linux: the first call after the RST says ECONNRESET, a send behind it EPIPE. */
        bool is_late = io->world->chaos.delay && dice_one_in(&io->world->dice, 2);
        sim_trace(io, SIM_SEND, conn->serial, ECONNRESET);
        sim_conn_break(conn, is_late ? EPIPE : ECONNRESET);
        return;
    }
    size_t sent = send_some(conn);
    if (sent == 0)
        return;
    counter_add(io->counters, COUNTER_SENDS, 1);
    counter_add(io->counters, COUNTER_BYTES_OUT, sent);
    sim_trace(io, SIM_SEND, conn->serial, sent);
    if (chain_is_empty(&conn->sending))
        io->handler.sent(io->context, &conn->head);
}

void sim_conn_shut(struct sim_conn *conn)
{
    if (conn->state != SIM_OPEN && conn->state != SIM_HANDING)
        return;
    sim_trace(conn->io, SIM_SHUTDOWN, conn->serial, 0);
    conn->shut = true;
    wire_end_flow(conn->wire, conn->side);
}

/* ------------------------------------------------------------------------------------------------ io.h */

bool io_can_send(const struct io_conn *conn)
{
    const struct sim_conn *sim = (const struct sim_conn *)(const void *)conn;
    SL_CHECK(sim->magic == SIM_CONN_MAGIC);
    sim_enter(sim->io);
    bool is_open = sim->state == SIM_OPEN || sim->state == SIM_HANDING;
    return is_open && !sim->shutdown && chain_is_empty(&sim->sending);
}

/* The links and the sum must agree, and a pool cannot have fewer chunks out than one of its chains holds. */
static void check_chain(const struct chain *chain, const struct chunk_pool *pool)
{
    size_t size = 0;
    uint64_t count = 0;
    for (const struct chunk *chunk = chain->head; chunk != NULL; chunk = chunk->next) {
        SL_CHECK(chunk->start <= chunk->end && chunk->end <= chunk->capacity);
        size += chunk->end - chunk->start;
        count++;
    }
    SL_CHECK(size == chain->size);
    SL_CHECK(count <= pool->live);
}

void io_send(struct io *io, struct io_conn *conn, struct chain *bytes)
{
    struct sim_conn *sim = sim_conn_of(io, conn);
    SL_CHECK(io_can_send(conn));
    SL_CHECK(!chain_is_empty(bytes));
    check_chain(bytes, &io->pool);
    chain_splice(&sim->sending, bytes);
    sim_conn_stir(sim);
}

/* A broken connection may still be used, the router cannot know; one that it closed or gave away may not. */
static void check_usable(const struct sim_conn *conn)
{
    SL_CHECK(conn->state == SIM_OPEN || conn->state == SIM_HANDING || conn->state == SIM_BROKEN ||
             conn->state == SIM_DIALLING);
}

void io_pause(struct io *io, struct io_conn *conn)
{
    struct sim_conn *sim = sim_conn_of(io, conn);
    check_usable(sim);
    sim->paused = true;
}

void io_resume(struct io *io, struct io_conn *conn)
{
    struct sim_conn *sim = sim_conn_of(io, conn);
    check_usable(sim);
    sim->paused = false;
    sim_conn_stir(sim);
}

void io_shutdown(struct io *io, struct io_conn *conn)
{
    struct sim_conn *sim = sim_conn_of(io, conn);
    check_usable(sim);
    SL_CHECK(sim->state != SIM_DIALLING);
    sim->shutdown = true;
    sim_conn_stir(sim);
}

static void close_with(struct io *io, struct io_conn *conn, bool abort)
{
    struct sim_conn *sim = sim_conn_of(io, conn);
    SL_CHECK(sim->state != SIM_TRANSIT && sim->state != SIM_RETURNING);
    if (sim->state == SIM_CLOSING)
        return;
    /* One that broke before the router closed it may tell either. */
    if (sim->state != SIM_BROKEN || !io->world->chaos.delay || dice_one_in(&io->world->dice, 2))
        sim->error = 0;
    sim->state = SIM_CLOSING;
    sim->abort = abort;
    sim->due = 0;
    sim_conn_stir(sim);
}

void io_close(struct io *io, struct io_conn *conn)
{
    close_with(io, conn, false);
}

void io_reset(struct io *io, struct io_conn *conn)
{
    close_with(io, conn, true);
}

/* ------------------------------------------------------------------------------------------------ world.h */

uint64_t world_wire(const struct io_conn *conn)
{
    const struct sim_conn *sim = (const struct sim_conn *)(const void *)conn;
    SL_CHECK(sim->magic == SIM_CONN_MAGIC);
    return sim->wire != NULL ? sim->wire->number : 0;
}

bool world_break(struct io_conn *conn)
{
    struct sim_conn *sim = (struct sim_conn *)(void *)conn;
    SL_CHECK(sim->magic == SIM_CONN_MAGIC);
    struct world *world = sim->io->world;
    if (sim->wire == NULL || (sim->state != SIM_OPEN && sim->state != SIM_HANDING))
        return false;
    size_t kept[2] = {SIZE_MAX, SIZE_MAX};
    for (unsigned side = 0; side < 2 && world->chaos.delay; side++)
        kept[side] = (size_t)dice_below(&world->dice, sim->wire->flow[side].size + 1);
    wire_break(sim->wire, kept);
    return true;
}

void world_break_after(struct world *world, uint64_t wire, unsigned end, uint64_t bytes)
{
    SL_CHECK(bytes > 0 && end < 2);
    world->cut_wire = wire;
    world->cut_end = end;
    world->cut_bytes = bytes;
}

bool world_will_break(const struct world *world)
{
    return world->cut_wire != 0;
}

uint64_t world_wires(const struct world *world)
{
    return world->wire_count;
}
