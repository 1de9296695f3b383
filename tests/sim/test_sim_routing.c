/* SPDX-License-Identifier: MIT */
/* The routing rules one by one, on one and on three shards: who gets what, and what the sender is told. */
#include "router/route/session.h"
#include "tests/sim/actor.h"
#include "tests/sim/caller.h"
#include "tests/sim/tap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define INBOX_MAX 64

/* What an actor read, one line a stanza: "kind type from id text". */
struct inbox {
    unsigned count;
    char lines[INBOX_MAX][512];
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct inbox *inbox = actor->context;
    char room[3][256];
    struct span part[3];
    static const char *const names[] = {"type", "from", "id"};
    assert_true(inbox->count < INBOX_MAX);
    for (int i = 0; i < 3; i++) {
        const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, names[i]);
        part[i] = attribute ? xml_value(stanza, attribute, room[i], sizeof room[i]) : SPAN("-");
    }
    char text[256];
    uint32_t child = xml_child(stanza, 0);
    struct span content = child == XML_NOWHERE ? SPAN("") : xml_text(stanza, child, text, sizeof text);
    struct span name = child == XML_NOWHERE ? SPAN("") : xml_name(stanza, child);
    if (span_is(name, "error"))
        content = xml_name(stanza, xml_child(stanza, child));
    snprintf(inbox->lines[inbox->count++], sizeof inbox->lines[0], "%.*s %.*s %.*s %.*s %.*s %.*s",
             SPAN_ARG(xml_name(stanza, 0)), SPAN_ARG(part[0]), SPAN_ARG(part[1]), SPAN_ARG(part[2]), SPAN_ARG(name),
             SPAN_ARG(content));
}

struct stage {
    struct rig *rig;
    struct actor actors[4];
    struct inbox inboxes[4];
};

static void run(struct stage *stage)
{
    rig_run(stage->rig, 20);
    for (int i = 0; i < 4; i++)
        if (stage->actors[i].peer)
            actor_poll(&stage->actors[i]);
}

static void clear(struct stage *stage)
{
    run(stage);
    for (int i = 0; i < 4; i++)
        stage->inboxes[i].count = 0;
}

static void expect_line(struct stage *stage, unsigned who, const char *line)
{
    for (unsigned i = 0; i < stage->inboxes[who].count; i++)
        if (strcmp(stage->inboxes[who].lines[i], line) == 0)
            return;
    for (unsigned i = 0; i < stage->inboxes[who].count; i++)
        print_error("actor %u has: %s\n", who, stage->inboxes[who].lines[i]);
    fail_msg("actor %u lacks: %s", who, line);
}

static void expect_count(struct stage *stage, unsigned who, unsigned count)
{
    for (unsigned i = 0; i < stage->inboxes[who].count && stage->inboxes[who].count != count; i++)
        print_error("actor %u has: %s\n", who, stage->inboxes[who].lines[i]);
    assert_int_equal(stage->inboxes[who].count, count);
}

/* Actors 0 and 1 are user0/a and user1/a; 2 is user1/b; 3 is user2/a. */
static void raise_stage(struct stage *stage, unsigned shards)
{
    static const unsigned numbers[] = {0, 1, 1, 2};
    static const char *const resources[] = {"a", "a", "b", "a"};
    memset(stage, 0, sizeof *stage);
    stage->rig = rig_new(7, shards, NULL, 4, NULL);
    for (unsigned i = 0; i < 4; i++) {
        actor_init(&stage->actors[i], stage->rig, numbers[i], keep, &stage->inboxes[i]);
        actor_enter(&stage->actors[i], resources[i], i % shards);
    }
    clear(stage);
}

static void strike_stage(struct stage *stage)
{
    for (unsigned i = 0; i < 4; i++)
        actor_leave(&stage->actors[i]);
    for (unsigned i = 0; i < 10; i++)
        run(stage);
    assert_int_equal(rig_balance(stage->rig), 0);
    for (unsigned i = 0; i < 4; i++)
        actor_fini(&stage->actors[i]);
    rig_run(stage->rig, 20);
    rig_free(stage->rig);
}

