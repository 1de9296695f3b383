/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Scram: the server's side of SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS forms (RFC 5802, RFC 7677), sans-I/O and
 * without knowledge of XML, base64 of the SASL payload, or where accounts are.
 *
 *   first message -> scram_first()  -> the user name is known; the caller fetches the account
 *                 -> scram_challenge() writes server-first
 *   final message -> scram_final()  -> server-final on success
 *
 * What stays the caller's duty: preparing the user name; refusing an authorization identity that is not the user's
 * (SCRAM_BAD_AUTHZID); handing over empty binding data when the connection has none of the named type; and, for an
 * unknown user, account_fake(), so that the answers and the work are those for a wrong password.
 *
 * Syntax is that of RFC 5802 s7 to the letter. Unknown optional extensions are ignored where the grammar has them; one
 * that reuses a letter of s5.1 is malformed, since a known attribute has one place only.
 *
 * Thread:  any; state is the struct.
 * Owns:    one heap block from scram_first() to scram_fini().
 * Bounds:  SCRAM_MESSAGE_MAX bytes a message in either direction, SCRAM_CLIENT_NONCE_MAX characters of nonce.
 */
#include "router/store/account.h"
#include "tls/digest.h"

enum scram_status {
    SCRAM_OK,
    SCRAM_MALFORMED,         /* <malformed-request/> */
    SCRAM_BAD_BINDING,       /* channel binding does not match, wrong type, or flag y although -PLUS was offered */
    SCRAM_BAD_PROOF,         /* <not-authorized/> */
    SCRAM_BAD_NAME,          /* user name not preparable; here: longer than SCRAM_NAME_MAX */
    SCRAM_BAD_AUTHZID,       /* <invalid-authzid/>: an authorization identity other than the account itself */
    SCRAM_UNKNOWN_EXTENSION, /* m= : <malformed-request/> */
    SCRAM_NO_MEMORY,         /* <temporary-auth-failure/>: the allocator refused */
};

#define SCRAM_MESSAGE_MAX      2048u /* a client message longer than this is malformed */
#define SCRAM_NONCE_SIZE       24u   /* characters of ours behind the client's */
#define SCRAM_NONCE_MAX        64u
#define SCRAM_CLIENT_NONCE_MAX 1024u /* keeps server-first below SCRAM_MESSAGE_MAX; clients send 20 to 64 */
#define SCRAM_NAME_MAX         1024u

enum scram_step { SCRAM_WANT_FIRST, SCRAM_WANT_ACCOUNT, SCRAM_WANT_FINAL, SCRAM_ENDED };

struct scram {
    enum digest digest;
    enum scram_step step;
    bool is_plus;             /* the mechanism's name ended in -PLUS */
    bool binding_was_offered; /* some -PLUS was in the features */
    char *text;               /* client-first (GS2 header and bare), then "," server-first */
    size_t gs2_size;          /* of the GS2 header at its start */
    size_t first_size;        /* of client-first */
    size_t text_size;         /* of all */
    size_t nonce_offset;      /* the client's nonce in client-first, the whole one in server-first */
    size_t nonce_size;
    struct account account;
    bool has_offer;
    uint8_t offer[DIGEST_SIZE_MAX]; /* hash of what was offered */
};

/* is_plus without binding_was_offered is a bug of the caller, and so is SHA-512, for which accounts hold no keys. */
void scram_init(struct scram *scram, enum digest digest, bool is_plus, bool binding_was_offered);
void scram_fini(struct scram *scram); /* wipes */
/* username and authzid decoded (=2C, =3D) into the buffers given, without NUL; authzid empty when absent. binding_name
 * is the cb-name of a p= flag, empty otherwise; points into message. */
enum scram_status scram_first(struct scram *scram, struct span message, char username[SCRAM_NAME_MAX],
                              size_t *username_size, char authzid[SCRAM_NAME_MAX], size_t *authzid_size,
                              struct span *binding_name);
/* Before the challenge: what the features offered, as XEP-0474 s6.1 writes it (mechanisms and channel bindings,
 * sorted); server-first then carries its hash, so that a client sees whether somebody in between has shortened the
 * lists. */
void scram_offer(struct scram *scram, struct span offered);
/* nonce: SCRAM_NONCE_SIZE printable characters, no comma. Writes server-first. */
size_t scram_challenge(struct scram *scram, const struct account *account, const char nonce[SCRAM_NONCE_SIZE],
                       char out[SCRAM_MESSAGE_MAX]);
/* The same with a nonce of 1 to SCRAM_NONCE_MAX characters, for the published vectors, whose nonces vary. */
size_t scram_challenge_with(struct scram *scram, const struct account *account, struct span nonce,
                            char out[SCRAM_MESSAGE_MAX]);
/* binding: the channel binding data of the type the client named; empty without. Writes server-final. The work is the
 * same for a right and a wrong proof. */
enum scram_status scram_final(struct scram *scram, struct span message, struct span binding,
                              char out[SCRAM_MESSAGE_MAX], size_t *out_size);
