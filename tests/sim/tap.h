/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Tap: keeps what the router sends to simulated peers, for tests/schema.
 *
 * With SL_TAP=FOLDER in the environment each connection gets a file sim-PID-NUMBER.xml there, with the plain text of
 * all its streams in order. Without it nothing is written.
 */
#include "core/base/span.h"

unsigned tap_open(void); /* the number of a new connection */
void tap_write(unsigned number, struct span bytes);
