/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Slab: objects of one size with an index and a generation, for references that may go stale.
 *
 * slab_ref(object) is 64 bits: generation in the upper half, index in the lower. slab_find() of a freed or reused
 * object's ref answers NULL. Objects never move; memory grows in blocks of SLAB_BLOCK objects, and a block that is
 * wholly free is given back.
 *
 * Thread:  the owner's.
 * Bounds:  count_max objects; slab_take answers NULL beyond.
 */
#include <stddef.h>
#include <stdint.h>

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
