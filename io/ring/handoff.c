/* SPDX-License-Identifier: MIT */
/*
 * Handoff: a connection moves to another shard's ring.
 *
 * Source: the receive is cancelled, everything in flight is waited for, departing is called, and one operation puts the
 * direct descriptor into the other ring's table and a completion into its queue; that completion carries the slot in
 * its result and the passage in its user_data, so parcel and descriptor arrive together or not at all. Then the source
 * closes its own slot, which is one of two references to the socket by now.
 */
#include "core/base/log.h"
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The oldest passage if its target has read it, else a new one: there are as many as were on the way at once. */
static struct passage *passage_take(struct io *io)
{
    struct passage *passage = io->passages;
    if (passage != NULL && atomic_load_explicit(&passage->state, memory_order_acquire) != PASSAGE_SENT) {
        io->passages = passage->next;
        if (io->passages == NULL)
            io->passages_tail = &io->passages;
    } else {
        passage = calloc(1, sizeof *passage);
        if (passage == NULL)
            return NULL;
    }
    passage->next = NULL;
    *io->passages_tail = passage;
    io->passages_tail = &passage->next;
    return passage;
}

void io_handoff(struct io *io, struct io_conn *head, unsigned shard, void *parcel)
{
    struct conn *conn = conn_of(head);
    SL_CHECK(shard < io->group->shard_count && shard != io->shard);
    SL_CHECK((conn->flags & (CONN_DIALLING | CONN_LEAVING)) == 0);
    if ((conn->flags & CONN_CLOSING) != 0)
        return; /* closed is on its way and the parcel stays here */
    conn->parcel = parcel;
    conn->target = (uint16_t)shard;
    conn->flags |= CONN_LEAVING;
    ring_cancel(io, conn, OP_RECV, OP_CANCEL_RECV);
    conn_queue(io, conn); /* departing never comes from inside this call */
}

static void fail(struct io *io, struct conn *conn, void *parcel, int error)
{
    conn->flags = (uint16_t)(conn->flags & ~(CONN_LEAVING | CONN_LEFT));
    conn->flags |= CONN_PAUSED; /* whose bytes are they? The router closes it, or resumes it. */
    conn->parcel = NULL;
    if ((conn->flags & CONN_MUTE) == 0)
        io->handler->handoff_failed(io->context, &conn->head, parcel, error);
    else
        conn_break(io, conn, 0);
    conn_advance(io, conn);
}

void handoff_depart(struct io *io, struct conn *conn)
{
    conn->flags |= CONN_LEFT;
    io->handler->departing(io->context, &conn->head);
    void *parcel = conn->parcel;
    struct passage *passage = passage_take(io);
    if (passage == NULL) {
        fail(io, conn, parcel, ENOMEM);
        return;
    }
    passage->parcel = parcel;
    passage->is_shut = (conn->flags & CONN_SHUT) != 0;
    conn->passage = passage;
    atomic_store_explicit(&passage->state, PASSAGE_SENT, memory_order_release);

    uint64_t address = (uint64_t)(uintptr_t)passage;
    SL_CHECK(address >> 56 == 0);
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_msg_ring(sqe, io->group->members[conn->target].ring_fd, 0, address << 8 | OP_ARRIVE, 0);
    sqe->addr = IORING_MSG_SEND_FD;
    sqe->addr3 = conn->slot;
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
    ring_own_conn(sqe, conn, OP_PASS);
}

void handoff_passed(struct io *io, struct conn *conn, int result)
{
    struct passage *passage = conn->passage;
    if (result >= 0) { /* the passage is the target's by now */
        counter_add(io->counters, COUNTER_DEPARTED, 1);
        conn->passage = NULL;
        conn->flags |= CONN_CLOSING | CONN_MUTE;
        conn_advance(io, conn);
        return;
    }
    if (result == -EOVERFLOW)
        /* No memory for the completion: the target has a descriptor it knows nothing of. Closing shuts the socket
         * down, so the peer learns of it; one slot of the target is lost. */
        log_event(LOG_ERROR, "io.handoff", "shard=%u target=%u reason=\"no kernel memory: one slot is lost\"",
                  io->shard, conn->target);
    void *parcel = passage->parcel;
    atomic_store_explicit(&passage->state, PASSAGE_FREE, memory_order_release);
    fail(io, conn, parcel, -result);
}

static bool arrive(struct io *io, struct passage *passage)
{
    struct conn *conn = conn_new(io, passage->slot);
    if (conn == NULL)
        return false;
    void *parcel = passage->parcel;
    conn->flags = (uint16_t)(CONN_PAUSED | (passage->is_shut ? CONN_SHUT : 0));
    atomic_store_explicit(&passage->state, PASSAGE_TAKEN, memory_order_release);
    counter_add(io->counters, COUNTER_ARRIVED, 1);
    if (io->is_ending) {
        conn->flags |= CONN_MUTE;
        conn_break(io, conn, 0);
    } else {
        io->handler->arrived(io->context, &conn->head, parcel);
    }
    return true;
}

void handoff_arrived(struct io *io, uint64_t token, int result)
{
    struct passage *passage = (struct passage *)(uintptr_t)(token >> 8);
    SL_CHECK(result >= 0 && atomic_load_explicit(&passage->state, memory_order_acquire) == PASSAGE_SENT);
    passage->slot = (uint32_t)result;
    passage->waiting = NULL;
    if (io->arrivals == NULL && arrive(io, passage))
        return;
    /* The parcel is the router's stream: it is not dropped for want of memory but waits for some. */
    struct passage **tail = &io->arrivals;
    while (*tail != NULL)
        tail = &(*tail)->waiting;
    *tail = passage;
}

bool handoff_retry(struct io *io)
{
    bool is_any = false;
    while (io->arrivals != NULL) {
        struct passage *passage = io->arrivals;
        struct passage *rest = passage->waiting; /* the source may use the passage again as soon as it is taken */
        if (!arrive(io, passage))
            break;
        io->arrivals = rest;
        is_any = true;
    }
    return is_any;
}
