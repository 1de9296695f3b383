/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Border: what comes in from other servers (RFC 6120 s8.1.1.2, s8.1.2.2, s10.5): each stanza's addresses are held
 * against the pairs proven on its stream, then it is routed as ours are, in jabber:client.
 *
 * Thread:  the stream's shard.
 */
struct stream;
struct xml_stanza;

/* A top-level element of a stream that has been proven. */
void border_element(struct stream *stream, const struct xml_stanza *stanza);
/* The same for one that is not namespace-well-formed: as intake_misnamed(). */
void border_misnamed(struct stream *stream, const struct xml_stanza *stanza);
/* ... of one that we have closed in order: what was under way then is taken (RFC 6120 s4.4, rule 2). */
void border_late(struct stream *stream, const struct xml_stanza *stanza);
