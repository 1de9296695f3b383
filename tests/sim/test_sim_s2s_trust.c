/* SPDX-License-Identifier: MIT */
/* Who is trusted, and by whose word: dialback and certificates where they meet, and the forms of names. */
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
    snprintf(stage->romeo.resource, sizeof stage->romeo.resource, "orchard");
    assert_true(actor_bind(&stage->romeo, 0));
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
    for (unsigned i = 0; i < stage->rig->shard_count; i++) {
        shard_drain(&stage->rig->shards[i]);
        io_notify(stage->rig->shards[i].io);
    }
    run(stage, 20000);
    actor_fini(&stage->romeo);
    rig_free(stage->rig);
}

static bool has(const struct peer *peer, const char *text)
{
    struct span got = peer_received(peer);
    return got.size && memmem(got.ptr, got.size, text, strlen(text));
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
    assert_true(has(peer, "<stream:features>"));
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
    assert_true(has(peer, text));
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
        assert_false(has(peer, "type='valid'"));
        assert_true(has(other.peer, "<invalid-from"));
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
        assert_false(has(peer, "type='valid'"));
        assert_int_equal(stage.heard, 0);
        peer_free(judge.peer);
        peer_free(peer);
        stage_close(&stage);
    }
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
        if (!has(peer, cases[i].answer))
            fail_msg("%s lacks %s", cases[i].says, cases[i].answer);
        assert_int_equal(stage.heard, heard);
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
        assert_true(has(peer, "</stream:stream>"));
        peer_free(peer);
    }
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ TLS in between */

static const char *const *tls_config(void)
{
    static char certificate[600];
    static const char *list[] = {"s2s.enabled=true", "s2s.tls_required=false", ROUTES, certificate, NULL};
    snprintf(certificate, sizeof certificate, "rig.certificate=%s/a", getenv("SL_TEST_CERTS"));
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
        cmocka_unit_test(pairs__of_one_stream__not_mixed),
        cmocka_unit_test(forms__of_a_proven_domain__heard_as_it),
        cmocka_unit_test(plain_text__key_and_bidi_before_starttls__forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
