/* SPDX-License-Identifier: MIT */
#include "router/stream/rate.h"

#include "core/base/check.h"

#include <pthread.h>
#include <stdlib.h>

#define SETS  (RATE_RECORDS / RATE_WAYS)
#define LOCKS 64u

/* The debt of a prefix is until - now: how long it takes until all that it did is forgotten. Microseconds, so that
 * a burst of thousands in a second still has whole numbers. A record whose time has passed is a free place. */
struct record {
    struct prefix prefix;
    uint64_t until_us;
};

struct rate {
    struct hash_key key;
    pthread_mutex_t locks[LOCKS];
    struct record sets[SETS][RATE_WAYS];
};

struct rate *rate_new(const struct hash_key *key)
{
    struct rate *rate = calloc(1, sizeof *rate);
    if (!rate)
        return NULL;
    rate->key = *key;
    for (unsigned i = 0; i < LOCKS; i++)
        SL_CHECK(pthread_mutex_init(&rate->locks[i], NULL) == 0);
    return rate;
}

void rate_free(struct rate *rate)
{
    if (!rate)
        return;
    for (unsigned i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&rate->locks[i]);
    free(rate);
}

static uint64_t debt_of(const struct record *record, uint64_t now_us)
{
    return record->until_us > now_us ? record->until_us - now_us : 0;
}

static uint64_t interval_of(struct rate_limit limit)
{
    uint64_t interval = (uint64_t)limit.window_ms * 1000 / limit.burst;
    return interval ? interval : 1;
}

/* After burst times at once the debt is burst intervals; one more does not fit. A limit that was just lowered may find
 * a debt above it. */
static bool is_over(struct rate_limit limit, uint64_t debt)
{
    return debt + interval_of(limit) > interval_of(limit) * limit.burst;
}

/* The prefix's record, or the one with the smallest debt. Every place is looked at: a record behind a free one counts.
 */
static struct record *find(struct record set[RATE_WAYS], const struct prefix *prefix, uint64_t now_us)
{
    struct record *least = &set[0];
    for (unsigned i = 0; i < RATE_WAYS; i++) {
        if (memcmp(&set[i].prefix, prefix, sizeof *prefix) == 0)
            return &set[i];
        if (debt_of(&set[i], now_us) < debt_of(least, now_us))
            least = &set[i];
    }
    return least;
}

enum rate_verdict rate_take(struct rate *rate, struct rate_limit limit, const struct prefix *prefix, uint64_t now_ms)
{
    if (!limit.burst)
        return RATE_FREE;
    uint64_t now_us = now_ms * 1000;
    uint64_t set = hash_siphash13(&rate->key, prefix_key(prefix)) % SETS;
    pthread_mutex_lock(&rate->locks[set % LOCKS]);
    struct record *record = find(rate->sets[set], prefix, now_us);
    bool is_new = memcmp(&record->prefix, prefix, sizeof *prefix) != 0;
    uint64_t debt = is_new ? 0 : debt_of(record, now_us);
    bool is_held = is_over(limit, debt);
    if (!is_held) {
        debt += interval_of(limit);
        record->prefix = *prefix;
        record->until_us = now_us + debt;
    }
    pthread_mutex_unlock(&rate->locks[set % LOCKS]);
    if (is_held)
        return RATE_HELD;
    return is_over(limit, debt) ? RATE_LAST : RATE_FREE;
}

bool rate_is_held(struct rate *rate, struct rate_limit limit, const struct prefix *prefix, uint64_t now_ms)
{
    if (!limit.burst)
        return false;
    uint64_t now_us = now_ms * 1000;
    uint64_t set = hash_siphash13(&rate->key, prefix_key(prefix)) % SETS;
    pthread_mutex_lock(&rate->locks[set % LOCKS]);
    const struct record *record = find(rate->sets[set], prefix, now_us);
    bool is_known = memcmp(&record->prefix, prefix, sizeof *prefix) == 0;
    bool is_held = is_known && is_over(limit, debt_of(record, now_us));
    pthread_mutex_unlock(&rate->locks[set % LOCKS]);
    return is_held;
}
