/* SPDX-License-Identifier: MIT */
/* What one peer can take: memory, places; and how a shard ends. Virtual clock. */
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
/* Holds 6120:7.7.3/1. */
static void binding__refused_ten_times__closes_the_stream(void **state)
{
    (void)state;
    struct rig *rig = rig_new(2, 1, NULL, 1, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    assert_true(caller_login(&caller, 0));
    for (unsigned i = 0; i < 9; i++) {
        assert_false(caller_bind(&caller, "<no-text/>"));
        assert_true(caller_has_heard(&caller, "<bad-request"));
        assert_false(caller_is_over(&caller));
    }
    assert_false(caller_bind(&caller, "<no-text/>"));
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    caller_close(&caller);
    finish(rig);
}

/* A stream that is closed when its connection is leaving for its owner already says so over there. */
static void stream__closed_while_it_moves__ends_in_order(void **state)
{
    (void)state;
    for (unsigned number = 0; number < 4; number++) {
        struct rig *rig = rig_new(2, 2, NULL, 4, NULL);
        struct caller caller;
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, CALLER_HEADER);
        caller_run(&caller);
        struct stream *stream = rig->shards[0].streams;
        caller_auth(&caller, number);
        caller_run(&caller);
        caller_prove(&caller);
        while (stream->state == STREAM_LOOKUP || stream->state == STREAM_SASL || stream->is_moving)
            assert_true(world_step(rig->world));
        if (stream->state == STREAM_MOVE) { /* else it is at home */
            assert_ptr_equal(stream->shard, &rig->shards[0]);
            stream_close(stream, STREAM_CONNECTION_TIMEOUT_ERROR, NULL);
            caller_run(&caller);
            assert_true(caller_has_heard(&caller, "<connection-timeout"));
            assert_true(caller_has_heard(&caller, "</stream:stream>"));
            assert_int_equal(rig_counter(rig, COUNTER_ARRIVED), 1);
        }
        caller_close(&caller);
        finish(rig);
    }
}

/* An account that is removed while a login of it is between two shards: the one hears of it before the stream comes,
 * the other when it has gone. */
