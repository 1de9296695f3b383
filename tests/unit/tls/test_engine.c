/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

static const char *const names_a[] = {"a", NULL};
static const char *const names_all[] = {"a", "b", "wild", NULL};

static struct context *server;
static struct context *client;

static int open_contexts(void **state)
{
    (void)state;
    server = server_context(names_a, NULL, 0x0303, 0, NULL);
    client = client_context(0x0303, 0, NULL);
    return 0;
}

static int close_contexts(void **state)
{
    (void)state;
    context_unref(server);
    context_unref(client);
    return 0;
}

/* A small generator with a printed seed, so that a failure can be run again. */
static uint64_t random_state;

static uint32_t random_next(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static void fill(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)random_next();
}

static void expect_plain(struct side *side, struct span expected)
{
    char *copy = chain_copy(&side->plain);
    assert_int_equal(side->plain.size, expected.size);
    assert_memory_equal(copy, expected.ptr, expected.size);
    free(copy);
}

/* ---- versions -------------------------------------------------------------------------------------------------- */

static void handshake__every_pair_of_versions__highest_common_or_failure(void **state)
{
    static const struct {
        uint16_t min;
        uint16_t max;
    } ranges[] = {{0x0303, 0x0303}, {0x0303, 0x0304}, {0x0304, 0x0304}};
    (void)state;
    for (unsigned i = 0; i < 9; i++) {
        uint16_t client_min = ranges[i / 3].min, client_max = ranges[i / 3].max;
        uint16_t server_min = ranges[i % 3].min, server_max = ranges[i % 3].max;
        struct context *s = server_context(names_a, NULL, server_min, server_max, NULL);
        struct context *c = client_context(client_min, client_max, NULL);
        uint16_t top = client_max < server_max ? client_max : server_max;
        bool is_common = top >= client_min && top >= server_min;
        struct pair pair;
        pair_open(&pair, c, s, "a.example");
        assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
        pair_run(&pair);
        assert_int_equal(engine_is_ready(pair.client.engine), is_common);
        assert_int_equal(engine_is_ready(pair.server.engine), is_common);
        if (is_common) {
            const char *version = top == 0x0304 ? "TLSv1.3" : "TLSv1.2";
            assert_string_equal(engine_version(pair.client.engine), version);
            assert_string_equal(engine_version(pair.server.engine), version);
            assert_non_null(strstr(engine_cipher(pair.server.engine), "128_GCM_SHA256"));
        } else {
            assert_int_equal(pair.server.status, ENGINE_FAILED);
            assert_int_equal(pair.client.status, ENGINE_FAILED);
            assert_true(strlen(engine_error(pair.client.engine)) > 8);
        }
        pair_close(&pair);
        context_unref(s);
        context_unref(c);
    }
}

static void handshake__unknown_authority__fails_with_an_alert(void **state)
{
    struct err err = {""};
    const struct context_config config = {
        .role = CONTEXT_CLIENT, .ca_file = cert_path("b.leaf"), .version_min = 0x0303, .version_max = 0x0304};
    struct context *stranger = context_new(&config, &err, NULL);
    struct pair pair;
    (void)state;
    assert_non_null(stranger);
    pair_open(&pair, stranger, server, "a.example");
    assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
    pair_run(&pair);
    assert_int_equal(pair.client.status, ENGINE_FAILED);
    assert_int_equal(pair.server.status, ENGINE_FAILED);
    assert_non_null(strstr(engine_error(pair.server.engine), "alert"));
    pair_close(&pair);
    context_unref(stranger);
}

static void handshake__insecure_client__accepts_any_certificate(void **state)
{
    const struct context_config config = {.role = CONTEXT_CLIENT, .insecure = true, .version_min = 0x0303};
    struct context *trusting = context_new(&config, &(struct err){""}, NULL);
    struct pair pair;
    (void)state;
    assert_non_null(trusting);
    pair_open(&pair, trusting, server, "a.example");
    pair_shake(&pair);
    pair_close(&pair);
    context_unref(trusting);
}