/* Holds 6120:10.1/2 6120:feature/stanza-attribute-from. */
static void message__to_full_jid__arrives_stamped_and_in_order(void **state)
{
    struct stage *stage = *state;
    for (int i = 0; i < 20; i++)
        actor_send(&stage->actors[0],
                   "<message to='user1@example.com/b' type='chat' id='m%d'><body>%d</body></message>", i, i);
    run(stage);
    expect_count(stage, 2, 20);
    for (int i = 0; i < 20; i++) {
        char line[128];
        snprintf(line, sizeof line, "message chat user0@example.com/a m%d body %d", i, i);
        assert_string_equal(stage->inboxes[2].lines[i], line);
    }
    expect_count(stage, 1, 0);
}

/* Holds 6120:feature/stanza-attribute-type. */
static void message__to_bare_jid__goes_to_the_highest_priority(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[1], "<presence><priority>1</priority></presence>");
    actor_send(&stage->actors[2], "<presence><priority>5</priority></presence>");
    clear(stage);
    actor_send(&stage->actors[0], "<message to='user1@example.com' type='chat' id='x'><body>hi</body></message>");
    actor_send(&stage->actors[0], "<message to='user1@example.com' type='headline' id='y'><body>news</body></message>");
    run(stage);
    expect_count(stage, 1, 1);
    expect_line(stage, 1, "message headline user0@example.com/a y body news");
    expect_count(stage, 2, 2);
    expect_line(stage, 2, "message chat user0@example.com/a x body hi");
    actor_send(&stage->actors[2], "<presence><priority>1</priority></presence>");
    clear(stage);
    actor_send(&stage->actors[0], "<message to='user1@example.com' id='z'><body>both</body></message>");
    run(stage);
    expect_line(stage, 1, "message - user0@example.com/a z body both");
    expect_line(stage, 2, "message - user0@example.com/a z body both");
}

/* Holds 6120:10.5/1 6120:10.5.3.2/1. */
static void message__to_nobody__comes_back_as_an_error(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[0], "<message to='nobody@example.com' type='chat' id='1'><body>x</body></message>"
                                  "<message to='user1@example.com/none' id='2'><body>x</body></message>"
                                  "<message to='user1@example.com' type='groupchat' id='3'><body>x</body></message>"
                                  "<message to='user1@example.com' type='chat' id='4'><body>x</body></message>"
                                  "<message to='someone@elsewhere.example' id='5'><body>x</body></message>"
                                  "<message to='user3@example.com' type='headline' id='6'><body>x</body></message>"
                                  "<message to='user3@example.com' type='error' id='7'><body>x</body></message>"
                                  "<message to='a@@b' id='8'/>"
                                  "<message to='user3@example.com' type='chat' id='9'><body>x</body></message>");
    run(stage);
    expect_count(stage, 0, 7);
    expect_line(stage, 0, "message error nobody@example.com 1 error service-unavailable");
    expect_line(stage, 0, "message error user1@example.com/none 2 error service-unavailable");
    expect_line(stage, 0, "message error user1@example.com 3 error service-unavailable");
    expect_line(stage, 0, "message error user1@example.com 4 error service-unavailable");
    expect_line(stage, 0, "message error someone@elsewhere.example 5 error remote-server-not-found");
    expect_line(stage, 0, "message error - 8 error jid-malformed");
    expect_line(stage, 0, "message error user3@example.com 9 error service-unavailable");
}

