/* SPDX-License-Identifier: MIT */
/*
 * The group of a process's shards: what they know of each other, and their meeting before the first turn.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Four questions in a minute: a phone that changes its cell, or a burst of a busy machine's own questions, loses one.
 */
#define KEEPALIVE_INTERVAL_S 15
#define KEEPALIVE_COUNT      4

/* A peer that is gone is noticed when nothing of what it was sent has been acknowledged for so long. */
#define USER_TIMEOUT_S 60u

/* Than shards: some of these share a core. */
static bool has_fewer_cores(unsigned shard_count)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    return sched_getaffinity(0, sizeof allowed, &allowed) == 0 && (unsigned)CPU_COUNT(&allowed) < shard_count;
}

struct io_group *io_group_new(unsigned shard_count, struct err *err)
{
    if (shard_count == 0 || shard_count > SHARD_MAX) {
        err_set(err, "%u shards: from 1 to %u are possible", shard_count, SHARD_MAX);
        return NULL;
    }
    size_t size = sizeof(struct io_group) + shard_count * sizeof(struct member);
    struct io_group *group = aligned_alloc(_Alignof(struct io_group), size);
    if (group == NULL) {
        err_set(err, "%u shards: out of memory", shard_count);
        return NULL;
    }
    memset(group, 0, size);
    group->shard_count = shard_count;
    group->is_crowded = has_fewer_cores(shard_count);
    (void)pthread_mutex_init(&group->lock, NULL);
    (void)pthread_cond_init(&group->changed, NULL);
    for (unsigned i = 0; i < shard_count; i++) {
        group->members[i].ring_fd = -1;
        group->members[i].event_fd = -1;
    }
    for (unsigned i = 0; i < shard_count; i++) {
        group->members[i].event_fd = eventfd(0, EFD_CLOEXEC);
        if (group->members[i].event_fd >= 0)
            continue;
        err_set(err, "eventfd of shard %u: %s", i, strerror(errno));
        io_group_free(group);
        return NULL;
    }
    return group;
}

void io_group_keepalive(struct io_group *group, uint32_t idle_s)
{
    SL_CHECK(idle_s <= IO_KEEPALIVE_MAX);
    group->keepalive_s = idle_s;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/* The user time-out stands in for the number of keepalive probes too, and counts from the last thing heard: without the
 * silence before the first probe in it, one lost probe would end a connection. So who is asked early is also given up
 * late: with keepalives of 10 minutes what is under way to a peer that is gone is known to be lost after 11. */
bool group_set_options(const struct io_group *group, int fd)
{
    uint32_t idle_s = group->keepalive_s;
    bool is_set = set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) &&
                  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)((idle_s + USER_TIMEOUT_S) * 1000));
    return is_set && (idle_s == 0 || (set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
                                      set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)idle_s) &&
                                      set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S) &&
                                      set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT)));
}

static void free_passages(struct passage *passage)
{
    while (passage != NULL) {
        struct passage *next = passage->next;
        free(passage);
        passage = next;
    }
}

void io_group_free(struct io_group *group)
{
    if (group == NULL)
        return;
    for (unsigned i = 0; i < group->shard_count; i++) {
        struct member *member = &group->members[i];
        listener_close_shard(group, i);
        SL_CHECK((member->ring_fd >= 0) == (member->io != NULL)); /* io_free() came before */
        if (member->io != NULL) {
            io_uring_queue_exit(&member->io->ring);
            free_passages(member->io->passages);
            free(member->io);
        }
        if (member->event_fd >= 0)
            (void)close(member->event_fd);
    }
    (void)pthread_cond_destroy(&group->changed);
    (void)pthread_mutex_destroy(&group->lock);
    free(group);
}

bool io_ready(struct io *io)
{
    struct io_group *group = io->group;
    (void)pthread_mutex_lock(&group->lock);
    group->ready_count++;
    (void)pthread_cond_broadcast(&group->changed);
    while (group->ready_count < group->shard_count && !group->is_abandoned)
        (void)pthread_cond_wait(&group->changed, &group->lock);
    bool is_ready = !group->is_abandoned;
    (void)pthread_mutex_unlock(&group->lock);
    return is_ready;
}

void io_abandon(struct io_group *group)
{
    (void)pthread_mutex_lock(&group->lock);
    group->is_abandoned = true;
    (void)pthread_cond_broadcast(&group->changed);
    (void)pthread_mutex_unlock(&group->lock);
}
