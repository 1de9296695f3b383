/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Staple: OCSP answers that a handshake carries (RFC 6066 s8, RFC 8446 s4.4.2.1). Bytes alone: nobody judges them here.
 *
 * A shelf holds the answer that a domain shows. It is exchanged while handshakes read it: each takes a reference, and
 * the last one gone frees it.
 *
 * Thread:  any; a shelf has a lock, held for the count of a reference.
 */
#include "core/base/span.h"

struct staple;
struct staple_shelf;

/* Once per process: from then on the library asks for what handshakes carry, and judges none of it. */
void staple_start(void);
/* What stands behind the first certificate of a Certificate message of TLS 1.3, whose lengths the library has looked
 * at: extensions<0..2^16-1> (RFC 8446 s4.4.2). The answer among them; empty: none. */
struct span staple_behind(struct span certificate);

/* A copy, with one reference. NULL: no memory. */
struct staple *staple_new(struct span bytes);
void staple_unref(struct staple *staple); /* NULL: nothing */
struct span staple_bytes(const struct staple *staple);

struct staple_shelf *staple_shelf_new(void);
void staple_shelf_free(struct staple_shelf *shelf);
/* Takes the reference; NULL: the shelf is empty then. */
void staple_shelf_put(struct staple_shelf *shelf, struct staple *staple);
/* With a reference for the caller; NULL: it is empty, or there is no shelf. */
struct staple *staple_shelf_get(struct staple_shelf *shelf);
