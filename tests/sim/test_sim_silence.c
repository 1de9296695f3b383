/* SPDX-License-Identifier: MIT */
/* Peers that say nothing, and how streams end: RFC 6120 s4.6 and s4.4. Virtual clock, so every time is exact. */
#include "router/stream/stream.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tls/context.h"

#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define PING     "<ping xmlns='urn:xmpp:ping'/>"
#define MINUTE   60000u

static void finish(struct rig *rig)
{
    rig_run(rig, 200000);
    rig_free(rig);
}

static void open_session(struct caller *caller, struct rig *rig, unsigned number, const char *resource)
{
    caller_open(caller, rig, 0);
    assert_true(caller_login(caller, number) && caller_bind(caller, resource));
    caller_forget(caller);
}

static unsigned occurrences(const struct caller *caller, const char *text)
{
    unsigned count = 0;
    for (const char *at = caller->heard; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* --- silence ------------------------------------------------------------------------------------------------------ */

/* Holds stream:connection-timeout - a session that is silent and does not answer a ping. */
static void session__silent_for_five_minutes__is_asked_and_then_closed(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    struct rig *rig = rig_new(1, shards, NULL, 2, NULL);
    struct caller silent, watcher;
    open_session(&silent, rig, 0, "a");
    caller_wait(&silent, 5 * MINUTE - 1000);
    assert_int_equal(silent.size, 0); /* not once more often than every five minutes */
    caller_wait(&silent, 1100);
    assert_true(caller_has_heard(&silent, PING));
    assert_true(caller_has_heard(&silent, " to='user0@example.com/a'") ||
                caller_has_heard(&silent, " to=\"user0@example.com/a\""));
    open_session(&watcher, rig, 1, "a"); /* another session's time is its own */
    caller_wait(&silent, 2 * MINUTE - 1000);
    assert_false(caller_is_over(&silent));
    assert_int_equal(occurrences(&silent, PING), 1);
    caller_wait(&silent, 1100);
    assert_true(caller_has_heard(&silent, "<connection-timeout"));
    assert_true(caller_has_heard(&silent, "</stream:stream>"));
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
    assert_int_equal(rig_counter(rig, COUNTER_SILENT), 1);
    assert_int_equal(rig_counter(rig, COUNTER_PINGS), 1);
    assert_false(caller_is_over(&watcher));
    caller_close(&silent);
    caller_close(&watcher);
    finish(rig);
}

/* Whatever comes is an answer: the result, an error, another stanza, a blank. Who answers stays for ever. */
static void session__that_sends_anything__stays(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    static const char *const answers[] = {
        "<iq type='result' id='silence-0' to='example.com'/>",
        "<iq type='error' id='silence-0' to='example.com'><error type='cancel'/></iq>",
        "<presence/>",
        " ",
    };
    struct rig *rig = rig_new(2, shards, NULL, 1, NULL);
    struct caller caller;
    open_session(&caller, rig, 0, "a");
    for (unsigned i = 0; i < 12; i++) {
        caller_forget(&caller);
        caller_wait(&caller, 5 * MINUTE + 100);
        assert_int_equal(occurrences(&caller, PING), 1);
        caller_wait(&caller, i % 2 ? 0 : MINUTE);
        caller_say_text(&caller, answers[i % 4]);
        caller_run(&caller);
        assert_false(caller_is_over(&caller));
    }
    assert_int_equal(rig_counter(rig, COUNTER_SILENT), 0);
    assert_int_equal(rig_counter(rig, COUNTER_PINGS), 12);
    caller_close(&caller);
    finish(rig);
}

/* Who talks is never asked. */
static void session__that_talks__is_not_asked(void **state)
{
    (void)state;
    struct rig *rig = rig_new(3, 1, NULL, 1, NULL);
    struct caller caller;
    open_session(&caller, rig, 0, "a");
    for (unsigned i = 0; i < 20; i++) {
        caller_wait(&caller, 4 * MINUTE);
        caller_say_text(&caller, " ");
        caller_run(&caller);
    }
    assert_int_equal(caller.size, 0);
    assert_int_equal(rig_counter(rig, COUNTER_PINGS), 0);
    caller_close(&caller);
    finish(rig);
}

static void session__with_answers_off__gets_blanks(void **state)
{
    (void)state;
    static const char *const overrides[] = {"timeouts.answer=0", NULL};
    struct rig *rig = rig_new(4, 1, NULL, 1, overrides);
    struct caller caller;
    open_session(&caller, rig, 0, "a");
    caller_wait(&caller, 30 * MINUTE + 1000);
    assert_string_equal(caller.heard, "      ");
    assert_false(caller_is_over(&caller));
    caller_close(&caller);
    finish(rig);
}

static void session__with_checks_off__is_left_alone(void **state)
{
    (void)state;
    static const char *const overrides[] = {"timeouts.idle=0", NULL};
    struct rig *rig = rig_new(5, 1, NULL, 1, overrides);
    struct caller caller;
    open_session(&caller, rig, 0, "a");
    caller_wait(&caller, 600 * MINUTE);
    assert_int_equal(caller.size, 0);
    assert_false(caller_is_over(&caller));
    caller_close(&caller);
    finish(rig);
}

/* A session that the router does not read, since its recipient is slow, cannot be heard: that is not its fault. */
static void sender__held_for_a_slow_recipient__is_not_taken_for_silent(void **state)
{
    (void)state;
    static const char *const overrides[] = {"limits.queue_soft=16KiB", "limits.queue_hard=256KiB",
                                            "timeouts.slow_reader=30min", "timeouts.idle=10min", NULL};
    struct rig *rig = rig_new(6, 1, NULL, 2, overrides);
    struct caller deaf, sender;
    static char text[9000];
    open_session(&deaf, rig, 0, "deaf");
    open_session(&sender, rig, 1, "a");
    deaf.is_deaf = true;
    peer_set_window(deaf.peer, 1000);
    int size = snprintf(text, sizeof text, "<message to='user0@example.com/deaf'><body>");
    memset(text + size, 'x', 8000);
    strcpy(text + size + 8000, "</body></message>");
    for (unsigned i = 0; i < 10; i++)
        caller_say_text(&sender, text);
    caller_wait(&sender, 25 * MINUTE);
    caller_say_text(&sender, "<iq type='get' id='still' to='example.com'>" PING "</iq>");
    caller_wait(&sender, 4 * MINUTE);
    assert_true(rig_counter(rig, COUNTER_THROTTLED) > 0);
    assert_false(caller_has_heard(&sender, "id='still'"));
    assert_false(caller_is_over(&sender));
    assert_int_equal(rig_counter(rig, COUNTER_SILENT), 0);
    caller_wait(&sender, 2 * MINUTE); /* the deaf one is closed, the sender goes on */
    assert_true(caller_has_heard(&sender, "still"));
    caller_close(&deaf);
    caller_close(&sender);
    finish(rig);
}

/* A peer that reads nothing either: the ping stays unsent, the stream ends all the same, and the books balance. */
static void session__that_reads_nothing__is_closed_with_its_ping_unsent(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    struct rig *rig = rig_new(7, shards, NULL, 2, NULL);
    struct caller deaf, sender;
    open_session(&deaf, rig, 0, "deaf");
    open_session(&sender, rig, 1, "a");
    deaf.is_deaf = true;
    peer_set_window(deaf.peer, 10);
    caller_say_text(&sender, "<message to='user0@example.com/deaf' id='m1'><body>one</body></message>"
                             "<message to='user0@example.com/deaf' id='m2'><body>two</body></message>");
    for (unsigned i = 0; i < 8; i++) {
        caller_wait(&sender, MINUTE);
        caller_say_text(&sender, " ");
    }
    caller_run(&sender);
    assert_true(peer_is_closed(deaf.peer));
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
    assert_int_equal(rig_counter(rig, COUNTER_SILENT), 1);
    caller_close(&deaf);
    caller_close(&sender);
    finish(rig);
}

/* --- broken connections ------------------------------------------------------------------------------------------- */

/* FIN or RST instead of an end tag: the session is gone at once, and those who saw it are told. */
static void connection__cut_without_an_end_tag__ends_the_session(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    for (unsigned is_reset = 0; is_reset < 2; is_reset++) {
        struct rig *rig = rig_new(8, shards, NULL, 1, NULL);
        struct caller cut, other;
        open_session(&cut, rig, 0, "cut");
        open_session(&other, rig, 0, "other");
        caller_say_text(&cut, "<presence/>");
        caller_say_text(&other, "<presence/>");
        caller_run(&other);
        caller_forget(&other);
        if (is_reset)
            peer_reset(cut.peer);
        else
            peer_end(cut.peer);
        caller_run(&other);
        caller_wait(&other, 10);
        assert_true(caller_has_heard(&other, "unavailable"));
        assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
        caller_run(&cut);
        if (!is_reset) /* half of the connection still works, and the stream ends in order on it */
            assert_true(caller_has_heard(&cut, "</stream:stream>"));
        assert_false(caller_has_heard(&cut, "<stream:error"));
        caller_close(&cut);
        caller_close(&other);
        finish(rig);
    }
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static struct rig *tls_rig(void)
{
    return rig_new(9, 1, NULL, 2, caller_tls_overrides());
}

static void open_tls_session(struct caller *caller, struct rig *rig, const char *resource)
{
    caller_open(caller, rig, 0);
    caller_say_text(caller, CALLER_HEADER STARTTLS);
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<proceed"));
    assert_true(caller_start_tls(caller));
    assert_true(caller_login(caller, 0) && caller_bind(caller, resource));
    caller_forget(caller);
}

/* s4.4: end tag against end tag; then the connection goes, without waiting for FIN. */
static void end_tag__in_plain__is_answered_and_the_connection_goes(void **state)
{
    (void)state;
    struct rig *rig = rig_new(10, 1, NULL, 1, NULL);
    struct caller caller;
    open_session(&caller, rig, 0, "a");
    caller_say_text(&caller, "</stream:stream>");
    caller_run(&caller);
    assert_string_equal(caller.heard, "</stream:stream>");
    assert_true(peer_is_closed(caller.peer));
    assert_false(peer_is_reset(caller.peer));
    caller_close(&caller);
    finish(rig);
}

/* s4.4, security warning: the connection stays until the peer's close_notify is there. */
/* Holds 6120:4.4/2. */
static void end_tag__under_tls__waits_for_close_notify(void **state)
{
    (void)state;
    struct rig *rig = tls_rig();
    struct caller caller;
    open_tls_session(&caller, rig, "a");
    caller_say_text(&caller, "</stream:stream>");
    caller_wait(&caller, 3000);
    assert_string_equal(caller.heard, "</stream:stream>");
    assert_true(caller.was_notified);
    assert_true(peer_is_ended(caller.peer));
    assert_false(peer_is_closed(caller.peer));
    caller_notify(&caller);
    caller_run(&caller);
    assert_true(peer_is_closed(caller.peer));
    assert_false(peer_is_reset(caller.peer));
    caller_close(&caller);
    finish(rig);
}

/* ... or its FIN, or a reasonable time (timeouts.close). */
static void end_tag__without_close_notify__waits_for_fin_or_its_time(void **state)
{
    (void)state;
    struct rig *rig = tls_rig();
    for (unsigned sends_fin = 0; sends_fin < 2; sends_fin++) {
        struct caller caller;
        open_tls_session(&caller, rig, "a");
        caller_say_text(&caller, "</stream:stream>");
        caller_wait(&caller, 4900);
        assert_false(peer_is_closed(caller.peer));
        if (sends_fin) {
            peer_end(caller.peer);
            caller_run(&caller);
        } else {
            caller_wait(&caller, 200);
        }
        assert_true(peer_is_closed(caller.peer));
        caller_close(&caller);
    }
    finish(rig);
}

/* The router ends the stream (a conflict): error, end tag, close_notify; what the peer answers decides when it goes. */
/* Holds 6120:4.4/1. */
static void router__ending_a_stream__waits_for_the_peers_end(void **state)
{
    (void)state;
    struct rig *rig = tls_rig();
    for (unsigned how = 0; how < 3; how++) {
        struct caller older, newer;
        open_tls_session(&older, rig, "r");
        open_tls_session(&newer, rig, "r");
        caller_run(&older);
        assert_true(caller_has_heard(&older, "<conflict"));
        assert_true(caller_has_heard(&older, "</stream:stream>"));
        assert_true(older.was_notified);
        assert_false(peer_is_closed(older.peer));
        caller_say_text(&older, "<message to='user0@example.com/r'><body>late</body></message>");
        if (how == 0)
            caller_say_text(&older, "</stream:stream>");
        caller_run(&older);
        assert_false(peer_is_closed(older.peer));
        if (how < 2)
            caller_notify(&older);
        caller_wait(&older, how == 2 ? 5100 : 0);
        assert_true(peer_is_closed(older.peer));
        caller_run(&newer);
        assert_true(caller_has_heard(&newer, "late")); /* s4.4, rule 2: what the peer had under way is processed */
        caller_close(&older);
        caller_close(&newer);
        rig_run(rig, 10);
    }
    finish(rig);
}

/* What a stream was ended for decides whether its peer's last words count: not when they cannot be trusted. */
static void last_words__of_who_broke_the_rules__are_not_heard(void **state)
{
    (void)state;
    static const char late[] = "<message to='user0@example.com/b'><body>late</body></message>";
    static const struct {
        const char *says, *condition;
    } cases[] = {
        {"<message from='mallory@example.com' to='user0@example.com/b'/>", "<invalid-from"},
        {"<message to='user0@example.com/b'>&undefined;</message>", "<restricted-xml"},
        {"<x xmlns='urn:x'/>", "<unsupported-stanza-type"},
    };
    struct rig *rig = tls_rig();
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct caller breaker, other;
        open_tls_session(&breaker, rig, "a");
        open_tls_session(&other, rig, "b");
        caller_say_text(&breaker, cases[i].says);
        caller_run(&breaker);
        assert_true(caller_has_heard(&breaker, cases[i].condition));
        caller_say_text(&breaker, late);
        caller_run(&breaker);
        caller_run(&other);
        assert_false(caller_has_heard(&other, "late"));
        caller_close(&breaker);
        caller_close(&other);
        rig_run(rig, 10);
    }
    finish(rig);
}

/* The peer's close_notify without an end tag: our end tag and close_notify, and no error. */
static void close_notify__without_an_end_tag__is_answered(void **state)
{
    (void)state;
    struct rig *rig = tls_rig();
    struct caller caller;
    open_tls_session(&caller, rig, "a");
    caller_notify(&caller);
    caller_run(&caller);
    assert_string_equal(caller.heard, "</stream:stream>");
    assert_true(caller.was_notified);
    assert_true(peer_is_closed(caller.peer));
    assert_false(peer_is_reset(caller.peer));
    caller_close(&caller);
    finish(rig);
}

/* All at once in one piece, as most clients do. */
static void end_tag__with_close_notify_and_fin__ends_at_once(void **state)
{
    (void)state;
    struct rig *rig = tls_rig();
    struct caller caller;
    open_tls_session(&caller, rig, "a");
    caller_say_text(&caller, "</stream:stream>");
    caller_notify(&caller);
    peer_end(caller.peer);
    caller_run(&caller);
    assert_string_equal(caller.heard, "</stream:stream>");
    assert_true(caller.was_notified);
    assert_true(peer_is_closed(caller.peer));
    assert_false(peer_is_reset(caller.peer));
    caller_close(&caller);
    finish(rig);
}

#define BOTH(test) cmocka_unit_test_prestate(test, &one), cmocka_unit_test_prestate(test, &three)

int main(void)
{
    struct err err;
    static unsigned one = 1, three = 3;
    const struct CMUnitTest tests[] = {
        BOTH(session__silent_for_five_minutes__is_asked_and_then_closed),
        BOTH(session__that_sends_anything__stays),
        cmocka_unit_test(session__that_talks__is_not_asked),
        cmocka_unit_test(session__with_answers_off__gets_blanks),
        cmocka_unit_test(session__with_checks_off__is_left_alone),
        cmocka_unit_test(sender__held_for_a_slow_recipient__is_not_taken_for_silent),
        BOTH(session__that_reads_nothing__is_closed_with_its_ping_unsent),
        BOTH(connection__cut_without_an_end_tag__ends_the_session),
        cmocka_unit_test(end_tag__in_plain__is_answered_and_the_connection_goes),
        cmocka_unit_test(end_tag__under_tls__waits_for_close_notify),
        cmocka_unit_test(end_tag__without_close_notify__waits_for_fin_or_its_time),
        cmocka_unit_test(router__ending_a_stream__waits_for_the_peers_end),
        cmocka_unit_test(last_words__of_who_broke_the_rules__are_not_heard),
        cmocka_unit_test(close_notify__without_an_end_tag__is_answered),
        cmocka_unit_test(end_tag__with_close_notify_and_fin__ends_at_once),
    };
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