static void removed_account__between_two_shards__loses_its_stream(void **state)
{
    (void)state;
    unsigned moved = 0;
    for (unsigned number = 0; number < 4; number++) {
        struct rig *rig = rig_new(2, 2, NULL, 4, NULL);
        struct caller caller;
        char bare[32];
        snprintf(bare, sizeof bare, "user%u@example.com", number);
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, CALLER_HEADER);
        caller_run(&caller);
        struct stream *stream = rig->shards[0].streams;
        caller_auth(&caller, number);
        caller_run(&caller);
        caller_prove(&caller);
        while (stream->state == STREAM_LOOKUP || stream->state == STREAM_SASL || stream->is_moving)
            assert_true(world_step(rig->world));
        bool is_between = stream->state == STREAM_MOVE;
        if (is_between) {
            session_close_user(&rig->shards[1], span_str(bare), true, 1);
            while (stream->shard != &rig->shards[1])
                assert_true(world_step(rig->world));
            session_close_user(&rig->shards[0], span_str(bare), true, 1);
        }
        caller_run(&caller);
        assert_int_equal(caller_has_heard(&caller, "<not-authorized"), is_between);
        moved += is_between;
        caller_close(&caller);
        finish(rig);
    }
    assert_true(moved > 0);
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
/* RFC 6120 s5.4.2.2: no certificate, so none was offered; asked for all the same it is refused, and the stream ends. */
static void starttls__where_there_is_no_certificate__is_refused(void **state)
{
    (void)state;
    struct rig *rig = rig_new(3, 1, NULL, 1, NULL);
    struct caller caller;
    caller_open(&caller, rig, 0);
    caller_say_text(&caller, CALLER_HEADER STARTTLS);
    caller_run(&caller);
    assert_true(caller_has_heard(&caller, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"));
    assert_true(caller_is_over(&caller));
    caller_close(&caller);
    rig_run(rig, 60000);
    rig_free(rig);
}

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
    io_notify(rig->shards[0].io);
    while (stream->state != STREAM_LOOKUP)
        assert_true(world_step(rig->world));
    stream_received(stream, span_of(filler, sizeof filler));
    stream_received(stream, SPAN("<?xml version='1.0'?>"));
    io_notify(rig->shards[0].io);
    caller_run(&caller);
    caller_wait(&caller, 100);
    assert_true(caller_has_heard(&caller, "<aborted"));
    assert_false(caller_has_heard(&caller, "<proceed"));
    assert_true(caller_has_heard(&caller, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"));
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
        session_close_user(&rig->shards[0], SPAN("user0@example.com"), true, 1);
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

/* A receive may bring 128 KiB. Of a stranger the room for a stanza and a record waits, not more: neither for its turn
 * (0), nor for the store (1), nor for its handshake (2). */
static void bytes__of_a_stranger_at_once__are_few_or_end_the_stream(void **state)
{
    (void)state;
    static char much[131072];
    static const char auth[] = "<auth xmlns='" SASL_NS "' mechanism='SCRAM-SHA-256'>biwsbj11c2VyMCxyPTAxMjM=</auth>";
    memset(much, ' ', sizeof much);
    for (unsigned i = 0; i < 6; i++) {
        bool is_too_much = i % 2 != 0;
        struct rig *rig = i / 2 == 2 ? tls_rig(true, NULL) : rig_new(3, 1, NULL, 1, NULL);
        struct caller caller;
        caller_open(&caller, rig, 0);
        caller_say_text(&caller, CALLER_HEADER);
        caller_run(&caller);
        if (i / 2 == 2)
            caller_say_text(&caller, STARTTLS);
        caller_run(&caller);
        struct stream *stream = rig->shards[0].streams;
        if (i / 2 == 1) {
            stream_received(stream, SPAN(auth));
            io_notify(rig->shards[0].io);
            while (stream->state != STREAM_LOOKUP)
                assert_true(world_step(rig->world));
        }
        stream_received(stream, span_of(much, is_too_much ? sizeof much : 30000));
        assert_true(stream->held.size <= 16384 + 18437);
        assert_int_equal(stream->state == STREAM_CLOSING, is_too_much);
        io_notify(rig->shards[0].io);
        caller_run(&caller);
        assert_int_equal(caller_has_heard(&caller, "<policy-violation"), is_too_much && i / 2 != 2);
        caller_close(&caller);
        finish(rig);
    }
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

/* --- memory ------------------------------------------------------------------------------------------------------- */

/* A reload that lowers the limit reaches the element that is half there. */
static void limit__lowered_below_a_cut_element__ends_it(void **state)
{
    (void)state;
    struct rig *rig = rig_new(6, 1, NULL, 1, NULL);
    struct caller caller;
    static char body[20000];
    caller_open(&caller, rig, 0);
    assert_true(caller_login(&caller, 0) && caller_bind(&caller, "a"));
    memset(body, 'x', sizeof body);
    caller_say_text(&caller, "<message><body>");
    caller_say(&caller, span_of(body, sizeof body));
    caller_run(&caller);
    assert_false(caller_is_over(&caller));
    rig->shards[0].limits.stanza_size_max = 10000; /* as shard_set_policy() does */
    caller_say(&caller, span_of(body, 100));
    caller_run(&caller);
    assert_true(caller_has_heard(&caller, "<policy-violation"));
    caller_close(&caller);
    finish(rig);
}

#define LARGE 8000u

static void say_large_of_type(struct caller *caller, unsigned id, const char *type)
{
    static char text[LARGE + 200];
    int size = snprintf(text, sizeof text, "<message to='user0@example.com/deaf' id='%u' type='%s'><body>", id, type);
    memset(text + size, 'x', LARGE);
    strcpy(text + size + LARGE, "</body></message>");
    caller_say_text(caller, text);
}

static void say_large(struct caller *caller, unsigned id)
{
    say_large_of_type(caller, id, "normal");
}

static unsigned occurrences(const struct caller *caller, const char *text)
{
    unsigned count = 0;
    for (const char *at = caller->heard; (at = strstr(at, text)); at++)
        count++;
    return count;
}

/* Who does not read stops those who write, not the shard; and is closed when that takes too long. */
static void slow_reader__after_its_time__is_closed_and_its_senders_go_on(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    static const char *const tight[] = {"limits.queue_soft=16KiB", "limits.queue_hard=256KiB", NULL};
    struct rig *rig = rig_new(7, shards, NULL, 2, tight);
    struct caller deaf, sender;
    caller_open(&deaf, rig, 0);
    assert_true(caller_login(&deaf, 0) && caller_bind(&deaf, "deaf"));
    caller_open(&sender, rig, 0);
    assert_true(caller_login(&sender, 1) && caller_bind(&sender, "a"));
    caller_forget(&sender);
    deaf.is_deaf = true;
    peer_set_window(deaf.peer, 1000);
    for (unsigned i = 0; i < 40; i++)
        say_large(&sender, i);
    caller_say_text(&sender, "<iq type='get' id='last' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
    caller_wait(&sender, 59000);
    assert_true(rig_counter(rig, COUNTER_THROTTLED) >= 1);
    assert_false(caller_has_heard(&sender, "id='last'")); /* it is not read */
    assert_int_equal(rig_counter(rig, COUNTER_REFUSED), 0);
    caller_wait(&sender, 2000);
    assert_true(caller_has_heard(&sender, "id='last'"));
    caller_wait(&sender, 6000);
    /* All that the deaf one's connection did not take came back, or met nobody. */
    unsigned back = occurrences(&sender, "type='error'");
    assert_true(back >= 30 && back <= 40);
    assert_true(peer_is_closed(deaf.peer));
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
    caller_close(&deaf);
    caller_close(&sender);
    finish(rig);
}

/* Who begins to read before the connection is cut hears why the stream ended. */
/* Holds stream:resource-constraint - a session that does not read what is sent to it. */
static void slow_reader__that_reads_at_last__hears_why_it_was_closed(void **state)
{
    (void)state;
    static const char *const tight[] = {"limits.queue_soft=16KiB", "limits.queue_hard=256KiB", NULL};
    struct rig *rig = rig_new(7, 1, NULL, 2, tight);
    struct caller deaf, sender;
    caller_open(&deaf, rig, 0);
    assert_true(caller_login(&deaf, 0) && caller_bind(&deaf, "deaf"));
    caller_open(&sender, rig, 0);
    assert_true(caller_login(&sender, 1) && caller_bind(&sender, "a"));
    caller_forget(&deaf);
    deaf.is_deaf = true;
    peer_set_window(deaf.peer, 1000);
    for (unsigned i = 0; i < 10; i++)
        say_large(&sender, i);
    caller_wait(&sender, 61000);
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
    deaf.is_deaf = false;
    peer_set_window(deaf.peer, SIZE_MAX);
    caller_run(&deaf);
    assert_true(caller_has_heard(&deaf, "<resource-constraint"));
    assert_true(caller_has_heard(&deaf, "</stream:stream>"));
    caller_close(&deaf);
    caller_close(&sender);
    finish(rig);
}

#define SENDERS 30u

/* Holds stanza:resource-constraint - the recipient's queue is at limits.queue_hard. */
static void full_queue__at_its_hard_limit__refuses_and_tells(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    static const char *const tight[] = {"limits.queue_soft=4KiB", "limits.queue_hard=64KiB", "limits.stanza_size=16KiB",
                                        NULL};
    struct rig *rig = rig_new(8, shards, NULL, SENDERS + 1, tight);
    static struct caller senders[SENDERS];
    struct caller deaf;
    caller_open(&deaf, rig, 0);
    assert_true(caller_login(&deaf, 0) && caller_bind(&deaf, "deaf"));
    deaf.is_deaf = true;
    peer_set_window(deaf.peer, 1000);
    for (unsigned i = 0; i < SENDERS; i++) {
        caller_open(&senders[i], rig, i % shards);
        assert_true(caller_login(&senders[i], i + 1) && caller_bind(&senders[i], "a"));
        caller_forget(&senders[i]);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        say_large(&senders[i], i);
    unsigned refused = 0;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < SENDERS; i++)
            caller_run(&senders[i]);
    for (unsigned i = 0; i < SENDERS; i++)
        refused += occurrences(&senders[i], "<resource-constraint");
    /* One or more are in flight, eight fit into 64 KiB. */
    assert_true(refused >= 10 && refused <= SENDERS - 8);
    assert_int_equal(rig_counter(rig, COUNTER_REFUSED), refused);
    size_t queued = 0;
    for (unsigned i = 0; i < shards; i++) {
        struct user *user = session_user(&rig->shards[i], SPAN("user0@example.com"));
        queued += user ? user->first->stream->out.size : 0;
    }
    assert_true(queued <= 65536); /* what is with the io is gone from it */
    /* An error is not answered by another: it is counted as lost. */
    assert_int_equal(rig_counter(rig, COUNTER_LOST), 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        say_large_of_type(&senders[i], SENDERS, "error");
        caller_run(&senders[i]);
    }
    assert_true(rig_counter(rig, COUNTER_LOST) >= 10);
    assert_int_equal(rig_counter(rig, COUNTER_REFUSED), refused);
    caller_close(&deaf);
    for (unsigned i = 0; i < SENDERS; i++)
        caller_close(&senders[i]);
    finish(rig);
}

/* A session's connection breaks with messages that nobody took: each comes back, also the largest there may be, and
 * also when our own header still stands before them. */
static void unsent__the_largest_or_behind_a_header__comes_back(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    static const char *const tight[] = {"limits.stanza_size=16KiB", "limits.queue_soft=64KiB", NULL};
    for (unsigned is_late = 0; is_late < 2; is_late++) {
        struct rig *rig = rig_new(13, shards, NULL, 2, tight);
        /* A stream moves only when <success/> has been taken. */
        bool moves = router_owner(rig->router, SPAN("user0@example.com")) != 0;
        struct caller deaf, sender;
        static char text[20000];
        caller_open(&sender, rig, 0);
        assert_true(caller_login(&sender, 1) && caller_bind(&sender, "a"));
        caller_open(&deaf, rig, 0);
        caller_say_text(&deaf, CALLER_HEADER);
        caller_run(&deaf);
        caller_auth(&deaf, 0);
        caller_run(&deaf);
        bool holds_header = is_late && !moves;
        if (holds_header)
            peer_set_window(deaf.peer, 10);
        deaf.is_deaf = holds_header;
        caller_prove(&deaf);
        caller_run(&deaf);
        caller_say_text(&deaf, CALLER_HEADER);
        caller_bind(&deaf, "deaf");
        assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 2);
        peer_set_window(deaf.peer, 10);
        deaf.is_deaf = true;
        caller_forget(&sender);
        for (unsigned i = 0; i < 3; i++) {
            int size = snprintf(text, sizeof text, "<message to='user0@example.com/deaf' id='%u'><body>", i);
            memset(text + size, 'x', 16384);
            strcpy(text + 16384 - 17, "</body></message>");
            assert_int_equal(strlen(text), 16384);
            caller_say_text(&sender, text);
            caller_run(&sender);
        }
        peer_reset(deaf.peer);
        caller_run(&sender);
        caller_wait(&sender, 10);
        /* The first is with the io when nothing else was, and lost with it. */
        assert_int_equal(occurrences(&sender, "type='error'"), holds_header ? 3 : 2);
        caller_close(&deaf);
        caller_close(&sender);
        finish(rig);
    }
}

/* A client that does not wait for our answers and takes none: <success/> itself stands before the messages when it goes
 * (its header has gone out, and fills its window). */
static void unsent__behind_success__comes_back(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    struct rig *rig = rig_new(13, shards, NULL, 2, NULL);
    struct caller deaf, sender;
    char text[1024];
    caller_open(&sender, rig, 0);
    assert_true(caller_login(&sender, 1) && caller_bind(&sender, "a"));
    caller_open(&deaf, rig, 0);
    peer_set_window(deaf.peer, 10);
    deaf.is_deaf = true;
    caller_say_text(&deaf, CALLER_HEADER);
    caller_run(&deaf);
    caller_say_text(&deaf, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
    caller_run(&deaf);
    caller_say_text(&deaf, CALLER_HEADER);
    caller_bind(&deaf, "deaf");
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 2);
    const struct stream *stream = rig->shards[0].streams;
    while (!stream->session || stream->session->parts[2] != 4)
        stream = stream->next;
    struct jid jid = session_jid(stream->session);
    snprintf(text, sizeof text, "<message to='%.*s' id='1'><body>x</body></message>", SPAN_ARG(jid_full(&jid)));
    caller_forget(&sender);
    for (unsigned i = 0; i < 3; i++)
        caller_say_text(&sender, text);
    caller_run(&sender);
    peer_reset(deaf.peer);
    caller_run(&sender);
    caller_wait(&sender, 10);
    assert_int_equal(occurrences(&sender, "type='error'"), 3);
    caller_close(&deaf);
    caller_close(&sender);
    finish(rig);
}

#define FLOODERS 40u

/* Answers are larger than what they answer, and nobody is held for them: a flood to addresses that do not exist, from
 * clients that read every error, must not pile them up between two shards. */
static void flood__to_nobody_across_shards__piles_nothing_up(void **state)
{
    (void)state;
    static const char *const tight[] = {"limits.link_size=64KiB", NULL};
    struct rig *rig = rig_new(12, 2, NULL, FLOODERS, tight);
    static struct caller callers[FLOODERS];
    char text[200];
    unsigned count = 0, most = 0;
    for (unsigned i = 0; i < FLOODERS; i++) {
        snprintf(text, sizeof text, "user%u@example.com", i);
        if (router_owner(rig->router, span_str(text)) != 0)
            continue;
        caller_open(&callers[count], rig, 0);
        assert_true(caller_login(&callers[count], i) && caller_bind(&callers[count], "a"));
        count++;
    }
    assert_true(count > 5);
    unsigned nobody = 0;
    do
        snprintf(text, sizeof text, "nobody%u@example.com", ++nobody);
    while (router_owner(rig->router, span_str(text)) != 1);
    snprintf(text, sizeof text, "<message to='nobody%u@example.com'/>", nobody);
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < count; i++) {
            for (unsigned j = 0; j < 60; j++)
                peer_send(callers[i].peer, span_str(text));
            peer_take(callers[i].peer, peer_received(callers[i].peer).size);
        }
        world_step(rig->world);
        unsigned waiting = mail_waiting(&rig->shards[1]);
        most = waiting > most ? waiting : most;
    }
    assert_true(rig_counter(rig, COUNTER_REFUSED) > 1000);
    print_message("at most %u letters waited for room\n", most);
    assert_true(most < 2000);
    for (unsigned i = 0; i < count; i++)
        caller_close(&callers[i]);
    finish(rig);
}

/* --- ends --------------------------------------------------------------------------------------------------------- */

#define MANY 200u

/* Holds stream:system-shutdown - the router stops, by drain or SIGTERM. */
static void drain__with_many_sessions__tells_each_and_stops(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    struct rig *rig = rig_new(9, shards, NULL, MANY, NULL);
    static struct caller callers[MANY];
    for (unsigned i = 0; i < MANY; i++) {
        caller_open(&callers[i], rig, i % shards);
        /* A tenth is still on its way in. */
        bool is_bound = caller_login(&callers[i], i) && (i % 10 == 0 || caller_bind(&callers[i], "a"));
        assert_true(is_bound);
        caller_forget(&callers[i]);
    }
    for (unsigned i = 0; i < shards; i++) {
        shard_drain(&rig->shards[i]);
        io_notify(rig->shards[i].io);
    }
    for (unsigned i = 0; i < MANY; i++) {
        caller_run(&callers[i]);
        assert_true(caller_has_heard(&callers[i], "<system-shutdown"));
        assert_true(caller_has_heard(&callers[i], "</stream:stream>"));
        /* Half of them answer; the others are cut after timeouts.close. */
        if (i % 2)
            caller_say_text(&callers[i], "</stream:stream>");
    }
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 0);
    caller_wait(&callers[0], 4900);
    bool is_stopping = true;
    for (unsigned i = 0; i < shards; i++)
        is_stopping &= rig->shards[i].is_stopping;
    assert_false(is_stopping);
    caller_wait(&callers[0], 200);
    for (unsigned i = 0; i < shards; i++)
        assert_true(rig->shards[i].is_stopping);
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(peer_is_closed(callers[i].peer));
        caller_close(&callers[i]);
    }
    rig_free(rig);
}

/* Holds stream:not-authorized - the account is removed. */
static void removed_account__bound_or_about_to_bind__loses_its_streams(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    struct rig *rig = rig_new(10, shards, NULL, 2, NULL);
    struct caller callers[4];
    for (unsigned i = 0; i < 4; i++) {
        caller_open(&callers[i], rig, i % shards);
        assert_true(caller_login(&callers[i], i == 3 ? 1 : 0));
        if (i != 1) {
            char resource[] = {(char)('a' + i), '\0'};
            assert_true(caller_bind(&callers[i], resource));
        }
    }
    for (unsigned i = 0; i < shards; i++) {
        session_close_user(&rig->shards[i], SPAN("user0@example.com"), true, 1);
        io_notify(rig->shards[i].io);
    }
    for (unsigned i = 0; i < 4; i++) {
        caller_run(&callers[i]);
        assert_int_equal(caller_has_heard(&callers[i], "<not-authorized"), i != 3);
    }
    assert_int_equal(rig_counter(rig, COUNTER_SESSIONS), 1);
    for (unsigned i = 0; i < 4; i++)
        caller_close(&callers[i]);
    finish(rig);
}

/* Disabled while an exchange is under way, on whatever shard: the right password is answered <account-disabled/> (RFC
 * 6120 s6.5.2), a wrong one is not; removed, neither is more than wrong. */
static void account__withdrawn_in_the_exchange__lets_nobody_in(void **state)
{
    unsigned shards = *(const unsigned *)*state;
    for (unsigned is_removed = 0; is_removed < 2; is_removed++) {
        struct rig *rig = rig_new(14, shards, NULL, 2, NULL);
        struct caller callers[4];
        for (unsigned i = 0; i < 4; i++) {
            caller_open(&callers[i], rig, i % shards);
            caller_say_text(&callers[i], CALLER_HEADER);
            caller_run(&callers[i]);
            caller_auth(&callers[i], i == 3 ? 1 : 0);
            caller_run(&callers[i]);
            assert_true(caller_has_heard(&callers[i], "<challenge"));
        }
        for (unsigned i = 0; i < shards; i++)
            session_close_user(&rig->shards[i], SPAN("user0@example.com"), is_removed, 1);
        for (unsigned i = 0; i < 4; i++) {
            if (i == 2)
                caller_say_text(&callers[i], "<response xmlns='" SASL_NS "'>Yz1iaXdzLHI9eCxwPWFiY2Q=</response>");
            else
                caller_prove(&callers[i]);
            caller_run(&callers[i]);
            assert_int_equal(caller_has_heard(&callers[i], "<success"), i == 3);
            assert_int_equal(caller_has_heard(&callers[i], "<account-disabled"), i < 2 && !is_removed);
            assert_int_equal(caller_has_heard(&callers[i], "<failure"), i < 3);
            caller_close(&callers[i]);
        }
        finish(rig);
    }
}

static void handoff__refused_by_the_other_shard__ends_the_stream_alone(void **state)
{
    (void)state;
    struct world_chaos chaos = {.handoff_fail_one_in = 1};
    struct rig *rig = rig_new(11, 2, &chaos, 20, NULL);
    unsigned stayed = 0;
    for (unsigned i = 0; i < 20; i++) {
        struct caller caller;
        caller_open(&caller, rig, 0);
        bool is_home = caller_login(&caller, i);
        stayed += is_home;
        assert_int_equal(caller_is_over(&caller), !is_home);
        assert_int_equal(is_home && caller_bind(&caller, "a"), is_home);
        caller_close(&caller);
        rig_run(rig, 1);
    }
    assert_true(stayed > 2 && stayed < 18);
    finish(rig);
}

#define BOTH(test) cmocka_unit_test_prestate(test, &one), cmocka_unit_test_prestate(test, &three)

int main(void)
{
    struct err err;
    static unsigned one = 1, three = 3;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login__with_a_name_no_store_can_hold__fails_like_any_other),
        cmocka_unit_test(binding__refused_ten_times__closes_the_stream),
        cmocka_unit_test(starttls__where_there_is_no_certificate__is_refused),
        cmocka_unit_test(plain_bytes__held_behind_starttls__end_the_stream),
        cmocka_unit_test(resource__of_a_session_whose_tls_broke__is_free_at_once),
        cmocka_unit_test(stream__closed_while_it_moves__ends_in_order),
        cmocka_unit_test(removed_account__between_two_shards__loses_its_stream),
        cmocka_unit_test(bytes__that_wait_for_a_handshake__are_few),
        cmocka_unit_test(bytes__of_a_stranger_at_once__are_few_or_end_the_stream),
        cmocka_unit_test(handshakes__one_a_turn__all_come_to_their_end),
        cmocka_unit_test(limit__lowered_below_a_cut_element__ends_it),
        BOTH(slow_reader__after_its_time__is_closed_and_its_senders_go_on),
        cmocka_unit_test(slow_reader__that_reads_at_last__hears_why_it_was_closed),
        BOTH(full_queue__at_its_hard_limit__refuses_and_tells),
        cmocka_unit_test(flood__to_nobody_across_shards__piles_nothing_up),
        BOTH(unsent__the_largest_or_behind_a_header__comes_back),
        BOTH(unsent__behind_success__comes_back),
        BOTH(drain__with_many_sessions__tells_each_and_stops),
        BOTH(removed_account__bound_or_about_to_bind__loses_its_streams),
        BOTH(account__withdrawn_in_the_exchange__lets_nobody_in),
        cmocka_unit_test(handoff__refused_by_the_other_shard__ends_the_stream_alone),
    };
    if (!tls_start(&err))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    tls_stop();
    return failed;
}