/* Holds 6120:10.5/1 6120:10.5.1/1 6120:feature/stanza-kind-iq. */
static void iq__is_answered_by_whom_it_is_for(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[0], "<iq type='get' to='example.com' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
                                  "<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>"
                                  "<iq type='get' to='example.com' id='3'><query xmlns='urn:example:none'/></iq>"
                                  "<iq type='get' to='user1@example.com' id='4'><ping xmlns='urn:xmpp:ping'/></iq>"
                                  "<iq type='get' to='user1@example.com/none' id='5'><ping xmlns='urn:xmpp:ping'/></iq>"
                                  "<iq type='get' to='user1@example.com/a' id='6'><ping xmlns='urn:xmpp:ping'/></iq>"
                                  "<iq type='get' id='7'/>"
                                  "<iq type='bogus' id='8'><x xmlns='y'/></iq>"
                                  "<iq type='get' to='example.org' id='9'><query xmlns='jabber:iq:version'/></iq>");
    run(stage);
    expect_line(stage, 0, "iq result example.com 1  ");
    expect_line(stage, 0, "iq result user0@example.com 2  ");
    expect_line(stage, 0, "iq error example.com 3 error service-unavailable");
    expect_line(stage, 0, "iq error user1@example.com 4 error service-unavailable");
    expect_line(stage, 0, "iq error user1@example.com/none 5 error service-unavailable");
    expect_line(stage, 0, "iq error - 7 error bad-request");
    expect_line(stage, 0, "iq error - 8 error bad-request");
    expect_line(stage, 0, "iq result example.org 9 query ");
    expect_count(stage, 0, 8);
    expect_line(stage, 1, "iq get user0@example.com/a 6 ping ");
    actor_send(&stage->actors[1], "<iq type='result' to='user0@example.com/a' id='6'/>");
    run(stage);
    expect_line(stage, 0, "iq result user1@example.com/a 6  ");
}

/* Holds 6120:10.3.2/1 6120:feature/stanza-kind-presence. */
/* Holds 6120:13.10.2/1. */
static void presence__is_shared_among_own_resources_and_where_directed(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[1], "<presence><show>away</show></presence>");
    run(stage);
    expect_line(stage, 1, "presence - user1@example.com/a - show away");
    expect_count(stage, 2, 0);
    clear(stage);
    actor_send(&stage->actors[2], "<presence/>");
    run(stage);
    expect_line(stage, 2, "presence - user1@example.com/a - show away");
    expect_line(stage, 2, "presence - user1@example.com/b -  ");
    expect_line(stage, 1, "presence - user1@example.com/b -  ");
    expect_count(stage, 0, 0);
    clear(stage);
    actor_send(&stage->actors[1], "<presence to='user0@example.com/a'/>");
    run(stage);
    expect_line(stage, 0, "presence - user1@example.com/a -  ");
    clear(stage);
    actor_reset(&stage->actors[1]);
    run(stage);
    expect_line(stage, 0, "presence unavailable user1@example.com/a -  ");
    expect_line(stage, 2, "presence unavailable user1@example.com/a -  ");
    assert_true(actor_bind(&stage->actors[1], 0));
}

/* RFC 6121 s4.5.2, s4.6.3: the client's own words go to all who saw it, itself included. */
static void unavailable__with_a_status__is_told_whole(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[1], "<presence/>");
    actor_send(&stage->actors[2], "<presence/>");
    actor_send(&stage->actors[1], "<presence to='user0@example.com/a'/>");
    run(stage);
    clear(stage);
    actor_send(&stage->actors[1], "<presence type='unavailable' id='u'><status>bye</status></presence>");
    run(stage);
    for (unsigned i = 0; i < 3; i++) {
        expect_line(stage, i, "presence unavailable user1@example.com/a u status bye");
        expect_count(stage, i, 1);
    }
}

