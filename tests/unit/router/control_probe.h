/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Control probe: a control thread over a real socket, with two fake shards (a thread that answers asks), the store in
 * memory, and hooks that write down what they were asked.
 */
#include "router/admin/config.h"
#include "router/admin/control.h"
#include "router/store/store.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_SHARDS 2u

struct probe {
    char folder[64];
    char socket_path[128];
    struct config *config;
    struct store *store;
    struct counters *counters[PROBE_SHARDS];
    struct control *control;
    pthread_t thread, shard;
    /* What the hooks saw. */
    atomic_uint drains, stops, reloads, changes, days;
    atomic_bool reload_fails, asks_are_refused;
    char changed[256];
    char distrusted[32];
    size_t distrusted_size;
    atomic_bool is_lasting;
    /* The fake shards. */
    unsigned sessions; /* of each shard: s<shard>u<index>@localhost/r */
    unsigned scan;     /* looked at for one ask */
    pthread_mutex_t lock;
    pthread_cond_t asked;
    struct control_ask *asks[64];
    unsigned ask_count;
    bool is_over, is_held; /* held: asks are kept */
};

/* The one of the test under way, which has these two around it. */
extern struct probe control_probe;
int probe_setup(void **state);
int probe_teardown(void **state);
/* A new connection. */
int probe_connect(const struct probe *probe);
void probe_send(int fd, const char *text);
/* One whole answer, its status line and empty line included; allocated. NULL when the connection ended before. */
char *probe_answer(int fd);
/* Sends a line and returns the answer. */
char *probe_ask(int fd, const char *line);
/* The same on a connection of its own; must be what is expected. */
void probe_expect(const struct probe *probe, const char *line, const char *expected);
