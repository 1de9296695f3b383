/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Spares: contexts of the library for handshakes in which the peer's certificates are judged by us.
 *
 * The library takes every authority that a peer sends, and that our callback lets pass, into the list of authorities
 * that belongs to its context: for good, and trusted, for all connections of that context. So such a handshake has a
 * context of its own; the list is emptied when it is over, and the context serves the next one. Nothing is ever trusted
 * because it is in that list. A connection keeps a reference to the context of its handshake, and never looks into the
 * list again, since there is one handshake only.
 *
 * Thread:  any; a mutex held for a few instructions.
 * Bounds:  SPARES_MAX wait; what comes back beyond that is freed.
 */
#include <pthread.h>

#define SPARES_MAX 16u

struct WOLFSSL_CTX;

struct spares {
    pthread_mutex_t mutex;
    unsigned count;
    struct WOLFSSL_CTX *waiting[SPARES_MAX];
};

void spares_init(struct spares *spares);
void spares_fini(struct spares *spares);
/* NULL: none waits. */
struct WOLFSSL_CTX *spares_take(struct spares *spares);
void spares_give(struct spares *spares, struct WOLFSSL_CTX *library);
