/* SPDX-License-Identifier: MIT */
#include "core/base/chain.h"

#include "core/base/check.h"

#include <stdlib.h>

/* The allocator's 4 KiB class holds a pooled chunk without waste; a head that grows must take from CHUNK_ROOM. */
_Static_assert(sizeof(struct chunk) + CHUNK_ROOM <= 4096, "a pooled chunk is one 4 KiB allocation");

void chunk_pool_init(struct chunk_pool *pool, uint32_t free_max)
{
    *pool = (struct chunk_pool){.free_max = free_max};
}

void chunk_pool_fini(struct chunk_pool *pool)
{
    SL_CHECK(pool->live == 0);
    while (pool->free != NULL) {
        struct chunk *chunk = pool->free;
        pool->free = chunk->next;
        free(chunk);
    }
    pool->free_count = 0;
}

struct chunk *chunk_take(struct chunk_pool *pool, size_t capacity)
{
    SL_CHECK(capacity <= UINT32_MAX);
    struct chunk *chunk = pool->free;
    if (capacity <= CHUNK_ROOM && chunk != NULL) {
        pool->free = chunk->next;
        pool->free_count--;
    } else {
        if (capacity < CHUNK_ROOM)
            capacity = CHUNK_ROOM;
        chunk = malloc(sizeof *chunk + capacity);
        if (chunk == NULL)
            check_memory_refused(sizeof *chunk + capacity);
        chunk->capacity = (uint32_t)capacity;
    }
    chunk->next = NULL;
    chunk->start = 0;
    chunk->end = 0;
    pool->live++;
    return chunk;
}

void chunk_give(struct chunk_pool *pool, struct chunk *chunk)
{
    SL_CHECK(pool->live > 0);
    pool->live--;
    if (chunk->capacity != CHUNK_ROOM || pool->free_count >= pool->free_max) {
        free(chunk);
        return;
    }
    chunk->next = pool->free;
    pool->free = chunk;
    pool->free_count++;
}

static void chain_link(struct chain *chain, struct chunk *chunk)
{
    if (chain->tail != NULL)
        chain->tail->next = chunk;
    else
        chain->head = chunk;
    chain->tail = chunk;
}

static struct chunk *chain_unlink_head(struct chain *chain)
{
    struct chunk *chunk = chain->head;
    chain->head = chunk->next;
    if (chain->head == NULL)
        chain->tail = NULL;
    return chunk;
}

char *chain_reserve(struct chain *chain, struct chunk_pool *pool, size_t size)
{
    struct chunk *tail = chain->tail;
    if (tail != NULL && tail->capacity - tail->end >= size)
        return tail->bytes + tail->end;
    /* What an earlier reserve left without a commit is not kept beside the larger chunk. Behind other chunks it stays
     * as an empty one, which chain_front and chain_consume step over. */
    if (chain->size == 0)
        chain_clear(chain, pool);
    tail = chunk_take(pool, size);
    chain_link(chain, tail);
    return tail->bytes;
}

void chain_commit(struct chain *chain, size_t size)
{
    if (size == 0)
        return;
    struct chunk *tail = chain->tail;
    SL_CHECK(tail != NULL && size <= tail->capacity - tail->end);
    tail->end += (uint32_t)size;
    chain->size += size;
}

void chain_append(struct chain *chain, struct chunk_pool *pool, struct span bytes)
{
    struct chunk *tail = chain->tail;
    if (tail != NULL && bytes.size > 0) {
        size_t room = tail->capacity - tail->end;
        size_t part = bytes.size < room ? bytes.size : room;
        memcpy(tail->bytes + tail->end, bytes.ptr, part);
        chain_commit(chain, part);
        bytes = span_skip(bytes, part);
    }
    /* Pooled chunks, one after the other: a chunk of its own for each receive of 8 KiB would be an allocation each. */
    while (bytes.size > 0) {
        size_t part = bytes.size < CHUNK_ROOM ? bytes.size : CHUNK_ROOM;
        memcpy(chain_reserve(chain, pool, part), bytes.ptr, part);
        chain_commit(chain, part);
        bytes = span_skip(bytes, part);
    }
}

struct span chain_front(const struct chain *chain)
{
    for (const struct chunk *chunk = chain->head; chunk != NULL; chunk = chunk->next) {
        if (chunk->start < chunk->end)
            return span_of(chunk->bytes + chunk->start, chunk->end - chunk->start);
    }
    return SPAN_NONE;
}

void chain_consume(struct chain *chain, struct chunk_pool *pool, size_t size)
{
    SL_CHECK(size <= chain->size);
    chain->size -= size;
    if (chain->size == 0) {
        chain_clear(chain, pool);
        return;
    }
    /* Bytes remain, so a chunk that is not emptied stands before the end of the list. */
    for (;;) {
        struct chunk *head = chain->head;
        uint32_t unread = head->end - head->start;
        if (unread > size) {
            head->start += (uint32_t)size;
            return;
        }
        size -= unread;
        chunk_give(pool, chain_unlink_head(chain));
    }
}

void chain_clear(struct chain *chain, struct chunk_pool *pool)
{
    while (chain->head != NULL)
        chunk_give(pool, chain_unlink_head(chain));
    chain->size = 0;
}

void chain_splice(struct chain *dst, struct chain *src)
{
    SL_CHECK(dst != src);
    if (src->head == NULL)
        return;
    if (dst->tail != NULL)
        dst->tail->next = src->head;
    else
        dst->head = src->head;
    dst->tail = src->tail;
    dst->size += src->size;
    *src = (struct chain){0};
}

static uint64_t chain_chunk_count(const struct chain *chain)
{
    uint64_t count = 0;
    for (const struct chunk *chunk = chain->head; chunk != NULL; chunk = chunk->next)
        count++;
    return count;
}

void chain_release(const struct chain *chain, struct chunk_pool *from)
{
    uint64_t count = chain_chunk_count(chain);
    SL_CHECK(from->live >= count);
    from->live -= count;
}

void chain_adopt(const struct chain *chain, struct chunk_pool *to)
{
    to->live += chain_chunk_count(chain);
}
