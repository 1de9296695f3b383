/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * The vectors of tests/data/scram-vectors.txt, as the file has them: text, base64 not decoded.
 */
#include "core/base/span.h"
#include "tls/digest.h"

#define VECTORS_MAX 32u

struct scram_vector {
    struct span title, mechanism, user, password, salt, iterations, binding_hex, stored_key, server_key;
    struct span client_first, server_first, client_final, server_final;
};

struct scram_refusal {
    bool is_final;       /* the message stands for client-final, else for client-first */
    struct span message; /* with \xNN, NONCE and PROOF not yet replaced */
    struct span reason;
};

struct scram_vectors {
    char *text;
    unsigned vector_count, refusal_count;
    struct scram_vector vectors[VECTORS_MAX];
    struct scram_refusal refusals[64];
};

/* Ends the test program when the file is not there. */
void scram_vectors_read(struct scram_vectors *vectors);
void scram_vectors_free(struct scram_vectors *vectors);
/* False for SHA-512, which accounts hold no keys for. */
bool scram_vector_digest(const struct scram_vector *vector, enum digest *digest, bool *is_plus);
