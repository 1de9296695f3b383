/* SPDX-License-Identifier: MIT */
/*
 * Probe: every feature that the reactor needs is used once, between two small rings, and the first one that fails is
 * named. Doing beats asking: version numbers do not tell what a distribution ported back or a container forbids.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PROBE_BUFFERS 4u
#define PROBE_SIZE    64u
#define PROBE_WAIT_MS 2000

/* A probe's own answer where no errno tells: a completion did not come, or had another content. */
#define NOT_AS_EXPECTED 100000

struct probe {
    struct io_uring rings[2];
    unsigned ring_count;
    int sockets[2];
    struct io_uring_buf_ring *buffer_ring;
    char bytes[PROBE_BUFFERS][PROBE_SIZE];
};

static const char *kernel_release(void)
{
    static _Thread_local struct utsname name;
    return uname(&name) == 0 ? name.release : "?";
}

static void explain(struct err *err, const char *what, int error)
{
    if (error == NOT_AS_EXPECTED)
        err_set(err, "kernel %s: %s does not work: Linux 6.1.16 or newer is needed", kernel_release(), what);
    else if (error == EINVAL || error == EOPNOTSUPP)
        err_set(err, "kernel %s lacks %s: Linux 6.1.16 or newer is needed", kernel_release(), what);
    else
        err_set(err, "kernel %s: %s: %s", kernel_release(), what, strerror(error));
}

/* kernel.io_uring_disabled: 0, 1 (privileged processes only), 2; absent before Linux 6.6. */
static int read_disabled(void)
{
    char digit = '0';
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (read(fd, &digit, 1) != 1)
        digit = '0';
    (void)close(fd);
    return digit - '0';
}

static void explain_refusal(struct err *err, int error)
{
    int disabled = read_disabled();
    if (error == ENOSYS)
        err_set(err,
                "kernel %s has no io_uring, or a seccomp profile hides it: build it in (CONFIG_IO_URING), or allow "
                "io_uring_setup, io_uring_enter and io_uring_register in the container's profile",
                kernel_release());
    else if (error == EPERM && disabled != 0)
        err_set(err,
                "io_uring is disabled (kernel.io_uring_disabled=%d): set it to 0, or to 1 and put this process's "
                "group into kernel.io_uring_group",
                disabled);
    else if (error == EPERM || error == EACCES)
        err_set(err,
                "io_uring is refused to this process: allow io_uring_setup, io_uring_enter and io_uring_register in "
                "the container's seccomp profile");
    else if (error == ENOMEM)
        err_set(err, "io_uring: no locked memory left: raise RLIMIT_MEMLOCK (LimitMEMLOCK=infinity)");
    else
        err_set(err, "io_uring: %s", strerror(error));
}

/* The completion of token, or a negative error. Others are passed over. */
static int await(struct io_uring *ring, uint64_t token, uint32_t *flags)
{
    struct __kernel_timespec wait = {.tv_sec = PROBE_WAIT_MS / 1000};
    for (;;) {
        struct io_uring_cqe *cqe;
        int result = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &wait, NULL);
        if (result < 0 && result != -EINTR)
            return result == -ETIME ? -NOT_AS_EXPECTED : result;
        while (io_uring_cq_ready(ring) > 0) {
            struct io_uring_cqe copy = ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
            io_uring_cq_advance(ring, 1);
            if (copy.user_data != token)
                continue;
            if (flags != NULL)
                *flags = copy.flags;
            return copy.res;
        }
    }
}

/* The rings have room for each step's entries. */
static struct io_uring_sqe *entry(struct io_uring *ring)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    SL_CHECK(sqe != NULL);
    return sqe;
}

static int open_rings(struct probe *probe)
{
    for (; probe->ring_count < 2; probe->ring_count++) {
        struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                                  IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
                                         .cq_entries = 32};
        int result = io_uring_queue_init_params(8, &probe->rings[probe->ring_count], &params);
        if (result < 0)
            return result;
    }
    return 0;
}

static bool try_rings(struct probe *probe, struct err *err)
{
    int result = open_rings(probe);
    if (result == 0)
        return true;
    if (result == -EINVAL)
        explain(err, "IORING_SETUP_SINGLE_ISSUER or IORING_SETUP_DEFER_TASKRUN", EINVAL);
    else
        explain_refusal(err, -result);
    return false;
}

static int try_table(struct probe *probe)
{
    int result = 0;
    for (unsigned i = 0; i < 2 && result == 0; i++)
        result = io_uring_register_files_sparse(&probe->rings[i], 8);
    return result;
}

static int try_buffers(struct probe *probe)
{
    if (posix_memalign((void **)&probe->buffer_ring, 4096, 4096) != 0) {
        probe->buffer_ring = NULL;
        return -ENOMEM;
    }
    io_uring_buf_ring_init(probe->buffer_ring);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)probe->buffer_ring, .ring_entries = PROBE_BUFFERS, .bgid = BUFFER_GROUP};
    int result = io_uring_register_buf_ring(&probe->rings[0], &registration, 0);
    for (uint32_t i = 0; result == 0 && i < PROBE_BUFFERS; i++)
        io_uring_buf_ring_add(probe->buffer_ring, probe->bytes[i], PROBE_SIZE, (uint16_t)i,
                              io_uring_buf_ring_mask(PROBE_BUFFERS), (int)i);
    if (result == 0)
        io_uring_buf_ring_advance(probe->buffer_ring, (int)PROBE_BUFFERS);
    return result;
}

