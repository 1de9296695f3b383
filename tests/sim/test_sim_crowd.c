/* SPDX-License-Identifier: MIT */
/* Limits per address prefix, over all shards: connections, TLS handshakes, failed logins. Virtual clock. */
#include "core/base/base64.h"
#include "router/stream/stream.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tls/context.h"

#define SASL_NS  "urn:ietf:params:xml:ns:xmpp-sasl"
#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define SHARDS   3u

static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static bool is_let_in(struct caller *caller, struct rig *rig, unsigned shard, const char *address)
{
    caller_open_from(caller, rig, shard, LISTEN_C2S, address);
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    return caller_has_heard(caller, "<stream:features");
}

/* One address, its connections spread over the shards as the kernel does. */
/* Holds 6120:13.12/2. */
static void connections__of_one_address__are_counted_over_all_shards(void **state)
{
    (void)state;
    static const char *const overrides[] = {"limits.connections_per_address=4", NULL};
    struct rig *rig = rig_new(1, SHARDS, NULL, 1, overrides);
    struct caller held[4], one;
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_let_in(&held[i], rig, i % SHARDS, "192.0.2.1"));
    for (unsigned i = 0; i < SHARDS; i++) {
        assert_false(is_let_in(&one, rig, i, "192.0.2.1"));
        assert_true(peer_is_reset(one.peer));
        caller_close(&one);
    }
    assert_int_equal(rig_counter(rig, COUNTER_CROWDED), SHARDS);
    assert_true(is_let_in(&one, rig, 0, "192.0.2.2"));
    caller_close(&one);
    caller_close(&held[3]);
    rig_run(rig, 6000);
    assert_true(is_let_in(&one, rig, 2, "192.0.2.1"));
    caller_close(&one);
    for (unsigned i = 0; i < 3; i++)
        caller_close(&held[i]);
    finish(rig);
}

/* A subscriber has a whole IPv6 /64, and one who moved to his shard still counts once. */
static void connections__of_one_subscriber__are_those_of_the_prefix(void **state)
{
    (void)state;
    static const char *const overrides[] = {"limits.connections_per_address=2", NULL};
    struct rig *rig = rig_new(2, SHARDS, NULL, 8, overrides);
    struct caller callers[2], one;
    for (unsigned user = 0; user < 8; user += 2) {
        for (unsigned i = 0; i < 2; i++) {
            char address[64];
            snprintf(address, sizeof address, "2001:db8:0:%u::%u", user, i);
            caller_open_from(&callers[i], rig, 0, LISTEN_C2S, address);
            assert_true(caller_login(&callers[i], user + i) && caller_bind(&callers[i], "a"));
        }
        char address[64];
        snprintf(address, sizeof address, "2001:db8:0:%u:ffff::1", user);
        assert_false(is_let_in(&one, rig, 1, address));
        caller_close(&one);
        caller_close(&callers[0]);
        caller_close(&callers[1]);
        rig_run(rig, 6000);
        assert_true(is_let_in(&one, rig, 1, address));
        caller_close(&one);
    }
    assert_true(rig_counter(rig, COUNTER_DEPARTED) > 0);
    finish(rig);
}

/* A reload that changes what a prefix is, while connections are counted by the old one. */
static void connections__when_the_prefix_changes__leave_as_they_entered(void **state)
{
    (void)state;
    static const char *const narrow[] = {"limits.connections_per_address=2", NULL};
    static const char *const wide[] = {"limits.connections_per_address=2", "limits.prefix_ipv4=24", NULL};
    struct rig *rig = rig_new(3, 1, NULL, 1, narrow);
    struct caller before[2], after[2], one;
    assert_true(is_let_in(&before[0], rig, 0, "192.0.2.1"));
    assert_true(is_let_in(&before[1], rig, 0, "192.0.2.2"));
    rig_reload(rig, wide);
    assert_true(is_let_in(&after[0], rig, 0, "192.0.2.3"));
    assert_true(is_let_in(&after[1], rig, 0, "192.0.2.4"));
    assert_false(is_let_in(&one, rig, 0, "192.0.2.5"));
    caller_close(&one);
    for (unsigned i = 0; i < 2; i++) {
        caller_close(&before[i]);
        caller_close(&after[i]);
    }
    rig_run(rig, 6000);
    assert_true(is_let_in(&one, rig, 0, "192.0.2.1"));
    caller_close(&one);
    finish(rig);
}

/* --- handshakes --------------------------------------------------------------------------------------------------- */

