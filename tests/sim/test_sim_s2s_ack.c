/* SPDX-License-Identifier: MIT */
/* XEP-0198 between servers: what is acknowledged, what is sent again, what comes back, and what ends a stream. */
#include "router/s2s/ack_priv.h"
#include "router/s2s/s2s.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define OPEN "s2s.enabled=true", "s2s.tls_required=false"
#define MANY 20000

/* What a user has heard: numbered messages, the first copy and those behind it. */
struct heard {
    unsigned copies[MANY]; /* of each number */
    int last;              /* of the first copies */
    bool is_jumbled;
    unsigned stamped, unstamped_again;
    unsigned errors;
    char error[64];
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct heard *heard = actor->context;
    char room[64];
    int number = -1;
    uint32_t body = xml_child_named(stanza, 0, NS_CLIENT, "body"),
             error = xml_child_named(stanza, 0, NS_CLIENT, "error");
    bool is_stamped = xml_child_named(stanza, 0, NS_DELAY, "delay") != XML_NOWHERE;
    if (error != XML_NOWHERE) {
        const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
        snprintf(heard->error, sizeof heard->error, "%.*s", SPAN_ARG(xml_name(stanza, xml_child(stanza, error))));
        heard->errors++;
        if (id)
            sscanf(xml_value(stanza, id, room, sizeof room).ptr, "%d", &number);
        if (number >= 0 && number < MANY)
            heard->copies[number] += 1000;
        return;
    }
    if (body == XML_NOWHERE || sscanf(xml_text(stanza, body, room, sizeof room).ptr, "n %d", &number) != 1)
        return;
    heard->stamped += is_stamped;
    if (heard->copies[number]++ % 1000) {
        heard->unstamped_again += !is_stamped;
        return;
    }
    heard->is_jumbled |= number <= heard->last;
    heard->last = number;
}

static struct heard romeo_heard, juliet_heard;

/* ------------------------------------------------------------------------------------------------ a played server */

/* Our router and the test as the server of example.net. */
struct stage {
    struct rig *home, *away; /* away: NULL where the test plays it */
    struct actor romeo, juliet;
    struct peer *peer;
};

#define NET_HEADER                                                                                                     \
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='own' "                   \
    "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
#define NET_FEATURES                                                                                                   \
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/>"            \
    "<sm xmlns='urn:xmpp:sm:3'/></stream:features>"
#define SM " xmlns='urn:xmpp:sm:3'"

static bool raw_has(const struct peer *peer, const char *text)
{
    struct span got = peer_received(peer);
    return got.size && memmem(got.ptr, got.size, text, strlen(text)) != NULL;
}

static unsigned raw_count(const struct peer *peer, const char *text)
{
    struct span got = peer_received(peer);
    unsigned count = 0;
    const char *at;
    while (got.size && (at = memmem(got.ptr, got.size, text, strlen(text)))) {
        count++;
        got = span_skip(got, (size_t)(at - got.ptr) + 1);
    }
    return count;
}

static void forget(struct peer *peer)
{
    peer_take(peer, peer_received(peer).size);
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    actor_poll(&stage->romeo);
    if (stage->away)
        actor_poll(&stage->juliet);
}

static void say(struct stage *stage, struct peer *peer, const char *bytes)
{
    peer_send(peer, span_str(bytes));
    run(stage, 20);
}

static void expect(const struct peer *peer, const char *text)
{
    if (!raw_has(peer, text))
        fail_msg("%.*s lacks %s", SPAN_ARG(peer_received(peer)), text);
}

static void refuse(const struct peer *peer, const char *text)
{
    if (raw_has(peer, text))
        fail_msg("%.*s has %s", SPAN_ARG(peer_received(peer)), text);
}

static void actor_open(struct actor *actor, struct rig *rig, struct heard *heard, const char *resource, unsigned shard)
{
    memset(heard, 0, sizeof *heard);
    heard->last = -1;
    actor_init(actor, rig, 0, keep, heard);
    snprintf(actor->resource, sizeof actor->resource, "%s", resource);
    assert_true(actor_bind(actor, shard));
}

