/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/explorer.h"

#include "core/base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

enum { DECISION_MAX = 512, INDEX_MAX = 2, STORE_MAX = 64, WORD_MAX = 256, STACK_SIZE = 65536, NOBODY = 2 };

/* What a thread knows: how far each thread had come (clock), and the oldest store of each index it may still see. */
struct view {
    uint32_t clock[2];
    uint32_t seen[INDEX_MAX];
};

struct store {
    uint64_t value;
    struct view view; /* what an acquire of it learns */
};

struct index {
    const void *at;
    uint32_t store_count;
    struct store stores[STORE_MAX];
};

/* Eight bytes of plain memory: when each thread read and wrote it last, on its own clock; 0 for never. */
struct word {
    uintptr_t at;
    uint32_t read[2], written[2];
};

struct decision {
    uint32_t chosen, count;
};

static struct {
    const struct explorer_run *run;
    struct explorer_result *result;

    struct decision decisions[DECISION_MAX];
    uint32_t decision_count; /* of the list that is replayed and extended */
    uint32_t decision_at;

    uint32_t current; /* 0, 1; NOBODY outside of the threads */
    bool is_finished[2];
    uint32_t preemptions;
    struct view views[2];
    struct index indices[INDEX_MAX];
    uint32_t index_count;
    struct word words[WORD_MAX];
    uint32_t word_count;

    ucontext_t main, contexts[2];
    _Alignas(64) char stacks[2][STACK_SIZE];
} explorer;

