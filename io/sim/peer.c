/* SPDX-License-Identifier: MIT */
/* The far end of a connection, in the hands of the test. It is always end 1 of its wire. */
#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define ROUTER 0u /* the router's end */
#define PEER   1u /* ours */

struct peer *sim_peer_new(struct world *world, struct wire *wire, const struct sockaddr *address)
{
    struct peer *peer = calloc(1, sizeof *peer);
    SL_CHECK(peer != NULL);
    peer->world = world;
    peer->wire = wire;
    peer->next = world->peers;
    world->peers = peer;
    sim_address_copy(&peer->address, address);
    wire->end[PEER].peer = peer;
    /* The test says when a window closes; before, the peer takes all. */
    wire->flow[PEER].window = SIZE_MAX;
    return peer;
}

struct peer *peer_connect_from(struct io_group *group, unsigned shard, unsigned tag, const struct sockaddr *from)
{
    SL_CHECK(shard < group->shard_count && group->ios[shard] != NULL);
    SL_CHECK(sim_listener_tagged(group, tag) != NULL);
    struct io *io = group->ios[shard];
    struct wire *wire = wire_new();
    struct peer *peer = sim_peer_new(group->world, wire, from);
    if (io->listening) {
        sim_call_add(io, wire, ROUTER, tag, from);
        return peer;
    }
    wire_reset(wire, ROUTER, SIZE_MAX);
    wire_release(wire, ROUTER);
    return peer;
}

struct peer *peer_connect_to(struct io_group *group, unsigned shard, unsigned tag)
{
    /* Every peer has an address of its own, so that budgets per address do not meet them all. */
    uint64_t serial = ++group->world->serial;
    struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)(32768 + serial % 28000)),
        .sin_addr.s_addr = htonl(0x0a000000u | (uint32_t)(serial & 0xffffff)),
    };
    return peer_connect_from(group, shard, tag, (const struct sockaddr *)&from);
}

struct peer *peer_connect(struct world *world, unsigned shard, unsigned tag)
{
    SL_CHECK(world->groups != NULL);
    return peer_connect_to(world->groups, shard, tag);
}

struct peer *world_accept(struct world *world)
{
    struct peer *peer = world->dialled;
    if (peer != NULL)
        world->dialled = peer->next_dialled;
    return peer;
}

const struct sockaddr *peer_address(const struct peer *peer)
{
    return (const struct sockaddr *)&peer->address;
}

void peer_send(struct peer *peer, struct span bytes)
{
    if (!peer->wire->end[PEER].closed && !peer->wire->end[PEER].reset)
        wire_put(peer->wire, PEER, bytes);
}

struct span peer_received(const struct peer *peer)
{
    return wire_front(peer->wire, PEER);
}

bool peer_has(const struct peer *peer, const char *text)
{
    struct span got = peer_received(peer);
    return got.size && memmem(got.ptr, got.size, text, strlen(text)) != NULL;
}

void peer_take(struct peer *peer, size_t size)
{
    wire_consume(peer->wire, PEER, size);
}

void peer_set_window(struct peer *peer, size_t bytes)
{
    peer->wire->flow[PEER].window = bytes;
    wire_stir(peer->wire, ROUTER);
}

void peer_end(struct peer *peer)
{
    wire_end_flow(peer->wire, PEER);
}

void peer_reset(struct peer *peer)
{
    struct world *world = peer->world;
    /* Linux lets a socket read what had arrived before the RST; how much had is chance. */
    size_t kept = world->chaos.delay ? (size_t)dice_below(&world->dice, peer->wire->flow[ROUTER].size + 1) : SIZE_MAX;
    wire_reset(peer->wire, PEER, kept);
}

bool peer_is_ended(const struct peer *peer)
{
    return peer->wire->flow[PEER].ended;
}

bool peer_is_closed(const struct peer *peer)
{
    const struct wire *wire = peer->wire;
    return wire->end[ROUTER].closed || wire->end[PEER].closed || wire->end[PEER].reset;
}

bool peer_is_reset(const struct peer *peer)
{
    return peer->wire->end[PEER].reset;
}

void peer_free(struct peer *peer)
{
    if (peer == NULL)
        return;
    struct world *world = peer->world;
    struct peer **link = &world->peers;
    while (*link != peer)
        link = &(*link)->next;
    *link = peer->next;
    for (link = &world->dialled; *link != NULL && *link != peer;)
        link = &(*link)->next_dialled;
    if (*link == peer)
        *link = peer->next_dialled;
    wire_close(peer->wire, PEER);
    wire_release(peer->wire, PEER);
    free(peer);
}
