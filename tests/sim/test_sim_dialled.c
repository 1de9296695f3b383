/* SPDX-License-Identifier: MIT */
/* What a router does on a stream that it has opened, to a server that the test plays; and how long it rests. */
#include "router/s2s/remote.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define PORT  6000
#define ROUTE "s2s.enabled=true", "s2s.routes=example.net=127.0.0.3:6000"
#define HEADER                                                                                                         \
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='theirs' "                \
    "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
#define BIDI  "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>"
#define VALID "<db:result from='example.net' to='example.com' type='valid'/>"

struct scene {
    struct rig *rig;
    struct actor romeo; /* user0@example.com */
    char error[64];     /* the last one that he was told */
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct scene *scene = actor->context;
    (void)actor_condition(stanza, scene->error);
}

static void run(struct scene *scene, uint64_t ms)
{
    rig_run(scene->rig, ms);
    actor_poll(&scene->romeo);
}

static void scene_open(struct scene *scene, enum world_far far, const char *const *overrides)
{
    memset(scene, 0, sizeof *scene);
    scene->rig = rig_new(1, 1, NULL, 1, overrides);
    world_set_far(scene->rig->world, PORT, far);
    actor_init(&scene->romeo, scene->rig, 0, keep, scene);
    assert_true(actor_bind(&scene->romeo, 0));
}

static void scene_close(struct scene *scene)
{
    struct actor *const actors[] = {&scene->romeo};
    actor_close_all(actors, 1, scene->rig, NULL);
}

static void say(struct scene *scene, struct peer *peer, const char *text)
{
    peer_send(peer, span_str(text));
    run(scene, 50);
}

/* Romeo speaks to example.net, and the router dials. */
static struct peer *called(struct scene *scene)
{
    for (int i = 0; i < 3; i++)
        actor_send(&scene->romeo, "<message to='a@example.net' id='%d'><body>n%d</body></message>", i, i);
    run(scene, 50);
    struct peer *peer = world_accept(scene->rig->world);
    assert_non_null(peer);
    assert_true(peer_has(peer, "<stream:stream from='example.com' to='example.net' version='1.0'"));
    return peer;
}

static const char *const plain[] = {ROUTE, "s2s.tls_required=false", NULL};

/* Holds 6120:4.3.5/2 6120:4.7.2/1 6120:4.7.5/4 6120:feature/stream-attribute-initial-from. */
/* Holds 6120:feature/stream-attribute-initial-lang 6120:feature/stream-attribute-initial-to. */
static void stanzas__before_it_is_let_in__wait_and_keep_their_order(void **state)
{
    (void)state;
    static const char *const steps[] = {HEADER, BIDI,
                                        "<db:verify from='example.net' to='example.com' id='1'>k</db:verify>"};
    struct scene scene;
    scene_open(&scene, FAR_ACCEPTS, plain);
    struct peer *peer = called(&scene);
    assert_true(peer_has(peer, " xml:lang='"));
    for (unsigned i = 0; i < 3; i++) {
        say(&scene, peer, steps[i]);
        assert_false(peer_has(peer, "<message"));
    }
    say(&scene, peer, VALID);
    struct span got = peer_received(peer);
    const char *first = memmem(got.ptr, got.size, ">n0<", 4), *second = memmem(got.ptr, got.size, ">n1<", 4),
               *third = memmem(got.ptr, got.size, ">n2<", 4);
    assert_true(first && first < second && second < third);
    peer_free(peer);
    scene_close(&scene);
}

static void verdict__invalid_or_error__closed_and_told(void **state)
{
    (void)state;
    static const char *const verdicts[] = {
        "<db:result from='example.net' to='example.com' type='invalid'/>",
        ("<db:result from='example.net' to='example.com' type='error'><error type='cancel'>"
         "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>"),
        "<db:result from='example.net' to='example.com' type='unheard-of'/>",
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    };
    for (unsigned i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        struct scene scene;
        scene_open(&scene, FAR_ACCEPTS, plain);
        struct peer *peer = called(&scene);
        say(&scene, peer, HEADER BIDI);
        say(&scene, peer, verdicts[i]);
        assert_true(peer_has(peer, "</stream:stream>"));
        assert_false(peer_has(peer, "<message"));
        /* XEP-0220 s2.1.1 */
        assert_string_equal(scene.error, i ? "remote-server-timeout" : "internal-server-error");
        peer_free(peer);
        scene_close(&scene);
    }
}

