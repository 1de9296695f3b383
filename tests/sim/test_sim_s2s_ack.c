/* SPDX-License-Identifier: MIT */
/* XEP-0198 on a stream that we dialled: what is acknowledged, what is sent again, what comes back, and what ends the
 * stream. Streams that others dial: test_sim_s2s_ack_called.c; two routers: test_sim_s2s_ack_pair.c. */
#include "router/s2s/ack_priv.h"
#include "router/s2s/s2s.h"
#include "tests/sim/ack_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

/* The one stream of the router that is proven. */
static struct s2s *stream_of(const struct stage *stage)
{
    for (struct stream *stream = stage->home->shards[0].streams; stream; stream = stream->next)
        if (stream->is_s2s && stream->state == STREAM_BOUND)
            return s2s_of(stream);
    return NULL;
}

/* XEP-0198 s3, s4, s8.1: asked when nothing more comes, counted when it is answered. */
static void acknowledged__all__routed_and_asked_no_more(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 0);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 5);
    run(&stage, 500);
    assert_int_equal(raw_count(stage.peer, "<r" SM "/>"), 1);
    say(&stage, stage.peer, "<a" SM " h='5'/>");
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 5);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
    assert_int_equal(stage.home->shards[0].ack_bytes, 0);
    forget(stage.peer);
    run(&stage, 60000);
    assert_int_equal(peer_received(stage.peer).size, 0);
    stage_close(&stage);
}

/* Many are asked about before the time is up, and once while no answer is there. */
static void asked__behind_many__once(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    for (int i = 5; i < 205; i += 20)
        say_numbers(&stage, i, i + 20);
    assert_int_equal(raw_count(stage.peer, "<r" SM "/>"), 1);
    say(&stage, stage.peer, "<a" SM " h='100'/>");
    run(&stage, 10);
    assert_int_equal(raw_count(stage.peer, "<r" SM "/>"), 2);
    say(&stage, stage.peer, "<a" SM " h='0205'/>");
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 205);
    stage_close(&stage);
}

/* RELIABILITY s2.2: a copy comes only of what was not acknowledged, in order, before what is newer, with a stamp. */
static void broken__some_acknowledged__the_rest_again_with_a_stamp(void **state)
{
    (void)state;
    for (unsigned acked = 0; acked <= 5; acked++) {
        char answer[64];
        struct stage stage;
        five(&stage, NULL);
        run(&stage, 3000); /* not brief */
        snprintf(answer, sizeof answer, "<a" SM " h='%u'/>", acked);
        say(&stage, stage.peer, answer);
        peer_reset(stage.peer);
        run(&stage, 20);
        say_numbers(&stage, 5, 7);
        let_in(&stage, NET_FEATURES);
        for (unsigned i = 0; i < 7; i++) {
            char text[160];
            snprintf(text, sizeof text, "<body>n %u</body>%s", i,
                     i < 5 ? "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2026-01-01T00:00:"
                           : "</message>");
            if (i < acked)
                refuse(stage.peer, text);
            else
                expect(stage.peer, text);
            snprintf(text, sizeof text, "n %u</body>", i);
            const char *one = memmem(peer_received(stage.peer).ptr, peer_received(stage.peer).size, text, strlen(text));
            snprintf(text, sizeof text, "n %u</body>", i + 1);
            const char *next =
                memmem(peer_received(stage.peer).ptr, peer_received(stage.peer).size, text, strlen(text));
            assert_true(!next || !one || one < next);
        }
        assert_int_equal(home_count(&stage, COUNTER_S2S_RESENT), 5 - acked);
        assert_int_equal(romeo_heard.errors, 0);
        say(&stage, stage.peer, "<enabled" SM "/>");
        snprintf(answer, sizeof answer, "<a" SM " h='%u'/>", 7 - acked);
        say(&stage, stage.peer, answer);
        assert_int_equal(home_count(&stage, COUNTER_ROUTED), 7);
        stage_close(&stage);
    }
}

