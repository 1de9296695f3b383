/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Tap: keeps what the router sends to simulated peers, for tests/schema; to other servers by wiretap.h.
 *
 * With SL_TAP=FOLDER in the environment each connection gets a file PROGRAM-PID-NUMBER.xml there, with the plain text
 * of all its streams in order. Without it nothing is written, but the connections are counted all the same: rig_free()
 * fails when the router has accepted one that nobody tapped.
 */
#include "core/base/span.h"

unsigned tap_open(void); /* the number of a new connection, from 1 */
unsigned tap_count(void);
void tap_write(unsigned number, struct span bytes);
