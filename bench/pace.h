/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Pace: readers that are slow on purpose (--read-rate): the second session of each pair is not read by us for as long
 * as what it has read would take at that rate; its kernel fills up, and then the server's queue. When the load is over
 * all is read as it comes, so that nothing may be missing in the end.
 *
 * Thread:  its fleet's.
 */
#include "core/base/span.h"

struct client;
struct fleet;

/* So many bytes have come from the server for that client. */
void pace_received(struct client *client, size_t size);
/* Reads on where it is time to. Returns the millisecond at which to be called again, as io's turn does. */
uint64_t pace_turn(struct fleet *fleet);
