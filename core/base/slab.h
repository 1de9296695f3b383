/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Slab: objects of one size with an index and a generation, for references that may go stale.
 *
 * slab_ref(object) is 64 bits: generation in the upper half, index in the lower. slab_find() of a freed or reused
 * object's ref answers NULL. Objects never move and are aligned to 16 bytes; memory grows in blocks of SLAB_BLOCK
 * objects, new objects go to the lowest block with room, and a block that is wholly free is given back (one is kept,
 * so that a count that swings around a block's edge does not allocate each time).
 *
 * Generations come from one 32-bit counter of the slab: a stale ref could be mistaken only when its very index is
 * taken again exactly a multiple of 2^32 - 1 takes later.
 *
 * Thread:  the owner's.
 * Bounds:  count_max objects; slab_take answers NULL beyond.
 * Cost:    8 bytes an object beside its own, rounded up to 16 together; 16 bytes and 2 bits a block.
 */
#include <stddef.h>
#include <stdint.h>

#define SLAB_BLOCK 64u /* one word of a bitmap */

struct slab;

struct slab *slab_new(size_t object_size, uint32_t count_max);
/* Every object must have been given back. */
void slab_free(struct slab *slab);
/* Zeroed memory, or NULL at count_max or when memory is refused. */
void *slab_take(struct slab *slab);
void slab_give(struct slab *slab, void *object);
uint64_t slab_ref(const struct slab *slab, const void *object); /* never 0 */
void *slab_find(const struct slab *slab, uint64_t ref);
uint32_t slab_count(const struct slab *slab);
/* Walks the live objects by index: start with *position = 0; NULL at the end. Giving back the object just returned
 * is allowed meanwhile. */
void *slab_next(const struct slab *slab, uint32_t *position);