/* One end of a socket pair goes into the first ring's table, at a slot of the kernel's choice. */
static int try_register(struct probe *probe)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, probe->sockets) != 0) {
        probe->sockets[0] = probe->sockets[1] = -1;
        return -errno;
    }
    int slot = probe->sockets[0];
    struct io_uring_sqe *sqe = entry(&probe->rings[0]);
    io_uring_prep_files_update(sqe, &slot, 1, (int)IORING_FILE_INDEX_ALLOC);
    sqe->user_data = 1;
    int result = await(&probe->rings[0], 1, NULL);
    return result < 0 ? result : result == 1 && slot == 0 ? 0 : -NOT_AS_EXPECTED;
}

static int try_receive(struct probe *probe)
{
    struct io_uring *ring = &probe->rings[0];
    struct io_uring_sqe *sqe = entry(ring);
    io_uring_prep_recv_multishot(sqe, 0, NULL, 0, 0);
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    sqe->user_data = 2;
    uint32_t flags = 0;
    for (unsigned round = 0; round < 2; round++) {
        if (send(probe->sockets[1], "x", 1, MSG_NOSIGNAL) != 1)
            return -errno;
        int result = await(ring, 2, &flags);
        if (result < 0)
            return result;
        if (result != 1 || (flags & IORING_CQE_F_BUFFER) == 0 || (flags & IORING_CQE_F_MORE) == 0 ||
            probe->bytes[flags >> IORING_CQE_BUFFER_SHIFT][0] != 'x')
            return -NOT_AS_EXPECTED;
    }
    sqe = entry(ring);
    io_uring_prep_cancel64(sqe, 2, 0);
    sqe->user_data = 3;
    int result = await(ring, 3, NULL);
    return result < 0 && result != -EALREADY ? result : 0;
}

static int try_wake(struct probe *probe)
{
    struct io_uring_sqe *sqe = entry(&probe->rings[0]);
    io_uring_prep_msg_ring(sqe, probe->rings[1].ring_fd, 77, 4, 0);
    sqe->user_data = 5;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    int result = io_uring_submit(&probe->rings[0]);
    if (result < 0)
        return result;
    result = await(&probe->rings[1], 4, NULL);
    return result < 0 ? result : result == 77 ? 0 : -NOT_AS_EXPECTED;
}

/* The target must be told the slot: Linux 6.1.16 and later do. Both rings are this thread's, so that it has to enter
 * the second one for the message to get through. */
static int try_pass(struct probe *probe)
{
    const int taken = probe->sockets[0]; /* slot 0 of the target is taken, so that 1 must be told */
    int result = io_uring_register_files_update(&probe->rings[1], 0, &taken, 1);
    if (result < 0)
        return result;
    struct io_uring_sqe *sqe = entry(&probe->rings[0]);
    io_uring_prep_msg_ring(sqe, probe->rings[1].ring_fd, 0, 6, 0);
    sqe->addr = IORING_MSG_SEND_FD;
    sqe->addr3 = 0;
    sqe->file_index = IORING_FILE_INDEX_ALLOC;
    sqe->user_data = 7;
    result = io_uring_submit(&probe->rings[0]);
    if (result < 0)
        return result;
    result = await(&probe->rings[1], 6, NULL);
    if (result < 0)
        return result;
    if (result != 1)
        return -NOT_AS_EXPECTED;
    result = await(&probe->rings[0], 7, NULL);
    return result < 0 ? result : 0;
}

static void release(struct probe *probe)
{
    for (unsigned i = 0; i < probe->ring_count; i++)
        io_uring_queue_exit(&probe->rings[i]);
    for (unsigned i = 0; i < 2; i++)
        if (probe->sockets[i] >= 0)
            (void)close(probe->sockets[i]);
    free(probe->buffer_ring);
    free(probe);
}

bool io_probe(struct err *err)
{
    static const struct {
        const char *what;
        int (*try)(struct probe *probe);
    } steps[] = {
        {"a sparse table of direct descriptors (IORING_REGISTER_FILES2)", try_table},
        {"a ring of provided buffers (IORING_REGISTER_PBUF_RING)", try_buffers},
        {"a direct descriptor at a slot of the kernel's choice (IORING_FILE_INDEX_ALLOC)", try_register},
        {"multishot receive into provided buffers (IORING_RECV_MULTISHOT)", try_receive},
        {"a wake-up between two rings (IORING_OP_MSG_RING)", try_wake},
        {"a descriptor passed between two rings (IORING_MSG_SEND_FD)", try_pass},
    };
    struct probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL) {
        err_set(err, "out of memory");
        return false;
    }
    probe->sockets[0] = probe->sockets[1] = -1;
    bool is_good = try_rings(probe, err);
    for (size_t i = 0; is_good && i < sizeof steps / sizeof steps[0]; i++) {
        int result = steps[i].try(probe);
        if (result == 0)
            continue;
        explain(err, steps[i].what, -result);
        is_good = false;
    }
    release(probe);
    return is_good;
}