static void played_open(struct stage *stage, const char *const *more)
{
    const char *home[16] = {OPEN, "s2s.routes=example.net=127.0.0.3:6000", NULL};
    for (unsigned i = 3; more && *more; i++)
        home[i] = *more++;
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(1, 1, NULL, 1, home);
    world_set_far(stage->home->world, 6000, FAR_ACCEPTS);
    actor_open(&stage->romeo, stage->home, &romeo_heard, "orchard", 0);
}

static void drain(struct stage *stage)
{
    for (unsigned i = 0; i < stage->home->shard_count; i++) {
        shard_drain(&stage->home->shards[i]);
        io_notify(stage->home->shards[i].io);
        if (stage->away)
            shard_drain(&stage->away->shards[i]);
        if (stage->away)
            io_notify(stage->away->shards[i].io);
    }
}

static void stage_close(struct stage *stage)
{
    actor_leave(&stage->romeo);
    if (stage->away)
        actor_leave(&stage->juliet);
    run(stage, 1000);
    drain(stage);
    run(stage, 20000);
    actor_fini(&stage->romeo);
    if (stage->peer)
        peer_free(stage->peer);
    if (stage->away) {
        actor_fini(&stage->juliet);
        rig_free(stage->away);
    }
    rig_free(stage->home);
}

static void say_numbers(struct stage *stage, int first, int last)
{
    for (int i = first; i < last; i++)
        actor_send(&stage->romeo,
                   "<message to='user0@example.net/balcony' type='chat' id='%d'><body>n %d</body></message>", i, i);
    run(stage, 5);
}

/* Takes the router's next connection and lets it in. */
static void let_in(struct stage *stage, const char *features)
{
    if (stage->peer)
        peer_free(stage->peer);
    run(stage, 50);
    stage->peer = world_accept(stage->home->world);
    assert_non_null(stage->peer);
    say(stage, stage->peer, NET_HEADER);
    say(stage, stage->peer, features);
    expect(stage->peer, "<db:result from='example.com' to='example.net'>");
    forget(stage->peer);
    say(stage, stage->peer, "<db:result from='example.net' to='example.com' type='valid'/>");
}

/* Five messages are out and counted: 0..4. */
static void five(struct stage *stage, const char *const *more)
{
    played_open(stage, more);
    say_numbers(stage, 0, 5);
    let_in(stage, NET_FEATURES);
    expect(stage->peer, "<enable" SM "/><message");
    expect(stage->peer, "n 4</body>");
    forget(stage->peer);
    say(stage, stage->peer, "<enabled" SM "/>");
}

static uint64_t home_count(const struct stage *stage, enum counter counter)
{
    return rig_counter(stage->home, counter);
}

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
        assert_true(raw_has(stage.peer, "<r" SM "/>"));
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

/* ------------------------------------------------------------------------------------------------ as the receiver */

#define RAW_HEADER                                                                                                     \
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' from='example.net' "         \
    "to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"

static struct peer *call(struct stage *stage)
{
    struct peer *peer = peer_connect_to(stage->home->group, 0, LISTEN_S2S);
    say(stage, peer, RAW_HEADER);
    return peer;
}

