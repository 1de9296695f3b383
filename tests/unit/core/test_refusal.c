/* SPDX-License-Identifier: MIT */
#include "core/base/arena.h"
#include "core/base/slab.h"
#include "core/base/table.h"
#include "tests/unit/core/suite.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * Memory refused: the linker turns the allocator's calls of core/base into these, which refuse the one that the test
 * names and all after it.
 */
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);

static long granted = -1; /* calls that still get memory; negative: all */

static bool is_refused(void)
{
    if (granted == 0)
        return true;
    if (granted > 0)
        granted--;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return is_refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_refused() ? NULL : __real_realloc(old, size);
}

static struct span name_of(const void *object)
{
    return span_str(object);
}

static void table_add__memory_refused__false_and_unchanged(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static char names[COUNT][8];
    const struct hash_key key = {3, 4};
    struct table table;
    table_init(&table, &key, name_of);
    uint32_t refusals = 0;
    for (int i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        granted = 0;
        bool added = table_add(&table, names[i]);
        granted = -1;
        if (!added) {
            refusals++;
            assert_int_equal(table.count, i);
            assert_null(table_find(&table, name_of(names[i])));
            assert_true(table_add(&table, names[i]));
        }
        assert_ptr_equal(table_find(&table, name_of(names[i / 2])), names[i / 2]);
    }
    assert_in_range(refusals, 5, 10); /* once a growth */
    /* A table that would like to shrink, and may not, goes on as it is. */
    for (int i = 1; i < COUNT; i++)
        table_remove(&table, names[i]);
    granted = 0;
    bool added = table_add(&table, names[1]);
    granted = -1;
    assert_true(added);
    assert_ptr_equal(table_find(&table, name_of(names[0])), names[0]);
    table_fini(&table);
}

/* Each of the allocations of a growth is refused in its turn. */
static void slab_take__memory_refused__null_and_usable(void **state)
{
    (void)state;
    for (long calls = 0; calls < 6; calls++) {
        struct slab *slab = slab_new(32, 100000);
        uint32_t refusals = 0;
        for (uint32_t i = 0; i < 64 * 64 + 10; i++) {
            granted = i % (64 * 64) == 0 ? calls : -1;
            uint32_t *object = slab_take(slab);
            granted = -1;
            if (object == NULL) {
                refusals++;
                assert_int_equal(slab_count(slab), i);
                object = slab_take(slab);
            }
            assert_non_null(object);
            *object = i;
        }
        /* The directory's three arrays and the block are four calls. */
        assert_int_equal(refusals, calls < 4 ? 2 : 0);
        uint32_t position = 0, expected = 0;
        uint32_t *object;
        while ((object = slab_next(slab, &position)) != NULL) {
            assert_int_equal(*object, expected++);
            slab_give(slab, object);
        }
        assert_int_equal(expected, 64 * 64 + 10);
        slab_free(slab);
    }
}

/* One wholly free block is kept: a count that swings around a block's edge asks for no memory. */
static void slab_take__count_swings_around_a_block__no_allocation(void **state)
{
    (void)state;
    struct slab *slab = slab_new(32, 1000);
    void *first[SLAB_BLOCK];
    for (uint32_t i = 0; i < SLAB_BLOCK; i++)
        first[i] = slab_take(slab);
    slab_give(slab, slab_take(slab));
    granted = 0;
    for (int i = 0; i < 100; i++) {
        void *object = slab_take(slab);
        if (object == NULL)
            break;
        slab_give(slab, object);
    }
    void *last = slab_take(slab);
    granted = -1;
    assert_non_null(last);
    slab_give(slab, last);
    for (uint32_t i = 0; i < SLAB_BLOCK; i++)
        slab_give(slab, first[i]);
    slab_free(slab);
}

static void arena_take__memory_refused__null_and_usable(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100000);
    granted = 0;
    void *first = arena_take(&arena, 16);
    granted = -1;
    assert_null(first);
    assert_int_equal(arena.used, 0);
    assert_non_null(arena_take(&arena, 16));
    granted = 0;
    void *from_block = arena_take(&arena, 16);
    void *large = arena_take(&arena, 50000);
    char *copy = arena_copy(&arena, SPAN("still room"));
    granted = -1;
    assert_non_null(from_block);
    assert_null(large);
    assert_string_equal(copy, "still room");
    assert_non_null(arena_take(&arena, 50000));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_add__memory_refused__false_and_unchanged),
        cmocka_unit_test(slab_take__memory_refused__null_and_usable),
        cmocka_unit_test(slab_take__count_swings_around_a_block__no_allocation),
        cmocka_unit_test(arena_take__memory_refused__null_and_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
