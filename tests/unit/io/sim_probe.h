/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Sim probe: a handler that writes down every callback and does nothing by itself; a test drives io.h between steps,
 * or inside a callback through its hook.
 */
#include "io/io.h"
#include "io/sim/world.h"

#define PROBE_TAG    3u
#define PROBE_SHARDS 3u
#define PROBE_EVENTS 4096u

enum probe_kind {
    ACCEPTED,
    DIALLED,
    RECEIVED,
    ENDED,
    SENT,
    CLOSED,
    DEPARTING,
    HANDOFF_FAILED,
    ARRIVED,
};

struct probe_event {
    enum probe_kind kind;
    unsigned shard;
    struct io_conn *conn;
    int error;
    size_t size;
};

struct probe {
    struct world *world;
    struct io_group *group;
    struct io *ios[PROBE_SHARDS];
    struct counters counters[PROBE_SHARDS];
    unsigned turns[PROBE_SHARDS];
    uint64_t deadline[PROBE_SHARDS];
    uint16_t port;
    struct probe_event events[PROBE_EVENTS];
    unsigned event_count;
    struct io_conn *conn; /* of the last accepted, dialled, arrived or failed handoff */
    char bytes[1 << 16];  /* all that was received */
    size_t size;
    void (*hook)(struct probe *probe, const struct probe_event *event);
    void (*turn_hook)(struct probe *probe, unsigned shard);
    unsigned now_in; /* the shard whose callback runs */
};

void probe_init(struct probe *probe, uint64_t seed, const struct world_chaos *chaos, const struct io_config *config);
/* Shards first, then the world. */
void probe_fini(struct probe *probe);
void probe_settle(struct probe *probe);
unsigned probe_count(const struct probe *probe, enum probe_kind kind);
const struct probe_event *probe_last(const struct probe *probe);
/* Sends text on a connection of that shard. */
void probe_send(struct probe *probe, unsigned shard, struct io_conn *conn, struct span bytes);
/* Connects a peer to shard 0 and settles: probe->conn is the router's end. */
struct peer *probe_connect(struct probe *probe);
