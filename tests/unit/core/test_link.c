/* SPDX-License-Identifier: MIT */
#include "core/base/link.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

static bool post(struct link *link, struct span bytes)
{
    char *at = link_reserve(link, (uint32_t)bytes.size);
    if (at == NULL)
        return false;
    if (bytes.size > 0)
        memcpy(at, bytes.ptr, bytes.size);
    link_commit(link, (uint32_t)bytes.size);
    return true;
}

static void link_take__nothing_or_unpublished__empty(void **state)
{
    (void)state;
    struct link *link = link_new(1024);
    assert_null(link_take(link).ptr);
    assert_false(link_publish(link));
    assert_true(post(link, SPAN("one")));
    assert_null(link_take(link).ptr);
    assert_true(link_publish(link));
    assert_false(link_publish(link));
    assert_true(span_is(link_take(link), "one"));
    assert_null(link_take(link).ptr);
    link_release(link);
    link_free(link);
}

static void link_is_crowded__above_three_quarters__until_released(void **state)
{
    (void)state;
    struct link *link = link_new(256);
    for (unsigned i = 0; i < 12; i++) /* 16 bytes each with its head */
        assert_true(post(link, SPAN("8 octets")));
    assert_false(link_is_crowded(link)); /* nothing is published */
    link_publish(link);
    assert_false(link_is_crowded(link)); /* exactly three quarters */
    assert_true(post(link, SPAN("one more")));
    link_publish(link);
    assert_true(link_is_crowded(link));
    assert_true(span_is(link_take(link), "8 octets"));
    assert_true(link_is_crowded(link)); /* taken, not released */
    link_release(link);
    assert_false(link_is_crowded(link));
    link_free(link);
}

static void link_commit__less_than_reserved_or_never__as_committed(void **state)
{
    (void)state;
    struct link *link = link_new(64);
    for (int i = 0; i < 100; i++) {
        char *at = link_reserve(link, 16);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % 8, 0);
        assert_ptr_equal(link_reserve(link, 9), at); /* the first reservation is forgotten */
        memcpy(at, "abc", 3);
        link_commit(link, 3);
        assert_non_null(link_reserve(link, 16)); /* never committed: not to be seen */
        link_publish(link);
        assert_true(span_is(link_take(link), "abc"));
        assert_null(link_take(link).ptr);
        link_release(link);
    }
    link_free(link);
}

static void link__empty_records__are_records(void **state)
{
    (void)state;
    struct link *link = link_new(64);
    for (int i = 0; i < 50; i++) {
        uint32_t posted = 0, taken = 0;
        while (post(link, SPAN_NONE))
            posted++;
        assert_int_equal(posted, 8);
        link_publish(link);
        for (struct span record = link_take(link); record.ptr != NULL; record = link_take(link)) {
            assert_int_equal(record.size, 0);
            taken++;
        }
        assert_int_equal(taken, 8);
        link_release(link);
    }
    link_free(link);
}

/* From every place of an empty ring the largest record goes in: what is skipped never costs it. */
static void link_reserve__largest_record_at_every_place__fits_an_empty_ring(void **state)
{
    (void)state;
    static char largest[4096];
    for (uint32_t capacity = 64; capacity <= 16384; capacity *= 4) {
        for (uint32_t before = 0; before < 16; before++) {
            struct link *link = link_new(capacity);
            for (uint32_t i = 0; i < capacity / 8 + before; i++) {
                assert_true(post(link, SPAN_NONE));
                assert_true(post(link, span_of(largest, capacity / 4)));
                link_publish(link);
                assert_int_equal(link_take(link).size, 0);
                assert_int_equal(link_take(link).size, capacity / 4);
                link_release(link);
            }
            link_free(link);
        }
    }
}

static void link_reserve__full__null_until_released(void **state)
{
    (void)state;
    struct link *link = link_new(256);
    uint32_t posted = 0;
    char bytes[24] = {0};
    while (post(link, span_of(bytes, sizeof bytes)))
        posted++;
    assert_int_equal(posted, 256 / 32);
    assert_null(link_reserve(link, 0));
    link_publish(link);
    assert_non_null(link_take(link).ptr);
    assert_null(link_reserve(link, 0)); /* taken is not released */
    link_release(link);
    assert_non_null(link_reserve(link, 24));
    assert_null(link_reserve(link, 25));
    link_free(link);
}

static char byte_of(uint32_t record, size_t at)
{
    return (char)(record * 31 + at);
}

