/* SPDX-License-Identifier: MIT */
#include "core/base/chain.h"
#include "tests/unit/core/dice.h"
#include "tests/unit/core/suite.h"

static void chain__empty__no_memory(void **state)
{
    (void)state;
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 8);
    assert_true(chain_is_empty(&chain));
    assert_null(chain_front(&chain).ptr);
    chain_append(&chain, &pool, SPAN_NONE);
    chain_consume(&chain, &pool, 0);
    chain_clear(&chain, &pool);
    assert_null(chain.head);
    assert_int_equal(pool.live, 0);
    assert_int_equal(pool.free_count, 0);
    chunk_pool_fini(&pool);
}

static void chain_reserve__never_committed__returned_by_clear_and_consume(void **state)
{
    (void)state;
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 8);
    assert_non_null(chain_reserve(&chain, &pool, 100));
    chain_commit(&chain, 0);
    assert_int_equal(pool.live, 1);
    assert_non_null(chain_reserve(&chain, &pool, 9000)); /* the small one goes back */
    assert_int_equal(pool.live, 1);
    assert_int_equal(chain_front(&chain).size, 0);
    chain_consume(&chain, &pool, 0);
    assert_int_equal(pool.live, 0);
    chain_reserve(&chain, &pool, 1);
    chain_clear(&chain, &pool);
    assert_int_equal(pool.live, 0);
    chunk_pool_fini(&pool);
}

/* An uncommitted chunk between others is stepped over. */
static void chain_front__empty_chunk_inside__next_bytes(void **state)
{
    (void)state;
    struct chunk_pool pool;
    struct chain chain = {0}, other = {0};
    chunk_pool_init(&pool, 8);
    chain_reserve(&chain, &pool, 10);
    chain_append(&other, &pool, SPAN("later"));
    chain_splice(&chain, &other);
    assert_true(span_is(chain_front(&chain), "later"));
    chain_consume(&chain, &pool, 2);
    assert_true(span_is(chain_front(&chain), "ter"));
    chain_consume(&chain, &pool, 3);
    assert_int_equal(pool.live, 0);
    chunk_pool_fini(&pool);
}

static void chain_append__more_than_a_chunk__pooled_chunks(void **state)
{
    (void)state;
    struct chunk_pool pool;
    struct chain chain = {0};
    static char big[3 * CHUNK_ROOM];
    memset(big, 'b', sizeof big);
    chunk_pool_init(&pool, 8);
    chain_append(&chain, &pool, span_of(big, sizeof big));
    assert_int_equal(pool.live, 3);
    assert_int_equal(chain_front(&chain).size, CHUNK_ROOM);
    chain_consume(&chain, &pool, sizeof big);
    assert_int_equal(pool.live, 0);
    assert_int_equal(pool.free_count, 3);
    chunk_pool_fini(&pool);
}

static void chain_reserve__more_than_a_chunk__own_chunk_not_pooled(void **state)
{
    (void)state;
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 8);
    memset(chain_reserve(&chain, &pool, 3 * CHUNK_ROOM), 'b', 3 * CHUNK_ROOM);
    chain_commit(&chain, 3 * CHUNK_ROOM);
    assert_int_equal(pool.live, 1);
    assert_int_equal(chain_front(&chain).size, 3 * CHUNK_ROOM);
    chain_consume(&chain, &pool, 3 * CHUNK_ROOM);
    assert_int_equal(pool.live, 0);
    assert_int_equal(pool.free_count, 0);
    chunk_pool_fini(&pool);
}

static void chunk_give__more_than_free_max__freed(void **state)
{
    (void)state;
    struct chunk_pool pool;
    struct chunk *chunks[5];
    chunk_pool_init(&pool, 2);
    for (int i = 0; i < 5; i++)
        chunks[i] = chunk_take(&pool, 1);
    assert_int_equal(pool.live, 5);
    for (int i = 0; i < 5; i++)
        chunk_give(&pool, chunks[i]);
    assert_int_equal(pool.live, 0);
    assert_int_equal(pool.free_count, 2);
    struct chunk *pooled = pool.free;
    assert_ptr_equal(chunk_take(&pool, CHUNK_ROOM), pooled);
    assert_int_equal(pool.free_count, 1);
    chunk_give(&pool, pooled);
    chunk_pool_fini(&pool);
}

static void chain_adopt__chain_moves_to_another_pool__accounts_move(void **state)
{
    (void)state;
    struct chunk_pool from, to;
    struct chain chain = {0};
    static char bytes[CHUNK_ROOM];
    chunk_pool_init(&from, 1);
    chunk_pool_init(&to, 1);
    for (int i = 0; i < 3; i++)
        chain_append(&chain, &from, span_of(bytes, sizeof bytes));
    chain_append(&chain, &from, span_of(bytes, 7));
    assert_int_equal(from.live, 4);
    chain_release(&chain, &from);
    assert_int_equal(from.live, 0);
    chain_adopt(&chain, &to);
    assert_int_equal(to.live, 4);
    chain_consume(&chain, &to, 3 * sizeof bytes + 7);
    assert_int_equal(to.live, 0);
    assert_int_equal(to.free_count, 1);
    chunk_pool_fini(&from);
    chunk_pool_fini(&to);
}

