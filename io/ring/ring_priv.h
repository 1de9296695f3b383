/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Ring: what the files of this folder share: the shard's io, its connections, the operations in flight.
 *
 * Every SQE carries a token in user_data: an operation, and for a connection its slab index and generation. A
 * completion is decoded in completion.c alone; the generation decides first whether anybody is still concerned.
 *
 * The kernel is an owner: a connection's `flying` has one bit for each operation of which a completion is still to
 * come, and the struct, its chain and its direct descriptor stay until all bits are clear.
 */
#include "core/base/check.h"
#include "core/base/slab.h"
#include "io/io.h"

#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

#define SHARD_MAX            256u
#define LISTENER_MAX         16u
#define ACCEPTS_PER_LISTENER 8u
#define ACCEPT_PAUSE_MS      100u
#define LISTEN_BACKLOG       4096
#define COMPLETIONS_PER_TURN 1024u
#define SEND_IOV_MAX         32u
#define BUFFER_GROUP         0
#define BUNDLE_SIZE          131072u /* received at once at most, in several buffers */
#define SLOT_NONE            UINT32_MAX
#define CONN_INDEX_MAX       ((1u << 24) - 1) /* the slab index has 24 bits of a token */
/* What a turn spends on telling ends, and how many in a row spend nothing while others want something: a storm of ends
 * must not keep a stanza waiting. */
#define ENDS_NS          50000u
#define ENDS_PUT_OFF_MAX 32u

/* Operations of a connection first: each is a bit of conn->flying. */
enum op {
    OP_RECV,
    OP_SEND,
    OP_CONNECT,
    OP_REGISTER, /* a dialled socket goes into the table of direct descriptors */
    OP_FIN,      /* shutdown of the sending half */
    OP_SEVER,    /* shutdown of both halves, or the reset */
    OP_CANCEL_RECV,
    OP_CANCEL_SEND,
    OP_CANCEL_CONNECT,
    OP_CLOSE,
    OP_PASS,   /* the direct descriptor to another ring */
    OP_QUEUED, /* no operation: the connection is in io->queue or io->ends, which point to it */
    OP_OF_CONN_COUNT,
    /* Operations of the shard. */
    OP_ACCEPT = OP_OF_CONN_COUNT,
    OP_CANCEL_ACCEPT,
    OP_DROP,   /* close of a direct descriptor that never became a connection */
    OP_NOTIFY, /* read of the eventfd */
    OP_CANCEL_NOTIFY,
    OP_WAKE_SENT, /* only failures are told */
    OP_WOKEN,     /* posted by another shard */
    OP_ARRIVE,    /* posted by another shard, with a passage */
    OP_COUNT
};

enum conn_flag {
    CONN_CLOSING = 1u << 0,   /* closed is the only callback left */
    CONN_RESET = 1u << 1,     /* close by a reset */
    CONN_PAUSED = 1u << 2,    /* io_pause() */
    CONN_ENDED = 1u << 3,     /* the peer sent its FIN */
    CONN_SHUT = 1u << 4,      /* io_shutdown() */
    CONN_FIN = 1u << 5,       /* ... and our FIN is not yet submitted */
    CONN_DIALLING = 1u << 6,  /* dialled is due */
    CONN_LEAVING = 1u << 7,   /* io_handoff() */
    CONN_LEFT = 1u << 8,      /* departing was called */
    CONN_MUTE = 1u << 9,      /* no callback at all: the shard ends, or another shard has it */
    CONN_FED = 1u << 10,      /* armed by conn_feed(), and nothing was received since */
    CONN_TELL_END = 1u << 11, /* in io->ends: ended is due */
    CONN_LAST = 1u << 12,     /* in io->ends, or was: only closed is due */
};

/* 88 bytes; with the slab's part less than a tenth of what an idle session may cost. */
struct conn {
    struct io_conn head; /* what the router sees; first, so that the pointers are the same */
    uint64_t ref;        /* of the slab */
    struct chain out;    /* being sent: the kernel reads it while OP_SEND flies */
    struct conn *next;   /* in io->queue or io->ends */
    union {
        struct dial *dial;       /* while CONN_DIALLING */
        void *parcel;            /* while CONN_LEAVING */
        struct passage *passage; /* while CONN_LEFT */
    };
    uint32_t slot; /* direct descriptor */
    int error;     /* told by closed */
    uint16_t flying;
    uint16_t flags;
    uint16_t target; /* shard, while CONN_LEAVING */
};

_Static_assert(sizeof(struct conn) <= 88, "one for each connection");

/* What travels with a direct descriptor. The memory is the source's, which uses it again when the target has read it.
 */
