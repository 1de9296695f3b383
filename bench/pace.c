/* SPDX-License-Identifier: MIT */
#include "bench/pace.h"

#include "bench/client.h"

static bool is_slow(const struct fleet *fleet)
{
    return fleet->options->read_rate >= 0 && fleet->phase == PHASE_RUN;
}

void pace_received(struct client *client, size_t size)
{
    struct fleet *fleet = client->fleet;
    if (!is_slow(fleet) || client->number % 2 == 0 || client->is_paused)
        return;
    double rate = fleet->options->read_rate;
    uint64_t cost_ns = rate > 0 ? (uint64_t)((double)size * 1e9 / rate) : UINT64_MAX / 2;
    client->paid_ns = (client->paid_ns > fleet->now_ns ? client->paid_ns : fleet->now_ns) + cost_ns;
    client->is_paused = true;
    io_pause(fleet->io, client->conn);
}

static void read_on(struct client *client)
{
    client->is_paused = false;
    if (client->conn && client->state == CLIENT_BOUND)
        io_resume(client->fleet->io, client->conn);
}

uint64_t pace_turn(struct fleet *fleet)
{
    uint64_t next_ns = UINT64_MAX;
    if (fleet->options->read_rate < 0)
        return UINT64_MAX;
    uint64_t now = io_now_fresh_ns(fleet->io);
    for (uint32_t i = 0; i < fleet->client_count; i++) {
        struct client *client = &fleet->clients[i];
        if (!client->is_paused)
            continue;
        if (!is_slow(fleet) || client->paid_ns <= now)
            read_on(client);
        else if (client->paid_ns < next_ns)
            next_ns = client->paid_ns;
    }
    return next_ns == UINT64_MAX ? UINT64_MAX : next_ns / 1000000 + 1;
}
