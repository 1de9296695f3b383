/* SPDX-License-Identifier: MIT */
#include "ring_rig.h"

#include "core/base/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PENDING_MAX 262144u

struct rig_conn *rig_conn_new(struct io_conn *conn)
{
    struct rig_conn *own = calloc(1, sizeof *own);
    assert_non_null(own);
    own->conn = conn;
    conn->owner = own;
    return own;
}

void rig_accepted(void *context, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    struct rig_shard *shard = context;
    (void)tag;
    assert_true(peer->sa_family == AF_INET || peer->sa_family == AF_INET6);
    (void)rig_conn_new(conn);
    shard->last = conn;
    shard->open_count++;
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    (void)context;
    (void)conn;
    (void)error;
}

static void flush(struct rig_shard *shard, struct rig_conn *own)
{
    if (!chain_is_empty(&own->out) && io_can_send(own->conn))
        io_send(shard->io, own->conn, &own->out);
}

void rig_received(void *context, struct io_conn *conn, struct span bytes)
{
    struct rig_shard *shard = context;
    struct rig_conn *own = conn->owner;
    if (own->is_shut)
        return;
    chain_append(&own->out, io_pool(shard->io), bytes);
    flush(shard, own);
    if (own->out.size > PENDING_MAX && !own->is_throttled) {
        own->is_throttled = true;
        io_pause(shard->io, conn);
    }
}

static void close_if_done(struct rig_shard *shard, struct rig_conn *own)
{
    if (own->has_ended && chain_is_empty(&own->out) && (own->is_shut || io_can_send(own->conn)))
        io_close(shard->io, own->conn);
}

void rig_ended(void *context, struct io_conn *conn)
{
    struct rig_conn *own = conn->owner;
    own->has_ended = true;
    close_if_done(context, own);
}

void rig_sent(void *context, struct io_conn *conn)
{
    struct rig_shard *shard = context;
    struct rig_conn *own = conn->owner;
    flush(shard, own);
    if (own->is_throttled && own->out.size < PENDING_MAX / 2) {
        own->is_throttled = false;
        io_resume(shard->io, conn);
    }
    close_if_done(shard, own);
}

void rig_closed(void *context, struct io_conn *conn, int error)
{
    struct rig_shard *shard = context;
    struct rig_conn *own = conn->owner;
    if (own != NULL) {
        chain_clear(&own->out, io_pool(shard->io));
        free(own);
        shard->open_count--;
    }
    if (shard->last == conn)
        shard->last = NULL;
    shard->error_last = error;
    shard->closed_count++;
}

static void departing(void *context, struct io_conn *conn)
{
    struct rig_shard *shard = context;
    struct rig_conn *own = conn->owner;
    chain_release(&own->out, io_pool(shard->io));
    if (shard->last == conn)
        shard->last = NULL;
    shard->open_count--;
}

static void handoff_failed(void *context, struct io_conn *conn, void *parcel, int error)
{
    struct rig_shard *shard = context;
    (void)error;
    struct rig_conn *own = parcel;
    assert_ptr_equal(own, conn->owner);
    chain_adopt(&own->out, io_pool(shard->io));
    shard->open_count++;
    shard->failed_count++;
    io_close(shard->io, conn);
}

static void arrived(void *context, struct io_conn *conn, void *parcel)
{
    struct rig_shard *shard = context;
    struct rig_conn *own = parcel;
    chain_adopt(&own->out, io_pool(shard->io));
    own->conn = conn;
    own->is_throttled = false;
    conn->owner = own;
    shard->last = conn;
    shard->open_count++;
    io_resume(shard->io, conn);
    flush(shard, own);
}

static uint64_t turn(void *context)
{
    struct rig_shard *shard = context;
    pthread_mutex_lock(&shard->lock);
    if (shard->call != NULL) {
        shard->call(shard->io, shard->argument);
        shard->call = NULL;
        pthread_cond_broadcast(&shard->changed);
    }
    pthread_mutex_unlock(&shard->lock);
    return shard->deadline_ms;
}

static void *shard_main(void *context)
{
    struct rig_shard *shard = context;
    struct err err;
    struct io_config config = shard->rig->config;
    if (shard->connection_max != 0)
        config.connection_max = shard->connection_max;
    struct io *io =
        io_new(shard->rig->group, shard->index, &config, &shard->rig->handler, shard, &shard->counters, &err);
    if (io == NULL) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    shard->io = io;
    if (!io_ready(io))
        abort();
    io_run(io);
    assert_int_equal(io_conn_count(io), 0);
    io_free(io);
    return NULL;
}

void rig_init(struct rig *rig, unsigned shard_count)
{
    *rig = (struct rig){.config = io_config_default, .shard_count = shard_count, .address = "127.0.0.1"};
    rig->fd_count = rig_count_fds();
    rig->config.connection_max = RIG_CONNS;
    rig->config.entries = 256;
    rig->config.completions = 4096;
    rig->handler = (struct io_handler){.accepted = rig_accepted,
                                       .dialled = dialled,
                                       .received = rig_received,
                                       .ended = rig_ended,
                                       .sent = rig_sent,
                                       .closed = rig_closed,
                                       .departing = departing,
                                       .handoff_failed = handoff_failed,
                                       .arrived = arrived,
                                       .turn = turn};
    struct err err;
    rig->group = io_group_new(shard_count, &err);
    assert_non_null(rig->group);
}

