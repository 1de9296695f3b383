/* SPDX-License-Identifier: MIT */
/* XEP-0198 on a stream that another server dials: who may enable it and when, and what of ours is counted there. */
#include "tests/sim/ack_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

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

/* They have opened a stream for both ways, and two messages of ours wait. */
static struct peer *two_wait(struct stage *stage)
{
    played_open(stage, NULL);
    struct peer *peer = proven(stage, "<bidi xmlns='urn:xmpp:bidi'/>");
    say_numbers(stage, 0, 2);
    refuse(peer, "<message");
    return peer;
}

/* Their stream, our words too: what is not acknowledged of those goes to the stream that we dial. */
static void called__bidi__ours_are_counted_from_enabled_on(void **state)
{
    (void)state;
    struct stage stage;
    struct peer *peer = two_wait(&stage);
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
    struct peer *peer = two_wait(&stage);
    say(&stage, peer, "<enable" SM "/>");
    expect(peer, "<enabled" SM "/><message");
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING), 2);
    peer_free(peer);
    stage_close(&stage);
    peer = two_wait(&stage);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(called__enable_before_proof__failed),
        cmocka_unit_test(called__enable__enabled_once),
        cmocka_unit_test(called__acknowledgements_off__failed),
        cmocka_unit_test(called__bidi__ours_are_counted_from_enabled_on),
        cmocka_unit_test(called__bidi__ours_wait_for_enable),
        cmocka_unit_test(replaced__by_their_new_stream__the_rest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
