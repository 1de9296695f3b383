/* SPDX-License-Identifier: MIT */
/*
 * Relay: the floor of every figure: what the kernel charges to carry bytes from one TCP connection to another, with
 * nothing else done. It uses io_uring as io/ring does (multishot receives of up to 32 KiB into provided buffers, direct
 * descriptors, one gathered send a turn and in flight, one system call a turn) but shares no code with it, and even
 * sends out of the receive buffers, which a router cannot.
 *
 *   relay [--shards N] [--port P] [--certificate FILE --key FILE]      prints the port; ends on SIGTERM
 *
 * With a certificate it is the second floor: each connection speaks TLS 1.3 by the engine of tls/, what arrives is
 * decrypted, and what the turn brought for a peer is encrypted for it once the send in flight is over, in records as
 * full as that allows. That is when and how the router does it, with nothing in between.
 *
 * Connections are paired in the order in which a shard accepted them, 1st with 2nd, 3rd with 4th. What the first of a
 * pair sends before the second is there waits in the kernel; with TLS, which shakes hands at once, as plain bytes here.
 */
#include "core/base/err.h"
#include "tls/engine.h"

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
#define BUNDLE_SIZE 32768u /* received at once at most, in several buffers */
#define NOBODY      UINT32_MAX
#define POOL_FREE   1024u /* chunks of 4 KiB that a shard keeps for the next turn, as the router's io does */

#define RECEIVE_BUNDLE (1u << 4) /* IORING_RECVSEND_BUNDLE of Linux 6.10, which older headers do not have */

enum { OP_ACCEPT, OP_RECV, OP_SEND, OP_SHUTDOWN, OP_CLOSE };

/* One connection. What it receives goes to its peer; `runs` are received and not yet sent: as many as buffers at most.
 * A peer that does not read holds buffers, and in the end all connections of the shard up: this is no server. With TLS
 * there are no runs: a peer that does not read makes `plain` grow instead. */
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
    struct engine *engine; /* NULL: no TLS */
    struct chain plain;    /* decrypted here, for the peer */
    struct chain wire;     /* records for this end's own peer in TLS, the client */
    bool is_dirty;
};

struct shard {
    struct io_uring ring;
    struct io_uring_buf_ring *buffer_ring;
    unsigned char *bytes;
    uint16_t places[BUFFERS]; /* where each buffer stood in the ring when it was given back last */
    uint16_t place_end;
    uint32_t bundle; /* bytes that a receive asks for; 0: of one buffer, where the kernel takes no such bound */
    struct end *ends;
    uint32_t single; /* waits for its peer */
    uint32_t hungry_count;
    struct context *tls; /* NULL: bytes are carried as they are */
    struct chunk_pool pool;
    uint32_t feeding; /* whose bytes are being decrypted */
    uint32_t *dirty;  /* slots with something to encrypt or to send at the end of the turn */
    uint32_t dirty_count;
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
    io_uring_prep_recv_multishot(sqe, (int)slot, NULL, shard->bundle, 0);
    if (shard->bundle > 0)
        sqe->ioprio |= RECEIVE_BUNDLE;
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    end->is_receiving = true;
}

