/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Chain: a queue of bytes in pooled chunks; what waits to be sent, or was read too early.
 *
 * An empty chain holds no memory. Chunks come from the shard's pool and go back to it; a payload larger than
 * CHUNK_ROOM gets a chunk of its own that is freed, not pooled.
 *
 * Thread:  a pool and its chains belong to one shard. chain_release() and chain_adopt() carry a chain over to another.
 * Bounds:  none here; the owner of a chain bounds chain.size.
 */
#include "core/base/span.h"

#include <stdint.h>

#define CHUNK_ROOM 4064u /* with the chunk's head one 4 KiB allocation */

struct chunk {
    struct chunk *next;
    uint32_t start;    /* first unread byte */
    uint32_t end;      /* first free byte */
    uint32_t capacity; /* of bytes[] */
    char bytes[];
};

struct chunk_pool {
    struct chunk *free;
    uint32_t free_count;
    uint32_t free_max; /* more than this goes back to the allocator */
    uint64_t live;     /* chunks handed out and not yet returned: zero when every chain of the pool is empty */
};

struct chain {
    struct chunk *head;
    struct chunk *tail;
    size_t size; /* unread bytes in all chunks */
};

void chunk_pool_init(struct chunk_pool *pool, uint32_t free_max);
void chunk_pool_fini(struct chunk_pool *pool);
struct chunk *chunk_take(struct chunk_pool *pool, size_t capacity);
void chunk_give(struct chunk_pool *pool, struct chunk *chunk);

static inline bool chain_is_empty(const struct chain *chain)
{
    return chain->size == 0;
}

/* At least size contiguous writable bytes behind the last one; chain_commit tells how many were used. */
char *chain_reserve(struct chain *chain, struct chunk_pool *pool, size_t size);
void chain_commit(struct chain *chain, size_t size);
void chain_append(struct chain *chain, struct chunk_pool *pool, struct span bytes);
/* The first contiguous run of unread bytes; empty when the chain is. */
struct span chain_front(const struct chain *chain);
/* Drops the first size bytes and gives emptied chunks back. */
void chain_consume(struct chain *chain, struct chunk_pool *pool, size_t size);
void chain_clear(struct chain *chain, struct chunk_pool *pool);
/* Puts all of src behind dst's bytes; src is empty afterwards. Same pool. */
void chain_splice(struct chain *dst, struct chain *src);
/* Changes the pool that accounts for a chain's chunks, when its owner moves to another shard: release on the old
 * shard, adopt on the new one. The chunks themselves are not touched. */
void chain_release(const struct chain *chain, struct chunk_pool *from);
void chain_adopt(const struct chain *chain, struct chunk_pool *to);
