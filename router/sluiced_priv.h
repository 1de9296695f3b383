/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sluice: the process: its shards and what they share. Built by sluiced.c, changed while it runs by hooks.c.
 */
#include "router/admin/control.h"
#include "router/certs/inspector.h"
#include "router/route/shard.h"
#include "router/s2s/resolver_config.h"
#include "router/store/store.h"

#include <pthread.h>
#include <semaphore.h>

#define OVERRIDES_MAX 64u
#define FACTS_MAX     16u

struct worker {
    struct sluice *sluice;
    struct shard shard;
    struct counters counters;
    struct io *io; /* written by the shard's thread before io_ready(); read by others only after */
    pthread_t thread;
    bool is_started;
    bool has_failed;
};

struct sluice {
    const char *path;
    const char *overrides[OVERRIDES_MAX];
    unsigned override_count;
    unsigned shard_count;
    struct policy *policy; /* the main thread's reference to the one in force */
    struct ticket_keys *tickets;
    struct io_group *group;
    struct io_config io_config;
    struct router *router;
    struct store *store;
    struct resolver_config resolver_config;
    struct resolver *resolver; /* NULL: no other servers */
    struct inspector *inspector;
    struct control *control;
    uint32_t withdrawals; /* accounts removed or disabled so far */
    int64_t warned_s;     /* when our certificates were last looked at; 0: the ones in force were not */
    struct worker *workers;
    struct counters **counters;
    struct control_fact facts[FACTS_MAX];
    unsigned fact_count;
    _Atomic unsigned running;
    sem_t came_up;  /* posted by each shard when it runs or has failed */
    sem_t may_free; /* posted for each shard when nobody will talk to its io any more */
};

/* What control asks of the process, on its thread. The context is the struct sluice. */
extern const struct control_hooks hooks;

/* Before the shards know the policy: what is known of its certificates is stapled from the first handshake on. An
 * issuer that is in none of the files is looked for among the authorities that other servers are judged by. */
void hooks_own_certificates(struct sluice *sluice, const struct policy *policy);
