/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Ill server: HTTP on loopback that says whatever it is told to, byte by byte: on 127.0.0.1 and 127.0.0.2, one port.
 *
 * Thread:  the test's; a thread for who listens and one for each connection are its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is said to who asks for a path, $PORT in it replaced. Then the connection is closed, when the peer has. */
struct ill_answer {
    const char *path;
    const char *first;
    const char *again; /* after it, for ever */
    unsigned delay_ms; /* before all of it */
    unsigned pause_ms; /* between two of the again; 0: as fast as it goes */
    bool is_endless;
    bool is_held; /* nothing more is said, nor the end */
};

struct ill_server;

/* NULL: there is no port to listen on. The answers are not copied. */
struct ill_server *ill_server_new(const struct ill_answer *answers, size_t count);
void ill_server_free(struct ill_server *server);

void ill_server_spell(const struct ill_server *server, const char *text, char *out, size_t size);
/* The last request, head and body. */
const char *ill_server_heard(struct ill_server *server);
unsigned ill_server_connections(struct ill_server *server);
uint64_t ill_server_sent(struct ill_server *server); /* bytes */
