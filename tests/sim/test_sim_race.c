/* SPDX-License-Identifier: MIT */
/* How the servers of a domain are dialled when it has several addresses (RFC 8305, RFC 2782): who is tried when, who
 * wins, and that nothing is left of the others. */
#include "router/s2s/contact.h"
#include "router/s2s/race.h"
#include "router/s2s/remote.h"
#include "router/s2s/resolver_script.h"
#include "tests/sim/actor.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define PORT 5269
#define HEADER                                                                                                         \
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='theirs' "                \
    "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
#define FEATURES "<stream:features><bidi xmlns='urn:xmpp:features:bidi'/></stream:features>"
#define VALID    "<db:result from='example.net' to='example.com' type='valid'/>"

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

#define OPEN "s2s.enabled=true", "s2s.tls_required=false", "s2s.allow_private=true"
static const char *const plain[] = {OPEN, NULL};

static void scene_open_with(struct scene *scene, uint64_t seed, const struct world_chaos *chaos,
                            const char *const *overrides, const char *records)
{
    struct err err;
    memset(scene, 0, sizeof *scene);
    scene->rig = rig_new(seed, 1, chaos, 1, overrides);
    assert_true(resolver_script_add(scene->rig->resolver, records, &err));
    actor_init(&scene->romeo, scene->rig, 0, keep, scene);
    assert_true(actor_bind(&scene->romeo, 0));
}

static void scene_open(struct scene *scene, const char *const *overrides, const char *records)
{
    scene_open_with(scene, 1, NULL, overrides, records);
}

static void drain(struct scene *scene, uint64_t after_ms)
{
    actor_leave(&scene->romeo);
    run(scene, after_ms);
    rig_drain(scene->rig);
    run(scene, 200);
}

static void scene_end(struct scene *scene)
{
    run(scene, 20000);
    actor_fini(&scene->romeo);
    rig_free(scene->rig);
}

static void scene_close(struct scene *scene)
{
    drain(scene, 1000); /* what is dialled anew for what was not sent has come through by then */
    scene_end(scene);
}

static void far_at(struct scene *scene, const char *host, enum world_far does, uint64_t delay_ms)
{
    world_set_far_at(scene->rig->world, host, PORT, does, delay_ms);
}

static uint64_t counted(const struct scene *scene, enum counter counter)
{
    return rig_counter(scene->rig, counter);
}

/* Connections that are not romeo's. */
static unsigned connections(const struct scene *scene)
{
    return world_open_count(scene->rig->world) - 1;
}

static void speak(struct scene *scene)
{
    scene->error[0] = '\0';
    actor_send(&scene->romeo, "<message to='a@example.net'><body>x</body></message>");
}

/* The next server that a connection has come to; it has to be the one at that address. */
static struct peer *called(struct scene *scene, const char *host)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct peer *peer = world_accept(scene->rig->world);
    assert_non_null(peer);
    const struct sockaddr *address = peer_address(peer);
    const void *bytes = address->sa_family == AF_INET6
                            ? (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr
                            : (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    inet_ntop(address->sa_family, bytes, text, sizeof text);
    assert_string_equal(text, host);
    return peer;
}

/* It lets us in, and the message comes. */
static void let_in(struct scene *scene, struct peer *peer)
{
    assert_true(peer_has(peer, "<stream:stream from='example.com' to='example.net' version='1.0'"));
    peer_send(peer, SPAN(HEADER FEATURES));
    run(scene, 20);
    peer_send(peer, SPAN(VALID));
    run(scene, 20);
    assert_true(peer_has(peer, "<body>x</body>"));
    assert_string_equal(scene->error, "");
}

#define SRV(priority, target) "_xmpp-server._tcp.example.net SRV " #priority " 0 5269 " target "\n"
#define TWO_FAMILIES                                                                                                   \
    SRV(1, "host.example.net")                                                                                         \
    "host.example.net AAAA 2001:db8::1\n"                                                                              \
    "host.example.net A 192.0.2.1\n"

/* ------------------------------------------------------------------------------------------------ who wins */

static void silent__first_family__the_other_after_the_delay(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, plain, TWO_FAMILIES);
    far_at(&scene, "2001:db8::1", FAR_SILENT, 0);
    far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 0);
    speak(&scene);
    run(&scene, 240);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 1);
    assert_int_equal(connections(&scene), 1);
    run(&scene, 20);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 2);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIAL_CANCELLED), 1);
    assert_int_equal(connections(&scene), 1); /* no descriptor of the first is left */
    struct peer *peer = called(&scene, "192.0.2.1");
    let_in(&scene, peer);
    run(&scene, 15000); /* nothing comes of the first any more */
    assert_int_equal(counted(&scene, COUNTER_S2S_FAILED_TIMEOUT), 0);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 2);
    peer_free(peer);
    scene_close(&scene);
}

