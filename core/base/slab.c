/* SPDX-License-Identifier: MIT */
#include "core/base/slab.h"

#include "core/base/check.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Stands right before each object; 8 bytes, so that objects 16 bytes apart stay aligned behind it. */
struct slab_head {
    uint32_t index;
    uint32_t generation; /* 0 while the place is free */
};

struct slab_block {
    uint64_t used; /* bit i: place i holds an object */
    char places[]; /* SLAB_BLOCK times head and object, `stride` bytes apart */
};

/* Block's head and places' heads share the first 16 bytes: the first object is 16-byte aligned when malloc's is. */
_Static_assert(sizeof(struct slab_head) == 8 && offsetof(struct slab_block, places) == 8, "objects are aligned to 16");

/* A set of block numbers that yields its lowest member. */
struct block_set {
    uint64_t *words;
    uint32_t first; /* no word before this one has a bit */
};

struct slab {
    struct slab_block **blocks; /* by index / SLAB_BLOCK; NULL where no memory is */
    struct block_set room;      /* blocks with memory and a free place */
    struct block_set absent;    /* blocks without memory */
    uint32_t block_count;       /* of blocks[], a multiple of 64 */
    uint32_t count;
    uint32_t count_max;
    uint32_t generation; /* the last one given out */
    uint32_t spare;      /* the one wholly free block that is kept, or BLOCK_NONE */
    size_t stride;
    size_t object_size;
};

static const uint32_t BLOCK_NONE = UINT32_MAX;

static void set_add(struct block_set *set, uint32_t block)
{
    set->words[block / 64] |= (uint64_t)1 << block % 64;
    if (block / 64 < set->first)
        set->first = block / 64;
}

static void set_remove(struct block_set *set, uint32_t block)
{
    set->words[block / 64] &= ~((uint64_t)1 << block % 64);
}

/* The lowest member, or BLOCK_NONE. A million objects are 245 words, and `first` moves only as far as it must. */
static uint32_t set_lowest(struct block_set *set, uint32_t block_count)
{
    for (; set->first < block_count / 64; set->first++) {
        uint64_t word = set->words[set->first];
        if (word != 0)
            return set->first * 64 + (uint32_t)__builtin_ctzll(word);
    }
    return BLOCK_NONE;
}

struct slab *slab_new(size_t object_size, uint32_t count_max)
{
    SL_CHECK(object_size > 0 && object_size <= (size_t)1 << 30);
    struct slab *slab = calloc(1, sizeof *slab);
    if (slab == NULL)
        check_memory_refused(sizeof *slab);
    slab->object_size = object_size;
    slab->stride = (object_size + sizeof(struct slab_head) + 15) & ~(size_t)15;
    slab->count_max = count_max;
    slab->spare = BLOCK_NONE;
    return slab;
}

void slab_free(struct slab *slab)
{
    SL_CHECK(slab->count == 0);
    for (uint32_t i = 0; i < slab->block_count; i++)
        free(slab->blocks[i]);
    free(slab->blocks);
    free(slab->room.words);
    free(slab->absent.words);
    free(slab);
}

static struct slab_head *block_head(const struct slab *slab, const struct slab_block *block, uint32_t place)
{
    return (struct slab_head *)((uintptr_t)block->places + place * slab->stride);
}

static bool grow_array(void **array, size_t size)
{
    void *grown = realloc(*array, size);
    if (grown == NULL)
        return false;
    *array = grown;
    return true;
}

/* Doubles the directory. When one array is refused the others are merely longer than block_count says. */
static bool slab_grow(struct slab *slab)
{
    uint32_t old_count = slab->block_count;
    uint32_t new_count = old_count == 0 ? 64 : old_count * 2;
    size_t set_size = new_count / 64 * sizeof(uint64_t);
    void *blocks = slab->blocks;
    void *room = slab->room.words;
    void *absent = slab->absent.words;
    bool grown = grow_array(&blocks, new_count * sizeof(struct slab_block *)) && grow_array(&room, set_size) &&
                 grow_array(&absent, set_size);
    slab->blocks = blocks;
    slab->room.words = room;
    slab->absent.words = absent;
    if (!grown)
        return false;
    memset(slab->blocks + old_count, 0, (new_count - old_count) * sizeof(struct slab_block *));
    memset(slab->room.words + old_count / 64, 0, (new_count - old_count) / 64 * sizeof(uint64_t));
    memset(slab->absent.words + old_count / 64, 0xff, (new_count - old_count) / 64 * sizeof(uint64_t));
    slab->block_count = new_count;
    return true;
}

