/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Engine, as engine.c drives it and engine_facts.c reads it.
 */
#include "tls/context_priv.h"
#include "tls/counterpart_priv.h"
#include "tls/engine.h"

#define RECORD_HEAD   5u  /* RFC 8446 s5.1 */
#define EXPORTER_SIZE 32u /* RFC 9266 s2 */

enum phase {
    PHASE_HELLO,     /* the peer's hello is incomplete */
    PHASE_HANDSHAKE, /* the library runs it */
    PHASE_READY,
    PHASE_CLOSED, /* by the peer */
    PHASE_FAILED,
};

struct engine {
    struct context *context;
    const struct party *party; /* server: whose certificate answers; client: the context's only one */
    struct WOLFSSL *library;   /* server: NULL until the hello is read */
    /* The peer's first bytes while its hello is incomplete. */
    char *early;
    uint32_t early_size;
    /* Borrowed during a call. */
    struct span in;
    struct chain *out;
    struct chunk_pool *pool;

    const char *error;
    struct counterpart *remote; /* where the peer's certificates are of interest; else NULL */
    uint8_t ticket_generation;
    uint8_t phase; /* enum phase */
    bool has_closed;
    bool has_extended_master_secret; /* TLS 1.2: offered (server) or agreed (client) */
    bool has_exporter;
    /* The records of the wire, followed to count those without data. */
    uint8_t record_head[RECORD_HEAD];
    uint8_t record_head_size;
    uint16_t record_left;
    uint16_t records_read; /* since the last plain bytes, or in the handshake */
    uint16_t idle_cost;
    uint8_t exporter[EXPORTER_SIZE];
};