/* A second break adds no second stamp; a stanza without content gets its stamp inside; iq and presence get none. */
static void broken__twice__stamped_once(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    actor_send(&stage.romeo, "<message to='user0@example.net' id='e'/>");
    actor_send(&stage.romeo, "<iq to='user0@example.net/x' id='q' type='get'><q xmlns='urn:q'/></iq>");
    for (unsigned i = 0; i < 2; i++) {
        run(&stage, 3000);
        if (i == 0)
            say(&stage, stage.peer, "<a" SM " h='4'/>");
        else
            say(&stage, stage.peer, "<enabled" SM "/><a" SM " h='0'/>");
        peer_reset(stage.peer);
        run(&stage, 20);
        let_in(&stage, NET_FEATURES);
        assert_int_equal(raw_count(stage.peer, "<delay"), 2);
        assert_int_equal(raw_count(stage.peer, "<message"), 2);
        expect(stage.peer, "Z'/></message><iq");
        expect(stage.peer, "<q xmlns='urn:q'/></iq>");
    }
    say(&stage, stage.peer, "<enabled" SM "/><a" SM " h='3'/>");
    stage_close(&stage);
}

/* What was kept (7), what waited in the stream's queue (2): all of it is read again under whatever limits a reload has
 * brought meanwhile, and the books know of each. */
static void broken__behind_a_reload_with_lower_limits__all_again(void **state)
{
    (void)state;
    static const char *const tight[] = {OPEN, "s2s.routes=example.net=127.0.0.3:6000", "limits.depth=8", NULL};
    static const char deep[] = "<message to='user0@example.net/balcony' type='chat' id='%u'><body>n %u</body>"
                               "<e><e><e><e><e><e><e><e><e/></e></e></e></e></e></e></e></e></message>";
    struct stage stage;
    five(&stage, NULL);
    actor_send(&stage.romeo, deep, 5, 5);
    run(&stage, 3000);
    peer_set_window(stage.peer, 1);
    say_numbers(&stage, 6, 7); /* the io has it */
    actor_send(&stage.romeo, deep, 7, 7);
    actor_send(&stage.romeo, deep, 8, 8);
    run(&stage, 20);
    rig_reload(stage.home, tight);
    peer_reset(stage.peer);
    run(&stage, 20);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 9);
    let_in(&stage, NET_FEATURES);
    for (unsigned i = 0; i < 9; i++) {
        char text[40];
        snprintf(text, sizeof text, "<body>n %u</body>", i);
        expect(stage.peer, text);
    }
    say(&stage, stage.peer, "<enabled" SM "/><a" SM " h='9'/>");
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 9);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
    assert_int_equal(romeo_heard.errors, 0);
    stage_close(&stage);
}

/* The stanza that makes the other side end its stream is not sent for ever. */
static void broken__again_and_again__comes_back(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    for (unsigned i = 0; i < 2; i++) {
        run(&stage, 3000);
        peer_reset(stage.peer);
        run(&stage, 20);
        assert_int_equal(romeo_heard.errors, 0);
        let_in(&stage, NET_FEATURES);
        expect(stage.peer, "n 0</body>");
    }
    run(&stage, 3000);
    peer_reset(stage.peer);
    run(&stage, 3000);
    assert_int_equal(romeo_heard.errors, 5);
    assert_string_equal(romeo_heard.error, "remote-server-timeout");
    assert_null(world_accept(stage.home->world));
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
    stage_close(&stage);
}

/* A stream that ends as soon as it is ready is a failure: what it did not bring over is answered, once. */
static void broken__at_once__comes_back(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    say(&stage, stage.peer, "<a" SM " h='2'/>");
    peer_reset(stage.peer);
    run(&stage, 100);
    assert_int_equal(romeo_heard.errors, 3);
    assert_int_equal(romeo_heard.copies[1], 0);
    assert_int_equal(romeo_heard.copies[2], 1000);
    stage_close(&stage);
}

