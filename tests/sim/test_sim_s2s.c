/* SPDX-License-Identifier: MIT */
/* Two routers in one world that speak to each other: negotiation, routing both ways, failures, order and the books. */
#include "router/stream/stream.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define HOME_ROUTES "s2s.routes=example.net=127.0.0.2:5269"
#define AWAY_ROUTES "s2s.routes=example.com=127.0.0.1:5269"

struct heard {
    unsigned count;
    char last[512];
    char error[64];
    unsigned errors;
    int next; /* of numbered messages */
    bool is_jumbled;
};

/* "n 17": the number, or -1. */
static int number_of(const char *text)
{
    int number = -1;
    sscanf(text, "n %d", &number);
    return number;
}

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct heard *heard = actor->context;
    char room[256];
    uint32_t child = xml_child(stanza, 0);
    struct span text = child == XML_NOWHERE ? SPAN("") : xml_text(stanza, child, room, sizeof room);
    heard->count++;
    snprintf(heard->last, sizeof heard->last, "%.*s", SPAN_ARG(text));
    if (number_of(heard->last) >= 0 && heard->last[0] == 'n') {
        heard->is_jumbled |= number_of(heard->last) != heard->next;
        heard->next++;
    }
    heard->errors += actor_condition(stanza, heard->error);
}

struct stage {
    struct rig *home, *away;
    struct actor romeo, juliet; /* user0@example.com, user0@example.net */
    struct heard romeo_heard, juliet_heard;
};

/* As the configuration of home says who is who: example.com and example.net, or with certificates a.example and
 * b.example. */
static void stage_open(struct stage *stage, uint64_t seed, const struct world_chaos *chaos, unsigned shards,
                       const char *const *home, const char *const *away)
{
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(seed, shards, chaos, 1, home);
    bool is_secure = strcmp(stage->home->domain, "a.example") == 0;
    stage->away = rig_join(stage->home, is_secure ? "b.example" : "example.net", "127.0.0.2", shards, 1, away);
    actor_init(&stage->romeo, stage->home, 0, keep, &stage->romeo_heard);
    actor_init(&stage->juliet, stage->away, 0, keep, &stage->juliet_heard);
    actor_enter(&stage->romeo, "orchard", 0);
    actor_enter(&stage->juliet, "balcony", shards - 1);
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    actor_poll(&stage->romeo);
    actor_poll(&stage->juliet);
}

static void stage_close(struct stage *stage)
{
    struct actor *const actors[] = {&stage->romeo, &stage->juliet};
    actor_close_all(actors, 2, stage->home, stage->away);
}

#define OPEN "s2s.enabled=true", "s2s.tls_required=false"
static const char *const home_bidi[] = {OPEN, HOME_ROUTES, NULL};
static const char *const away_bidi[] = {OPEN, AWAY_ROUTES, NULL};
static const char *const home_plain[] = {OPEN, HOME_ROUTES, "s2s.bidi=false", NULL};
static const char *const away_plain[] = {OPEN, AWAY_ROUTES, "s2s.bidi=false", NULL};

static void both_ways(const char *const *home, const char *const *away, unsigned shards, unsigned connections)
{
    struct stage stage;
    stage_open(&stage, 42, NULL, shards, home, away);
    uint64_t before = rig_counter(stage.home, COUNTER_CONNECTIONS);
    actor_send(&stage.romeo, "<message to='user0@%s/balcony' type='chat' id='1'><body>but soft</body></message>",
               stage.away->domain);
    run(&stage, 500);
    assert_string_equal(stage.juliet_heard.last, "but soft");
    actor_send(&stage.juliet, "<message to='user0@%s/orchard' type='chat' id='2'><body>ay me</body></message>",
               stage.home->domain);
    run(&stage, 500);
    assert_string_equal(stage.romeo_heard.last, "ay me");
    run(&stage, 2000);
    assert_int_equal(rig_counter(stage.home, COUNTER_CONNECTIONS) - before, connections);
    stage_close(&stage);
}

/* Holds 6120:3.1/1 6120:4.8.3/1 6120:4.8.3/5 6120:feature/xml-namespace-content-server 6120:10.1/4. */
static void bidi__message_and_answer__one_connection(void **state)
{
    (void)state;
    both_ways(home_bidi, away_bidi, 1, 1);
    both_ways(home_bidi, away_bidi, 3, 1);
}