static void quick__first_family__nobody_else_is_tried(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, plain, TWO_FAMILIES);
    far_at(&scene, "2001:db8::1", FAR_ACCEPTS, 249);
    far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 0);
    speak(&scene);
    run(&scene, 300);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 1);
    struct peer *peer = called(&scene, "2001:db8::1");
    let_in(&scene, peer);
    assert_null(world_accept(scene.rig->world));
    peer_free(peer);
    scene_close(&scene);
}

/* Begun first, and overtaken; one that is begun later may also lose to it. */
static void slow__first_family__the_first_to_come_through_wins(void **state)
{
    (void)state;
    static const struct {
        uint64_t v6_ms, v4_ms;
        const char *winner;
    } cases[] = {{400, 100, "192.0.2.1"}, {400, 200, "2001:db8::1"}};
    for (unsigned i = 0; i < 2; i++) {
        struct scene scene;
        scene_open(&scene, plain, TWO_FAMILIES);
        far_at(&scene, "2001:db8::1", FAR_ACCEPTS, cases[i].v6_ms);
        far_at(&scene, "192.0.2.1", FAR_ACCEPTS, cases[i].v4_ms);
        speak(&scene);
        run(&scene, 1000);
        assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 2);
        assert_int_equal(counted(&scene, COUNTER_S2S_DIAL_CANCELLED), 1);
        assert_int_equal(connections(&scene), 1);
        struct peer *peer = called(&scene, cases[i].winner);
        let_in(&scene, peer);
        assert_null(world_accept(scene.rig->world)); /* the other was closed before it came there */
        peer_free(peer);
        scene_close(&scene);
    }
}

/* Both come through in the same batch of completions, either of them first: one stream, and nothing of the other. */
static void both__at_the_same_moment__one_stream_begins(void **state)
{
    (void)state;
    static const struct world_chaos chaos = {.delay = true};
    unsigned wins[2] = {0};
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct scene scene;
        scene_open_with(&scene, seed, &chaos, plain, TWO_FAMILIES);
        far_at(&scene, "2001:db8::1", FAR_ACCEPTS, 350);
        far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 100);
        speak(&scene);
        run(&scene, 1000);
        struct peer *peer = world_accept(scene.rig->world);
        assert_non_null(peer);
        wins[peer_address(peer)->sa_family == AF_INET6]++;
        assert_true(peer_has(peer, "<stream:stream "));
        assert_null(world_accept(scene.rig->world));
        assert_int_equal(counted(&scene, COUNTER_S2S_DIAL_CANCELLED), 1);
        assert_int_equal(connections(&scene), 1);
        peer_free(peer);
        scene_close(&scene);
    }
    assert_true(wins[0] > 0 && wins[1] > 0);
}

/* ------------------------------------------------------------------------------------------------ when */

static void refused__all__ten_milliseconds_apart(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, plain,
               SRV(1, "host.example.net") "host.example.net AAAA 2001:db8::1\nhost.example.net AAAA 2001:db8::2\n"
                                          "host.example.net A 192.0.2.1\nhost.example.net A 192.0.2.2\n");
    speak(&scene);
    for (unsigned i = 1; i <= 4; i++) {
        run(&scene, i == 1 ? 5 : RACE_GAP_MS);
        assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), i);
        assert_int_equal(counted(&scene, COUNTER_S2S_FAILED_CONNECT), i);
    }
    assert_string_equal(scene.error, "remote-server-timeout"); /* at once: nobody is left */
    assert_int_equal(connections(&scene), 0);
    scene_close(&scene);
}

static void silent__all__one_more_each_delay_and_an_error_in_time(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN, "s2s.attempt_delay=500ms", "s2s.dial_timeout=5s", NULL};
    struct scene scene;
    scene_open(&scene, overrides,
               SRV(1, "host.example.net") "host.example.net AAAA 2001:db8::1\nhost.example.net AAAA 2001:db8::2\n"
                                          "host.example.net A 192.0.2.1\nhost.example.net A 192.0.2.2\n");
    world_set_far(scene.rig->world, 0, FAR_SILENT);
    speak(&scene);
    for (unsigned i = 1; i <= 4; i++) {
        run(&scene, i == 1 ? 490 : 500);
        assert_int_equal(connections(&scene), i);
    }
    run(&scene, 4600); /* 6.59 s; the last was begun at 1.5 s */
    assert_string_equal(scene.error, "remote-server-timeout");
    assert_int_equal(connections(&scene), 0);
    assert_int_equal(counted(&scene, COUNTER_S2S_FAILED_TIMEOUT), 4);
    scene_close(&scene);
}