static void wait_for_io(struct io *io, void *argument)
{
    (void)io;
    (void)argument;
}

void rig_start(struct rig *rig)
{
    struct err err;
    if (!io_group_listen(rig->group, rig->address, &rig->port, 7, &err))
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct rig_shard *shard = &rig->shards[i];
        shard->rig = rig;
        shard->index = i;
        shard->deadline_ms = UINT64_MAX;
        pthread_mutex_init(&shard->lock, NULL);
        pthread_cond_init(&shard->changed, NULL);
        shard->call = wait_for_io; /* the first turn runs it */
        assert_int_equal(pthread_create(&shard->thread, NULL, shard_main, shard), 0);
    }
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct rig_shard *shard = &rig->shards[i];
        pthread_mutex_lock(&shard->lock);
        while (shard->call != NULL)
            pthread_cond_wait(&shard->changed, &shard->lock);
        pthread_mutex_unlock(&shard->lock);
    }
}

void rig_stop(struct rig *rig)
{
    for (unsigned i = 0; i < rig->shard_count; i++)
        io_stop(rig->shards[i].io);
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct rig_shard *shard = &rig->shards[i];
        assert_int_equal(pthread_join(shard->thread, NULL), 0);
        assert_int_equal(counter_read(&shard->counters, COUNTER_CONNECTIONS), 0);
        assert_int_equal(counter_read(&shard->counters, COUNTER_STALE), 0);
        assert_int_equal(shard->open_count, 0);
        pthread_mutex_destroy(&shard->lock);
        pthread_cond_destroy(&shard->changed);
    }
    io_group_free(rig->group);
    assert_int_equal(rig_count_fds(), rig->fd_count);
}

void rig_call(struct rig *rig, unsigned index, rig_fn call, void *argument)
{
    struct rig_shard *shard = &rig->shards[index];
    pthread_mutex_lock(&shard->lock);
    assert_null(shard->call);
    shard->argument = argument;
    shard->call = call;
    io_notify(shard->io);
    while (shard->call != NULL)
        pthread_cond_wait(&shard->changed, &shard->lock);
    pthread_mutex_unlock(&shard->lock);
}

uint64_t rig_counter(const struct rig *rig, enum counter counter)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rig->shard_count; i++)
        sum += counter_read(&rig->shards[i].counters, counter);
    return sum;
}

void rig_await(const struct rig *rig, enum counter counter, uint64_t value)
{
    uint64_t end_ms = clock_mono_ms() + 10000;
    for (;;) {
        uint64_t now = rig_counter(rig, counter);
        if (counter == COUNTER_CONNECTIONS ? now == value : now >= value)
            return;
        if (clock_mono_ms() > end_ms)
            fail_msg("%s is %lu, not %lu", counter_infos[counter].name, (unsigned long)now, (unsigned long)value);
        rig_sleep_ms(1);
    }
}

unsigned rig_count_fds(void)
{
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    unsigned count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

uint64_t rig_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void rig_sleep_ms(unsigned ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&pause, NULL);
}

int rig_connect(const struct rig *rig)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(rig->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(rig->port)};
    bool is_v6 = inet_pton(AF_INET6, rig->address, &v6.sin6_addr) == 1;
    if (!is_v6)
        assert_int_equal(inet_pton(AF_INET, rig->address, &v4.sin_addr), 1);
    int fd = socket(is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = 10};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const struct sockaddr *to = is_v6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;
    if (connect(fd, to, is_v6 ? sizeof v6 : sizeof v4) != 0)
        fail_msg("connect: %s", strerror(errno));
    return fd;
}

void rig_send_all(int fd, const void *bytes, size_t size)
{
    for (const char *at = bytes; size > 0;) {
        ssize_t done = send(fd, at, size, MSG_NOSIGNAL);
        if (done <= 0)
            fail_msg("send: %s", strerror(errno));
        at += done;
        size -= (size_t)done;
    }
}

void rig_recv_all(int fd, void *bytes, size_t size)
{
    for (char *at = bytes; size > 0;) {
        ssize_t done = recv(fd, at, size, 0);
        if (done <= 0)
            fail_msg("recv: %zd %s, %zu bytes missing", done, strerror(errno), size);
        at += done;
        size -= (size_t)done;
    }
}

void rig_pattern(unsigned char *out, size_t size, uint64_t seed, uint64_t offset)
{
    for (size_t i = 0; i < size; i++) {
        uint64_t x = (offset + i + seed) * UINT64_C(0x9e3779b97f4a7c15);
        out[i] = (unsigned char)(x >> 56);
    }
}
