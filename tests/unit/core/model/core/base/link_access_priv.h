/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Link access, the twin for the model test: Meson puts this folder before the root, so link.c is compiled with it
 * unchanged and each of its touches of shared memory becomes a step of the explorer.
 */
#include "tests/unit/core/explorer.h"

#include <string.h>

static inline uint64_t link_index_load(const _Atomic uint64_t *index)
{
    return explorer_load(index);
}

static inline void link_index_store(_Atomic uint64_t *index, uint64_t value)
{
    explorer_store(index, value);
}

static inline uint32_t link_size_read(const char *at)
{
    uint32_t size;
    explorer_plain(at, sizeof size, false);
    memcpy(&size, at, sizeof size);
    return size;
}

static inline void link_size_write(char *at, uint32_t size)
{
    explorer_plain(at, sizeof size, true);
    memcpy(at, &size, sizeof size);
}
