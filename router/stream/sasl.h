/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sasl: the exchange between <auth/> and <success/> or <failure/> (RFC 6120 s6), for c2s: SCRAM with and without
 * channel binding, PLAIN (only under TLS), EXTERNAL (by a certificate), ANONYMOUS (when enabled).
 *
 * Each function is an action of the negotiation table: it answers with the event that follows. The identity is set
 * once, from the mechanism's result (nego->jid), and never read from the wire again. An unknown user goes through the
 * same exchange as a known one, with keys that cannot match (s13.11).
 *
 * Thread:  the stream's shard.
 */
#include "router/stream/nego.h"

struct store_reply;

enum sasl_error {
#define SASL_ERROR(symbol, condition) SASL_##symbol,
#include "router/stream/sasl_errors.def"
#undef SASL_ERROR
};

void sasl_free(struct sasl *sasl);
/* The client's message in <auth/>, decoded into out of at least SASL_MESSAGE_MAX bytes; "=" is an empty one. False:
 * what is to be answered is in *error. */
#define SASL_MESSAGE_MAX 2048u
bool sasl_initial_response(const struct xml_stanza *stanza, char *out, struct span *message, enum sasl_error *error);

/* <failure/>: the exchange, if there is one, is gone; the table counts how often that happens. */
enum nego_event sasl_fail(struct stream *stream, enum sasl_error error);

enum nego_event sasl_begin(struct stream *stream, const struct xml_stanza *stanza);           /* <auth/> */
enum nego_event sasl_refuse_plain(struct stream *stream, const struct xml_stanza *stanza);    /* <auth/> before TLS */
enum nego_event sasl_refuse_response(struct stream *stream, const struct xml_stanza *stanza); /* without a challenge */
enum nego_event sasl_response(struct stream *stream, const struct xml_stanza *stanza);        /* <response/> */
enum nego_event sasl_abort(struct stream *stream, const struct xml_stanza *stanza);           /* <abort/> */
enum nego_event sasl_account(struct stream *stream, const struct xml_stanza *stanza);         /* the account is there */
enum nego_event sasl_inspected(struct stream *stream, const struct xml_stanza *stanza); /* EV_INSPECTED, or at once */
enum nego_event sasl_verified(struct stream *stream, const struct xml_stanza *stanza);  /* the password is judged */

/* The account was removed or disabled: an exchange for it that runs, whatever it has read of the account, will fail. */
void sasl_withdraw(struct stream *stream, struct span bare, bool is_removed);

/* The store's reply for a stream in STREAM_LOOKUP: keeps it and raises EV_ACCOUNT. */
void sasl_store_reply(struct stream *stream, const struct store_reply *reply);
