/* SPDX-License-Identifier: MIT */
/* Servers of other domains that cannot be found, or not now: what whoever writes to them is told, and when; that nobody
 * else waits for it; and how often a router lets itself be made to look. */
#include "router/s2s/contact.h"
#include "router/s2s/remote.h"
#include "router/s2s/resolver_script.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define OPEN "s2s.enabled=true", "s2s.tls_required=false"

struct person {
    struct actor actor;
    unsigned errors, results;
    char error[64]; /* the last one */
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct person *person = actor->context;
    if (actor_condition(stanza, person->error))
        person->errors++;
    else
        person->results++;
}

struct scene {
    struct rig *rig;
    struct person romeo; /* user0@example.com */
};

static void log_in(struct person *person, struct rig *rig)
{
    memset(person, 0, sizeof *person);
    actor_init(&person->actor, rig, 0, keep, person);
    assert_true(actor_bind(&person->actor, 0));
}

static void run(struct scene *scene, uint64_t ms)
{
    rig_run(scene->rig, ms);
    actor_poll(&scene->romeo.actor);
}

static void scene_open(struct scene *scene, const char *const *overrides, const char *records)
{
    struct err err;
    scene->rig = rig_new(1, 1, NULL, 1, overrides);
    if (!resolver_script_add(scene->rig->resolver, records, &err))
        fail_msg("%s", err.text);
    log_in(&scene->romeo, scene->rig);
}

static void scene_close(struct scene *scene)
{
    actor_leave(&scene->romeo.actor);
    run(scene, 1000);
    rig_drain(scene->rig);
    run(scene, 20000);
    actor_fini(&scene->romeo.actor);
    rig_free(scene->rig);
}

static void write_to(struct scene *scene, const char *domain)
{
    scene->romeo.error[0] = '\0';
    actor_send(&scene->romeo.actor, "<message to='a@%s' type='chat' id='1'><body>x</body></message>", domain);
}

static uint64_t counted(const struct scene *scene, enum counter counter)
{
    return rig_counter(scene->rig, counter);
}

/* ------------------------------------------------------------------------------------------------ what the DNS says */

#define SRV(target)   "_xmpp-server._tcp.example.net SRV 0 0 5269 " target "\n"
#define HOST(records) SRV("h.example.net") records
#define GOOD          "_xmpp-server._tcp.good.example SRV 0 0 5269 h.good.example\nh.good.example A 198.41.0.4\n"
#define EIGHT(prefix)                                                                                                  \
    prefix "0\n" prefix "1\n" prefix "2\n" prefix "3\n" prefix "4\n" prefix "5\n" prefix "6\n" prefix "7\n"

