/* SPDX-License-Identifier: MIT */
/*
 * Relay: the floor of every figure: what the kernel charges to carry bytes from one TCP connection to another, with
 * nothing else done. It uses io_uring as io/ring does (multishot receive into provided buffers, direct descriptors, one
 * gathered send in flight, one system call a turn) but shares no code with it, and even sends out of the receive
 * buffers, which a router cannot.
 *
 *   relay [--shards N] [--port P]      prints the port; ends on SIGTERM
 *
 * Connections are paired in the order in which a shard accepted them, 1st with 2nd, 3rd with 4th. What the first of a
 * pair sends before the second is there waits in the kernel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <liburing.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS       16384u
#define ENTRIES     1024u
#define BUFFERS     256u
#define BUFFER_SIZE 8192u
#define NOBODY      UINT32_MAX

enum { OP_ACCEPT, OP_RECV, OP_SEND, OP_SHUTDOWN, OP_CLOSE };

/* One connection. What it receives goes to its peer; `runs` are received and not yet sent: as many as buffers at most.
 * A peer that does not read holds buffers, and in the end all connections of the shard up: this is no server. */
struct end {
    uint32_t peer;
    uint32_t flying; /* operations whose completion is to come */
    uint32_t run_count, sending_count;
    bool is_open, is_receiving, is_hungry;
    struct run {
        uint16_t buffer;
        uint16_t size;
    } runs[BUFFERS];
    struct iovec spans[BUFFERS];
    struct msghdr message;
};

struct shard {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    unsigned char *bytes;
    struct end *ends;
    uint32_t single; /* waits for its peer */
    uint32_t hungry_count;
    int listener;
};

static void die(const char *what, int error)
{
    fprintf(stderr, "relay: %s: %s\n", what, strerror(error));
    _exit(1);
}

static struct io_uring_sqe *entry(struct shard *shard, unsigned op, uint32_t slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&shard->ring);
    if (sqe == NULL && io_uring_submit(&shard->ring) >= 0)
        sqe = io_uring_get_sqe(&shard->ring);
    if (sqe == NULL)
        die("submission queue", ENOSPC);
    sqe->user_data = (uint64_t)op << 32 | slot;
    if (op != OP_ACCEPT)
        shard->ends[slot].flying++;
    return sqe;
}

static void arm_accept(struct shard *shard)
{
    io_uring_prep_multishot_accept_direct(entry(shard, OP_ACCEPT, 0), shard->listener, NULL, NULL, 0);
}

static void arm_receive(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (end->is_receiving || end->is_hungry || !end->is_open)
        return;
    struct io_uring_sqe *sqe = entry(shard, OP_RECV, slot);
    io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    end->is_receiving = true;
}

