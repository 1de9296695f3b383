/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "io/sim/sim_priv.h"

#include <stdio.h>
#include <stdlib.h>

/* 2026-01-01T00:00:00Z, and a monotonic clock that looks like that of a machine that has been up for a while. */
#define WALL_START 1767225600000
#define MONO_START 1000000u

/* A delayed completion waits at most so many steps. */
#define DELAY_STEPS 8u

struct world *world_new(uint64_t seed, const struct world_chaos *chaos)
{
    struct world *world = calloc(1, sizeof *world);
    SL_CHECK(world != NULL);
    world->seed = seed;
    world->dice.state = dice_mix(seed + 1);
    if (chaos != NULL)
        world->chaos = *chaos;
    world->step = 1; /* 0 stands for "not scheduled" */
    world->now_ms = MONO_START;
    world->wall_ms = WALL_START;
    return world;
}

void world_free(struct world *world)
{
    if (world == NULL)
        return;
    SL_CHECK(!world->stepping);
    if (world->dropped > 0)
        fprintf(stderr, "io/sim: seed %llu: %u connections were open when their shard ended\n",
                (unsigned long long)world->seed, world->dropped);
    while (world->groups != NULL)
        io_group_free(world->groups);
    while (world->peers != NULL)
        peer_free(world->peers);
    free(world->order);
    free(world->fars);
    free(world);
}

uint64_t sim_due(struct world *world)
{
    if (!world->chaos.delay || dice_one_in(&world->dice, 2))
        return world->step;
    return world->step + dice_below(&world->dice, DELAY_STEPS);
}

/* ------------------------------------------------------------------------------------------------ trace */

static void trace_word(struct world *world, uint64_t word)
{
    world->trace = dice_mix(world->trace ^ word) + 0x9e3779b97f4a7c15u;
}

void sim_trace(struct io *io, enum sim_op op, uint64_t serial, uint64_t value)
{
    trace_word(io->world, io->world->step << 16 | (uint64_t)io->shard << 8 | (uint64_t)op);
    trace_word(io->world, serial);
    trace_word(io->world, value);
}

void sim_trace_bytes(struct world *world, struct span bytes)
{
    for (size_t at = 0; at < bytes.size;) {
        uint64_t word = 0;
        size_t size = bytes.size - at < sizeof word ? bytes.size - at : sizeof word;
        memcpy(&word, bytes.ptr + at, size);
        trace_word(world, word);
        at += size;
    }
}

uint64_t world_trace(const struct world *world)
{
    return world->trace;
}

/* ------------------------------------------------------------------------------------------------ steps */

static size_t order_shards(struct world *world)
{
    size_t count = 0;
    for (struct io_group *group = world->groups; group != NULL; group = group->next)
        for (unsigned i = 0; i < group->shard_count; i++)
            if (group->ios[i] != NULL)
                world->order[count++] = group->ios[i];
    for (size_t i = count; i > 1; i--) {
        size_t other = (size_t)dice_below(&world->dice, i);
        struct io *io = world->order[i - 1];
        world->order[i - 1] = world->order[other];
        world->order[other] = io;
    }
    return count;
}

bool world_step(struct world *world)
{
    SL_CHECK(!world->stepping);
    world->stepping = true;
    world->step++;
    size_t count = order_shards(world);
    bool is_busy = false;
    for (size_t i = 0; i < count; i++)
        is_busy |= sim_shard_step(world->order[i]);
    world->was_busy = is_busy;
    world->stepping = false;
    return is_busy;
}

bool world_settle(struct world *world, unsigned max_steps)
{
    for (unsigned i = 0; i < max_steps; i++)
        if (!world_step(world))
            return true;
    return false;
}

/* ------------------------------------------------------------------------------------------------ clocks, faults */

void world_advance(struct world *world, uint64_t ms)
{
    SL_CHECK(!world->stepping);
    world->now_ms += ms;
    world->wall_ms += (int64_t)ms;
}

void world_jump_wall(struct world *world, int64_t ms)
{
    world->wall_ms += ms;
}

uint64_t world_now_ms(const struct world *world)
{
    return world->now_ms;
}

uint64_t world_deadline_ms(const struct world *world)
{
    uint64_t earliest = UINT64_MAX;
    for (const struct io_group *group = world->groups; group != NULL; group = group->next)
        for (unsigned i = 0; i < group->shard_count; i++) {
            const struct io *io = group->ios[i];
            if (io == NULL || io->stopped)
                continue;
            uint64_t next = io->deadline < io->answer_ms ? io->deadline : io->answer_ms;
            earliest = next < earliest ? next : earliest;
        }
    return earliest;
}

uint32_t world_open_count(const struct world *world)
{
    uint32_t count = 0;
    for (const struct io_group *group = world->groups; group != NULL; group = group->next)
        for (unsigned i = 0; i < group->shard_count; i++)
            if (group->ios[i] != NULL)
                count += group->ios[i]->conn_count;
    return count;
}

void world_set_stalled(struct io *io, bool is_stalled)
{
    io->stalled = is_stalled;
}
