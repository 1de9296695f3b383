/* SPDX-License-Identifier: MIT */
#include "io/sim/wire_priv.h"

#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <stdlib.h>

struct wire *wire_new(void)
{
    struct wire *wire = calloc(1, sizeof *wire);
    SL_CHECK(wire != NULL);
    wire->flow[0].window = WIRE_WINDOW;
    wire->flow[1].window = WIRE_WINDOW;
    return wire;
}

void wire_stir(struct wire *wire, unsigned side)
{
    if (wire->end[side].conn != NULL)
        sim_conn_stir(wire->end[side].conn);
}

size_t wire_room(const struct wire *wire, unsigned side)
{
    const struct flow *flow = &wire->flow[1 - side];
    if (wire->end[1 - side].closed)
        return SIZE_MAX;
    return flow->size < flow->window ? flow->window - flow->size : 0;
}

static void flow_append(struct flow *flow, struct span bytes)
{
    if (flow->start + flow->size + bytes.size > flow->capacity) {
        size_t capacity = flow->size + bytes.size;
        capacity = capacity < 512 ? 512 : capacity + capacity / 2;
        char *grown = malloc(capacity);
        SL_CHECK(grown != NULL);
        if (flow->size > 0)
            memcpy(grown, flow->bytes + flow->start, flow->size);
        free(flow->bytes);
        flow->bytes = grown;
        flow->start = 0;
        flow->capacity = capacity;
    }
    memcpy(flow->bytes + flow->start + flow->size, bytes.ptr, bytes.size);
    flow->size += bytes.size;
}

static void flow_discard(struct flow *flow)
{
    free(flow->bytes);
    flow->bytes = NULL;
    flow->start = flow->size = flow->capacity = 0;
}

void wire_put(struct wire *wire, unsigned side, struct span bytes)
{
    SL_CHECK(!wire->flow[1 - side].ended || wire->end[1 - side].closed);
    if (bytes.size == 0)
        return;
    if (wire->end[1 - side].closed) {
        /* The sender is not told now: its bytes have left, the answer is a reset that the next call meets. */
        wire->end[side].reset = true;
        wire_stir(wire, side);
        return;
    }
    flow_append(&wire->flow[1 - side], bytes);
    wire_stir(wire, 1 - side);
}

struct span wire_front(const struct wire *wire, unsigned side)
{
    const struct flow *flow = &wire->flow[side];
    return flow->size == 0 ? SPAN_NONE : span_of(flow->bytes + flow->start, flow->size);
}

void wire_consume(struct wire *wire, unsigned side, size_t size)
{
    struct flow *flow = &wire->flow[side];
    SL_CHECK(size <= flow->size);
    flow->start += size;
    flow->size -= size;
    flow->passed += size;
    /* An idle wire keeps no buffer, so that a world of many idle connections stays small. */
    if (flow->size == 0)
        flow_discard(flow);
    wire_stir(wire, 1 - side);
}

void wire_end_flow(struct wire *wire, unsigned side)
{
    wire->flow[1 - side].ended = true;
    wire_stir(wire, 1 - side);
}

void wire_close(struct wire *wire, unsigned side)
{
    if (wire->end[side].closed)
        return;
    if (wire->flow[side].size > 0) {
        wire_reset(wire, side, SIZE_MAX);
        return;
    }
    wire->end[side].closed = true;
    wire_end_flow(wire, side);
}

void wire_reset(struct wire *wire, unsigned side, size_t kept)
{
    if (wire->end[side].closed)
        return;
    wire->end[side].closed = true;
    /* A test may still look at what its peer had received. */
    if (wire->end[side].peer == NULL)
        flow_discard(&wire->flow[side]);
    const struct sim_conn *other = wire->end[1 - side].conn;
    if (other != NULL && kept < other->completed)
        kept = other->completed;
    if (wire->flow[1 - side].size > kept)
        wire->flow[1 - side].size = kept;
    wire->end[1 - side].reset = true;
    wire_stir(wire, 1 - side);
}

void wire_break(struct wire *wire, const size_t kept[2])
{
    for (unsigned side = 0; side < 2; side++) {
        const struct sim_conn *conn = wire->end[side].conn;
        size_t most = conn != NULL && kept[side] < conn->completed ? conn->completed : kept[side];
        if (wire->flow[side].size > most)
            wire->flow[side].size = most;
        wire->end[side].reset = true;
        wire_stir(wire, side);
    }
}

void wire_release(struct wire *wire, unsigned side)
{
    SL_CHECK(wire->end[side].closed && !wire->end[side].released);
    wire->end[side].conn = NULL;
    wire->end[side].peer = NULL;
    wire->end[side].released = true;
    if (!wire->end[1 - side].released)
        return;
    flow_discard(&wire->flow[0]);
    flow_discard(&wire->flow[1]);
    free(wire);
}
