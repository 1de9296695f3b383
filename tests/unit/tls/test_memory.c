/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include "core/base/err.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/memory.h>

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#define SESSION_BYTES_MAX 6144u /* DESIGN section 12: <= 6 KiB for a TLS session, the stream's own part included */
#define HELLO_BYTES_MAX   8192u /* a connection that has not begun its handshake */

/* Every allocation of the library, counted by what malloc really set aside. */
static size_t held;
static size_t held_max;

static void *count_malloc(size_t size)
{
    void *bytes = malloc(size);
    held += malloc_usable_size(bytes);
    if (held > held_max)
        held_max = held;
    return bytes;
}

static void count_free(void *bytes)
{
    held -= malloc_usable_size(bytes);
    free(bytes);
}

static void *count_realloc(void *bytes, size_t size)
{
    held -= malloc_usable_size(bytes);
    bytes = realloc(bytes, size);
    held += malloc_usable_size(bytes);
    if (held > held_max)
        held_max = held;
    return bytes;
}

struct measure {
    size_t server;     /* after the handshake */
    size_t both;       /* client and server */
    size_t peak;       /* both, during the handshake */
    size_t after_data; /* both, after data went both ways */
    size_t sent[2];    /* wire bytes of the handshake, the client's and the server's */
};

static struct measure measure_between(struct context *client, struct context *server)
{
    struct measure out;
    struct pair pair;
    for (unsigned round = 0; round < 2; round++) { /* the first fills the contexts' own caches */
        size_t start = held;
        held_max = held;
        pair_open(&pair, client, server, "a.example");
        pair_shake(&pair);
        out.both = held - start;
        out.peak = held_max - start;
        out.sent[0] = pair.client.sent;
        out.sent[1] = pair.server.sent;
        char text[2000] = "";
        side_say(&pair, &pair.client, span_of(text, sizeof(text)));
        side_say(&pair, &pair.server, span_of(text, sizeof(text)));
        pair_run(&pair);
        out.after_data = held - start;
        size_t with_client = held;
        engine_free(pair.client.engine);
        pair.client.engine = NULL;
        out.server = out.both - (with_client - held);
        pair_close(&pair);
        assert_int_equal(held, start);
    }
    return out;
}

static struct measure measure(uint16_t version, bool has_tickets, const char *const *alpn)
{
    const char *const names[] = {"a", NULL};
    struct ticket_keys *keys = has_tickets ? ticket_keys_new() : NULL;
    struct context *server = server_context(names, keys, 0x0303, 0x0304, alpn);
    struct context *client = client_context(version, version, alpn);
    struct measure out = measure_between(client, server);
    context_unref(server);
    context_unref(client);
    ticket_keys_free(keys);
    return out;
}

/* Between servers: each asks for the other's certificate. */
static struct context *judging_context(enum context_role role, uint16_t version, struct anchors *anchors)
{
    static const char *const alpn[] = {"xmpp-server", NULL};
    const struct context_domain domain = {"a.example", cert_path("a.pem"), cert_path("a.key")};
    const struct context_config config = {
        .role = role,
        .domains = &domain,
        .domain_count = 1,
        .alpn = alpn,
        .anchors = anchors,
        .version_min = version,
        .version_max = version,
    };
    struct context *context = context_new(&config, &(struct err){""}, NULL);
    assert_non_null(context);
    return context;
}

/* What a peer sends stays nowhere in the library: the measure's rounds begin and end with the same memory. */
static void session__between_servers__is_as_small_and_keeps_nothing(void **state)
{
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct anchors *anchors = anchors_new(cert_path("ca.pem"), &(struct err){""});
        assert_non_null(anchors);
        struct context *server = judging_context(CONTEXT_SERVER, version, anchors);
        struct context *client = judging_context(CONTEXT_CLIENT, version, anchors);
        size_t without = 0;
        for (unsigned round = 0; round < 5; round++) {
            struct measure m = measure_between(client, server);
            if (round == 0)
                printf("tls 1.%d, between servers: server session %zu B (client %zu B), both at the handshake's peak "
                       "%zu B; on the wire %zu + %zu B\n",
                       version - 0x0301, m.server, m.both - m.server, m.peak, m.sent[0], m.sent[1]);
            assert_in_range(m.server, 1, SESSION_BYTES_MAX);
            assert_in_range(m.both - m.server, 1, SESSION_BYTES_MAX);
            assert_int_equal(m.after_data, m.both);
            without = m.both;
        }
        /* Nor does an answer of the server's issuer, which the client has a copy of, of its own. */
        char staple[4000] = "an answer";
        assert_true(context_set_staple(server, 0, span_of(staple, sizeof(staple))));
        struct measure m = measure_between(client, server);
        assert_in_range(m.both, 1, without + 64); /* malloc rounds */
        context_unref(server);
        context_unref(client);
        anchors_unref(anchors);
    }
}

static void session__idle_after_the_handshake__is_small(void **state)
{
    const char *const alpn[] = {"xmpp-client", NULL};
    static const struct {
        uint16_t version;
        bool has_tickets;
        bool has_alpn;
    } rows[] = {{0x0303, false, false},
                {0x0304, false, false},
                {0x0304, true, false},
                {0x0303, true, true},
                {0x0304, true, true}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct measure m = measure(rows[i].version, rows[i].has_tickets, rows[i].has_alpn ? alpn : NULL);
        printf("tls 1.%d%s%s: server session %zu B (client %zu B), both at the handshake's peak %zu B; on the wire "
               "%zu + %zu B\n",
               rows[i].version - 0x0301, rows[i].has_tickets ? ", tickets" : "", rows[i].has_alpn ? ", alpn" : "",
               m.server, m.both - m.server, m.peak, m.sent[0], m.sent[1]);
        assert_in_range(m.server, 1, SESSION_BYTES_MAX);
        assert_int_equal(m.after_data, m.both); /* no buffer stays */
    }
}

static void session__before_the_hello__holds_nothing_of_the_library(void **state)
{
    const char *const names[] = {"a", NULL};
    struct context *server = server_context(names, NULL, 0x0303, 0x0304, NULL);
    struct context *client = client_context(0x0303, 0x0304, NULL);
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
    char *hello = chain_copy(&pair.client.wire);
    size_t start = held;
    size_t resident = mallinfo2().uordblks;
    side_feed(&pair, &pair.server, span_of(hello, pair.client.wire.size - 1));
    assert_int_equal(pair.server.status, ENGINE_OK);
    assert_int_equal(held, start);
    assert_in_range(mallinfo2().uordblks - resident, 0, HELLO_BYTES_MAX);
    free(hello);
    pair_close(&pair);
    context_unref(server);
    context_unref(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(session__idle_after_the_handshake__is_small),
        cmocka_unit_test(session__between_servers__is_as_small_and_keeps_nothing),
        cmocka_unit_test(session__before_the_hello__holds_nothing_of_the_library),
    };
    wolfSSL_SetAllocators(count_malloc, count_free, count_realloc);
    if (!tls_start(&(struct err){""}))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