static const struct found {
    const char *what, *records, *condition;
    uint64_t within_ms;
} cases[] = {
    {"no such domain", "", "remote-server-not-found", 10},
    {"no server", SRV("."), "remote-server-not-found", 10},
    {"a target without addresses", SRV("h.example.net") "h.example.net A nodata\n", "remote-server-not-found", 10},
    {"a loop of aliases", HOST("h.example.net CNAME g.example.net\ng.example.net CNAME h.example.net\n"),
     "remote-server-not-found", 10},
    {"too many records",
     EIGHT("_xmpp-server._tcp.example.net SRV 0 0 5269 a") EIGHT("_xmpp-server._tcp.example.net SRV 0 0 5269 b")
         EIGHT("_xmpp-server._tcp.example.net SRV 0 0 5269 c") EIGHT("_xmpp-server._tcp.example.net SRV 0 0 5269 d")
             EIGHT("_xmpps-server._tcp.example.net SRV 0 0 5269 e"),
     "remote-server-not-found", 10},
    {"bogus", "_xmpp-server._tcp.example.net SRV bogus\n", "remote-server-not-found", 10},
    {"bogus addresses", HOST("h.example.net A bogus\n"), "remote-server-not-found", 10},
    {"loopback", HOST("h.example.net A 127.0.0.1\nh.example.net AAAA ::1\n"), "remote-server-not-found", 10},
    {"link-local", HOST("h.example.net A 169.254.169.254\nh.example.net AAAA fe80::1\n"), "remote-server-not-found",
     10},
    {"private", HOST("h.example.net A 10.0.0.1\nh.example.net A 192.168.1.1\nh.example.net AAAA fd00::1\n"),
     "remote-server-not-found", 10},
    {"private in disguise",
     HOST("h.example.net AAAA ::ffff:127.0.0.1\nh.example.net AAAA 2002:7f00:1::1\nh.example.net AAAA 64:ff9b::7f00:1\n"
          "h.example.net AAAA 64:ff9b::a00:1\nh.example.net AAAA ::ffff:169.254.169.254\n"),
     "remote-server-not-found", 10},
    {"without SRV, loopback", "example.net A 127.0.0.1\n", "remote-server-not-found", 10},
    {"failing", "_xmpp-server._tcp.example.net SRV fail\n", "remote-server-timeout", 10},
    {"failing addresses", HOST("h.example.net * fail\n"), "remote-server-timeout", 10},
    {"dead", "_xmpps-server._tcp.example.net * silent\n_xmpp-server._tcp.example.net * silent\n",
     "remote-server-timeout", 10010},
    {"dead for addresses", HOST("h.example.net * silent\n"), "remote-server-timeout", 10010},
    {"slower than is waited for", "_xmpp-server._tcp.example.net SRV 0 0 5269 h.example.net delay=40000\n",
     "remote-server-timeout", 10010},
};

/* Another domain is reached at once, whatever goes on about the first. */
static void reach_good(struct scene *scene)
{
    uint64_t before = counted(scene, COUNTER_S2S_DIALLED);
    write_to(scene, "good.example");
    run(scene, 2);
    assert_int_equal(counted(scene, COUNTER_S2S_DIALLED), before + 1);
    peer_free(world_accept(scene->rig->world));
    run(scene, 2);
}

static void expect_found(const struct found *found)
{
    static const char *const overrides[] = {OPEN, NULL};
    char records[4096];
    struct scene scene;
    snprintf(records, sizeof records, "%s%s", GOOD, found->records);
    scene_open(&scene, overrides, records);
    const struct resolver *resolver = scene.rig->resolver;
    world_set_far(scene.rig->world, 5269, FAR_ACCEPTS);
    write_to(&scene, "example.net");
    run(&scene, 1);
    reach_good(&scene);
    write_to(&scene, "example.net");
    run(&scene, found->within_ms);
    if (strcmp(scene.romeo.error, found->condition) != 0)
        fail_msg("%s: <%s/>", found->what, scene.romeo.error);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 1); /* of the other domain */
    unsigned asked = resolver_script_asked(resolver, "_xmpp-server._tcp.example.net", DNS_SRV);
    for (unsigned i = 0; i < 5; i++) { /* while it rests: at once, and no question */
        write_to(&scene, "example.net");
        run(&scene, 2);
        assert_string_equal(scene.romeo.error, found->condition);
    }
    run(&scene, 2100); /* rested; the answer is remembered for 30 s at least */
    write_to(&scene, "example.net");
    run(&scene, 5);
    assert_string_equal(scene.romeo.error, found->condition);
    assert_int_equal(resolver_script_asked(resolver, "_xmpp-server._tcp.example.net", DNS_SRV), asked);
    scene_close(&scene);
}

static void dns__whatever_it_says__the_exact_error_in_time_and_no_other_domain_waits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        expect_found(&cases[i]);
}

