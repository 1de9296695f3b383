/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sasl, for the files of the mechanisms: an exchange that runs, and what a step of it can answer. A step takes the
 * client's decoded message and ends with one of these answers.
 */
#include "router/store/account.h"
#include "router/stream/mechanism.h"
#include "router/stream/sasl.h"
#include "router/stream/scram.h"

struct verify;

struct sasl {
    const struct mechanism *mechanism;
    struct scram scram;
    char binding_name[32]; /* of the channel binding the client chose; empty: none */
    struct span bare;      /* the account that wants in, allocated; empty before the first message */
    struct span password;  /* PLAIN: prepared, while the account is fetched; allocated, wiped */
    struct account account;
    struct verify *verify; /* PLAIN, while the password is judged */
    bool is_unknown;       /* there is no such account: the exchange runs to its end and fails */
    bool is_disabled;      /* there is, and its owner learns so once he has proved that he is it */
    bool is_store_down;
};

/* <challenge/>, <success/>, and in sasl.h <failure/>; the exchange is gone behind a failure and behind success. */
enum nego_event sasl_challenge(struct stream *stream, struct span data);
enum nego_event sasl_succeed(struct stream *stream, struct span data);
/* The stream waits, held, until the store answers: EV_ACCOUNT. */
enum nego_event sasl_fetch_account(struct stream *stream);

/* The account's bare JID from the name that the client gave; false when it is no localpart, or memory is refused. */
bool sasl_take_name(struct stream *stream, struct span name);
/* RFC 6120 s6.3.8: an authorization identity, if there is one, is the account itself. */
bool sasl_authzid_is_own(const struct sasl *sasl, struct span authzid);
/* Wipes, frees, and makes it empty. */
void sasl_span_free(struct span *bytes);

/* sasl_scram.c: the client's messages, and the account that was fetched between them. */
enum nego_event sasl_scram_step(struct stream *stream, struct span message);
enum nego_event sasl_scram_account(struct stream *stream);
/* sasl_plain.c */
enum nego_event sasl_plain_step(struct stream *stream, struct span message);
enum nego_event sasl_plain_account(struct stream *stream);
/* sasl_external.c; and what is answered to who asks for EXTERNAL without being offered it. */
enum nego_event sasl_external_step(struct stream *stream, struct span message);
enum nego_event sasl_external_account(struct stream *stream);
enum sasl_error sasl_external_refusal(const struct stream *stream);
/* sasl_anonymous.c */
enum nego_event sasl_anonymous_step(struct stream *stream, struct span message);
enum nego_event sasl_anonymous_account(struct stream *stream);
