/* SPDX-License-Identifier: MIT */
/* How long each phase before a session may take, from its first byte and not from its last: a peer that sends a byte a
 * second wins no time anywhere; and no deadline outlives its stream. Virtual clock, so every deadline is exact. */
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "router/stream/stream.h"
#include "tls/engine.h"

#define SASL_NS  "urn:ietf:params:xml:ns:xmpp-sasl"
#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

/* Ends what a test began, and looks at the books. */
static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

static struct rig *tls_rig(bool required, const char *extra)
{
    const char *list[16];
    unsigned count = 0;
    for (const char *const *item = caller_tls_overrides(); *item; item++)
        list[count++] = *item;
    if (!required)
        list[count++] = "tls.required=false";
    if (extra)
        list[count++] = extra;
    list[count] = NULL;
    return rig_new(3, 1, NULL, 3, list);
}

static void open_tls(struct caller *caller, struct rig *rig)
{
    caller_open(caller, rig, 0);
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    caller_say_text(caller, STARTTLS);
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<proceed"));
    assert_true(caller_start_tls(caller));
    caller_forget(caller);
}

/* Sends one byte of text a second, over and over, and tells after how many milliseconds the router had enough. */
static unsigned drip(struct caller *caller, const char *text)
{
    size_t size = strlen(text);
    for (unsigned ms = 0; ms < 100000; ms += 100) {
        if (caller_is_over(caller))
            return ms;
        if (size && ms % 1000 == 0)
            caller_say(caller, span_of(text + ms / 1000 % size, 1));
        caller_wait(caller, 100);
    }
    return UINT32_MAX;
}

static void a_byte_a_second__before_authentication__wins_no_time(void **state)
{
    (void)state;
    struct rig *rig = rig_new(4, 1, NULL, 1, NULL);
    static const struct {
        const char *said, *dripped;
        unsigned ms;
    } rows[] = {
        {"", "", 10000},
        {"", CALLER_HEADER, 10000},
        {"", " ", 10000},
        {CALLER_HEADER, "", 30000},
        {CALLER_HEADER, " ", 30000},
        {CALLER_HEADER, "<auth xmlns='" SASL_NS "' mechanism='PLAIN'>", 30000},
        {CALLER_HEADER "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-1'/>", " ", 30000},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct caller caller;
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, rows[i].said);
        caller_run(&caller);
        assert_int_equal(drip(&caller, rows[i].dripped), rows[i].ms);
        assert_true(caller_has_heard(&caller, "<connection-timeout"));
        assert_true(caller_has_heard(&caller, "</stream:stream>"));
        caller_close(&caller);
    }
    finish(rig);
}

static void a_byte_a_second__behind_authentication__wins_no_time(void **state)
{
    (void)state;
    struct rig *rig = rig_new(5, 1, NULL, 1, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct caller caller;
        caller_open(&caller, rig, 0);
        assert_true(caller_login(&caller, 0));
        assert_int_equal(drip(&caller, i ? "<iq type='set' id='b'>" : " "), 30000);
        assert_true(caller_has_heard(&caller, "<connection-timeout"));
        caller_close(&caller);
    }
    finish(rig);
}

/* Behind the challenge, and behind <success/>: the login's time goes on from the first header. */
static void a_byte_a_second__within_authentication__wins_no_time(void **state)
{
    (void)state;
    struct rig *rig = rig_new(5, 2, NULL, 2, NULL);
    static const struct {
        bool proves;
        const char *dripped;
    } rows[] = {
        {false, "<response xmlns='" SASL_NS "'>AAAA"},
        {false, "<abort xmlns='" SASL_NS "' "},
        {true, "<?xml version='1.0'?>" CALLER_HEADER},
        {true, ""},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned user = 0; user < 2; user++) { /* one stays, one moves to the other shard */
            struct caller caller;
            caller_open(&caller, rig, 0);
            caller_say_text(&caller, CALLER_HEADER);
            caller_run(&caller);
            caller_auth(&caller, user);
            caller_run(&caller);
            if (rows[i].proves)
                caller_prove(&caller);
            caller_run(&caller);
            assert_true(caller_has_heard(&caller, rows[i].proves ? "<success" : "<challenge"));
            assert_int_equal(drip(&caller, rows[i].dripped), 30000);
            assert_true(caller_has_heard(&caller, "<connection-timeout"));
            caller_close(&caller);
        }
    }
    finish(rig);
}

/* What a client's engine has to send, as one piece. */
static size_t flatten(struct caller *caller, struct chain *wire, char *out)
{
    size_t size = 0;
    while (!chain_is_empty(wire)) {
        struct span front = chain_front(wire);
        memcpy(out + size, front.ptr, front.size);
        size += front.size;
        chain_consume(wire, &caller->pool, front.size);
    }
    return size;
}

static void ignore(void *context, struct span bytes)
{
    (void)context;
    (void)bytes;
}

/* One byte of a flight a second, what comes back unheard. */
static unsigned drip_flight(struct caller *caller, const char *flight, size_t size)
{
    unsigned ms = 0;
    for (; ms < 100000 && !caller_is_over(caller); ms += 100) {
        if (ms % 1000 == 0 && ms / 1000 < size)
            peer_send(caller->peer, span_of(flight + ms / 1000, 1));
        caller_wait(caller, 100);
    }
    return ms;
}

