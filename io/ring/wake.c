/* SPDX-License-Identifier: MIT */
/*
 * Waking: how a shard is told to take a turn. Another shard posts a completion into its ring, any other thread writes
 * to its eventfd, and neither does so while the shard owes a turn anyway (member.turn_owed): a busy shard is never
 * told.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <unistd.h>

void io_wake(struct io *io, unsigned shard)
{
    SL_CHECK(shard < io->group->shard_count);
    if (shard == io->shard)
        return;
    io->wakes[shard / 64] |= UINT64_C(1) << shard % 64;
    io->has_wakes = true;
}

/* At the end of a turn, right before the SQEs are submitted: whoever finds turn_owed set relies on the message that
 * this shard is about to send. */
void wake_flush(struct io *io)
{
    if (!io->has_wakes)
        return;
    io->has_wakes = false;
    for (unsigned word = 0; word < SHARD_MAX / 64; word++) {
        while (io->wakes[word] != 0) {
            unsigned shard = word * 64 + (unsigned)__builtin_ctzll(io->wakes[word]);
            io->wakes[word] &= io->wakes[word] - 1;
            struct member *member = &io->group->members[shard];
            if (atomic_exchange_explicit(&member->turn_owed, 1, memory_order_acq_rel) != 0)
                continue;
            struct io_uring_sqe *sqe = ring_sqe(io);
            io_uring_prep_msg_ring(sqe, member->ring_fd, 0, token_make(OP_WOKEN, 0, 0), 0);
            sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
            sqe->user_data = token_make(OP_WAKE_SENT, shard, 0);
            counter_add(io->counters, COUNTER_WAKES, 1);
        }
    }
}

void wake_failed(struct io *io, uint32_t shard, int result)
{
    if (result >= 0)
        return;
    atomic_store_explicit(&io->group->members[shard].turn_owed, 0, memory_order_release);
    if (result == -ENOMEM || result == -EOVERFLOW || result == -EAGAIN)
        io_wake(io, shard); /* the kernel was short of memory: again with the next turn. Else the shard has ended. */
}

void wake_arm(struct io *io)
{
    if (io->is_ending || io->is_notify_armed)
        return;
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_read(sqe, io->member->event_fd, &io->event_value, sizeof io->event_value, 0);
    sqe->user_data = token_make(OP_NOTIFY, 0, 0);
    io->is_notify_armed = true;
}

void wake_disarm(struct io *io)
{
    if (!io->is_notify_armed)
        return;
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_cancel64(sqe, token_make(OP_NOTIFY, 0, 0), 0);
    sqe->user_data = token_make(OP_CANCEL_NOTIFY, 0, 0);
}

static void tell(struct member *member)
{
    const uint64_t one = 1;
    if (atomic_exchange_explicit(&member->turn_owed, 1, memory_order_acq_rel) != 0)
        return;
    ssize_t result;
    do
        result = write(member->event_fd, &one, sizeof one);
    while (result < 0 && errno == EINTR);
}

void io_notify(struct io *io)
{
    tell(io->member);
}

void io_stop(struct io *io)
{
    struct member *member = io->member;
    atomic_store_explicit(&member->is_stopping, 1, memory_order_release);
    tell(member);
}
