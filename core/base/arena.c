/* SPDX-License-Identifier: MIT */
#include "core/base/arena.h"

#include <stdint.h>
#include <stdlib.h>

struct arena_block {
    struct arena_block *older;
    size_t used;
    size_t size;
    size_t unused; /* the head is 32 bytes, so that bytes[] is aligned to 16 as malloc's memory is */
    char bytes[];
};

_Static_assert(offsetof(struct arena_block, bytes) % 16 == 0, "what is taken is aligned to 16");

/* The first block fits into 4 KiB with its head, later ones double up to 64 KiB. */
enum { BLOCK_SIZE_MIN = 4096 - sizeof(struct arena_block), BLOCK_SIZE_MAX = 65536 - sizeof(struct arena_block) };

void arena_init(struct arena *arena, size_t size_max)
{
    *arena = (struct arena){.size_max = size_max};
}

void arena_fini(struct arena *arena)
{
    while (arena->block != NULL) {
        struct arena_block *block = arena->block;
        arena->block = block->older;
        free(block);
    }
    arena->used = 0;
}

static bool arena_grow(struct arena *arena, size_t size)
{
    size_t block_size = BLOCK_SIZE_MIN;
    if (arena->block != NULL)
        block_size = arena->block->size < BLOCK_SIZE_MAX / 2 ? arena->block->size * 2 : BLOCK_SIZE_MAX;
    if (block_size < size)
        block_size = size;
    struct arena_block *block = malloc(sizeof *block + block_size);
    if (block == NULL)
        return false;
    *block = (struct arena_block){.older = arena->block, .size = block_size};
    arena->block = block;
    return true;
}

void *arena_take(struct arena *arena, size_t size)
{
    /* A size of 0 takes 16 bytes too: every answer is an address of its own. */
    if (size > SIZE_MAX - 15)
        return NULL;
    size_t room = size == 0 ? 16 : (size + 15) & ~(size_t)15;
    if (room > arena->size_max - arena->used)
        return NULL;
    if ((arena->block == NULL || room > arena->block->size - arena->block->used) && !arena_grow(arena, room))
        return NULL;
    char *bytes = arena->block->bytes + arena->block->used;
    arena->block->used += room;
    arena->used += room;
    return memset(bytes, 0, room);
}

char *arena_copy(struct arena *arena, struct span bytes)
{
    if (bytes.size == SIZE_MAX)
        return NULL;
    char *copy = arena_take(arena, bytes.size + 1);
    if (copy != NULL && bytes.size > 0)
        memcpy(copy, bytes.ptr, bytes.size);
    return copy;
}