/* A resource of apostrophes, each six bytes when it is written: more than a chunk holds. */
static void unavailable__of_a_very_long_resource__is_told_whole(void **state)
{
    struct stage *stage = *state;
    char bind[JID_PART_MAX + 200];
    char *end = stpcpy(bind, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>");
    memset(end, '\'', JID_PART_MAX - 1);
    end += JID_PART_MAX - 1;
    strcpy(end, "</resource></bind></iq><presence/>");
    struct caller caller;
    caller_open(&caller, stage->rig, 0);
    assert_true(caller_login(&caller, 1));
    caller_say_text(&caller, bind);
    caller_run(&caller);
    assert_true(caller_has_heard(&caller, "id='b'") && caller_has_heard(&caller, "&apos;&apos;"));
    actor_send(&stage->actors[2], "<presence/>");
    run(stage);
    clear(stage);
    caller_close(&caller);
    run(stage);
    actor_send(&stage->actors[0],
               "<message to='user1@example.com/b' type='chat' id='1'><body>behind it</body></message>");
    run(stage);
    expect_count(stage, 2, 2);
    expect_line(stage, 2, "message chat user0@example.com/a 1 body behind it");
}

/* RFC 6121 s4.6.6: those who got directed presence may ask for it, nobody else; s4.6.1: until they have gone
 * themselves. */
static void probe__of_one_who_got_directed_presence__is_answered(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[1], "<presence to='user0@example.com/a'/>");
    run(stage);
    clear(stage);
    actor_send(&stage->actors[0], "<presence type='probe' id='p' to='user1@example.com/a'/>");
    actor_send(&stage->actors[0], "<presence type='probe' id='q' to='user1@example.com/b'/>");
    actor_send(&stage->actors[3], "<presence type='probe' id='r' to='user1@example.com/a'/>");
    run(stage);
    expect_line(stage, 0, "presence - user1@example.com/a p  ");
    expect_count(stage, 0, 1);
    expect_count(stage, 3, 0);
    clear(stage);
    actor_send(&stage->actors[0], "<presence type='unavailable' to='user1@example.com/a'/>");
    run(stage);
    actor_send(&stage->actors[0], "<presence type='probe' id='s' to='user1@example.com/a'/>");
    run(stage);
    expect_count(stage, 0, 0);
}

/* Addresses of directed presence are remembered up to a bound; behind it presence is refused, for its end could not be
 * told. */
static void directed_presence__to_very_many__is_refused_behind_the_bound(void **state)
{
    struct stage *stage = *state;
    for (unsigned i = 0; i < SESSION_DIRECTED_MAX - 1; i++)
        actor_send(&stage->actors[3], "<presence to='nobody%u@example.com'/>", i);
    actor_send(&stage->actors[3], "<presence to='user0@example.com/a'/><presence id='m' to='user1@example.com/b'/>");
    run(stage);
    expect_line(stage, 0, "presence - user2@example.com/a -  ");
    expect_line(stage, 3, "presence error user1@example.com/b m error resource-constraint");
    expect_count(stage, 2, 0);
    clear(stage);
    actor_reset(&stage->actors[3]);
    run(stage);
    expect_line(stage, 0, "presence unavailable user2@example.com/a -  ");
    expect_count(stage, 2, 0);
    assert_true(actor_bind(&stage->actors[3], 0));
}

/* Holds stream:invalid-from - a stanza in the name of another. */
static void spoofed_from__closes_the_stream(void **state)
{
    struct stage *stage = *state;
    actor_send(&stage->actors[3],
               "<message from='user1@example.com' to='user0@example.com/a'><body>x</body></message>");
    run(stage);
    assert_string_equal(stage->actors[3].error, "invalid-from");
    expect_count(stage, 0, 0);
    assert_true(actor_bind(&stage->actors[3], 0));
}

/* Holds 6120:7.5/1. */
/* Holds stream:conflict - another stream of the account bound the same resource, with bind.conflict=replace. */
static void same_resource__replaces_the_older_session(void **state)
{
    struct stage *stage = *state;
    struct actor second;
    struct inbox inbox = {0};
    actor_init(&second, stage->rig, 0, keep, &inbox);
    actor_enter(&second, "a", 0);
    run(stage);
    assert_string_equal(stage->actors[0].error, "conflict");
    actor_leave(&second);
    run(stage);
    actor_poll(&second);
    run(stage);
    actor_fini(&second);
    assert_true(actor_bind(&stage->actors[0], 0));
}

/* What waits for a peer that does not read comes back to the sender when the peer is gone; but a headline for whoever
 * is there (RFC 6121 s8.5.2.2.1). */
