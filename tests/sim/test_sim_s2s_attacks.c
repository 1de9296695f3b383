/* SPDX-License-Identifier: MIT */
/* A server that means harm: whatever it says and wherever it stops, the router goes on, trusts nothing, keeps nothing.
 */
#include "router/s2s/contact.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define OPEN   "s2s.enabled=true", "s2s.tls_required=false"
#define ROUTES "s2s.routes=example.net=127.0.0.3:6000 evil.example=127.0.0.3:6000 xn--bcher-kva.example=127.0.0.3:6000"
static const char *const config[] = {OPEN, ROUTES, "rig.domain=example.com", NULL};

#define NS       " xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'"
#define HEADER   "<stream:stream" NS " version='1.0' from='example.net' to='example.com'>"
#define ANSWER   "<stream:stream" NS " version='1.0' id='i' from='example.net' to='example.com'>"
#define FEATURES "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
#define BIDI                                                                                                           \
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/>"            \
    "</stream:features>"
#define LETS_IN "<db:result from='example.net' to='example.com' type='valid'/>"

struct heard {
    unsigned count, errors;
    char error[64], last[256];
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct heard *heard = actor->context;
    char room[256];
    uint32_t body = xml_child_named(stanza, 0, NS_CLIENT, "body");
    heard->count++;
    if (body != XML_NOWHERE)
        snprintf(heard->last, sizeof heard->last, "%.*s", SPAN_ARG(xml_text(stanza, body, room, sizeof room)));
    heard->errors += actor_condition(stanza, heard->error);
}

struct stage {
    struct rig *rig;
    struct actor romeo; /* user0@example.com/orchard */
    struct heard heard;
};

static void stage_open(struct stage *stage, uint64_t seed, const struct world_chaos *chaos, unsigned shards,
                       const char *const *overrides)
{
    memset(stage, 0, sizeof *stage);
    stage->rig = rig_new(seed, shards, chaos, 1, overrides);
    world_set_far(stage->rig->world, 6000, FAR_ACCEPTS);
    actor_init(&stage->romeo, stage->rig, 0, keep, &stage->heard);
    actor_enter(&stage->romeo, "orchard", 0);
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->rig, ms);
    actor_poll(&stage->romeo);
}

static unsigned contacts(const struct stage *stage)
{
    unsigned count = 0;
    for (unsigned i = 0; i < stage->rig->shard_count; i++)
        count += contact_count(&stage->rig->shards[i]);
    return count;
}

static void stage_close(struct stage *stage)
{
    struct actor *const actors[] = {&stage->romeo};
    actor_close_all(actors, 1, stage->rig, NULL);
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

static void romeo_says(struct stage *stage, const char *to)
{
    actor_send(&stage->romeo, "<message to='%s' type='chat' id='1'><body>x</body></message>", to);
    run(stage, 50);
}

/* The router dials example.net, which the test plays. */
static struct peer *dialled(struct stage *stage)
{
    romeo_says(stage, "juliet@example.net");
    struct peer *peer = world_accept(stage->rig->world);
    assert_non_null(peer);
    return peer;
}

/* ... and is let in. */
static struct peer *let_in(struct stage *stage, const char *features)
{
    struct peer *peer = dialled(stage);
    say(stage, peer, ANSWER);
    say(stage, peer, features);
    assert_true(peer_has(peer, "<db:result "));
    say(stage, peer, LETS_IN);
    assert_true(peer_has(peer, "juliet@example.net"));
    return peer;
}

static char *repeat(const char *before, const char *what, unsigned times, const char *after)
{
    char *text = malloc(strlen(before) + times * strlen(what) + strlen(after) + 1);
    assert_non_null(text);
    strcpy(text, before);
    for (unsigned i = 0; i < times; i++)
        strcat(text, what);
    return strcat(text, after);
}

/* ------------------------------------------------------------------------------------------------ out of place */

/* Answers that nobody asked for (CVE-2012-3525 and its like), and words of the other role. */
static void stranger__answers_and_words_of_the_other_role__refused(void **state)
{
    (void)state;
    static const char *const words[] = {
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<stream:features/>",
        "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<db:result from='example.net' to='example.com' type='valid'/>",
        "<db:result from='example.com' to='example.net' type='valid'/>",
        "<db:verify from='example.net' to='example.com' id='i' type='valid'/>",
        "<db:verify from='example.com' to='example.net' id='i' type='valid'/>",
        "<db:verify from='example.net' to='example.com' type='error'/>",
    };
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct peer *peer = stranger(&stage);
        say(&stage, peer, words[i]);
        say(&stage, peer, "<message from='a@example.net' to='user0@example.com/orchard'><body>x</body></message>");
        if (!peer_has(peer, "</stream:stream>"))
            fail_msg("%s: %.*s", words[i], SPAN_ARG(peer_received(peer)));
        peer_free(peer);
    }
    assert_int_equal(stage.heard.count, 0);
    stage_close(&stage);
}

