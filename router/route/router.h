/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Router: what all shards of a process share, immutable once they run: who owns an address, which domains are ours,
 * the links between shards. What a reload may change lives in a snapshot (struct policy) that each shard exchanges
 * between two turns.
 *
 * Thread:  made before the shards, freed after them; read by all.
 */
#include "core/base/hash.h"
#include "core/xml/reader.h"
#include "router/admin/config.h"
#include "tls/context.h"

#include <stdint.h>

#define ROUTER_SHARDS_MAX 256u

struct client_map;
struct crl_files;
struct crowd;
struct link;
struct precedents;

enum listener_tag { LISTEN_C2S, LISTEN_C2S_TLS, LISTEN_S2S, LISTEN_S2S_TLS };

/* The configuration and the certificates in force: one per load, counted, never changed. */
struct policy {
    _Atomic unsigned references;
    struct config *config;
    struct context *tls;                      /* NULL when no domain has a certificate */
    struct context *tls_server;               /* for streams that other servers open; NULL: none */
    struct context *tls_client;               /* for those that we open to them */
    struct client_map *client_map;            /* whose a client's certificate is: router/stream/bearer.h; NULL: none */
    struct crl_files *crl_files;              /* router/certs/crl_files.h */
    uint32_t epoch;                           /* one more whenever the features of a stream are others than before */
    struct xml_limits limits;                 /* of authenticated streams */
    struct xml_limits limits_unauthenticated; /* before */
};

struct router {
    unsigned shard_count;
    uint32_t link_size;        /* bytes of each link */
    struct hash_key hash_key;  /* of every table keyed by peers */
    struct hash_key owner_key; /* of owner() */
    uint8_t fake_secret[32];   /* account_fake(): the plausible salts of unknown users */
    uint8_t dialback_secret[32];
    struct crowd *crowd;           /* what one address prefix may do: router/stream/crowd.h */
    struct precedents *precedents; /* by what certificate peers came last: router/certs/precedents.h */
    _Atomic unsigned undrained;    /* shards that still have streams, while the process drains */
    struct link **links;           /* [from * (shard_count + 1) + to]; the control thread is number shard_count */
};

/* Consumes the config. Reads the certificates; the warning, if any, is for the log. */
struct policy *policy_new(struct config *config, struct ticket_keys *tickets, struct err *err, struct err *warning);
/* The policy that takes the place of another, before anybody has it: counts the epoch. True: it is another one, so
 * streams end with <reset/>, and what was secured under the old one is to be established from zero, TLS sessions too
 * (RFC 6120 s4.9.3.16). Tickets of the old one are none under the new one. */
bool policy_succeed(struct policy *after, const struct policy *before);
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);
/* Prepared domain: one of ours? */
bool policy_has_domain(const struct policy *policy, struct span domain);

struct router *router_new(unsigned shard_count, uint32_t link_size, const uint8_t seed[64]);
void router_free(struct router *router);
/* The shard that owns a prepared bare JID: a pure keyed hash. */
unsigned router_owner(const struct router *router, struct span bare);
struct link *router_link(const struct router *router, unsigned from, unsigned to);
