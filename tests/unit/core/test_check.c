/* SPDX-License-Identifier: MIT */
#include "core/base/chain.h"
#include "core/base/check.h"
#include "core/base/link.h"
#include "core/base/slab.h"
#include "core/base/table.h"
#include "core/base/wheel.h"
#include "tests/unit/core/suite.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Bugs of a caller that the modules promise to stop at. Each runs in a child, which must end by SIGABRT and name the
 * check that failed.
 */
typedef void (*bug_fn)(void);

static char complaint[512];

static bool ends_in_check(bug_fn bug, const char *wanted)
{
    int ends[2];
    if (pipe(ends) != 0)
        return false;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        /* cmocka's own handler would turn the abort into something else. */
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        bug();
        _exit(0);
    }
    close(ends[1]);
    size_t size = 0;
    ssize_t part;
    while ((part = read(ends[0], complaint + size, sizeof complaint - 1 - size)) > 0)
        size += (size_t)part;
    complaint[size] = '\0';
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(complaint, wanted) != NULL;
}

static struct span name_of(const void *object)
{
    return span_str(object);
}

static const struct hash_key key = {1, 2};
static char name_a[] = "a", name_b[] = "b";

static void check_false(void)
{
    SL_CHECK(1 + 1 == 3);
}

static void memory_refused(void)
{
    check_memory_refused(4096);
}

static void slab_double_give(void)
{
    struct slab *slab = slab_new(8, 10);
    void *keeper = slab_take(slab), *object = slab_take(slab);
    (void)keeper;
    slab_give(slab, object);
    slab_give(slab, object);
}

static void slab_free_with_objects(void)
{
    struct slab *slab = slab_new(8, 10);
    (void)!slab_take(slab);
    slab_free(slab);
}

static void slab_ref_of_given_back(void)
{
    struct slab *slab = slab_new(8, 10);
    void *object = slab_take(slab);
    slab_give(slab, object);
    slab_ref(slab, object);
}

static void table_add_twice(void)
{
    struct table table;
    table_init(&table, &key, name_of);
    (void)!table_add(&table, name_a);
    (void)!table_add(&table, name_a);
}

static void table_remove_absent(void)
{
    struct table table;
    table_init(&table, &key, name_of);
    (void)!table_add(&table, name_a);
    table_remove(&table, name_b);
}

static void table_remove_other_of_same_key(void)
{
    struct table table;
    char copy[] = "a";
    table_init(&table, &key, name_of);
    (void)!table_add(&table, name_a);
    table_remove(&table, copy);
}

static void chain_consume_too_much(void)
{
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 1);
    chain_append(&chain, &pool, SPAN("abc"));
    chain_consume(&chain, &pool, 4);
}

static void chain_commit_too_much(void)
{
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 1);
    chain_reserve(&chain, &pool, 10);
    chain_commit(&chain, CHUNK_ROOM + 1);
}

static void pool_fini_with_chunks(void)
{
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 1);
    chain_append(&chain, &pool, SPAN("abc"));
    chunk_pool_fini(&pool);
}

static void link_commit_more_than_reserved(void)
{
    struct link *link = link_new(64);
    (void)!link_reserve(link, 8);
    link_commit(link, 9);
}

static void link_commit_twice(void)
{
    struct link *link = link_new(64);
    (void)!link_reserve(link, 8);
    link_commit(link, 8);
    link_commit(link, 8);
}

static void link_reserve_over_a_quarter(void)
{
    (void)!link_reserve(link_new(64), 17);
}

static void link_new_no_power_of_two(void)
{
    link_new(96);
}

static void advance_again(void *context, struct timer *timer)
{
    (void)timer;
    wheel_advance(context, 200, context);
}

static void wheel_advance_inside(void)
{
    struct wheel *wheel = wheel_new(0);
    struct timer timer = {.fire = advance_again};
    wheel_set(wheel, &timer, 10);
    wheel_advance(wheel, 100, wheel);
}

static void nothing(void)
{
}

static void check__bugs_of_callers__end_the_process_by_name(void **state)
{
    (void)state;
    static const struct {
        bug_fn bug;
        const char *wanted;
    } bugs[] = {
        {check_false, "check failed: 1 + 1 == 3"},
        {memory_refused, "out of memory: 4096 bytes refused"},
        {slab_double_give, "slab.c"},
        {slab_free_with_objects, "slab.c"},
        {slab_ref_of_given_back, "slab.c"},
        {table_add_twice, "table.c"},
        {table_remove_absent, "table.c"},
        {table_remove_other_of_same_key, "table.c"},
        {chain_consume_too_much, "chain.c"},
        {chain_commit_too_much, "chain.c"},
        {pool_fini_with_chunks, "chain.c"},
        {link_commit_more_than_reserved, "link.c"},
        {link_commit_twice, "link.c"},
        {link_reserve_over_a_quarter, "link.c"},
        {link_new_no_power_of_two, "link.c"},
        {wheel_advance_inside, "wheel.c"},
    };
    for (size_t i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        if (!ends_in_check(bugs[i].bug, bugs[i].wanted))
            fail_msg("bug %zu (%s): got \"%s\"", i, bugs[i].wanted, complaint);
    }
}

static void check__no_bug__goes_on(void **state)
{
    (void)state;
    assert_false(ends_in_check(nothing, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check__bugs_of_callers__end_the_process_by_name),
        cmocka_unit_test(check__no_bug__goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