/* s6 and what no rule allows. */
static void counted__wrong__the_exact_error(void **state)
{
    (void)state;
    static const struct {
        const char *says, *answer;
    } cases[] = {
        {"<a" SM " h='6'/>", "<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                             "<handled-count-too-high" SM " h='6' send-count='5'/></stream:error></stream:stream>"},
        {"<a" SM " h='2147483653'/>", "<handled-count-too-high" SM " h='2147483653' send-count='5'/>"},
        {"<a" SM " h='3'/><a" SM " h='2'/>", "<policy-violation"},
        {"<a" SM "/>", "<bad-format"},
        {"<a" SM " h=''/>", "<bad-format"},
        {"<a" SM " h='-1'/>", "<bad-format"},
        {"<a" SM " h='4294967296'/>", "<bad-format"},
        {"<a" SM " h='99999999999999999999999999'/>", "<bad-format"},
        {"<a" SM " h='5x'/>", "<bad-format"},
        {"<enabled" SM "/>", "<unsupported-stanza-type"},
        {"<failed" SM "/>", "<unsupported-stanza-type"},
        {"<enable" SM "/>", "<unsupported-stanza-type"},
        {"<resume" SM " h='0' previd='x'/>", "<unsupported-stanza-type"},
        {"<other" SM "/>", "<unsupported-stanza-type"},
        {"<r xmlns='urn:xmpp:sm:2'/>", "<unsupported-stanza-type"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        five(&stage, NULL);
        say(&stage, stage.peer, cases[i].says);
        expect(stage.peer, cases[i].answer);
        expect(stage.peer, "</stream:stream>");
        stage_close(&stage);
    }
}

/* Before the other side has said <enabled/> there is nothing to acknowledge. */
static void counted__before_it_is_enabled__the_exact_error(void **state)
{
    (void)state;
    static const char *const cases[] = {"<a" SM " h='1'/>", "<r" SM "/>"};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        played_open(&stage, NULL);
        say_numbers(&stage, 0, 5);
        let_in(&stage, NET_FEATURES);
        run(&stage, 3000);
        refuse(stage.peer, "<r" SM "/>");
        say(&stage, stage.peer, cases[i]);
        expect(stage.peer, "<unsupported-stanza-type");
        stage_close(&stage);
    }
}

/* s6: recoverable. What went out so far is delivered as on a stream without acknowledgements. */
static void enable__failed__the_stream_goes_on(void **state)
{
    (void)state;
    struct stage stage;
    played_open(&stage, NULL);
    say_numbers(&stage, 0, 5);
    let_in(&stage, NET_FEATURES);
    say(&stage, stage.peer,
        "<failed" SM "><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
    say_numbers(&stage, 5, 6);
    expect(stage.peer, "n 5</body>");
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 0);
    assert_int_equal(stage.home->shards[0].ack_bytes, 0);
    run(&stage, 3000);
    refuse(stage.peer, "<r" SM "/>");
    peer_reset(stage.peer);
    run(&stage, 100);
    assert_null(world_accept(stage.home->world)); /* nothing is known to be lost */
    stage_close(&stage);
}

static void enable__not_offered_or_not_wanted__not_said(void **state)
{
    (void)state;
    static const char *const off[] = {"s2s.acks=false", NULL};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        played_open(&stage, i ? off : NULL);
        say_numbers(&stage, 0, 1);
        let_in(&stage,
               i ? NET_FEATURES : "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>");
        expect(stage.peer, "n 0</body>");
        refuse(stage.peer, "<enable");
        assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
        stage_close(&stage);
    }
}

/* Both directions of one connection count; the last <a/> goes out in front of the end (s4). */
static void heard__on_the_same_stream__counted_and_told(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    say(&stage, stage.peer, "<r" SM "/>");
    expect(stage.peer, "<a" SM " h='0'/>");
    forget(stage.peer);
    say(&stage, stage.peer,
        "<message from='user0@example.net/balcony' to='user0@example.com/orchard'><body>n 1</body></message>"
        "<presence from='user0@example.net/balcony' to='user0@example.com'/>"
        "<iq from='user0@example.net/balcony' to='user0@example.com' type='get'/><r" SM "/><r" SM "/>");
    assert_int_equal(romeo_heard.copies[1], 1);
    expect(stage.peer, "<a" SM " h='3'/>");
    assert_int_equal(raw_count(stage.peer, "<a" SM " "), 1);
    forget(stage.peer);
    stream_close(&stream_of(&stage)->stream, STREAM_NO_ERROR, NULL);
    io_notify(stage.home->shards[0].io);
    run(&stage, 20);
    expect(stage.peer, "<a" SM " h='3'/></stream:stream>");
    /* What it says behind that is its own again: the next stream of it will bring it. */
    say(&stage, stage.peer,
        "<message from='user0@example.net/balcony' to='user0@example.com/orchard'><body>n 2</body></message>"
        "<a" SM " h='5'/></stream:stream>");
    assert_int_equal(romeo_heard.copies[2], 0);
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 5);
    stage_close(&stage);
}

