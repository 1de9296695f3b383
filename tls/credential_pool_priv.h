/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Credential pool: of the process's credentials those with the same path are one. A hundred thousand streams of a
 * thousand servers hold a thousand chains of certificates.
 *
 * Thread:  any; a mutex, taken once in a handshake that showed a certificate and once when it is given up.
 * Bounds:  none of its own: what is in it is held by somebody.
 */
#include "tls/credential.h"

/* Takes a valid credential with its only reference; gives the one with the same path, be it that or an older one.
 * NULL: no memory for its place, and it is gone. */
struct credential *credential_pool_share(struct credential *credential);
/* A reference to each of those there are; the array is the caller's, and so are they. 0: none, or no memory. */
uint32_t credential_pool_list(struct credential ***out);
/* Drops a reference of one that is shared; true: that was the last one, and it is out. */
bool credential_pool_drop(struct credential *credential);
