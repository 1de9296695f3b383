/* SPDX-License-Identifier: MIT */
/* Authentications by certificate wait for what the issuers say (router/certs/watch.h): of servers in both directions
 * and of clients, good, revoked and never answered; and expiry when the wall clock is set. */
#include "router/route/shard.h"
#include "router/stream/stream.h"
#include "tests/sim/actor.h"
#include "tests/sim/caller.h"
#include "tls/engine.h"

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
    char certificates[2][600], authority[600], certs[64];
    const char *folder = getenv("SL_TEST_CERTS");
    const char *all[2][12] = {{"rig.domain=a.example", "s2s.routes=b.example=127.0.0.2:5269"},
                              {"rig.domain=b.example", "s2s.routes=a.example=127.0.0.1:5269"}};
    assert_non_null(folder);
    memset(stage, 0, sizeof *stage);
    snprintf(authority, sizeof authority, "s2s.ca=%s/ca.pem", folder);
    snprintf(certs, sizeof certs, "certs.revocation=%s", revocation);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(certificates[i], sizeof certificates[i], "rig.certificate=%s/%c", folder, 'a' + (int)i);
        const char *more[] = {certificates[i],   authority,           policy, certs, "s2s.enabled=true",
                              "s2s.timeout=20s", "timeouts.reset=0ms"};
        memcpy(&all[i][2], more, sizeof more);
        all[i][9] = i == (unsigned)inspects ? "rig.inspector=yes" : NULL;
    }
    stage->rigs[0] = rig_new(1, shards, NULL, 1, all[0]);
    stage->rigs[1] = rig_join(stage->rigs[0], "b.example", "127.0.0.2", shards, 1, all[1]);
    actor_init(&stage->romeo, stage->rigs[0], 0, keep, stage);
    actor_init(&stage->juliet, stage->rigs[1], 0, keep, stage);
    snprintf(stage->juliet.resource, sizeof stage->juliet.resource, "balcony");
    assert_true(actor_bind(&stage->romeo, 0));
    assert_true(actor_bind(&stage->juliet, 0));
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->rigs[0], ms);
    actor_poll(&stage->romeo);
    actor_poll(&stage->juliet);
}

static void stage_close(struct stage *stage)
{
    actor_leave(&stage->romeo);
    actor_leave(&stage->juliet);
    run(stage, 1000);
    for (unsigned r = 0; r < 2; r++)
        for (unsigned i = 0; i < stage->rigs[r]->shard_count; i++) {
            shard_drain(&stage->rigs[r]->shards[i]);
            io_notify(stage->rigs[r]->shards[i].io);
        }
    run(stage, 20000);
    actor_fini(&stage->romeo);
    actor_fini(&stage->juliet);
    rig_free(stage->rigs[1]);
    rig_free(stage->rigs[0]);
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

/* ------------------------------------------------------------------------------------------------ clients */

#define AUTH    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
#define REFUSED "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>"

static const char *person_path(const char *ending)
{
    static char paths[2][600];
    char *path = paths[ending[0] != '\0'];
    assert_non_null(getenv("SL_TEST_PEOPLE"));
    snprintf(path, sizeof paths[0], "%s/%s%s", getenv("SL_TEST_PEOPLE"), ending[0] ? "people" : "valid", ending);
    return path;
}

static struct rig *rig_of_clients(unsigned shards, const char *revocation)
{
    char authority[700], certs[64];
    const char *const *usual = caller_tls_overrides();
    snprintf(authority, sizeof authority, "tls.client_ca_file=%s", person_path(".pem"));
    snprintf(certs, sizeof certs, "certs.revocation=%s", revocation);
    const char *const all[] = {usual[0],
                               usual[1],
                               authority,
                               "tls.client_certificates=optional",
                               certs,
                               "rig.inspector=yes",
                               "timeouts.reset=0ms",
                               "limits.connections_per_address=0",

                               NULL};
    return rig_new(1, shards, NULL, 2, all);
}

/* Up to the answer to EXTERNAL, which waits. */
static void ask(struct caller *caller, struct rig *rig, const char *address)
{
    caller_open_from(caller, rig, 0, LISTEN_C2S_TLS, address);
    caller->person = person_path("");
    assert_true(caller_start_tls(caller));
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    assert_true(caller_has_heard(caller, "<mechanism>EXTERNAL<"));
    caller_forget(caller);
    caller_say_text(caller, AUTH);
    caller_run(caller);
}

static void leave(struct caller *caller)
{
    if (!caller_is_over(caller))
        caller_say_text(caller, "</stream:stream>");
    caller_run(caller);
    caller_notify(caller);
    caller_run(caller);
    caller_close(caller);
}

static void finish(struct rig *rig)
{
    rig_run(rig, 20000);
    rig_free(rig);
}

static bool goes_on(struct caller *caller)
{
    if (!caller_has_heard(caller, "<success"))
        return false;
    caller_say_text(caller, CALLER_HEADER);
    caller_run(caller);
    return caller_bind(caller, "x");
}

static void client__each_finding__as_it_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rig *rig = rig_of_clients(1 + i, "hard");
        struct caller caller;
        ask(&caller, rig, "192.0.2.1");
        caller_wait(&caller, 1000);
        assert_string_equal(caller.heard, "");
        if (i < 2)
            rig_find(rig, NULL, i == 0 ? STANDING_GOOD : STANDING_REVOKED);
        caller_wait(&caller, i < 2 ? 100 : WAIT_MS);
        if (i == 0) {
            assert_true(goes_on(&caller));
        } else { /* a password does still, and is not watched */
            assert_string_equal(caller.heard, REFUSED);
            assert_int_equal(watched(rig), 0);
            caller_forget(&caller);
            caller_auth(&caller, 1);
            caller_run(&caller);
            caller_prove(&caller);
            caller_run(&caller);
            assert_true(goes_on(&caller));
            assert_int_equal(watched(rig), 0);
        }
        leave(&caller);
        finish(rig);
    }
}

