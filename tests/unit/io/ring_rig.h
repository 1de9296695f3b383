/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Rig: shards of the real io in threads of their own, for tests that are clients of real sockets.
 *
 * Each shard echoes what it receives, unless a test replaces callbacks in rig.handler. rig_call() runs a function on a
 * shard's thread and waits for it. rig_stop() checks that nothing is left: no connection, no chunk, no descriptor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/io.h"

#include <pthread.h>
#include <stdatomic.h>

#define RIG_SHARDS 4u
#define RIG_CONNS  2048u

struct rig;
typedef void (*rig_fn)(struct io *io, void *argument);

/* What a rig's connection owns: the bytes that wait to be echoed. */
struct rig_conn {
    struct io_conn *conn;
    struct chain out;
    bool has_ended;
    unsigned received_count;
    bool is_throttled;
    bool is_shut; /* the test called io_shutdown() and everything had been sent */
};

struct rig_shard {
    struct rig *rig;
    unsigned index;
    struct io *io;
    struct counters counters;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    rig_fn call; /* NULL: none pending */
    void *argument;
    uint32_t connection_max;      /* 0: the rig's */
    _Atomic uint64_t deadline_ms; /* what turn() answers; UINT64_MAX at first */
    _Atomic int open_count;       /* rig_conns */
    _Atomic int failed_count;     /* handoff_failed */
    _Atomic int closed_count;
    _Atomic int error_last; /* of closed */
    struct io_conn *last;   /* accepted, dialled or arrived last */
};

struct rig {
    struct io_group *group;
    struct io_config config;
    struct io_handler handler;
    unsigned shard_count;
    uint16_t port;
    const char *address;
    unsigned fd_count; /* before */
    void *user;        /* the test's */
    struct rig_shard shards[RIG_SHARDS];
};

void rig_init(struct rig *rig, unsigned shard_count);
void rig_start(struct rig *rig);
void rig_stop(struct rig *rig);
void rig_call(struct rig *rig, unsigned shard, rig_fn call, void *argument);
uint64_t rig_counter(const struct rig *rig, enum counter counter);
/* Waits up to 10 s until the counter's sum over the shards is at least (for CONNECTIONS: exactly) value. */
void rig_await(const struct rig *rig, enum counter counter, uint64_t value);

/* The echo's callbacks, for tests that replace some. */
struct rig_conn *rig_conn_new(struct io_conn *conn);
void rig_accepted(void *shard, struct io_conn *conn, unsigned tag, const struct sockaddr *peer);
void rig_received(void *shard, struct io_conn *conn, struct span bytes);
void rig_ended(void *shard, struct io_conn *conn);
void rig_sent(void *shard, struct io_conn *conn);
void rig_closed(void *shard, struct io_conn *conn, int error);

unsigned rig_count_fds(void);
uint64_t rig_cpu_us(void); /* of this process */
void rig_sleep_ms(unsigned ms);

/* Clients: blocking sockets with a time-out of 10 s. */
int rig_connect(const struct rig *rig);
void rig_send_all(int fd, const void *bytes, size_t size);
void rig_recv_all(int fd, void *bytes, size_t size);
/* Bytes of a known pattern: byte i of a stream with that seed. */
void rig_pattern(unsigned char *out, size_t size, uint64_t seed, uint64_t offset);