/* The key is for us; the answer about somebody else, twice, or of SASL proves nothing. */
static void dialled__answers_that_were_not_asked__refused(void **state)
{
    (void)state;
    static const char *const words[] = {
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
        "<db:result from='evil.example' to='example.com' type='valid'/>",
        "<db:result from='example.net' to='evil.example' type='valid'/>",
        "<db:result from='example.net' to='example.com' type='invalid'/>",
        "<db:result from='example.net' to='example.com' type='error'/>",
        "<message from='a@example.net' to='user0@example.com/orchard'><body>x</body></message>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
    };
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1, config);
        struct peer *peer = dialled(&stage);
        say(&stage, peer, ANSWER BIDI);
        say(&stage, peer, words[i]);
        if (!peer_has(peer, "</stream:stream>") || peer_has(peer, "<message"))
            fail_msg("%s: %.*s", words[i], SPAN_ARG(peer_received(peer)));
        run(&stage, 100);
        bool is_invalid = strstr(words[i], "'invalid'") != NULL; /* XEP-0220 s2.1.1 */
        assert_string_equal(stage.heard.error, is_invalid ? "internal-server-error" : "remote-server-timeout");
        peer_free(peer);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ sizes */

static void ids__longer_than_a_key_takes__refused(void **state)
{
    (void)state;
    static const unsigned sizes[] = {255, 256, 257, 1000, 4000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1, config);
        char *text = repeat("<db:verify from='example.net' to='example.com' id='", "i", sizes[i], "'>k</db:verify>");
        struct peer *peer = stranger(&stage);
        say(&stage, peer, text);
        assert_true(peer_has(peer, sizes[i] <= 256 ? "type='invalid'" : "<improper-addressing"));
        free(text);
        text = repeat("<stream:stream" NS " version='1.0' from='example.net' id='", "i", sizes[i], "'>" FEATURES);
        struct peer *server = dialled(&stage);
        say(&stage, server, text);
        assert_true(peer_has(server, sizes[i] <= 256 ? "<db:result" : "<policy-violation"));
        free(text);
        peer_free(peer);
        peer_free(server);
        run(&stage, 100);
        stage_close(&stage);
    }
}

