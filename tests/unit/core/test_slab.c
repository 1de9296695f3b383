/* SPDX-License-Identifier: MIT */
#include "core/base/slab.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

#include <stdbool.h>
#include <string.h>

struct thing {
    uint64_t number;
    char filler[40];
};

static void slab_take__new_or_used_place__zeroed_and_aligned(void **state)
{
    (void)state;
    for (size_t size = 1; size < 100; size += 7) {
        struct slab *slab = slab_new(size, 1000);
        char zeros[100] = {0};
        for (int round = 0; round < 3; round++) {
            char *objects[70];
            for (int i = 0; i < 70; i++) {
                objects[i] = slab_take(slab);
                assert_non_null(objects[i]);
                assert_int_equal((uintptr_t)objects[i] % 16, 0);
                assert_memory_equal(objects[i], zeros, size);
                memset(objects[i], 0xee, size);
            }
            for (int i = 0; i < 70; i++)
                slab_give(slab, objects[i]);
        }
        slab_free(slab);
    }
}

static void slab_find__live_stale_and_made_up_refs__only_live(void **state)
{
    (void)state;
    struct slab *slab = slab_new(sizeof(struct thing), 100);
    assert_null(slab_find(slab, 0));
    assert_null(slab_find(slab, UINT64_MAX));
    assert_null(slab_find(slab, (uint64_t)1 << 32));
    struct thing *thing = slab_take(slab);
    uint64_t ref = slab_ref(slab, thing);
    assert_int_not_equal(ref, 0);
    assert_ptr_equal(slab_find(slab, ref), thing);
    assert_null(slab_find(slab, ref + 1));                   /* a free place */
    assert_null(slab_find(slab, ref & UINT32_MAX));          /* no generation */
    assert_null(slab_find(slab, ref + ((uint64_t)1 << 32))); /* a later generation */
    assert_null(slab_find(slab, ref + SLAB_BLOCK));          /* a block without memory */
    assert_null(slab_find(slab, ref | UINT32_MAX));          /* beyond the directory */
    slab_give(slab, thing);
    assert_null(slab_find(slab, ref));
    struct thing *again = slab_take(slab);
    assert_ptr_equal(again, thing);
    assert_null(slab_find(slab, ref));
    assert_int_equal((uint32_t)slab_ref(slab, again), (uint32_t)ref);
    assert_int_not_equal(slab_ref(slab, again), ref);
    slab_give(slab, again);
    slab_free(slab);
}

/* Generations outlive a block's memory: refs from before it was given back stay stale. */
static void slab_find__block_given_back_and_made_again__stale(void **state)
{
    (void)state;
    enum { COUNT = 64 * 5 };
    struct slab *slab = slab_new(sizeof(struct thing), COUNT);
    uint64_t refs[COUNT];
    struct thing *things[COUNT];
    for (int round = 0; round < 3; round++) {
        uint64_t old_refs[COUNT];
        memcpy(old_refs, refs, sizeof refs);
        for (int i = 0; i < COUNT; i++) {
            things[i] = slab_take(slab);
            refs[i] = slab_ref(slab, things[i]);
            assert_int_equal((uint32_t)refs[i], i); /* the lowest free index */
        }
        for (int i = 0; i < COUNT; i++) {
            if (round > 0)
                assert_null(slab_find(slab, old_refs[i]));
            assert_ptr_equal(slab_find(slab, refs[i]), things[i]);
        }
        for (int i = 0; i < COUNT; i++)
            slab_give(slab, things[i]);
        for (int i = 0; i < COUNT; i++)
            assert_null(slab_find(slab, refs[i]));
    }
    slab_free(slab);
}

