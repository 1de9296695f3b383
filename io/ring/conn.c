/* SPDX-License-Identifier: MIT */
/*
 * The life of a connection.
 *
 * Calls and completions only change flags and bits; conn_advance() looks at them and does what is due next. The end is
 * always the same walk: sever (shutdown, or the reset), cancel, wait until nothing flies, close the direct descriptor,
 * closed, free. Severing first matters: up to Linux 6.12 a closed direct descriptor may live on for as long as any
 * older operation of the ring flies, and only the shutdown tells the peer. It takes one of the kernel's workers, so it
 * is left out where both ends have sent their FIN.
 */
#include "core/base/clock.h"
#include "io/ring/ring_priv.h"

#include <errno.h>

struct conn *conn_new(struct io *io, uint32_t slot)
{
    struct conn *conn = slab_take(io->conns);
    if (conn == NULL)
        return NULL;
    conn->ref = slab_ref(io->conns, conn);
    conn->slot = slot;
    counter_add(io->counters, COUNTER_CONNECTIONS, 1);
    return conn;
}

void conn_free(struct io *io, struct conn *conn)
{
    SL_CHECK(conn->flying == 0 && conn->slot == SLOT_NONE);
    chain_clear(&conn->out, &io->pool);
    dial_forget(conn);
    counter_sub(io->counters, COUNTER_CONNECTIONS, 1);
    slab_give(io->conns, conn);
}

void conn_arm(struct io *io, struct conn *conn)
{
    const unsigned unwanted =
        CONN_CLOSING | CONN_PAUSED | CONN_ENDED | CONN_DIALLING | CONN_LEAVING | CONN_LEFT | CONN_MUTE;
    if ((conn->flags & unwanted) != 0 || conn_flies(conn, OP_RECV) || conn_flies(conn, OP_QUEUED))
        return;
    struct io_uring_sqe *sqe = ring_sqe(io);
    buffers_prep_receive(io, sqe, (int)conn->slot);
    sqe->flags |= IOSQE_FIXED_FILE;
    ring_own_conn(sqe, conn, OP_RECV);
}

static void submit_shutdown(struct io *io, struct conn *conn, enum op op, int how)
{
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_shutdown(sqe, (int)conn->slot, how);
    sqe->flags = IOSQE_FIXED_FILE;
    ring_own_conn(sqe, conn, op);
}

/* A connect to no address dissolves the association; for TCP that is an abort: the send queue is thrown away and a RST
 * goes out. It works on direct descriptors of every kernel, where SO_LINGER would need Linux 6.7. */
static void submit_reset(struct io *io, struct conn *conn)
{
    static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_connect(sqe, (int)conn->slot, &nowhere, sizeof nowhere);
    sqe->flags = IOSQE_FIXED_FILE;
    ring_own_conn(sqe, conn, OP_SEVER);
}

static void queue_end(struct io *io, struct conn *conn)
{
    conn->flying = (uint16_t)(conn->flying | 1u << OP_QUEUED);
    conn->next = NULL;
    *io->ends_tail = conn;
    io->ends_tail = &conn->next;
}

/* Nothing flies any more. */
static void finish(struct io *io, struct conn *conn)
{
    if (conn->slot != SLOT_NONE) {
        struct io_uring_sqe *sqe = ring_sqe(io);
        io_uring_prep_close_direct(sqe, conn->slot); /* never with IOSQE_FIXED_FILE: -EBADF */
        ring_own_conn(sqe, conn, OP_CLOSE);
        return;
    }
    if ((conn->flags & (CONN_MUTE | CONN_LAST)) == 0) {
        conn->flags |= CONN_LAST;
        queue_end(io, conn);
        return;
    }
    if ((conn->flags & CONN_MUTE) == 0)
        io->handler->closed(io->context, &conn->head, conn->error);
    if ((conn->flags & CONN_LEFT) == 0)
        counter_add(io->counters, COUNTER_CLOSED, 1); /* whoever reads it finds the callback's work done */
    conn_free(io, conn);
}

/* Both ends have sent their FIN: nothing is left to sever. */
static bool has_parted(const struct conn *conn)
{
    const unsigned parts = CONN_ENDED | CONN_SHUT | CONN_FIN | CONN_RESET;
    return (conn->flags & parts) == (CONN_ENDED | CONN_SHUT) && !conn_flies(conn, OP_FIN);
}

