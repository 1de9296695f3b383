/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Link access: every touch of memory that both ends of a link share, apart from the records' own bytes. link.c goes
 * through these four and nothing else; tests/unit/core/model/core/base/link_access_priv.h is the twin with which the
 * same link.c is run step by step under a model of the memory.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* Pairs with link_index_store() of the other end: what it wrote, or had read, before the store is settled here. */
static inline uint64_t link_index_load(const _Atomic uint64_t *index)
{
    return atomic_load_explicit(index, memory_order_acquire);
}

static inline void link_index_store(_Atomic uint64_t *index, uint64_t value)
{
    atomic_store_explicit(index, value, memory_order_release);
}

static inline uint32_t link_size_read(const char *at)
{
    uint32_t size;
    memcpy(&size, at, sizeof size);
    return size;
}

static inline void link_size_write(char *at, uint32_t size)
{
    memcpy(at, &size, sizeof size);
}