static void give_back(struct shard *shard, uint16_t buffer)
{
    io_uring_buf_ring_add(shard->buffer_ring, shard->bytes + (size_t)buffer * BUFFER_SIZE, BUFFER_SIZE, buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(shard->buffer_ring, 1);
}

/* Everything received from `slot` so far, to its peer, in one operation. */
static void send_runs(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (end->run_count == 0 || end->sending_count != 0 || !end->is_open)
        return;
    for (uint32_t i = 0; i < end->run_count; i++)
        end->spans[i] = (struct iovec){shard->bytes + (size_t)end->runs[i].buffer * BUFFER_SIZE, end->runs[i].size};
    end->sending_count = end->run_count;
    end->message = (struct msghdr){.msg_iov = end->spans, .msg_iovlen = end->run_count};
    struct io_uring_sqe *sqe = entry(shard, OP_SEND, slot);
    if (end->run_count == 1)
        io_uring_prep_send(sqe, (int)end->peer, end->spans[0].iov_base, end->spans[0].iov_len,
                           MSG_NOSIGNAL | MSG_WAITALL);
    else
        io_uring_prep_sendmsg(sqe, (int)end->peer, &end->message, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags = IOSQE_FIXED_FILE;
}

static void drop_runs(struct shard *shard, struct end *end, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        give_back(shard, end->runs[i].buffer);
    end->run_count -= count;
    memmove(end->runs, end->runs + count, end->run_count * sizeof end->runs[0]);
}

static void shut(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (!end->is_open)
        return;
    end->is_open = false;
    struct io_uring_sqe *sqe = entry(shard, OP_SHUTDOWN, slot);
    io_uring_prep_shutdown(sqe, (int)slot, SHUT_RDWR);
    sqe->flags = IOSQE_FIXED_FILE;
    shut(shard, end->peer); /* only pairs receive, so it has one */
}

static void close_if_idle(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (end->is_open || end->flying != 0)
        return;
    /* A send of this end goes to the peer's slot: that one is closed when both are idle. */
    if (shard->ends[end->peer].flying != 0)
        return;
    const uint32_t both[2] = {slot, end->peer};
    for (unsigned i = 0; i < 2; i++) {
        drop_runs(shard, &shard->ends[both[i]], shard->ends[both[i]].run_count);
        io_uring_prep_close_direct(entry(shard, OP_CLOSE, both[i]), both[i]);
    }
}

static void accepted(struct shard *shard, int result, uint32_t flags)
{
    if ((flags & IORING_CQE_F_MORE) == 0)
        arm_accept(shard);
    if (result < 0)
        return;
    uint32_t slot = (uint32_t)result;
    shard->ends[slot].is_open = true;
    shard->ends[slot].peer = shard->single;
    if (shard->single == NOBODY) {
        shard->single = slot;
        return;
    }
    shard->ends[shard->single].peer = slot;
    arm_receive(shard, shard->single);
    arm_receive(shard, slot);
    shard->single = NOBODY;
}

static void received(struct shard *shard, uint32_t slot, int result, uint32_t flags)
{
    struct end *end = &shard->ends[slot];
    if ((flags & IORING_CQE_F_MORE) == 0)
        end->is_receiving = false;
    if (result > 0) {
        end->runs[end->run_count++] = (struct run){(uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT), (uint16_t)result};
    } else if (result == -ENOBUFS) {
        shard->hungry_count += !end->is_hungry;
        end->is_hungry = true;
    } else if (result != -ECANCELED) {
        shut(shard, slot);
    }
    send_runs(shard, slot);
    arm_receive(shard, slot);
}

static void sent(struct shard *shard, uint32_t slot, int result)
{
    struct end *end = &shard->ends[slot];
    size_t wanted = 0;
    for (uint32_t i = 0; i < end->sending_count; i++)
        wanted += end->spans[i].iov_len;
    drop_runs(shard, end, end->sending_count);
    end->sending_count = 0;
    if (result < 0 || (size_t)result != wanted)
        shut(shard, slot);
    send_runs(shard, slot);
}

static void complete(struct shard *shard, const struct io_uring_cqe *cqe)
{
    uint32_t slot = (uint32_t)cqe->user_data;
    unsigned op = (unsigned)(cqe->user_data >> 32);
    if (op == OP_ACCEPT) {
        accepted(shard, cqe->res, cqe->flags);
        return;
    }
    struct end *end = &shard->ends[slot];
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        end->flying--;
    if (op == OP_CLOSE)
        return;
    if (op == OP_RECV)
        received(shard, slot, cqe->res, cqe->flags);
    else if (op == OP_SEND)
        sent(shard, slot, cqe->res);
    close_if_idle(shard, slot);
}

static void feed_hungry(struct shard *shard)
{
    for (uint32_t slot = 0; shard->hungry_count > 0 && slot < SLOTS; slot++) {
        if (!shard->ends[slot].is_hungry)
            continue;
        shard->ends[slot].is_hungry = false;
        shard->hungry_count--;
        arm_receive(shard, slot);
    }
}

static void open_ring(struct shard *shard)
{
    struct io_uring_params params = {.flags =
                                         IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = 16 * ENTRIES};
    int result = io_uring_queue_init_params(ENTRIES, &shard->ring, &params);
    if (result == 0)
        result = io_uring_register_files_sparse(&shard->ring, SLOTS);
    if (result < 0)
        die("io_uring", -result);
    (void)io_uring_register_ring_fd(&shard->ring);
    shard->ends = calloc(SLOTS, sizeof *shard->ends);
    shard->bytes = mmap(NULL, (BUFFERS + 1) * BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (shard->ends == NULL || shard->bytes == MAP_FAILED)
        die("memory", ENOMEM);
    shard->buffer_ring = (struct io_uring_buf_ring *)(void *)(shard->bytes + (size_t)BUFFERS * BUFFER_SIZE);
    io_uring_buf_ring_init(shard->buffer_ring);
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)shard->buffer_ring, .ring_entries = BUFFERS};
    result = io_uring_register_buf_ring(&shard->ring, &registration, 0);
    if (result < 0)
        die("buffer ring", -result);
    for (uint16_t i = 0; i < BUFFERS; i++)
        give_back(shard, i);
    shard->single = NOBODY;
}

static void *shard_main(void *argument)
{
    struct shard *shard = argument;
    open_ring(shard);
    arm_accept(shard);
    for (;;) {
        int result = io_uring_submit_and_wait(&shard->ring, 1);
        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY)
            die("io_uring_enter", -result);
        for (unsigned count = io_uring_cq_ready(&shard->ring); count > 0; count--) {
            struct io_uring_cqe cqe = shard->ring.cq.cqes[*shard->ring.cq.khead & shard->ring.cq.ring_mask];
            io_uring_cq_advance(&shard->ring, 1);
            complete(shard, &cqe);
        }
        feed_hungry(shard);
    }
    return NULL;
}

static int open_listener(uint16_t *port, unsigned shard_count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU)},
                                 {BPF_ALU | BPF_MOD | BPF_K, 0, 0, shard_count},
                                 {BPF_RET | BPF_A, 0, 0, 0}};
    struct sock_fprog program = {.len = 3, .filter = code};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
        die("listening", errno);
    *port = ntohs(address.sin_port);
    return fd;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"shards", 1, NULL, 's'}, {"port", 1, NULL, 'p'}, {0}};
    static struct shard shards[64];
    unsigned shard_count = 1;
    uint16_t port = 0;
    for (int option; (option = getopt_long(argc, argv, "s:p:", options, NULL)) != -1;) {
        if (option == 's')
            shard_count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'p')
            port = (uint16_t)strtoul(optarg, NULL, 10);
        else
            return 2;
    }
    if (shard_count == 0 || shard_count > 64)
        die("--shards", EINVAL);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (unsigned i = 0; i < shard_count; i++) {
        pthread_t thread;
        shards[i].listener = open_listener(&port, shard_count);
        int error = pthread_create(&thread, NULL, shard_main, &shards[i]);
        if (error != 0)
            die("thread", error);
    }
    printf("%u\n", port);
    fflush(stdout);
    int number;
    (void)sigwait(&ends, &number);
    return 0;
}
