/* SPDX-License-Identifier: MIT */
/*
 * Stanzas that are not namespace-well-formed (RFC 6120 s11.3, rule 4): with xml.namespace_errors = stanza the sender is
 * answered <not-acceptable/> and goes on; without, and for whatever is no stanza, the stream ends. Nobody else ever
 * sees a part of one. On one and on three shards.
 */
#include "tests/sim/actor.h"
#include "tests/sim/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define HEADER                                                                                                         \
    "<stream:stream xmlns='jabber:client' to='example.com' version='1.0' "                                             \
    "xmlns:stream='http://etherx.jabber.org/streams'>"

static const char *const sparing[] = {"xml.namespace_errors=stanza", NULL};

struct stage {
    struct rig *rig;
    struct actor actors[2];
    unsigned counts[2];
    char last[2][256]; /* "kind type from to id child condition" of what came last */
};

static struct span attribute(const struct xml_stanza *stanza, const char *name, char *room, size_t size)
{
    const struct xml_attribute *found = xml_attribute(stanza, 0, NS_NONE, name);
    return found ? xml_value(stanza, found, room, size) : SPAN("-");
}

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    char room[4][128];
    unsigned who = actor == &stage->actors[1];
    uint32_t child = xml_child(stanza, 0);
    uint32_t below = child == XML_NOWHERE ? XML_NOWHERE : xml_child(stanza, child);
    stage->counts[who]++;
    snprintf(stage->last[who], sizeof stage->last[0], "%.*s %.*s %.*s %.*s %.*s %.*s %.*s",
             SPAN_ARG(xml_name(stanza, 0)), SPAN_ARG(attribute(stanza, "type", room[0], sizeof room[0])),
             SPAN_ARG(attribute(stanza, "from", room[1], sizeof room[1])),
             SPAN_ARG(attribute(stanza, "to", room[2], sizeof room[2])),
             SPAN_ARG(attribute(stanza, "id", room[3], sizeof room[3])),
             SPAN_ARG(child == XML_NOWHERE ? SPAN("-") : xml_name(stanza, child)),
             SPAN_ARG(below == XML_NOWHERE ? SPAN("-") : xml_name(stanza, below)));
}

static void run(struct stage *stage)
{
    rig_run(stage->rig, 20);
    for (unsigned i = 0; i < 2; i++)
        if (stage->actors[i].peer)
            actor_poll(&stage->actors[i]);
}

static void raise_stage(struct stage *stage, unsigned shards, const char *const *overrides)
{
    memset(stage, 0, sizeof *stage);
    stage->rig = rig_new(11, shards, NULL, 2, overrides);
    for (unsigned i = 0; i < 2; i++) {
        actor_init(&stage->actors[i], stage->rig, i, keep, stage);
        actor_enter(&stage->actors[i], "a", i % shards);
    }
    run(stage);
    stage->counts[0] = stage->counts[1] = 0;
}

static void strike_stage(struct stage *stage)
{
    for (unsigned i = 0; i < 2; i++)
        if (stage->actors[i].state == ACTOR_BOUND)
            actor_leave(&stage->actors[i]);
    for (unsigned i = 0; i < 10; i++)
        run(stage);
    assert_int_equal(rig_balance(stage->rig), 0);
    for (unsigned i = 0; i < 2; i++)
        actor_fini(&stage->actors[i]);
    rig_run(stage->rig, 20);
    rig_free(stage->rig);
}

struct answered {
    const char *stanza;
    const char *answer; /* NULL: none */
};

