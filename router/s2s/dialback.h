/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Dialback (XEP-0220, keys by XEP-0185): proof of a domain by asking its own servers, found over DNS. Weaker than a
 * certificate; used where s2s.policy allows it.
 *
 * A key is an HMAC of receiving domain, originating domain and stream id under the process's secret: nothing is kept
 * to recognise it, on whatever shard the question comes.
 *
 * Thread:  the stream's shard.
 */
#include "router/stream/nego.h"

#include <stdbool.h>
#include <stdint.h>

struct contact;
struct s2s;
struct shard;
struct xml_stanza;

#define DIALBACK_KEY_SIZE 64u  /* hexadecimal digits */
#define DIALBACK_ID_MAX   256u /* bytes of the other side's stream id: both places that read one take no more */

/* Domains as prepared. Of the id no more than DIALBACK_ID_MAX bytes count. */
void dialback_key(struct span secret, struct span receiving, struct span originating, struct span stream_id,
                  char out[DIALBACK_KEY_SIZE]);

/* <db:result/> or <db:verify/> on a stream, proven or not: key, question or answer. What follows for its negotiation:
 * EV_SUCCESS or EV_FAILURE when it answers what an outgoing stream asked. */
enum nego_event dialback_take(struct s2s *s2s, const struct xml_stanza *stanza);
/* out: is it the word that lets our pair in? */
bool dialback_lets_in(const struct s2s *s2s, const struct xml_stanza *stanza);
/* out: asks to be let in for the stream's pair. */
void dialback_ask(struct s2s *s2s);

/* in: a key that somebody sent is being verified by a contact of its own. */
struct dialback_check {
    uint64_t stream_ref;
    struct span ours;   /* allocated */
    struct span theirs; /* allocated */
    char stream_id[33];
    char key[256];
    uint16_t key_size;
    bool is_by_dane; /* TLSA records vouch for the server that was asked */
};

enum dialback_result {
    DIALBACK_VALID,
    DIALBACK_INVALID,
    DIALBACK_UNREACHABLE, /* nobody was reached, or no word came */
    DIALBACK_NOT_FOUND,   /* the domain has no server, or who should be its server says that it is not */
};

/* out, of a contact for a check: asks the authoritative server. */
void dialback_verify(struct s2s *s2s, const struct dialback_check *check);
/* The check is over: tells the stream that sent the key, if it is still there, and frees the check. */
void dialback_checked(struct shard *shard, struct dialback_check *check, enum dialback_result result);
/* in: they may speak for the first pair, from now on. */
void dialback_grant(struct s2s *s2s, struct span theirs, struct span ours);
void dialback_check_free(struct dialback_check *check);