static void no_bidi__message_and_answer__two_connections(void **state)
{
    (void)state;
    both_ways(home_plain, away_plain, 1, 2);
    both_ways(home_plain, away_bidi, 3, 2);
}

#define NUMBERED 20

static void say_numbers(struct actor *from, const char *to, int first, int last)
{
    for (int i = first; i < last; i++)
        actor_send(from, "<message to='%s' type='chat' id='%d'><body>n %d</body></message>", to, i, i);
}

/* Both sides begin in the same moment. Whatever the order of things: nothing is lost, doubled or out of order, and one
 * connection is left. */
static void both_at_once(uint64_t seed, unsigned shards)
{
    static const struct world_chaos chaos = {.cut_receives = true, .cut_sends = true, .delay = true};
    struct stage stage;
    stage_open(&stage, seed, &chaos, shards, home_bidi, away_bidi);
    uint64_t before = rig_counter(stage.home, COUNTER_CONNECTIONS);
    say_numbers(&stage.romeo, "user0@example.net/balcony", 0, NUMBERED);
    say_numbers(&stage.juliet, "user0@example.com/orchard", 0, NUMBERED);
    for (unsigned i = 0; i < 40; i++)
        run(&stage, 5);
    say_numbers(&stage.romeo, "user0@example.net/balcony", NUMBERED, 2 * NUMBERED);
    say_numbers(&stage.juliet, "user0@example.com/orchard", NUMBERED, 2 * NUMBERED);
    run(&stage, 6000);
    if (stage.romeo_heard.next != 2 * NUMBERED || stage.juliet_heard.next != 2 * NUMBERED ||
        stage.romeo_heard.is_jumbled || stage.juliet_heard.is_jumbled)
        fail_msg("seed %lu: %d and %d of %d, jumbled %d %d, errors %u %s, %u %s", (unsigned long)seed,
                 stage.romeo_heard.next, stage.juliet_heard.next, 2 * NUMBERED, stage.romeo_heard.is_jumbled,
                 stage.juliet_heard.is_jumbled, stage.romeo_heard.errors, stage.romeo_heard.error,
                 stage.juliet_heard.errors, stage.juliet_heard.error);
    assert_int_equal(rig_counter(stage.home, COUNTER_CONNECTIONS) - before, 1);
    stage_close(&stage);
}

/* Holds 6120:10.1/3 6120:10.1/5. */
static void both_dial_at_once__bidi__one_stream_stays_and_nothing_is_lost(void **state)
{
    (void)state;
    const char *one = getenv("SL_SEED"), *count = getenv("SL_SEEDS");
    if (one) {
        both_at_once(strtoull(one, NULL, 10), 1 + (unsigned)(strtoull(one, NULL, 10) % 3));
        return;
    }
    for (uint64_t seed = 1; seed <= (count ? strtoull(count, NULL, 10) : 100); seed++)
        both_at_once(seed, 1 + (unsigned)(seed % 3));
}

/* ------------------------------------------------------------------------------------------------ certificates */

struct secure {
    char certificate[2][RIG_SETTING_SIZE], authority[RIG_SETTING_SIZE];
    const char *home[12], *away[12];
};

/* TLS required, certificates of one authority; "tls.required" is for clients, who have none here. */
static void secure_init(struct secure *secure, const char *home_certificate, const char *policy, const char *home_port)
{
    (void)rig_certs(secure->certificate[0], "rig.certificate", home_certificate);
    (void)rig_certs(secure->certificate[1], "rig.certificate", "b");
    (void)rig_certs(secure->authority, "s2s.ca", "ca.pem");
    const char *home[] = {
        "rig.domain=a.example", secure->certificate[0], secure->authority, "s2s.enabled=true", policy, home_port, NULL};
    const char *away[] = {secure->certificate[1],
                          secure->authority,
                          "s2s.enabled=true",
                          policy,
                          "s2s.routes=a.example=127.0.0.1:5269",
                          NULL};
    memset(secure->home, 0, sizeof secure->home);
    memset(secure->away, 0, sizeof secure->away);
    memcpy(secure->home, home, sizeof home);
    memcpy(secure->away, away, sizeof away);
}

