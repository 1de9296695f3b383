/* SPDX-License-Identifier: MIT */
/*
 * An engine moves between two threads as a stream moves between shards: nothing of it may stay behind.
 */
#include "core/base/err.h"
#include "pair.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#define TURNS 40u

struct relay {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned turn;
    struct pair pair;
    struct context *client;
    struct context *server;
};

static void take_turn(struct relay *relay)
{
    struct pair *pair = &relay->pair;
    if (relay->turn == 0)
        assert_int_equal(engine_start(pair->client.engine, &pair->client.wire, &pair->pool), ENGINE_OK);
    if (engine_is_ready(pair->client.engine) && engine_is_ready(pair->server.engine)) {
        char text[3000];
        memset(text, (int)relay->turn, sizeof(text));
        side_say(pair, &pair->client, span_of(text, sizeof(text)));
        side_say(pair, &pair->server, span_of(text, sizeof(text)));
    }
    /* One flight a turn, so that the handshake, too, is cut between the threads. */
    struct side *from = relay->turn % 3 == 0 ? &pair->client : &pair->server;
    struct side *to = from == &pair->client ? &pair->server : &pair->client;
    char *wire = chain_copy(&from->wire);
    size_t size = from->wire.size;
    chain_clear(&from->wire, &pair->pool);
    side_feed(pair, to, span_of(wire, size));
    free(wire);
}

static void run(struct relay *relay, unsigned parity)
{
    pthread_mutex_lock(&relay->mutex);
    while (relay->turn < TURNS) {
        if (relay->turn % 2 != parity) {
            pthread_cond_wait(&relay->changed, &relay->mutex);
            continue;
        }
        take_turn(relay);
        relay->turn++;
        pthread_cond_signal(&relay->changed);
    }
    pthread_mutex_unlock(&relay->mutex);
}

static void *run_odd(void *relay)
{
    run(relay, 1);
    return NULL;
}

static void engine__moved_at_every_step__works(void **state)
{
    static const char *const names[] = {"a", NULL};
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct ticket_keys *keys = ticket_keys_new();
        struct relay relay = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
        relay.server = server_context(names, keys, 0x0303, 0, NULL);
        relay.client = client_context(version, version, NULL);
        pair_open(&relay.pair, relay.client, relay.server, "a.example");
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, run_odd, &relay), 0);
        run(&relay, 0);
        pthread_join(other, NULL);
        pair_run(&relay.pair);
        assert_true(relay.pair.server.plain.size >= 3000 * 20);
        assert_int_equal(relay.pair.server.plain.size, relay.pair.client.plain.size);
        pair_close(&relay.pair);
        context_unref(relay.client);
        context_unref(relay.server);
        ticket_keys_free(keys);
    }
}

/* Shards share contexts: the counts are the only thing that they may both write. */
struct shared {
    struct context *client;
    struct context *server;
};

static void *shake_often(void *context)
{
    struct shared *shared = context;
    for (unsigned i = 0; i < 20; i++) {
        struct pair pair;
        pair_open(&pair, context_ref(shared->client), context_ref(shared->server), "a.example");
        pair_shake(&pair);
        context_unref(shared->client);
        context_unref(shared->server);
        pair_close(&pair);
    }
    return NULL;
}

static void context__shared_by_threads__is_safe(void **state)
{
    static const char *const names[] = {"a", "b", NULL};
    struct ticket_keys *keys = ticket_keys_new();
    struct shared shared = {client_context(0x0303, 0, NULL), server_context(names, keys, 0x0303, 0, NULL)};
    pthread_t threads[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shake_often, &shared), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    context_unref(shared.client);
    context_unref(shared.server);
    ticket_keys_free(keys);
}

/* The same between servers: the anchors and the library's contexts are shared while chains are judged. */
static void anchors__shared_by_threads__are_safe(void **state)
{
    struct err err;
    const struct context_domain domain = {"a.example", cert_path("a.pem"), cert_path("a.key")};
    struct anchors *anchors = anchors_new(cert_path("ca.pem"), &err);
    assert_non_null(anchors);
    struct context_config config = {
        .role = CONTEXT_CLIENT, .domains = &domain, .domain_count = 1, .anchors = anchors, .version_min = 0x0303};
    struct shared shared = {context_new(&config, &err, NULL), NULL};
    pthread_t threads[3];
    (void)state;
    config.role = CONTEXT_SERVER;
    shared.server = context_new(&config, &err, NULL);
    assert_non_null(shared.client);
    assert_non_null(shared.server);
    anchors_unref(anchors); /* the contexts have theirs */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, shake_often, &shared), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    context_unref(shared.client);
    context_unref(shared.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine__moved_at_every_step__works),
        cmocka_unit_test(context__shared_by_threads__is_safe),
        cmocka_unit_test(anchors__shared_by_threads__are_safe),
    };
    struct err err;
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
