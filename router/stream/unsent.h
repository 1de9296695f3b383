/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Unsent: what waited for a session whose connection is gone goes back to its senders (RELIABILITY s2.3): messages and
 * iq requests as errors; presence and answers are dropped by rule. The books are set right: these stanzas were counted
 * as delivered.
 *
 * Thread:  the session's shard, after the session is out of the table.
 */
#include "router/route/reply.h"

struct shard;

/* out begins at a stanza's start: the io takes whole stanzas. Ends at our own stream error or end tag. content: the
 * stream's content namespace. error: for messages and iq requests. */
void unsent_return(struct shard *shard, const struct chain *out, enum xml_ns content, enum stanza_error error);
/* The stanzas alone, for another stream: copied to the end of stanzas. */
void unsent_collect(struct shard *shard, const struct chain *out, enum xml_ns content, struct chain *stanzas);