/* Holds 6120:4.3.2/2 6120:4.3.3/2 6120:5.4.3.3/4 6120:6.4.6/2 6120:13.7.2/2. */
static void certificates__of_both__one_connection_by_external(void **state)
{
    (void)state;
    struct secure secure;
    secure_init(&secure, "a", "s2s.policy=pkix", "s2s.routes=b.example=127.0.0.2:5269");
    both_ways(secure.home, secure.away, 1, 1);
    both_ways(secure.home, secure.away, 3, 1);
    secure_init(&secure, "a", "s2s.policy=pkix", "s2s.routes=b.example=127.0.0.2:5270/tls");
    both_ways(secure.home, secure.away, 2, 1);
}

/* s2s.mutual, which stands for <bidi/> where both certificates are valid: one connection if both sides have it; if one
 * does not know it nothing is lost, and each has a connection of its own. */
static void mutual__of_both__one_connection(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct secure secure;
        secure_init(&secure, "a", "s2s.policy=pkix", "s2s.routes=b.example=127.0.0.2:5269");
        secure.home[6] = secure.away[5] = "s2s.bidi=false";
        secure.home[7] = i & 1 ? "s2s.mutual=true" : "s2s.mutual=false";
        secure.away[6] = i & 2 ? "s2s.mutual=true" : "s2s.mutual=false";
        both_ways(secure.home, secure.away, 1 + i % 2, i == 3 ? 1 : 2);
    }
}

/* Holds 6120:5.4.3.1/4 6120:5.4.3.1/5 6120:13.7.2/1 6120:13.7.2/3 6120:13.9.5/2 6120:10.4.3/3. */
/* Holds 6120:feature/tls-certs 6120:feature/tls-correlate. */
/* A valid certificate of another domain: nothing by it, all by dialback if allowed. */
static void certificates__that_do_not_fit__are_worth_nothing(void **state)
{
    (void)state;
    static const char *const certificates[] = {"c", "idn"};
    struct secure secure;
    struct stage stage;
    for (unsigned i = 0; i < 2; i++) {
        secure_init(&secure, certificates[i], "s2s.policy=pkix", "s2s.routes=b.example=127.0.0.2:5269");
        stage_open(&stage, 1, NULL, 1, secure.home, secure.away);
        actor_send(&stage.romeo, "<message to='user0@b.example/balcony' type='chat' id='1'><body>x</body></message>");
        actor_send(&stage.juliet, "<message to='user0@a.example/orchard' type='chat' id='1'><body>x</body></message>");
        run(&stage, 1000);
        assert_string_equal(stage.romeo_heard.error, "remote-server-timeout");
        assert_string_equal(stage.juliet_heard.error, "remote-server-timeout");
        stage_close(&stage);
        secure_init(&secure, certificates[i], "s2s.policy=pkix-or-dialback", "s2s.routes=b.example=127.0.0.2:5269");
        both_ways(secure.home, secure.away, 1, 1);
    }
}

/* No half-way modes: a valid certificate of another domain is nothing, so the key is asked for all the same; and where
 * nobody can be asked nobody is let in. Who has the right one needs nobody's word. */
