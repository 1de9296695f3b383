/* SPDX-License-Identifier: MIT */
/* Authentications by certificate wait for what the issuers say (router/certs/watch.h): of servers in both directions
 * good, revoked and never answered. Clients: test_sim_bearers.c. */
#include "router/route/shard.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define WAIT_MS 5000u /* certs.wait */

/* ------------------------------------------------------------------------------------------------ two routers */

struct stage {
    struct rig *rigs[2]; /* a.example, whose user0 writes, and b.example */
    struct actor romeo, juliet;
    unsigned answers, errors, letters;
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    if (actor == &stage->juliet)
        stage->letters++;
    else if (xml_child_named(stanza, 0, NS_CLIENT, "error") == XML_NOWHERE)
        stage->answers++;
    else
        stage->errors++;
}

/* Who inspects: a.example judges a server that it dials, b.example one that dials it. */
enum side { OUT, IN };

static void stage_open(struct stage *stage, enum side inspects, unsigned shards, const char *policy,
                       const char *revocation)
{
    char certificates[2][RIG_SETTING_SIZE], authority[RIG_SETTING_SIZE], certs[64];
    const char *all[2][12] = {{"rig.domain=a.example", "s2s.routes=b.example=127.0.0.2:5269"},
                              {"rig.domain=b.example", "s2s.routes=a.example=127.0.0.1:5269"}};
    memset(stage, 0, sizeof *stage);
    snprintf(certs, sizeof certs, "certs.revocation=%s", revocation);
    for (unsigned i = 0; i < 2; i++) {
        const char *more[] = {rig_certs(certificates[i], "rig.certificate", i ? "b" : "a"),
                              rig_certs(authority, "s2s.ca", "ca.pem"),
                              policy,
                              certs,
                              "s2s.enabled=true",
                              "s2s.timeout=20s",
                              "timeouts.reset=0ms"};
        memcpy(&all[i][2], more, sizeof more);
        all[i][9] = i == (unsigned)inspects ? "rig.inspector=yes" : NULL;
    }
    stage->rigs[0] = rig_new(1, shards, NULL, 1, all[0]);
    stage->rigs[1] = rig_join(stage->rigs[0], "b.example", "127.0.0.2", shards, 1, all[1]);
    actor_init(&stage->romeo, stage->rigs[0], 0, keep, stage);
    actor_init(&stage->juliet, stage->rigs[1], 0, keep, stage);
    actor_enter(&stage->romeo, "", 0);
    actor_enter(&stage->juliet, "balcony", 0);
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->rigs[0], ms);
    actor_poll(&stage->romeo);
    actor_poll(&stage->juliet);
}

static void stage_close(struct stage *stage)
{
    struct actor *const actors[] = {&stage->romeo, &stage->juliet};
    actor_close_all(actors, 2, stage->rigs[0], stage->rigs[1]);
}

static void write_to_juliet(struct stage *stage)
{
    actor_send(&stage->romeo, "<message to='user0@b.example/balcony' type='chat' id='m'><body>x</body></message>");
}

static uint64_t streams(const struct stage *stage)
{
    return rig_counter(stage->rigs[0], COUNTER_S2S_STREAMS_OUT) + rig_counter(stage->rigs[1], COUNTER_S2S_STREAMS_IN);
}

static unsigned watched(const struct rig *rig)
{
    unsigned count = 0;
    for (unsigned i = 0; i < rig->shard_count; i++)
        count += inspector_script_count(rig->shards[i].inspector);
    return count;
}

/* The stream is in nobody's books while it waits. */
static void expect_waiting(struct stage *stage, enum side side, uint64_t ms)
{
    run(stage, ms);
    assert_int_equal(streams(stage), 0);
    assert_int_equal(stage->letters + stage->errors, 0);
    assert_int_equal(watched(stage->rigs[side]), 1);
}

static void good__after_a_while__let_in_then(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct stage stage;
        enum side side = (enum side)(i % 2);
        stage_open(&stage, side, 1 + 2 * (i / 2), "s2s.policy=pkix", "hard");
        write_to_juliet(&stage);
        expect_waiting(&stage, side, WAIT_MS - 1000);
        rig_find(stage.rigs[side], NULL, STANDING_GOOD);
        run(&stage, 100);
        assert_int_equal(stage.letters, 1);
        assert_int_equal(streams(&stage), 2);
        run(&stage, 2 * WAIT_MS); /* nothing of the wait is left */
        assert_int_equal(streams(&stage), 2);
        assert_int_equal(rig_counter(stage.rigs[side], COUNTER_CERTS_LATE), 0);
        assert_int_equal(rig_counter(stage.rigs[side], COUNTER_CERTS_REFUSED), 0);
        stage_close(&stage);
    }
}

