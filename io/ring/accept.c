/* SPDX-License-Identifier: MIT */
/*
 * Accepting: a few accepts in flight per listener, each with its own place for the peer's address, which a multishot
 * accept cannot tell (and a direct descriptor cannot be asked for before Linux 6.19). There are never more in flight
 * than free slots, so a full shard leaves new connections in the listener's queue instead of accepting and losing them.
 * Dialled and arriving connections take slots too: an accept may still find none, or no memory, and then accepting
 * rests for ACCEPT_PAUSE_MS.
 */
#include "core/base/log.h"
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool accept_open(struct io *io, struct err *err)
{
    struct accepts *accepts = &io->accepts;
    accepts->cell_count = io->group->listener_count * ACCEPTS_PER_LISTENER;
    accepts->cells = calloc(accepts->cell_count + 1, sizeof *accepts->cells);
    if (accepts->cells == NULL)
        err_set(err, "listeners: out of memory");
    return accepts->cells != NULL;
}

void accept_close(struct io *io)
{
    SL_CHECK(io->accepts.flying_count == 0);
    free(io->accepts.cells);
    io->accepts.cells = NULL;
}

static void submit(struct io *io, uint32_t index)
{
    struct accept_cell *cell = &io->accepts.cells[index];
    const struct listener *listener = &io->group->listeners[index % io->group->listener_count];
    cell->peer_size = sizeof cell->peer;
    cell->is_flying = true;
    io->accepts.flying_count++;
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_accept(sqe, listener->fds[io->shard], &cell->peer.any, &cell->peer_size, 0);
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
    sqe->user_data = token_make(OP_ACCEPT, index, 0);
}

void accept_arm(struct io *io)
{
    struct accepts *accepts = &io->accepts;
    if (accepts->flying_count == accepts->cell_count || accepts->is_stopped || accepts->is_held ||
        accepts->resume_ms > io->now_ms)
        return;
    accepts->resume_ms = 0;
    uint32_t used = slab_count(io->conns);
    uint32_t free_count = used < io->config.connection_max ? io->config.connection_max - used : 0;
    for (uint32_t seen = 0; seen < accepts->cell_count && accepts->flying_count < free_count; seen++) {
        uint32_t index = accepts->next;
        accepts->next = (index + 1) % accepts->cell_count;
        if (!accepts->cells[index].is_flying)
            submit(io, index);
    }
}

uint64_t accept_deadline(const struct io *io)
{
    const struct accepts *accepts = &io->accepts;
    /* While they are held nothing is armed when that time comes, and who lets go of them takes a turn. */
    bool is_awaited = accepts->resume_ms != 0 && !accepts->is_stopped && !accepts->is_held;
    return is_awaited ? accepts->resume_ms : UINT64_MAX;
}

static void drop(struct io *io, uint32_t slot)
{
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_close_direct(sqe, slot);
    sqe->user_data = token_make(OP_DROP, 0, 0);
}

static void pause_accepting(struct io *io, int error)
{
    counter_add(io->counters, COUNTER_ACCEPT_PAUSES, 1);
    log_event(LOG_WARN, "io.accept", "shard=%u pause_ms=%u error=\"%s\"", io->shard, ACCEPT_PAUSE_MS,
              error == ENFILE ? "no slot is free" : strerror(error));
    io->accepts.resume_ms = io->now_ms + ACCEPT_PAUSE_MS;
}

void accept_done(struct io *io, uint32_t index, int result)
{
    struct accepts *accepts = &io->accepts;
    struct accept_cell *cell = &accepts->cells[index];
    cell->is_flying = false;
    accepts->flying_count--;
    if (result < 0) {
        /* Cancelled, or the one connection was gone before it was accepted: accept(2) says to try again. Everything
         * else may last, and is not asked again at once. */
        if (result != -ECANCELED && result != -ECONNABORTED && result != -EINTR && result != -EAGAIN)
            pause_accepting(io, -result);
        return;
    }
    struct conn *conn = io->is_ending ? NULL : conn_new(io, (uint32_t)result);
    if (conn == NULL) {
        drop(io, (uint32_t)result);
        if (!io->is_ending)
            pause_accepting(io, ENOMEM);
        return;
    }
    counter_add(io->counters, COUNTER_ACCEPTED, 1);
    unsigned tag = io->group->listeners[index % io->group->listener_count].tag;
    io->handler->accepted(io->context, &conn->head, tag, &cell->peer.any);
    conn_arm(io, conn);
}

void io_hold_accepts(struct io *io, bool is_held)
{
    io->accepts.is_held = is_held; /* arming goes on at the end of the turn */
}

void accept_stop(struct io *io)
{
    struct accepts *accepts = &io->accepts;
    accepts->is_stopped = true;
    for (uint32_t i = 0; i < accepts->cell_count; i++) {
        if (!accepts->cells[i].is_flying)
            continue;
        struct io_uring_sqe *sqe = ring_sqe(io);
        io_uring_prep_cancel64(sqe, token_make(OP_ACCEPT, i, 0), 0);
        sqe->user_data = token_make(OP_CANCEL_ACCEPT, 0, 0);
    }
}

void io_unlisten(struct io *io)
{
    if (io->accepts.is_stopped)
        return;
    accept_stop(io);
    io->is_unlistening = true; /* the sockets are closed when the last accept is back */
}
