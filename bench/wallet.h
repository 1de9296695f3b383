/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Wallet: the certificates that clients present, from a folder with K.pem and K.key for each number K. They become one
 * context of the TLS library, in which each has a name; the clients of a run use them in turn.
 *
 * Thread:  any, once it is open.
 */
#include "core/base/err.h"
#include "core/base/span.h"
#include "tls/context.h"

#include <stdbool.h>
#include <stdint.h>

#define WALLET_MAX 100000u

struct wallet {
    uint32_t count;
    struct context_domain *domains; /* for context_config; their strings are in texts */
    char *texts;
};

/* Those from first on, count of them; the files are read when the context is made. False: no memory, or a folder whose
 * name is too long. */
bool wallet_open(struct wallet *wallet, const char *folder, uint32_t first, uint32_t count, struct err *err);
void wallet_free(struct wallet *wallet);
/* What the certificate of a session is called in the context; empty without certificates. */
struct span wallet_name(const struct wallet *wallet, uint32_t session);
