/* SPDX-License-Identifier: MIT */
#include "core/base/arena.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

static void arena_take__any_size__aligned_zeroed_apart(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct {
        unsigned char *at;
        size_t size;
    } taken[COUNT];
    struct dice dice = dice_seeded("arena", 5);
    for (int round = 0; round < 2; round++) {
        struct arena arena;
        arena_init(&arena, (size_t)1 << 30);
        for (int i = 0; i < COUNT; i++) {
            taken[i].size = dice_below(&dice, i % 50 == 0 ? 200000 : 500);
            taken[i].at = arena_take(&arena, taken[i].size);
            assert_non_null(taken[i].at);
            assert_int_equal((uintptr_t)taken[i].at % 16, 0);
            for (size_t b = 0; b < taken[i].size; b++)
                assert_int_equal(taken[i].at[b], 0);
            memset(taken[i].at, i & 0xff, taken[i].size);
        }
        for (int i = 0; i < COUNT; i++) {
            for (size_t b = 0; b < taken[i].size; b++)
                assert_int_equal(taken[i].at[b], i & 0xff);
        }
        arena_fini(&arena);
    }
}

static void arena_take__beyond_size_max__null_and_still_usable(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 100);
    assert_null(arena_take(&arena, 101));
    assert_null(arena_take(&arena, SIZE_MAX));
    assert_null(arena_take(&arena, SIZE_MAX - 15));
    assert_non_null(arena_take(&arena, 96));
    assert_null(arena_take(&arena, 5));
    assert_int_equal(arena.used, 96);
    arena_fini(&arena);
    assert_null(arena.block);
    arena_fini(&arena);
}

static void arena_take__zero_max__always_null(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_null(arena_take(&arena, 0));
    assert_null(arena_copy(&arena, SPAN("")));
    arena_fini(&arena);
}

static void arena_copy__bytes__same_with_nul(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    char *text = arena_copy(&arena, SPAN("example.com"));
    char *empty = arena_copy(&arena, SPAN_NONE);
    char *zeros = arena_copy(&arena, SPAN("a\0b"));
    assert_string_equal(text, "example.com");
    assert_string_equal(empty, "");
    assert_memory_equal(zeros, "a\0b", 4);
    assert_null(arena_copy(&arena, span_of(text, SIZE_MAX)));
    assert_null(arena_copy(&arena, span_of(text, 5000)));
    arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_take__any_size__aligned_zeroed_apart),
        cmocka_unit_test(arena_take__beyond_size_max__null_and_still_usable),
        cmocka_unit_test(arena_take__zero_max__always_null),
        cmocka_unit_test(arena_copy__bytes__same_with_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
