/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Unsent: what waited for a session whose connection is gone goes back to its senders (RELIABILITY s2.3): messages and
 * iq requests as errors; presence and answers are dropped by rule. The books are set right: these stanzas were counted
 * as delivered, or as waiting for another server.
 *
 * Thread:  the session's shard, after the session is out of the table.
 */
#include "core/base/counters.h"
#include "core/xml/tape.h"
#include "router/route/reply.h"

struct shard;

typedef void (*unsent_fn)(void *context, const struct xml_stanza *stanza);

/* Each stanza of out, in order; what else is there is passed over. out begins at an element's start: the io takes whole
 * elements. Ends at our own stream error or end tag. content: the stream's content namespace. */
void unsent_walk(struct shard *shard, const struct chain *out, enum xml_ns content, unsent_fn each, void *context);
/* error: for messages and iq requests. counted: as what they stand in the books so far. */
void unsent_return(struct shard *shard, const struct chain *out, enum xml_ns content, enum counter counted,
                   enum stanza_error error);
