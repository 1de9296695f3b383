/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Feature: how an extension plugs in: one const struct in a file of its own and one line in registry.c. The core knows
 * none of them by name.
 *
 * Thread:  answers run on the shard of the stream that asks.
 */
#include "router/route/reply.h"

struct shard;

struct iq_request {
    struct shard *shard;
    struct chain *out; /* where the answer is written */
    struct jid asker;  /* full JID of a session, or whoever asks from another domain */
    const struct xml_stanza *stanza;
    const struct stanza_head *head; /* get or set, with an id */
    bool to_account;                /* to the sender's own account, not to the server */
};

/* Writes a whole answer with iq_answer() and says NO_STANZA_ERROR; or writes nothing and says what is wrong. */
typedef enum stanza_error (*iq_answer_fn)(const struct iq_request *request);

enum iq_target { TO_SERVER = 1, TO_ACCOUNT = 2 };

struct iq_route {
    enum stanza_type type; /* TYPE_GET or TYPE_SET */
    enum xml_ns ns;
    const char *name; /* NULL ends the list */
    unsigned targets; /* enum iq_target */
    iq_answer_fn answer;
};

struct feature {
    const char *spec;
    const char *const *disco; /* announced by disco#info of whom a route is for, NULL-terminated; may be NULL */
    const struct iq_route *iq;
};

extern const struct feature *const feature_registry[]; /* NULL-terminated */

/* Finds the route for a request and runs it; <service-unavailable/> when there is none (RFC 6120 s8.4). */
enum stanza_error feature_answer(const struct iq_request *request);
/* The frame of a result to the asker, left open. */
struct xml_writer iq_answer(const struct iq_request *request);
/* The request's payload: index of the one child element. */
uint32_t iq_payload(const struct iq_request *request);