/* All 12 that are tried hang: s2s.timeout is what a stanza waits at the most, however long one address may take. */
static void silent__longer_than_a_stanza_waits__all_closed_when_time_is_up(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN, "s2s.timeout=3s", "s2s.dial_timeout=60s", NULL};
    char records[2048] = SRV(1, "host.example.net");
    for (int i = 0; i < 16; i++)
        snprintf(records + strlen(records), sizeof records - strlen(records),
                 "host.example.net AAAA 2001:db8::%x\nhost.example.net A 192.0.2.%d\n", i + 1, i + 1);
    struct scene scene;
    scene_open(&scene, overrides, records);
    world_set_far(scene.rig->world, 0, FAR_SILENT);
    speak(&scene);
    run(&scene, 2990);
    assert_int_equal(connections(&scene), RACE_LANES_MAX);
    assert_string_equal(scene.error, "");
    run(&scene, 20);
    assert_string_equal(scene.error, "remote-server-timeout");
    assert_int_equal(connections(&scene), 0);
    assert_int_equal(contact_count(&scene.rig->shards[0]), 0);
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ targets */

#define BACKUP                                                                                                         \
    SRV(1, "main.example.net")                                                                                         \
    SRV(2, "spare.example.net") "main.example.net A 192.0.2.1\nspare.example.net A 192.0.2.2\n"

/* RFC 2782: "the target host with the lowest-numbered priority it can reach". */
static void priority__main_server_far_away__no_race_with_its_backup(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, plain, BACKUP);
    far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 3000);
    far_at(&scene, "192.0.2.2", FAR_ACCEPTS, 0);
    speak(&scene);
    run(&scene, 3100);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 1);
    struct peer *peer = called(&scene, "192.0.2.1");
    let_in(&scene, peer);
    peer_free(peer);
    scene_close(&scene);
}

static void priority__main_server_dead__its_backup_when_that_is_certain(void **state)
{
    (void)state;
    static const struct {
        enum world_far far;
        uint64_t certain_ms;
    } cases[] = {{FAR_SILENT, 10000}, {FAR_REFUSES, RACE_GAP_MS}};
    for (unsigned i = 0; i < 2; i++) {
        struct scene scene;
        scene_open(&scene, plain, BACKUP);
        far_at(&scene, "192.0.2.1", cases[i].far, 0);
        far_at(&scene, "192.0.2.2", FAR_ACCEPTS, 0);
        speak(&scene);
        run(&scene, cases[i].certain_ms - 2);
        assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 1);
        run(&scene, 10);
        assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 2);
        struct peer *peer = called(&scene, "192.0.2.2");
        let_in(&scene, peer);
        peer_free(peer);
        scene_close(&scene);
    }
}

/* A first target with more addresses than are tried does not keep the others from being tried. */
static void share__first_target_has_too_many__each_has_some(void **state)
{
    (void)state;
    char records[2048] = SRV(1, "main.example.net") SRV(2, "spare.example.net") "spare.example.net A 203.0.113.1\n";
    for (int i = 0; i < 16; i++)
        snprintf(records + strlen(records), sizeof records - strlen(records),
                 "main.example.net AAAA 2001:db8::%x\nmain.example.net A 192.0.2.%d\n", i + 1, i + 1);
    struct scene scene;
    scene_open(&scene, plain, records);
    far_at(&scene, "203.0.113.1", FAR_ACCEPTS, 0);
    speak(&scene);
    run(&scene, 1000);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), RACE_LANES_MAX / 2 + 1);
    struct peer *peer = called(&scene, "203.0.113.1");
    let_in(&scene, peer);
    peer_free(peer);
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ after the race */

