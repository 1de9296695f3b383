/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Pair: a client's and a server's engine joined back to back, for tests.
 */
#include "tls/engine.h"

struct side {
    struct engine *engine;
    struct chain wire;  /* on the way to the other side */
    struct chain plain; /* received */
    size_t sent;        /* wire bytes so far */
    enum engine_status status;
};

struct pair {
    struct chunk_pool pool;
    struct side client;
    struct side server;
    size_t cut; /* bytes per feed; 0: as they come */
};

/* A path in the folder of certs.sh; valid until the fourth call from here. */
const char *cert_path(const char *name);
/* Contexts of the common kinds; fail the test when they cannot be made. */
struct context *server_context(const char *const *names, struct ticket_keys *keys, uint16_t version_min,
                               uint16_t version_max, const char *const *alpn);
struct context *client_context(uint16_t version_min, uint16_t version_max, const char *const *alpn);

void pair_open(struct pair *pair, struct context *client, struct context *server, const char *name);
void pair_close(struct pair *pair);
/* Carries wire bytes both ways until nothing moves. */
void pair_run(struct pair *pair);
/* Starts and runs until both are ready; fails the test otherwise. */
void pair_shake(struct pair *pair);
/* Feeds bytes to a side, in pieces of cut; what it answers goes to its wire. */
void side_feed(struct pair *pair, struct side *side, struct span bytes);
void side_say(struct pair *pair, struct side *side, struct span bytes);
/* The first contiguous bytes of everything in a chain, to be freed. */
char *chain_copy(const struct chain *chain);
