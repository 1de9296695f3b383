/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Witness: follows numbered stanzas over the wires between simulated routers (wiretap.h).
 *
 * A stanza is numbered by a token anywhere in it, "#" and eight digits and "#": an id, so that the answer has it too.
 * The witness tells when the last byte of such a stanza was given to a wire, and when it was read from one; of a wire
 * it knows whether it was cut or came to its end. Nothing of the router is asked: what it believes is not evidence.
 */
#include "router/stream/stream.h"

#define WITNESS_TOKEN      "#%08u#"
#define WITNESS_TOKEN_SIZE 10u

/* One stanza passed one end of a wire: said or read by a stream of that router. */
typedef void (*witness_fn)(void *context, const struct router *router, uint64_t wire, unsigned number, bool is_read);

/* Until witness_end(). passed may be NULL. */
void witness_begin(witness_fn passed, void *context);
void witness_end(void);
/* The test cuts wires with world_break(), and says so here: what is on them may be lost. */
void witness_note_cut(uint64_t wire);
bool witness_is_cut(uint64_t wire);
/* Of both directions of all wires: stanzas said, read. */
uint64_t witness_said(void);
uint64_t witness_read(void);
