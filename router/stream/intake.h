/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Intake: one top-level element of a bound stream: is it a stanza, whose is it, what is wrong with it; then it is
 * stamped and routed (RFC 6120 s8, s10).
 *
 * Thread:  the stream's shard.
 */
#include "core/xml/tape.h"

struct stream;

void intake_element(struct stream *stream, const struct xml_stanza *stanza);
/* The same behind our own end tag: what is for others is routed, the rest has no answer any more and is dropped. */
void intake_last(struct stream *stream, const struct xml_stanza *stanza);
/* The same for one that is not namespace-well-formed: a stanza is answered <not-acceptable/> and goes nowhere, any
 * other element ends the stream (RFC 6120 s11.3, rule 4). */
void intake_misnamed(struct stream *stream, const struct xml_stanza *stanza);
/* The answer to an element that is none. */
void intake_not_a_stanza(struct stream *stream, const struct xml_stanza *stanza);
