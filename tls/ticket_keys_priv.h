/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Ticket keys: seal and open session tickets (RFC 5077 s4, RFC 8446 s4.6.1) with AES-256-GCM.
 *
 * A sealed ticket is bound to a domain name, which is authenticated with it: on another domain it does not open. The
 * newest key seals; every key that is not older than TICKET_KEY_LIFE_S opens.
 *
 * Thread:  any; a mutex held for a copy of one key (a ticket costs one handshake, 0.2 ms, and 50 ns here).
 * Bounds:  TICKET_KEY_COUNT keys.
 */
#include "tls/context.h"

#define TICKET_KEY_COUNT     4u
#define TICKET_KEY_SEAL_S    14400u /* then a new key seals */
#define TICKET_KEY_LIFE_S    43200u /* then tickets of a key are refused: forward secrecy ends here at the latest */
#define TICKET_KEY_NAME_SIZE 16u
#define TICKET_KEY_IV_SIZE   12u
#define TICKET_KEY_TAG_SIZE  16u

/* What stands around the sealed bytes on the wire. */
struct ticket_frame {
    uint8_t *name; /* TICKET_KEY_NAME_SIZE */
    uint8_t *iv;   /* TICKET_KEY_IV_SIZE */
    uint8_t *tag;  /* TICKET_KEY_TAG_SIZE */
    /* How many resumptions lie between the ticket and the last full handshake. Authenticated, in the clear. */
    uint8_t *generation;
    uint32_t
        era; /* of the context that gives or takes it. Authenticated, and not there: a ticket of another one is none */
};

/* A ticket of this generation is refused: the chain of resumptions ends with a full handshake. The library counts them
 * in one byte (the ticket_nonce of RFC 8446 s4.6.1) and fails the handshake when that is full. */
#define TICKET_GENERATION_MAX 64u

enum ticket_status { TICKET_OK, TICKET_REFUSED, TICKET_ERROR };

/* In place. */
enum ticket_status ticket_keys_seal(struct ticket_keys *keys, struct span domain, struct ticket_frame frame,
                                    uint8_t *bytes, size_t size) __attribute__((warn_unused_result));
enum ticket_status ticket_keys_open(struct ticket_keys *keys, struct span domain, struct ticket_frame frame,
                                    uint8_t *bytes, size_t size) __attribute__((warn_unused_result));
/* For tests: as if so much time had passed. */
void ticket_keys_age(struct ticket_keys *keys, uint32_t seconds);