/* The winner says nothing that could be negotiated with: the others are tried again, which had only been slower. */
static void negotiation__fails_with_the_winner__the_others_have_their_turn(void **state)
{
    (void)state;
    static const char *const words[] = {
        "<stream:stream xmlns='jabber:server' version='1.0' id='theirs' from='example.net' to='example.com' "
        "xmlns:stream='http://etherx.jabber.org/streams'><stream:error><host-unknown "
        "xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>",
        "HTTP/1.1 400 Bad Request\r\n\r\n", NULL};
    for (unsigned i = 0; i < 3; i++) {
        struct scene scene;
        scene_open(&scene, plain, TWO_FAMILIES);
        far_at(&scene, "2001:db8::1", FAR_ACCEPTS, 400);
        far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 0);
        speak(&scene);
        run(&scene, 300);
        struct peer *first = called(&scene, "192.0.2.1");
        assert_true(peer_has(first, "<stream:stream "));
        if (words[i])
            peer_send(first, span_str(words[i]));
        else
            peer_reset(first);
        run(&scene, 1000);
        assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 3);
        struct peer *second = called(&scene, "2001:db8::1");
        let_in(&scene, second);
        peer_free(first);
        run(&scene, 100);
        assert_int_equal(connections(&scene), 1);
        peer_free(second);
        scene_close(&scene);
    }
}

static void negotiation__winner_says_nothing__given_up_after_its_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, plain, TWO_FAMILIES);
    far_at(&scene, "2001:db8::1", FAR_ACCEPTS, 2000);
    far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 0);
    speak(&scene);
    run(&scene, 10100); /* begun at 250 ms */
    struct peer *first = called(&scene, "192.0.2.1");
    assert_false(peer_is_closed(first) || peer_is_ended(first));
    run(&scene, 3000);
    assert_int_equal(counted(&scene, COUNTER_S2S_FAILED_TIMEOUT), 1);
    struct peer *second = called(&scene, "2001:db8::1");
    let_in(&scene, second);
    peer_free(first);
    run(&scene, 100);
    peer_free(second);
    scene_close(&scene);
}

/* Every address is connected to and talks nonsense, while the slower ones are put back each time: the number of
 * connections stays bounded, and the error comes. */
static void negotiation__fails_with_all__bounded(void **state)
{
    (void)state;
    struct scene scene;
    char records[1024] = SRV(1, "host.example.net"), host[64];
    for (int i = 1; i <= 6; i++)
        snprintf(records + strlen(records), sizeof records - strlen(records),
                 "host.example.net AAAA 2001:db8::%x\nhost.example.net A 192.0.2.%d\n", i, i);
    scene_open(&scene, plain, records);
    for (int i = 1; i <= 6; i++) {
        snprintf(host, sizeof host, "2001:db8::%x", i);
        far_at(&scene, host, FAR_ACCEPTS, 800);
        snprintf(host, sizeof host, "192.0.2.%d", i);
        far_at(&scene, host, FAR_ACCEPTS, 100);
    }
    speak(&scene);
    for (unsigned i = 0; i < 100 && !scene.error[0]; i++) {
        run(&scene, 100);
        for (struct peer *peer; (peer = world_accept(scene.rig->world));)
            peer_free(peer);
    }
    assert_string_equal(scene.error, "remote-server-timeout");
    assert_in_range(counted(&scene, COUNTER_S2S_DIALLED), RACE_LANES_MAX, RACE_DIALS_MAX);
    assert_int_equal(connections(&scene), 0);
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ cut short */

/* The shard ends while four are being connected. */
static void drain__in_the_middle_of_a_race__nothing_is_left(void **state)
{
    (void)state;
    struct scene scene;
    scene_open(&scene, plain,
               SRV(1, "host.example.net") "host.example.net AAAA 2001:db8::1\nhost.example.net AAAA 2001:db8::2\n"
                                          "host.example.net A 192.0.2.1\nhost.example.net A 192.0.2.2\n");
    world_set_far(scene.rig->world, 0, FAR_SILENT);
    speak(&scene);
    run(&scene, 900);
    assert_int_equal(connections(&scene), 4);
    drain(&scene, 20);
    assert_int_equal(contact_count(&scene.rig->shards[0]), 0);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIAL_CANCELLED), 4);
    assert_int_equal(world_open_count(scene.rig->world), 0);
    scene_end(&scene);
}

/* Answers of the resolver to contacts that are gone find nobody, though their places are taken by others. */
static void answer__of_a_contact_that_is_gone__is_nobodys(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN, "s2s.timeout=1s", "s2s.rest_min=100ms", "s2s.rest_max=100ms", NULL};
    struct scene scene;
    scene_open(&scene, overrides,
               "_xmpp-server._tcp.example.net SRV 1 0 5269 host.example.net delay=1500\n"
               "host.example.net A 192.0.2.1\n"
               "_xmpp-server._tcp.example.org.uk SRV 1 0 5269 other.example.org.uk delay=5000\n");
    far_at(&scene, "192.0.2.1", FAR_ACCEPTS, 0);
    speak(&scene);
    run(&scene, 1050); /* given up; the answer is still to come */
    assert_string_equal(scene.error, "remote-server-timeout");
    assert_int_equal(contact_count(&scene.rig->shards[0]), 0);
    actor_send(&scene.romeo, "<message to='a@example.org.uk'><body>y</body></message>");
    run(&scene, 600); /* the answer comes, and another contact is where the first was */
    assert_int_equal(contact_count(&scene.rig->shards[0]), 1);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 0);
    run(&scene, 2000);
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ at random */