static const struct answered answers[] = {
    {"<message to='user1@example.com/a' id='1'><x:y/></message>",
     "message error user1@example.com/a user0@example.com/a 1 error not-acceptable"},
    {"<message to='USER1@Example.com/a' id='1' x:y='z'/>",
     "message error user1@example.com/a user0@example.com/a 1 error not-acceptable"},
    {"<iq type='get' to='user1@example.com/a' id='2&amp;'><a xmlns='u' xmlns:b='v' xmlns:c='v' b:d='' c:d=''/></iq>",
     "iq error user1@example.com/a user0@example.com/a 2& error not-acceptable"},
    {"<iq type='get' id='3' from='user0@example.com'><ping xmlns='urn:xmpp:ping' xmlns:xml='u'/></iq>",
     "iq error - user0@example.com/a 3 error not-acceptable"},
    {"<presence id='4'><:status/></presence>", "presence error - user0@example.com/a 4 error not-acceptable"},
    {"<presence to='user1@example.com/a'><x xmlns='http://www.w3.org/2000/xmlns/'/></presence>",
     "presence error user1@example.com/a user0@example.com/a - error not-acceptable"},
    /* An address that cannot be read is left out. */
    {"<message to='a@@b' id='5'><x:y/></message>", "message error - user0@example.com/a 5 error not-acceptable"},
    /* Whose prefix is unbound, is no address. */
    {"<message x:to='user1@example.com/a' x:id='no' id='6'/>",
     "message error - user0@example.com/a 6 error not-acceptable"},
    /* An error is never answered with an error, nor is a result (RFC 6120 s8.3.1). */
    {"<message type='error' to='user1@example.com/a' id='7'><x:y/></message>", NULL},
    {"<iq type='result' to='user1@example.com/a' id='8'><x:y/></iq>", NULL},
    {"<iq type='error' to='user1@example.com/a' id='9'><x:y/></iq>", NULL},
    /* Two faults: what is worst is said. */
    {"<iq to='user1@example.com/a' type='get'><x:y/><x:z/></iq>",
     "iq error user1@example.com/a user0@example.com/a  error not-acceptable"},
};

/* Whole and byte by byte: one answer, the next stanza is served, and the recipient sees that one alone. */
static void answer_all(unsigned shards, bool is_cut)
{
    struct stage stage;
    raise_stage(&stage, shards, sparing);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const char *stanza = answers[i].stanza;
        stage.counts[0] = stage.counts[1] = 0;
        for (const char *p = stanza; is_cut && *p; p++) {
            peer_send(stage.actors[0].peer, span_of(p, 1));
            rig_run(stage.rig, 1);
        }
        if (!is_cut)
            peer_send(stage.actors[0].peer, span_str(stanza));
        run(&stage);
        assert_int_equal(stage.counts[0], answers[i].answer ? 1 : 0);
        if (answers[i].answer)
            assert_string_equal(stage.last[0], answers[i].answer);
        assert_int_equal(stage.counts[1], 0);
        actor_send(&stage.actors[0], "<message to='user1@example.com/a' id='next%zu'><body>x</body></message>", i);
        run(&stage);
        char next[128];
        snprintf(next, sizeof next, "message - user0@example.com/a user1@example.com/a next%zu body -", i);
        assert_int_equal(stage.counts[1], 1);
        assert_string_equal(stage.last[1], next);
    }
    assert_int_equal(rig_counter(stage.rig, COUNTER_XML_REFUSED), 0);
    strike_stage(&stage);
}

/* Holds 6120:11.3/4. */
/* Holds stanza:not-acceptable - a stanza that is not namespace-well-formed, with xml.namespace_errors=stanza. */
static void stanza__that_is_misnamed__not_acceptable(void **state)
{
    (void)state;
    answer_all(1, false);
    answer_all(3, false);
    answer_all(3, true);
}

struct ended {
    const char *sent;
    const char *error;
};

static const struct ended ends[] = {
    {"<x:message to='user1@example.com/a'/>", "not-well-formed"},
    {"<message xmlns='http://www.w3.org/2000/xmlns/' to='user1@example.com/a'/>", "not-well-formed"},
    {"<other><x:y/></other>", "not-well-formed"},
    {"<stream:error><x:y/></stream:error>", "not-well-formed"},
    {"<message to='user1@example.com/a'><x:y></message>", "not-well-formed"},
    {"<message to='user1@example.com/a'><x:y/><b x:y='' x:y=''/></message>", "not-well-formed"},
    {"<message to='user1@example.com/a'><x:y/><!-- --></message>", "restricted-xml"},
    {"<message to='user1@example.com/a'><x:y/>\xff</message>", "unsupported-encoding"},
    {"<message from='user1@example.com/a' to='user1@example.com/a'><x:y/></message>", "invalid-from"},
};

static void element__whose_end_or_kind_is_uncertain__ends_the_stream(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct stage stage;
        raise_stage(&stage, 3, sparing);
        peer_send(stage.actors[0].peer, span_str(ends[i].sent));
        run(&stage);
        if (strcmp(stage.actors[0].error, ends[i].error) != 0)
            print_error("%s\n", ends[i].sent);
        assert_string_equal(stage.actors[0].error, ends[i].error);
        assert_int_equal(stage.counts[1], 0);
        strike_stage(&stage);
    }
}