/* Holds 6120:8.3.3.13/1. */
static void unsent__comes_back_when_the_session_breaks(void **state)
{
    struct stage *stage = *state;
    char filler[3001];
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    actor_send(&stage->actors[1], "<presence/>");
    run(stage);
    peer_set_window(stage->actors[1].peer, 100);
    for (int i = 0; i < 30; i++) {
        actor_send(&stage->actors[0], "<message to='user1@example.com/a' id='u%d'><body>%s</body></message>", i,
                   filler);
        rig_run(stage->rig, 2);
    }
    actor_send(&stage->actors[0], "<message to='user1@example.com' type='headline'><body>%s</body></message>", filler);
    run(stage);
    uint64_t dropped = rig_counter(stage->rig, COUNTER_DROPPED);
    actor_reset(&stage->actors[1]);
    run(stage);
    assert_true(rig_counter(stage->rig, COUNTER_RETURNED) > 1);
    assert_int_equal(stage->inboxes[0].count, rig_counter(stage->rig, COUNTER_RETURNED) - 1);
    assert_int_equal(rig_counter(stage->rig, COUNTER_DROPPED), dropped + 1);
    expect_line(stage, 0, "message error user1@example.com/a u29 error service-unavailable");
    assert_int_equal(rig_balance(stage->rig), 0);
    assert_true(actor_bind(&stage->actors[1], 0));
}

/* The limits of today are for what comes today: what was taken before goes back whatever a reload has made of them. */
static void unsent__beyond_the_limits_of_a_reload__comes_back(void **state)
{
    struct stage *stage = *state;
    static const char *const tight[] = {"limits.stanza_size=10000B",
                                        "limits.stanza_size_unauthenticated=10000B",
                                        "limits.elements=16",
                                        "limits.elements_unauthenticated=16",
                                        "limits.depth=8",
                                        "limits.attributes=8",
                                        "limits.name_size=64B",
                                        NULL};
    static const char *const wide[] = {
        "<e/><e/><e/><e/><e/><e/><e/><e/><e/><e/><e/><e/><e/><e/><e/><e/>",
        "<e><e><e><e><e><e><e><e></e></e></e></e></e></e></e></e>",
        "<e a='' b='' c='' d='' e='' f='' g='' h='' i=''/>",
        "<a-name-that-is-longer-than-sixty-four-bytes-as-few-of-them-are-in-this-world/>",
    };
    static char filler[45001], large[45100];
    memset(filler, 'x', sizeof filler - 1);
    snprintf(large, sizeof large, "<message to='user1@example.com/a' id='u4'><body>%s</body></message>", filler);
    peer_set_window(stage->actors[1].peer, 100);
    actor_send(&stage->actors[0], "<message to='user1@example.com/a'><body>%.3000s</body></message>", filler);
    run(stage); /* the io has it */
    for (unsigned i = 0; i < 4; i++)
        actor_send(&stage->actors[0], "<message to='user1@example.com/a' id='u%u'>%s</message>", i, wide[i]);
    peer_send(stage->actors[0].peer, span_str(large));
    run(stage);
    rig_reload(stage->rig, tight);
    actor_reset(&stage->actors[1]);
    run(stage);
    expect_count(stage, 0, 5);
    for (unsigned i = 0; i < 5; i++) {
        char line[100];
        snprintf(line, sizeof line, "message error user1@example.com/a u%u error service-unavailable", i);
        expect_line(stage, 0, line);
    }
    assert_int_equal(rig_balance(stage->rig), 0);
    rig_reload(stage->rig, NULL);
    assert_true(actor_bind(&stage->actors[1], 0));
}

/* A reload that takes away the mechanism ends the sessions that stand on it, within timeouts.reset; another ends none.
 */
/* Holds stream:reset - a reload takes away the mechanism that a session authenticated with. */
static void reload__that_takes_the_mechanism__resets(void **state)
{
    struct stage *stage = *state;
    static const char *const other[] = {"limits.depth=32", NULL};
    static const char *const weaker[] = {"sasl.mechanisms=SCRAM-SHA-1", "timeouts.reset=5s", NULL};
    rig_reload(stage->rig, other);
    for (unsigned i = 0; i < 10; i++)
        run(stage);
    assert_int_equal(rig_counter(stage->rig, COUNTER_SESSIONS), 4);
    rig_reload(stage->rig, weaker);
    run(stage);
    assert_int_equal(rig_counter(stage->rig, COUNTER_RESETS), 4);
    rig_run(stage->rig, 5000);
    for (unsigned i = 0; i < 4; i++) {
        actor_poll(&stage->actors[i]);
        assert_string_equal(stage->actors[i].error, "reset");
    }
    rig_run(stage->rig, 100);
    assert_int_equal(rig_counter(stage->rig, COUNTER_SESSIONS), 0);
    rig_reload(stage->rig, NULL);
    for (unsigned i = 0; i < 4; i++)
        assert_true(actor_bind(&stage->actors[i], 0));
}

