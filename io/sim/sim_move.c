/* SPDX-License-Identifier: MIT */
/* How connections come and go: accepted from a backlog, dialled, handed from shard to shard. */
#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ACCEPTS_PER_STEP 8u

/* ------------------------------------------------------------------------------------------------ accept */

void sim_call_add(struct io *io, struct wire *wire, unsigned side, unsigned tag, const struct sockaddr *from)
{
    struct call *call = calloc(1, sizeof *call);
    SL_CHECK(call != NULL);
    call->wire = wire;
    call->side = side;
    call->tag = tag;
    sim_address_copy(&call->from, from);
    struct call **end = &io->calls;
    while (*end != NULL)
        end = &(*end)->next;
    *end = call;
}

static void call_refuse(struct call *call)
{
    wire_reset(call->wire, call->side, SIZE_MAX);
    wire_release(call->wire, call->side);
    free(call);
}

void sim_calls_refuse(struct io *io)
{
    while (io->calls != NULL) {
        struct call *call = io->calls;
        io->calls = call->next;
        call_refuse(call);
    }
}

/* A full shard leaves connections in the backlog; they are no work until a slot is free. As the real one it accepts a
 * few at a time. */
void sim_calls_collect(struct io *io)
{
    uint32_t room = io->config.connection_max - io->conn_count;
    struct call **link = &io->calls;
    if (io->is_holding)
        return;
    if (room > ACCEPTS_PER_STEP)
        room = ACCEPTS_PER_STEP;
    while (*link != NULL && room > 0) {
        struct call *call = *link;
        size_t count = io->batch_count;
        sim_want(io, SIM_ACCEPT, call, &call->due);
        if (io->batch_count == count) {
            link = &call->next;
            continue;
        }
        *link = call->next;
        room--;
    }
    if (*link != NULL && io->conn_count < io->config.connection_max)
        io->pending = true;
}

void io_hold_accepts(struct io *io, bool is_held)
{
    sim_enter(io);
    io->is_holding = is_held;
}

void sim_call_accept(struct io *io, struct call *call)
{
    /* A callback earlier in this batch may have stopped listening or dialled with the last slot. */
    if (!io->listening) {
        call_refuse(call);
        return;
    }
    if (io->conn_count == io->config.connection_max) {
        call->next = io->calls;
        io->calls = call;
        return;
    }
    struct sim_conn *conn = sim_conn_attach(io, call->wire, call->side);
    counter_add(io->counters, COUNTER_ACCEPTED, 1);
    counter_add(io->counters, COUNTER_CONNECTIONS, 1);
    sim_trace(io, SIM_ACCEPT, conn->serial, call->tag);
    io->handler.accepted(io->context, &conn->head, call->tag, (const struct sockaddr *)&call->from);
    free(call);
}

/* ------------------------------------------------------------------------------------------------ dial */

struct io_conn *io_dial(struct io *io, const struct sockaddr *local, const struct sockaddr *remote, void *owner)
{
    sim_enter(io);
    if (io->conn_count == io->config.connection_max)
        return NULL;
    struct sim_conn *conn = sim_conn_attach(io, NULL, 0);
    conn->state = SIM_DIALLING;
    conn->head.owner = owner;
    sim_address_copy(&conn->remote, remote);
    conn->answer_ms = io->world->now_ms + sim_far(io->world, remote).delay_ms;
    if (local != NULL)
        sim_address_copy(&conn->local, local);
    counter_add(io->counters, COUNTER_CONNECTIONS, 1);
    return &conn->head;
}

bool sim_dial_is_lost(const struct sim_conn *conn)
{
    struct world *world = conn->io->world;
    const struct sockaddr *remote = (const struct sockaddr *)&conn->remote;
    struct io_group *group;
    return sim_listener_at(world, remote, &group) == NULL && sim_far(world, remote).does == FAR_SILENT;
}

/* The kernel picks the shard of the CPU that received the SYN: any. */
static struct io *pick_shard(struct world *world, const struct io_group *group)
{
    unsigned start = (unsigned)dice_below(&world->dice, group->shard_count);
    for (unsigned i = 0; i < group->shard_count; i++) {
        struct io *io = group->ios[(start + i) % group->shard_count];
        if (io != NULL && io->listening)
            return io;
    }
    return NULL;
}

static void dial_address(const struct sim_conn *conn, struct sockaddr_storage *from)
{
    *from = conn->local;
    uint16_t port = htons((uint16_t)(32768 + conn->serial % 28000));
    if (from->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)from)->sin6_port = port;
        return;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)from;
    if (from->ss_family == AF_UNSPEC)
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_family = AF_INET;
    in->sin_port = port;
}

/* 0, or the errno of the refusal. */
static int dial_connect(struct sim_conn *conn)
{
    struct world *world = conn->io->world;
    const struct sockaddr *remote = (const struct sockaddr *)&conn->remote;
    struct io_group *group = NULL;
    const struct listener *listener = sim_listener_at(world, remote, &group);
    struct io *target = listener != NULL ? pick_shard(world, group) : NULL;
    bool is_far = listener == NULL && sim_far(world, remote).does == FAR_ACCEPTS;
    if (target == NULL && !is_far)
        return ECONNREFUSED;
    conn->wire = wire_new();
    conn->wire->number = ++world->wire_count;
    conn->wire->end[0].conn = conn;
    if (is_far) {
        struct peer *peer = sim_peer_new(world, conn->wire, remote);
        struct peer **end = &world->dialled;
        while (*end != NULL)
            end = &(*end)->next_dialled;
        *end = peer;
        return 0;
    }
    struct sockaddr_storage from;
    dial_address(conn, &from);
    sim_call_add(target, conn->wire, 1, listener->tag, (const struct sockaddr *)&from);
    return 0;
}