/* Their key is found valid by their own server, which the test plays too. */
static struct peer *proven(struct stage *stage, const char *before)
{
    char answer[512];
    struct peer *peer = call(stage);
    say(stage, peer, before);
    say(stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
    struct peer *own = world_accept(stage->home->world);
    assert_non_null(own);
    say(stage, own, NET_HEADER "<stream:features/>");
    struct span got = peer_received(own);
    const char *id = memmem(got.ptr, got.size, "' id='", 6);
    assert_non_null(id);
    id = memmem(got.ptr, got.size, "<db:verify", 10);
    assert_non_null(id);
    id = strstr(id, "id='") + 4;
    snprintf(answer, sizeof answer, "<db:verify from='example.net' to='example.com' id='%.32s' type='valid'/>", id);
    say(stage, own, answer);
    peer_free(own);
    expect(peer, "<db:result from='example.com' to='example.net' type='valid'/>");
    forget(peer);
    return peer;
}

/* s3: not before authentication; and not again and again. */
static void called__enable_before_proof__failed(void **state)
{
    (void)state;
    static const char *const cases[] = {"<enable" SM "/>", "<resume" SM " h='0' previd='x'/>"};
    struct stage stage;
    played_open(&stage, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct peer *peer = call(&stage);
        expect(peer, "<sm" SM "/>");
        say(&stage, peer, cases[i]);
        expect(peer, "<failed" SM "><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
        refuse(peer, "</stream:stream>");
        for (unsigned j = 0; j < 4; j++)
            say(&stage, peer, cases[i]);
        expect(peer, "<policy-violation");
        assert_int_equal(raw_count(peer, "<failed"), 5);
        peer_free(peer);
    }
    static const char *const strange[] = {"<r" SM "/>", "<a" SM " h='0'/>", "<enabled" SM "/>"};
    for (unsigned i = 0; i < 3; i++) {
        struct peer *peer = call(&stage);
        say(&stage, peer, strange[i]);
        expect(peer, "<not-authorized");
        peer_free(peer);
    }
    stage_close(&stage);
}

static void called__enable__enabled_once(void **state)
{
    (void)state;
    struct stage stage;
    played_open(&stage, NULL);
    struct peer *peer = proven(&stage, "");
    say(&stage, peer, "<resume" SM " h='0' previd='x'/>");
    expect(peer, "<failed" SM "><feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>");
    say(&stage, peer, "<message from='a@example.net' to='user0@example.com/orchard' id='0'><body>n 0</body></message>");
    say(&stage, peer, "<enable" SM " resume='true' max='60'/>");
    expect(peer, "<enabled" SM "/>");
    say(&stage, peer,
        "<message from='a@example.net' to='user0@example.com/orchard' id='1'><body>n 1</body></message><r" SM "/>");
    expect(peer, "<a" SM " h='1'/>"); /* from <enable/> on */
    say(&stage, peer, "<enable" SM "/>");
    expect(peer, "<unexpected-request");
    expect(peer, "<policy-violation");
    peer_free(peer);
    stage_close(&stage);
}

static void called__acknowledgements_off__failed(void **state)
{
    (void)state;
    static const char *const off[] = {"s2s.acks=false", NULL};
    struct stage stage;
    played_open(&stage, off);
    struct peer *peer = call(&stage);
    refuse(peer, "urn:xmpp:sm:3");
    peer_free(peer);
    peer = proven(&stage, "");
    say(&stage, peer, "<enable" SM "/>");
    expect(peer, "<failed" SM "><feature-not-implemented");
    refuse(peer, "</stream:stream>");
    say(&stage, peer, "<r" SM "/>");
    expect(peer, "<unsupported-stanza-type");
    peer_free(peer);
    stage_close(&stage);
}

/* Their stream, our words too: what is not acknowledged of those goes to the stream that we dial. */
static void called__bidi__ours_are_counted_from_enabled_on(void **state)
{
    (void)state;
    struct stage stage;
    played_open(&stage, NULL);
    struct peer *peer = proven(&stage, "<bidi xmlns='urn:xmpp:bidi'/>");
    say_numbers(&stage, 0, 2);
    refuse(peer, "<message");
    run(&stage, 1000); /* <enable/> does not come: it goes on without */
    expect(peer, "n 1</body>");
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
    say(&stage, peer, "<enable" SM "/>");
    say_numbers(&stage, 2, 5);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 3);
    run(&stage, 3000);
    expect(peer, "<r" SM "/>");
    say(&stage, peer, "<a" SM " h='1'/>");
    peer_reset(peer);
    peer_free(peer);
    let_in(&stage, NET_FEATURES);
    assert_int_equal(raw_count(stage.peer, "<message"), 2);
    expect(stage.peer, "n 3</body><delay");
    stage_close(&stage);
}

/* What we have to say waits for <enable/>, or for whatever comes in its place. */
static void called__bidi__ours_wait_for_enable(void **state)
{
    (void)state;
    struct stage stage;
    played_open(&stage, NULL);
    struct peer *peer = proven(&stage, "<bidi xmlns='urn:xmpp:bidi'/>");
    say_numbers(&stage, 0, 2);
    refuse(peer, "<message");
    say(&stage, peer, "<enable" SM "/>");
    expect(peer, "<enabled" SM "/><message");
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 2);
    peer_free(peer);
    stage_close(&stage);
    played_open(&stage, NULL);
    peer = proven(&stage, "<bidi xmlns='urn:xmpp:bidi'/>");
    say_numbers(&stage, 0, 2);
    say(&stage, peer, "<message from='a@example.net' to='user0@example.com'/>");
    expect(peer, "n 1</body>");
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 0);
    peer_free(peer);
    stage_close(&stage);
}

