/* SPDX-License-Identifier: MIT */
#include "router/stream/crowd.h"

#include "core/base/check.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"

#include <stdlib.h>

struct crowd {
    uint32_t count;
    uint8_t size; /* of the key: 16 for a mapped IPv4 address, 8 for an IPv6 prefix */
    char key[16];
};

static struct span crowd_key(const void *object)
{
    const struct crowd *crowd = object;
    return span_of(crowd->key, crowd->size);
}

static struct span key_of(const struct stream *stream)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = memcmp(stream->address, mapped, sizeof mapped) == 0;
    return span_of(stream->address, is_v4 ? 16 : 8);
}

void crowd_init(struct shard *shard)
{
    table_init(&shard->addresses, &shard->router->hash_key, crowd_key);
}

void crowd_fini(struct shard *shard)
{
    SL_CHECK(shard->addresses.count == 0);
    table_fini(&shard->addresses);
}

static struct crowd *crowd_new(struct shard *shard, struct span key)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    if (!crowd)
        return NULL;
    crowd->size = (uint8_t)key.size;
    memcpy(crowd->key, key.ptr, key.size);
    if (table_add(&shard->addresses, crowd))
        return crowd;
    free(crowd);
    return NULL;
}

bool crowd_enter(struct shard *shard, struct stream *stream)
{
    uint32_t max = shard->policy->config->limits_connections_per_address;
    if (!max)
        return true;
    struct span key = key_of(stream);
    struct crowd *crowd = table_find(&shard->addresses, key);
    /* A stream that comes authenticated from another shard counts, but is not turned away. */
    if (crowd && crowd->count >= max && stream->state == STREAM_HEADER)
        return false;
    if (!crowd)
        crowd = crowd_new(shard, key);
    if (!crowd)
        return false;
    crowd->count++;
    stream->is_counted = true;
    return true;
}

void crowd_leave(struct shard *shard, struct stream *stream)
{
    if (!stream->is_counted)
        return;
    stream->is_counted = false;
    struct crowd *crowd = table_find(&shard->addresses, key_of(stream));
    SL_CHECK(crowd);
    if (--crowd->count)
        return;
    table_remove(&shard->addresses, crowd);
    free(crowd);
}
