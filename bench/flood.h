/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Flood: connections that never log in: what an attacker, or a broken client, holds against a server. Each says nothing
 * at all (tcp), one TLS hello and no more (hello: the server has then done all its work), or comes through the
 * handshake and opens no stream (tls); then it waits for the server to end it. Ended within half a second: the server
 * did not want it; later: its time was up. Another one takes its place, as fast as --login-rate says.
 *
 * Thread:  its fleet's.
 */
#include "bench/fleet.h"

extern const struct io_handler flood_io_handler; /* context: the fleet; owner of a connection: its client */

void flood_dial(struct client *client);
/* Cuts all. */
void flood_end(struct fleet *fleet);
void flood_free(struct fleet *fleet);