static void domains__as_long_as_they_may_be__keys_of_all(void **state)
{
    (void)state;
    char label[64], domain[300] = "", text[2000];
    memset(label, 'a', 63);
    label[63] = '\0';
    for (unsigned i = 0; i < 3; i++)
        strcat(strcat(domain, label), ".");
    strcat(domain, "example");
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    struct peer *peer = stranger(&stage);
    snprintf(text, sizeof text, "<db:verify from='%s' to='example.com' id='i'>k</db:verify>", domain);
    say(&stage, peer, text);
    assert_true(peer_has(peer, "type='invalid'"));
    snprintf(text, sizeof text, "<db:result from='%s' to='example.com'>k</db:result>", domain);
    say(&stage, peer, text);
    assert_true(peer_has(peer, "type='error'") || peer_has(peer, "type='invalid'"));
    peer_free(peer);
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ checks */

/* Nine keys at once: eight are looked into. */
static void keys__more_than_eight_at_once__resource_constraint(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    struct peer *peer = stranger(&stage);
    for (unsigned i = 0; i < 8; i++)
        say(&stage, peer, "<db:result from='evil.example' to='example.com'>k</db:result>");
    assert_int_equal(contacts(&stage), 8);
    assert_false(peer_has(peer, "<resource-constraint"));
    say(&stage, peer, "<db:result from='evil.example' to='example.com'>k</db:result>");
    assert_true(peer_has(peer, "<resource-constraint"));
    assert_int_equal(contacts(&stage), 8);
    peer_reset(peer);
    for (struct peer *own; (own = world_accept(stage.rig->world));)
        peer_free(own);
    run(&stage, 40000);
    assert_int_equal(contacts(&stage), 0);
    peer_free(peer);
    stage_close(&stage);
}

/* The domain's own server says nothing, or that there is a conflict: the check ends in its time all the same. */
static void check__own_server_stalls__over_within_the_time(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        ANSWER FEATURES,
        ANSWER "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        ANSWER FEATURES "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        ANSWER FEATURES "<db:verify from='example.net' to='example.com' id='another' type='valid'/>",
        ANSWER FEATURES "<db:result from='example.net' to='example.com' type='valid'/>",
    };
    for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1 + i % 2, config);
        struct peer *peer = stranger(&stage);
        say(&stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
        struct peer *own = world_accept(stage.rig->world);
        assert_non_null(own);
        say(&stage, own, answers[i]);
        run(&stage, 31000);
        assert_int_equal(contacts(&stage), 0);
        assert_false(peer_has(peer, "type='valid'"));
        peer_free(own);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* Whoever sent the key is gone when its answer comes. */
static void check__asker_is_gone__answer_is_nobodys(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    struct peer *peer = stranger(&stage);
    say(&stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
    struct peer *own = world_accept(stage.rig->world);
    assert_non_null(own);
    say(&stage, own, ANSWER FEATURES);
    assert_true(peer_has(own, "<db:verify "));
    struct span got = peer_received(own);
    char text[300];
    const char *id = strstr(memmem(got.ptr, got.size, "<db:verify ", 11), "id='") + 4;
    snprintf(text, sizeof text, "<db:verify from='example.net' to='example.com' id='%.32s' type='valid'/>", id);
    peer_reset(peer);
    run(&stage, 50);
    say(&stage, own, text);
    assert_int_equal(contacts(&stage), 0);
    peer_free(own);
    peer_free(peer);
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ swap of namespaces
 */

#define TWINS "xmlns:a='jabber:client' xmlns:b='jabber:server' a:k='1' b:k='2'"

static void twins__attributes_that_would_be_one__not_acceptable(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    struct peer *peer = let_in(&stage, BIDI);
    actor_send(&stage.romeo, "<message to='juliet@example.net' id='t' " TWINS "><body>one</body></message>");
    run(&stage, 50);
    assert_string_equal(stage.heard.error, "not-acceptable");
    stage.heard.error[0] = '\0';
    actor_send(&stage.romeo,
               "<message to='juliet@example.net' id='t'><body>two</body><x xmlns='urn:x'><y " TWINS "/></x></message>");
    run(&stage, 50);
    assert_string_equal(stage.heard.error, "not-acceptable");
    assert_false(peer_has(peer, "one") || peer_has(peer, "two"));
    actor_send(&stage.romeo, "<message to='juliet@example.net' id='t' xmlns:a='jabber:client' xmlns:b='jabber:server' "
                             "a:k='1' b:l='2' k='3'><body>three</body></message>");
    run(&stage, 50);
    assert_true(peer_has(peer, "three"));
    unsigned count = stage.heard.count;
    say(&stage, peer,
        "<message from='juliet@example.net' to='user0@example.com/orchard' id='u' " TWINS
        "><body>four</body></message>");
    assert_int_equal(stage.heard.count, count);
    assert_true(peer_has(peer, "<not-acceptable"));
    peer_free(peer);
    stage_close(&stage);
}

/* With xml.namespace_errors = stanza what is misnamed costs another server the stanza too, not the stream; what is no
 * stanza between servers, jabber:client's among them, has no end that could be trusted. */
static void misnamed__from_another_server__answered_or_the_end(void **state)
{
    (void)state;
    static const char *const sparing[] = {OPEN, ROUTES, "rig.domain=example.com", "xml.namespace_errors=stanza", NULL};
    static const struct {
        const char *says, *answer;
    } cases[] = {
        {"<message from='juliet@example.net' to='user0@example.com' id='m'><x:y/></message>", "<not-acceptable"},
        {"<message from='juliet@evil.example' to='user0@example.com'><x:y/></message>", "<invalid-from"},
        {"<message to='user0@example.com'><x:y/></message>", "<improper-addressing"},
        {"<message xmlns='jabber:client' from='juliet@example.net' to='user0@example.com'><x:y/></message>",
         "<not-well-formed"},
        {"<z xmlns='urn:z'><x:y/></z>", "<not-well-formed"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1, sparing);
        struct peer *peer = let_in(&stage, BIDI);
        unsigned count = stage.heard.count;
        say(&stage, peer, cases[i].says);
        if (!peer_has(peer, cases[i].answer))
            fail_msg("%s lacks %s", cases[i].says, cases[i].answer);
        assert_int_equal(stage.heard.count, count);
        assert_int_equal(peer_has(peer, "</stream:stream>"), i > 0);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ time */

static const char *const quick_idle[] = {
    OPEN, ROUTES, "rig.domain=example.com", "s2s.idle=60s", "timeouts.idle=20s", "timeouts.answer=10s", NULL};
static const char *const never_idle[] = {
    OPEN, ROUTES, "rig.domain=example.com", "s2s.idle=0", "timeouts.idle=20s", "timeouts.answer=10s", NULL};

static void idle__stream_that_we_opened__closed_after_its_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1, quick_idle);
        struct peer *peer = let_in(&stage, i ? BIDI : FEATURES);
        for (unsigned second = 0; second < 58; second++) {
            peer_send(peer, SPAN(" "));
            actor_send(&stage.romeo, " ");
            run(&stage, 1000);
        }
        assert_false(peer_has(peer, "</stream:stream>"));
        run(&stage, 4000);
        assert_true(peer_has(peer, "</stream:stream>"));
        assert_false(peer_has(peer, "<stream:error"));
        /* What was under way when we closed still arrives, where they may speak at all. */
        say(&stage, peer,
            "<message from='juliet@example.net' to='user0@example.com/orchard'><body>late</body></message>");
        assert_string_equal(stage.heard.last, i ? "late" : "");
        peer_free(peer);
        peer = let_in(&stage, FEATURES); /* the next stanza dials again */
        peer_free(peer);
        stage_close(&stage);
    }
}

static void silent__peer_with_both_directions__asked_then_given_up(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, never_idle);
    struct peer *peer = let_in(&stage, BIDI);
    run(&stage, 21000);
    assert_true(peer_has(peer, "<ping xmlns='urn:xmpp:ping'/>"));
    peer_send(peer, SPAN("<iq type='result' id='silence' from='example.net' to='example.com'/>"));
    run(&stage, 15000);
    assert_false(peer_has(peer, "</stream:stream>"));
    run(&stage, 16000);
    assert_true(peer_has(peer, "<connection-timeout"));
    peer_free(peer);
    stage_close(&stage);
}

static void silent__peer_with_one_direction__left_alone(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, never_idle);
    struct peer *peer = let_in(&stage, FEATURES);
    run(&stage, 200000);
    assert_false(peer_has(peer, "</stream:stream>"));
    assert_false(peer_has(peer, "urn:xmpp:ping"));
    peer_free(peer);
    stage_close(&stage);
}

