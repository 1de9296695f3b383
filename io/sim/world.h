/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * World: the other side of the simulated io: peers, wires, the clock and the dice of one test, all in one thread.
 *
 * A world holds a group's shards (each made by io_new() as in the real program, but never given io_run()) and peers
 * that a test plays. world_step() delivers one seeded batch of events: completions in a random order within what the
 * real io allows, bytes in random pieces, partial writes, delayed closes, descriptors in flight between shards. Same
 * seed, same run.
 *
 * Thread:  the test's; everything runs inside world_step() and the calls here.
 */
#include "io/io.h"

struct world;
struct peer;

struct world_chaos {
    bool cut_receives;            /* bytes arrive in random pieces, down to single ones */
    bool cut_sends;               /* sends complete in parts */
    bool delay;                   /* completions wait a random while; order across connections is shuffled */
    bool buffers_run_out;         /* receives stop and start again */
    uint32_t receive_max;         /* no piece is larger; 0: the shard's buffer_size */
    uint32_t handoff_fail_one_in; /* so often the target shard refuses; 0: only when it is full */
};

/* What answers at a port where no listener of the world is. */
enum world_far {
    FAR_REFUSES, /* ECONNREFUSED; the default */
    FAR_ACCEPTS, /* world_accept() hands out the peer */
    FAR_SILENT,  /* the dial stays open until the router gives up */
};

/* chaos may be NULL: none. */
struct world *world_new(uint64_t seed, const struct world_chaos *chaos);
/* Every io of the world has been freed; peers left are freed here. io_free() checks that the pool of the shard has all
 * its chunks back; connections that were open then, without io_stop(), are reported here on standard error. */
void world_free(struct world *world);
/* The group to hand to io_new(); io_group_new() is not used in a simulation. Each call makes another group: several
 * routers can meet in one world, told apart by the addresses they listen on. The world owns it. */
struct io_group *world_group(struct world *world, unsigned shard_count);
/* Delivers a batch; false when nothing is left to do now (only timers are pending). */
bool world_step(struct world *world);
/* Steps until idle, or max_steps; false then. */
bool world_settle(struct world *world, unsigned max_steps);
/* Moves both clocks; timers fire in the next step. */
void world_advance(struct world *world, uint64_t ms);
uint64_t world_now_ms(const struct world *world);
/* The earliest deadline of all shards, and of dials that are answered late: where to advance to; UINT64_MAX when no
 * timer runs. */
uint64_t world_deadline_ms(const struct world *world);
/* Only the wall clock jumps (it starts at 2026-01-01T00:00:00Z). */
void world_jump_wall(struct world *world, int64_t ms);
/* Connections of all shards, those between two shards included. */
uint32_t world_open_count(const struct world *world);
/* A hash over every event so far: equal for equal seeds and equal programs. */
uint64_t world_trace(const struct world *world);
/* A stalled shard takes no step until it is let go: a reactor stuck in a handler. */
void world_set_stalled(struct io *io, bool is_stalled);
/* For dials to that port, whatever the address; port 0 stands for all others. */
void world_set_far(struct world *world, uint16_t port, enum world_far does);
/* The same for one address, "192.0.2.1" or "2001:db8::1", which is stronger. Whatever is there, a listener of the world
 * too, answers so long after the dial by the virtual clock. */
void world_set_far_at(struct world *world, const char *host, uint16_t port, enum world_far does, uint64_t delay_ms);
/* The number of the wire under a connection that a router has dialled, at both its ends; 0: it is not dialled, or not
 * connected yet. The first is 1, so a test can name one before it is there. */
uint64_t world_wire(const struct io_conn *conn);
/* The network cuts it: both ends meet a reset, and of what was under way a part may still arrive (under chaos.delay how
 * much is chance, otherwise all of it). False: it is not connected. */
bool world_break(struct io_conn *conn);
/* The same to that wire, which may be still to come, as soon as one end (0: who dialled, 1: who was dialled) has read
 * so many bytes from it; that end reads no more. One at a time; wire 0: none. */
void world_break_after(struct world *world, uint64_t wire, unsigned end, uint64_t bytes);
/* It has not happened yet. */
bool world_will_break(const struct world *world);
/* Wires so far: the number of the newest. */
uint64_t world_wires(const struct world *world);
/* The oldest connection dialled to a FAR_ACCEPTS port and not yet handed out; NULL: none. */
struct peer *world_accept(struct world *world);

/* A peer connects to the listener of that tag on that shard. */
struct peer *peer_connect(struct world *world, unsigned shard, unsigned tag);
/* The same to a shard of any group of the world. */
struct peer *peer_connect_to(struct io_group *group, unsigned shard, unsigned tag);
/* The same with the address that the router sees, to a shard of any group of the world. */
struct peer *peer_connect_from(struct io_group *group, unsigned shard, unsigned tag, const struct sockaddr *from);
/* Its own address, or the one that was dialled. */
const struct sockaddr *peer_address(const struct peer *peer);
void peer_send(struct peer *peer, struct span bytes);
/* All the peer has received and not yet taken. */
struct span peer_received(const struct peer *peer);
/* That text is among it. */
bool peer_has(const struct peer *peer, const char *text);
void peer_take(struct peer *peer, size_t size);
/* A peer that stops reading fills its window. */
void peer_set_window(struct peer *peer, size_t bytes);
void peer_end(struct peer *peer);             /* FIN */
void peer_reset(struct peer *peer);           /* RST: what the router has not received may be lost */
bool peer_is_ended(const struct peer *peer);  /* the router sent FIN */
bool peer_is_closed(const struct peer *peer); /* the connection is gone */
bool peer_is_reset(const struct peer *peer);  /* it went with an RST from the router */
/* Closes first, as a process that exits does: with unread bytes that is a reset. */
void peer_free(struct peer *peer);
