/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Traffic: what bound sessions send, and the check of what arrives.
 *
 * Every body carries the sender's sequence number and the time it was written (rate: was due), then padding that is
 * known. The recipient holds each message against its partner's sequence, 'from' and padding: lost, duplicated,
 * reordered and corrupt ones are told apart and counted.
 */
#include "core/xml/tape.h"

#include <stdint.h>

#define TRAFFIC_BODY_MIN 24u /* 8 digits of sequence, 16 of time */
#define TRAFFIC_BODY_MAX 200000u

struct client;
struct fleet;

/* The load begins: every session of this fleet fills its window. */
void traffic_begin(struct fleet *fleet);
/* An element for a bound session. */
void traffic_stanza(struct client *client, const struct xml_stanza *stanza);
/* Sends what is due. Returns the millisecond at which to be called again, as io's turn does. */
uint64_t traffic_turn(struct fleet *fleet);
/* Padding for bodies of that size; the caller frees it. */
char *traffic_padding(uint32_t body);
