/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: one of each address for each shard, in one SO_REUSEPORT group. A classic BPF program in the kernel
 * picks the shard: that of the receiving CPU where each shard has a CPU of its own, so that a flow stays on its core; a
 * random one for a CPU that is no shard's, and where there are more shards than CPUs, since some shards would never be
 * picked otherwise.
 */
#include "io/ring/ring_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* How long a port may stay taken while the ring of an earlier process is torn down. */
#define BIND_RETRY_MS 2000
#define BIND_PAUSE_MS 20

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t address_parse(const char *text, uint16_t port, union address *address)
{
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        return sizeof address->v4;
    }
    if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        return sizeof address->v6;
    }
    return 0;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static int socket_open(const union address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* Without it the port is refused while connections of an earlier process are in TIME_WAIT. */
    bool is_set = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    /* Explicit, whatever net.ipv6.bindv6only says: an IPv4 address has a listener of its own. */
    if (address->any.sa_family == AF_INET6)
        is_set = is_set && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (is_set)
        return fd;
    (void)close(fd);
    return -1;
}

/* SO_REUSEPORT would let another process of the same user join the group unseen and take half of the connections. A
 * bind without it fails as long as anybody listens there. Returns 0 or errno. */
static int try_alone(const union address *address, socklen_t size)
{
    int fd = socket_open(address);
    if (fd < 0)
        return errno;
    int error = bind(fd, &address->any, size) == 0 ? 0 : errno;
    (void)close(fd);
    return error;
}

static int wait_until_free(const union address *address, socklen_t size)
{
    const struct timespec pause = {.tv_nsec = BIND_PAUSE_MS * 1000000L};
    int error = 0;
    for (unsigned waited_ms = 0; waited_ms < BIND_RETRY_MS; waited_ms += BIND_PAUSE_MS) {
        error = try_alone(address, size);
        if (error != EADDRINUSE)
            return error;
        (void)nanosleep(&pause, NULL);
    }
    return error;
}

/* On one socket for the whole group. The shards have the allowed CPUs in order (sluiced.c), whatever their numbers are:
 * a mask that leaves some out must not leave a shard without connections. */
static bool steer(int fd, unsigned shard_count)
{
    struct sock_filter code[1 + 2 * SHARD_MAX + 3];
    unsigned short size = 0;
    unsigned shard = 0;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    bool has_cpus = sched_getaffinity(0, sizeof allowed, &allowed) == 0 && (unsigned)CPU_COUNT(&allowed) >= shard_count;
    code[size++] = (struct sock_filter){BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_CPU)};
    for (uint32_t cpu = 0; has_cpus && cpu < CPU_SETSIZE && shard < shard_count; cpu++) {
        if (!CPU_ISSET(cpu, &allowed))
            continue;
        code[size++] = (struct sock_filter){BPF_JMP | BPF_JEQ | BPF_K, 0, 1, cpu};
        code[size++] = (struct sock_filter){BPF_RET | BPF_K, 0, 0, shard++};
    }
    code[size++] = (struct sock_filter){BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)};
    code[size++] = (struct sock_filter){BPF_ALU | BPF_MOD | BPF_K, 0, 0, shard_count};
    code[size++] = (struct sock_filter){BPF_RET | BPF_A, 0, 0, 0};
    const struct sock_fprog program = {.len = size, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

/* A shard's index in the group is the order in which the sockets began to listen. */
static int member_open(const struct io_group *group, union address *address, socklen_t size)
{
    int fd = socket_open(address);
    if (fd < 0)
        return -1;
    if (set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1) && group_set_options(group, fd) &&
        bind(fd, &address->any, size) == 0 && listen(fd, LISTEN_BACKLOG) == 0 &&
        getsockname(fd, &address->any, &size) == 0)
        return fd;
    int error = errno;
    (void)close(fd);
    errno = error;
    return -1;
}

static bool open_all(struct io_group *group, struct listener *listener, union address *address, socklen_t size)
{
    for (unsigned shard = 0; shard < group->shard_count; shard++) {
        listener->fds[shard] = member_open(group, address, size);
        if (listener->fds[shard] >= 0 && (shard > 0 || steer(listener->fds[0], group->shard_count)))
            continue;
        int error = errno;
        for (unsigned i = 0; i <= shard; i++)
            if (listener->fds[i] >= 0)
                (void)close(listener->fds[i]);
        errno = error;
        return false;
    }
    return true;
}

bool io_group_listen(struct io_group *group, const char *text, uint16_t *port, unsigned tag, struct err *err)
{
    union address address;
    socklen_t size = address_parse(text, *port, &address);
    if (size == 0) {
        err_set(err, "'%s' is neither an IPv4 nor an IPv6 address", text);
        return false;
    }
    if (group->listener_count == LISTENER_MAX) {
        err_set(err, "more than %u listening addresses", LISTENER_MAX);
        return false;
    }
    int error = *port == 0 ? 0 : wait_until_free(&address, size);
    struct listener *listener = &group->listeners[group->listener_count];
    listener->tag = tag;
    if (error == 0 && !open_all(group, listener, &address, size))
        error = errno;
    if (error != 0) {
        err_set(err, "listening on %s port %u: %s%s", text, *port, strerror(error),
                error == EADDRINUSE ? " (another process listens there)" : "");
        return false;
    }
    *port = ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
    group->listener_count++;
    return true;
}

void listener_close_shard(struct io_group *group, unsigned shard)
{
    for (unsigned i = 0; i < group->listener_count; i++) {
        int *fd = &group->listeners[i].fds[shard];
        if (*fd >= 0)
            (void)close(*fd);
        *fd = -1;
    }
}