/* The default, and what a reload changes for streams that are there. */
static void option__is_off__ends_the_stream(void **state)
{
    (void)state;
    static const char *const off[] = {"xml.namespace_errors=stream", NULL};
    static const char *const *const ways[] = {NULL, off};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        raise_stage(&stage, 1, ways[i]);
        rig_reload(stage.rig, sparing);
        peer_send(stage.actors[0].peer, SPAN("<message to='user1@example.com/a'><x:y/></message>"));
        run(&stage);
        assert_int_equal(stage.counts[0], 1);
        rig_reload(stage.rig, ways[i]);
        peer_send(stage.actors[0].peer, SPAN("<message to='user1@example.com/a'><x:y/></message>"));
        run(&stage);
        assert_int_equal(stage.counts[0], 1);
        assert_string_equal(stage.actors[0].error, "not-well-formed");
        assert_int_equal(stage.counts[1], 0);
        strike_stage(&stage);
    }
}

static void expect_not_well_formed(struct peer *peer)
{
    struct span answer = peer_received(peer);
    assert_non_null(memmem(answer.ptr, answer.size, "<not-well-formed ", 17));
    assert_null(memmem(answer.ptr, answer.size, "not-acceptable", 14));
}

/* A stranger is not spared, in the header or behind it. */
static void stranger__whatever_the_option__loses_the_stream(void **state)
{
    (void)state;
    static const char *const sent[] = {
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' x:y=''>",
        HEADER "<message id='1'><x:y/></message>",
        HEADER "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><x:y/></bind></iq>",
        HEADER "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256' x:y=''>biws</auth>",
    };
    struct stage stage;
    raise_stage(&stage, 1, sparing);
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++) {
        struct peer *peer = peer_connect(stage.rig->world, 0, LISTEN_C2S);
        peer_send(peer, span_str(sent[i]));
        run(&stage);
        tap_write(tap_open(), peer_received(peer));
        expect_not_well_formed(peer);
        peer_free(peer);
    }
    strike_stage(&stage);
}

static void log_in(struct stage *stage, struct actor *actor)
{
    actor_connect(actor, 0);
    for (unsigned i = 0; i < 200 && actor->state != ACTOR_RESTART; i++) {
        rig_run(stage->rig, 1);
        actor_poll(actor);
    }
    assert_int_equal(actor->state, ACTOR_RESTART);
}

/* Authenticated and not bound yet: an iq is answered and counts as a failed attempt to bind (s7.7.3); whatever else has
 * no place there. */
static void binding__that_is_misnamed__not_acceptable(void **state)
{
    (void)state;
    struct stage stage;
    struct actor actor;
    raise_stage(&stage, 1, sparing);
    for (unsigned round = 0; round < 3; round++) {
        actor_init(&actor, stage.rig, 1, keep, &stage);
        log_in(&stage, &actor);
        if (round == 0) {
            peer_send(actor.peer,
                      SPAN("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><x:y/></bind></iq>"));
            rig_run(stage.rig, 20);
            struct span answer = peer_received(actor.peer);
            assert_non_null(memmem(answer.ptr, answer.size, "type='error' id='b1'", 20));
            assert_non_null(memmem(answer.ptr, answer.size, "<not-acceptable ", 16));
        } else if (round == 1) {
            for (unsigned i = 0; i < 12; i++)
                peer_send(actor.peer, SPAN("<iq type='set' id='b1'><x:bind/></iq>"));
            rig_run(stage.rig, 20);
            struct span answer = peer_received(actor.peer);
            assert_non_null(memmem(answer.ptr, answer.size, "<policy-violation ", 18));
        } else {
            peer_send(actor.peer, SPAN("<message id='b1'><x:y/></message>"));
            rig_run(stage.rig, 20);
            expect_not_well_formed(actor.peer);
        }
        actor_reset(&actor);
        run(&stage);
        actor_fini(&actor);
    }
    strike_stage(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stanza__that_is_misnamed__not_acceptable),
        cmocka_unit_test(element__whose_end_or_kind_is_uncertain__ends_the_stream),
        cmocka_unit_test(option__is_off__ends_the_stream),
        cmocka_unit_test(stranger__whatever_the_option__loses_the_stream),
        cmocka_unit_test(binding__that_is_misnamed__not_acceptable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