static void dns__slow__waited_for(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN, NULL};
    struct scene scene;
    scene_open(&scene, overrides,
               "_xmpp-server._tcp.example.net SRV 0 0 5269 h.example.net delay=4000 ttl=0\n"
               "h.example.net A 198.41.0.4 delay=4000\n");
    world_set_far(scene.rig->world, 5269, FAR_ACCEPTS);
    write_to(&scene, "example.net");
    run(&scene, 7900);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 0);
    run(&scene, 200);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 1);
    assert_string_equal(scene.romeo.error, "");
    peer_free(world_accept(scene.rig->world));
    scene_close(&scene);
}

/* However patient the resolver is: s2s.timeout is what a stanza waits. */
static void dns__slower_than_a_stanza_waits__timeout_when_time_is_up(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN, "s2s.timeout=2s", NULL};
    struct scene scene;
    scene_open(&scene, overrides, "_xmpp-server._tcp.example.net * silent\n");
    write_to(&scene, "example.net");
    run(&scene, 1990);
    assert_string_equal(scene.romeo.error, "");
    run(&scene, 20);
    assert_string_equal(scene.romeo.error, "remote-server-timeout");
    assert_int_equal(contact_count(&scene.rig->shards[0]), 0);
    run(&scene, 10000); /* the resolver's answer comes, and is nobody's */
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ budgets */

/* RFC 6120 s13.12: one account cannot have a thousand domains looked for. Those that fail together do not rest for the
 * same time (s3.3). */
static void budget__a_thousand_domains_of_one_account__few_are_looked_for(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN, NULL};
    struct scene scene;
    scene_open(&scene, overrides, "");
    run(&scene, 60000 - world_now_ms(scene.rig->world) % 60000);
    uint64_t times[60];
    char domain[32];
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(domain, sizeof domain, "d%u.example", i);
        write_to(&scene, domain);
        run(&scene, 1);
    }
    run(&scene, 10);
    assert_int_equal(scene.romeo.errors, 1000);
    assert_string_equal(scene.romeo.error, "resource-constraint");
    assert_int_equal(scene.rig->shards[0].pair_count, 60);
    unsigned asked = 0, different = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char service[64];
        snprintf(service, sizeof service, "_xmpp-server._tcp.d%u.example", i);
        asked += resolver_script_asked(scene.rig->resolver, service, DNS_SRV);
    }
    assert_int_equal(asked, 60);
    for (unsigned i = 0; i < 60; i++) {
        snprintf(domain, sizeof domain, "d%u.example", i);
        const struct pair *pair = remote_pair_find(&scene.rig->shards[0], SPAN("example.com"), span_str(domain));
        times[i] = pair->timer.due_ms - i; /* a millisecond lies between two */
        bool is_new = true;
        for (unsigned j = 0; j < i; j++)
            is_new &= times[j] != times[i];
        different += is_new;
    }
    assert_true(different > 40);
    scene_close(&scene);
}

static void budget__one_domain_again_and_again__no_dial_beyond_it(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN,
                                            "s2s.routes=example.net=127.0.0.3:6000",
                                            "s2s.dials_per_domain=4",
                                            "s2s.rest_min=100ms",
                                            "s2s.rest_max=100ms",
                                            NULL};
    struct scene scene;
    scene_open(&scene, overrides, "");
    run(&scene, 60000 - world_now_ms(scene.rig->world) % 60000);
    for (unsigned i = 0; i < 20; i++) {
        write_to(&scene, "example.net");
        run(&scene, 200);
        assert_string_equal(scene.romeo.error, i < 4 ? "remote-server-timeout" : "resource-constraint");
    }
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 4);
    run(&scene, 60000);
    write_to(&scene, "example.net");
    run(&scene, 200);
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 5);
    scene_close(&scene);
}

