/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Io: the reactor of one shard as the router sees it: connections, bytes, time, randomness, wake-ups. Nothing above
 * this header opens a descriptor, reads a clock or asks for entropy.
 *
 * Two implementations, chosen when a program is linked: io/ring (io_uring) and io/sim (memory, virtual clock, seed).
 * The header is free of both vocabularies.
 *
 * Life of a connection:
 *   accepted | dialled | arrived -> received* , sent* -> io_close() -> closed
 *                                 \-> io_handoff() -> departing -> (on the other shard) arrived
 * closed is the last word: nothing is in flight any more and the struct is gone when it returns. After io_close() no
 * other callback comes for the connection but closed.
 *
 * Thread:  one io per thread; every call but io_notify() and io_stop() belongs to that thread. Callbacks run inside
 *          io_run() on it. A callback may call anything here on any connection of the same io.
 * Errors:  errno values, positive.
 */
#include "core/base/chain.h"
#include "core/base/counters.h"
#include "core/base/err.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

struct io;
struct io_group;

/* The public head of a connection; the implementation's fields follow it. */
struct io_conn {
    void *owner; /* the router's: set in accepted or arrived */
};

struct io_handler {
    /* A peer connected to the listener of that tag. */
    void (*accepted)(void *shard, struct io_conn *conn, unsigned tag, const struct sockaddr *peer);
    /* io_dial() came through (error 0) or did not (closed follows by itself). */
    void (*dialled)(void *shard, struct io_conn *conn, int error);
    /* Bytes, borrowed until return; all of them count as taken. */
    void (*received)(void *shard, struct io_conn *conn, struct span bytes);
    /* The peer will send nothing more (FIN). Sending still works. */
    void (*ended)(void *shard, struct io_conn *conn);
    /* The chain given to io_send() has gone out whole: io_can_send() again. */
    void (*sent)(void *shard, struct io_conn *conn);
    /* error: 0 after io_close(), else the errno that broke the connection (then it comes unasked). */
    void (*closed)(void *shard, struct io_conn *conn, int error);
    /* Last call before the connection leaves for another shard: the parcel must be ready; conn->owner is no longer
     * this shard's after return. No callback for conn follows here, except handoff_failed. */
    void (*departing)(void *shard, struct io_conn *conn);
    /* The other shard could not take it: conn and parcel are this shard's again; close it. */
    void (*handoff_failed)(void *shard, struct io_conn *conn, void *parcel, int error);
    /* A connection came from another shard, not reading yet: io_resume() starts it. */
    void (*arrived)(void *shard, struct io_conn *conn, void *parcel);
    /* After each batch of completions and before sleeping: drain links, fire timers, flush. Returns the monotonic
     * millisecond at which to wake at the latest; 0: do not sleep; UINT64_MAX: no limit. */
    uint64_t (*turn)(void *shard);
};

struct io_config {
    uint32_t connection_max; /* slots of this shard */
    uint32_t entries;        /* submission queue entries, power of two */
    uint32_t completions;    /* completion queue entries, power of two */
    uint32_t buffer_count;   /* receive buffers of the shard, power of two */
    uint32_t buffer_size;    /* bytes each */
    uint32_t send_max;       /* bytes gathered into one send at most */
    int cpu;                 /* pin the thread there; -1: do not */
};

extern const struct io_config io_config_default;

/* All shards of a process: made before the threads, freed after them. */
struct io_group *io_group_new(unsigned shard_count, struct err *err);
void io_group_free(struct io_group *group);
/* Connections made from now on, of listeners opened from now on and dialled: the system asks a peer from which nothing
 * has come for idle_s seconds (up to IO_KEEPALIVE_MAX) whether it is still there, and breaks the connection when there
 * is no answer within a minute. 0, as at first: it does not. Before any io_new(). */
