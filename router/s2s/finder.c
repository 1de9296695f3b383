/* SPDX-License-Identifier: MIT */
#include "router/s2s/finder_priv.h"

#include "core/base/check.h"
#include "core/base/table.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/random.h>

struct finder {
    const struct resolver_settings *settings;
    struct finder_hooks hooks;
    struct lookup_env env;
    struct table table; /* lookups by domain, under way and done */
    struct wheel *wheel;
    struct lookup *newest, *oldest; /* those that are done, by last use */
    uint64_t dice;
    uint64_t now_ms;

    /* Written by the owner, read by finder_stats(). */
    _Atomic uint64_t requests;
    _Atomic uint64_t hits;
    _Atomic uint64_t lookups;
    _Atomic uint64_t questions;
    _Atomic uint32_t running;
    _Atomic uint32_t cached;
};

/* One writer: no read-modify-write is needed. */
static void add64(_Atomic uint64_t *value, uint64_t n)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint32_t get32(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void set32(_Atomic uint32_t *value, uint32_t to)
{
    atomic_store_explicit(value, to, memory_order_relaxed);
}

static struct span key_of(const void *object)
{
    const struct lookup *lookup = object;
    return span_of(lookup->domain, lookup->domain_size);
}

/*
 * What is remembered.
 */

static void unlink_done(struct finder *finder, struct lookup *lookup)
{
    *(lookup->newer != NULL ? &lookup->newer->older : &finder->newest) = lookup->older;
    *(lookup->older != NULL ? &lookup->older->newer : &finder->oldest) = lookup->newer;
    set32(&finder->cached, get32(&finder->cached) - 1);
}

static void link_done(struct finder *finder, struct lookup *lookup)
{
    lookup->newer = NULL;
    lookup->older = finder->newest;
    *(lookup->older != NULL ? &lookup->older->newer : &finder->oldest) = lookup;
    finder->newest = lookup;
    set32(&finder->cached, get32(&finder->cached) + 1);
}

static void drop(struct finder *finder, struct lookup *lookup)
{
    table_remove(&finder->table, lookup);
    wheel_cancel(finder->wheel, &lookup->timer);
    lookup_fini(lookup);
    free(lookup);
}

/* For how long an outcome holds. What was found or is known to be absent: as long as the DNS says; RFC 1035 s3.2.1
 * wants a TTL of 0 not to be kept at all. What failed, or is incomplete, is asked again soon. */
static uint64_t lifetime_ms(const struct finder *finder, const struct lookup *lookup)
{
    const struct resolver_settings *settings = finder->settings;
    uint64_t ttl_s = lookup->ttl_s;
    switch (lookup->status) {
    case RESOLVER_FOUND:
        ttl_s = ttl_s < settings->ttl_max_s ? ttl_s : settings->ttl_max_s;
        if (lookup->is_partial && ttl_s > settings->failure_ttl_s)
            ttl_s = settings->failure_ttl_s;
        break;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_NO_SERVICE:
    case RESOLVER_NO_ADDRESS:
    case RESOLVER_BAD_NAME:
    case RESOLVER_REFUSED:
    case RESOLVER_TOO_MANY:
        ttl_s = ttl_s < settings->negative_ttl_max_s ? ttl_s : settings->negative_ttl_max_s;
        ttl_s = ttl_s > settings->failure_ttl_s ? ttl_s : settings->failure_ttl_s;
        break;
    case RESOLVER_TIMEOUT:
    case RESOLVER_FAILED:
    case RESOLVER_BOGUS:
        ttl_s = settings->failure_ttl_s;
        break;
    case RESOLVER_BUSY:
    case RESOLVER_STATUS_COUNT:
        ttl_s = 0;
        break;
    }
    return ttl_s * 1000;
}

static void reply(struct finder *finder, struct resolver_request *request)
{
    add64(&finder->requests, 1);
    finder->hooks.reply(finder->hooks.context, request);
}

static void reply_found(struct finder *finder, const struct lookup *lookup, struct resolver_request *request)
{
    lookup_answer(lookup, request, &finder->dice);
    uint64_t left_ms = lookup->expires_ms > finder->now_ms ? lookup->expires_ms - finder->now_ms : 0;
    request->answer.ttl_s = (uint32_t)(left_ms / 1000);
    reply(finder, request);
}

/* After anything that happened to a lookup under way. */
static void settle(struct finder *finder, struct lookup *lookup)
{
    if (lookup->phase != LOOKUP_DONE) {
        wheel_set(finder->wheel, &lookup->timer, lookup_deadline_ms(lookup));
        return;
    }
    wheel_cancel(finder->wheel, &lookup->timer);
    set32(&finder->running, get32(&finder->running) - 1);
    add64(&finder->questions, lookup->question_count);
    uint64_t lifetime = lifetime_ms(finder, lookup);
    lookup->expires_ms = finder->now_ms + lifetime;
    for (struct resolver_request *one = request_queue_take(&lookup->waiting); one != NULL;
         one = request_queue_take(&lookup->waiting))
        reply_found(finder, lookup, one);
    if (lifetime == 0) {
        drop(finder, lookup);
        return;
    }
    link_done(finder, lookup);
    if (get32(&finder->cached) > finder->settings->cache_count) {
        struct lookup *oldest = finder->oldest;
        unlink_done(finder, oldest);
        drop(finder, oldest);
    }
}

/*
 * Requests.
 */

static void reply_busy(struct finder *finder, struct resolver_request *request)
{
    request->answer.status = RESOLVER_BUSY;
    reply(finder, request);
}

static void lookup_due(void *context, struct timer *timer)
{
    struct finder *finder = context;
    struct lookup *lookup = (struct lookup *)(void *)((char *)timer - offsetof(struct lookup, timer));
    lookup_expire(lookup, finder->now_ms);
    settle(finder, lookup);
}

static void begin(struct finder *finder, struct resolver_request *request)
{
    struct span domain = request->answer.domain;
    struct lookup *lookup = NULL;
    if (get32(&finder->running) < finder->settings->lookups_max)
        lookup = calloc(1, sizeof *lookup + domain.size);
    if (lookup == NULL) {
        reply_busy(finder, request);
        return;
    }
    memcpy(lookup->domain, domain.ptr, domain.size);
    lookup->domain_size = (uint16_t)domain.size;
    lookup->timer.fire = lookup_due;
    request_queue_init(&lookup->waiting);
    if (!table_add(&finder->table, lookup)) {
        free(lookup);
        reply_busy(finder, request);
        return;
    }
    request_queue_put(&lookup->waiting, request);
    set32(&finder->running, get32(&finder->running) + 1);
    add64(&finder->lookups, 1);
    lookup_start(lookup, &finder->env, finder->now_ms);
    settle(finder, lookup);
}

void finder_request(struct finder *finder, struct resolver_request *request, uint64_t now_ms)
{
    finder->now_ms = now_ms;
    struct lookup *lookup = table_find(&finder->table, request->answer.domain);
    if (lookup != NULL && lookup->phase != LOOKUP_DONE) {
        request_queue_put(&lookup->waiting, request);
        return;
    }
    if (lookup != NULL) {
        unlink_done(finder, lookup);
        if (now_ms < lookup->expires_ms) {
            link_done(finder, lookup);
            add64(&finder->hits, 1);
            request->answer.is_cached = true;
            reply_found(finder, lookup, request);
            return;
        }
        drop(finder, lookup);
    }
    begin(finder, request);
}

void finder_answered(struct finder *finder, struct question *question, const struct dns_answer *answer, uint64_t now_ms)
{
    struct lookup *lookup = question->lookup;
    finder->now_ms = now_ms;
    question->is_open = false;
    if (finder->settings->trace != NULL) {
        struct resolver_step step = {
            .domain = key_of(lookup),
            .name = question->name,
            .type = question->type,
            .elapsed_ms = (uint32_t)(now_ms - question->asked_ms),
            .answer = answer,
        };
        finder->settings->trace(finder->settings->trace_context, &step);
    }
    lookup_answered(lookup, question, answer, now_ms);
    settle(finder, lookup);
}

void finder_advance(struct finder *finder, uint64_t now_ms)
{
    finder->now_ms = now_ms;
    wheel_advance(finder->wheel, now_ms, finder);
}

uint64_t finder_deadline_ms(const struct finder *finder)
{
    return wheel_next_ms(finder->wheel);
}

/*
 * Begin and end.
 */

static void draw_seeds(struct finder *finder, struct hash_key *key)
{
    finder->dice = finder->settings->dice_seed;
    if (finder->dice != 0) {
        /* A test that says its dice wants a run that can be had again: the key follows from them. */
        uint64_t dice = finder->dice;
        *key = (struct hash_key){srv_dice(&dice), srv_dice(&dice)};
        return;
    }
    SL_CHECK(getrandom(&finder->dice, sizeof finder->dice, 0) == (ssize_t)sizeof finder->dice);
    SL_CHECK(getrandom(key, sizeof *key, 0) == (ssize_t)sizeof *key);
}

struct finder *finder_new(const struct resolver_settings *settings, const struct finder_hooks *hooks, uint64_t now_ms)
{
    struct finder *finder = calloc(1, sizeof *finder);
    if (finder == NULL)
        return NULL;
    finder->wheel = wheel_new(now_ms);
    if (finder->wheel == NULL) {
        free(finder);
        return NULL;
    }
    struct hash_key key;
    finder->settings = settings;
    finder->hooks = *hooks;
    finder->env = (struct lookup_env){settings, hooks->context, hooks->ask, hooks->forget};
    finder->now_ms = now_ms;
    draw_seeds(finder, &key);
    table_init(&finder->table, &key, key_of);
    return finder;
}

void finder_free(struct finder *finder)
{
    if (finder == NULL)
        return;
    uint32_t position = 0;
    for (struct lookup *one = table_next(&finder->table, &position); one != NULL;
         one = table_next(&finder->table, &position)) {
        request_queue_fini(&one->waiting);
        drop(finder, one);
    }
    table_fini(&finder->table);
    wheel_free(finder->wheel);
    free(finder);
}

void finder_stats(struct finder *finder, struct resolver_stats *stats)
{
    *stats = (struct resolver_stats){
        .requests = atomic_load_explicit(&finder->requests, memory_order_relaxed),
        .hits = atomic_load_explicit(&finder->hits, memory_order_relaxed),
        .lookups = atomic_load_explicit(&finder->lookups, memory_order_relaxed),
        .questions = atomic_load_explicit(&finder->questions, memory_order_relaxed),
        .running = get32(&finder->running),
        .cached = get32(&finder->cached),
    };
}
