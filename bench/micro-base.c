/* SPDX-License-Identifier: MIT */
/*
 * Micro-figures of core/base: nanoseconds per operation, best of ROUNDS, on the core it happens to run on. Run it on a
 * quiet machine; the best round is printed because everything else on the machine can only add.
 */
#include "core/base/base64.h"
#include "core/base/chain.h"
#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/link.h"
#include "core/base/slab.h"
#include "core/base/table.h"
#include "core/base/utf8.h"
#include "core/base/wheel.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 7, OPERATIONS = 200000, SESSION_COUNT = 100000 };

struct session {
    char jid[40];
    uint32_t jid_size;
    struct timer timer;
};

typedef void (*bench_fn)(uint32_t operations);

static volatile uint64_t sink; /* keeps results alive */
static const struct hash_key key = {0x0011223344556677, 0x8899aabbccddeeff};
static struct session *sessions;
static uint32_t *order; /* a random walk over the sessions, so that caches are met as in traffic */
static struct table small_table, large_table;
static struct link *ring;
static struct wheel *wheel;
static struct slab *slab;
static struct chunk_pool pool;
static char text[4096], encoded[BASE64_ENCODED_SIZE(sizeof text)], decoded[sizeof text + 3];

static struct span session_key(const void *object)
{
    const struct session *session = object;
    return span_of(session->jid, session->jid_size);
}

static void no_fire(void *context, struct timer *timer)
{
    (void)context;
    (void)timer;
}

static void bench_hash(uint32_t operations)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < operations; i++)
        sum += hash_siphash13(&key, span_of(text + (sum & 7), 24));
    sink = sum;
}

static void find_in(const struct table *table, uint32_t count, uint32_t operations)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < operations; i++) {
        const struct session *session = &sessions[order[i % SESSION_COUNT] % count];
        found += table_find(table, session_key(session)) == session;
    }
    SL_CHECK(found == operations);
}

static void bench_find_small(uint32_t operations)
{
    find_in(&small_table, 1000, operations);
}

static void bench_find_large(uint32_t operations)
{
    find_in(&large_table, SESSION_COUNT, operations);
}

static void bench_find_missing(uint32_t operations)
{
    uint64_t found = 0;
    for (uint32_t i = 0; i < operations; i++) {
        char jid[] = "nobody0000@example.org/x";
        memcpy(jid + 6, &i, 4);
        found += table_find(&large_table, span_of(jid, sizeof jid - 1)) != NULL;
    }
    SL_CHECK(found == 0);
}

static void bench_table_churn(uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++) {
        struct session *session = &sessions[order[i % SESSION_COUNT]];
        table_remove(&large_table, session);
        SL_CHECK(table_add(&large_table, session));
    }
}

static void link_round(uint32_t batch, uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i += batch) {
        for (uint32_t n = 0; n < batch; n++) {
            char *at = link_reserve(ring, 64);
            SL_CHECK(at != NULL);
            memcpy(at, text, 64);
            link_commit(ring, 64);
        }
        link_publish(ring);
        for (uint32_t n = 0; n < batch; n++)
            sink = (uint64_t)link_take(ring).ptr[5];
        link_release(ring);
    }
}

static void bench_link_single(uint32_t operations)
{
    link_round(1, operations);
}

static void bench_link_batch(uint32_t operations)
{
    link_round(16, operations);
}

static void *link_consume(void *argument)
{
    uint32_t left = *(uint32_t *)argument;
    uint64_t sum = 0;
    while (left > 0) {
        struct span record = link_take(ring);
        if (record.ptr != NULL) {
            sum += (unsigned char)record.ptr[5];
            left--;
            continue;
        }
        link_release(ring);
        sched_yield();
    }
    link_release(ring);
    sink = sum;
    return NULL;
}

static void bench_link_threads(uint32_t operations)
{
    pthread_t consumer;
    SL_CHECK(pthread_create(&consumer, NULL, link_consume, &operations) == 0);
    for (uint32_t i = 0; i < operations;) {
        char *at = link_reserve(ring, 64);
        if (at == NULL) {
            link_publish(ring);
            sched_yield();
            continue;
        }
        memcpy(at, text, 64);
        link_commit(ring, 64);
        i++;
        if (i % 16 == 0)
            link_publish(ring);
    }
    link_publish(ring);
    pthread_join(consumer, NULL);
}