static void slab_take__at_count_max__null(void **state)
{
    (void)state;
    const uint32_t limits[] = {0, 1, 63, 64, 65, 4097};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct slab *slab = slab_new(8, limits[i]);
        for (uint32_t n = 0; n < limits[i]; n++)
            assert_non_null(slab_take(slab));
        assert_null(slab_take(slab));
        assert_int_equal(slab_count(slab), limits[i]);
        uint32_t position = 0;
        void *object = slab_next(slab, &position);
        if (object != NULL) {
            slab_give(slab, object);
            assert_ptr_equal(slab_take(slab), object);
            assert_null(slab_take(slab));
        }
        position = 0;
        while ((object = slab_next(slab, &position)) != NULL)
            slab_give(slab, object);
        assert_int_equal(slab_count(slab), 0);
        slab_free(slab);
    }
}

static void slab_next__gives_back_what_it_gave__walks_all_by_index(void **state)
{
    (void)state;
    struct slab *slab = slab_new(sizeof(struct thing), UINT32_MAX);
    for (uint64_t i = 0; i < 1000; i++)
        ((struct thing *)slab_take(slab))->number = i;
    uint32_t position = 0;
    uint64_t expected = 0;
    struct thing *thing;
    while ((thing = slab_next(slab, &position)) != NULL) {
        assert_int_equal(thing->number, expected++);
        if (thing->number % 3 != 0)
            slab_give(slab, thing);
    }
    assert_int_equal(expected, 1000);
    assert_null(slab_next(slab, &position)); /* the end stays the end */
    position = 0;
    expected = 0;
    while ((thing = slab_next(slab, &position)) != NULL) {
        assert_int_equal(thing->number, expected);
        expected += 3;
        slab_give(slab, thing);
    }
    assert_int_equal(expected, 1002);
    slab_free(slab);
}

/* Random takes and gives beside an array; 100,000 objects at the peak, so the directory doubles several times. */
static void slab__random_takes_and_gives__as_the_model(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    static struct {
        struct thing *thing;
        uint64_t ref;
        bool is_live;
    } model[COUNT];
    struct dice dice = dice_seeded("slab", 4711);
    struct slab *slab = slab_new(sizeof(struct thing), COUNT);
    uint32_t live = 0;
    for (uint32_t i = 0; i < 400000; i++) {
        uint32_t pick = i < COUNT ? i : dice_below(&dice, COUNT);
        bool is_taking = !model[pick].is_live && (i < COUNT || dice_below(&dice, 100) < (i > 300000 ? 5 : 70));
        if (model[pick].ref != 0)
            assert_ptr_equal(slab_find(slab, model[pick].ref), model[pick].is_live ? model[pick].thing : NULL);
        if (is_taking) {
            model[pick].thing = slab_take(slab);
            assert_non_null(model[pick].thing);
            assert_int_equal(model[pick].thing->number, 0);
            model[pick].thing->number = pick + 1;
            model[pick].ref = slab_ref(slab, model[pick].thing);
            model[pick].is_live = true;
            live++;
        } else if (model[pick].is_live) {
            assert_int_equal(model[pick].thing->number, pick + 1);
            slab_give(slab, model[pick].thing);
            model[pick].is_live = false;
            live--;
        }
        assert_int_equal(slab_count(slab), live);
    }
    uint32_t position = 0, seen = 0;
    struct thing *thing;
    while ((thing = slab_next(slab, &position)) != NULL) {
        assert_ptr_equal(model[thing->number - 1].thing, thing);
        assert_true(model[thing->number - 1].is_live);
        slab_give(slab, thing);
        seen++;
    }
    assert_int_equal(seen, live);
    assert_true(live > 0);
    slab_free(slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slab_take__new_or_used_place__zeroed_and_aligned),
        cmocka_unit_test(slab_find__live_stale_and_made_up_refs__only_live),
        cmocka_unit_test(slab_find__block_given_back_and_made_again__stale),
        cmocka_unit_test(slab_take__at_count_max__null),
        cmocka_unit_test(slab_next__gives_back_what_it_gave__walks_all_by_index),
        cmocka_unit_test(slab__random_takes_and_gives__as_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
