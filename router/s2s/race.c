/* SPDX-License-Identifier: MIT */
#include "router/s2s/race.h"

#include "core/base/check.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/trial.h"

void race_init(struct race *race, struct shard *shard, struct contact *contact)
{
    *race = (struct race){.shard = shard, .contact = contact};
}

bool race_add(struct race *race, const struct target *target, const union address *address, uint16_t priority,
              bool is_direct_tls)
{
    if (race->count == RACE_LANES_MAX)
        return false;
    SL_CHECK(race->count == 0 || race->lanes[race->count - 1].priority <= priority);
    race->lanes[race->count++] = (struct lane){
        .race = race, .address = *address, .target = target, .priority = priority, .is_direct_tls = is_direct_tls};
    return true;
}

/* Any that is being connected: all that are have the same priority. NULL: none. */
static const struct lane *running(const struct race *race)
{
    for (unsigned i = 0; i < race->count; i++)
        if (race->lanes[i].conn)
            return &race->lanes[i];
    return NULL;
}

/* The place of the one that is to be begun next; race->count: nobody is left. */
static unsigned next_waiting(const struct race *race)
{
    if (race->dial_count == RACE_DIALS_MAX)
        return race->count;
    unsigned i = 0;
    while (i < race->count && (race->lanes[i].conn || race->lanes[i].is_spent))
        i++;
    return i;
}

/* It may begin while the others run. */
static bool may_join(const struct race *race, unsigned i)
{
    const struct lane *other = running(race);
    return i < race->count && (!other || other->priority == race->lanes[i].priority);
}

static void leave(struct lane *lane)
{
    struct io_conn *conn = lane->conn;
    lane->conn = NULL;
    conn->owner = NULL; /* only closed follows, which is nobody's */
    io_close(lane->race->shard->io, conn);
}

static void give_up_late(struct race *race, uint64_t now_ms)
{
    for (unsigned i = 0; i < race->count; i++) {
        struct lane *lane = &race->lanes[i];
        if (!lane->conn || now_ms < lane->due_ms)
            continue;
        leave(lane);
        lane->is_spent = true;
        shard_count(race->shard, COUNTER_S2S_FAILED_TIMEOUT, 1);
        trial_address(race->trial, "give-up", false, &lane->address, "s2s.dial_timeout is over");
    }
}

static void begin(struct lane *lane, uint64_t now_ms)
{
    struct race *race = lane->race;
    struct shard *shard = race->shard;
    const struct config *config = shard->policy->config;
    race->dial_count++;
    shard_count(shard, COUNTER_S2S_DIALLED, 1);
    lane->conn = io_dial(shard->io, NULL, &lane->address.head, lane);
    if (!lane->conn) {
        lane->is_spent = true;
        shard_count(shard, COUNTER_S2S_FAILED_CONNECT, 1);
        trial_address(race->trial, "connect", false, &lane->address, "no descriptor or slot is free");
        return;
    }
    lane->due_ms = now_ms + config->s2s_dial_timeout_ms;
    race->last_ms = now_ms;
    race->next_ms = now_ms + config->s2s_attempt_delay_ms;
}

bool race_step(struct race *race)
{
    uint64_t now_ms = shard_now_ms(race->shard);
    give_up_late(race, now_ms);
    unsigned next;
    while ((next = next_waiting(race), may_join(race, next)) && now_ms >= race->next_ms)
        begin(&race->lanes[next], now_ms);
    return next < race->count || running(race);
}

uint64_t race_next_ms(const struct race *race)
{
    uint64_t when = UINT64_MAX;
    for (unsigned i = 0; i < race->count; i++)
        if (race->lanes[i].conn && race->lanes[i].due_ms < when)
            when = race->lanes[i].due_ms;
    if (may_join(race, next_waiting(race)) && race->next_ms < when)
        when = race->next_ms;
    return when;
}

/* What comes next need not wait for one that is over. */
static void hasten(struct race *race)
{
    if (race->next_ms > race->last_ms + RACE_GAP_MS)
        race->next_ms = race->last_ms + RACE_GAP_MS;
}

void race_won(struct lane *lane)
{
    lane->conn = NULL;
    lane->is_spent = true;
    race_stop(lane->race);
    hasten(lane->race);
}

void race_failed(struct lane *lane)
{
    struct race *race = lane->race;
    lane->conn = NULL;
    lane->is_spent = true;
    shard_count(race->shard, COUNTER_S2S_FAILED_CONNECT, 1);
    trial_address(race->trial, "connect", false, &lane->address, "refused, unreachable or reset");
    hasten(race);
}

void race_stop(struct race *race)
{
    for (unsigned i = 0; i < race->count; i++) {
        struct lane *lane = &race->lanes[i];
        if (!lane->conn)
            continue;
        leave(lane);
        shard_count(race->shard, COUNTER_S2S_DIAL_CANCELLED, 1);
        trial_address(race->trial, "cancel", true, &lane->address, "no longer needed");
    }
}
