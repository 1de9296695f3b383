/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Unsent: what waited for a session whose connection is gone goes back to its senders (RELIABILITY s2.3): messages and
 * iq requests as errors; presence and answers are dropped by rule. The books are set right: these stanzas were counted
 * as delivered.
 *
 * Thread:  the session's shard, after the session is out of the table.
 */
struct chain;
struct shard;

/* out begins at a stanza's start: the io takes whole stanzas. Ends at our own stream error or end tag. */
void unsent_return(struct shard *shard, const struct chain *out);
