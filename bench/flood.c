/* SPDX-License-Identifier: MIT */
#include "bench/flood.h"

#include "bench/client.h"
#include "core/base/check.h"
#include "tls/engine.h"

#include <stdlib.h>
#include <string.h>

#define DENIED_NS UINT64_C(500000000)

void flood_dial(struct client *client)
{
    client_connect(client);
    fleet_add(client->fleet, TALLY_BEGUN, 1);
}

static void keep_hello(struct fleet *fleet, const struct chain *wire)
{
    fleet->hello = malloc(wire->size);
    SL_CHECK(fleet->hello);
    for (const struct chunk *chunk = wire->head; chunk; chunk = chunk->next) {
        memcpy(fleet->hello + fleet->hello_size, chunk->bytes + chunk->start, chunk->end - chunk->start);
        fleet->hello_size += chunk->end - chunk->start;
    }
}

/* One for all connections: an attacker does not work for what costs the server most. */
static void make_hello(struct fleet *fleet)
{
    struct chain wire = {0};
    struct engine *engine = engine_new_client(fleet->load->tls, span_str(fleet->options->servers[0].domain), SPAN_NONE);
    SL_CHECK(engine && engine_start(engine, &wire, fleet->pool) == ENGINE_OK);
    keep_hello(fleet, &wire);
    chain_clear(&wire, fleet->pool);
    engine_free(engine);
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    struct fleet *fleet = context;
    struct client *client = conn->owner;
    if (error) /* closed follows */
        return;
    client->state = CLIENT_TLS;
    if (fleet->options->flood == FLOOD_HELLO) {
        if (!fleet->hello)
            make_hello(fleet);
        chain_append(&client->wire, fleet->pool, span_of(fleet->hello, fleet->hello_size));
        client_touch(client);
    } else if (fleet->options->flood == FLOOD_TLS) {
        client->tls = engine_new_client(fleet->load->tls, span_str(client_server(client)->domain), SPAN_NONE);
        SL_CHECK(client->tls && engine_start(client->tls, &client->wire, fleet->pool) == ENGINE_OK);
        client_touch(client);
    }
}

static void ignore(void *context, struct span bytes)
{
    (void)context;
    (void)bytes;
}

static void received(void *context, struct io_conn *conn, struct span bytes)
{
    struct fleet *fleet = context;
    struct client *client = conn->owner;
    if (!client->tls)
        return;
    bool was_ready = engine_is_ready(client->tls);
    if (engine_feed(client->tls, bytes, &client->wire, fleet->pool, ignore, client) != ENGINE_OK)
        io_close(fleet->io, conn); /* the server's close_notify, or its alert */
    else if (!was_ready && engine_is_ready(client->tls))
        fleet_add(fleet, TALLY_SHAKEN, 1);
    if (!chain_is_empty(&client->wire))
        client_touch(client);
}

static void ended(void *context, struct io_conn *conn)
{
    struct fleet *fleet = context;
    io_close(fleet->io, conn);
}

static void sent(void *context, struct io_conn *conn)
{
    struct client *client = conn->owner;
    (void)context;
    if (!chain_is_empty(&client->wire))
        client_touch(client);
}

static void closed(void *context, struct io_conn *conn, int error)
{
    struct fleet *fleet = context;
    struct client *client = conn->owner;
    (void)error;
    uint64_t lived_ns = io_now_fresh_ns(fleet->io) - client->dialled_ns;
    client_clear(client);
    fleet_login_over(fleet);
    if (fleet->phase != PHASE_RUN)
        return;
    fleet_add(fleet, lived_ns < DENIED_NS ? TALLY_DENIED : TALLY_EXPIRED, 1);
    if (lived_ns >= DENIED_NS)
        histogram_record(&fleet->back, lived_ns);
    fleet_enqueue(fleet, client);
}

void flood_end(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->client_count; i++)
        if (fleet->clients[i].conn)
            io_reset(fleet->io, fleet->clients[i].conn);
}

void flood_free(struct fleet *fleet)
{
    free(fleet->hello);
}

const struct io_handler flood_io_handler = {
    .dialled = dialled,
    .received = received,
    .ended = ended,
    .sent = sent,
    .closed = closed,
    .turn = fleet_turn,
};
