/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sim: what the files of the simulated io share: the world, its shards (struct io), their connections, and the
 * operations that wait for a step. Nothing here leaves the folder.
 */
#include "io/sim/dice_priv.h"
#include "io/sim/wire_priv.h"
#include "io/sim/world.h"

#include <stdatomic.h>

/* Something the kernel would complete: collected at the start of a shard's step, carried out in seeded order. */
enum sim_op {
    SIM_ACCEPT,
    SIM_DIAL,
    SIM_RECEIVE,
    SIM_SEND,
    SIM_SHUTDOWN,
    SIM_CLOSE,
    SIM_DEPART,
    SIM_ARRIVE,
    SIM_RETURN,
    SIM_TURN, /* not an operation: a line of the trace */
};

enum sim_state {
    SIM_DIALLING,
    SIM_OPEN,
    SIM_HANDING,   /* io_handoff() was called, departing was not */
    SIM_TRANSIT,   /* between departing and arrived: no callback, no call */
    SIM_RETURNING, /* the other shard refused it */
    SIM_BROKEN,    /* closed(error) is coming unasked */
    SIM_CLOSING,   /* io_close() was called */
    SIM_CLOSED,    /* inside the closed callback */
};

struct sim_conn {
    struct io_conn head;
    struct io *io;
    uint64_t magic; /* SIM_CONN_MAGIC while the struct lives */
    uint64_t serial;
    uint32_t slot;
    uint32_t active; /* 1 + index in io->active; 0: not there */
    enum sim_state state;
    int error;
    struct wire *wire;
    unsigned side;
    struct chain sending;
    size_t completed;   /* bytes at the front of the flow that the system has already received for us */
    bool end_completed; /* the same for the FIN */
    bool ended;         /* told */
    bool paused;
    bool shutdown; /* asked for; can_send is over */
    bool shut;     /* FIN is out */
    bool abort;    /* close with a reset */
    uint64_t receive_due;
    uint64_t send_due;
    uint64_t due;           /* of the one other operation that its state allows */
    uint64_t starved_until; /* no receive buffer before that step */
    struct transit *transit;
    unsigned target;
    void *parcel;
    uint64_t answer_ms;             /* dialled: by the world's clock, not before that it is answered */
    struct sockaddr_storage remote; /* dialled */
    struct sockaddr_storage local;
};

#define SIM_CONN_MAGIC 0x736c756963652121u

/* A connection in a listener's backlog. */
struct call {
    struct call *next;
    struct wire *wire;
    unsigned side;
    unsigned tag;
    uint64_t due;
    struct sockaddr_storage from;
};

/* A descriptor on its way to another shard. */
struct transit {
    struct transit *next;
    struct wire *wire;
    unsigned side;
    bool ended;
    bool shut;
    void *parcel;
    struct io *source;            /* NULL: freed meanwhile */
    struct sim_conn *source_conn; /* keeps its slot there until the target has answered */
    uint64_t due;
};

struct batch_entry {
    enum sim_op op;
    void *subject; /* sim_conn, call or transit, by op */
};

struct slot {
    struct sim_conn *conn;
    uint32_t generation;
    uint32_t next_free; /* 1 + index */
};

struct io {
    struct world *world;
    struct io_group *group;
    unsigned shard;
    struct io_config config;
    struct io_handler handler;
    void *context;
    struct counters *counters;
    struct chunk_pool pool;
    struct dice entropy; /* its own, so that asking for randomness does not change the order of events */
    struct slot *slots;
    uint32_t slot_count;
    uint32_t slot_free;
    uint32_t conn_count;
    struct sim_conn **active; /* may have something to do; NULL where one left */
    size_t active_count, active_capacity;
    struct batch_entry *batch;
    size_t batch_count, batch_capacity;
    struct call *calls;
    struct transit *arriving;
    uint64_t deadline;
    uint64_t answer_ms; /* when the first of the dials that wait is answered; UINT64_MAX: none waits */
    uint64_t wake_due;  /* step; 0: none */
    bool pending;       /* something waits for a later step */
    bool listening;
    bool is_holding; /* io_hold_accepts() */
    bool stalled;
    bool stopped;
    _Atomic bool notified;
    _Atomic bool stop;
};