/* ---- data ------------------------------------------------------------------------------------------------------ */

static void talk(uint16_t version, size_t cut)
{
    static char there[40000];
    static char back[70000];
    struct context *c = client_context(version, version, NULL);
    struct pair pair;
    fill(there, sizeof(there));
    fill(back, sizeof(back));
    pair_open(&pair, c, server, "a.example");
    pair.cut = cut;
    pair_shake(&pair);
    size_t from = cut == 1 ? 36000 : 0; /* one byte a feed is slow under sanitizers */
    side_say(&pair, &pair.client, span_of(there + from, sizeof(there) - from));
    side_say(&pair, &pair.server, span_of(back + from, sizeof(back) - from));
    pair_run(&pair);
    expect_plain(&pair.server, span_of(there + from, sizeof(there) - from));
    expect_plain(&pair.client, span_of(back + from, sizeof(back) - from));
    pair_close(&pair);
    context_unref(c);
}

static void data__both_ways_in_pieces_of_any_size__arrives(void **state)
{
    (void)state;
    random_state = 20;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        static const size_t cuts[] = {0, 1, 2, 5, 7, 100, 4096, 16384 + 21, 65536};
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
            talk(version, cuts[i]);
    }
}

static void data__random_cuts__arrives(void **state)
{
    uint64_t seed = 0x51;
    (void)state;
    random_state = seed;
    printf("seed %#llx\n", (unsigned long long)seed);
    for (unsigned round = 0; round < 20; round++)
        talk(round % 2 == 0 ? 0x0303 : 0x0304, 2 + random_next() % 9000);
}

static void write__a_large_chain__fills_records_to_16_kib(void **state)
{
    static char text[256 * 1024];
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    pair_shake(&pair);
    random_state = 3;
    fill(text, sizeof(text));
    side_say(&pair, &pair.server, span_of(text, sizeof(text)));
    char *wire = chain_copy(&pair.server.wire);
    size_t count = 0;
    for (size_t i = 0; i < pair.server.wire.size; count++) {
        const unsigned char *head = (const unsigned char *)wire + i;
        size_t size = (size_t)head[3] << 8 | head[4];
        assert_int_equal(size, 16384 + 1 + 16); /* content type and tag */
        i += 5 + size;
    }
    assert_int_equal(count, sizeof(text) / 16384);
    free(wire);
    pair_run(&pair);
    expect_plain(&pair.client, span_of(text, sizeof(text)));
    pair_close(&pair);
}

static void write__size_max__consumes_no_more(void **state)
{
    struct chain plain = {0};
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    pair_shake(&pair);
    static char text[20000];
    chain_append(&plain, &pair.pool, span_of(text, sizeof(text)));
    assert_int_equal(engine_write(pair.client.engine, &plain, 5000, &pair.client.wire, &pair.pool), ENGINE_OK);
    assert_int_equal(plain.size, 15000);
    pair_run(&pair);
    assert_int_equal(pair.server.plain.size, 5000);
    chain_clear(&plain, &pair.pool);
    pair_close(&pair);
}

static void feed__two_records_and_a_half__gives_the_two(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    pair_shake(&pair);
    side_say(&pair, &pair.client, SPAN("one"));
    side_say(&pair, &pair.client, SPAN("two"));
    side_say(&pair, &pair.client, SPAN("three"));
    size_t size = pair.client.wire.size;
    char *wire = chain_copy(&pair.client.wire);
    chain_clear(&pair.client.wire, &pair.pool);
    side_feed(&pair, &pair.server, span_of(wire, size - 4));
    expect_plain(&pair.server, SPAN("onetwo"));
    side_feed(&pair, &pair.server, span_of(wire + size - 4, 4));
    expect_plain(&pair.server, SPAN("onetwothree"));
    free(wire);
    pair_close(&pair);
}

/* The plain function may write to the engine that feeds it. */
static void echo(void *context, struct span plain)
{
    struct pair *pair = context;
    side_say(pair, &pair->server, plain);
}

