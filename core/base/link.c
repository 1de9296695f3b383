/* SPDX-License-Identifier: MIT */
#include "core/base/link.h"

#include "core/base/check.h"
#include "core/base/link_access_priv.h"

#include <stdlib.h>

/*
 * Positions count bytes from the link's beginning and never wrap (64 bits); a position modulo the capacity is a place
 * in the ring. A record is a size of 4 bytes, 4 bytes unused, and its bytes, rounded up to 8. A record is contiguous:
 * where it does not fit before the ring's end a size of SIZE_SKIP sends the reader to the beginning. Skipped room is
 * smaller than the record that caused it, so an empty ring always takes a record of capacity / 4: at most
 * 2 * (capacity / 4 + 8) bytes.
 */
enum { RECORD_HEAD = 8, CAPACITY_MIN = 64, LINE = 64 };

static const uint32_t SIZE_SKIP = UINT32_MAX;

struct link {
    /* Written by the producer, read by the consumer. */
    _Alignas(LINE) _Atomic uint64_t published;

    /* The producer's own. */
    _Alignas(LINE) uint64_t written; /* end of what is committed */
    uint64_t published_copy;         /* what `published` says: its line may be the consumer's just now */
    uint64_t released_cache;         /* what `released` said last */
    uint64_t reserved;               /* position of the reserved record, behind a skip if there is one */
    uint32_t reserved_size;
    bool is_reserved;

    /* Written by the consumer, read by the producer. */
    _Alignas(LINE) _Atomic uint64_t released;

    /* The consumer's own. */
    _Alignas(LINE) uint64_t taken; /* end of what was handed out */
    uint64_t released_copy;
    uint64_t published_cache;

    /* Never written after link_new(). */
    _Alignas(LINE) uint64_t capacity;
    _Alignas(LINE) char ring[];
};

static inline uint64_t record_room(uint32_t size)
{
    return RECORD_HEAD + (((uint64_t)size + 7) & ~(uint64_t)7);
}

static inline uint64_t place_of(const struct link *link, uint64_t position)
{
    return position & (link->capacity - 1);
}

struct link *link_new(uint32_t capacity)
{
    SL_CHECK(capacity >= CAPACITY_MIN && (capacity & (capacity - 1)) == 0);
    /* The ring is left untouched: its pages come when records reach them. */
    struct link *link = aligned_alloc(LINE, sizeof *link + capacity);
    if (link == NULL)
        check_memory_refused(sizeof *link + capacity);
    memset(link, 0, sizeof *link);
    link->capacity = capacity;
    return link;
}

void link_free(struct link *link)
{
    free(link);
}

void *link_reserve(struct link *link, uint32_t size)
{
    SL_CHECK(size <= link->capacity / 4);
    uint64_t room = record_room(size);
    uint64_t to_end = link->capacity - place_of(link, link->written);
    uint64_t skip = room <= to_end ? 0 : to_end;
    uint64_t end = link->written + skip + room;
    link->is_reserved = false;
    if (end - link->released_cache > link->capacity) {
        /* Acquire: the consumer's reads of the room we are about to write over are done. */
        link->released_cache = link_index_load(&link->released);
        if (end - link->released_cache > link->capacity)
            return NULL;
    }
    link->is_reserved = true;
    link->reserved = link->written + skip;
    link->reserved_size = size;
    return link->ring + place_of(link, link->reserved) + RECORD_HEAD;
}

void link_commit(struct link *link, uint32_t size)
{
    SL_CHECK(link->is_reserved && size <= link->reserved_size);
    link->is_reserved = false;
    if (link->reserved != link->written)
        link_size_write(link->ring + place_of(link, link->written), SIZE_SKIP);
    link_size_write(link->ring + place_of(link, link->reserved), size);
    link->written = link->reserved + record_room(size);
}

bool link_publish(struct link *link)
{
    if (link->written == link->published_copy)
        return false;
    /* Release: the records' bytes go before the index that shows them; pairs with the load in link_take(). */
    link_index_store(&link->published, link->written);
    link->published_copy = link->written;
    return true;
}

struct span link_take(struct link *link)
{
    if (link->taken == link->published_cache) {
        /* Acquire: pairs with the store in link_publish(). */
        link->published_cache = link_index_load(&link->published);
        if (link->taken == link->published_cache)
            return SPAN_NONE;
    }
    uint32_t size = link_size_read(link->ring + place_of(link, link->taken));
    if (size == SIZE_SKIP) {
        /* A skip and the record behind it are committed together, so that one is published too. */
        link->taken += link->capacity - place_of(link, link->taken);
        size = link_size_read(link->ring + place_of(link, link->taken));
    }
    struct span record = span_of(link->ring + place_of(link, link->taken) + RECORD_HEAD, size);
    link->taken += record_room(size);
    return record;
}

void link_release(struct link *link)
{
    if (link->taken == link->released_copy)
        return;
    /* Release: our reads of the records go before the index that gives their room away; pairs with the load in
     * link_reserve(). */
    link_index_store(&link->released, link->taken);
    link->released_copy = link->taken;
}

bool link_is_crowded(struct link *link)
{
    /* Acquire: the cache may be used by link_take() next, see there. */
    link->published_cache = link_index_load(&link->published);
    return link->published_cache - link->released_copy > link->capacity - link->capacity / 4;
}