static void begin_close(struct io *io, struct conn *conn)
{
    conn->flags |= CONN_CLOSING;
    if (conn->slot == SLOT_NONE)
        return; /* a dialled socket on its way into the table: its completion goes on */
    if ((conn->flags & CONN_RESET) != 0)
        submit_reset(io, conn);
    else if (!has_parted(conn))
        submit_shutdown(io, conn, OP_SEVER, SHUT_RDWR);
    else if (conn->flying == 0)
        finish(io, conn);
    ring_cancel(io, conn, OP_RECV, OP_CANCEL_RECV);
    ring_cancel(io, conn, OP_SEND, OP_CANCEL_SEND);
    ring_cancel(io, conn, OP_CONNECT, OP_CANCEL_CONNECT);
}

void conn_break(struct io *io, struct conn *conn, int error)
{
    if ((conn->flags & CONN_CLOSING) != 0)
        return;
    conn->error = error;
    begin_close(io, conn);
}

void conn_advance(struct io *io, struct conn *conn)
{
    if ((conn->flags & CONN_CLOSING) != 0) {
        if (conn->flying == 0)
            finish(io, conn);
        return;
    }
    if ((conn->flags & (CONN_FIN | CONN_DIALLING)) == CONN_FIN && !conn_flies(conn, OP_SEND) &&
        !conn_flies(conn, OP_FIN)) {
        conn->flags = (uint16_t)(conn->flags & ~CONN_FIN);
        submit_shutdown(io, conn, OP_FIN, SHUT_WR);
    }
    if ((conn->flags & CONN_LEAVING) != 0) {
        if (conn->flying == 0 && (conn->flags & CONN_LEFT) == 0)
            handoff_depart(io, conn);
        return;
    }
    conn_arm(io, conn);
}

void conn_queue(struct io *io, struct conn *conn)
{
    if (conn_flies(conn, OP_QUEUED))
        return;
    conn->flying = (uint16_t)(conn->flying | 1u << OP_QUEUED);
    conn->next = NULL;
    struct conn ***tail = (conn->flags & CONN_FED) != 0 ? &io->again_tail : &io->queue_tail;
    **tail = conn;
    *tail = &conn->next;
}

static void queue_again(struct io *io)
{
    if (io->again == NULL)
        return;
    *io->again_tail = io->queue;
    if (io->queue == NULL)
        io->queue_tail = io->again_tail;
    io->queue = io->again;
    io->again = NULL;
    io->again_tail = &io->again;
}

/* All buffers are back when this runs. A receive takes one at least; where it may take several, a quarter of the
 * buffers' number is armed: few have much to say at once, and who finds none left has not lost its place in order. */
void conn_feed(struct io *io)
{
    const uint32_t all = io->buffers.bundle > 0 ? (io->buffers.offered + 3) / 4 : io->buffers.offered;
    queue_again(io);
    for (uint32_t fed = 0; io->queue != NULL && fed < all; fed++) {
        struct conn *conn = io->queue;
        io->queue = conn->next;
        if (io->queue == NULL)
            io->queue_tail = &io->queue;
        conn->flying = (uint16_t)(conn->flying & ~(1u << OP_QUEUED));
        conn->flags |= CONN_FED;
        conn_advance(io, conn);
    }
}

/* Thousands of connections may be cut at once, and each end costs as much as several stanzas. */
bool conn_feed_ends(struct io *io)
{
    if (io->ends == NULL)
        return false;
    if (ring_has_news(io) && io->ends_put_off < ENDS_PUT_OFF_MAX) {
        io->ends_put_off++;
        return true;
    }
    io->ends_put_off = 0;
    io_submit(io); /* nothing that was sent waits for this */
    uint64_t until = clock_mono_ns() + ENDS_NS;
    do {
        struct conn *conn = io->ends;
        io->ends = conn->next;
        if (io->ends == NULL)
            io->ends_tail = &io->ends;
        conn->flying = (uint16_t)(conn->flying & ~(1u << OP_QUEUED));
        bool is_told = (conn->flags & (CONN_TELL_END | CONN_CLOSING | CONN_MUTE)) == CONN_TELL_END;
        conn->flags = (uint16_t)(conn->flags & ~CONN_TELL_END);
        if (is_told)
            io->handler->ended(io->context, &conn->head);
        conn_advance(io, conn);
    } while (io->ends != NULL && clock_mono_ns() < until);
    return true;
}

