/* SPDX-License-Identifier: MIT */
/*
 * The queue pair: set-up, the next free entry, and the one system call of a turn.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define RING_FLAGS                                                                                                     \
    (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE |       \
     IORING_SETUP_SUBMIT_ALL)

/* The table of direct descriptors may not be larger than the limit of open files, though its entries are none. */
static uint32_t slot_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return UINT32_MAX;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    return limit.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)limit.rlim_cur;
}

static bool open_table(struct io *io, struct err *err)
{
    uint32_t limit = slot_limit();
    if (limit > CONN_INDEX_MAX)
        limit = CONN_INDEX_MAX;
    if (io->config.connection_max > limit) {
        if (io->shard == 0) /* once, not once a shard */
            log_event(LOG_WARN, "io.limit",
                      "connections=%u wanted=%u text=\"of each shard; raise the limit of open files: LimitNOFILE=, "
                      "ulimit -n\"",
                      limit, io->config.connection_max);
        io->config.connection_max = limit;
    }
    int result = io_uring_register_files_sparse(&io->ring, io->config.connection_max);
    if (result < 0) {
        err_set(err, "a table of %u direct descriptors: %s", io->config.connection_max, strerror(-result));
        return false;
    }
    return true;
}

bool ring_open(struct io *io, struct err *err)
{
    struct io_uring_params params = {.flags = RING_FLAGS, .cq_entries = io->config.completions};
    int result = io_uring_queue_init_params(io->config.entries, &io->ring, &params);
    if (result < 0) {
        err_set(err, "io_uring ring of %u entries and %u completions: %s", io->config.entries, io->config.completions,
                strerror(-result));
        return false;
    }
    /* Spares the look-up of the ring's descriptor in each io_uring_enter(); a kernel that refuses loses that only. */
    (void)io_uring_register_ring_fd(&io->ring);
    io->scratch = calloc(io->ring.sq.ring_entries, sizeof *io->scratch);
    if (io->scratch == NULL || !open_table(io, err)) {
        if (io->scratch == NULL)
            err_set(err, "io_uring ring: out of memory");
        free(io->scratch);
        io_uring_queue_exit(&io->ring);
        return false;
    }
    return true;
}

/* Errors of io_uring_enter() itself, not of an operation. */
static void judge_enter(struct io *io, int result)
{
    if (result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN || result == -EBUSY)
        return; /* what was not consumed stays queued for the next turn */
    if (result == -EBADR)
        log_event(LOG_ERROR, "io.lost",
                  "shard=%u reason=\"completions were lost for want of kernel memory: the state of every connection is "
                  "unknown\"",
                  io->shard);
    else
        log_event(LOG_ERROR, "io.enter", "shard=%u error=\"%s\"", io->shard, strerror(-result));
    log_close();
    check_failed("io_uring_enter", __FILE__, __LINE__);
}

struct io_uring_sqe *ring_sqe(struct io *io)
{
    SL_CHECK(pthread_equal(io->thread, pthread_self()));
    struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);
    /* A full queue is submitted; completions only queue up meanwhile, so no callback is entered from here. When the
     * kernel is short of memory it takes none: fetching completions is what it asks for then. */
    for (unsigned tries = 0; sqe == NULL; tries++) {
        SL_CHECK(tries < 1000000);
        judge_enter(io, tries == 0 ? io_uring_submit(&io->ring) : io_uring_submit_and_get_events(&io->ring));
        sqe = io_uring_get_sqe(&io->ring);
    }
    return sqe;
}

void ring_own_conn(struct io_uring_sqe *sqe, struct conn *conn, enum op op)
{
    SL_CHECK(!conn_flies(conn, op));
    sqe->user_data = token_of_conn(conn, op);
    conn->flying = (uint16_t)(conn->flying | 1u << op);
}

void ring_cancel(struct io *io, struct conn *conn, enum op target, enum op cancel)
{
    if (!conn_flies(conn, target) || conn_flies(conn, cancel))
        return;
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_cancel64(sqe, token_of_conn(conn, target), 0);
    ring_own_conn(sqe, conn, cancel);
}

void ring_submit(struct io *io)
{
    if (io_uring_sq_ready(&io->ring) > 0)
        judge_enter(io, io_uring_submit(&io->ring));
}

bool ring_has_news(const struct io *io)
{
    unsigned flags = __atomic_load_n(io->ring.sq.kflags, __ATOMIC_RELAXED);
    return io_uring_cq_ready(&io->ring) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void ring_enter(struct io *io, uint64_t deadline_ms)
{
    bool is_overflown = io_uring_cq_has_overflow(&io->ring);
    if (is_overflown)
        counter_add(io->counters, COUNTER_CQ_OVERFLOWS, 1);
    /* The turn took its time: a deadline is measured from now. */
    uint64_t now_ms = deadline_ms == 0 || deadline_ms == UINT64_MAX ? 0 : clock_mono_ms();
    if (deadline_ms <= now_ms || is_overflown || io_uring_cq_ready(&io->ring) > 0) {
        judge_enter(io, io_uring_submit_and_get_events(&io->ring));
        return;
    }
    if (deadline_ms == UINT64_MAX) {
        judge_enter(io, io_uring_submit_and_wait(&io->ring, 1));
        return;
    }
    struct io_uring_cqe *cqe;
    uint64_t wait_ms = deadline_ms - now_ms;
    struct __kernel_timespec wait = {.tv_sec = (int64_t)(wait_ms / 1000),
                                     .tv_nsec = (long long)(wait_ms % 1000 * 1000000)};
    judge_enter(io, io_uring_submit_and_wait_timeout(&io->ring, &cqe, 1, &wait, NULL));
}
