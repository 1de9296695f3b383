/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Scram client: the client's side of SCRAM for the load generator and the simulated clients (RFC 5802 s3). The server
 * is ours, so what it sends is taken apart without much ado; its signature is checked all the same.
 *
 * Keys are derived once per (password, salt, iterations) and kept by the caller: 10,000 test accounts share one salt.
 */
#include "tls/digest.h"

#define SCRAM_CLIENT_MESSAGE_MAX 1024u

struct scram_keys {
    enum digest digest;
    uint32_t iterations; /* 0: not yet derived */
    size_t salt_size;
    char salt[64];
    uint8_t client_key[DIGEST_SIZE_MAX];
    uint8_t stored_key[DIGEST_SIZE_MAX];
    uint8_t server_key[DIGEST_SIZE_MAX];
};

struct scram_client {
    enum digest digest;
    size_t header_size; /* of the GS2 header in first */
    size_t first_size;
    char first[256];    /* client-first: GS2 header and bare */
    char signature[96]; /* server signature expected, base64 */
};

/* binding_name NULL: "n,,". nonce: printable, no comma. Writes client-first. */
struct span scram_client_first(struct scram_client *client, enum digest digest, struct span username, struct span nonce,
                               const char *binding_name);
/* Writes client-final into out; an empty span when server-first makes no sense. */
struct span scram_client_final(struct scram_client *client, struct scram_keys *keys, struct span password,
                               struct span server_first, struct span binding, char out[SCRAM_CLIENT_MESSAGE_MAX]);
bool scram_client_verify(const struct scram_client *client, struct span server_final);