/* Strangers name a third party in dialback keys: it is asked so often and no more. Another domain is not concerned. */
static void budget__keys_that_name_a_third_party__asked_so_often_and_no_more(void **state)
{
    (void)state;
    static const char *const overrides[] = {OPEN,
                                            "s2s.routes=victim.example=127.0.0.3:6000 other.example=127.0.0.4:6000",
                                            "s2s.dials_per_domain=4", "rig.domain=example.com", NULL};
    struct scene scene;
    scene_open(&scene, overrides, "");
    run(&scene, 60000 - world_now_ms(scene.rig->world) % 60000);
    for (unsigned i = 0; i < 21; i++) {
        char text[512];
        struct peer *peer = peer_connect_to(scene.rig->group, 0, LISTEN_S2S);
        snprintf(
            text, sizeof text,
            "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' to='example.com' "
            "xmlns:stream='http://etherx.jabber.org/streams'><db:result from='%s.example' "
            "to='example.com'>key</db:result>",
            i < 20 ? "victim" : "other");
        peer_send(peer, span_str(text));
        run(&scene, 100);
        struct span got = peer_received(peer);
        bool is_refused = memmem(got.ptr, got.size, "<resource-constraint", 20) != NULL;
        assert_int_equal(is_refused, i >= 4 && i < 20);
        peer_free(peer);
        run(&scene, 10);
    }
    assert_int_equal(counted(&scene, COUNTER_S2S_DIALLED), 5);
    scene_close(&scene);
}

/* ------------------------------------------------------------------------------------------------ many domains */

/* Two domains here, two routers elsewhere: four pairs, each with its own stream, and no answer goes astray. */
static void domains__two_of_ours_and_two_others__each_pair_its_stream(void **state)
{
    (void)state;
    static const char *const home[] = {OPEN, "s2s.routes=example.net=127.0.0.2 example.edu=127.0.0.3", NULL};
    static const char *const away[] = {OPEN, "s2s.routes=example.com=127.0.0.1 example.org=127.0.0.1", NULL};
    static const char *const names[] = {"example.net", "example.edu"}, *const ours[] = {"example.com", "example.org"};
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct rig *rig = rig_new(shards, shards, NULL, 1, home), *guests[2];
        struct person people[2];
        for (unsigned i = 0; i < 2; i++) {
            guests[i] = rig_join(rig, names[i], i ? "127.0.0.3" : "127.0.0.2", shards, 1, away);
            log_in(&people[i], guests[i]);
        }
        for (unsigned i = 0; i < 4; i++)
            actor_send(&people[i % 2].actor, "<iq to='%s' type='get' id='%u'><ping xmlns='urn:xmpp:ping'/></iq>",
                       ours[i / 2], i);
        rig_run(rig, 1000);
        uint32_t pairs = 0;
        for (unsigned i = 0; i < shards; i++)
            pairs += rig->shards[i].pair_count;
        assert_int_equal(pairs, 4);
        assert_int_equal(rig_counter(rig, COUNTER_S2S_STREAMS_IN), 4);
        for (unsigned i = 0; i < 2; i++) {
            actor_poll(&people[i].actor);
            assert_int_equal(people[i].results, 2);
            assert_int_equal(people[i].errors, 0);
            actor_leave(&people[i].actor);
        }
        rig_run(rig, 1000);
        rig_drain(rig);
        rig_drain(guests[0]);
        rig_drain(guests[1]);
        rig_run(rig, 20000);
        for (unsigned i = 2; i-- > 0;) {
            actor_fini(&people[i].actor);
            rig_free(guests[i]);
        }
        rig_free(rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns__whatever_it_says__the_exact_error_in_time_and_no_other_domain_waits),
        cmocka_unit_test(dns__slow__waited_for),
        cmocka_unit_test(dns__slower_than_a_stanza_waits__timeout_when_time_is_up),
        cmocka_unit_test(budget__a_thousand_domains_of_one_account__few_are_looked_for),
        cmocka_unit_test(budget__one_domain_again_and_again__no_dial_beyond_it),
        cmocka_unit_test(budget__keys_that_name_a_third_party__asked_so_often_and_no_more),
        cmocka_unit_test(domains__two_of_ours_and_two_others__each_pair_its_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