static void expect_refused(struct stage *stage, enum side side)
{
    run(stage, 21000);
    assert_int_equal(stage->letters, 0);
    assert_int_equal(stage->errors, 1);
    assert_int_equal(streams(stage), 0);
    assert_true(rig_counter(stage->rigs[side], COUNTER_CERTS_REFUSED) > 0);
    if (side == OUT)
        assert_true(rig_counter(stage->rigs[side], COUNTER_S2S_FAILED_CERTIFICATE) > 0);
    assert_int_equal(rig_counter(stage->rigs[side], COUNTER_RESETS), 0);
    assert_int_equal(watched(stage->rigs[side]), 0);
}

static void revoked__while_it_waits_or_before__never_let_in(void **state)
{
    (void)state;
    static const enum standing standings[] = {STANDING_REVOKED, STANDING_DISTRUSTED};
    for (unsigned i = 0; i < 8; i++) {
        struct stage stage;
        enum side side = (enum side)(i % 2);
        bool is_known = i & 2;
        stage_open(&stage, side, 2, "s2s.policy=pkix", "soft");
        if (is_known)
            rig_find(stage.rigs[side], NULL, standings[i / 4]);
        write_to_juliet(&stage);
        if (!is_known) {
            expect_waiting(&stage, side, 1000);
            rig_find(stage.rigs[side], NULL, standings[i / 4]);
        }
        expect_refused(&stage, side);
        stage_close(&stage);
    }
}

/* Dialback is another proof, which the policy believes of anybody. */
static void revoked__where_dialback_will_do__by_dialback(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        enum side side = (enum side)i;
        stage_open(&stage, side, 1, "s2s.policy=pkix-or-dialback", "soft");
        rig_find(stage.rigs[side], NULL, STANDING_REVOKED);
        write_to_juliet(&stage);
        run(&stage, 2000);
        assert_int_equal(stage.letters, 1);
        assert_true(rig_counter(stage.rigs[side], COUNTER_CERTS_REFUSED) > 0);
        assert_int_equal(rig_counter(stage.rigs[side], COUNTER_RESETS), 0);
        stage_close(&stage);
    }
}

static void never_answered__soft__let_in_when_the_wait_is_over(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        enum side side = (enum side)i;
        stage_open(&stage, side, 1, "s2s.policy=pkix", "soft");
        write_to_juliet(&stage);
        expect_waiting(&stage, side, WAIT_MS - 100);
        run(&stage, 200);
        assert_int_equal(stage.letters, 1);
        assert_int_equal(rig_counter(stage.rigs[side], COUNTER_CERTS_LATE), 1);
        stage_close(&stage);
    }
}

static void never_answered__hard__refused_when_the_wait_is_over(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        enum side side = (enum side)i;
        stage_open(&stage, side, 1, "s2s.policy=pkix", "hard");
        write_to_juliet(&stage);
        expect_waiting(&stage, side, WAIT_MS - 100);
        expect_refused(&stage, side);
        stage_close(&stage);
    }
}

/* Neither where it is known already, nor where nobody is asked. */
static void known_or_not_asked_for__at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct stage stage;
        enum side side = (enum side)(i % 2);
        stage_open(&stage, side, 1, "s2s.policy=pkix", i < 2 ? "hard" : "off");
        if (i < 2)
            rig_find(stage.rigs[side], NULL, STANDING_GOOD);
        uint64_t begin = world_now_ms(stage.rigs[0]->world);
        write_to_juliet(&stage);
        run(&stage, 1);
        assert_int_equal(stage.letters, 1);
        assert_true(world_now_ms(stage.rigs[0]->world) <= begin + 1);
        stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good__after_a_while__let_in_then),
        cmocka_unit_test(revoked__while_it_waits_or_before__never_let_in),
        cmocka_unit_test(revoked__where_dialback_will_do__by_dialback),
        cmocka_unit_test(never_answered__soft__let_in_when_the_wait_is_over),
        cmocka_unit_test(never_answered__hard__refused_when_the_wait_is_over),
        cmocka_unit_test(known_or_not_asked_for__at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
