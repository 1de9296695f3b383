/* SPDX-License-Identifier: MIT */
/*
 * Receive buffers: one ring of them for the whole shard. The kernel takes one when bytes are there, or several at once
 * (a bundle, where the kernel lets a receive say how much it wants: 6.18 does); a completion carries the first one's
 * number, and they go back when the batch is over, so an idle connection pins none.
 *
 * A bundle's buffers are those that were given back one after the other. Given back in the order of their addresses,
 * they are neighbours but for one place, and what was received is one run of bytes: fewer stanzas are cut, and a cut
 * one is copied.
 *
 * A receive that finds none ends with ENOBUFS; conn_feed() arms it again when the batch is over and all are back.
 *
 * The ring hands its buffers out in turn, so each that it has gets touched sooner or later. It begins with a few, and
 * gets as many again with the end of a batch in which there were too few: a shard that has little to read stays small.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define OFFERED_FIRST  16u       /* one receive of BUNDLE_SIZE, by the default buffer_size */
#define RECEIVE_BUNDLE (1u << 4) /* IORING_RECVSEND_BUNDLE of Linux 6.10, which older headers do not have */

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void make_due(struct buffers *buffers, uint32_t id)
{
    buffers->is_due[id / 64] |= 1ull << id % 64;
}

static void offer(struct buffers *buffers, uint32_t wanted)
{
    for (; buffers->offered < wanted && buffers->offered < buffers->count; buffers->offered++)
        make_due(buffers, buffers->offered);
}

static bool take_memory(struct buffers *buffers, struct err *err)
{
    buffers->ring = map(buffers->count * sizeof(struct io_uring_buf));
    buffers->bytes = map((size_t)buffers->count * buffers->size);
    buffers->place = calloc(buffers->count, sizeof *buffers->place);
    buffers->is_due = calloc((buffers->count + 63) / 64, sizeof *buffers->is_due);
    if (buffers->ring != NULL && buffers->bytes != NULL && buffers->place != NULL && buffers->is_due != NULL)
        return true;
    err_set(err, "%u receive buffers of %u bytes: %s", buffers->count, buffers->size, strerror(ENOMEM));
    return false;
}

void buffers_prep_receive(const struct io *io, struct io_uring_sqe *sqe, int slot)
{
    io_uring_prep_recv_multishot(sqe, slot, NULL, io->buffers.bundle, 0);
    sqe->flags = IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    if (io->buffers.bundle > 0)
        sqe->ioprio |= RECEIVE_BUNDLE;
}

/* The first completion's result. Nothing else flies yet. */
static int await_receive(struct io *io, bool *has_more)
{
    struct io_uring_cqe *cqe;
    int result = io_uring_submit_and_wait(&io->ring, 1);
    if (result < 0 || io_uring_peek_cqe(&io->ring, &cqe) != 0)
        return -EAGAIN;
    result = cqe->res;
    *has_more = (cqe->flags & IORING_CQE_F_MORE) != 0;
    uint32_t id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    size_t size = result > 0 ? (size_t)result : 0;
    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0)
        (void)buffers_take(io, &id, &size);
    io_uring_cqe_seen(&io->ring, cqe);
    return result;
}

/* Does the kernel take a receive of several buffers with a bound? It is asked to receive a byte. */
static bool has_bundles(struct io *io)
{
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        return false;
    bool is_good = false, has_more = false;
    if (send(sockets[1], "x", 1, MSG_NOSIGNAL) == 1) {
        struct io_uring_sqe *sqe = ring_sqe(io);
        buffers_prep_receive(io, sqe, sockets[0]);
        sqe->user_data = 0;
        is_good = await_receive(io, &has_more) == 1;
    }
    (void)close(sockets[1]);
    while (has_more) /* the end of the stream */
        (void)await_receive(io, &has_more);
    (void)close(sockets[0]);
    return is_good;
}

bool buffers_open(struct io *io, struct err *err)
{
    struct buffers *buffers = &io->buffers;
    buffers->count = io->config.buffer_count;
    buffers->size = io->config.buffer_size;
    if (!take_memory(buffers, err)) {
        buffers_close(io);
        return false;
    }
    io_uring_buf_ring_init(buffers->ring);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->ring,
        .ring_entries = buffers->count,
        .bgid = BUFFER_GROUP,
    };
    int result = io_uring_register_buf_ring(&io->ring, &registration, 0);
    if (result < 0) {
        err_set(err, "a ring of %u receive buffers: %s", buffers->count, strerror(-result));
        buffers_close(io);
        return false;
    }
    offer(buffers, OFFERED_FIRST);
    buffers_give(io);
    buffers->bundle = BUNDLE_SIZE;
    if (!has_bundles(io))
        buffers->bundle = 0;
    buffers_give(io);
    return true;
}

/* The ring of the kernel must be gone, or nothing in flight. */
void buffers_close(struct io *io)
{
    struct buffers *buffers = &io->buffers;
    if (buffers->ring != NULL)
        (void)munmap(buffers->ring, buffers->count * sizeof(struct io_uring_buf));
    if (buffers->bytes != NULL)
        (void)munmap(buffers->bytes, (size_t)buffers->count * buffers->size);
    free(buffers->place);
    free(buffers->is_due);
    *buffers = (struct buffers){.count = 0};
}

/* The ring tells which buffers come behind one another, and how much of each was filled: of a place that the kernel has
 * taken nothing changes until the buffer that stood there was given back, and the kernel may have shortened its length.
 */
struct span buffers_take(struct io *io, uint32_t *id, size_t *size)
{
    struct buffers *buffers = &io->buffers;
    const int mask = io_uring_buf_ring_mask(buffers->count);
    const char *start = buffers->bytes + (size_t)*id * buffers->size;
    size_t run = 0;
    for (bool is_whole = true; is_whole;) {
        SL_CHECK(*id < buffers->count);
        const int place = buffers->place[*id];
        const struct io_uring_buf *entry = &buffers->ring->bufs[place & mask];
        SL_CHECK(entry->bid == *id);
        make_due(buffers, *id);
        const size_t left = *size - run, filled = entry->len < left ? entry->len : left;
        run += filled;
        const uint32_t behind = buffers->ring->bufs[(place + 1) & mask].bid;
        is_whole = filled == buffers->size && run < *size && behind == *id + 1;
        *id = behind;
    }
    *size -= run;
    return span_of(start, run);
}

void buffers_give(struct io *io)
{
    struct buffers *buffers = &io->buffers;
    const int mask = io_uring_buf_ring_mask(buffers->count);
    int given = 0;
    if (buffers->were_few) {
        buffers->were_few = false;
        offer(buffers, 2 * buffers->offered);
    }
    for (uint32_t word = 0; word < (buffers->count + 63) / 64; word++) {
        for (; buffers->is_due[word] != 0; buffers->is_due[word] &= buffers->is_due[word] - 1) {
            uint32_t id = word * 64 + (uint32_t)__builtin_ctzll(buffers->is_due[word]);
            buffers->place[id] = buffers->end++;
            io_uring_buf_ring_add(buffers->ring, buffers->bytes + (size_t)id * buffers->size, buffers->size,
                                  (uint16_t)id, mask, given++);
        }
    }
    if (given > 0)
        io_uring_buf_ring_advance(buffers->ring, given);
}