static void feed__written_back_from_inside__arrives(void **state)
{
    static char text[50000];
    struct pair pair;
    (void)state;
    random_state = 8;
    fill(text, sizeof(text));
    pair_open(&pair, client, server, "a.example");
    pair_shake(&pair);
    side_say(&pair, &pair.client, span_of(text, sizeof(text)));
    char *wire = chain_copy(&pair.client.wire);
    enum engine_status status = engine_feed(pair.server.engine, span_of(wire, pair.client.wire.size), &pair.server.wire,
                                            &pair.pool, echo, &pair);
    assert_int_equal(status, ENGINE_OK);
    chain_clear(&pair.client.wire, &pair.pool);
    pair_run(&pair);
    expect_plain(&pair.client, span_of(text, sizeof(text)));
    free(wire);
    pair_close(&pair);
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

static void close__from_either_side__is_told_and_writing_still_works(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct pair pair;
        struct context *c = client_context(i < 2 ? 0x0303 : 0x0304, 0x0304, NULL);
        pair_open(&pair, c, server, "a.example");
        pair_shake(&pair);
        struct side *first = i % 2 == 0 ? &pair.client : &pair.server;
        struct side *second = i % 2 == 0 ? &pair.server : &pair.client;
        side_say(&pair, first, SPAN("</stream:stream>"));
        engine_close(first->engine, &first->wire, &pair.pool);
        engine_close(first->engine, &first->wire, &pair.pool); /* once is enough, twice does no harm */
        pair_run(&pair);
        assert_int_equal(second->status, ENGINE_CLOSED);
        expect_plain(second, SPAN("</stream:stream>"));
        struct chain plain = {0};
        chain_append(&plain, &pair.pool, SPAN("late"));
        assert_int_equal(engine_write(second->engine, &plain, 4, &second->wire, &pair.pool), ENGINE_CLOSED);
        assert_true(chain_is_empty(&plain));
        engine_close(second->engine, &second->wire, &pair.pool);
        pair_run(&pair);
        assert_int_equal(first->status, ENGINE_CLOSED);
        expect_plain(first, SPAN("late"));
        /* What follows is ignored. */
        side_feed(&pair, second, SPAN("anything"));
        assert_int_equal(second->status, ENGINE_CLOSED);
        pair_close(&pair);
        context_unref(c);
    }
}

static void close__before_the_handshake__writes_nothing(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    engine_close(pair.server.engine, &pair.server.wire, &pair.pool);
    engine_close(pair.client.engine, &pair.client.wire, &pair.pool);
    assert_true(chain_is_empty(&pair.server.wire));
    assert_true(chain_is_empty(&pair.client.wire));
    pair_close(&pair);
}

/* ---- bad peers ------------------------------------------------------------------------------------------------- */

static void garbage__to_a_server__fails_with_an_alert(void **state)
{
    static const struct span rows[] = {
        {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 36},
        {"<?xml version='1.0'?><stream:stream>", 36},
        {"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10},
        {"\x16\x03\x01\x00\x04\x0e\x00\x00\x00", 9},
        {"\x17\x03\x03\x00\x05hello", 10},
        {"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10\x01\x00\x80\x03\x00\x80\x07\x00\xc0", 20},
        {"\x16\x03\x01\xff\xff\x01\x00\x00\x10\x03\x03", 11},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pair pair;
        pair_open(&pair, client, server, "a.example");
        side_feed(&pair, &pair.server, rows[i]);
        assert_int_equal(pair.server.status, ENGINE_FAILED);
        assert_true(strlen(engine_error(pair.server.engine)) > 4);
        assert_int_equal(pair.server.wire.size, 7);
        assert_int_equal(chain_front(&pair.server.wire).ptr[0], 21);
        side_feed(&pair, &pair.server, SPAN("more"));
        assert_int_equal(pair.server.status, ENGINE_FAILED);
        pair_close(&pair);
    }
}

/* Holds 6120:5.4.3.1/6. */
static void record__broken_after_the_handshake__fails_with_bad_record_mac(void **state)
{
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct context *c = client_context(version, version, NULL);
        struct pair pair;
        pair_open(&pair, c, server, "a.example");
        pair_shake(&pair);
        side_say(&pair, &pair.client, SPAN("hello"));
        char *wire = chain_copy(&pair.client.wire);
        size_t size = pair.client.wire.size;
        chain_clear(&pair.client.wire, &pair.pool);
        wire[size - 3] ^= 1;
        side_feed(&pair, &pair.server, span_of(wire, size));
        assert_int_equal(pair.server.status, ENGINE_FAILED);
        assert_int_equal(pair.server.plain.size, 0);
        assert_true(pair.server.wire.size >= 7);
        pair_run(&pair);
        assert_int_equal(pair.client.status, ENGINE_FAILED);
        assert_string_equal(engine_error(pair.client.engine), "the peer's alert: bad_record_mac");
        free(wire);
        pair_close(&pair);
        context_unref(c);
    }
}

