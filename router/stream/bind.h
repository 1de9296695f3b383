/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Bind: resource binding (RFC 6120 s7), an action of the negotiation table.
 *
 * Thread:  the account's owner shard.
 */
#include "router/stream/nego.h"

/* EV_NONE: a session exists and the result is written. EV_FAILURE: refused with a stanza error, to be tried again. */
enum nego_event bind_resource(struct stream *stream, const struct xml_stanza *stanza);
bool bind_is_request(const struct xml_stanza *stanza);
/* An iq request that is not namespace-well-formed: bind_resource() refuses it. */
bool bind_is_misnamed(const struct xml_stanza *stanza);