enum { CHAIN_COUNT = 4, FLAT_SIZE = 1 << 18, PART_MAX = 12000 };

/* A chain and its model: the same bytes in one flat buffer. */
struct pair {
    struct chain chain;
    size_t flat_size;
    char flat[FLAT_SIZE];
};

static void pair_check(const struct pair *pair)
{
    size_t at = 0;
    assert_int_equal(pair->chain.size, pair->flat_size);
    for (const struct chunk *chunk = pair->chain.head; chunk != NULL; chunk = chunk->next) {
        size_t size = chunk->end - chunk->start;
        assert_true(at + size <= pair->flat_size);
        assert_memory_equal(chunk->bytes + chunk->start, pair->flat + at, size);
        at += size;
        assert_true((chunk->next == NULL) == (chunk == pair->chain.tail));
    }
    assert_int_equal(at, pair->flat_size);
    struct span front = chain_front(&pair->chain);
    assert_true((front.size == 0) == (pair->flat_size == 0));
    if (front.size > 0)
        assert_memory_equal(front.ptr, pair->flat, front.size);
}

static void pair_append(struct pair *pair, struct chunk_pool *pool, struct span bytes, bool in_place)
{
    if (in_place && bytes.size > 0) {
        /* More is reserved than is used, as a receive does. */
        memcpy(chain_reserve(&pair->chain, pool, bytes.size + 100), bytes.ptr, bytes.size);
        chain_commit(&pair->chain, bytes.size);
    } else {
        chain_append(&pair->chain, pool, bytes);
    }
    memcpy(pair->flat + pair->flat_size, bytes.ptr, bytes.size);
    pair->flat_size += bytes.size;
}

static void pair_consume(struct pair *pair, struct chunk_pool *pool, size_t size)
{
    chain_consume(&pair->chain, pool, size);
    memmove(pair->flat, pair->flat + size, pair->flat_size - size);
    pair->flat_size -= size;
}

static void pair_splice(struct pair *dst, struct pair *src)
{
    chain_splice(&dst->chain, &src->chain);
    memcpy(dst->flat + dst->flat_size, src->flat, src->flat_size);
    dst->flat_size += src->flat_size;
    src->flat_size = 0;
}

static void chain__random_operations__as_the_flat_buffer(void **state)
{
    (void)state;
    static struct pair pairs[CHAIN_COUNT];
    static char bytes[PART_MAX];
    struct dice dice = dice_seeded("chain", 99);
    struct chunk_pool pools[2];
    struct chunk_pool *pool = &pools[0];
    chunk_pool_init(&pools[0], 16);
    chunk_pool_init(&pools[1], 16);
    for (int i = 0; i < 20000; i++) {
        struct pair *pair = &pairs[dice_below(&dice, CHAIN_COUNT)];
        struct pair *other = &pairs[dice_below(&dice, CHAIN_COUNT)];
        uint32_t what = dice_below(&dice, 100);
        uint32_t size = dice_below(&dice, dice_below(&dice, 4) == 0 ? PART_MAX : 300);
        for (uint32_t at = 0; at < size; at += 64)
            bytes[at] = (char)dice_throw(&dice);
        if (what < 45 && pair->flat_size + size <= FLAT_SIZE)
            pair_append(pair, pool, span_of(bytes, size), dice_below(&dice, 2) == 0);
        else if (what < 50)
            chain_reserve(&pair->chain, pool, size);
        else if (what < 85)
            pair_consume(pair, pool, pair->flat_size == 0 ? 0 : dice_below(&dice, (uint32_t)pair->flat_size + 1));
        else if (what < 95 && pair != other && pair->flat_size + other->flat_size <= FLAT_SIZE)
            pair_splice(pair, other);
        else if (what == 99) {
            /* All chains move to the other pool. */
            struct chunk_pool *to = pool == &pools[0] ? &pools[1] : &pools[0];
            for (int c = 0; c < CHAIN_COUNT; c++) {
                chain_release(&pairs[c].chain, pool);
                chain_adopt(&pairs[c].chain, to);
            }
            assert_int_equal(pool->live, 0);
            pool = to;
        }
        pair_check(pair);
        pair_check(other);
    }
    for (int c = 0; c < CHAIN_COUNT; c++)
        chain_clear(&pairs[c].chain, pool);
    assert_int_equal(pools[0].live, 0);
    assert_int_equal(pools[1].live, 0);
    chunk_pool_fini(&pools[0]);
    chunk_pool_fini(&pools[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain__empty__no_memory),
        cmocka_unit_test(chain_reserve__never_committed__returned_by_clear_and_consume),
        cmocka_unit_test(chain_front__empty_chunk_inside__next_bytes),
        cmocka_unit_test(chain_append__more_than_a_chunk__pooled_chunks),
        cmocka_unit_test(chain_reserve__more_than_a_chunk__own_chunk_not_pooled),
        cmocka_unit_test(chunk_give__more_than_free_max__freed),
        cmocka_unit_test(chain_adopt__chain_moves_to_another_pool__accounts_move),
        cmocka_unit_test(chain__random_operations__as_the_flat_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