/* Real flights, the first or the second, in STARTTLS and on the port for direct TLS: all has to come within
 * timeouts.tls. */
static void a_byte_a_second__of_a_handshake__wins_no_time(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(true, NULL);
    struct context_config config = {
        .role = CONTEXT_CLIENT, .insecure = true, .version_min = 0x0303, .version_max = 0x0304};
    static char flight[20000];
    for (unsigned i = 0; i < 4; i++) {
        bool is_direct = i & 1, is_second = i & 2;
        struct caller caller;
        struct chain wire = {0};
        struct err err;
        caller_open_from(&caller, rig, 0, is_direct ? LISTEN_C2S_TLS : LISTEN_C2S, "192.0.2.1");
        if (!is_direct)
            caller_say_text(&caller, CALLER_HEADER STARTTLS);
        caller_run(&caller);
        caller.is_deaf = true;
        caller.context = context_new(&config, &err, NULL);
        caller.tls = engine_new(caller.context, SPAN("example.com"));
        assert_true(engine_start(caller.tls, &wire, &caller.pool) != ENGINE_FAILED);
        size_t size = flatten(&caller, &wire, flight);
        if (is_second) {
            peer_send(caller.peer, span_of(flight, size));
            caller_run(&caller);
            struct span heard = peer_received(caller.peer);
            (void)engine_feed(caller.tls, heard, &wire, &caller.pool, ignore, NULL);
            peer_take(caller.peer, heard.size);
            size = flatten(&caller, &wire, flight);
        }
        assert_true(size > 20);
        assert_int_equal(drip_flight(&caller, flight, size), 10000);
        caller_close(&caller);
    }
    finish(rig);
}

static void a_byte_a_second__around_tls__wins_no_time(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(true, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    caller_say_text(&caller, CALLER_HEADER STARTTLS);
    caller_run(&caller);
    assert_int_equal(drip(&caller, "\x16\x03\x01\x40\x01"), 10000); /* a ClientHello that never ends */
    caller_close(&caller);
    open_tls(&caller, rig);
    assert_int_equal(drip(&caller, CALLER_HEADER), 10000);
    assert_true(caller_has_heard(&caller, "<connection-timeout"));
    caller_close(&caller);
    open_tls(&caller, rig);
    caller_say_text(&caller, CALLER_HEADER);
    assert_int_equal(drip(&caller, " "), 30000);
    assert_true(caller_has_heard(&caller, "<connection-timeout"));
    caller_close(&caller);
    finish(rig);
}

/* Each phase taken to its end: together they have timeouts.login. */
static void phases__one_after_the_other__end_with_the_login(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(true, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    caller_wait(&caller, 9900);
    caller_say_text(&caller, CALLER_HEADER);
    caller_wait(&caller, 25000);
    caller_say_text(&caller, STARTTLS);
    caller_wait(&caller, 1000);
    assert_true(caller_has_heard(&caller, "<proceed"));
    assert_true(caller_start_tls(&caller));
    caller_forget(&caller);
    assert_int_equal(drip(&caller, " "), 4000);
    assert_true(caller_has_heard(&caller, "<connection-timeout"));
    caller_close(&caller);
    finish(rig);
}

/* A connection breaks while its session is held; what it had said, to itself, is heard out and is more than its queue
 * should have. The time that a slow reader has for that does not begin for a stream that is about to be freed. */
static void time_to_read__of_a_stream_that_is_freed__never_begins(void **state)
{
    (void)state;
    static const char *const tight[] = {"limits.queue_soft=4KiB", NULL};
    struct rig *rig = rig_new(3, 1, NULL, 2, tight);
    struct caller caller, other;
    char text[3000];
    caller_open(&other, rig, 0);
    assert_true(caller_login(&other, 1) && caller_bind(&other, "r"));
    caller_open(&caller, rig, 0);
    assert_true(caller_login(&caller, 0) && caller_bind(&caller, "r"));
    stream_hold(rig->shards[0].streams);
    int size = snprintf(text, sizeof text, "<message to='user0@example.com/r'><body>%02500d</body></message>", 0);
    for (unsigned i = 0; i < 3; i++)
        stream_received(rig->shards[0].streams, span_of(text, (size_t)size));
    peer_reset(caller.peer);
    caller_say_text(&other, "<message to='user0@example.com/r'><body>the break is met</body></message>");
    caller_run(&other);
    caller_close(&other);
    rig_run(rig, 20000);
    assert_null(rig->shards[0].streams);
    assert_true(wheel_next_ms(rig->shards[0].wheel) == UINT64_MAX);
    caller_close(&caller);
    finish(rig);
}

int main(void)
{
    struct err err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_byte_a_second__before_authentication__wins_no_time),
        cmocka_unit_test(a_byte_a_second__behind_authentication__wins_no_time),
        cmocka_unit_test(a_byte_a_second__within_authentication__wins_no_time),
        cmocka_unit_test(a_byte_a_second__of_a_handshake__wins_no_time),
        cmocka_unit_test(a_byte_a_second__around_tls__wins_no_time),
        cmocka_unit_test(phases__one_after_the_other__end_with_the_login),
        cmocka_unit_test(time_to_read__of_a_stream_that_is_freed__never_begins),
    };
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
