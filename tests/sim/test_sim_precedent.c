/* SPDX-License-Identifier: MIT */
/* A server that comes back with another certificate (router/certs/precedents.h): what of it has changed is counted and
 * shown, by whichever side the stream was opened; and it is proven from zero each time. */
#include "router/certs/precedents.h"
#include "router/route/shard.h"
#include "router/s2s/s2s.h"
#include "tests/sim/actor.h"
#include "tls/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* a.example, whose certificates change, and b.example, who meets it. */
struct stage {
    struct rig *rigs[2];
    struct actor romeo, juliet;
    unsigned letters;
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    if (xml_child_named(stanza, 0, NS_CLIENT, "error") == XML_NOWHERE)
        stage->letters++;
}

static const char *const *overrides_of(unsigned side, const char *certificate)
{
    static char texts[2][RIG_SETTING_SIZE];
    static const char *list[16];
    const char *const all[] = {side ? "rig.domain=b.example" : "rig.domain=a.example",
                               side ? "s2s.routes=a.example=127.0.0.1:5269" : "s2s.routes=b.example=127.0.0.2:5269",
                               rig_certs(texts[0], "rig.certificate", certificate),
                               rig_certs(texts[1], "s2s.ca", "authorities.pem"),
                               "s2s.enabled=true",
                               "s2s.policy=pkix",
                               "timeouts.reset=0ms",
                               side ? "rig.inspector=yes" : NULL,
                               NULL};
    memcpy(list, all, sizeof all);
    return list;
}

static void stage_open(struct stage *stage, unsigned shards)
{
    memset(stage, 0, sizeof *stage);
    stage->rigs[0] = rig_new(1, shards, NULL, 1, overrides_of(0, "a"));
    stage->rigs[1] = rig_join(stage->rigs[0], "b.example", "127.0.0.2", shards, 1, overrides_of(1, "b"));
    rig_find(stage->rigs[1], NULL, STANDING_GOOD);
    actor_init(&stage->romeo, stage->rigs[0], 0, keep, stage);
    actor_init(&stage->juliet, stage->rigs[1], 0, keep, stage);
    snprintf(stage->romeo.resource, sizeof stage->romeo.resource, "x");
    snprintf(stage->juliet.resource, sizeof stage->juliet.resource, "x");
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->rigs[0], ms);
    actor_poll(&stage->romeo);
    actor_poll(&stage->juliet);
}

/* With another certificate sessions end too, with <reset/>. */
static void enter(struct stage *stage)
{
    struct actor *const actors[] = {&stage->romeo, &stage->juliet};
    for (unsigned i = 0; i < 2; i++)
        if (actors[i]->state != ACTOR_BOUND)
            assert_true(actor_bind(actors[i], 0));
}

static void end_streams(struct stage *stage)
{
    for (unsigned r = 0; r < 2; r++)
        for (unsigned i = 0; i < stage->rigs[r]->shard_count; i++) {
            struct shard *shard = &stage->rigs[r]->shards[i];
            for (struct s2s *s2s = shard->servers, *next; s2s; s2s = next) {
                next = s2s->next;
                stream_close(&s2s->stream, STREAM_NO_ERROR, NULL);
            }
            io_notify(shard->io);
        }
    run(stage, 3000);
}

static void stage_close(struct stage *stage)
{
    struct actor *const actors[] = {&stage->romeo, &stage->juliet};
    actor_close_all(actors, 2, stage->rigs[0], stage->rigs[1]);
}

/* The one stream that b.example has. */
static struct s2s *met(const struct stage *stage)
{
    struct s2s *found = NULL;
    for (unsigned i = 0; i < stage->rigs[1]->shard_count; i++)
        for (struct s2s *s2s = stage->rigs[1]->shards[i].servers; s2s; s2s = s2s->next) {
            assert_null(found);
            found = s2s;
        }
    assert_non_null(found);
    return found;
}

/* Romeo or Juliet writes: whose server dials. */
static struct s2s *write_once(struct stage *stage, bool is_romeo)
{
    unsigned before = stage->letters;
    enter(stage);
    actor_send(is_romeo ? &stage->romeo : &stage->juliet,
               "<message to='user0@%c.example/x' type='chat'><body>x</body></message>", is_romeo ? 'b' : 'a');
    run(stage, 3000);
    assert_int_equal(stage->letters, before + 1);
    struct s2s *s2s = met(stage);
    if (!s2s)
        fail_msg("no stream carries it");
    return s2s;
}

static const enum counter counters[] = {COUNTER_CERTS_CHANGED_KEY, COUNTER_CERTS_CHANGED_ISSUER,
                                        COUNTER_CERTS_CHANGED_NAMES, COUNTER_CERTS_RENEWED};
enum { KEY, ISSUER, NAMES, RENEWED, COUNTS };

static const struct step {
    const char *certificate;
    uint8_t changed;
    uint8_t counts[COUNTS]; /* since the beginning */
} steps[] = {
    {"a", 0, {0}},
    {"a", 0, {0}},
    {"renewed", 0, {0, 0, 0, 1}},
    {"fresh", CHANGED_KEY, {1, 0, 0, 1}},
    {"moved", CHANGED_KEY | CHANGED_NAMES, {2, 0, 1, 1}},
    {"shuffled", 0, {2, 0, 1, 2}},
    {"reissued", CHANGED_ISSUER | CHANGED_NAMES, {2, 1, 2, 2}},
    {"a", CHANGED_ISSUER, {2, 2, 2, 2}},
};