void explorer_violation(const char *format, ...)
{
    if (explorer.result->violation[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(explorer.result->violation, sizeof explorer.result->violation, format, args);
    va_end(args);
}

/* One of count ways: what the list says, or the first one where the list ends. */
static uint32_t decide(uint32_t count)
{
    if (count == 1)
        return 0;
    if (explorer.decision_at == explorer.decision_count) {
        SL_CHECK(explorer.decision_count < DECISION_MAX);
        explorer.decisions[explorer.decision_count++] = (struct decision){.count = count};
    }
    struct decision *decision = &explorer.decisions[explorer.decision_at++];
    SL_CHECK(decision->count == count); /* the code under test is deterministic */
    return decision->chosen;
}

/* The next list of decisions in the search; false at its end. */
static bool decisions_advance(void)
{
    while (explorer.decision_count > 0) {
        struct decision *last = &explorer.decisions[explorer.decision_count - 1];
        if (++last->chosen < last->count)
            return true;
        explorer.decision_count--;
    }
    return false;
}

static void switch_to(uint32_t thread)
{
    ucontext_t *from = &explorer.contexts[explorer.current];
    explorer.current = thread;
    swapcontext(from, thread == NOBODY ? &explorer.main : &explorer.contexts[thread]);
}

/* Before each step. The other thread may go first if it is not at its end and the budget allows. */
static void step(void)
{
    explorer.result->steps++;
    uint32_t other = 1 - explorer.current;
    if (explorer.is_finished[other] || explorer.preemptions == explorer.run->preemption_max)
        return;
    if (decide(2) == 1) {
        explorer.preemptions++;
        switch_to(other);
    }
}

static void thread_main(void)
{
    explorer.run->threads[explorer.current](explorer.run->context);
    explorer.is_finished[explorer.current] = true;
    uint32_t other = 1 - explorer.current;
    switch_to(explorer.is_finished[other] ? NOBODY : other);
}

static void view_join(struct view *view, const struct view *learned)
{
    for (int i = 0; i < 2; i++) {
        if (view->clock[i] < learned->clock[i])
            view->clock[i] = learned->clock[i];
    }
    for (int i = 0; i < INDEX_MAX; i++) {
        if (view->seen[i] < learned->seen[i])
            view->seen[i] = learned->seen[i];
    }
}

static uint32_t index_of(const void *at)
{
    for (uint32_t i = 0; i < explorer.index_count; i++) {
        if (explorer.indices[i].at == at)
            return i;
    }
    SL_CHECK(explorer.index_count < INDEX_MAX);
    struct index *index = &explorer.indices[explorer.index_count];
    index->at = at;
    index->store_count = 1; /* the initial zero, known to all */
    index->stores[0] = (struct store){0};
    return explorer.index_count++;
}

uint64_t explorer_load(const _Atomic uint64_t *at)
{
    uint32_t i = index_of(at);
    const struct index *index = &explorer.indices[i];
    if (explorer.current == NOBODY)
        return index->stores[index->store_count - 1].value;
    step();
    struct view *view = &explorer.views[explorer.current];
    uint32_t newest = index->store_count - 1;
    uint32_t seen = newest - decide(newest - view->seen[i] + 1);
    view->seen[i] = seen;
    if (!explorer.run->loads_are_relaxed)
        view_join(view, &index->stores[seen].view);
    return index->stores[seen].value;
}

void explorer_store(_Atomic uint64_t *at, uint64_t value)
{
    uint32_t i = index_of(at);
    struct index *index = &explorer.indices[i];
    SL_CHECK(index->store_count < STORE_MAX);
    if (explorer.current == NOBODY) {
        index->stores[index->store_count++] = (struct store){.value = value};
        return;
    }
    step();
    struct view *view = &explorer.views[explorer.current];
    view->seen[i] = index->store_count;
    struct store *store = &index->stores[index->store_count++];
    *store = (struct store){.value = value};
    if (!explorer.run->stores_are_relaxed)
        store->view = *view;
    /* What comes after the store is later than what an acquire of it learns. */
    view->clock[explorer.current]++;
}

static struct word *word_of(uintptr_t at)
{
    for (uint32_t i = 0; i < explorer.word_count; i++) {
        if (explorer.words[i].at == at)
            return &explorer.words[i];
    }
    SL_CHECK(explorer.word_count < WORD_MAX);
    struct word *word = &explorer.words[explorer.word_count++];
    *word = (struct word){.at = at};
    return word;
}

void explorer_plain(const void *at, size_t size, bool is_write)
{
    if (explorer.current == NOBODY)
        return;
    if (explorer.run->plain_is_step)
        step();
    uint32_t self = explorer.current, other = 1 - self;
    const struct view *view = &explorer.views[self];
    uintptr_t first = (uintptr_t)at / 8, last = ((uintptr_t)at + size - 1) / 8;
    for (uintptr_t number = first; number <= last && size > 0; number++) {
        struct word *word = word_of(number);
        if (word->written[other] > view->clock[other])
            explorer_violation("%s of a word that the other thread writes without order", is_write ? "write" : "read");
        if (is_write && word->read[other] > view->clock[other])
            explorer_violation("write of a word that the other thread still reads");
        if (is_write)
            word->written[self] = view->clock[self];
        else
            word->read[self] = view->clock[self];
    }
}

static void execute(void)
{
    explorer.decision_at = 0;
    explorer.index_count = 0;
    explorer.word_count = 0;
    explorer.preemptions = 0;
    memset(explorer.views, 0, sizeof explorer.views);
    explorer.current = NOBODY;
    explorer.run->begin(explorer.run->context);
    for (uint32_t i = 0; i < 2; i++) {
        explorer.views[i].clock[i] = 1;
        explorer.is_finished[i] = false;
        getcontext(&explorer.contexts[i]);
        explorer.contexts[i].uc_stack.ss_sp = explorer.stacks[i];
        explorer.contexts[i].uc_stack.ss_size = STACK_SIZE;
        explorer.contexts[i].uc_link = NULL;
        makecontext(&explorer.contexts[i], thread_main, 0);
    }
    explorer.current = decide(2);
    swapcontext(&explorer.main, &explorer.contexts[explorer.current]);
    explorer.run->end(explorer.run->context);
}

void explorer_explore(const struct explorer_run *run, struct explorer_result *result)
{
    *result = (struct explorer_result){0};
    explorer.run = run;
    explorer.result = result;
    explorer.decision_count = 0;
    do {
        execute();
        result->executions++;
        if (result->violation[0] != '\0' || result->executions == run->execution_max)
            return;
    } while (decisions_advance());
    result->is_complete = true;
}
