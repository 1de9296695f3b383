/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Route: where a stanza of a bound stream goes (RFC 6120 s10).
 *
 * route_verdict() is a pure function of the head, the sender and our domains. route_stanza() carries the verdict out:
 * answered here, or stamped and given to deliver as a letter.
 *
 * Thread:  the sender's shard.
 */
#include "router/route/reply.h"

struct policy;
struct stream;

enum verdict {
    VERDICT_BROADCAST, /* presence without 'to' (s10.3.2) */
    VERDICT_SERVER,    /* one of our domains itself (s10.5.1) */
    VERDICT_ACCOUNT,   /* an iq to nobody or to the sender's own bare JID (s10.3.3, s10.5.3.2): answered here */
    VERDICT_USER,      /* an address at one of our domains (s10.5.3, s10.5.4) */
    VERDICT_SERVICE,   /* a resource of one of our domains (s10.5.2): there are none */
    VERDICT_REMOTE,    /* another domain (s10.4) */
};

enum verdict route_verdict(const struct policy *policy, const struct stanza_head *head, struct span own_bare);
void route_stanza(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head);
/* The stanza is refused: an error to its sender, unless it is an error or a result itself (s8.3.1). */
void route_refuse(struct stream *stream, const struct stanza_head *head, enum stanza_error error, const char *text);