static void bench_wheel_move(uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++)
        wheel_set(wheel, &sessions[order[i % SESSION_COUNT]].timer, 1000 + (i & 0xffff));
}

static void bench_wheel_cycle(uint32_t operations)
{
    struct timer timer = {.fire = no_fire};
    for (uint32_t i = 0; i < operations; i++) {
        wheel_set(wheel, &timer, 30000);
        wheel_cancel(wheel, &timer);
    }
}

static void bench_wheel_next(uint32_t operations)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < operations; i++) {
        sum += wheel_next_ms(wheel);
        __asm__ volatile("" ::: "memory");
    }
    sink = sum;
}

static void bench_slab(uint32_t operations)
{
    for (uint32_t i = 0; i < operations; i++) {
        void *object = slab_take(slab);
        sink = slab_ref(slab, object);
        slab_give(slab, object);
    }
}

static void bench_chain(uint32_t operations)
{
    struct chain chain = {0};
    for (uint32_t i = 0; i < operations; i++) {
        chain_append(&chain, &pool, span_of(text, 300));
        sink = (uint64_t)chain_front(&chain).ptr[0];
        chain_consume(&chain, &pool, 300);
    }
}

static void bench_utf8(uint32_t operations)
{
    for (uint32_t i = 0; i < operations / 100; i++)
        sink = utf8_is_valid(span_of(text, sizeof text));
}

static void bench_base64(uint32_t operations)
{
    size_t size;
    for (uint32_t i = 0; i < operations / 1000; i++) {
        SL_CHECK(
            base64_decode(span_of(encoded, base64_encode(span_of(text, sizeof text - 1), encoded)), decoded, &size));
        sink = size;
    }
}

static void run(const char *name, bench_fn bench, uint32_t divisor)
{
    uint64_t best = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = clock_mono_ns();
        bench(OPERATIONS);
        uint64_t took = clock_mono_ns() - start;
        best = took < best ? took : best;
    }
    printf("%-52s %8.1f ns\n", name, (double)best * divisor / OPERATIONS);
}

static void prepare(void)
{
    memset(text, 'a', sizeof text);
    sessions = calloc(SESSION_COUNT, sizeof *sessions);
    order = calloc(SESSION_COUNT, sizeof *order);
    SL_CHECK(sessions != NULL && order != NULL);
    table_init(&small_table, &key, session_key);
    table_init(&large_table, &key, session_key);
    wheel = wheel_new(0);
    ring = link_new(65536);
    slab = slab_new(512, 1000);
    chunk_pool_init(&pool, 64);
    for (uint32_t i = 0; i < SESSION_COUNT; i++) {
        struct session *session = &sessions[i];
        session->jid_size = (uint32_t)snprintf(session->jid, sizeof session->jid, "user%u@example.com/a", i);
        session->timer.fire = no_fire;
        order[i] = (uint32_t)(hash_siphash13(&key, span_of(&i, sizeof i)) % SESSION_COUNT);
        wheel_set(wheel, &session->timer, 30000 + i);
        SL_CHECK(table_add(&large_table, session));
        if (i < 1000)
            SL_CHECK(table_add(&small_table, session));
    }
}

int main(void)
{
    prepare();
    run("hash_siphash13, 24 bytes, each after the other", bench_hash, 1);
    run("table_find, hit, 1,000 objects", bench_find_small, 1);
    run("table_find, hit, 100,000 objects, random order", bench_find_large, 1);
    run("table_find, missing, 100,000 objects", bench_find_missing, 1);
    run("table_remove + table_add, 100,000 objects", bench_table_churn, 1);
    run("link post + take, 64 bytes, one thread, batch of 1", bench_link_single, 1);
    run("link post + take, 64 bytes, one thread, batch of 16", bench_link_batch, 1);
    run("link post + take, 64 bytes, two threads", bench_link_threads, 1);
    run("wheel_set + wheel_cancel, one timer", bench_wheel_cycle, 1);
    run("wheel_set as a move, 100,000 timers, random order", bench_wheel_move, 1);
    run("wheel_next_ms, 100,000 timers", bench_wheel_next, 1);
    run("slab_take + slab_ref + slab_give, 512 bytes", bench_slab, 1);
    run("chain append + front + consume, 300 bytes", bench_chain, 1);
    run("utf8_is_valid, 4 KiB of ASCII", bench_utf8, 100);
    run("base64 encode + decode, 4 KiB", bench_base64, 1000);
    return 0;
}