static void certificate_of_another__key_that_nobody_can_confirm__not_let_in(void **state)
{
    (void)state;
    static const char *const certificates[] = {"a", "c", "idn"};
    for (unsigned i = 0; i < 3; i++) {
        struct secure secure;
        struct stage stage;
        secure_init(&secure, certificates[i], "s2s.policy=pkix-or-dialback", "s2s.routes=b.example=127.0.0.2:5269");
        secure.away[4] = NULL; /* the way to a.example */
        stage_open(&stage, 1, NULL, 1, secure.home, secure.away);
        actor_send(&stage.romeo, "<message to='user0@b.example/balcony' type='chat' id='1'><body>x</body></message>");
        run(&stage, 1000);
        assert_int_equal(stage.juliet_heard.count, i == 0);
        assert_string_equal(stage.romeo_heard.error, i == 0 ? "" : "remote-server-timeout");
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ failures */

static void expect_error(struct stage *stage, const char *condition, uint64_t within_ms)
{
    stage->romeo_heard.error[0] = '\0';
    actor_send(&stage->romeo, "<message to='nurse@example.net' type='chat' id='e'><body>x</body></message>");
    run(stage, within_ms);
    assert_string_equal(stage->romeo_heard.error, condition);
}

/* Holds 6120:13.9.2/1 6120:feature/stream-fqdn-resolution stanza:remote-server-not-found - no name server knows it. */
static void unreachable__unknown__not_found_at_once(void **state)
{
    (void)state;
    const char *const no_route[] = {OPEN, NULL};
    const char *const off[] = {HOME_ROUTES, NULL};
    const char *const *const cases[] = {no_route, off};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        stage_open(&stage, 1, NULL, 1, cases[i], away_bidi);
        expect_error(&stage, "remote-server-not-found", 50);
        expect_error(&stage, "remote-server-not-found", 20); /* while the pair rests: without a dial */
        stage_close(&stage);
    }
}

/* Holds 6120:10.4.3/3 stanza:remote-server-timeout - the other server refuses connections, is silent or is not trusted.
 */
static void unreachable__refused__timeout_at_once(void **state)
{
    (void)state;
    struct stage stage;
    const char *const closed_port[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5000", NULL};
    stage_open(&stage, 1, NULL, 1, closed_port, away_bidi);
    expect_error(&stage, "remote-server-timeout", 50);
    expect_error(&stage, "remote-server-timeout", 20);
    stage_close(&stage);
}

/* Presence is told as well (RFC 6120 s10.4.3); a probe is not (RFC 6121 s4.3), and what only a roster could make use of
 * is not sent (RFC 6121 s3.1.2). */
/* Holds 6120:10.4.3/1. */
static void unreachable__presence__told(void **state)
{
    static const struct {
        const char *type, *condition;
    } cases[] = {
        {"", "remote-server-timeout"},
        {"type='unavailable'", "remote-server-timeout"},
        {"type='probe'", ""},
        {"type='subscribe'", "feature-not-implemented"},
    };
    (void)state;
    struct stage stage;
    const char *const refused[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5000", NULL};
    stage_open(&stage, 1, NULL, 1, refused, away_bidi);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        stage.romeo_heard.error[0] = '\0';
        actor_send(&stage.romeo, "<presence to='nurse@example.net' id='p' %s/>", cases[i].type);
        run(&stage, 50);
        assert_string_equal(stage.romeo_heard.error, cases[i].condition);
    }
    stage_close(&stage);
}

static void unreachable__silent__timeout_then_at_once(void **state)
{
    (void)state;
    struct stage stage;
    const char *const silent[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5000", "s2s.timeout=3s", NULL};
    stage_open(&stage, 1, NULL, 1, silent, away_bidi);
    world_set_far(stage.home->world, 5000, FAR_SILENT);
    expect_error(&stage, "", 2900);
    run(&stage, 200);
    assert_string_equal(stage.romeo_heard.error, "remote-server-timeout");
    expect_error(&stage, "remote-server-timeout", 20);
    stage_close(&stage);
}

static void unreachable__then_reachable__tried_again_after_the_rest(void **state)
{
    (void)state;
    struct stage stage;
    const char *const later[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269 late.example=127.0.0.3:5269", NULL};
    const char *const guest[] = {OPEN, "s2s.routes=example.com=127.0.0.1:5269", NULL};
    stage_open(&stage, 1, NULL, 1, later, away_bidi);
    actor_send(&stage.romeo, "<iq to='late.example' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>");
    run(&stage, 50);
    assert_string_equal(stage.romeo_heard.error, "remote-server-timeout");
    struct rig *late = rig_join(stage.home, "late.example", "127.0.0.3", 1, 0, guest);
    run(&stage, 2100);
    unsigned errors = stage.romeo_heard.errors, count = stage.romeo_heard.count;
    actor_send(&stage.romeo, "<iq to='late.example' type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>");
    run(&stage, 500);
    assert_int_equal(stage.romeo_heard.errors, errors);
    assert_int_equal(stage.romeo_heard.count, count + 1);
    shard_drain(&late->shards[0]);
    io_notify(late->shards[0].io);
    run(&stage, 20000);
    rig_free(late);
    stage_close(&stage);
}

/* Holds 6120:10.4.3/4. */
static void offline__user_of_the_other_server__its_error_comes_back(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 2, home_bidi, away_bidi);
    expect_error(&stage, "service-unavailable", 500);
    actor_send(&stage.romeo, "<iq to='example.net' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
    unsigned before = stage.romeo_heard.count;
    run(&stage, 100);
    assert_int_equal(stage.romeo_heard.count, before + 1);
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ a raw server */

/* A server that the test plays: bytes out, bytes in. */
static struct peer *raw_connect(struct stage *stage, const char *header)
{
    struct peer *peer = peer_connect_to(stage->home->group, 0, LISTEN_S2S);
    peer_send(peer, span_str(header));
    rig_run(stage->home, 20);
    return peer;
}

static void raw_expect(struct stage *stage, struct peer *peer, const char *bytes, const char *answer)
{
    peer_take(peer, peer_received(peer).size);
    peer_send(peer, span_str(bytes));
    rig_run(stage->home, 100);
    if (!peer_has(peer, answer))
        fail_msg("%s: %.*s lacks %s", bytes, SPAN_ARG(peer_received(peer)), answer);
}

#define RAW_HEADER(to)                                                                                                 \
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' from='example.net' to='" to  \
    "' xmlns:stream='http://etherx.jabber.org/streams'>"

/* Holds 6120:4.7.2/4 stanza:not-authorized - a dialback key that the policy does not take, or for our own domain. */
static void strangers__whatever_they_say__the_exact_error(void **state)
{
    (void)state;
    static const struct {
        const char *says, *answer;
    } cases[] = {
        {"<message from='a@example.net' to='user0@example.com'><body>x</body></message>", "<not-authorized"},
        {"<db:result from='example.net' to='nowhere.example'>k</db:result>", "<item-not-found"},
        {"<db:result from='example.com' to='example.com'>k</db:result>", "<not-authorized"},
        {"<db:result from='a@example.net' to='example.com'>k</db:result>", "<improper-addressing"},
        {"<db:result from='example.net'>k</db:result>", "<improper-addressing"},
        {"<db:other from='example.net' to='example.com'/>", "<unsupported-stanza-type"},
        {"<db:verify from='example.net' to='example.com' id='1'>k</db:verify>", "type='invalid'"},
        {"<db:verify from='example.net' to='nowhere.example' id='1'>k</db:verify>", "<item-not-found"},
        {"<db:result from='example.net' to='example.com' type='valid'/>", "<invalid-from"},
        {"<db:verify from='example.net' to='example.com' id='1' type='valid'/>", "<invalid-from"},
        {"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
        {"<x xmlns='urn:x'/>", "<not-authorized"},
    };
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, home_bidi, away_bidi);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer *peer = raw_connect(&stage, RAW_HEADER("example.com"));
        assert_true(peer_has(peer, " to='example.net'")); /* RFC 6120 s4.7.2: their 'from' */
        assert_true(peer_has(peer, "<stream:features>"));
        raw_expect(&stage, peer, cases[i].says, cases[i].answer);
        peer_free(peer);
    }
    struct peer *peer = raw_connect(&stage, RAW_HEADER("nowhere.example"));
    assert_true(peer_has(peer, "<host-unknown"));
    peer_free(peer);
    stage_close(&stage);
}

/* The raw server says it is example.net, and the real one of that name says it never gave that key. */
static void forged_key__judged_by_the_domains_own_server__invalid_and_closed(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1, NULL, 1, home_bidi, away_bidi);
    struct peer *peer = raw_connect(&stage, RAW_HEADER("example.com"));
    raw_expect(&stage, peer, "<db:result from='example.net' to='example.com'>0123456789abcdef</db:result>",
               "type='invalid'");
    assert_true(peer_has(peer, "</stream:stream>"));
    peer_free(peer);
    stage_close(&stage);
}

/* A raw server whose key for example.net was found valid: the test plays that domain's own server too. */
static struct peer *raw_proven(struct stage *stage, const char *before)
{
    char answer[512];
    struct peer *peer = raw_connect(stage, RAW_HEADER("example.com"));
    peer_send(peer, span_str(before));
    peer_send(peer, SPAN("<db:result from='example.net' to='example.com'>k</db:result>"));
    rig_run(stage->home, 50);
    struct peer *own = world_accept(stage->home->world);
    assert_non_null(own);
    peer_send(own, SPAN("<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='own' "
                        "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
                        "<stream:features/>"));
    rig_run(stage->home, 50);
    assert_true(peer_has(own, "<db:verify from='example.com' to='example.net' id='"));
    struct span got = peer_received(own);
    const char *id = (const char *)memmem(got.ptr, got.size, "id='", 4) + 4;
    snprintf(answer, sizeof answer, "<db:verify from='example.net' to='example.com' id='%.32s' type='valid'/>", id);
    peer_send(own, span_str(answer));
    rig_run(stage->home, 50);
    assert_true(peer_has(own, "</stream:stream>")); /* it was for this alone */
    peer_free(own);
    assert_true(peer_has(peer, "<db:result from='example.com' to='example.net' type='valid'/>"));
    return peer;
}

static const char *const home_raw[] = {OPEN, "s2s.routes=example.net=127.0.0.3:6000", NULL};

static void raw_stage(struct stage *stage, unsigned shards)
{
    stage_open(stage, 1, NULL, shards, home_raw, away_bidi);
    world_set_far(stage->home->world, 6000, FAR_ACCEPTS);
}

/* Holds 6120:8.1.1.2/1 6120:8.1.1.2/2 6120:8.1.2.2/1 6120:8.1.2.2/2 6120:10.3/2 6120:10.4/1. */
/* Holds 6120:feature/stanza-attribute-from-validate 6120:feature/stanza-attribute-to-validate. */
static void proven__addresses_that_were_not__the_exact_error(void **state)
{
    (void)state;
    static const struct {
        const char *says, *answer;
    } cases[] = {
        {"<message to='user0@example.com'><body>x</body></message>", "<improper-addressing"},
        {"<message from='a@example.net'><body>x</body></message>", "<improper-addressing"},
        {"<message from='a b@example.net' to='user0@example.com'/>", "<improper-addressing"},
        {"<message from='a@example.net' to='@'/>", "<improper-addressing"},
        {"<message from='a@evil.example' to='user0@example.com'/>", "<invalid-from"},
        {"<message from='a@sub.example.net' to='user0@example.com'/>", "<invalid-from"},
        {"<message from='user0@example.com' to='user0@example.com'/>", "<invalid-from"},
        {"<message from='a@example.net' to='user0@example.org'/>", "<host-unknown"},
        {"<message xmlns='jabber:client' from='a@example.net' to='user0@example.com'/>", "<invalid-namespace"},
        {"<stream:features/>", "<unsupported-stanza-type"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stage stage;
        raw_stage(&stage, 1 + i % 2);
        struct peer *peer = raw_proven(&stage, "");
        raw_expect(&stage, peer, cases[i].says, cases[i].answer);
        assert_true(peer_has(peer, "</stream:stream>"));
        assert_int_equal(stage.romeo_heard.count, 0);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* RFC 6120 s4.4, rule 2: what was under way when we ended the stream in order is still routed; nothing behind an error
 * of trust is. */
static void proven__words_behind_our_end__routed_if_it_is_in_order(void **state)
{
    (void)state;
    static const enum stream_error errors[] = {STREAM_RESET_ERROR, STREAM_INVALID_FROM_ERROR};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        raw_stage(&stage, 1);
        struct peer *peer = raw_proven(&stage, "");
        for (struct stream *stream = stage.home->shards[0].streams; stream; stream = stream->next)
            if (stream->is_s2s && stream->state == STREAM_BOUND)
                stream_close(stream, errors[i], NULL);
        io_notify(stage.home->shards[0].io);
        peer_send(peer,
                  SPAN("<message from='a@example.net/r' to='user0@example.com/orchard'><body>late</body></message>"
                       "</stream:stream>"));
        rig_run(stage.home, 50);
        actor_poll(&stage.romeo);
        assert_string_equal(stage.romeo_heard.last, i == 0 ? "late" : "");
        peer_free(peer);
        stage_close(&stage);
    }
}

static void proven__stanza__delivered_in_jabber_client(void **state)
{
    (void)state;
    struct stage stage;
    raw_stage(&stage, 2);
    struct peer *peer = raw_proven(&stage, "");
    peer_send(peer, SPAN("<message from='a@example.net/r' to='user0@example.com/orchard'><body xmlns='jabber:server'>hi"
                         "</body></message>"));
    rig_run(stage.home, 50);
    actor_poll(&stage.romeo);
    assert_string_equal(stage.romeo_heard.last, "hi");
    peer_free(peer);
    stage_close(&stage);
}

/* The raw server lets us in by dialback, but first opens a stream of its own and asks us there, as prosody does: it has
 * told its key, and we know that it is good. */
static struct peer *raw_contested(struct stage *stage, struct peer **dialled)
{
    raw_stage(stage, 1);
    actor_send(&stage->romeo, "<message to='a@example.net' type='chat' id='1'><body>but soft</body></message>");
    run(stage, 50);
    *dialled = world_accept(stage->home->world);
    assert_non_null(*dialled);
    raw_expect(stage, *dialled,
               "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='own' "
               "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'><stream:features>"
               "<dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>",
               "<db:result from='example.com' to='example.net'>");
    return raw_proven(stage, "<bidi xmlns='urn:xmpp:bidi'/>");
}

static void contested__peer_verifies_on_its_own_stream__ours_is_let_in(void **state)
{
    (void)state;
    char question[512];
    struct stage stage;
    struct peer *dialled, *peer = raw_contested(&stage, &dialled);
    struct span got = peer_received(dialled);
    const char *key = (const char *)memmem(got.ptr, got.size, "to='example.net'>", 17) + 17;
    snprintf(question, sizeof question, "<db:verify from='example.net' to='example.com' id='own'>%.64s</db:verify>",
             key);
    raw_expect(&stage, peer, question, "type='valid'");
    raw_expect(&stage, dialled, "<db:result from='example.net' to='example.com' type='valid'/>", "but soft");
    peer_free(peer);
    peer_free(dialled);
    stage_close(&stage);
}

static void contested__peer_prefers_its_own_stream__what_waits_goes_there(void **state)
{
    (void)state;
    static const char *const ends[] = {
        "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        "<db:result from='example.net' to='example.com' type='invalid'/></stream:stream>"};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        struct peer *dialled, *peer = raw_contested(&stage, &dialled);
        assert_false(peer_has(peer, "but soft"));
        peer_send(dialled, span_str(ends[i]));
        rig_run(stage.home, 50);
        assert_null(world_accept(stage.home->world)); /* not tried again: there is a stream */
        assert_true(peer_has(peer, "but soft"));
        peer_free(peer);
        peer_free(dialled);
        stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bidi__message_and_answer__one_connection),
        cmocka_unit_test(both_dial_at_once__bidi__one_stream_stays_and_nothing_is_lost),
        cmocka_unit_test(certificates__of_both__one_connection_by_external),
        cmocka_unit_test(mutual__of_both__one_connection),
        cmocka_unit_test(certificates__that_do_not_fit__are_worth_nothing),
        cmocka_unit_test(certificate_of_another__key_that_nobody_can_confirm__not_let_in),
        cmocka_unit_test(unreachable__unknown__not_found_at_once),
        cmocka_unit_test(unreachable__refused__timeout_at_once),
        cmocka_unit_test(unreachable__presence__told),
        cmocka_unit_test(unreachable__silent__timeout_then_at_once),
        cmocka_unit_test(unreachable__then_reachable__tried_again_after_the_rest),
        cmocka_unit_test(offline__user_of_the_other_server__its_error_comes_back),
        cmocka_unit_test(strangers__whatever_they_say__the_exact_error),
        cmocka_unit_test(forged_key__judged_by_the_domains_own_server__invalid_and_closed),
        cmocka_unit_test(proven__addresses_that_were_not__the_exact_error),
        cmocka_unit_test(proven__words_behind_our_end__routed_if_it_is_in_order),
        cmocka_unit_test(proven__stanza__delivered_in_jabber_client),
        cmocka_unit_test(contested__peer_verifies_on_its_own_stream__ours_is_let_in),
        cmocka_unit_test(contested__peer_prefers_its_own_stream__what_waits_goes_there),
        cmocka_unit_test(no_bidi__message_and_answer__two_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