static uint64_t dice(uint64_t *state, uint64_t sides)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % sides;
}

/* Up to six hosts that do anything; peers that answer, cut or keep silent. Whatever happens: no more than one stream is
 * begun at a time, the books balance (rig_free), and in the end the stanza has arrived or was answered in time. */
static void one_at_random(uint64_t seed)
{
    static const struct world_chaos chaos = {.delay = true, .cut_receives = true};
    uint64_t state = seed, waited_ms = 0;
    char records[1024] = "", host[64];
    struct scene scene;
    unsigned hosts = 1 + (unsigned)dice(&state, 6);
    for (unsigned i = 0; i < hosts; i++)
        snprintf(records + strlen(records), sizeof records - strlen(records),
                 "_xmpp-server._tcp.example.net SRV %u 0 5269 h%u.example.net\nh%u.example.net %s %s%u\n",
                 (unsigned)dice(&state, 2), i, i, i % 2 ? "AAAA" : "A", i % 2 ? "2001:db8::" : "192.0.2.", i + 1);
    scene_open_with(&scene, seed, &chaos, plain, records);
    for (unsigned i = 0; i < hosts; i++) {
        snprintf(host, sizeof host, "%s%u", i % 2 ? "2001:db8::" : "192.0.2.", i + 1);
        far_at(&scene, host, (enum world_far)dice(&state, 3), dice(&state, 4) * dice(&state, 400));
    }
    speak(&scene);
    bool is_done = false;
    struct peer *live[64];
    unsigned live_count = 0;
    for (; !is_done && waited_ms < 35000; waited_ms += 50) {
        run(&scene, 50);
        for (struct peer *peer; (peer = world_accept(scene.rig->world));) {
            assert_true(live_count < 64);
            live[live_count++] = peer;
            if (dice(&state, 3) == 0)
                peer_reset(peer);
            else if (dice(&state, 2) == 0)
                peer_send(peer, SPAN(HEADER FEATURES VALID));
        }
        unsigned open = 0;
        for (unsigned i = 0; i < live_count; i++) {
            open += !peer_is_closed(live[i]) && !peer_is_ended(live[i]);
            is_done |= peer_has(live[i], "<body>x</body>");
        }
        assert_true(open <= 1 || !is_done);
        is_done |= scene.error[0] != '\0';
    }
    if (!is_done)
        fail_msg("seed %llu: neither delivered nor answered", (unsigned long long)seed);
    assert_true(waited_ms <= 30100);
    for (unsigned i = 0; i < live_count; i++)
        peer_free(live[i]);
    run(&scene, 1000);
    scene_close(&scene);
}

static void hosts__at_random__delivered_or_answered_in_time(void **state)
{
    (void)state;
    const char *seeds = getenv("SL_SEEDS");
    uint64_t count = seeds ? strtoull(seeds, NULL, 10) : 150;
    for (uint64_t seed = 1; seed <= count; seed++)
        one_at_random(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silent__first_family__the_other_after_the_delay),
        cmocka_unit_test(quick__first_family__nobody_else_is_tried),
        cmocka_unit_test(slow__first_family__the_first_to_come_through_wins),
        cmocka_unit_test(both__at_the_same_moment__one_stream_begins),
        cmocka_unit_test(refused__all__ten_milliseconds_apart),
        cmocka_unit_test(silent__all__one_more_each_delay_and_an_error_in_time),
        cmocka_unit_test(silent__longer_than_a_stanza_waits__all_closed_when_time_is_up),
        cmocka_unit_test(priority__main_server_far_away__no_race_with_its_backup),
        cmocka_unit_test(priority__main_server_dead__its_backup_when_that_is_certain),
        cmocka_unit_test(share__first_target_has_too_many__each_has_some),
        cmocka_unit_test(negotiation__fails_with_the_winner__the_others_have_their_turn),
        cmocka_unit_test(negotiation__winner_says_nothing__given_up_after_its_time),
        cmocka_unit_test(negotiation__fails_with_all__bounded),
        cmocka_unit_test(drain__in_the_middle_of_a_race__nothing_is_left),
        cmocka_unit_test(answer__of_a_contact_that_is_gone__is_nobodys),
        cmocka_unit_test(hosts__at_random__delivered_or_answered_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
