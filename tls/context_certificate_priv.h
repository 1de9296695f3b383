/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Context's certificates: what a party shows, read from the same file that the library reads, for whoever wants to know
 * of it.
 *
 * Thread:  read while the context is made, immutable from then on.
 * Bounds:  CREDENTIAL_SENT_MAX of a file: no library takes more.
 */
#include "tls/context_priv.h"

/* Those behind the leaf in the file of PEM. What the library took and we cannot read is passed over. False: no memory.
 */
bool context_certificate_load(struct party *party, struct span pem);
void context_certificate_drop(struct party *party);