static struct rig *tls_rig(const char *extra)
{
    const char *list[8];
    unsigned count = 0;
    for (const char *const *item = caller_tls_overrides(); *item; item++)
        list[count++] = *item;
    list[count++] = extra;
    list[count] = NULL;
    return rig_new(4, SHARDS, NULL, 1, list);
}

static bool is_secured(struct rig *rig, unsigned shard, const char *address, bool is_direct)
{
    struct caller caller;
    caller_open_from(&caller, rig, shard, is_direct ? LISTEN_C2S_TLS : LISTEN_C2S, address);
    if (!is_direct) {
        caller_say_text(&caller, CALLER_HEADER STARTTLS);
        caller_run(&caller);
    }
    bool may = is_direct || caller_has_heard(&caller, "<proceed");
    bool is_secure = may && caller_start_tls(&caller);
    if (!may) {
        assert_true(caller_has_heard(&caller, "<policy-violation"));
        assert_true(caller_has_heard(&caller, "</stream:stream>"));
    }
    caller_close(&caller);
    return is_secure;
}

static void handshakes__of_one_address__are_few_in_a_time(void **state)
{
    (void)state;
    struct rig *rig = tls_rig("limits.handshakes_per_address=4");
    for (unsigned i = 0; i < 4; i++)
        assert_true(is_secured(rig, i % SHARDS, "192.0.2.1", i % 2));
    assert_false(is_secured(rig, 0, "192.0.2.1", false));
    assert_false(is_secured(rig, 1, "192.0.2.1", true));
    assert_int_equal(rig_counter(rig, COUNTER_HANDSHAKES_HELD), 2);
    assert_true(is_secured(rig, 0, "192.0.2.2", false));
    world_advance(rig->world, 2500); /* a fourth of limits.handshakes_time */
    assert_true(is_secured(rig, 2, "192.0.2.1", true));
    assert_false(is_secured(rig, 2, "192.0.2.1", false));
    finish(rig);
}

/* --- failed logins ------------------------------------------------------------------------------------------------ */

/* The condition of the answer to PLAIN with this password, or "success". */
static void plain_answer(struct caller *caller, const char *name, const char *password, char out[64])
{
    char message[256], encoded[400], text[600];
    int size = snprintf(message, sizeof message, "%c%s%c%s", '\0', name, '\0', password);
    size_t count = base64_encode(span_of(message, (size_t)size), encoded);
    snprintf(text, sizeof text, "<auth xmlns='" SASL_NS "' mechanism='PLAIN'>%.*s</auth>", (int)count, encoded);
    caller_forget(caller);
    caller_say_text(caller, text);
    caller_run(caller);
    snprintf(out, 64, "%s", caller_has_heard(caller, "<success") ? "success" : "nothing");
    const char *failure = strstr(caller->heard, "<failure");
    if (failure)
        sscanf(strchr(failure, '>') + 2, "%63[a-z-]", out);
}

/* A new connection from there, one attempt. */
static void attempt(struct rig *rig, unsigned shard, const char *address, const char *name, const char *password,
                    const char *expected)
{
    struct caller caller;
    char answer[64];
    caller_open_from(&caller, rig, shard, LISTEN_C2S_TLS, address);
    assert_true(caller_start_tls(&caller));
    caller_say_text(&caller, CALLER_HEADER);
    caller_run(&caller);
    plain_answer(&caller, name, password, answer);
    assert_string_equal(answer, expected);
    caller_close(&caller);
}

static void failed_logins__over_the_limit__hold_right_and_wrong_alike(void **state)
{
    (void)state;
    struct rig *rig = tls_rig("limits.failed_logins_per_address=4");
    attempt(rig, 0, "192.0.2.1", "user0", "secret", "success");
    for (unsigned i = 0; i < 4; i++)
        attempt(rig, i % SHARDS, "192.0.2.1", i % 2 ? "user0" : "nobody", "wrong", "not-authorized");
    attempt(rig, 0, "192.0.2.1", "user0", "secret", "temporary-auth-failure");
    attempt(rig, 1, "192.0.2.1", "user0", "wrong", "temporary-auth-failure");
    attempt(rig, 2, "192.0.2.1", "nobody", "wrong", "temporary-auth-failure");
    assert_int_equal(rig_counter(rig, COUNTER_LOGINS_HELD), 3);
    attempt(rig, 0, "192.0.2.2", "user0", "secret", "success");
    /* A fourth of limits.failed_logins_time later one more is judged. */
    rig_run(rig, 75000);
    attempt(rig, 0, "192.0.2.1", "user0", "secret", "success");
    attempt(rig, 0, "192.0.2.1", "user0", "wrong", "not-authorized");
    attempt(rig, 0, "192.0.2.1", "user0", "secret", "temporary-auth-failure");
    finish(rig);
}

