/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Arena: bump allocation for things that die together (a turn's scratch, a configuration).
 *
 * Thread:  the owner's.
 * Bounds:  size_max bytes in all; arena_take answers NULL beyond it or when memory is refused.
 */
#include "core/base/span.h"

struct arena {
    struct arena_block *block;
    size_t used;
    size_t size_max;
};

void arena_init(struct arena *arena, size_t size_max);
void arena_fini(struct arena *arena);
/* 16-byte aligned, zeroed. */
void *arena_take(struct arena *arena, size_t size);
/* A copy with a NUL behind it. */
char *arena_copy(struct arena *arena, struct span bytes);
