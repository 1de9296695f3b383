/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Explorer: runs two threads' worth of real code through all interleavings of their steps, up to a bound, under a
 * model of release and acquire that is weaker than x86 (and close to what the C standard allows).
 *
 * A step is one access to shared memory. Before each one the explorer decides who goes on; an execution is a list of
 * decisions, and a depth-first search over these lists replays the code from the start for each.
 *
 * Memory: an atomic index keeps every value it ever had. A load may see any of them that is not older than what its
 * thread has already seen or learned through an acquire: a store may become visible arbitrarily late, and to the one
 * thread later than its own later stores; which one it sees is a decision too. Plain memory has one value; what is
 * checked is that accesses of two threads, one of them a write, are ordered by release and acquire (vector clocks).
 * If they never race, no machine can show a thread anything else than what the model did.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*explorer_fn)(void *context);

struct explorer_run {
    explorer_fn begin, threads[2], end; /* end sees all that both threads did */
    void *context;
    uint32_t preemption_max; /* how often a thread that could go on is put aside */
    bool plain_is_step;      /* else only accesses to indices are */
    bool loads_are_relaxed;  /* mutants: what the link's code would be without its orderings */
    bool stores_are_relaxed;
    uint64_t execution_max;
};

struct explorer_result {
    uint64_t executions;
    uint64_t steps;
    bool is_complete; /* the search came to its end, not to execution_max or a violation */
    char violation[160];
};

void explorer_explore(const struct explorer_run *run, struct explorer_result *result);

/* For the code that is explored. */
uint64_t explorer_load(const _Atomic uint64_t *index);
void explorer_store(_Atomic uint64_t *index, uint64_t value);
/* Announces an access to plain memory, which the caller then does itself. */
void explorer_plain(const void *at, size_t size, bool is_write);
/* Records what went wrong; the first one counts. */
void explorer_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