static bool is_muted(const struct conn *conn)
{
    return (conn->flags & (CONN_CLOSING | CONN_MUTE)) != 0;
}

/* Buffers that are no neighbours are handed out one after the other. */
static void hand_out(struct io *io, struct conn *conn, uint32_t id, size_t size)
{
    do {
        struct span bytes = buffers_take(io, &id, &size);
        if (bytes.size > 0 && !is_muted(conn))
            io->handler->received(io->context, &conn->head, bytes);
    } while (size > 0);
}

void conn_received(struct io *io, struct conn *conn, int result, uint32_t flags)
{
    bool was_muted = is_muted(conn);
    if (result > 0) {
        conn->flags = (uint16_t)(conn->flags & ~CONN_FED);
        counter_add(io->counters, COUNTER_RECEIVES, 1);
        counter_add(io->counters, COUNTER_BYTES_IN, (uint64_t)result);
    }
    if ((flags & IORING_CQE_F_BUFFER) != 0)
        hand_out(io, conn, flags >> IORING_CQE_BUFFER_SHIFT, result > 0 ? (size_t)result : 0);
    if (result > 0 || was_muted)
        return; /* without F_MORE conn_advance() arms again */
    if (result == 0) {
        /* A connection that leaves meets its FIN again on the other shard, where it is told. */
        if ((conn->flags & CONN_LEAVING) != 0)
            return;
        conn->flags |= CONN_ENDED;
        if (conn_flies(conn, OP_QUEUED)) {
            io->handler->ended(io->context, &conn->head);
            return;
        }
        conn->flags |= CONN_TELL_END;
        queue_end(io, conn);
    } else if (result == -ENOBUFS) {
        counter_add(io->counters, COUNTER_BUFFERS_EMPTY, 1);
        io->buffers.were_few = true;
        conn_queue(io, conn);
    } else if (result != -ECANCELED && result != -EINTR && result != -EAGAIN) {
        conn_break(io, conn, -result);
    }
}

void io_pause(struct io *io, struct io_conn *head)
{
    struct conn *conn = conn_of(head);
    conn->flags |= CONN_PAUSED;
    if ((conn->flags & CONN_CLOSING) == 0)
        ring_cancel(io, conn, OP_RECV, OP_CANCEL_RECV);
}

void io_resume(struct io *io, struct io_conn *head)
{
    struct conn *conn = conn_of(head);
    conn->flags = (uint16_t)(conn->flags & ~CONN_PAUSED);
    conn_arm(io, conn); /* or, when its cancel is still under way, with the last completion of the receive */
}

void io_shutdown(struct io *io, struct io_conn *head)
{
    struct conn *conn = conn_of(head);
    if ((conn->flags & CONN_CLOSING) != 0)
        return;
    if ((conn->flags & CONN_SHUT) != 0)
        return;
    conn->flags |= CONN_SHUT | CONN_FIN; /* behind what is being sent */
    conn_queue(io, conn);
}

void io_close(struct io *io, struct io_conn *head)
{
    conn_break(io, conn_of(head), 0);
}

void io_reset(struct io *io, struct io_conn *head)
{
    struct conn *conn = conn_of(head);
    if ((conn->flags & CONN_CLOSING) == 0)
        conn->flags |= CONN_RESET;
    conn_break(io, conn, 0);
}

void conn_close_all(struct io *io)
{
    uint32_t position = 0;
    for (struct conn *conn; (conn = slab_next(io->conns, &position)) != NULL;) {
        conn->flags |= CONN_MUTE;
        if ((conn->flags & CONN_LEFT) == 0)
            conn_break(io, conn, 0);
    }
}

uint64_t io_ref(const struct io_conn *head)
{
    return ((const struct conn *)head)->ref;
}

struct io_conn *io_find(struct io *io, uint64_t ref)
{
    struct conn *conn = slab_find(io->conns, ref);
    return conn == NULL || (conn->flags & CONN_LEFT) != 0 ? NULL : &conn->head;
}

uint32_t io_conn_count(const struct io *io)
{
    return slab_count(io->conns);
}