struct passage {
    struct passage *next; /* source's queue, oldest first */
    void *parcel;         /* this and is_shut are written by the source before `state`, read by the target after it */
    /* The pair that hands the parcel's memory over: the source stores PASSAGE_SENT with release, the target loads it
     * with acquire; the target stores PASSAGE_TAKEN with release, the source reuses the memory after loading that
     * with acquire. (The kernel orders them as well, but neither the C memory model nor TSan knows.) */
    _Atomic uint32_t state;
    bool is_shut; /* io_shutdown() was called */
    /* Written by the target: */
    struct passage *waiting; /* the target's list while memory for the connection is refused */
    uint32_t slot;
};
enum { PASSAGE_FREE, PASSAGE_SENT, PASSAGE_TAKEN };

/* One accept in flight: the kernel writes the peer's address here. */
struct accept_cell {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } peer;
    socklen_t peer_size;
    bool is_flying;
};

struct listener {
    int fds[SHARD_MAX];
    unsigned tag;
};

/* What other shards and threads need of a shard. */
struct member {
    /* 1: the shard will call turn() after this moment without being told; 0: it must be told. Set by whoever tells it
     * (exchange) and by itself when it wakes; cleared by itself before turn(). All are read-modify-write operations
     * with acquire and release, so one that finds 1 is ordered before the clearing, and what it published before is
     * seen by the turn that follows. */
    _Alignas(64) _Atomic uint32_t turn_owed;
    _Atomic uint32_t is_stopping;
    _Alignas(64) int ring_fd; /* written before io_ready(), read after; closed by io_group_free() */
    int event_fd;
    struct io *io; /* set by io_free() */
};

struct io_group {
    pthread_mutex_t lock; /* of the start-up alone */
    pthread_cond_t changed;
    unsigned shard_count;
    unsigned ready_count;
    bool is_abandoned;
    uint32_t keepalive_s; /* silence of a peer after which the kernel asks; 0: never */
    bool is_crowded;      /* more shards than cores */
    unsigned listener_count;
    struct listener listeners[LISTENER_MAX];
    struct member members[];
};

struct send_scratch {
    struct msghdr message;
    struct iovec spans[SEND_IOV_MAX];
};

struct buffers {
    struct io_uring_buf_ring *ring;
    char *bytes;
    uint32_t count;
    uint32_t size;
    uint32_t offered; /* of count: those with lower numbers go round, nobody has touched the others */
    uint32_t bundle;  /* bytes that a receive asks for; 0: of one buffer, for the kernel has no bundles */
    uint16_t end;     /* of the ring: the place of the next one that is given back */
    uint16_t *place;  /* where each buffer stood in the ring when it was given back last */
    uint64_t *is_due; /* bits: to be given back with the end of the batch */
    bool were_few;    /* a receive of this batch found none */
};

struct accepts {
    struct accept_cell *cells; /* listener_count * ACCEPTS_PER_LISTENER */
    uint32_t cell_count;
    uint32_t flying_count;
    uint32_t next;      /* where arming goes on: fair among listeners */
    uint64_t resume_ms; /* back-off: nothing is armed before; 0: none */
    bool is_stopped;
    bool is_held; /* by the router */
};

struct io {
    struct io_uring ring;
    struct io_group *group;
    struct member *member;
    const struct io_handler *handler;
    void *context;
    struct counters *counters;
    struct slab *conns;
    /* To be advanced when the batch is over, first in first out: they found no receive buffer, or a call must not call
     * back. The bit OP_QUEUED of each is set. */
    struct conn *queue, **queue_tail;
    struct conn *again, **again_tail; /* fed, and found no buffer: before the queue the next time */
    /* Whose end is to be told, first in first out: conn_feed_ends(). The bit OP_QUEUED of each is set. */
    struct conn *ends, **ends_tail;
    unsigned ends_put_off; /* turns in a row */
    struct buffers buffers;
    struct accepts accepts;
    struct passage *passages, **passages_tail; /* made here, oldest first */
    struct passage *arrivals;                  /* here by the kernel, waiting for memory */
    struct send_scratch *scratch;              /* one for each SQE of the ring */
    struct chunk_pool pool;
    struct io_config config;
    uint64_t now_ms;
    uint64_t event_value;
    uint64_t wakes[SHARD_MAX / 64];
    pthread_t thread;
    unsigned shard;
    bool has_wakes;
    bool is_notify_armed;
    bool is_unlistening;
    bool is_ending; /* io_run() is on its way out: everything is closed without callbacks */
    uint32_t random_left;
    unsigned char random[512];
};

