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

struct stream;

/* Told of streams between servers at each router that is tapped: what they say when it is given to the io, what they
 * read when it comes out of the io or the TLS engine, and their end. witness.h makes sense of it. */
struct wiretap_watcher {
    void (*said)(void *context, const struct stream *stream, struct span bytes);
    void (*read)(void *context, const struct stream *stream, struct span bytes);
    void (*closed)(void *context, const struct stream *stream);
    void *context;
};

/* NULL: nobody watches. */
void wiretap_watch(const struct wiretap_watcher *watcher);
/* The router's own handler, with ears. */
const struct io_handler *wiretap_handler(void);
/* Connections dialled by routers that it has tapped so far: they count as tapped and not as accepted. */
unsigned wiretap_dialled(void);
