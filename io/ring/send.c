/* SPDX-License-Identifier: MIT */
/*
 * Sending: one gathered send in flight per connection. What the router produces meanwhile waits in its own chain, and
 * goes out with the next one: batching is the lever, one send costs the same for one stanza or sixteen.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>

/* Lists the chain's bytes, at most bytes_max and SEND_IOV_MAX runs. Returns the number of runs. */
static unsigned gather(const struct chain *chain, size_t bytes_max, struct iovec *spans)
{
    unsigned count = 0;
    for (struct chunk *chunk = chain->head; chunk != NULL && count < SEND_IOV_MAX && bytes_max > 0;
         chunk = chunk->next) {
        size_t size = chunk->end - chunk->start;
        if (size == 0)
            continue;
        if (size > bytes_max)
            size = bytes_max;
        spans[count++] = (struct iovec){.iov_base = chunk->bytes + chunk->start, .iov_len = size};
        bytes_max -= size;
    }
    return count;
}

/* MSG_WAITALL lets the kernel go on after a partial send by itself, so that a slow reader costs one completion, not
 * one for each piece of its window; a short result still comes on errors and is continued here. */
void send_start(struct io *io, struct conn *conn)
{
    struct io_uring_sqe *sqe = ring_sqe(io);
    /* The kernel copies the message header and the list while it takes the SQE (IORING_FEAT_SUBMIT_STABLE), so they are
     * needed as long as the SQE's place in the queue is. */
    struct send_scratch *scratch = &io->scratch[sqe - io->ring.sq.sqes];
    unsigned count = gather(&conn->out, io->config.send_max, scratch->spans);
    if (count == 1) {
        io_uring_prep_send(sqe, (int)conn->slot, scratch->spans[0].iov_base, scratch->spans[0].iov_len,
                           MSG_NOSIGNAL | MSG_WAITALL);
    } else {
        scratch->message = (struct msghdr){.msg_iov = scratch->spans, .msg_iovlen = count};
        io_uring_prep_sendmsg(sqe, (int)conn->slot, &scratch->message, MSG_NOSIGNAL | MSG_WAITALL);
    }
    sqe->flags = IOSQE_FIXED_FILE;
    ring_own_conn(sqe, conn, OP_SEND);
}

void send_done(struct io *io, struct conn *conn, int result)
{
    counter_add(io->counters, COUNTER_SENDS, 1);
    if (result > 0) {
        counter_add(io->counters, COUNTER_BYTES_OUT, (uint64_t)result);
        chain_consume(&conn->out, &io->pool, (size_t)result);
    }
    if ((conn->flags & CONN_CLOSING) != 0) {
        chain_clear(&conn->out, &io->pool);
        return;
    }
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
        conn_break(io, conn, -result);
        chain_clear(&conn->out, &io->pool);
        return;
    }
    if (!chain_is_empty(&conn->out))
        send_start(io, conn);
    else
        io->handler->sent(io->context, &conn->head);
}

bool io_can_send(const struct io_conn *head)
{
    const struct conn *conn = (const struct conn *)head;
    return !conn_flies(conn, OP_SEND) &&
           (conn->flags & (CONN_CLOSING | CONN_SHUT | CONN_DIALLING | CONN_LEFT | CONN_MUTE)) == 0;
}

void io_send(struct io *io, struct io_conn *head, struct chain *bytes)
{
    struct conn *conn = conn_of(head);
    SL_CHECK(io_can_send(head) && !chain_is_empty(bytes));
    chain_splice(&conn->out, bytes);
    send_start(io, conn);
}
