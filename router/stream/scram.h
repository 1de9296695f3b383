/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Scram: the server's side of SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS forms (RFC 5802, RFC 7677), sans-I/O and
 * without knowledge of XML, base64 or accounts.
 *
 *   first message -> scram_first()  -> the user name is known; the caller fetches the account
 *                 -> scram_challenge() writes server-first
 *   final message -> scram_final()  -> server-final on success
 *
 * All refusals of shared vectors are tested; identical answers and the same work for an unknown user are the caller's
 * duty by passing account_fake().
 *
 * Thread:  any; state is the struct.
 */
#include "router/store/account.h"
#include "tls/digest.h"

enum scram_status {
    SCRAM_OK,
    SCRAM_MALFORMED,       /* <malformed-request/> */
    SCRAM_BAD_BINDING,     /* channel binding does not match, wrong type, or flag y although -PLUS was offered */
    SCRAM_BAD_PROOF,       /* <not-authorized/> */
    SCRAM_BAD_NAME,        /* user name not preparable */
    SCRAM_BAD_AUTHZID,     /* <invalid-authzid/>: an authorization identity other than the account itself */
    SCRAM_UNKNOWN_EXTENSION, /* m= : <malformed-request/> */
};

#define SCRAM_MESSAGE_MAX 2048u /* a client message longer than this is malformed */
#define SCRAM_NONCE_SIZE  24u   /* characters of ours behind the client's */
#define SCRAM_NAME_MAX    1024u

struct scram {
    enum digest digest;
    bool is_plus;             /* the mechanism's name ended in -PLUS */
    bool binding_was_offered; /* some -PLUS was in the features */
    char *bare;               /* client-first-bare, then "," server-first: allocated, freed by scram_fini */
    size_t bare_size, first_size;
    char gs2[256];
    size_t gs2_size;
    size_t nonce_offset, nonce_size; /* the whole nonce inside bare */
    struct account account;
};

void scram_init(struct scram *scram, enum digest digest, bool is_plus, bool binding_was_offered);
void scram_fini(struct scram *scram); /* wipes */
/* username and authzid decoded (=2C, =3D) into the buffers given; authzid empty when absent. binding_name is the
 * cb-name of a p= flag, empty otherwise; points into message. */
enum scram_status scram_first(struct scram *scram, struct span message, char username[SCRAM_NAME_MAX], size_t *username_size,
                              char authzid[SCRAM_NAME_MAX], size_t *authzid_size, struct span *binding_name);
/* nonce: SCRAM_NONCE_SIZE printable characters, no comma. Writes server-first. */
size_t scram_challenge(struct scram *scram, const struct account *account, const char nonce[SCRAM_NONCE_SIZE],
                       char out[SCRAM_MESSAGE_MAX]);
/* binding: the channel binding data of the type the client named; empty without. Writes server-final. */
enum scram_status scram_final(struct scram *scram, struct span message, struct span binding,
                              char out[SCRAM_MESSAGE_MAX], size_t *out_size);
