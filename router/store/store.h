/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Store: durable records by bucket and key, asynchronously.
 *
 * Clients (one per shard, one for the control thread) post requests and get replies, both over links. One worker
 * serves all: it takes what has come, answers reads from a read transaction, gathers all writes into one transaction,
 * commits it (fsync), and only then answers them (group commit). Replies to one client come in the order of its
 * requests.
 *
 * Two implementations chosen at link time: store_lmdb.c (a thread and an LMDB file) and store_mem.c (the client's own
 * thread, tests and simulation: a reply is there at the next store_poll).
 *
 * Thread:  a client's calls on its own thread. store_open and store_close on the main thread.
 * Owns:    key and value are copied by store_post; a reply's spans are borrowed until the reply function returns.
 * Bounds:  key 1 to STORE_KEY_MAX bytes (STORE_LIST takes an empty one: the first record), value STORE_VALUE_MAX bytes;
 *          STORE_REQUESTS requests and STORE_BYTES bytes of keys and values in flight per client, a request being in
 *          flight from its post until its reply was handed out.
 * Fails:   store_post returns false at a bound, or when memory is refused: try after the next replies.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <stdint.h>

#define STORE_KEY_MAX   480u
#define STORE_VALUE_MAX 60000u
#define STORE_REQUESTS  4096u
#define STORE_BYTES     (16u << 20)

enum store_bucket { STORE_ACCOUNTS, STORE_BUCKET_COUNT };

enum store_op {
    STORE_GET,    /* -> FOUND with value, or MISSING */
    STORE_CREATE, /* -> DONE, or EXISTS */
    STORE_UPDATE, /* -> DONE, or MISSING */
    STORE_PUT,    /* -> DONE */
    STORE_DELETE, /* -> DONE, or MISSING */
    STORE_LIST,   /* the first record with a key greater than key -> FOUND with key and value, or MISSING at the end */
};

enum store_status {
    STORE_DONE,
    STORE_FOUND,
    STORE_MISSING,
    STORE_EXISTS,
    STORE_FULL, /* the disk or the map is full: nothing was changed */
    /* A read: the record cannot be read, or is damaged (its key is the reply's). A write: an I/O error; nothing was
     * acknowledged, and every write is refused from now on until the router is started anew (RELIABILITY 2.3). */
    STORE_FAILED,
};

struct store;
struct store_client;

struct store_reply {
    uint64_t tag; /* the request's */
    enum store_op op;
    enum store_status status;
    struct span key;   /* borrowed until return */
    struct span value; /* likewise */
};

typedef void (*store_reply_fn)(void *context, const struct store_reply *reply);
/* Called on the store's worker when a client has new replies: wakes the client's thread. */
typedef void (*store_wake_fn)(void *context);

/* path: a directory, made if missing (mode 0700). All clients are made before the first request. */
struct store *store_open(const char *path, unsigned client_count, struct err *err);
/* Carries out everything posted, also what was not flushed yet, makes it durable, then closes. Replies that were not
 * polled are lost; no client's thread may use its client any more. */
void store_close(struct store *store);
struct store_client *store_client(struct store *store, unsigned index, store_wake_fn wake, void *wake_context);

bool store_post(struct store_client *client, enum store_op op, enum store_bucket bucket, uint64_t tag, struct span key,
                struct span value) __attribute__((warn_unused_result));
/* Publishes the posted requests: once per turn. */
void store_flush(struct store_client *client);
/* Hands out the replies that are there; returns how many. The reply function may post and flush; what it asks is
 * answered in a later poll. */
unsigned store_poll(struct store_client *client, store_reply_fn reply, void *context);
/* Requests not yet answered. */
uint32_t store_pending(const struct store_client *client);

/* What the store did since it was opened. Any thread. */
struct store_stats {
    uint64_t reads;   /* requests answered without changing anything: get, list */
    uint64_t writes;  /* the others */
    uint64_t commits; /* transactions made durable: writes / commits is the gain of the group commit */
    uint64_t full;    /* writes answered STORE_FULL */
    uint64_t size;    /* bytes of the file that are allocated; 0 in memory */
    bool is_failed;   /* writes are refused */
};
void store_stats(struct store *store, struct store_stats *stats);
