/* SPDX-License-Identifier: MIT */
#include "core/base/link.h"
#include "tests/unit/core/explorer.h"
#include "tests/unit/core/suite.h"

#include <stdio.h>

/*
 * The real link.c, compiled with the twin of link_access_priv.h, under all interleavings. A ring of 64 bytes takes
 * records of at most 16: two or three fill it, and every second one wraps.
 */
enum { CAPACITY = 64, OPERATION_MAX = 8 };

struct scenario {
    const char *name;
    uint32_t sizes[OPERATION_MAX]; /* of the records, by the producer's attempts */
    uint32_t attempt_count;
    uint32_t publish_every; /* attempts; the last one publishes anyway */
    uint32_t take_count;    /* the consumer's attempts */
    uint32_t release_every;
    bool commits_less;   /* half of what was reserved */
    bool releases_early; /* mutants: users that break the contract, to show that the model sees it */
    bool publishes_early;
};

struct state {
    const struct scenario *scenario;
    struct link *link;
    uint32_t committed_sizes[OPERATION_MAX];
    uint32_t committed, published, taken, released, refused;
    const char *last_at;
    bool is_wrapped;
    uint64_t executions_refused, executions_wrapped;
};

static uint64_t word_for(uint32_t record, uint32_t word)
{
    return 0x1000 * (record + 1) + word;
}

static void record_write(char *at, uint32_t size, uint32_t record)
{
    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t word = word_for(record, i);
        explorer_plain(at + i, 8, true);
        memcpy(at + i, &word, 8);
    }
}

static void record_check(struct span bytes, struct state *state)
{
    uint32_t record = state->taken;
    if (record >= state->committed) {
        explorer_violation("record %u taken, %u committed", record, state->committed);
        return;
    }
    if (bytes.size != state->committed_sizes[record])
        explorer_violation("record %u has size %zu, wanted %u", record, bytes.size, state->committed_sizes[record]);
    for (uint32_t i = 0; i < bytes.size; i += 8) {
        uint64_t word;
        explorer_plain(bytes.ptr + i, 8, false);
        memcpy(&word, bytes.ptr + i, 8);
        if (word != word_for(record, i))
            explorer_violation("record %u has other bytes", record);
    }
}

static void scenario_begin(void *context)
{
    struct state *state = context;
    state->link = link_new(CAPACITY);
    state->committed = 0;
    state->published = 0;
    state->taken = 0;
    state->released = 0;
    state->refused = 0;
    state->last_at = NULL;
    state->is_wrapped = false;
}

static void producer_publish(struct state *state)
{
    bool is_new = link_publish(state->link);
    if (is_new != (state->published != state->committed))
        explorer_violation("publish says %d with %u of %u published", is_new, state->published, state->committed);
    state->published = state->committed;
}

static void producer_run(void *context)
{
    struct state *state = context;
    const struct scenario *scenario = state->scenario;
    for (uint32_t i = 0; i < scenario->attempt_count; i++) {
        uint32_t size = scenario->sizes[i];
        char *at = link_reserve(state->link, size);
        if (at != NULL) {
            uint32_t used = scenario->commits_less ? size / 16 * 8 : size;
            if (!scenario->publishes_early)
                record_write(at, used, state->committed);
            state->is_wrapped |= at < state->last_at;
            state->last_at = at;
            state->committed_sizes[state->committed] = used;
            state->committed++;
            link_commit(state->link, used);
            if (scenario->publishes_early) {
                producer_publish(state);
                record_write(at, used, state->committed - 1);
            }
        } else {
            state->refused++;
        }
        if ((i + 1) % scenario->publish_every == 0)
            producer_publish(state);
    }
    producer_publish(state);
}

static void consumer_release(struct state *state)
{
    state->released = state->taken; /* before the step: the producer may see it from there on */
    link_release(state->link);
}

static void consumer_run(void *context)
{
    struct state *state = context;
    const struct scenario *scenario = state->scenario;
    for (uint32_t i = 0; i < scenario->take_count; i++) {
        struct span record = link_take(state->link);
        if (record.ptr != NULL && scenario->releases_early)
            consumer_release(state);
        if (record.ptr != NULL) {
            record_check(record, state);
            state->taken++;
        }
        if ((i + 1) % scenario->release_every == 0)
            consumer_release(state);
    }
}

