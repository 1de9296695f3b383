/* SPDX-License-Identifier: MIT */
/* Who is trusted, and by whose word: dialback and certificates where they meet, and the forms of names. */
#include "router/s2s/s2s.h"
#include "router/stream/stream.h"
#include "tests/sim/actor.h"
#include "tests/sim/caller.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Each domain has a server of its own, and the test plays all of them. */
#define PORT_NET   6001u
#define PORT_OTHER 6002u
#define PORT_IDN   6003u
#define ROUTES     "s2s.routes=example.net=127.0.0.3:6001 other.example=127.0.0.3:6002 xn--bcher-kva.example=127.0.0.3:6003"
#define PLAIN      "s2s.enabled=true", "s2s.tls_required=false", ROUTES
static const char *const config[] = {PLAIN, "rig.domain=example.com", "rig.also=example.org", NULL};

#define NS       " xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'"
#define HEADER   "<stream:stream" NS " version='1.0' from='example.net' to='example.com'>"
#define STARTTLS "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
#define IDN                                                                                                            \
    "b\xc3\xbc"                                                                                                        \
    "cher.example"

struct stage {
    struct rig *rig;
    struct actor romeo; /* user0@example.com/orchard */
    unsigned heard;
    char last[64]; /* the last body */
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    char room[64];
    uint32_t body = xml_child_named(stanza, 0, NS_CLIENT, "body");
    stage->heard++;
    if (body != XML_NOWHERE && xml_child_named(stanza, 0, NS_CLIENT, "error") == XML_NOWHERE)
        snprintf(stage->last, sizeof stage->last, "%.*s", SPAN_ARG(xml_text(stanza, body, room, sizeof room)));
}

static void stage_open(struct stage *stage, unsigned shards, const char *const *overrides)
{
    memset(stage, 0, sizeof *stage);
    stage->rig = rig_new(1, shards, NULL, 1, overrides);
    for (uint16_t port = PORT_NET; port <= PORT_IDN; port++)
        world_set_far(stage->rig->world, port, FAR_ACCEPTS);
    actor_init(&stage->romeo, stage->rig, 0, keep, stage);
    actor_enter(&stage->romeo, "orchard", 0);
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->rig, ms);
    actor_poll(&stage->romeo);
}

static void stage_close(struct stage *stage)
{
    actor_leave(&stage->romeo);
    run(stage, 1000);
    for (struct peer *peer; (peer = world_accept(stage->rig->world));)
        peer_free(peer);
    rig_drain(stage->rig);
    run(stage, 20000);
    actor_fini(&stage->romeo);
    rig_free(stage->rig);
}

static void say(struct stage *stage, struct peer *peer, const char *text)
{
    peer_send(peer, span_str(text));
    run(stage, 50);
}

static struct peer *stranger(struct stage *stage)
{
    struct peer *peer = peer_connect_to(stage->rig->group, 0, LISTEN_S2S);
    say(stage, peer, HEADER);
    assert_true(peer_has(peer, "<stream:features>"));
    return peer;
}

/* The server of a domain, which the router has dialled and asks about a key: the id of the question. */
struct judge {
    struct peer *peer;
    char id[33];
};

static bool judge_called(struct stage *stage, struct judge *judge)
{
    judge->peer = world_accept(stage->rig->world);
    if (!judge->peer)
        return false;
    say(stage, judge->peer, "<stream:stream" NS " version='1.0' id='judge'><stream:features/>");
    struct span got = peer_received(judge->peer);
    const char *question = memmem(got.ptr, got.size, "<db:verify ", 11);
    assert_non_null(question);
    assert_int_equal(sscanf(strstr(question, "id='"), "id='%32[^']", judge->id), 1);
    return true;
}

static void judge_says(struct stage *stage, const struct judge *judge, const char *theirs, const char *ours,
                       const char *type)
{
    char text[400];
    snprintf(text, sizeof text, "<db:verify from='%s' to='%s' id='%s' type='%s'/>", theirs, ours, judge->id, type);
    say(stage, judge->peer, text);
}

