/* SPDX-License-Identifier: MIT */
#include "core/base/table.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

enum { MAGIC = 0x51ce };

struct entry {
    char name[16];
    uint32_t magic; /* the table hands out, and asks the keys of, nothing but entries */
    uint32_t visits;
    bool is_in;
};

static const struct hash_key key = {0x0123456789abcdef, 0xfedcba9876543210};

static struct span entry_key(const void *object)
{
    const struct entry *entry = object;
    assert_int_equal(entry->magic, MAGIC);
    return span_str(entry->name);
}

static void entries_name(struct entry *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        snprintf(entries[i].name, sizeof entries[i].name, "entry-%u", i);
        entries[i].magic = MAGIC;
    }
}

static void table_find__empty_table__null(void **state)
{
    (void)state;
    struct table table;
    table_init(&table, &key, entry_key);
    uint32_t position = 0;
    assert_null(table_find(&table, SPAN("x")));
    assert_null(table_find(&table, SPAN_NONE));
    assert_null(table_next(&table, &position));
    assert_int_equal(table.count, 0);
    assert_null(table.slots); /* an empty table holds no memory */
    table_fini(&table);
}

static void table_find__key_that_is_a_prefix_or_longer__null(void **state)
{
    (void)state;
    struct table table;
    struct entry entry = {.name = "abc", .magic = MAGIC};
    table_init(&table, &key, entry_key);
    assert_true(table_add(&table, &entry));
    assert_ptr_equal(table_find(&table, SPAN("abc")), &entry);
    assert_null(table_find(&table, SPAN("ab")));
    assert_null(table_find(&table, SPAN("abcd")));
    assert_null(table_find(&table, SPAN("abc\0")));
    assert_null(table_find(&table, SPAN_NONE));
    table_remove(&table, &entry);
    assert_null(table_find(&table, SPAN("abc")));
    table_fini(&table);
}

static void table_add__empty_key__found(void **state)
{
    (void)state;
    struct table table;
    struct entry entry = {.name = "", .magic = MAGIC};
    table_init(&table, &key, entry_key);
    assert_true(table_add(&table, &entry));
    assert_ptr_equal(table_find(&table, SPAN_NONE), &entry);
    table_fini(&table);
}

/* The walk gives each object once; the model counts. */
static void walk_check(struct table *table, struct entry *entries, uint32_t entry_count)
{
    uint32_t position = 0, seen = 0;
    struct entry *entry;
    while ((entry = table_next(table, &position)) != NULL) {
        entry->visits++;
        seen++;
    }
    assert_int_equal(seen, table->count);
    for (uint32_t i = 0; i < entry_count; i++) {
        assert_int_equal(entries[i].visits, entries[i].is_in ? 1 : 0);
        entries[i].visits = 0;
    }
}