/* The other side takes its old stream for lost: what it has not acknowledged comes first on the new one. */
static void replaced__by_their_new_stream__the_rest_first(void **state)
{
    (void)state;
    struct stage stage;
    five(&stage, NULL);
    say(&stage, stage.peer, "<a" SM " h='2'/>");
    run(&stage, 31000);
    struct peer *peer = proven(&stage, "<bidi xmlns='urn:xmpp:bidi'/>");
    expect(stage.peer, "<conflict");
    say_numbers(&stage, 5, 6);
    run(&stage, 1000);
    assert_int_equal(raw_count(peer, "<message"), 4);
    expect(peer, "n 2</body><delay");
    expect(peer, "n 4</body><delay");
    expect(peer, "n 5</body></message>");
    assert_int_equal(home_count(&stage, COUNTER_S2S_RESENT), 3);
    assert_int_equal(romeo_heard.errors, 0);
    peer_free(peer);
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ two routers */

static const char *const home_settings[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", NULL};
static const char *const away_settings[] = {OPEN, "s2s.routes=example.com=127.0.0.1:5269", NULL};

static void pair_open(struct stage *stage, uint64_t seed, unsigned shards, const struct world_chaos *chaos)
{
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(seed, shards, chaos, 1, home_settings);
    stage->away = rig_join(stage->home, "example.net", "127.0.0.2", shards, 1, away_settings);
    actor_open(&stage->romeo, stage->home, &romeo_heard, "orchard", 0);
    actor_open(&stage->juliet, stage->away, &juliet_heard, "balcony", shards - 1);
}

static void both_say(struct stage *stage, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        actor_send(&stage->romeo,
                   "<message to='user0@example.net/balcony' type='chat' id='%d'><body>n %d</body></message>", i, i);
        actor_send(&stage->juliet,
                   "<message to='user0@example.com/orchard' type='chat' id='%d'><body>n %d</body></message>", i, i);
    }
}

static void two_routers__both_directions__all_acknowledged(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        pair_open(&stage, 1, shards, NULL);
        both_say(&stage, 0, 100);
        run(&stage, 3000);
        both_say(&stage, 100, 100);
        run(&stage, 3000);
        assert_int_equal(romeo_heard.last, 199);
        assert_int_equal(juliet_heard.last, 199);
        assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING) + rig_counter(stage.away, COUNTER_S2S_WAITING), 0);
        assert_int_equal(home_count(&stage, COUNTER_ROUTED), 200);
        assert_int_equal(rig_counter(stage.away, COUNTER_ROUTED), 200);
        stage_close(&stage);
    }
}

static bool cut_one(struct rig *rig)
{
    for (unsigned i = 0; i < rig->shard_count; i++)
        for (struct stream *stream = rig->shards[i].streams; stream; stream = stream->next)
            if (stream->is_s2s && stream->state == STREAM_BOUND) {
                io_reset(rig->shards[i].io, stream->conn);
                return true;
            }
    return false;
}

/* Nothing is lost: each message has come, or an error for it; again only with a stamp, and the first copies in order.
 */
static void check_heard(const struct heard *to, const struct heard *from, int count, unsigned step)
{
    for (int i = 0; i < count; i++)
        if (to->copies[i] % 1000 == 0 && from->copies[i] < 1000)
            fail_msg("step %u: %d is lost", step, i);
    if (to->is_jumbled || to->unstamped_again)
        fail_msg("step %u: jumbled %d, again without a stamp %u", step, to->is_jumbled, to->unstamped_again);
}