/* We end the stream while something is under way: its last <a/> tells what is to be sent again. */
static void ended_by_us__last_word__exactly_the_rest_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        five(&stage, NULL);
        run(&stage, 3000);
        stream_close(&stream_of(&stage)->stream, i ? STREAM_RESET_ERROR : STREAM_NO_ERROR, NULL);
        io_notify(stage.home->shards[0].io);
        run(&stage, 20);
        assert_null(world_accept(stage.home->world));
        assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 5);
        if (i)
            say_numbers(&stage, 5, 6); /* which waits for the next stream, behind the rest */
        say(&stage, stage.peer, "<a" SM " h='3'/></stream:stream>");
        let_in(&stage, NET_FEATURES);
        assert_int_equal(raw_count(stage.peer, "<message"), 2 + i);
        expect(stage.peer, "n 3</body><delay");
        expect(stage.peer, "n 4</body><delay");
        say(&stage, stage.peer, i ? "<enabled" SM "/><a" SM " h='3'/>" : "<enabled" SM "/><a" SM " h='2'/>");
        assert_int_equal(home_count(&stage, COUNTER_ROUTED), 5 + i);
        stage_close(&stage);
    }
}

/* The process ends: the last word counts, and what it does not cover comes back. */
static void ended_by_us__shutdown__the_rest_comes_back(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    drain(&stage);
    run(&stage, 20);
    expect(stage.peer, "<system-shutdown");
    say(&stage, stage.peer, "<a" SM " h='3'/></stream:stream>");
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 3);
    assert_int_equal(home_count(&stage, COUNTER_RETURNED), 2);
    stage_close(&stage);
}

/* Nobody answers: the stream ends, and what was under way goes another way. */
static void silent__nothing_acknowledged__ended_and_sent_again(void **state)
{
    (void)state;
    static const char *const quick[] = {"timeouts.answer=10s", NULL};
    static const char *const words[] = {"", "<a" SM " h='0'/>", " "};
    for (unsigned i = 0; i < 3; i++) {
        struct stage stage;
        five(&stage, quick);
        for (unsigned second = 0; second < 11; second++) {
            run(&stage, 1000);
            say(&stage, stage.peer, words[i]);
        }
        expect(stage.peer, "<connection-timeout");
        assert_int_equal(home_count(&stage, COUNTER_SILENT), 1);
        assert_true(raw_count(stage.peer, "<r" SM "/>") <= 10); /* asked less and less */
        let_in(&stage, NET_FEATURES);
        assert_int_equal(raw_count(stage.peer, "<delay"), 5);
        stage_close(&stage);
    }
}

/* A quiet stream is asked by <r/>, not by a ping. */
static void silent__idle_stream__asked_by_a_request(void **state)
{
    (void)state;
    static const char *const quick[] = {"timeouts.idle=20s", "timeouts.answer=10s", NULL};
    struct stage stage;
    five(&stage, quick);
    say(&stage, stage.peer, "<a" SM " h='5'/>");
    forget(stage.peer);
    run(&stage, 21000);
    assert_int_equal(raw_count(stage.peer, "<r" SM "/>"), 1);
    refuse(stage.peer, "ping");
    say(&stage, stage.peer, "<a" SM " h='5'/>");
    run(&stage, 15000);
    refuse(stage.peer, "</stream:stream>");
    run(&stage, 20000);
    expect(stage.peer, "<connection-timeout");
    stage_close(&stage);
}

/* A full window is a full queue: no more goes out, and its sender is not read. */
static void window__full__goes_on_as_it_empties(void **state)
{
    (void)state;
    static const char *const small[] = {"s2s.ack_window=64KiB", "limits.queue_soft=64KiB", "limits.queue_hard=256KiB",
                                        NULL};
    static char body[8001];
    memset(body, 'x', sizeof body - 1);
    struct stage stage;
    five(&stage, small);
    for (unsigned i = 5; i < 65; i++) {
        actor_send(&stage.romeo, "<message to='user0@example.net' id='%u'><body>%s</body></message>", i, body);
        run(&stage, 5);
    }
    assert_in_range(raw_count(stage.peer, "</message>"), 8, 9);
    assert_in_range(stage.home->shards[0].ack_bytes, 65536, 65536 + 8300);
    assert_true(home_count(&stage, COUNTER_THROTTLED) > 0);
    unsigned heard = 5;
    for (unsigned i = 0; i < 40 && heard < 65; i++) {
        char answer[64];
        assert_true(peer_has(stage.peer, "<r" SM "/>"));
        heard += raw_count(stage.peer, "</message>");
        forget(stage.peer);
        snprintf(answer, sizeof answer, "<r" SM "/><a" SM " h='%u'/>", heard);
        say(&stage, stage.peer, answer);
        run(&stage, 300);
    }
    assert_int_equal(heard, 65);
    assert_int_equal(romeo_heard.errors, 0);
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 65);
    stage_close(&stage);
}