/* A peer that stops anywhere, without a word: every phase has an end, and the connection goes. */
static void stalls__at_each_step__closed_in_time(void **state)
{
    (void)state;
    static const char *const until[] = {"", "<stream:stream", ANSWER, ANSWER FEATURES, ANSWER BIDI};
    for (unsigned i = 0; i < sizeof until / sizeof until[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1, config);
        struct peer *peer = dialled(&stage);
        say(&stage, peer, until[i]);
        run(&stage, 31000);
        assert_string_equal(stage.heard.error, "remote-server-timeout");
        assert_int_equal(contacts(&stage), 0);
        run(&stage, 10000);
        assert_true(peer_is_closed(peer));
        peer_free(peer);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ breaks */

/* Conversation of a server with both roles, cut by a reset behind each of its bytes. */
static void cut(const char *conversation, size_t at, bool dials, unsigned shards)
{
    /* No handoff fails: nothing is proven here, so the only one would be romeo's when he logs in. */
    static const struct world_chaos chaos = {.delay = true};
    struct stage stage;
    stage_open(&stage, at + 1, &chaos, shards, config);
    struct peer *peer = dials ? dialled(&stage) : peer_connect_to(stage.rig->group, 0, LISTEN_S2S);
    peer_send(peer, span_of(conversation, at));
    run(&stage, 20);
    if (at % 2)
        peer_reset(peer);
    else
        peer_end(peer);
    run(&stage, 45000);
    assert_int_equal(contacts(&stage), 0);
    assert_int_equal(rig_balance(stage.rig), 0);
    peer_free(peer);
    for (struct peer *other; (other = world_accept(stage.rig->world));)
        peer_free(other);
    stage_close(&stage);
}

static void cut__behind_every_byte__books_balance(void **state)
{
    (void)state;
    static const char out[] = ANSWER BIDI LETS_IN
        "<message from='juliet@example.net' to='nobody@example.com' id='1'><body>hi</body></message></stream:stream>";
    static const char in[] = HEADER "<bidi xmlns='urn:xmpp:bidi'/><db:result from='example.net' to='example.com'>k"
                                    "</db:result><db:verify from='example.net' to='example.com' id='1'>k</db:verify>";
    const char *every = getenv("SL_SEEDS");
    size_t step = every ? 1 : 3;
    for (size_t i = 0; i < sizeof out; i += step)
        cut(out, i, true, 1 + (unsigned)(i / step % 3));
    for (size_t i = 0; i < sizeof in; i += step)
        cut(in, i, false, 1 + (unsigned)(i / step % 3));
}

/* The stream is proven, has answered nothing yet, and breaks with stanzas behind that answer: they come back. */
static void unsent__behind_a_dialback_answer__returned(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    struct peer *peer = let_in(&stage, BIDI);
    peer_take(peer, peer_received(peer).size);
    peer_set_window(peer, 0);
    char *filler = repeat("<message to='juliet@example.net' id='f'><body>", "0123456789", 600, "</body></message>");
    for (unsigned i = 0; i < 3; i++)
        actor_send(&stage.romeo, "%s", filler);
    run(&stage, 50);
    peer_send(peer, SPAN("<db:verify from='example.net' to='example.com' id='1'>k</db:verify>"));
    run(&stage, 50);
    romeo_says(&stage, "last@example.net");
    unsigned errors = stage.heard.errors;
    peer_reset(peer);
    run(&stage, 100);
    assert_true(stage.heard.errors > errors); /* the last one at least was not under way */
    free(filler);
    peer_free(peer);
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ budgets */

static void budget__domain_after_domain__refused_without_a_pair(void **state)
{
    (void)state;
    static const char *const few[] = {OPEN, ROUTES, "rig.domain=example.com", "s2s.dials_per_user=5", NULL};
    struct stage stage;
    char to[64];
    stage_open(&stage, 1, NULL, 1, few);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(to, sizeof to, "a@d%u.example", i);
        romeo_says(&stage, to);
    }
    assert_int_equal(stage.heard.errors, 20);
    assert_string_equal(stage.heard.error, "resource-constraint");
    assert_int_equal(stage.rig->shards[0].pair_count, 5);
    run(&stage, 61000);
    romeo_says(&stage, "a@other.example");
    assert_string_equal(stage.heard.error, "remote-server-not-found");
    stage_close(&stage);
}

/* Forms of one domain are one pair; what is no domain is refused to the sender. */
static void domains__in_every_form__one_pair(void **state)
{
    (void)state;
    static const char *const forms[] = {"a@b\xc3\xbc"
                                        "cher.example",
                                        "a@B\xc3\x9c"
                                        "CHER.example",
                                        "a@b\xc3\xbc"
                                        "cher.example.",
                                        "a@xn--bcher-kva.example",
                                        "a@bu\xcc\x88"
                                        "cher.example"};
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++)
        romeo_says(&stage, forms[i]);
    assert_int_equal(stage.rig->shards[0].pair_count, 1);
    struct peer *peer = world_accept(stage.rig->world);
    assert_non_null(peer);
    assert_null(world_accept(stage.rig->world));
    peer_free(peer);
    run(&stage, 100);
    /* Addresses that DNS rules forbid are forbidden as literals too. */
    romeo_says(&stage, "a@127.0.0.1");
    assert_string_equal(stage.heard.error, "remote-server-not-found");
    romeo_says(&stage, "a@[::1]");
    assert_string_equal(stage.heard.error, "remote-server-not-found");
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ changes */

static void reload__stricter_policy__ends_what_was_proven_otherwise(void **state)
{
    (void)state;
    static const char *const strict[] = {"s2s.enabled=true", ROUTES, "rig.domain=example.com", NULL};
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, config);
    struct peer *peer = let_in(&stage, BIDI);
    rig_reload(stage.rig, config);
    run(&stage, 15000);
    assert_false(peer_has(peer, "</stream:stream>"));
    rig_reload(stage.rig, strict);
    run(&stage, 15000);
    assert_true(peer_has(peer, "<reset"));
    peer_free(peer);
    stage_close(&stage);
}

/* The shard ends in whatever state its pairs and contacts are. */
static void drain__with_contacts_and_pairs__ends_in_time(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1 + i % 2, config);
        if (i == 4)
            world_set_far(stage.rig->world, 6000, FAR_SILENT);
        romeo_says(&stage, "juliet@example.net");
        struct peer *peer = world_accept(stage.rig->world);
        assert_true((peer != NULL) == (i != 4));
        if (i == 1)
            say(&stage, peer, ANSWER);
        if (i == 2)
            say(&stage, peer, ANSWER FEATURES);
        if (i == 3)
            say(&stage, peer, ANSWER BIDI LETS_IN);
        stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stranger__answers_and_words_of_the_other_role__refused),
        cmocka_unit_test(dialled__answers_that_were_not_asked__refused),
        cmocka_unit_test(ids__longer_than_a_key_takes__refused),
        cmocka_unit_test(domains__as_long_as_they_may_be__keys_of_all),
        cmocka_unit_test(keys__more_than_eight_at_once__resource_constraint),
        cmocka_unit_test(check__own_server_stalls__over_within_the_time),
        cmocka_unit_test(check__asker_is_gone__answer_is_nobodys),
        cmocka_unit_test(twins__attributes_that_would_be_one__not_acceptable),
        cmocka_unit_test(misnamed__from_another_server__answered_or_the_end),
        cmocka_unit_test(idle__stream_that_we_opened__closed_after_its_time),
        cmocka_unit_test(silent__peer_with_both_directions__asked_then_given_up),
        cmocka_unit_test(silent__peer_with_one_direction__left_alone),
        cmocka_unit_test(stalls__at_each_step__closed_in_time),
        cmocka_unit_test(cut__behind_every_byte__books_balance),
        cmocka_unit_test(unsent__behind_a_dialback_answer__returned),
        cmocka_unit_test(budget__domain_after_domain__refused_without_a_pair),
        cmocka_unit_test(domains__in_every_form__one_pair),
        cmocka_unit_test(reload__stricter_policy__ends_what_was_proven_otherwise),
        cmocka_unit_test(drain__with_contacts_and_pairs__ends_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
