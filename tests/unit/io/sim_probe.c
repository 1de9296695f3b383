/* SPDX-License-Identifier: MIT */
#include "tests/unit/io/sim_probe.h"

#include "tests/unit/io/sim_cmocka.h"

/* The context of shard i is &probe->turns[i] of the one probe of the program: the handler finds both from it. */
static struct probe *the_probe;

static unsigned shard_of(void *context)
{
    return (unsigned)((unsigned *)context - the_probe->turns);
}

static void note(void *context, enum probe_kind kind, struct io_conn *conn, int error, size_t size)
{
    struct probe *probe = the_probe;
    assert_true(probe->event_count < PROBE_EVENTS);
    struct probe_event *event = &probe->events[probe->event_count++];
    *event = (struct probe_event){kind, shard_of(context), conn, error, size};
    probe->now_in = event->shard;
    if (kind == ACCEPTED || kind == DIALLED || kind == ARRIVED || kind == HANDOFF_FAILED)
        probe->conn = conn;
    if (probe->hook != NULL)
        probe->hook(probe, event);
}

static void on_accepted(void *shard, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    assert_int_equal(tag, PROBE_TAG);
    note(shard, ACCEPTED, conn, 0, peer->sa_family);
}

static void on_dialled(void *shard, struct io_conn *conn, int error)
{
    note(shard, DIALLED, conn, error, 0);
}

static void on_received(void *shard, struct io_conn *conn, struct span bytes)
{
    struct probe *probe = the_probe;
    assert_true(probe->size + bytes.size <= sizeof probe->bytes);
    memcpy(probe->bytes + probe->size, bytes.ptr, bytes.size);
    probe->size += bytes.size;
    note(shard, RECEIVED, conn, 0, bytes.size);
}

static void on_ended(void *shard, struct io_conn *conn)
{
    note(shard, ENDED, conn, 0, 0);
}

static void on_sent(void *shard, struct io_conn *conn)
{
    note(shard, SENT, conn, 0, 0);
}

static void on_closed(void *shard, struct io_conn *conn, int error)
{
    note(shard, CLOSED, conn, error, 0);
}

static void on_departing(void *shard, struct io_conn *conn)
{
    note(shard, DEPARTING, conn, 0, 0);
}

static void on_handoff_failed(void *shard, struct io_conn *conn, void *parcel, int error)
{
    assert_ptr_equal(parcel, the_probe);
    note(shard, HANDOFF_FAILED, conn, error, 0);
}

static void on_arrived(void *shard, struct io_conn *conn, void *parcel)
{
    assert_ptr_equal(parcel, the_probe);
    note(shard, ARRIVED, conn, 0, 0);
}

static uint64_t on_turn(void *context)
{
    unsigned shard = shard_of(context);
    the_probe->turns[shard]++;
    the_probe->now_in = shard;
    if (the_probe->turn_hook != NULL)
        the_probe->turn_hook(the_probe, shard);
    return the_probe->deadline[shard];
}

static const struct io_handler handler = {
    .accepted = on_accepted,
    .dialled = on_dialled,
    .received = on_received,
    .ended = on_ended,
    .sent = on_sent,
    .closed = on_closed,
    .departing = on_departing,
    .handoff_failed = on_handoff_failed,
    .arrived = on_arrived,
    .turn = on_turn,
};

void probe_init(struct probe *probe, uint64_t seed, const struct world_chaos *chaos, const struct io_config *config)
{
    struct err err;
    memset(probe, 0, sizeof *probe);
    the_probe = probe;
    probe->world = world_new(seed, chaos);
    probe->group = world_group(probe->world, PROBE_SHARDS);
    assert_true(io_group_listen(probe->group, "127.0.0.1", &probe->port, PROBE_TAG, &err));
    for (unsigned i = 0; i < PROBE_SHARDS; i++) {
        probe->deadline[i] = UINT64_MAX;
        probe->ios[i] = io_new(probe->group, i, config != NULL ? config : &io_config_default, &handler,
                               &probe->turns[i], &probe->counters[i], &err);
        assert_non_null(probe->ios[i]);
        assert_true(io_ready(probe->ios[i]));
    }
}

void probe_fini(struct probe *probe)
{
    probe->hook = NULL;
    for (unsigned i = 0; i < PROBE_SHARDS; i++)
        io_stop(probe->ios[i]);
    probe_settle(probe);
    for (unsigned i = 0; i < PROBE_SHARDS; i++)
        io_free(probe->ios[i]);
    world_free(probe->world);
}

void probe_settle(struct probe *probe)
{
    assert_true(world_settle(probe->world, 100000));
}

unsigned probe_count(const struct probe *probe, enum probe_kind kind)
{
    unsigned count = 0;
    for (unsigned i = 0; i < probe->event_count; i++)
        count += probe->events[i].kind == kind;
    return count;
}

const struct probe_event *probe_last(const struct probe *probe)
{
    assert_true(probe->event_count > 0);
    return &probe->events[probe->event_count - 1];
}

void probe_send(struct probe *probe, unsigned shard, struct io_conn *conn, struct span bytes)
{
    struct chain chain = {0};
    chain_append(&chain, io_pool(probe->ios[shard]), bytes);
    io_send(probe->ios[shard], conn, &chain);
    assert_true(chain_is_empty(&chain));
}

struct peer *probe_connect(struct probe *probe)
{
    struct peer *peer = peer_connect(probe->world, 0, PROBE_TAG);
    unsigned before = probe_count(probe, ACCEPTED);
    probe_settle(probe);
    assert_int_equal(probe_count(probe, ACCEPTED), before + 1);
    return peer;
}