/* What is left comes out, in order; nothing was lost; an empty ring takes the largest record. */
static void scenario_end(void *context)
{
    struct state *state = context;
    struct span record;
    while ((record = link_take(state->link)).ptr != NULL) {
        record_check(record, state);
        state->taken++;
    }
    if (state->taken != state->committed)
        explorer_violation("%u records taken of %u", state->taken, state->committed);
    consumer_release(state);
    if (link_reserve(state->link, CAPACITY / 4) == NULL)
        explorer_violation("an empty ring refuses the largest record");
    state->executions_refused += state->refused > 0 ? 1 : 0;
    state->executions_wrapped += state->is_wrapped ? 1 : 0;
    link_free(state->link);
}

static struct explorer_result explore(const struct scenario *scenario, struct state *state, struct explorer_run run)
{
    struct explorer_result result;
    *state = (struct state){.scenario = scenario};
    run.begin = scenario_begin;
    run.threads[0] = producer_run;
    run.threads[1] = consumer_run;
    run.end = scenario_end;
    run.context = state;
    run.execution_max = 400000;
    explorer_explore(&run, &result);
    printf("%s: %llu executions, %llu steps, %llu with refusals, %llu with a wrap; %s\n", scenario->name,
           (unsigned long long)result.executions, (unsigned long long)result.steps,
           (unsigned long long)state->executions_refused, (unsigned long long)state->executions_wrapped,
           result.violation[0] != '\0' ? result.violation : "no violation");
    return result;
}

static const struct scenario small = {"one by one", {16, 16, 16}, 3, 1, 3, 1};
static const struct scenario batches = {"batches of two", {16, 8, 16, 16}, 4, 2, 4, 2};
static const struct scenario less = {"commit less than reserved", {16, 16, 16, 16}, 4, 1, 2, 1, .commits_less = true};
static const struct scenario laps = {"several laps", {16, 16, 8, 16, 16}, 5, 1, 5, 1};

/* Every order of the accesses to the two indices and every value that a load may see. */
static void link__all_schedules_of_index_accesses__no_violation(void **unused)
{
    (void)unused;
    const struct scenario *const scenarios[] = {&small, &batches, &less};
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        struct state state;
        struct explorer_result result = explore(scenarios[i], &state, (struct explorer_run){.preemption_max = 1000});
        assert_string_equal(result.violation, "");
        assert_true(result.is_complete);
        assert_true(state.executions_refused > 0);
        assert_true(state.executions_wrapped > 0);
    }
}

/* Every access is a step, those to the records' bytes too, with at most three preemptions; two for the long one. */
static void link__all_schedules_with_three_preemptions__no_violation(void **unused)
{
    (void)unused;
    const struct scenario *const scenarios[] = {&small, &batches, &less, &laps};
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        struct state state;
        uint32_t preemption_max = scenarios[i] == &laps ? 2 : 3;
        struct explorer_result result = explore(
            scenarios[i], &state, (struct explorer_run){.preemption_max = preemption_max, .plain_is_step = true});
        assert_string_equal(result.violation, "");
        assert_true(result.is_complete);
        assert_true(state.executions_refused > 0);
        assert_true(state.executions_wrapped > 0);
    }
}

/* The model must be able to fail: without either ordering, and with users that break the contract, it does. */
static void link__orderings_or_contract_broken__seen(void **unused)
{
    (void)unused;
    static const struct scenario early_release = {"release before reading", {16, 16, 16, 16}, 4, 1, 3, 1,
                                                  .releases_early = true};
    static const struct scenario early_publish = {"publish before writing", {16, 8}, 2, 1, 2, 1,
                                                  .publishes_early = true};
    struct explorer_run run = {.preemption_max = 1000};
    struct explorer_run relaxed_loads = {.preemption_max = 1000, .loads_are_relaxed = true};
    struct explorer_run relaxed_stores = {.preemption_max = 1000, .stores_are_relaxed = true};
    struct state state;
    assert_string_not_equal(explore(&small, &state, relaxed_loads).violation, "");
    assert_string_not_equal(explore(&small, &state, relaxed_stores).violation, "");
    assert_string_not_equal(explore(&early_publish, &state, run).violation, "");
    assert_string_not_equal(explore(&early_release, &state, run).violation, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link__all_schedules_of_index_accesses__no_violation),
        cmocka_unit_test(link__all_schedules_with_three_preemptions__no_violation),
        cmocka_unit_test(link__orderings_or_contract_broken__seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