#define GUESSERS 12u

/* Exchanges that were all begun before the first verdict: no more of them are judged than the limit says. */
static void failed_logins__begun_at_once__are_held_at_the_verdict(void **state)
{
    (void)state;
    static const char *const overrides[] = {"limits.failed_logins_per_address=4", NULL};
    struct rig *rig = rig_new(5, SHARDS, NULL, 1, overrides);
    struct caller callers[GUESSERS];
    for (unsigned i = 0; i < GUESSERS; i++) {
        caller_open_from(&callers[i], rig, i % SHARDS, LISTEN_C2S, "192.0.2.1");
        caller_say_text(&callers[i], CALLER_HEADER);
        caller_run(&callers[i]);
        caller_auth(&callers[i], i == GUESSERS - 1 ? 0 : 7); /* there is no user7; the last one knows his password */
        caller_run(&callers[i]);
        assert_true(caller_has_heard(&callers[i], "<challenge"));
    }
    unsigned judged = 0, held = 0;
    for (unsigned i = 0; i < GUESSERS; i++) {
        caller_prove(&callers[i]);
        caller_run(&callers[i]);
        judged += caller_has_heard(&callers[i], "<not-authorized");
        held += caller_has_heard(&callers[i], "<temporary-auth-failure");
        assert_false(caller_has_heard(&callers[i], "<success"));
    }
    assert_int_equal(judged, 4);
    assert_int_equal(held, GUESSERS - 4);
    for (unsigned i = 0; i < GUESSERS; i++)
        caller_close(&callers[i]);
    finish(rig);
}

/* Who is held still has his attempts counted: the stream ends like any other that fails too often. */
static void held_logins__on_one_stream__end_it(void **state)
{
    (void)state;
    struct rig *rig = tls_rig("limits.failed_logins_per_address=2");
    struct caller caller;
    char answer[64];
    caller_open_from(&caller, rig, 0, LISTEN_C2S_TLS, "192.0.2.1");
    assert_true(caller_start_tls(&caller));
    caller_say_text(&caller, CALLER_HEADER);
    caller_run(&caller);
    for (unsigned i = 0; i < 5; i++) {
        plain_answer(&caller, "user0", "wrong", answer);
        assert_string_equal(answer, i < 2 ? "not-authorized" : "temporary-auth-failure");
    }
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    caller_close(&caller);
    finish(rig);
}

/* Nothing of it concerns sessions, nor logins that need no password. */
static void held_prefix__with_sessions__leaves_them_alone(void **state)
{
    (void)state;
    static const char *const overrides[] = {"limits.failed_logins_per_address=1", NULL};
    struct rig *rig = rig_new(6, 1, NULL, 1, overrides);
    struct caller session, other;
    caller_open_from(&session, rig, 0, LISTEN_C2S, "192.0.2.1");
    assert_true(caller_login(&session, 0) && caller_bind(&session, "a"));
    caller_open_from(&other, rig, 0, LISTEN_C2S, "192.0.2.1");
    assert_false(caller_login(&other, 7));
    assert_true(caller_has_heard(&other, "<not-authorized"));
    caller_forget(&other);
    caller_auth(&other, 0);
    caller_run(&other);
    assert_true(caller_has_heard(&other, "<temporary-auth-failure"));
    caller_say_text(&other, "<auth xmlns='" SASL_NS "' mechanism='ANONYMOUS'/>");
    caller_run(&other);
    assert_true(caller_has_heard(&other, "<success"));
    caller_forget(&session);
    caller_say_text(&session, "<iq type='get' id='p' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
    caller_run(&session);
    assert_true(caller_has_heard(&session, "type='result'"));
    caller_close(&session);
    caller_close(&other);
    finish(rig);
}

int main(void)
{
    struct err err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections__of_one_address__are_counted_over_all_shards),
        cmocka_unit_test(connections__of_one_subscriber__are_those_of_the_prefix),
        cmocka_unit_test(connections__when_the_prefix_changes__leave_as_they_entered),
        cmocka_unit_test(handshakes__of_one_address__are_few_in_a_time),
        cmocka_unit_test(failed_logins__over_the_limit__hold_right_and_wrong_alike),
        cmocka_unit_test(failed_logins__begun_at_once__are_held_at_the_verdict),
        cmocka_unit_test(held_logins__on_one_stream__end_it),
        cmocka_unit_test(held_prefix__with_sessions__leaves_them_alone),
    };
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
