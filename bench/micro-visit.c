/* SPDX-License-Identifier: MIT */
/*
 * The floor of a login: what the kernel charges a server for its bytes, with nothing else done. A visit is a
 * connection, the questions and answers of a login over direct TLS by size, and the end by FIN. The server uses
 * io_uring as io/ring does (direct descriptors, multishot receive into provided buffers, one system call a turn) but
 * shares no code with it; the visitors are another process.
 *
 *   micro-visit [SERVER-CPU VISITOR-CPU [NICE]]
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define VISITORS    64u /* at once */
#define VISITS      20000u
#define ROUNDS      7u
#define SLOTS       256u
#define BUFFERS     256u
#define BUFFER_SIZE 8192u
#define SOURCES     250u /* addresses that visitors come from: ports rest in TIME_WAIT */
#define STEPS       7u

enum { OP_ACCEPT, OP_RECV, OP_SEND, OP_SHUTDOWN, OP_CLOSE };

/* Bytes each way, 1,105 and 2,836 in all as counted of sluice-load's login; how they are dealt out is a guess. Hello
 * and the server's flight; Finished with the header, ticket with features; mechanism; proof; header; bind; end. */
static const uint16_t questions[STEPS] = {230, 250, 130, 190, 145, 105, 55};
static const uint16_t answers[STEPS] = {870, 790, 190, 150, 545, 205, 86};

static uint16_t port; /* of the server */

static void die(const char *what, int error)
{
    fprintf(stderr, "micro-visit: %s: %s\n", what, strerror(error));
    _exit(1);
}

/* ---- server ------------------------------------------------------------------------------------------------------ */

static struct io_uring ring;
static struct io_uring_buf_ring *buffer_ring;
static unsigned char *bytes;
static const unsigned char zeros[4096];

static struct visit {
    uint32_t step, received;
    unsigned flying;
    bool is_ended;
} visits[SLOTS];

static struct io_uring_sqe *entry(unsigned op, uint32_t slot)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL && io_uring_submit(&ring) >= 0)
        sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL)
        die("submission queue", ENOSPC);
    sqe->user_data = (uint64_t)op << 32 | slot;
    if (op != OP_ACCEPT)
        visits[slot].flying++;
    return sqe;
}

static void give_back(uint16_t buffer)
{
    io_uring_buf_ring_add(buffer_ring, bytes + (size_t)buffer * BUFFER_SIZE, BUFFER_SIZE, buffer,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffer_ring, 1);
}

static void arm_receive(uint32_t slot)
{
    struct io_uring_sqe *sqe = entry(OP_RECV, slot);
    io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
    sqe->flags = IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
}

static void received(uint32_t slot, int result, uint32_t flags)
{
    struct visit *visit = &visits[slot];
    if ((flags & IORING_CQE_F_BUFFER) != 0)
        give_back((uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT));
    if (result == 0)
        visit->is_ended = true;
    if (result <= 0) {
        if (result == -ENOBUFS)
            arm_receive(slot);
        else if (result < 0)
            die("receiving", -result);
        return;
    }
    visit->received += (uint32_t)result;
    if (visit->step < STEPS && visit->received >= questions[visit->step]) {
        struct io_uring_sqe *sqe = entry(OP_SEND, slot);
        io_uring_prep_send(sqe, (int)slot, zeros, answers[visit->step], MSG_NOSIGNAL | MSG_WAITALL);
        sqe->flags = IOSQE_FIXED_FILE;
        visit->received = 0;
        visit->step++;
    }
    if ((flags & IORING_CQE_F_MORE) == 0)
        arm_receive(slot);
}

static void complete(const struct io_uring_cqe *cqe)
{
    uint32_t slot = (uint32_t)cqe->user_data;
    unsigned op = (unsigned)(cqe->user_data >> 32);
    if (op == OP_ACCEPT) {
        if (cqe->res < 0 || (cqe->flags & IORING_CQE_F_MORE) == 0)
            die("accepting", cqe->res < 0 ? -cqe->res : EINVAL);
        visits[cqe->res] = (struct visit){0};
        arm_receive((uint32_t)cqe->res);
        return;
    }
    struct visit *visit = &visits[slot];
    if ((cqe->flags & IORING_CQE_F_MORE) == 0)
        visit->flying--;
    if (op == OP_RECV) {
        received(slot, cqe->res, cqe->flags);
    } else if (op == OP_SEND && visit->step == STEPS) {
        struct io_uring_sqe *sqe = entry(OP_SHUTDOWN, slot);
        io_uring_prep_shutdown(sqe, (int)slot, SHUT_WR);
        sqe->flags = IOSQE_FIXED_FILE;
    } else if (op == OP_CLOSE) {
        return;
    }
    if (visit->is_ended && visit->flying == 0)
        io_uring_prep_close_direct(entry(OP_CLOSE, slot), slot);
}

