/* SPDX-License-Identifier: MIT */
#include "router/stream/crowd.h"

#include "core/base/check.h"
#include "core/base/log.h"
#include "router/route/shard.h"
#include "router/stream/rate.h"
#include "router/stream/stream.h"

#include <pthread.h>
#include <stdlib.h>

#define STRIPES 64u /* locks of the connections; a shard meets another one at the same lock by chance */

/* The connections of one prefix. Streams point at it: a reload may change what a prefix is meanwhile. */
struct neighbours {
    struct prefix prefix;
    uint32_t count;
    unsigned stripe;
};

struct stripe {
    pthread_mutex_t lock;
    struct table prefixes; /* struct neighbours */
};

struct crowd {
    struct hash_key key;
    struct rate *handshakes;
    struct rate *failures;
    struct stripe stripes[STRIPES];
};

static struct span neighbours_key(const void *object)
{
    const struct neighbours *neighbours = object;
    return prefix_key(&neighbours->prefix);
}

struct crowd *crowd_new(const struct hash_key *key)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (!crowd)
        return NULL;
    crowd->key = *key;
    for (unsigned i = 0; i < STRIPES; i++) {
        SL_CHECK(pthread_mutex_init(&crowd->stripes[i].lock, NULL) == 0);
        table_init(&crowd->stripes[i].prefixes, key, neighbours_key);
    }
    crowd->handshakes = rate_new(key);
    crowd->failures = rate_new(key);
    if (crowd->handshakes && crowd->failures)
        return crowd;
    crowd_free(crowd);
    return NULL;
}

void crowd_free(struct crowd *crowd)
{
    if (!crowd)
        return;
    for (unsigned i = 0; i < STRIPES; i++) {
        struct neighbours *neighbours;
        /* A stream that was between two shards when the process stopped has told nobody that it is gone. */
        for (uint32_t at = 0; (neighbours = table_next(&crowd->stripes[i].prefixes, &at));)
            free(neighbours);
        table_fini(&crowd->stripes[i].prefixes);
        pthread_mutex_destroy(&crowd->stripes[i].lock);
    }
    rate_free(crowd->handshakes);
    rate_free(crowd->failures);
    free(crowd);
}

static const struct config *config_of(const struct stream *stream)
{
    return stream->shard->policy->config;
}

static struct prefix prefix_of_stream(const struct stream *stream)
{
    const struct config *config = config_of(stream);
    return prefix_of(stream->address, config->limits_prefix_ipv4, config->limits_prefix_ipv6);
}

/* The stripe's lock is held. NULL when memory is refused. */
static struct neighbours *neighbours_get(struct stripe *stripe, const struct prefix *prefix)
{
    struct neighbours *neighbours = table_find(&stripe->prefixes, prefix_key(prefix));
    if (neighbours)
        return neighbours;
    neighbours = calloc(1, sizeof *neighbours);
    if (!neighbours)
        return NULL;
    neighbours->prefix = *prefix;
    if (table_add(&stripe->prefixes, neighbours))
        return neighbours;
    free(neighbours);
    return NULL;
}

/* One line when a prefix comes to its limit; the log bounds how many such lines there are in a second. */
static void tell(const struct stream *stream, const char *event, const struct prefix *prefix)
{
    char address[STREAM_ADDRESS_SIZE], text[PREFIX_TEXT_SIZE];
    const struct config *config = config_of(stream);
    log_event(LOG_WARN, event, "prefix=%s address=%s",
              prefix_text(prefix, config->limits_prefix_ipv4, config->limits_prefix_ipv6, text),
              stream_address(stream, address));
}

bool crowd_enter(struct stream *stream)
{
    struct crowd *crowd = stream->shard->router->crowd;
    uint32_t max = config_of(stream)->limits_connections_per_address;
    if (!max)
        return true;
    struct prefix prefix = prefix_of_stream(stream);
    unsigned index = (unsigned)(hash_siphash13(&crowd->key, prefix_key(&prefix)) % STRIPES);
    struct stripe *stripe = &crowd->stripes[index];
    pthread_mutex_lock(&stripe->lock);
    struct neighbours *neighbours = neighbours_get(stripe, &prefix);
    bool may_enter = neighbours && neighbours->count < max;
    if (may_enter) {
        neighbours->stripe = index;
        neighbours->count++;
        stream->neighbours = neighbours;
    }
    pthread_mutex_unlock(&stripe->lock);
    if (may_enter)
        return true;
    shard_count(stream->shard, COUNTER_CROWDED, 1);
    tell(stream, "limits.connections_per_address", &prefix);
    return false;
}

void crowd_leave(struct stream *stream)
{
    struct neighbours *neighbours = stream->neighbours;
    if (!neighbours)
        return;
    stream->neighbours = NULL;
    struct stripe *stripe = &stream->shard->router->crowd->stripes[neighbours->stripe];
    pthread_mutex_lock(&stripe->lock);
    bool is_last = --neighbours->count == 0;
    if (is_last)
        table_remove(&stripe->prefixes, neighbours);
    pthread_mutex_unlock(&stripe->lock);
    if (is_last)
        free(neighbours);
}

bool crowd_may_handshake(struct stream *stream)
{
    const struct config *config = config_of(stream);
    struct rate_limit limit = {config->limits_handshakes_per_address, config->limits_handshakes_time_ms};
    struct prefix prefix = prefix_of_stream(stream);
    struct shard *shard = stream->shard;
    switch (rate_take(shard->router->crowd->handshakes, limit, &prefix, shard_now_ms(shard))) {
    case RATE_FREE:
        return true;
    case RATE_LAST:
        tell(stream, "limits.handshakes_per_address", &prefix);
        return true;
    case RATE_HELD:
        break;
    }
    shard_count(shard, COUNTER_HANDSHAKES_HELD, 1);
    return false;
}

static struct rate_limit failures_limit(const struct stream *stream)
{
    const struct config *config = config_of(stream);
    return (struct rate_limit){config->limits_failed_logins_per_address, config->limits_failed_logins_time_ms};
}

bool crowd_may_login(struct stream *stream)
{
    struct prefix prefix = prefix_of_stream(stream);
    struct shard *shard = stream->shard;
    if (!rate_is_held(shard->router->crowd->failures, failures_limit(stream), &prefix, shard_now_ms(shard)))
        return true;
    shard_count(shard, COUNTER_LOGINS_HELD, 1);
    return false;
}

void crowd_login_failed(struct stream *stream)
{
    struct prefix prefix = prefix_of_stream(stream);
    struct shard *shard = stream->shard;
    if (rate_take(shard->router->crowd->failures, failures_limit(stream), &prefix, shard_now_ms(shard)) == RATE_LAST)
        tell(stream, "limits.failed_logins_per_address", &prefix);
}