/* By its own end, by a reset, by its deadline. */
static void dies_while_it_waits__nothing_is_left(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct rig *rig = rig_of_clients(1, "hard");
        struct caller caller;
        ask(&caller, rig, "192.0.2.1");
        assert_int_equal(watched(rig), 1);
        if (i == 0)
            leave(&caller);
        else if (i == 1)
            peer_reset(caller.peer);
        else
            peer_end(caller.peer);
        rig_run(rig, 2 * WAIT_MS);
        if (i > 0)
            caller_close(&caller);
        rig_run(rig, 20000);
        assert_int_equal(watched(rig), 0);
        rig_find(rig, NULL, STANDING_GOOD);
        finish(rig);
    }
}

#define MANY 100u

static void many__of_one_chain__one_question_and_all_are_answered(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        static struct caller callers[MANY];
        struct rig *rig = rig_of_clients(1, "soft");
        for (unsigned n = 0; n < MANY; n++) {
            char address[32];
            snprintf(address, sizeof address, "192.0.2.%u", n + 1);
            ask(&callers[n], rig, address);
        }
        assert_int_equal(watched(rig), 1);
        rig_find(rig, NULL, i ? STANDING_REVOKED : STANDING_GOOD);
        for (unsigned n = 0; n < MANY; n++) {
            caller_run(&callers[n]);
            assert_true(caller_has_heard(&callers[n], i ? REFUSED : "<success"));
        }
        assert_int_equal(watched(rig), i ? 0 : 1);
        for (unsigned n = 0; n < MANY; n++)
            leave(&callers[n]);
        finish(rig);
    }
}

/* The policy is exchanged while it waits. */
static void policy_off__while_it_waits__goes_on(void **state)
{
    (void)state;
    struct rig *rig = rig_of_clients(1, "hard");
    char authority[700];
    struct caller caller;
    const char *const *usual = caller_tls_overrides();
    ask(&caller, rig, "192.0.2.1");
    assert_string_equal(caller.heard, "");
    snprintf(authority, sizeof authority, "tls.client_ca_file=%s", person_path(".pem"));
    const char *const all[] = {
        usual[0], usual[1], authority, "tls.client_certificates=optional", "certs.revocation=off", "timeouts.reset=0ms",
        NULL};
    rig_reload(rig, all);
    caller_wait(&caller, 10);
    assert_true(caller_has_heard(&caller, "<success"));
    leave(&caller);
    finish(rig);
}

/* ------------------------------------------------------------------------------------------------ the wall clock */

#define HOUR INT64_C(3600000)
#define DAY  (24 * HOUR)

static int64_t left_ms(const struct rig *rig)
{
    const struct stream *stream = rig->shards[0].streams;
    return engine_credential(stream->tls)->not_after * 1000 - io_wall_ms(rig->shards[0].io);
}

/* Whatever it was set to before, the end comes when the wall clock says so: within the second before notAfter, or at
 * once if it is over. */
static void clock__set_each_way__no_early_and_no_late_close(void **state)
{
    (void)state;
    static const int64_t jumps[] = {HOUR, -HOUR, DAY, -DAY, INT64_MIN, 1000};
    for (unsigned i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        struct rig *rig = rig_of_clients(1, "soft");
        struct caller caller;
        rig_find(rig, NULL, STANDING_GOOD);
        ask(&caller, rig, "192.0.2.1");
        caller_wait(&caller, 10);
        assert_true(goes_on(&caller));
        rig_jump_wall(rig, jumps[i] == INT64_MIN ? -io_wall_ms(rig->shards[0].io) : jumps[i]);
        caller_wait(&caller, 3000);
        assert_false(caller_is_over(&caller));
        rig_jump_wall(rig, left_ms(rig) - 10000);
        caller_wait(&caller, 8900);
        assert_false(caller_is_over(&caller));
        caller_wait(&caller,
                    1110); /* notAfter is a whole second, the last one in which it is valid (RFC 5280 s4.1.2.5) */
        assert_true(caller_has_heard(&caller, "<reset "));
        leave(&caller);
        finish(rig);
    }
    /* Beyond it: at once. */
    struct rig *rig = rig_of_clients(1, "soft");
    struct caller caller;
    rig_find(rig, NULL, STANDING_GOOD);
    ask(&caller, rig, "192.0.2.1");
    caller_wait(&caller, 10);
    assert_true(goes_on(&caller));
    rig_jump_wall(rig, left_ms(rig) + HOUR);
    caller_wait(&caller, 10);
    assert_true(caller_has_heard(&caller, "<reset "));
    leave(&caller);
    finish(rig);
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
        cmocka_unit_test(client__each_finding__as_it_says),
        cmocka_unit_test(dies_while_it_waits__nothing_is_left),
        cmocka_unit_test(many__of_one_chain__one_question_and_all_are_answered),
        cmocka_unit_test(policy_off__while_it_waits__goes_on),
        cmocka_unit_test(clock__set_each_way__no_early_and_no_late_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
