/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Context, as its engines see it.
 */
#include "tls/certificate_priv.h"
#include "tls/context.h"
#include "tls/credential.h"
#include "tls/staple_priv.h"

#include <stdatomic.h>

struct WOLFSSL;
struct WOLFSSL_CTX;

#define CONTEXT_ABOVE_MAX (CREDENTIAL_SENT_MAX - 1)

/* A domain, or the one nameless party of a client that has none. */
struct party {
    char *name;    /* as configured */
    char *a_label; /* lower case, as SNI has it */
    struct WOLFSSL_CTX *library;
    struct ticket_keys *ticket_keys;
    uint32_t ticket_era;
    uint8_t identity[CERTIFICATE_IDENTITY_SIZE];
    struct span leaf;   /* the certificate in DER; owned, as are the next */
    struct span *above; /* those that follow it in its file, CONTEXT_ABOVE_MAX at most */
    unsigned above_count;
    struct staple_shelf *staple;
    uint8_t end_point_size;
    uint8_t end_point[CERTIFICATE_HASH_MAX]; /* tls-server-end-point of the certificate */
};

struct context {
    atomic_uint references;
    enum context_role role;
    enum credential_role judged; /* what the peer is, where there are anchors */
    uint16_t version_min;
    uint16_t version_max;
    char *alpn;              /* comma-separated; NULL: none */
    struct anchors *anchors; /* the peer is judged by them; NULL: not */
    context_clock_fn clock;
    unsigned party_count;
    struct party parties[];
};

/* Where the library calls back; engine.c has them. */
int engine_receive(struct WOLFSSL *library, char *buffer, int size, void *engine);
int engine_send(struct WOLFSSL *library, char *buffer, int size, void *engine);
/* The peer's certificates, leaf first, in a client. */
int engine_see_certificate(void *engine, struct span leaf);

/* All that the peer sent, leaf first; called for the certificates from the end of the chain to the leaf, not for each.
 * The library's connection, or NULL when memory was refused. */
struct WOLFSSL *engine_judge(void *engine, const struct span *sent, unsigned count, bool is_leaf);

/* Where a server's own OCSP answer lies; NULL of a client, which may be asked too (RFC 8446 s4.3.2). What a client's
 * peer has shown, before the handshake is over. */
struct staple_shelf *engine_shelf(void *engine);
void engine_see_staple(void *engine, struct span staple);

/* Of the ticket that a server's engine gives: 0 after a full handshake, else one more than that of the ticket it took.
 */
uint8_t *engine_ticket_generation(void *engine);

/* The party with this name, compared as host names are; NULL: none. */
const struct party *context_find(const struct context *context, struct span a_label);
/* The party of a domain in any of its forms; the first one when there is none. */
const struct party *context_party(const struct context *context, struct span name);