static void open_ring(void)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE, .cq_entries = 4096};
    int result = io_uring_queue_init_params(1024, &ring, &params);
    if (result == 0)
        result = io_uring_register_files_sparse(&ring, SLOTS);
    if (result < 0)
        die("io_uring", -result);
    (void)io_uring_register_ring_fd(&ring);
    bytes = mmap(NULL, (BUFFERS + 1) * BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (bytes == MAP_FAILED)
        die("memory", ENOMEM);
    buffer_ring = (struct io_uring_buf_ring *)(void *)(bytes + (size_t)BUFFERS * BUFFER_SIZE);
    io_uring_buf_ring_init(buffer_ring);
    struct io_uring_buf_reg registration = {.ring_addr = (uintptr_t)buffer_ring, .ring_entries = BUFFERS};
    result = io_uring_register_buf_ring(&ring, &registration, 0);
    if (result < 0)
        die("buffer ring", -result);
    for (uint16_t i = 0; i < BUFFERS; i++)
        give_back(i);
}

static int open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        die("listening", errno);
    port = ntohs(address.sin_port);
    return fd;
}

static void serve(int listener)
{
    open_ring();
    io_uring_prep_multishot_accept_direct(entry(OP_ACCEPT, 0), listener, NULL, NULL, 0);
    for (;;) {
        int result = io_uring_submit_and_wait(&ring, 1);
        if (result < 0 && result != -EINTR && result != -EAGAIN && result != -EBUSY)
            die("io_uring_enter", -result);
        for (unsigned count = io_uring_cq_ready(&ring); count > 0; count--) {
            struct io_uring_cqe cqe = ring.cq.cqes[*ring.cq.khead & ring.cq.ring_mask];
            io_uring_cq_advance(&ring, 1);
            complete(&cqe);
        }
    }
}

/* ---- visitors ---------------------------------------------------------------------------------------------------- */

static struct visitor {
    int fd;
    uint32_t step, received;
} visitors[VISITORS];

static void come(int poller, uint32_t index, uint32_t number)
{
    struct visitor *visitor = &visitors[index];
    const struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002u + number % SOURCES)};
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    int on = 1;
    *visitor = (struct visitor){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (visitor->fd < 0 || setsockopt(visitor->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        setsockopt(visitor->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        bind(visitor->fd, (const struct sockaddr *)&from, sizeof from) != 0 ||
        connect(visitor->fd, (const struct sockaddr *)&to, sizeof to) != 0 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, visitor->fd, &event) != 0 ||
        send(visitor->fd, zeros, questions[0], MSG_NOSIGNAL) != questions[0])
        die("connecting", errno);
}

/* False when the visit is over. */
static bool go_on(struct visitor *visitor)
{
    static unsigned char buffer[BUFFER_SIZE];
    ssize_t size = recv(visitor->fd, buffer, sizeof buffer, 0);
    if (size < 0 || (size == 0 && visitor->step < STEPS))
        die("the server ended a visit", size < 0 ? errno : EPIPE);
    if (size == 0)
        return false;
    visitor->received += (uint32_t)size;
    if (visitor->received < answers[visitor->step])
        return true;
    visitor->received = 0;
    visitor->step++;
    if (visitor->step < STEPS &&
        send(visitor->fd, zeros, questions[visitor->step], MSG_NOSIGNAL) != questions[visitor->step])
        die("asking", errno);
    return true;
}

static void visit_all(int poller)
{
    uint32_t begun = 0, over = 0;
    for (uint32_t i = 0; i < VISITORS; i++)
        come(poller, i, begun++);
    while (over < VISITS) {
        struct epoll_event events[VISITORS];
        int count = epoll_wait(poller, events, VISITORS, -1);
        for (int i = 0; i < count; i++) {
            uint32_t index = events[i].data.u32;
            if (go_on(&visitors[index]))
                continue;
            close(visitors[index].fd);
            over++;
            if (begun < VISITS)
                come(poller, index, begun++);
        }
    }
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void prefer(const char *cpu, const char *nice_text)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu != NULL) {
        CPU_SET((size_t)strtoul(cpu, NULL, 10), &set);
        if (sched_setaffinity(0, sizeof set, &set) != 0)
            die("pinning", errno);
    }
    if (nice_text != NULL && setpriority(PRIO_PROCESS, 0, (int)strtol(nice_text, NULL, 10)) != 0)
        die("priority", errno);
}

/* Nanoseconds of all threads, the kernel's workers among them. */
static uint64_t cpu_ns(pid_t pid)
{
    char path[300];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        die(path, errno);
    for (const struct dirent *task; (task = readdir(folder)) != NULL;) {
        unsigned long long ns = 0;
        if (task->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)pid, task->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue; /* a worker that has just ended */
        if (fscanf(file, "%llu", &ns) == 1)
            sum += ns;
        fclose(file);
    }
    closedir(folder);
    return sum;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    double us[ROUNDS];
    int listener = open_listener(), poller = epoll_create1(EPOLL_CLOEXEC);
    if (poller < 0)
        die("epoll", errno);
    pid_t server = fork();
    if (server < 0)
        die("fork", errno);
    if (server == 0) {
        prefer(argc > 2 ? argv[1] : NULL, argc > 3 ? argv[3] : NULL);
        serve(listener);
    }
    prefer(argc > 2 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t start = cpu_ns(server);
        visit_all(poller);
        us[round] = (double)(cpu_ns(server) - start) / VISITS / 1e3;
    }
    (void)kill(server, SIGTERM);
    qsort(us, ROUNDS, sizeof us[0], by_size);
    printf("visit  %u questions and answers  server %.1f us (%.1f to %.1f), %u at once\n", STEPS, us[ROUNDS / 2], us[0],
           us[ROUNDS - 1], VISITORS);
    return 0;
}