/* The pair becomes one of the stream's. */
static void prove(struct stage *stage, struct peer *peer, const char *theirs, const char *ours)
{
    struct judge judge;
    char text[400];
    snprintf(text, sizeof text, "<db:result from='%s' to='%s'>k</db:result>", theirs, ours);
    say(stage, peer, text);
    assert_true(judge_called(stage, &judge));
    judge_says(stage, &judge, theirs, ours, "valid");
    peer_free(judge.peer);
    snprintf(text, sizeof text, "<db:result from='%s' to='%s' type='valid'/>", ours, theirs);
    assert_true(peer_has(peer, text));
}

static void expect_heard(struct stage *stage, struct peer *peer, const char *from, const char *body)
{
    char text[400];
    snprintf(text, sizeof text, "<message from='%s' to='user0@example.com/orchard'><body>%s</body></message>", from,
             body);
    say(stage, peer, text);
    assert_string_equal(stage->last, body);
}

/* ------------------------------------------------------------------------------------------------ whose word */

/* Whoever is asked about one domain says that a key of another is good; with the right id, which it knows. */
static void judge__of_another_domain__cannot_vouch(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 2; shards++) {
        struct stage stage;
        struct judge net, other;
        stage_open(&stage, shards, config);
        struct peer *peer = stranger(&stage);
        say(&stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
        assert_true(judge_called(&stage, &net));
        say(&stage, peer, "<db:result from='other.example' to='example.com'>k</db:result>");
        assert_true(judge_called(&stage, &other));
        judge_says(&stage, &other, "example.net", "example.com", "valid");
        assert_false(peer_has(peer, "type='valid'"));
        assert_true(peer_has(other.peer, "<invalid-from"));
        say(&stage, peer, "<message from='a@example.net' to='user0@example.com/orchard'><body>x</body></message>");
        assert_int_equal(stage.heard, 0);
        peer_free(net.peer);
        peer_free(other.peer);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* A word of the right server about another of our domains, about another stream, or that is none of the three. */
static void judge__about_another_pair_or_stream__proves_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *ours, *type;
        bool is_other_id;
    } cases[] = {{"example.org", "valid", false},
                 {"example.com", "valid", true},
                 {"example.com", "VALID", false},
                 {"example.com", "error", false},
                 {"example.com", "invalid", false}};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        struct judge judge;
        stage_open(&stage, 1, config);
        struct peer *peer = stranger(&stage);
        say(&stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
        assert_true(judge_called(&stage, &judge));
        if (cases[i].is_other_id)
            judge.id[0] = judge.id[0] == 'a' ? 'b' : 'a';
        judge_says(&stage, &judge, "example.net", cases[i].ours, cases[i].type);
        say(&stage, peer, "<message from='a@example.net' to='user0@example.com/orchard'><body>x</body></message>");
        run(&stage, 31000);
        assert_false(peer_has(peer, "type='valid'"));
        assert_int_equal(stage.heard, 0);
        peer_free(judge.peer);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* RFC 6120 s4.9.3.16: after <reset/> they are strangers again. No word about a key outlives the stream of the key. */
static void reset__and_back__asked_for_the_key_again(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, config);
    for (unsigned i = 0; i < 3; i++) {
        struct peer *peer = stranger(&stage);
        prove(&stage, peer, "example.net", "example.com");
        for (struct s2s *s2s = stage.rig->shards[0].servers; s2s; s2s = s2s->next)
            stream_close(&s2s->stream, STREAM_RESET_ERROR, NULL);
        say(&stage, peer, "</stream:stream>");
        assert_true(peer_has(peer, "<reset"));
        peer_free(peer);
    }
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ pairs, names */

/* Two pairs on one stream; the other two that can be made of the four names were not proven. */
static void pairs__of_one_stream__not_mixed(void **state)
{
    (void)state;
    static const struct {
        const char *says, *answer;
    } cases[] = {
        {"<message from='a@example.net' to='x@example.org'><body>x</body></message>", "<host-unknown"},
        {"<message from='a@other.example' to='user0@example.com'><body>x</body></message>", "<host-unknown"},
        {"<message from='a@example.com' to='user0@example.com'><body>x</body></message>", "<invalid-from"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1 + i % 2, config);
        struct peer *peer = stranger(&stage);
        prove(&stage, peer, "example.net", "example.com");
        prove(&stage, peer, "other.example", "example.org");
        expect_heard(&stage, peer, "a@example.net", "mine");
        unsigned heard = stage.heard;
        say(&stage, peer, cases[i].says);
        if (!peer_has(peer, cases[i].answer))
            fail_msg("%s lacks %s", cases[i].says, cases[i].answer);
        assert_int_equal(stage.heard, heard);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* A stanza with more than one fault is judged by its addresses first. */
static void addresses__bad_beside_another_fault__improper_addressing(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "<iq from='a@example.net' to='' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<iq from='a@example.net' to='@' type='no-type' id='1'/>",
        "<iq from='' to='example.com' type='get'/>",
        "<presence from='a@example.net' to='a b@example.com' type='no-type'/>",
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1, config);
        struct peer *peer = stranger(&stage);
        prove(&stage, peer, "example.net", "example.com");
        say(&stage, peer, cases[i]);
        if (!peer_has(peer, "<improper-addressing"))
            fail_msg("%s: %.*s", cases[i], SPAN_ARG(peer_received(peer)));
        peer_free(peer);
        stage_close(&stage);
    }
}

/* Addresses are compared as prepared: other spellings of a proven domain are it, and what only looks like it is not. */
static void forms__of_a_proven_domain__heard_as_it(void **state)
{
    (void)state;
    static const char *const same[] = {"a@" IDN,
                                       "a@B\xc3\x9c"
                                       "CHER.Example",
                                       "a@xn--bcher-kva.example", "a@" IDN "."};
    static const char *const others[] = {"a@bucher.example", "a@sub." IDN, "a@xn--bcher-kvb.example",
                                         "a@ucher.example"};
    struct stage stage;
    stage_open(&stage, 1, config);
    for (unsigned i = 0; i < sizeof same / sizeof same[0]; i++) {
        char body[8];
        struct peer *peer = stranger(&stage);
        prove(&stage, peer, IDN, "example.com");
        snprintf(body, sizeof body, "n%u", i);
        expect_heard(&stage, peer, same[i], body);
        char text[300];
        unsigned heard = stage.heard;
        snprintf(text, sizeof text, "<message from='%s' to='user0@example.com/orchard'><body>x</body></message>",
                 others[i]);
        say(&stage, peer, text);
        assert_int_equal(stage.heard, heard);
        assert_true(peer_has(peer, "</stream:stream>"));
        peer_free(peer);
    }
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ errors, s2.5 */

#define CONDITION(name) "<error type='cancel'><" name " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

/* An answer to what the judge was asked, of type error with that inside. */
static void judge_errs(struct stage *stage, const struct judge *judge, const char *inside)
{
    char text[500];
    snprintf(text, sizeof text, "<db:verify from='example.net' to='example.com' id='%s' type='error'>%s</db:verify>",
             judge->id, inside);
    say(stage, judge->peer, text);
}

/* What came of asking is told in the terms of XEP-0220 s2.5, and other pairs can still be proven on the stream. */
static void check__that_fails__the_condition_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        const char *theirs, *says, *errs; /* says: instead of an answer; both NULL: nobody is there */
        const char *condition;
    } cases[] = {
        {"nowhere.example", NULL, NULL, "<error type='cancel'><remote-server-not-found"},
        {"refusing.example", NULL, NULL, "<error type='wait'><remote-server-timeout"},
        {"example.net", "</stream:stream>", NULL, "<error type='wait'><remote-server-timeout"},
        {"example.net", "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
         NULL, "<error type='cancel'><remote-server-not-found"},
        {"example.net", NULL, CONDITION("item-not-found"), "<error type='cancel'><remote-server-not-found"},
        {"example.net", NULL, CONDITION("gone"), "<error type='wait'><remote-server-timeout"},
        {"example.net", NULL, "", "<error type='wait'><remote-server-timeout"},
    };
    static const char *const refusing[] = {"s2s.enabled=true", "s2s.tls_required=false",
                                           ROUTES " refusing.example=127.0.0.3:7000", "rig.domain=example.com", NULL};
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        struct judge judge;
        char text[500];
        stage_open(&stage, 1 + i % 2, refusing);
        struct peer *peer = stranger(&stage);
        snprintf(text, sizeof text, "<db:result from='%s' to='example.com'>k</db:result>", cases[i].theirs);
        say(&stage, peer, text);
        if (cases[i].says || cases[i].errs) {
            assert_true(judge_called(&stage, &judge));
            if (cases[i].says)
                say(&stage, judge.peer, cases[i].says);
            else
                judge_errs(&stage, &judge, cases[i].errs);
            peer_free(judge.peer);
        }
        run(&stage, 100);
        if (!peer_has(peer, cases[i].condition))
            fail_msg("case %u: %.*s lacks %s", i, SPAN_ARG(peer_received(peer)), cases[i].condition);
        assert_false(peer_has(peer, "</stream:stream>"));
        prove(&stage, peer, "other.example", "example.com");
        expect_heard(&stage, peer, "a@other.example", "other");
        peer_free(peer);
        stage_close(&stage);
    }
}