/* Two windows that are full do not wait for each other. */
static void window__full__answers_all_the_same(void **state)
{
    (void)state;
    static const char *const small[] = {"s2s.ack_window=64KiB", "limits.queue_hard=256KiB", NULL};
    static char body[8001];
    char words[160];
    memset(body, 'x', sizeof body - 1);
    struct stage stage;
    five(&stage, small);
    for (unsigned i = 0; i < 12; i++) {
        actor_send(&stage.romeo, "<message to='user0@example.net' id='%u'><body>%s</body></message>", i, body);
        run(&stage, 5);
    }
    unsigned sent = raw_count(stage.peer, "</message>");
    assert_in_range(sent, 8, 9);
    say(&stage, stage.peer, "<r" SM "/>");
    expect(stage.peer, "<a" SM " h='0'/>");
    assert_int_equal(raw_count(stage.peer, "</message>"), sent);
    say(&stage, stage.peer, "<a" SM " h='17'/>"); /* more than was sent, though not more than waits */
    snprintf(words, sizeof words, "<handled-count-too-high" SM " h='17' send-count='%u'/>", 5 + sent);
    expect(stage.peer, words);
    stage_close(&stage);
}

/* s4: behind 2^32-1 comes 0, in both directions. */
static void counted__past_the_last_number__from_zero(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    say(&stage, stage.peer, "<a" SM " h='5'/>");
    struct s2s *s2s = stream_of(&stage);
    if (!s2s || !s2s->ack) {
        fail();
        return; /* which the compiler does not know */
    }
    struct ack *ack = s2s->ack;
    ack->sent = ack->acked = ack->released = ack->asked_at = ack->heard = UINT32_MAX - 1;
    say_numbers(&stage, 5, 9);
    say(&stage, stage.peer,
        "<message from='a@example.net' to='user0@example.com'/><message from='a@example.net' to='user0@example.com'/>"
        "<message from='a@example.net' to='user0@example.com'/><r" SM "/><a" SM " h='4294967295'/>");
    expect(stage.peer, "<a" SM " h='1'/>");
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 6);
    say(&stage, stage.peer, "<a" SM " h='0'/>");
    assert_int_equal(home_count(&stage, COUNTER_ROUTED), 7);
    run(&stage, 3000);
    peer_reset(stage.peer);
    let_in(&stage, NET_FEATURES);
    refuse(stage.peer, "n 6</body>");
    expect(stage.peer, "n 7</body><delay");
    expect(stage.peer, "n 8</body><delay");
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged__all__routed_and_asked_no_more),
        cmocka_unit_test(asked__behind_many__once),
        cmocka_unit_test(broken__some_acknowledged__the_rest_again_with_a_stamp),
        cmocka_unit_test(broken__twice__stamped_once),
        cmocka_unit_test(broken__behind_a_reload_with_lower_limits__all_again),
        cmocka_unit_test(broken__again_and_again__comes_back),
        cmocka_unit_test(broken__at_once__comes_back),
        cmocka_unit_test(counted__wrong__the_exact_error),
        cmocka_unit_test(counted__before_it_is_enabled__the_exact_error),
        cmocka_unit_test(enable__failed__the_stream_goes_on),
        cmocka_unit_test(enable__not_offered_or_not_wanted__not_said),
        cmocka_unit_test(heard__on_the_same_stream__counted_and_told),
        cmocka_unit_test(ended_by_us__last_word__exactly_the_rest_again),
        cmocka_unit_test(ended_by_us__shutdown__the_rest_comes_back),
        cmocka_unit_test(silent__nothing_acknowledged__ended_and_sent_again),
        cmocka_unit_test(silent__idle_stream__asked_by_a_request),
        cmocka_unit_test(window__full__goes_on_as_it_empties),
        cmocka_unit_test(window__full__answers_all_the_same),
        cmocka_unit_test(counted__past_the_last_number__from_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