/* Holds stanza:feature-not-implemented - another server sends a dialback key on a stream that we have opened. */
static void key__on_a_stream_of_ours__not_implemented(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, FAR_ACCEPTS, plain);
    struct peer *peer = called(&scene);
    say(&scene, peer, HEADER BIDI);
    say(&scene, peer, VALID "<db:result from='example.net' to='example.com'>key</db:result>");
    assert_true(peer_has(peer, "type='error'><error type='cancel'><feature-not-implemented "));
    assert_false(peer_has(peer, "</stream:stream>")); /* XEP-0220 s2.4.2: the stream lives on */
    peer_free(peer);
    scene_close(&scene);
}

/* The other side would have what it says in plain text taken for protected (RFC 6120 s5.4.3.3).
 * Holds 6120:5.4.2.3/3 6120:5.4.3.3/2. */
static void proceed__and_more_in_plain_text__cut_off(void **state)
{
    (void)state;
    struct scene scene;
    const char *folder = getenv("SL_TEST_CERTS");
    char certificate[600];
    assert_non_null(folder);
    snprintf(certificate, sizeof certificate, "rig.certificate=%s/a", folder);
    const char *const overrides[] = {ROUTE, certificate, NULL};
    scene_open(&scene, FAR_ACCEPTS, overrides);
    struct peer *peer = called(&scene);
    say(&scene, peer,
        HEADER "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
               "</stream:features>");
    assert_true(peer_has(peer, "<starttls "));
    say(&scene, peer, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" HEADER BIDI);
    assert_true(peer_is_closed(peer) || peer_is_ended(peer));
    assert_false(peer_has(peer, "<db:result"));
    assert_string_equal(scene.error, "remote-server-timeout");
    peer_free(peer);
    scene_close(&scene);
}

/* RFC 6120 s3.3: random, and longer from failure to failure.
 * Holds 6120:feature/stream-reconnect. */
static void rests__failure_after_failure__twice_as_long_up_to_the_longest(void **state)
{
    (void)state;
    static const char *const overrides[] = {ROUTE, "s2s.rest_min=1s", "s2s.rest_max=5s", NULL};
    static const uint64_t longest_ms[] = {1000, 2000, 4000, 5000, 5000};
    struct scene scene;
    scene_open(&scene, FAR_REFUSES, overrides);
    for (unsigned i = 0; i < sizeof longest_ms / sizeof longest_ms[0]; i++) {
        actor_send(&scene.romeo, "<message to='a@example.net'><body>x</body></message>");
        run(&scene, 20);
        const struct pair *pair = remote_pair_find(&scene.rig->shards[0], SPAN("example.com"), SPAN("example.net"));
        assert_non_null(pair);
        assert_int_equal(pair->state, PAIR_RESTING);
        assert_int_equal(pair->failures, i + 1);
        uint64_t rested_ms = 20;
        for (; pair->state == PAIR_RESTING && rested_ms < 10000; rested_ms += 10)
            run(&scene, 10);
        assert_in_range(rested_ms, longest_ms[i] / 2, longest_ms[i] + 100);
    }
    scene_close(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stanzas__before_it_is_let_in__wait_and_keep_their_order),
        cmocka_unit_test(verdict__invalid_or_error__closed_and_told),
        cmocka_unit_test(key__on_a_stream_of_ours__not_implemented),
        cmocka_unit_test(proceed__and_more_in_plain_text__cut_off),
        cmocka_unit_test(rests__failure_after_failure__twice_as_long_up_to_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