/* Random sizes, batches and lags on one thread, beside a queue of sizes. */
static void link__random_records__fifo_and_intact(void **state)
{
    (void)state;
    struct dice dice = dice_seeded("link", 12);
    for (uint32_t capacity = 64; capacity <= 65536; capacity *= 8) {
        static uint32_t sizes[65536];
        uint32_t head = 0, published = 0, tail = 0;
        struct link *link = link_new(capacity);
        for (int i = 0; i < 30000; i++) {
            uint32_t size = dice_below(&dice, dice_below(&dice, 8) == 0 ? capacity / 4 + 1 : 40 % (capacity / 4) + 1);
            char *at = dice_below(&dice, 2) == 0 ? link_reserve(link, size) : NULL;
            if (at != NULL) {
                for (uint32_t b = 0; b < size; b++)
                    at[b] = byte_of(head, b);
                link_commit(link, size);
                sizes[head++ % 65536] = size;
            }
            if (dice_below(&dice, 3) == 0) {
                assert_int_equal(link_publish(link), published != head);
                published = head;
            }
            struct span record = dice_below(&dice, 2) == 0 ? link_take(link) : SPAN_NONE;
            if (record.ptr != NULL) {
                assert_true(tail < published);
                assert_int_equal(record.size, sizes[tail % 65536]);
                for (size_t b = 0; b < record.size; b++)
                    assert_int_equal(record.ptr[b], byte_of(tail, b));
                tail++;
            }
            if (dice_below(&dice, 5) == 0)
                link_release(link);
        }
        assert_true(tail > 1000);
        link_free(link);
    }
}

enum { STRESS_CAPACITY = 4096, STRESS_MS = 800 };

struct stress {
    struct link *link;
    uint64_t deadline_ms;
    uint32_t posted, refused;
    _Atomic bool is_over;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void *stress_produce(void *argument)
{
    struct stress *stress = argument;
    struct dice dice = dice_seeded("link stress", 77);
    while (stress->posted % 256 != 0 || now_ms() < stress->deadline_ms) {
        uint32_t size = dice_below(&dice, dice_below(&dice, 16) == 0 ? STRESS_CAPACITY / 4 + 1 : 64);
        char *at = link_reserve(stress->link, size);
        if (at == NULL) {
            stress->refused++;
            link_publish(stress->link);
            sched_yield();
            continue;
        }
        for (uint32_t b = 0; b < size; b++)
            at[b] = byte_of(stress->posted, b);
        link_commit(stress->link, size);
        stress->posted++;
        if (dice_below(&dice, 4) == 0)
            link_publish(stress->link);
    }
    link_publish(stress->link);
    stress->is_over = true;
    return NULL;
}

/* Two threads at full speed for STRESS_MS, every byte checked; made for the thread sanitizer. cmocka's assertions are
 * used on the main thread only. */
static void link__two_threads__fifo_and_intact(void **state)
{
    (void)state;
    struct stress stress = {.link = link_new(STRESS_CAPACITY), .deadline_ms = now_ms() + STRESS_MS};
    pthread_t producer;
    assert_int_equal(pthread_create(&producer, NULL, stress_produce, &stress), 0);
    uint32_t taken = 0, wrong = 0;
    for (;;) {
        bool is_over = stress.is_over; /* before the look: what was published before the end is seen below */
        struct span record = link_take(stress.link);
        if (record.ptr == NULL) {
            link_release(stress.link);
            if (is_over)
                break;
            sched_yield();
            continue;
        }
        for (size_t b = 0; b < record.size; b++)
            wrong += record.ptr[b] != byte_of(taken, b) ? 1 : 0;
        taken++;
        if (taken % 7 == 0)
            link_release(stress.link);
    }
    pthread_join(producer, NULL);
    printf("link stress: %u records, %u refusals\n", taken, stress.refused);
    assert_int_equal(wrong, 0);
    assert_int_equal(taken, stress.posted);
    assert_true(taken > 1000 && stress.refused > 0);
    link_free(stress.link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_take__nothing_or_unpublished__empty),
        cmocka_unit_test(link_is_crowded__above_three_quarters__until_released),
        cmocka_unit_test(link_commit__less_than_reserved_or_never__as_committed),
        cmocka_unit_test(link__empty_records__are_records),
        cmocka_unit_test(link_reserve__largest_record_at_every_place__fits_an_empty_ring),
        cmocka_unit_test(link_reserve__full__null_until_released),
        cmocka_unit_test(link__random_records__fifo_and_intact),
        cmocka_unit_test(link__two_threads__fifo_and_intact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