/* token: user_data. op in bits 0..7, index in 8..31, generation in 32..63; OP_ARRIVE has a pointer in 8..63. */
static inline uint64_t token_make(enum op op, uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 32 | (uint64_t)index << 8 | (uint64_t)op;
}

static inline uint64_t token_of_conn(const struct conn *conn, enum op op)
{
    return token_make(op, (uint32_t)conn->ref, (uint32_t)(conn->ref >> 32));
}

static inline struct conn *conn_of(struct io_conn *conn)
{
    return (struct conn *)conn;
}

static inline bool conn_flies(const struct conn *conn, enum op op)
{
    return (conn->flying >> op & 1u) != 0;
}

/* ring.c: the queue pair. */
bool ring_open(struct io *io, struct err *err);
/* The next free SQE; submits what is there when the queue is full. To be prepared, then given its token by: */
struct io_uring_sqe *ring_sqe(struct io *io);
/* ... ring_own_conn for an operation of a connection on its direct descriptor, which flies from now on. */
void ring_own_conn(struct io_uring_sqe *sqe, struct conn *conn, enum op op);
/* Asks the kernel to give up an operation of the connection, which is a hint: its own completion decides. */
void ring_cancel(struct io *io, struct conn *conn, enum op target, enum op cancel);
/* Submits and waits for a completion, until deadline_ms at most; 0: does not wait. */
void ring_enter(struct io *io, uint64_t deadline_ms);

/* Submits and does nothing else: completions that are due wait for ring_enter(). */
void ring_submit(struct io *io);
/* Completions are there, or work of the kernel that makes some. */
bool ring_has_news(const struct io *io);

/* completion.c: hands a bounded batch of completions to those concerned. */
void completion_batch(struct io *io);

/* buffers.c: the receive buffers of the shard. */
bool buffers_open(struct io *io, struct err *err);
void buffers_close(struct io *io);
/* A receive into buffers, of a direct descriptor or, without IOSQE_FIXED_FILE, another one. */
void buffers_prep_receive(const struct io *io, struct io_uring_sqe *sqe, int slot);
/* Of what was received into buffers from id on, the run of neighbours, whose buffers are due from then on: takes it off
 * size, and leaves in id where the rest begins. */
struct span buffers_take(struct io *io, uint32_t *id, size_t *size);
/* Gives back all that are due, in order, so that neighbours stay neighbours. */
void buffers_give(struct io *io);

/* conn.c: the life of a connection. */
struct conn *conn_new(struct io *io, uint32_t slot);
void conn_arm(struct io *io, struct conn *conn);              /* the receive, if it is wanted and not armed */
void conn_break(struct io *io, struct conn *conn, int error); /* begins the end */
void conn_advance(struct io *io, struct conn *conn);          /* after any completion: what was waiting for it */
void conn_queue(struct io *io, struct conn *conn);            /* for a conn_advance() after this batch */
void conn_feed(struct io *io);
/* Tells ends for a while; true: there were some, and the router wants a turn. */
bool conn_feed_ends(struct io *io);
void conn_free(struct io *io, struct conn *conn);
void conn_received(struct io *io, struct conn *conn, int result, uint32_t flags);
void conn_close_all(struct io *io);

/* send.c */
void send_start(struct io *io, struct conn *conn);
void send_done(struct io *io, struct conn *conn, int result);

/* group.c: what a connection is to have of TCP, for a socket that dials, or that listens: accepted ones inherit it,
 * which spares as many system calls each (and a direct descriptor cannot be asked). */
bool group_set_options(const struct io_group *group, int fd);

/* accept.c, listener.c */
bool accept_open(struct io *io, struct err *err);
uint64_t accept_deadline(const struct io *io);
void accept_close(struct io *io);
void accept_arm(struct io *io);
void accept_stop(struct io *io);
void accept_done(struct io *io, uint32_t cell, int result);
void listener_close_shard(struct io_group *group, unsigned shard);

/* dial.c */
void dial_registered(struct io *io, struct conn *conn, int result);
void dial_connected(struct io *io, struct conn *conn, int result);
void dial_forget(struct conn *conn);

/* handoff.c */
void handoff_depart(struct io *io, struct conn *conn);
void handoff_passed(struct io *io, struct conn *conn, int result);
void handoff_arrived(struct io *io, uint64_t token, int result);
/* Those that wait for memory. True: some have arrived, and the router wants a turn. */
bool handoff_retry(struct io *io);

/* wake.c */
void wake_flush(struct io *io);
void wake_failed(struct io *io, uint32_t shard, int result);
void wake_arm(struct io *io);
void wake_disarm(struct io *io);
