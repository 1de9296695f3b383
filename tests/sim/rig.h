/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Rig: a whole router in one thread: shards on the simulated io, the store in memory, accounts user0.. with the
 * password "secret", no TLS unless it is given a certificate. For tests of the router from the wire inwards.
 */
#include "io/sim/world.h"
#include "router/certs/inspector_script.h"
#include "router/route/shard.h"
#include "router/s2s/resolver_config.h"

#define RIG_SHARDS_MAX   8u
#define RIG_SETTING_SIZE 640u

struct rig {
    struct world *world;
    struct rig *host;         /* a guest's: the rig whose world it is in */
    uint64_t guests_accepted; /* connections to guests that are gone: the tap has counted them here */
    const char *domain;       /* of its accounts */
    struct io_group *group;
    unsigned shard_count;
    struct router *router;
    struct policy *policy;
    struct store *store;
    struct resolver_config resolver_config;
    struct resolver *resolver; /* by script; NULL: not enabled */
    bool is_inspected;         /* the shards have inspectors, by script */
    struct shard shards[RIG_SHARDS_MAX];
    struct counters counters[RIG_SHARDS_MAX];
    unsigned tapped_before; /* connections of earlier rigs */
};

/* overrides: NULL-terminated "KEY=VALUE" for the configuration; "rig.certificate=PATH" stands for PATH.pem and PATH.key
 * of example.com, which then is the only domain; "rig.domain=NAME" makes NAME the only one; "rig.also=NAME" adds one
 * with accounts of its own, up to eight times; "rig.inspector=yes": certificates are inspected, as rig_find() says. It
 * listens for clients, and for other servers at 127.0.0.1 port 5269. */
struct rig *rig_new(uint64_t seed, unsigned shard_count, const struct world_chaos *chaos, unsigned accounts,
                    const char *const *overrides);
/* For overrides: "KEY=PATH" of a file of SL_TEST_CERTS; out. */
const char *rig_certs(char out[RIG_SETTING_SIZE], const char *key, const char *file);
/* Another router in the same world: it serves one domain, and listens for other servers at that address, port 5269. It
 * is freed before the first. */
struct rig *rig_join(struct rig *host, const char *domain, const char *address, unsigned shard_count, unsigned accounts,
                     const char *const *overrides);
/* Ends the shards and checks what must be zero: connections, sessions, users, letters under way, connections past the
 * tap. */
void rig_free(struct rig *rig);
/* Found from now on, about the chains of that leaf (SHA-256), or about all when it is NULL. */
void rig_find(struct rig *rig, const uint8_t *sha256, enum standing standing);
/* The wall clock is set, and the inspectors tell of it. */
void rig_jump_wall(struct rig *rig, int64_t ms);
/* As a reload with these overrides would. */
void rig_reload(struct rig *rig, const char *const *overrides);
/* As a shutdown would: no stream comes any more, and those that are there end. */
void rig_drain(struct rig *rig);
uint64_t rig_counter(const struct rig *rig, enum counter counter);
/* accepted + born - delivered - routed - answered - refused - dropped - under way: 0 whenever no handler runs. */
int64_t rig_balance(const struct rig *rig);
/* Steps and advances the clock by small amounts until nothing happens for a while, at most ms of virtual time. */
void rig_run(struct rig *rig, uint64_t ms);