static void expect_counts(const struct stage *stage, const uint8_t *counts)
{
    for (unsigned i = 0; i < COUNTS; i++) {
        assert_int_equal(rig_counter(stage->rigs[1], counters[i]), counts[i]);
        assert_int_equal(rig_counter(stage->rigs[0], counters[i]), 0); /* b.example keeps its own */
    }
}

static void certificate__of_each_kind__is_counted_and_shown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct stage stage;
        stage_open(&stage, i < 2 ? 1 : 3);
        for (size_t n = 0; n < sizeof steps / sizeof steps[0]; n++) {
            rig_reload(stage.rigs[0], overrides_of(0, steps[n].certificate));
            run(&stage, 3000);
            const struct s2s *s2s = write_once(&stage, i % 2);
            assert_int_equal(s2s->changed, steps[n].changed);
            assert_int_equal(s2s->is_out, i % 2 == 0);
            assert_false(engine_is_resumed(s2s->stream.tls));
            expect_counts(&stage, steps[n].counts);
            end_streams(&stage);
        }
        stage_close(&stage);
    }
}

/* By whichever side it was opened: it is the same peer. */
static void roles__of_one_peer__share_what_is_remembered(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1);
    assert_int_equal(write_once(&stage, true)->changed, 0);
    end_streams(&stage);
    rig_reload(stage.rigs[0], overrides_of(0, "fresh"));
    run(&stage, 3000);
    assert_int_equal(write_once(&stage, false)->changed, CHANGED_KEY);
    end_streams(&stage);
    assert_int_equal(write_once(&stage, true)->changed, 0);
    expect_counts(&stage, (const uint8_t[COUNTS]){1, 0, 0, 0});
    stage_close(&stage);
}

/* What was revoked is remembered as that. The stream that comes then has nothing of the one before. */
static void revoked__and_back_with_another__from_zero(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1);
    struct s2s *s2s = write_once(&stage, true);
    const struct credential *credential = engine_credential(s2s->stream.tls);
    struct precedents *precedents = stage.rigs[1]->router->precedents;
    uint8_t leaf[CREDENTIAL_SHA256];
    memcpy(leaf, credential->path[0].sha256, sizeof leaf);
    uint64_t serial = s2s->serial;
    rig_find(stage.rigs[1], leaf, STANDING_REVOKED);
    run(&stage, 3000);
    assert_int_equal(rig_counter(stage.rigs[1], COUNTER_RESETS), 1);
    assert_int_equal(rig_counter(stage.rigs[1], COUNTER_S2S_STREAMS_IN), 0);
    rig_reload(stage.rigs[0], overrides_of(0, "fresh"));
    run(&stage, 3000);
    s2s = write_once(&stage, true);
    assert_true(s2s->serial > serial && s2s->name_count == 1 && s2s->stream.is_watched);
    assert_false(engine_is_resumed(s2s->stream.tls));
    expect_counts(&stage, (const uint8_t[COUNTS]){1, 0, 0, 0});
    assert_int_equal(precedents_count(precedents, PRECEDENT_SERVER), 1);
    stage_close(&stage);
}

/* It had no stream when it was revoked: it is known since it tried to come back by it. */
static void revoked__while_away__is_learnt_when_it_is_refused(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        stage_open(&stage, 1);
        struct credential *credential = engine_shared_credential(write_once(&stage, i)->stream.tls);
        credential_ref(credential);
        end_streams(&stage);
        rig_find(stage.rigs[1], NULL, STANDING_REVOKED);
        actor_send(i ? &stage.romeo : &stage.juliet, "<message to='user0@%c.example/x' type='chat'/>", i ? 'b' : 'a');
        run(&stage, 3000);
        assert_int_equal(rig_counter(stage.rigs[1], COUNTER_RESETS), 0);
        assert_true(rig_counter(stage.rigs[1], COUNTER_CERTS_REFUSED) > 0);
        struct precedent before = precedents_exchange(stage.rigs[1]->router->precedents, PRECEDENT_SERVER,
                                                      SPAN("a.example"), credential, STANDING_GOOD);
        assert_true(before.is_known && !before.changed && !before.is_renewed);
        assert_int_equal(before.standing, STANDING_REVOKED);
        credential_free(credential);
        stage_close(&stage);
    }
}

/* Streams by the certificate before stay: they are watched as long as they live. */
static void stream__by_the_one_before__stays_and_is_watched(void **state)
{
    (void)state;
    struct stage stage;
    stage_open(&stage, 1);
    struct s2s *s2s = write_once(&stage, true);
    rig_reload(stage.rigs[0], overrides_of(0, "fresh")); /* the same issuer and names: for its own streams a renewal */
    run(&stage, 3000);
    assert_ptr_equal(write_once(&stage, true), s2s);
    assert_true(s2s->stream.is_watched);
    expect_counts(&stage, (const uint8_t[COUNTS]){0});
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate__of_each_kind__is_counted_and_shown),
        cmocka_unit_test(roles__of_one_peer__share_what_is_remembered),
        cmocka_unit_test(revoked__and_back_with_another__from_zero),
        cmocka_unit_test(revoked__while_away__is_learnt_when_it_is_refused),
        cmocka_unit_test(stream__by_the_one_before__stays_and_is_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
