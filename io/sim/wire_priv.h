/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Wire: one TCP connection of the simulation, two flows between two ends, without a network.
 *
 * Each end is held by a shard's connection, by a peer of the test, or by neither while it waits (in a backlog, between
 * two shards). The flow toward an end is that end's receive buffer: what lies there has arrived and is unread.
 *
 * Owns:    the bytes. The wire is freed when both ends have been let go.
 * Bounds:  a flow takes at most its window of unread bytes from a connection; a peer's bytes are never refused.
 */
#include "core/base/span.h"

#include <stdint.h>

/* The receive window of a connection: what a dialling shard may have ahead of the accepting one. */
#define WIRE_WINDOW 65536u

struct sim_conn;
struct peer;

struct flow {
    char *bytes;
    size_t start;
    size_t size; /* unread */
    size_t capacity;
    size_t window;
    uint64_t passed; /* bytes read so far */
    bool ended;      /* FIN stands behind the last byte */
};

struct wire_end {
    struct sim_conn *conn;
    struct peer *peer;
    bool closed;   /* this end is gone */
    bool reset;    /* RST has arrived here; the next call on the socket tells */
    bool released; /* nobody holds this end any more */
};

struct wire {
    uint64_t number;     /* of dialled ones, from 1 */
    struct flow flow[2]; /* flow[i]: toward end i */
    struct wire_end end[2];
};

struct wire *wire_new(void);
/* Room that the other end grants to a sender at side; SIZE_MAX when it is gone (it will answer with a reset). */
size_t wire_room(const struct wire *wire, unsigned side);
/* Bytes from side to the other end. */
void wire_put(struct wire *wire, unsigned side, struct span bytes);
/* Unread bytes at side, one contiguous run; valid until the next put. */
struct span wire_front(const struct wire *wire, unsigned side);
void wire_consume(struct wire *wire, unsigned side, size_t size);
/* FIN from side. */
void wire_end_flow(struct wire *wire, unsigned side);
/* As close(2) does: FIN, or RST when unread bytes are lost by it (RFC 1122 s4.2.2.13). */
void wire_close(struct wire *wire, unsigned side);
/* RST from side; of what the other end has not read, only the first `kept` bytes can still be read there. */
void wire_reset(struct wire *wire, unsigned side, size_t kept);
/* RST on the way to both ends at once; end i can still read the first kept[i] bytes. */
void wire_break(struct wire *wire, const size_t kept[2]);
void wire_release(struct wire *wire, unsigned side);
/* Something changed for the end at side: a connection there looks again. */
void wire_stir(struct wire *wire, unsigned side);