/* The connection is cut in every moment of an exchange, by either side, in small pieces all the while. */
static void two_routers__cut_at_every_step__nothing_is_lost(void **state)
{
    (void)state;
    static const struct world_chaos chaos = {.cut_receives = true, .cut_sends = true, .delay = true, .receive_max = 64};
    const char *given = getenv("SL_CUTS");
    unsigned steps = given ? (unsigned)strtoul(given, NULL, 10) : 400;
    uint64_t resent = 0;
    struct stage stage;
    pair_open(&stage, 7, 2, &chaos);
    int said = 0;
    for (unsigned step = 0; step < steps; step++) {
        both_say(&stage, said, 6);
        said += 6;
        if (said + 6 > MANY)
            break;
        for (unsigned i = 0; i < step % 200; i++)
            world_step(stage.home->world);
        cut_one(step % 2 ? stage.home : stage.away);
        run(&stage, 4000);
        check_heard(&juliet_heard, &romeo_heard, said, step);
        check_heard(&romeo_heard, &juliet_heard, said, step);
        assert_int_equal(rig_balance(stage.home), 0);
        assert_int_equal(rig_balance(stage.away), 0);
    }
    resent = home_count(&stage, COUNTER_S2S_RESENT) + rig_counter(stage.away, COUNTER_S2S_RESENT);
    assert_true(resent > 0);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING) + rig_counter(stage.away, COUNTER_S2S_WAITING), 0);
    stage_close(&stage);
}

/* Ended in order by either side, with something under way: each message comes exactly once, or its error. */
static void two_routers__ended_in_order__each_once(void **state)
{
    (void)state;
    static const struct world_chaos chaos = {.cut_receives = true, .cut_sends = true, .delay = true, .receive_max = 64};
    struct stage stage;
    pair_open(&stage, 11, 1, &chaos);
    both_say(&stage, 0, 1);
    run(&stage, 3000);
    int said = 1;
    for (unsigned step = 0; step < 150; step++) {
        both_say(&stage, said, 4);
        said += 4;
        for (unsigned i = 0; i < step; i++)
            world_step(stage.home->world);
        struct rig *rig = step % 2 ? stage.home : stage.away;
        for (struct stream *stream = rig->shards[0].streams; stream; stream = stream->next)
            if (stream->is_s2s && stream->state == STREAM_BOUND) {
                stream_close(stream, step % 3 ? STREAM_NO_ERROR : STREAM_RESET_ERROR, NULL);
                break;
            }
        io_notify(rig->shards[0].io);
        run(&stage, 8000);
        check_heard(&juliet_heard, &romeo_heard, said, step);
        check_heard(&romeo_heard, &juliet_heard, said, step);
    }
    for (int i = 0; i < said; i++) {
        assert_int_equal(juliet_heard.copies[i] % 1000 + romeo_heard.copies[i] / 1000, 1);
        assert_int_equal(romeo_heard.copies[i] % 1000 + juliet_heard.copies[i] / 1000, 1);
    }
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged__all__routed_and_asked_no_more),
        cmocka_unit_test(asked__behind_many__once),
        cmocka_unit_test(broken__some_acknowledged__the_rest_again_with_a_stamp),
        cmocka_unit_test(broken__twice__stamped_once),
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
        cmocka_unit_test(called__enable_before_proof__failed),
        cmocka_unit_test(called__enable__enabled_once),
        cmocka_unit_test(called__acknowledgements_off__failed),
        cmocka_unit_test(called__bidi__ours_are_counted_from_enabled_on),
        cmocka_unit_test(called__bidi__ours_wait_for_enable),
        cmocka_unit_test(replaced__by_their_new_stream__the_rest_first),
        cmocka_unit_test(two_routers__both_directions__all_acknowledged),
        cmocka_unit_test(two_routers__cut_at_every_step__nothing_is_lost),
        cmocka_unit_test(two_routers__ended_in_order__each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