/* s2.2.1: "invalid" ends a stream, so it is said of the first pair alone. */
static void check__invalid_beside_a_proven_pair__forbidden_and_the_stream_goes_on(void **state)
{
    (void)state;
    struct stage stage;
    struct judge judge;
    stage_open(&stage, 1, config);
    struct peer *peer = stranger(&stage);
    prove(&stage, peer, "example.net", "example.com");
    say(&stage, peer, "<db:result from='other.example' to='example.com'>k</db:result>");
    assert_true(judge_called(&stage, &judge));
    judge_says(&stage, &judge, "other.example", "example.com", "invalid");
    assert_true(peer_has(peer, "<error type='auth'><forbidden"));
    assert_false(peer_has(peer, "'invalid'"));
    expect_heard(&stage, peer, "a@example.net", "still");
    say(&stage, peer, "<message from='a@other.example' to='user0@example.com/orchard'><body>x</body></message>");
    assert_string_equal(stage.last, "still");
    assert_true(peer_has(peer, "<invalid-from"));
    peer_free(judge.peer);
    peer_free(peer);
    stage_close(&stage);
}

/* Where TLS is required, or a certificate, a key is answered with the reason; that is no end of the stream. */
static void key__against_the_policy__an_error_and_no_end(void **state)
{
    (void)state;
    static char certificate[RIG_SETTING_SIZE];
    (void)rig_certs(certificate, "rig.certificate", "a");
    const char *const secure[] = {"s2s.enabled=true", ROUTES, certificate, NULL};
    const char *const pkix[] = {PLAIN, "rig.domain=example.com", "s2s.policy=pkix", NULL};
    const char *const *const configs[] = {secure, pkix};
    static const char *const conditions[] = {"<error type='modify'><policy-violation",
                                             "<error type='auth'><not-authorized"};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        stage_open(&stage, 1, configs[i]);
        struct peer *peer = stranger(&stage);
        say(&stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
        assert_true(peer_has(peer, conditions[i]));
        assert_false(peer_has(peer, "</stream:stream>"));
        assert_null(world_accept(stage.rig->world));
        say(&stage, peer, "<db:verify from='example.net' to='example.com' id='1'>k</db:verify>");
        assert_true(peer_has(peer, i ? "type='invalid'"
                                     : "<db:verify from='example.com' to='example.net' id='1' type='error'>"));
        say(&stage, peer, "<message from='a@example.net' to='user0@example.com/orchard'><body>x</body></message>");
        assert_true(peer_has(peer, "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'"));
        assert_int_equal(stage.heard, 0);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ multiplexing */

/* Several pairs on one stream, with and without <bidi/>: all are heard. With it the first is spoken to there; for any
 * other the router opens a stream of its own, and uses no stream that was opened for another pair. */
static void pairs__many_on_one_stream__heard_and_the_first_is_spoken_to(void **state)
{
    (void)state;
    for (unsigned is_bidi = 0; is_bidi < 2; is_bidi++) {
        struct stage stage;
        stage_open(&stage, 1, config);
        struct peer *peer = stranger(&stage);
        if (is_bidi)
            say(&stage, peer, "<bidi xmlns='urn:xmpp:bidi'/>");
        prove(&stage, peer, "example.net", "example.com");
        prove(&stage, peer, "other.example", "example.com");
        prove(&stage, peer, "example.net", "example.org");
        prove(&stage, peer, IDN, "example.com");
        expect_heard(&stage, peer, "a@example.net", "one");
        expect_heard(&stage, peer, "a@other.example", "two");
        expect_heard(&stage, peer, "a@" IDN, "three");
        actor_send(&stage.romeo, "<message to='a@example.net' id='1'><body>back one</body></message>");
        actor_send(&stage.romeo, "<message to='a@other.example' id='2'><body>back two</body></message>");
        run(&stage, 50);
        assert_int_equal(peer_has(peer, "back one"), is_bidi);
        assert_false(peer_has(peer, "back two"));
        for (unsigned i = is_bidi; i < 2; i++) {
            struct peer *dialled = world_accept(stage.rig->world);
            assert_non_null(dialled);
            peer_free(dialled);
        }
        assert_null(world_accept(stage.rig->world));
        peer_free(peer);
        stage_close(&stage);
    }
}

/* s2.1.2, s2.2.2: a question about our key may come on any stream, proven or not, of either direction. */
static void verify__on_any_stream__answered(void **state)
{
    (void)state;
    struct stage stage;
    char question[400], key[65];
    stage_open(&stage, 1, config);
    actor_send(&stage.romeo, "<message to='a@example.net' id='1'><body>x</body></message>");
    run(&stage, 50);
    struct peer *dialled = world_accept(stage.rig->world), *peer = stranger(&stage), *fresh = stranger(&stage);
    assert_non_null(dialled);
    say(&stage, dialled,
        "<stream:stream" NS " version='1.0' id='ours'><stream:features><bidi xmlns='urn:xmpp:features:bidi'/>"
        "</stream:features>");
    struct span got = peer_received(dialled);
    const char *start = memmem(got.ptr, got.size, "to='example.net'>", 17);
    assert_non_null(start);
    snprintf(key, sizeof key, "%.64s", start + 17);
    prove(&stage, peer, "other.example", "example.com");
    snprintf(question, sizeof question, "<db:verify from='example.net' to='example.com' id='ours'>%s</db:verify>", key);
    struct peer *const all[] = {dialled, peer, fresh};
    for (unsigned i = 0; i < 3; i++) {
        say(&stage, all[i], question);
        assert_true(peer_has(all[i], "<db:verify from='example.com' to='example.net' id='ours' type='valid'/>"));
    }
    /* XEP-0288 s2.2: they may ask to be let in on the stream that we opened, and are told that this is not done here:
     * the id that such a key would be made of is of their own choice. */
    say(&stage, dialled, "<db:result from='example.net' to='example.com' type='valid'/>");
    say(&stage, dialled, "<db:result from='other.example' to='example.com'>k</db:result>");
    assert_true(peer_has(dialled, "<feature-not-implemented"));
    assert_false(peer_has(dialled, "</stream:stream>"));
    for (unsigned i = 0; i < 3; i++)
        peer_free(all[i]);
    stage_close(&stage);
}

/* Who asks and does not read is not read, so what is to be said to it has a bound. */
static void answers__that_are_not_read__bounded(void **state)
{
    (void)state;
    for (unsigned is_proven = 0; is_proven < 2; is_proven++) {
        struct stage stage;
        stage_open(&stage, 1, config);
        struct peer *peer = stranger(&stage);
        if (is_proven)
            prove(&stage, peer, "example.net", "example.com");
        peer_take(peer, peer_received(peer).size);
        peer_set_window(peer, 0);
        size_t most = 0;
        for (unsigned i = 0; i < 20000; i++) {
            peer_send(peer, SPAN("<db:verify from='example.net' to='example.com' id='1'>k</db:verify>"));
            if (i % 100 == 0)
                world_settle(stage.rig->world, 1000);
            for (const struct stream *stream = stage.rig->shards[0].streams; stream; stream = stream->next)
                most = stream->out.size > most ? stream->out.size : most;
        }
        assert_true(most < 2 * stage.rig->policy->config->limits_queue_soft);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ TLS in between */

static const char *const *tls_config(void)
{
    static char certificate[RIG_SETTING_SIZE];
    static const char *list[] = {"s2s.enabled=true", "s2s.tls_required=false", ROUTES, certificate, NULL};
    (void)rig_certs(certificate, "rig.certificate", "a");
    return list;
}

static void start_tls(struct stage *stage, struct caller *caller)
{
    caller_forget(caller);
    caller_say_text(caller, STARTTLS);
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<proceed"));
    assert_true(caller_start_tls(caller));
    caller_forget(caller);
    caller_say_text(caller, HEADER);
    caller_wait(caller, 50);
    actor_poll(&stage->romeo);
    assert_true(caller_has_heard(caller, "<stream:features>"));
}

/* What was said in plain text is nobody's under TLS: neither a key for the stream before it, though its own server says
 * that it is good, nor <bidi/>. */
static void plain_text__key_and_bidi_before_starttls__forgotten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        struct caller caller;
        struct judge judge;
        stage_open(&stage, 1, tls_config());
        caller_open_from(&caller, stage.rig, 0, LISTEN_S2S, "192.0.2.1");
        caller_say_text(&caller, HEADER);
        caller_run(&caller);
        caller_say_text(&caller, i ? "<bidi xmlns='urn:xmpp:bidi'/>"
                                   : "<db:result from='example.net' to='example.com'>k</db:result>");
        caller_run(&caller);
        start_tls(&stage, &caller);
        if (i)
            caller_say_text(&caller, "<db:result from='example.net' to='example.com'>k</db:result>");
        caller_wait(&caller, 50);
        assert_true(judge_called(&stage, &judge));
        judge_says(&stage, &judge, "example.net", "example.com", "valid");
        caller_wait(&caller, 50);
        assert_int_equal(caller_has_heard(&caller, "type='valid'"), i);
        caller_forget(&caller);
        caller_say_text(&caller,
                        "<message from='a@example.net' to='user0@example.com/orchard'><body>y</body></message>");
        caller_wait(&caller, 50);
        actor_poll(&stage.romeo);
        assert_string_equal(stage.last, i ? "y" : "");
        actor_send(&stage.romeo, "<message to='a@example.net' id='1'><body>back</body></message>");
        caller_wait(&caller, 50);
        assert_false(caller_has_heard(&caller, "back"));
        peer_free(judge.peer);
        caller_close(&caller);
        stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judge__of_another_domain__cannot_vouch),
        cmocka_unit_test(judge__about_another_pair_or_stream__proves_nothing),
        cmocka_unit_test(reset__and_back__asked_for_the_key_again),
        cmocka_unit_test(pairs__of_one_stream__not_mixed),
        cmocka_unit_test(addresses__bad_beside_another_fault__improper_addressing),
        cmocka_unit_test(forms__of_a_proven_domain__heard_as_it),
        cmocka_unit_test(check__that_fails__the_condition_of_the_specification),
        cmocka_unit_test(check__invalid_beside_a_proven_pair__forbidden_and_the_stream_goes_on),
        cmocka_unit_test(key__against_the_policy__an_error_and_no_end),
        cmocka_unit_test(pairs__many_on_one_stream__heard_and_the_first_is_spoken_to),
        cmocka_unit_test(verify__on_any_stream__answered),
        cmocka_unit_test(answers__that_are_not_read__bounded),
        cmocka_unit_test(plain_text__key_and_bidi_before_starttls__forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