static void give_back(struct shard *shard, uint16_t buffer)
{
    shard->places[buffer] = shard->place_end++;
    io_uring_buf_ring_add(shard->buffer_ring, shard->bytes + (size_t)buffer * BUFFER_SIZE, BUFFER_SIZE, buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(shard->buffer_ring, 1);
}

/* The first `count` spans of `slot`, to the connection `to`, in one operation. */
static void send_spans(struct shard *shard, uint32_t slot, uint32_t count, uint32_t to)
{
    struct end *end = &shard->ends[slot];
    end->sending_count = count;
    end->message = (struct msghdr){.msg_iov = end->spans, .msg_iovlen = count};
    struct io_uring_sqe *sqe = entry(shard, OP_SEND, slot);
    if (count == 1)
        io_uring_prep_send(sqe, (int)to, end->spans[0].iov_base, end->spans[0].iov_len, MSG_NOSIGNAL | MSG_WAITALL);
    else
        io_uring_prep_sendmsg(sqe, (int)to, &end->message, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags = IOSQE_FIXED_FILE;
}

/* Everything received from `slot` so far, to its peer. */
static void send_runs(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (end->run_count == 0 || end->sending_count != 0 || !end->is_open)
        return;
    for (uint32_t i = 0; i < end->run_count; i++)
        end->spans[i] = (struct iovec){shard->bytes + (size_t)end->runs[i].buffer * BUFFER_SIZE, end->runs[i].size};
    send_spans(shard, slot, end->run_count, end->peer);
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
    if (end->peer != NOBODY)
        shut(shard, end->peer);
    else
        shard->single = NOBODY;
}

/* Something may go out at the end of the turn. */
static void touch(struct shard *shard, uint32_t slot)
{
    if (slot == NOBODY || shard->ends[slot].is_dirty)
        return;
    shard->ends[slot].is_dirty = true;
    shard->dirty[shard->dirty_count++] = slot;
}

/* --- TLS ------------------------------------------------------------------------------------------------------------
 */

static void keep_plain(void *context, struct span plain)
{
    struct shard *shard = context;
    chain_append(&shard->ends[shard->feeding].plain, &shard->pool, plain);
}

/* An alert that explains a failure is not sent. */
static void decrypt(struct shard *shard, uint32_t slot, struct span bytes)
{
    struct end *end = &shard->ends[slot];
    shard->feeding = slot;
    if (!end->is_open)
        return;
    if (engine_feed(end->engine, bytes, &end->wire, &shard->pool, keep_plain, shard) != ENGINE_OK)
        shut(shard, slot);
    touch(shard, end->peer);
}

/* What the peer's end has decrypted goes out here, unless a send is in flight: sent() comes here again. */
static void encrypt(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (!end->is_open || end->sending_count != 0)
        return;
    if (end->peer != NOBODY && engine_is_ready(end->engine) &&
        engine_write(end->engine, &shard->ends[end->peer].plain, SIZE_MAX, &end->wire, &shard->pool) != ENGINE_OK) {
        shut(shard, slot);
        return;
    }
    uint32_t count = 0;
    for (struct chunk *chunk = end->wire.head; chunk != NULL && count < BUFFERS; chunk = chunk->next)
        end->spans[count++] = (struct iovec){chunk->bytes + chunk->start, chunk->end - chunk->start};
    if (!chain_is_empty(&end->wire))
        send_spans(shard, slot, count, slot);
}

/* --- what completed -------------------------------------------------------------------------------------------------
 */

static void drop(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    drop_runs(shard, end, end->run_count);
    engine_free(end->engine);
    end->engine = NULL;
    chain_clear(&end->plain, &shard->pool);
    chain_clear(&end->wire, &shard->pool);
    io_uring_prep_close_direct(entry(shard, OP_CLOSE, slot), slot);
}

static void close_if_idle(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    if (end->is_open || end->flying != 0)
        return;
    /* A send of this end goes to the peer's slot: that one is closed when both are idle. */
    if (end->peer != NOBODY && shard->ends[end->peer].flying != 0)
        return;
    if (end->peer != NOBODY)
        drop(shard, end->peer);
    drop(shard, slot);
}

/* Hands are shaken before there is a peer: clients dial one by one, each when the one before it is through. */
static void start(struct shard *shard, uint32_t slot)
{
    struct end *end = &shard->ends[slot];
    end->is_open = true;
    if (shard->tls == NULL)
        return;
    end->engine = engine_new(shard->tls, SPAN_NONE);
    if (end->engine == NULL)
        die("memory", ENOMEM);
    arm_receive(shard, slot);
}

static void accepted(struct shard *shard, int result, uint32_t flags)
{
    if ((flags & IORING_CQE_F_MORE) == 0)
        arm_accept(shard);
    if (result < 0)
        return;
    uint32_t slot = (uint32_t)result;
    start(shard, slot);
    shard->ends[slot].peer = shard->single;
    if (shard->single == NOBODY) {
        shard->single = slot;
        return;
    }
    shard->ends[shard->single].peer = slot;
    arm_receive(shard, shard->single);
    arm_receive(shard, slot);
    touch(shard, slot); /* for what came before there was a peer */
    shard->single = NOBODY;
}

/* Takes the buffer over: it is given back when its bytes have gone out, or been decrypted. */
static void take(struct shard *shard, uint32_t slot, uint16_t buffer, uint32_t size)
{
    struct end *end = &shard->ends[slot];
    if (end->engine == NULL) {
        end->runs[end->run_count++] = (struct run){buffer, (uint16_t)size};
        return;
    }
    decrypt(shard, slot, span_of((char *)shard->bytes + (size_t)buffer * BUFFER_SIZE, size));
    give_back(shard, buffer);
}

/* A receive fills buffers as they stand in the ring, and the kernel may have shortened an entry. Completions come in
 * the order in which buffers were taken, so these places hold what they held then: nothing taken since is back yet. */
static void take_all(struct shard *shard, uint32_t slot, uint16_t buffer, uint32_t left)
{
    while (left > 0) {
        const uint32_t place = shard->places[buffer];
        const struct io_uring_buf *entry = &shard->buffer_ring->bufs[place % BUFFERS];
        const uint32_t size = entry->len < left ? entry->len : left;
        const uint16_t behind = shard->buffer_ring->bufs[(place + 1) % BUFFERS].bid;
        if (entry->bid != buffer || size == 0)
            die("buffer ring", EPROTO);
        take(shard, slot, buffer, size);
        left -= size;
        buffer = behind;
    }
}

static void received(struct shard *shard, uint32_t slot, int result, uint32_t flags)
{
    struct end *end = &shard->ends[slot];
    if ((flags & IORING_CQE_F_MORE) == 0)
        end->is_receiving = false;
    if (result <= 0 && (flags & IORING_CQE_F_BUFFER) != 0)
        give_back(shard, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
    if (result > 0) {
        take_all(shard, slot, (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT), (uint32_t)result);
    } else if (result == -ENOBUFS) {
        shard->hungry_count += !end->is_hungry;
        end->is_hungry = true;
    } else if (result == -EINVAL && shard->bundle > 0) {
        shard->bundle = 0;
    } else if (result != -ECANCELED) {
        shut(shard, slot);
    }
    touch(shard, slot);
    arm_receive(shard, slot);
}

static void sent(struct shard *shard, uint32_t slot, int result)
{
    struct end *end = &shard->ends[slot];
    size_t wanted = 0;
    for (uint32_t i = 0; i < end->sending_count; i++)
        wanted += end->spans[i].iov_len;
    if (end->engine != NULL)
        chain_consume(&end->wire, &shard->pool, wanted);
    else
        drop_runs(shard, end, end->sending_count);
    end->sending_count = 0;
    if (result < 0 || (size_t)result != wanted)
        shut(shard, slot);
    touch(shard, slot);
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

static void send_dirty(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->dirty_count; i++) {
        uint32_t slot = shard->dirty[i];
        shard->ends[slot].is_dirty = false;
        if (shard->tls != NULL)
            encrypt(shard, slot);
        else
            send_runs(shard, slot);
    }
    shard->dirty_count = 0;
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
    shard->dirty = calloc(SLOTS, sizeof *shard->dirty);
    chunk_pool_init(&shard->pool, POOL_FREE);
    shard->bytes = mmap(NULL, (BUFFERS + 1) * BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (shard->ends == NULL || shard->dirty == NULL || shard->bytes == MAP_FAILED)
        die("memory", ENOMEM);
    shard->buffer_ring = (struct io_uring_buf_ring *)(void *)(shard->bytes + (size_t)BUFFERS * BUFFER_SIZE);
    io_uring_buf_ring_init(shard->buffer_ring);
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)shard->buffer_ring, .ring_entries = BUFFERS};
    result = io_uring_register_buf_ring(&shard->ring, &registration, 0);
    if (result < 0)
        die("buffer ring", -result);
    shard->bundle = BUNDLE_SIZE;
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
        send_dirty(shard);
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

/* Lives as long as the process. */
static struct context *read_certificate(const char *certificate, const char *key)
{
    struct err err = {""};
    const struct context_domain domain = {"localhost", certificate, key};
    const struct context_config config = {
        .role = CONTEXT_SERVER, .domains = &domain, .domain_count = 1, .version_min = 0x0304};
    struct context *context = tls_start(&err) ? context_new(&config, &err, NULL) : NULL;
    if (context == NULL) {
        fprintf(stderr, "relay: %s\n", err.text);
        exit(1);
    }
    return context;
}

static void start_shards(struct shard *shards, unsigned shard_count, uint16_t port, struct context *tls)
{
    for (unsigned i = 0; i < shard_count; i++) {
        pthread_t thread;
        shards[i].tls = tls;
        shards[i].listener = open_listener(&port, shard_count);
        int error = pthread_create(&thread, NULL, shard_main, &shards[i]);
        if (error != 0)
            die("thread", error);
    }
    printf("%u\n", port);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"shards", 1, NULL, 's'}, {"port", 1, NULL, 'p'}, {"certificate", 1, NULL, 'c'}, {"key", 1, NULL, 'k'}, {0}};
    static struct shard shards[64];
    const char *certificate = NULL, *key = NULL;
    unsigned shard_count = 1;
    uint16_t port = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's')
            shard_count = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'p')
            port = (uint16_t)strtoul(optarg, NULL, 10);
        else if (option == 'c')
            certificate = optarg;
        else if (option == 'k')
            key = optarg;
        else
            return 2;
    }
    if (shard_count == 0 || shard_count > 64)
        die("--shards", EINVAL);
    if ((certificate == NULL) != (key == NULL))
        die("--certificate goes with --key", EINVAL);
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    start_shards(shards, shard_count, port, certificate != NULL ? read_certificate(certificate, key) : NULL);
    int number;
    (void)sigwait(&ends, &number);
    return 0;
}