static void hello__changed_at_every_byte__never_yields_plain_bytes(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
    char *hello = chain_copy(&pair.client.wire);
    size_t size = pair.client.wire.size;
    pair_close(&pair);
    unsigned failed = 0;
    for (size_t i = 0; i < size * 3; i++) {
        static const char masks[] = {'\x01', '\x80', '\xff'};
        struct pair other;
        pair_open(&other, client, server, "a.example");
        hello[i / 3] ^= masks[i % 3];
        side_feed(&other, &other.server, span_of(hello, size));
        hello[i / 3] ^= masks[i % 3];
        assert_false(engine_is_ready(other.server.engine));
        failed += other.server.status == ENGINE_FAILED;
        pair_close(&other);
    }
    /* The random, the session id and the key share may change without harm; the structure may not. */
    assert_in_range(failed, size / 2, size * 3);
    free(hello);
}

static void peer__stops_at_every_flight_byte__leaks_nothing(void **state)
{
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct context *c = client_context(version, version, NULL);
        for (size_t stop = 1; stop < 1800; stop += 61) {
            struct pair pair;
            pair_open(&pair, c, server, "a.example");
            assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
            size_t left = stop;
            for (unsigned turn = 0; turn < 6 && left > 0; turn++) {
                struct side *from = turn % 2 == 0 ? &pair.client : &pair.server;
                struct side *to = turn % 2 == 0 ? &pair.server : &pair.client;
                char *wire = chain_copy(&from->wire);
                size_t size = from->wire.size < left ? from->wire.size : left;
                side_feed(&pair, to, span_of(wire, size));
                chain_clear(&from->wire, &pair.pool);
                left -= size;
                free(wire);
            }
            pair_close(&pair); /* LeakSanitizer and the pool's count judge */
        }
        context_unref(c);
    }
}

static void handshake__in_too_many_records__fails(void **state)
{
    struct pair pair;
    (void)state;
    pair_open(&pair, client, server, "a.example");
    assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
    char *hello = chain_copy(&pair.client.wire);
    size_t size = pair.client.wire.size;
    chain_clear(&pair.client.wire, &pair.pool);
    for (size_t i = 5; i < size && pair.server.status == ENGINE_OK; i++) {
        const char record[] = {22, 3, 1, 0, 1, hello[i]};
        side_feed(&pair, &pair.server, span_of(record, sizeof(record)));
    }
    assert_int_equal(pair.server.status, ENGINE_FAILED);
    free(hello);
    pair_close(&pair);
}

