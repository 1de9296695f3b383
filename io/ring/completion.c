/* SPDX-License-Identifier: MIT */
/*
 * Completions: the one place where user_data is decoded.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>

static void dispatch_conn(struct io *io, struct conn *conn, enum op op, int result, uint32_t flags)
{
    if ((flags & IORING_CQE_F_MORE) == 0)
        conn->flying = (uint16_t)(conn->flying & ~(1u << op));
    switch ((int)op) {
    case OP_RECV:
        conn_received(io, conn, result, flags);
        break;
    case OP_SEND:
        send_done(io, conn, result);
        break;
    case OP_REGISTER:
        dial_registered(io, conn, result);
        break;
    case OP_CONNECT:
        dial_connected(io, conn, result);
        break;
    case OP_PASS:
        handoff_passed(io, conn, result);
        return; /* the connection may be gone */
    case OP_CLOSE:
        SL_CHECK(result == 0); /* the slot was ours */
        conn->slot = SLOT_NONE;
        break;
    default: /* shutdowns and cancels: what matters is the completion of their target */
        break;
    }
    conn_advance(io, conn);
}

static void dispatch_stale(struct io *io, enum op op, int result, uint32_t flags)
{
    counter_add(io->counters, COUNTER_STALE, 1);
    if (op != OP_RECV || (flags & IORING_CQE_F_BUFFER) == 0)
        return;
    uint32_t id = flags >> IORING_CQE_BUFFER_SHIFT;
    size_t size = result > 0 ? (size_t)result : 0;
    do {
        (void)buffers_take(io, &id, &size);
    } while (size > 0);
}

static void dispatch(struct io *io, uint64_t token, int result, uint32_t flags)
{
    enum op op = (enum op)(token & 0xff);
    uint32_t index = (uint32_t)token >> 8;
    if (op < OP_OF_CONN_COUNT) {
        struct conn *conn = slab_find(io->conns, (token >> 32) << 32 | index);
        if (conn == NULL || !conn_flies(conn, op))
            dispatch_stale(io, op, result, flags);
        else
            dispatch_conn(io, conn, op, result, flags);
        return;
    }
    switch ((int)op) {
    case OP_ACCEPT:
        accept_done(io, index, result);
        break;
    case OP_ARRIVE:
        handoff_arrived(io, token, result);
        break;
    case OP_NOTIFY:
        io->is_notify_armed = false;
        wake_arm(io);
        break;
    case OP_WAKE_SENT:
        wake_failed(io, index, result);
        break;
    case OP_WOKEN: /* the turn that follows is all that was asked for */
    case OP_DROP:
    case OP_CANCEL_ACCEPT:
    case OP_CANCEL_NOTIFY:
        break;
    default:
        counter_add(io->counters, COUNTER_STALE, 1);
        break;
    }
}

void completion_batch(struct io *io)
{
    struct io_uring_cq *queue = &io->ring.cq;
    unsigned count = io_uring_cq_ready(&io->ring);
    if (count > COMPLETIONS_PER_TURN)
        count = COMPLETIONS_PER_TURN;
    unsigned head = *queue->khead;
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe cqe = queue->cqes[(head + i) & queue->ring_mask];
        io_uring_cq_advance(&io->ring, 1);
        dispatch(io, cqe.user_data, cqe.res, cqe.flags);
    }
    buffers_give(io);
}
