/* SPDX-License-Identifier: MIT */
/*
 * The reactor: one thread's loop. A turn is completions -> callbacks -> the router's turn() -> one system call that
 * submits everything and waits.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define POOL_FREE_MAX 1024u /* chunks kept for the next turn: 4 MiB */
#define END_LOG_MS    5000u

/* Completions: a turn of 1,024 connections with a receive and a send each fits four times. buffer_count is
 * the most there may be: a shard begins with few (buffers.c). */
const struct io_config io_config_default = {
    .connection_max = 16384,
    .entries = 1024,
    .completions = 16384,
    .buffer_count = 256,
    .buffer_size = 8192,
    .send_max = 131072,
    .cpu = -1,
};

static bool is_power(uint32_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

static bool config_check(const struct io_config *config, struct err *err)
{
    if (is_power(config->entries) && is_power(config->completions) && is_power(config->buffer_count) &&
        config->buffer_count <= 32768 && config->connection_max > 0 && config->buffer_size > 0 && config->send_max > 0)
        return true;
    err_set(err, "entries, completions and buffer_count must be powers of two (buffer_count up to 32768), and "
                 "connection_max, buffer_size and send_max more than 0");
    return false;
}

static bool pin(int cpu, struct err *err)
{
    if (cpu < 0)
        return true;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (error != 0)
        err_set(err, "pinning to CPU %d: %s", cpu, strerror(error));
    return error == 0;
}

static bool open_parts(struct io *io, struct err *err)
{
    if (!ring_open(io, err))
        return false;
    /* A struct outlives its slot by one completion: a few more than slots. */
    uint32_t count_max = io->config.connection_max;
    count_max = count_max > CONN_INDEX_MAX - 1024 ? CONN_INDEX_MAX : count_max + 1024;
    io->conns = slab_new(sizeof(struct conn), count_max);
    if (buffers_open(io, err)) {
        if (accept_open(io, err))
            return true;
        buffers_close(io);
    }
    slab_free(io->conns);
    io_uring_queue_exit(&io->ring);
    free(io->scratch);
    return false;
}

struct io *io_new(struct io_group *group, unsigned shard, const struct io_config *config,
                  const struct io_handler *handler, void *context, struct counters *counters, struct err *err)
{
    SL_CHECK(shard < group->shard_count && group->members[shard].ring_fd < 0);
    if (!config_check(config, err) || !pin(config->cpu, err)) {
        err_prefix(err, "shard %u", shard);
        return NULL;
    }
    struct io *io = calloc(1, sizeof *io);
    if (io == NULL) {
        err_set(err, "shard %u: out of memory", shard);
        return NULL;
    }
    io->group = group;
    io->member = &group->members[shard];
    io->shard = shard;
    io->config = *config;
    io->handler = handler;
    io->context = context;
    io->counters = counters;
    io->thread = pthread_self();
    io->queue_tail = &io->queue;
    io->again_tail = &io->again;
    io->passages_tail = &io->passages;
    io->ends_tail = &io->ends;
    io->now_ms = clock_mono_ms();
    if (!open_parts(io, err)) {
        err_prefix(err, "shard %u", shard);
        free(io);
        return NULL;
    }
    chunk_pool_init(&io->pool, POOL_FREE_MAX);
    io->member->ring_fd = io->ring.ring_fd;
    atomic_store_explicit(&io->member->turn_owed, 1, memory_order_release); /* the first turn */
    return io;
}

/* What is due once the callbacks of a batch are over. True: the router wants a turn for it. */
static bool settle(struct io *io)
{
    bool has_arrived = handoff_retry(io);
    conn_feed(io);
    accept_arm(io);
    if (io->is_unlistening && io->accepts.flying_count == 0) {
        io->is_unlistening = false;
        listener_close_shard(io->group, io->shard);
    }
    wake_flush(io);
    return has_arrived;
}

void io_submit(struct io *io)
{
    wake_flush(io);
    ring_submit(io);
    if (io->group->is_crowded)
        (void)sched_yield();
}

bool io_has_news(const struct io *io)
{
    return ring_has_news(io);
}

static void turn(struct io *io)
{
    counter_add(io->counters, COUNTER_TURNS, 1);
    completion_batch(io);
    atomic_exchange_explicit(&io->member->turn_owed, 0, memory_order_acq_rel);
    uint64_t deadline = io->handler->turn(io->context);
    if (settle(io))
        deadline = 0;
    if (atomic_load_explicit(&io->member->is_stopping, memory_order_acquire) != 0)
        return;
    if (accept_deadline(io) < deadline)
        deadline = accept_deadline(io);
    if (conn_feed_ends(io) || io->queue != NULL || io->again != NULL || io->has_wakes)
        deadline = 0;
    if (deadline == 0 && io->group->is_crowded)
        (void)sched_yield(); /* a shard on the same core may have a stanza to pass on, and it is not long */
    if (io->arrivals != NULL && io->now_ms + 10 < deadline)
        deadline = io->now_ms + 10;
    ring_enter(io, deadline);
    atomic_exchange_explicit(&io->member->turn_owed, 1, memory_order_acq_rel);
    io->now_ms = clock_mono_ms();
}

/* Everything is closed in the ordinary way, without callbacks, so that peers see the end and the kernel owns nothing.
 */
static void end(struct io *io)
{
    io->is_ending = true;
    accept_stop(io);
    wake_disarm(io);
    uint64_t log_ms = io->now_ms + END_LOG_MS;
    conn_close_all(io);
    for (;;) {
        (void)handoff_retry(io);
        conn_feed(io);
        (void)conn_feed_ends(io);
        if (slab_count(io->conns) == 0 && io->accepts.flying_count == 0 && !io->is_notify_armed)
            break;
        ring_enter(io, io->now_ms + 10);
        io->now_ms = clock_mono_ms();
        completion_batch(io);
        if (io->now_ms < log_ms)
            continue;
        log_event(LOG_WARN, "io.end", "shard=%u connections=%u text=\"still waiting for these to close\"", io->shard,
                  slab_count(io->conns));
        log_ms = io->now_ms + END_LOG_MS;
    }
}

void io_run(struct io *io)
{
    SL_CHECK(pthread_equal(io->thread, pthread_self()));
    io->now_ms = clock_mono_ms();
    wake_arm(io);
    while (atomic_load_explicit(&io->member->is_stopping, memory_order_acquire) == 0)
        turn(io);
    end(io);
}

void io_free(struct io *io)
{
    if (io == NULL)
        return;
    SL_CHECK(pthread_equal(io->thread, pthread_self()));
    accept_close(io);
    listener_close_shard(io->group, io->shard);
    slab_free(io->conns);
    chunk_pool_fini(&io->pool);
    (void)io_uring_unregister_files(&io->ring); /* a late handoff fails at its source */
    (void)io_uring_unregister_ring_fd(&io->ring);
    (void)io_uring_unregister_buf_ring(&io->ring, BUFFER_GROUP);
    buffers_close(io);
    free(io->scratch);
    explicit_bzero(io->random, sizeof io->random);
    /* The struct and the ring stay with the group: a late io_notify() of another thread finds memory, a late message of
     * another shard no recycled descriptor. */
    io->member->io = io;
}

uint64_t io_now_ms(const struct io *io)
{
    return io->now_ms;
}

uint64_t io_now_fresh_ns(const struct io *io)
{
    (void)io;
    return clock_mono_ns();
}

int64_t io_wall_ms(const struct io *io)
{
    (void)io;
    return clock_wall_ms();
}

static void random_fill(struct io *io)
{
    for (size_t done = 0; done < sizeof io->random;) {
        ssize_t result = getrandom(io->random + done, sizeof io->random - done, 0);
        SL_CHECK(result > 0 ||
                 errno == EINTR); /* nothing else is possible with flags 0 on a kernel that has io_uring */
        done += result > 0 ? (size_t)result : 0;
    }
    io->random_left = sizeof io->random;
}

/* The system is asked for 512 bytes at a time: most callers want 8 or 16. What was handed out is wiped. */
void io_random(struct io *io, void *out, size_t size)
{
    unsigned char *to = out;
    while (size > 0) {
        if (io->random_left == 0) {
            random_fill(io);
        }
        size_t part = size < io->random_left ? size : io->random_left;
        unsigned char *from = io->random + sizeof io->random - io->random_left;
        memcpy(to, from, part);
        explicit_bzero(from, part);
        io->random_left -= (uint32_t)part;
        to += part;
        size -= part;
    }
}

unsigned io_shard(const struct io *io)
{
    return io->shard;
}

struct chunk_pool *io_pool(struct io *io)
{
    return &io->pool;
}
