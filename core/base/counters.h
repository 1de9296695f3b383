/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Counters: one array per shard, one writer (the shard), any reader. Rows live in counters.def, once, each with its
 * manual text; the admin socket and the documentation are generated from them.
 *
 * Thread:  counter_add on the owner (plain load, relaxed store); counter_read anywhere (relaxed load): a reader may
 *          see one counter newer than another.
 */
#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(symbol, name, kind, text) COUNTER_##symbol,
#include "core/base/counters.def"
#undef COUNTER
    COUNTER_COUNT
};

enum counter_kind { COUNTER_TOTAL, COUNTER_GAUGE };

struct counter_info {
    const char *name; /* as in the admin socket: lower case, words joined by '_' */
    enum counter_kind kind;
    const char *text;
};

extern const struct counter_info counter_infos[COUNTER_COUNT];

struct counters {
    _Alignas(64) _Atomic uint64_t values[COUNTER_COUNT];
};

static inline void counter_add(struct counters *counters, enum counter counter, uint64_t n)
{
    uint64_t value = atomic_load_explicit(&counters->values[counter], memory_order_relaxed);
    atomic_store_explicit(&counters->values[counter], value + n, memory_order_relaxed);
}

static inline void counter_sub(struct counters *counters, enum counter counter, uint64_t n)
{
    counter_add(counters, counter, (uint64_t)0 - n);
}

static inline void counter_set(struct counters *counters, enum counter counter, uint64_t value)
{
    atomic_store_explicit(&counters->values[counter], value, memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counters *counters, enum counter counter)
{
    return atomic_load_explicit(&counters->values[counter], memory_order_relaxed);
}