static void hello__in_many_records__is_accepted(void **state)
{
    (void)state;
    for (size_t piece = 40; piece < 200; piece += 30) {
        struct pair pair;
        struct context *all = server_context(names_all, NULL, 0x0303, 0, NULL);
        pair_open(&pair, client, all, "b.example");
        pair.cut = piece - 7;
        assert_int_equal(engine_start(pair.client.engine, &pair.client.wire, &pair.pool), ENGINE_OK);
        char *hello = chain_copy(&pair.client.wire);
        size_t size = pair.client.wire.size;
        chain_clear(&pair.client.wire, &pair.pool);
        for (size_t i = 5; i < size; i += piece) {
            size_t step = size - i < piece ? size - i : piece;
            const char head[] = {22, 3, 1, 0, (char)step};
            chain_append(&pair.client.wire, &pair.pool, span_of(head, sizeof(head)));
            chain_append(&pair.client.wire, &pair.pool, span_of(hello + i, step));
        }
        free(hello);
        pair_run(&pair);
        if (!engine_is_ready(pair.server.engine))
            fail_msg("pieces of %zu: %s", piece, engine_error(pair.server.engine));
        assert_true(span_is(engine_server_name(pair.server.engine), "b.example"));
        pair_close(&pair);
        context_unref(all);
    }
}

/* ---- bindings -------------------------------------------------------------------------------------------------- */

static void binding__every_kind__is_equal_on_both_sides_and_differs_between_connections(void **state)
{
    (void)state;
    for (uint16_t version = 0x0303; version <= 0x0304; version++) {
        struct context *c = client_context(version, version, NULL);
        char last[3][ENGINE_BINDING_MAX] = {{0}};
        for (unsigned round = 0; round < 2; round++) {
            struct pair pair;
            pair_open(&pair, c, server, "a.example");
            char none[ENGINE_BINDING_MAX];
            assert_int_equal(engine_binding(pair.server.engine, BINDING_EXPORTER, none), 0);
            pair_shake(&pair);
            for (enum engine_binding kind = BINDING_EXPORTER; kind <= BINDING_END_POINT; kind++) {
                char ours[ENGINE_BINDING_MAX] = {0};
                char theirs[ENGINE_BINDING_MAX] = {0};
                size_t size = engine_binding(pair.server.engine, kind, ours);
                size_t expected = kind == BINDING_UNIQUE ? (version == 0x0303 ? 12 : 0) : 32;
                assert_int_equal(size, expected);
                assert_int_equal(engine_binding(pair.client.engine, kind, theirs), size);
                assert_memory_equal(ours, theirs, sizeof(ours));
                bool is_same = memcmp(ours, last[kind], sizeof(ours)) == 0;
                assert_int_equal(is_same, size == 0 || (round == 1 && kind == BINDING_END_POINT));
                memcpy(last[kind], ours, sizeof(ours));
            }
            pair_close(&pair);
        }
        context_unref(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(handshake__every_pair_of_versions__highest_common_or_failure),
        cmocka_unit_test(handshake__unknown_authority__fails_with_an_alert),
        cmocka_unit_test(handshake__insecure_client__accepts_any_certificate),
        cmocka_unit_test(handshake__in_too_many_records__fails),
        cmocka_unit_test(data__both_ways_in_pieces_of_any_size__arrives),
        cmocka_unit_test(data__random_cuts__arrives),
        cmocka_unit_test(write__a_large_chain__fills_records_to_16_kib),
        cmocka_unit_test(write__size_max__consumes_no_more),
        cmocka_unit_test(feed__two_records_and_a_half__gives_the_two),
        cmocka_unit_test(feed__written_back_from_inside__arrives),
        cmocka_unit_test(close__from_either_side__is_told_and_writing_still_works),
        cmocka_unit_test(close__before_the_handshake__writes_nothing),
        cmocka_unit_test(garbage__to_a_server__fails_with_an_alert),
        cmocka_unit_test(record__broken_after_the_handshake__fails_with_bad_record_mac),
        cmocka_unit_test(hello__changed_at_every_byte__never_yields_plain_bytes),
        cmocka_unit_test(hello__in_many_records__is_accepted),
        cmocka_unit_test(peer__stops_at_every_flight_byte__leaks_nothing),
        cmocka_unit_test(binding__every_kind__is_equal_on_both_sides_and_differs_between_connections),
    };
    struct err err;
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, open_contexts, close_contexts);
    tls_stop();
    return failed;
}