/* The longest way from an object's home to an empty slot: what an unsuccessful search costs. */
static uint32_t longest_run(const struct table *table)
{
    struct slot {
        uint64_t hash;
        void *object;
    };
    const struct slot *slots = (const void *)table->slots;
    uint32_t run = 0, longest = 0;
    for (uint32_t i = 0; i < 2 * table->slot_count; i++) {
        run = slots[i & (table->slot_count - 1)].object != NULL ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    return longest;
}

/* 10^5 random additions, removals and searches beside a model that is an array of flags; the share of additions
 * swings, so that the table grows, shrinks and fills with tombstones several times. */
static void table__random_operations__as_the_model(void **state)
{
    (void)state;
    enum { ENTRY_COUNT = 6000, OPERATIONS = 100000 };
    static struct entry entries[ENTRY_COUNT];
    struct dice dice = dice_seeded("table", 20261122);
    struct table table;
    entries_name(entries, ENTRY_COUNT);
    table_init(&table, &key, entry_key);
    uint32_t count = 0, slots_largest = 0, slots_smallest_late = UINT32_MAX, run_longest = 0;
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        struct entry *entry = &entries[dice_below(&dice, ENTRY_COUNT)];
        bool is_growing = i / 20000 % 2 == 0;
        struct entry *found = table_find(&table, entry_key(entry));
        assert_ptr_equal(found, entry->is_in ? entry : NULL);
        if (!entry->is_in && dice_below(&dice, 100) < (is_growing ? 90 : 5)) {
            assert_true(table_add(&table, entry));
            entry->is_in = true;
            count++;
        } else if (entry->is_in && dice_below(&dice, 100) < (is_growing ? 10 : 95)) {
            table_remove(&table, entry);
            entry->is_in = false;
            count--;
        }
        assert_int_equal(table.count, count);
        assert_true(table.used >= count && (uint64_t)table.used * 4 <= (uint64_t)table.slot_count * 3);
        slots_largest = table.slot_count > slots_largest ? table.slot_count : slots_largest;
        if (i > 40000 && table.slot_count > 0 && table.slot_count < slots_smallest_late)
            slots_smallest_late = table.slot_count;
        if (i % 5000 == 0) {
            walk_check(&table, entries, ENTRY_COUNT);
            uint32_t run = table.slot_count > 0 ? longest_run(&table) : 0;
            run_longest = run > run_longest ? run : run_longest;
        }
    }
    printf("table: %u slots at most, %u at least after the first shrink, longest run %u\n", slots_largest,
           slots_smallest_late, run_longest);
    assert_true(slots_largest >= 8192);
    assert_true(slots_smallest_late <= slots_largest / 4);
    assert_true(run_longest < 400);
    for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
        if (entries[i].is_in)
            table_remove(&table, &entries[i]);
    }
    assert_int_equal(table.count, 0);
    table_fini(&table);
}

/* A constant population with constant exchange: tombstones are cleared, the slots do not grow. */
static void table__constant_count_with_churn__size_stays(void **state)
{
    (void)state;
    enum { ENTRY_COUNT = 4000, IN = 1000 };
    static struct entry entries[ENTRY_COUNT];
    struct table table;
    entries_name(entries, ENTRY_COUNT);
    table_init(&table, &key, entry_key);
    for (uint32_t i = 0; i < 100000; i++) {
        assert_true(table_add(&table, &entries[i % ENTRY_COUNT]));
        if (i >= IN)
            table_remove(&table, &entries[(i - IN) % ENTRY_COUNT]);
    }
    assert_int_equal(table.count, IN);
    assert_in_range(table.slot_count, 2048, 4096);
    table_fini(&table);
}

static void table_next__removing_what_it_gave__visits_each_once(void **state)
{
    (void)state;
    enum { ENTRY_COUNT = 3000 };
    static struct entry entries[ENTRY_COUNT];
    struct dice dice = dice_seeded("table walk", 7);
    struct table table;
    entries_name(entries, ENTRY_COUNT);
    table_init(&table, &key, entry_key);
    for (uint32_t i = 0; i < ENTRY_COUNT; i++)
        assert_true(table_add(&table, &entries[i]));
    uint32_t position = 0, removed = 0;
    struct entry *entry;
    while ((entry = table_next(&table, &position)) != NULL) {
        entry->visits++;
        if (dice_below(&dice, 2) == 0) {
            table_remove(&table, entry);
            entry->is_in = true; /* here: was removed */
            removed++;
        }
    }
    assert_int_equal(table.count, ENTRY_COUNT - removed);
    for (uint32_t i = 0; i < ENTRY_COUNT; i++) {
        assert_int_equal(entries[i].visits, 1);
        assert_int_equal(table_find(&table, entry_key(&entries[i])) == NULL, entries[i].is_in);
    }
    position = 0;
    while ((entry = table_next(&table, &position)) != NULL)
        table_remove(&table, entry);
    assert_int_equal(table.count, 0);
    assert_int_equal(table.used, 0); /* every tombstone became an empty slot again */
    table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_find__empty_table__null),
        cmocka_unit_test(table_find__key_that_is_a_prefix_or_longer__null),
        cmocka_unit_test(table_add__empty_key__found),
        cmocka_unit_test(table__random_operations__as_the_model),
        cmocka_unit_test(table__constant_count_with_churn__size_stays),
        cmocka_unit_test(table_next__removing_what_it_gave__visits_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