/* A reload that takes away a domain ends its sessions: the host is gone. */
/* Holds stream:host-gone - a reload takes away the domain of a session. */
static void reload__that_takes_the_domain__is_host_gone(void **state)
{
    struct stage *stage = *state;
    static const char *const without[] = {"rig.domain=example.org", "timeouts.reset=1s", NULL};
    rig_reload(stage->rig, without);
    rig_run(stage->rig, 1100);
    for (unsigned i = 0; i < 4; i++) {
        actor_poll(&stage->actors[i]);
        assert_string_equal(stage->actors[i].error, "host-gone");
    }
    rig_run(stage->rig, 100);
    assert_int_equal(rig_counter(stage->rig, COUNTER_SESSIONS), 0);
    rig_reload(stage->rig, NULL);
    for (unsigned i = 0; i < 4; i++)
        assert_true(actor_bind(&stage->actors[i], 0));
}

/* Features that were offered and have changed meanwhile: a stream in negotiation begins anew. */
/* Holds stream:reset - a reload during negotiation changes what was offered. */
static void reload__in_negotiation__resets(void **state)
{
    struct stage *stage = *state;
    static const char *const weaker[] = {"sasl.mechanisms=SCRAM-SHA-256", NULL};
    struct peer *peer = peer_connect(stage->rig->world, 0, LISTEN_C2S);
    peer_send(peer, SPAN("<stream:stream xmlns='jabber:client' to='example.com' version='1.0' "
                         "xmlns:stream='http://etherx.jabber.org/streams'>"));
    run(stage);
    rig_reload(stage->rig, weaker);
    run(stage);
    struct span answer = peer_received(peer);
    assert_non_null(memmem(answer.ptr, answer.size, "<reset ", 7));
    tap_write(tap_open(), answer);
    peer_free(peer);
    run(stage);
    assert_int_equal(rig_counter(stage->rig, COUNTER_SESSIONS), 4);
}

static int raise_one(void **state)
{
    static struct stage stage;
    raise_stage(&stage, 1);
    *state = &stage;
    return 0;
}

static int raise_three(void **state)
{
    static struct stage stage;
    raise_stage(&stage, 3);
    *state = &stage;
    return 0;
}

static int strike(void **state)
{
    strike_stage(*state);
    return 0;
}

#define BOTH(test)                                                                                                     \
    cmocka_unit_test_setup_teardown(test, raise_one, strike), cmocka_unit_test_setup_teardown(test, raise_three, strike)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(message__to_full_jid__arrives_stamped_and_in_order),
        BOTH(message__to_bare_jid__goes_to_the_highest_priority),
        BOTH(message__to_nobody__comes_back_as_an_error),
        BOTH(iq__is_answered_by_whom_it_is_for),
        BOTH(presence__is_shared_among_own_resources_and_where_directed),
        BOTH(unavailable__with_a_status__is_told_whole),
        BOTH(unavailable__of_a_very_long_resource__is_told_whole),
        BOTH(probe__of_one_who_got_directed_presence__is_answered),
        BOTH(directed_presence__to_very_many__is_refused_behind_the_bound),
        BOTH(spoofed_from__closes_the_stream),
        BOTH(same_resource__replaces_the_older_session),
        BOTH(reload__that_takes_the_mechanism__resets),
        BOTH(reload__in_negotiation__resets),
        BOTH(reload__that_takes_the_domain__is_host_gone),
        BOTH(unsent__comes_back_when_the_session_breaks),
        BOTH(unsent__beyond_the_limits_of_a_reload__comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
