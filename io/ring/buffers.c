/* SPDX-License-Identifier: MIT */
/*
 * Receive buffers: one ring of them for the whole shard. The kernel takes one when bytes are there, a completion
 * carries its number, and it goes back when received() returns, so an idle connection pins none.
 *
 * A receive that finds none ends with ENOBUFS; conn_feed() arms it again when the batch is over and all are back.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void *map(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

bool buffers_open(struct io *io, struct err *err)
{
    struct buffers *buffers = &io->buffers;
    buffers->count = io->config.buffer_count;
    buffers->size = io->config.buffer_size;
    buffers->ring = map(buffers->count * sizeof(struct io_uring_buf));
    buffers->bytes = map((size_t)buffers->count * buffers->size);
    if (buffers->ring == NULL || buffers->bytes == NULL) {
        err_set(err, "%u receive buffers of %u bytes: %s", buffers->count, buffers->size, strerror(errno));
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
    for (uint32_t id = 0; id < buffers->count; id++)
        buffers_give(io, id);
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
    buffers->ring = NULL;
    buffers->bytes = NULL;
}

const char *buffers_at(const struct io *io, uint32_t id)
{
    SL_CHECK(id < io->buffers.count);
    return io->buffers.bytes + (size_t)id * io->buffers.size;
}

void buffers_give(struct io *io, uint32_t id)
{
    struct buffers *buffers = &io->buffers;
    SL_CHECK(id < buffers->count);
    io_uring_buf_ring_add(buffers->ring, buffers->bytes + (size_t)id * buffers->size, buffers->size, (uint16_t)id,
                          io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}