/* Gives memory to the lowest block that has none; its number, or BLOCK_NONE. */
static uint32_t slab_add_block(struct slab *slab)
{
    uint32_t number = set_lowest(&slab->absent, slab->block_count);
    if (number == BLOCK_NONE) {
        if (!slab_grow(slab))
            return BLOCK_NONE;
        number = set_lowest(&slab->absent, slab->block_count);
    }
    struct slab_block *block = malloc(sizeof *block + SLAB_BLOCK * slab->stride);
    if (block == NULL)
        return BLOCK_NONE;
    block->used = 0;
    for (uint32_t place = 0; place < SLAB_BLOCK; place++)
        *block_head(slab, block, place) = (struct slab_head){.index = number * SLAB_BLOCK + place};
    slab->blocks[number] = block;
    set_remove(&slab->absent, number);
    set_add(&slab->room, number);
    return number;
}

void *slab_take(struct slab *slab)
{
    if (slab->count >= slab->count_max)
        return NULL;
    uint32_t number = set_lowest(&slab->room, slab->block_count);
    if (number == BLOCK_NONE)
        number = slab_add_block(slab);
    if (number == BLOCK_NONE)
        return NULL;
    struct slab_block *block = slab->blocks[number];
    uint32_t place = (uint32_t)__builtin_ctzll(~block->used);
    block->used |= (uint64_t)1 << place;
    if (block->used == UINT64_MAX)
        set_remove(&slab->room, number);
    if (slab->spare == number)
        slab->spare = BLOCK_NONE;
    slab->count++;
    slab->generation += slab->generation == UINT32_MAX ? 2 : 1; /* steps over 0 */
    struct slab_head *head = block_head(slab, block, place);
    head->generation = slab->generation;
    return memset(head + 1, 0, slab->object_size);
}

static const struct slab_head *head_of(const void *object)
{
    return (const struct slab_head *)object - 1;
}

void slab_give(struct slab *slab, void *object)
{
    uint32_t index = head_of(object)->index;
    uint32_t number = index / SLAB_BLOCK;
    SL_CHECK(number < slab->block_count && slab->blocks[number] != NULL);
    struct slab_block *block = slab->blocks[number];
    struct slab_head *head = block_head(slab, block, index % SLAB_BLOCK);
    SL_CHECK(head + 1 == object && head->generation != 0);
    head->generation = 0;
    block->used &= ~((uint64_t)1 << index % SLAB_BLOCK);
    slab->count--;
    if (block->used != 0) {
        set_add(&slab->room, number);
    } else if (slab->spare == BLOCK_NONE) {
        set_add(&slab->room, number);
        slab->spare = number;
    } else {
        set_remove(&slab->room, number);
        set_add(&slab->absent, number);
        slab->blocks[number] = NULL;
        free(block);
    }
}

uint64_t slab_ref(const struct slab *slab, const void *object)
{
    const struct slab_head *head = head_of(object);
    SL_CHECK(head->index / SLAB_BLOCK < slab->block_count && head->generation != 0);
    return (uint64_t)head->generation << 32 | head->index;
}

void *slab_find(const struct slab *slab, uint64_t ref)
{
    uint32_t index = (uint32_t)ref;
    uint32_t generation = (uint32_t)(ref >> 32);
    uint32_t number = index / SLAB_BLOCK;
    if (generation == 0 || number >= slab->block_count || slab->blocks[number] == NULL)
        return NULL;
    struct slab_head *head = block_head(slab, slab->blocks[number], index % SLAB_BLOCK);
    return head->generation == generation ? head + 1 : NULL;
}

uint32_t slab_count(const struct slab *slab)
{
    return slab->count;
}

void *slab_next(const struct slab *slab, uint32_t *position)
{
    uint32_t number = *position / SLAB_BLOCK;
    uint64_t not_before = UINT64_MAX << *position % SLAB_BLOCK;
    for (; number < slab->block_count; number++, not_before = UINT64_MAX) {
        const struct slab_block *block = slab->blocks[number];
        uint64_t rest = block != NULL ? block->used & not_before : 0;
        if (rest == 0)
            continue;
        uint32_t place = (uint32_t)__builtin_ctzll(rest);
        *position = number * SLAB_BLOCK + place + 1;
        return block_head(slab, block, place) + 1;
    }
    *position = slab->block_count * SLAB_BLOCK;
    return NULL;
}