void sim_dial_finish(struct sim_conn *conn)
{
    struct io *io = conn->io;
    if (conn->state != SIM_DIALLING)
        return;
    int error = dial_connect(conn);
    sim_trace(io, SIM_DIAL, conn->serial, (uint64_t)error);
    if (error != 0)
        sim_conn_break(conn, error);
    else
        conn->state = SIM_OPEN;
    io->handler.dialled(io->context, &conn->head, error);
}

/* ------------------------------------------------------------------------------------------------ hand off */

void io_handoff(struct io *io, struct io_conn *conn, unsigned shard, void *parcel)
{
    struct sim_conn *sim = sim_conn_of(io, conn);
    SL_CHECK(shard < io->group->shard_count && shard != io->shard);
    SL_CHECK(sim->state == SIM_OPEN || sim->state == SIM_BROKEN);
    if (sim->state == SIM_BROKEN)
        return; /* closed(error) is on its way and says so */
    sim->state = SIM_HANDING;
    sim->target = shard;
    sim->parcel = parcel;
    sim->due = 0;
    sim_conn_stir(sim);
}

static void go_back(struct sim_conn *conn, struct wire *wire, int error)
{
    conn->state = SIM_RETURNING;
    conn->transit = NULL;
    conn->wire = wire;
    conn->wire->end[conn->side].conn = conn;
    conn->error = error;
    conn->due = 0;
    sim_conn_stir(conn);
}

void sim_depart(struct sim_conn *conn)
{
    struct io *io = conn->io;
    if (conn->state != SIM_HANDING)
        return;
    sim_trace(io, SIM_DEPART, conn->serial, conn->target);
    conn->state = SIM_TRANSIT;
    io->handler.departing(io->context, &conn->head);
    conn->head.owner = NULL;
    counter_sub(io->counters, COUNTER_CONNECTIONS, 1);
    struct io *target = io->group->ios[conn->target];
    if (target == NULL || target->stopped) {
        go_back(conn, conn->wire, EOWNERDEAD);
        return;
    }
    struct transit *transit = calloc(1, sizeof *transit);
    SL_CHECK(transit != NULL);
    *transit = (struct transit){
        .wire = conn->wire,
        .side = conn->side,
        .ended = conn->ended,
        .shut = conn->shut,
        .parcel = conn->parcel,
        .source = io,
        .source_conn = conn,
    };
    conn->wire->end[conn->side].conn = NULL;
    conn->wire = NULL;
    conn->transit = transit;
    struct transit **end = &target->arriving;
    while (*end != NULL)
        end = &(*end)->next;
    *end = transit;
}

void sim_transits_collect(struct io *io)
{
    struct transit **link = &io->arriving;
    while (*link != NULL) {
        struct transit *transit = *link;
        size_t count = io->batch_count;
        sim_want(io, SIM_ARRIVE, transit, &transit->due);
        if (io->batch_count == count)
            link = &transit->next;
        else
            *link = transit->next;
    }
}

/* Nobody has it any more: neither the shard that refused it nor the one it came from. */
static void transit_lose(struct io *io, struct transit *transit)
{
    fprintf(stderr, "io/sim: seed %llu: a connection was lost between two shards, with its parcel\n",
            (unsigned long long)io->world->seed);
    io->world->dropped++;
    wire_close(transit->wire, transit->side);
    wire_release(transit->wire, transit->side);
}

static void transit_refuse(struct io *io, struct transit *transit, int error)
{
    if (transit->source == NULL)
        transit_lose(io, transit);
    else
        go_back(transit->source_conn, transit->wire, error);
    free(transit);
}

void sim_arrive(struct io *io, struct transit *transit)
{
    struct world *world = io->world;
    uint32_t fail_one_in = world->chaos.handoff_fail_one_in;
    if (io->conn_count == io->config.connection_max || (fail_one_in != 0 && dice_one_in(&world->dice, fail_one_in))) {
        transit_refuse(io, transit, ENFILE);
        return;
    }
    if (transit->source != NULL) {
        counter_add(transit->source->counters, COUNTER_DEPARTED, 1);
        transit->source_conn->transit = NULL;
        sim_slot_give(transit->source_conn);
    }
    /* A new struct: who kept the old pointer is caught. */
    struct sim_conn *conn = sim_conn_attach(io, transit->wire, transit->side);
    conn->paused = true;
    conn->ended = transit->ended;
    conn->shutdown = conn->shut = transit->shut;
    counter_add(io->counters, COUNTER_ARRIVED, 1);
    counter_add(io->counters, COUNTER_CONNECTIONS, 1);
    sim_trace(io, SIM_ARRIVE, conn->serial, 0);
    void *parcel = transit->parcel;
    free(transit);
    io->handler.arrived(io->context, &conn->head, parcel);
}

void sim_return(struct sim_conn *conn)
{
    struct io *io = conn->io;
    int error = conn->error;
    conn->state = SIM_OPEN;
    conn->paused = true;
    conn->error = 0;
    counter_add(io->counters, COUNTER_CONNECTIONS, 1);
    sim_trace(io, SIM_RETURN, conn->serial, (uint64_t)error);
    io->handler.handoff_failed(io->context, &conn->head, conn->parcel, error);
}

void sim_transits_drop(struct io *io)
{
    while (io->arriving != NULL) {
        struct transit *transit = io->arriving;
        io->arriving = transit->next;
        transit_refuse(io, transit, EOWNERDEAD);
    }
}