#define IO_KEEPALIVE_MAX 32400u
void io_group_keepalive(struct io_group *group, uint32_t idle_s);
/* Opens one listener per shard on address and port (0: any free one, told in *port), steered so that a connection
 * starts on the shard of the CPU that received it. Before any io_new(). Bind is retried for a moment when the port is
 * being torn down. */
bool io_group_listen(struct io_group *group, const char *address, uint16_t *port, unsigned tag, struct err *err);
/* Says what this kernel lacks, by doing it; before anything else. */
bool io_probe(struct err *err);

/* On the shard's own thread. Fails with the reason a person can act on. */
struct io *io_new(struct io_group *group, unsigned shard, const struct io_config *config,
                  const struct io_handler *handler, void *context, struct counters *counters, struct err *err);
/* Waits until every shard of the group has come here or to io_abandon(); false if some shard abandoned. */
bool io_ready(struct io *io);
void io_abandon(struct io_group *group);
/* Turns until io_stop(); returns when the last turn is over. Connections still open are closed without callbacks. */
void io_run(struct io *io);
void io_free(struct io *io);
void io_stop(struct io *io);   /* any thread */
void io_notify(struct io *io); /* any thread: the shard takes a turn soon */
/* From one shard to another of the group: the target takes a turn soon. Sent at most once per target and turn. */
void io_wake(struct io *io, unsigned shard);
/* What was asked for so far, sends and wake-ups, goes on its way now and not at the end of the turn: for a turn that
 * has long work before it. */
void io_submit(struct io *io);
/* A hint: something may have come for this shard since the turn began. */
bool io_has_news(const struct io *io);
/* New connections wait in the system's queue until they are wanted again; a few that were under way still come. */
void io_hold_accepts(struct io *io, bool is_held);
/* Stops accepting; established connections live on. */
void io_unlisten(struct io *io);

/* Time and entropy. Monotonic time is read once a turn; io_now_fresh_ns reads it again (latency measurements). */
uint64_t io_now_ms(const struct io *io);
uint64_t io_now_fresh_ns(const struct io *io);
int64_t io_wall_ms(const struct io *io);
void io_random(struct io *io, void *out, size_t size);
unsigned io_shard(const struct io *io);
struct chunk_pool *io_pool(struct io *io);
uint32_t io_conn_count(const struct io *io);

/* A reference that outlives the connection: io_find() answers NULL once it is closed. Never 0. */
uint64_t io_ref(const struct io_conn *conn);
struct io_conn *io_find(struct io *io, uint64_t ref);

/* local may be NULL; else its address (port 0) is the source. NULL when no slot is free. The first callback is dialled,
 * unless io_close() comes before it: until then the owner may be of another kind than that of an open connection. */
struct io_conn *io_dial(struct io *io, const struct sockaddr *local, const struct sockaddr *remote, void *owner);
/* Takes the whole chain, which must not be empty (it is afterwards). Only while io_can_send(). */
void io_send(struct io *io, struct io_conn *conn, struct chain *bytes);
/* Nothing is being sent, and the connection is neither shut down nor closing nor broken. */
bool io_can_send(const struct io_conn *conn);
/* No more reading: at most what the system had already completed is still delivered. */
void io_pause(struct io *io, struct io_conn *conn);
void io_resume(struct io *io, struct io_conn *conn);
/* FIN to the peer; reading goes on. */
void io_shutdown(struct io *io, struct io_conn *conn);
/* Idempotent. A send in flight is given up. closed comes from a later turn, never from inside this call. */
void io_close(struct io *io, struct io_conn *conn);
/* Like io_close(), but the peer sees a reset (bytes not yet sent are thrown away). */
void io_reset(struct io *io, struct io_conn *conn);
/* Moves the connection: stops reading, waits for what is in flight (received and sent may still be called), calls
 * departing, passes it on. The parcel travels with it; if the connection is closed or breaks before departing, closed
 * comes instead and the parcel stays the caller's. Not to the own shard. A FIN that comes meanwhile is told there. */
void io_handoff(struct io *io, struct io_conn *conn, unsigned shard, void *parcel);