struct listener {
    struct sockaddr_storage address; /* family AF_UNSPEC: any */
    uint16_t port;
    unsigned tag;
};

struct io_group {
    struct io_group *next;
    struct world *world;
    struct io **ios;
    unsigned shard_count;
    struct listener *listeners;
    size_t listener_count;
    bool started;
    bool abandoned;
};

struct far {
    struct sockaddr_storage address; /* family AF_UNSPEC: any */
    uint16_t port;                   /* 0: any */
    enum world_far does;
    uint64_t delay_ms;
};

struct world {
    uint64_t seed;
    struct world_chaos chaos;
    struct dice dice;
    uint64_t step;
    uint64_t serial;
    uint64_t wire_count; /* dialled */
    uint64_t cut_wire;   /* world_break_after() */
    unsigned cut_end;
    uint64_t cut_bytes;
    uint64_t trace;
    uint64_t now_ms;
    int64_t wall_ms;
    struct io_group *groups;
    struct io **order; /* of the current step */
    size_t order_count;
    struct peer *peers;   /* all */
    struct peer *dialled; /* first in, first out: not yet taken by world_accept() */
    struct far *fars;
    size_t far_count;
    uint16_t port_next;
    struct io *running; /* its callbacks are on the stack */
    bool stepping;
    bool was_busy;
    uint32_t dropped; /* connections open when their io was freed */
};

struct peer {
    struct peer *next;
    struct peer *next_dialled;
    struct world *world;
    struct wire *wire;
    struct sockaddr_storage address; /* its own, or the one that was dialled */
};

/* world.c */
/* The step in which something that happens now is told. */
uint64_t sim_due(struct world *world);
void sim_trace(struct io *io, enum sim_op op, uint64_t serial, uint64_t value);
void sim_trace_bytes(struct world *world, struct span bytes);

/* sim_shard.c */
/* Every call of io.h comes through here: the shard that calls is the shard that runs. */
void sim_enter(const struct io *io);
bool sim_shard_step(struct io *io);
void sim_batch_add(struct io *io, enum sim_op op, void *subject);
/* Schedules op when it is not yet, adds it to the batch when it is due. */
void sim_want(struct io *io, enum sim_op op, void *subject, uint64_t *due);
void sim_drop_connections(struct io *io);
struct sim_conn *sim_slot_take(struct io *io);
void sim_slot_give(struct sim_conn *conn);

/* sim_conn.c */
struct sim_conn *sim_conn_of(struct io *io, struct io_conn *conn);
struct sim_conn *sim_conn_attach(struct io *io, struct wire *wire, unsigned side);
void sim_conn_stir(struct sim_conn *conn);
/* Adds what is due to the batch; false when nothing can happen before someone stirs the connection. */
bool sim_conn_collect(struct sim_conn *conn);
void sim_conn_receive(struct sim_conn *conn);
void sim_conn_send(struct sim_conn *conn);
void sim_conn_shut(struct sim_conn *conn);
void sim_conn_finish(struct sim_conn *conn);
void sim_conn_break(struct sim_conn *conn, int error);
/* Away without a callback; the wire is closed. */
void sim_conn_drop(struct sim_conn *conn);

/* sim_move.c */
void sim_call_add(struct io *io, struct wire *wire, unsigned side, unsigned tag, const struct sockaddr *from);
void sim_calls_collect(struct io *io);
void sim_call_accept(struct io *io, struct call *call);
void sim_calls_refuse(struct io *io);
bool sim_dial_is_lost(const struct sim_conn *conn);
void sim_dial_finish(struct sim_conn *conn);
void sim_depart(struct sim_conn *conn);
void sim_transits_collect(struct io *io);
void sim_arrive(struct io *io, struct transit *transit);
void sim_return(struct sim_conn *conn);
void sim_transits_drop(struct io *io);

/* sim_group.c */
const struct listener *sim_listener_at(struct world *world, const struct sockaddr *address, struct io_group **group);
const struct listener *sim_listener_tagged(const struct io_group *group, unsigned tag);
void sim_address_copy(struct sockaddr_storage *to, const struct sockaddr *from);
struct far sim_far(const struct world *world, const struct sockaddr *address);

/* peer.c */
struct peer *sim_peer_new(struct world *world, struct wire *wire, const struct sockaddr *address);
