/* SPDX-License-Identifier: MIT */
/* What one peer can take: time, memory, places; and how a shard ends. Virtual clock, so every deadline is exact. */
#include "core/base/base64.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "router/route/session.h"
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

/* --- logins ------------------------------------------------------------------------------------------------------- */

/* Account names are longer than any key of the store. */
static void login__with_a_name_no_store_can_hold__fails_like_any_other(void **state)
{
    (void)state;
    struct rig *rig = rig_new(1, 1, NULL, 1, NULL);
    struct caller caller;
    char name[1001], text[3000], encoded[2000];
    for (size_t size = 400; size <= 1000; size += 100) {
        memset(name, 'a', size);
        name[size] = '\0';
        int length = snprintf(text, sizeof text, "n,,n=%s,r=0123456789", name);
        size_t count = base64_encode(span_of(text, (size_t)length), encoded);
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, CALLER_HEADER);
        snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-256'>%.*s</auth>", (int)count,
                 encoded);
        caller_say_text(&caller, text);
        caller_run(&caller);
        assert_true(caller_has_heard(&caller, "<challenge"));
        caller_close(&caller);
    }
    finish(rig);
}

/* RFC 6120 s7.7.3: at least 5 and no more than 10 retries, then policy-violation. */
static void binding__refused_ten_times__closes_the_stream(void **state)
{
    (void)state;
    struct rig *rig = rig_new(2, 1, NULL, 1, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    assert_true(caller_login(&caller, 0));
    for (unsigned i = 0; i < 9; i++) {
        assert_false(caller_bind(&caller, "no&#x9;tabs"));
        assert_true(caller_has_heard(&caller, "<bad-request"));
        assert_false(caller_is_over(&caller));
    }
    assert_false(caller_bind(&caller, "no&#x9;tabs"));
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    caller_close(&caller);
    finish(rig);
}

/* --- the border of TLS -------------------------------------------------------------------------------------------- */

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

/* Only bytes that TLS protected may be read as such (RFC 6120 s5.4.3.3): also when they came in pieces while the stream
 * was held. */
static void plain_bytes__held_behind_starttls__end_the_stream(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(false, NULL);
    struct caller caller;
    char filler[8000];
    caller_open(&caller, rig, 0);
    caller_say_text(&caller, CALLER_HEADER);
    caller_run(&caller);
    struct stream *stream = rig->shards[0].streams;
    assert_non_null(stream);
    assert_int_equal(stream->state, STREAM_OPEN);
    static const char auth[] = "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-256'>biwsbj11c2VyMCxyPTAxMjM=</auth>";
    static const char abort[] = "<abort xmlns='" SASL_NS "'/>";
    memset(filler, ' ', sizeof filler);
    memcpy(filler, abort, sizeof abort - 1);
    memcpy(filler + sizeof filler - (sizeof STARTTLS - 1), STARTTLS, sizeof STARTTLS - 1);
    stream_received(stream, SPAN(auth));
    assert_int_equal(stream->state, STREAM_LOOKUP);
    stream_received(stream, span_of(filler, sizeof filler));
    stream_received(stream, SPAN("<?xml version='1.0'?>"));
    io_notify(rig->shards[0].io);
    caller_run(&caller);
    caller_wait(&caller, 100);
    assert_true(caller_has_heard(&caller, "<aborted"));
    assert_false(caller_has_heard(&caller, "<proceed"));
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    caller_close(&caller);
    finish(rig);
}

/* The record is forged, so the connection is of no use, and its resource is taken in the same turn. */
static void resource__of_a_session_whose_tls_broke__is_free_at_once(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(true, NULL);
    for (unsigned order = 0; order < 2; order++) {
        struct caller older, newer;
        open_tls(&older, rig);
        assert_true(caller_login(&older, 0));
        assert_true(caller_bind(&older, "r"));
        open_tls(&newer, rig);
        assert_true(caller_login(&newer, 0));
        for (unsigned i = 0; i < 2; i++) {
            if (i == order)
                peer_send(older.peer, SPAN("\x17\x03\x03\x00\x20 this is not what AES-GCM makes."));
            else
                caller_say_text(&newer, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                                        "<resource>r</resource></bind></iq>");
        }
        caller_run(&newer);
        assert_true(caller_has_heard(&newer, "<jid>user0@example.com/r</jid>"));
        assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
        session_close_user(&rig->shards[0], SPAN("user0@example.com"));
        io_notify(rig->shards[0].io);
        caller_run(&newer);
        assert_true(caller_has_heard(&newer, "<not-authorized"));
        caller_close(&older);
        caller_close(&newer);
        rig_run(rig, 10);
    }
    finish(rig);
}

#define CROWD 30u

/* One handshake a turn: while the others wait for theirs they fill nobody's memory. */
static void bytes__that_wait_for_a_handshake__are_few(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(true, "limits.handshakes_per_turn=1");
    static struct caller callers[CROWD];
    static char flood[200000];
    for (unsigned i = 0; i < CROWD; i++) {
        caller_open(&callers[i], rig, 0);
        caller_say_text(&callers[i], CALLER_HEADER);
        caller_run(&callers[i]);
        caller_say_text(&callers[i], STARTTLS);
        caller_run(&callers[i]);
    }
    memcpy(flood, "\x16\x03\x01\x40\x00\x01\x00\x3f\xfc", 9); /* the head of a ClientHello of 16 KiB */
    for (unsigned i = 0; i < CROWD; i++)
        peer_send(callers[i].peer, span_of(flood, sizeof flood));
    size_t most = 0;
    for (bool more = true; more;) {
        more = world_step(rig->world);
        for (struct stream *stream = rig->shards[0].streams; stream; stream = stream->next)
            most = stream->held.size > most ? stream->held.size : most;
    }
    assert_true(most > 0);
    assert_true(most <= 16384);
    for (unsigned i = 0; i < CROWD; i++)
        caller_close(&callers[i]);
    finish(rig);
}

/* Everybody who behaves gets through the same queue. */
static void handshakes__one_a_turn__all_come_to_their_end(void **state)
{
    (void)state;
    struct rig *rig = tls_rig(true, "limits.handshakes_per_turn=1");
    static struct caller callers[CROWD];
    for (unsigned i = 0; i < CROWD; i++) {
        open_tls(&callers[i], rig);
        caller_say_text(&callers[i], CALLER_HEADER);
    }
    for (unsigned i = 0; i < CROWD; i++) {
        caller_run(&callers[i]);
        assert_true(caller_has_heard(&callers[i], "<mechanisms"));
        caller_close(&callers[i]);
    }
    finish(rig);
}

int main(void)
{
    struct err err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login__with_a_name_no_store_can_hold__fails_like_any_other),
        cmocka_unit_test(binding__refused_ten_times__closes_the_stream),
        cmocka_unit_test(plain_bytes__held_behind_starttls__end_the_stream),
        cmocka_unit_test(resource__of_a_session_whose_tls_broke__is_free_at_once),
        cmocka_unit_test(bytes__that_wait_for_a_handshake__are_few),
        cmocka_unit_test(handshakes__one_a_turn__all_come_to_their_end),
    };
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
