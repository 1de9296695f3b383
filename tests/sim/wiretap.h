/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Wiretap: keeps what a simulated router says to other servers, whoever they are, in both roles.
 *
 * Between two routers no test is there to listen, and TLS hides the words on the wire. So it listens where a stream
 * gives them away: the linker puts it before engine_write(), engine_write_kept() and io_send() (meson.build). Each
 * connection is tapped by number (tap.h) from its first moment, at each router that has an end of it.
 */
#include "io/io.h"

#include <stdint.h>

/* The router's own handler, with ears. */
const struct io_handler *wiretap_handler(void);
/* Connections dialled by routers that it has tapped so far: they count as tapped and not as accepted. */
unsigned wiretap_dialled(void);
