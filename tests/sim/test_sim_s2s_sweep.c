/* SPDX-License-Identifier: MIT */
/*
 * A wire between two routers is cut behind every byte of a negotiation, as either end reads it, TLS records included.
 * Whatever was cut: the stanza that the connection was opened for arrives by another one or comes back, and the next
 * one arrives.
 *
 * Every 41st byte under TLS; SL_SWEEP=1: every byte.
 */
#include "core/base/check.h"
#include "router/admin/control_priv.h"
#include "router/admin/survey.h"
#include "tests/sim/actor.h"
#include "tests/sim/witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct sweep {
    struct rig *home, *away;
    struct actor romeo, juliet;
    unsigned number; /* of the last message */
    unsigned arrived, returned;
    bool was_said, was_read;
};

static unsigned number_of(const struct xml_stanza *stanza)
{
    char room[64], text[64];
    unsigned number = 0;
    const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
    struct span value = id ? xml_value(stanza, id, room, sizeof room) : SPAN("");
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(value));
    return sscanf(text, "#%u#", &number) == 1 ? number : 0;
}

static void heard(struct actor *actor, const struct xml_stanza *stanza)
{
    struct sweep *sweep = actor->context;
    if (number_of(stanza) != sweep->number)
        return;
    if (actor == &sweep->juliet)
        sweep->arrived++;
    else
        sweep->returned++;
}

static void passed(void *context, const struct router *router, uint64_t wire, unsigned number, bool is_read)
{
    struct sweep *sweep = context;
    (void)router;
    (void)wire;
    if (number == sweep->number)
        *(is_read ? &sweep->was_read : &sweep->was_said) = true;
}

static void run(struct sweep *sweep, uint64_t ms)
{
    rig_run(sweep->home, ms);
    actor_poll(&sweep->romeo);
    actor_poll(&sweep->juliet);
}

static void say(struct sweep *sweep)
{
    sweep->number++;
    sweep->arrived = sweep->returned = 0;
    sweep->was_said = sweep->was_read = false;
    actor_send(&sweep->romeo,
               "<message to='user0@%s/r' type='chat' id='" WITNESS_TOKEN "'><body>but soft</body></message>",
               sweep->away->domain, sweep->number);
}

static void expect_outcome(struct sweep *sweep, unsigned end, uint64_t bytes, bool must_arrive)
{
    /* It was given to the wire that was cut, and not read from it: lost without XEP-0198. */
    bool is_excused = sweep->was_said && !sweep->was_read && !must_arrive;
    unsigned outcomes = sweep->arrived + sweep->returned;
    if (outcomes > 1 || (outcomes == 0 && !is_excused) || (must_arrive && !sweep->arrived))
        fail_msg("cut as end %u has read %lu bytes: arrived %u, returned %u, said %d, read %d", end,
                 (unsigned long)bytes, sweep->arrived, sweep->returned, sweep->was_said, sweep->was_read);
    assert_int_equal(rig_balance(sweep->home), 0);
    assert_int_equal(rig_balance(sweep->away), 0);
}

static void close_streams(struct rig *rig, const char *domain)
{
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct control_ask ask = {.kind = ASK_S2S_CLOSE, .shard = i, .domain = span_str(domain)};
        survey_s2s_close(&rig->shards[i], &ask);
        io_notify(rig->shards[i].io);
    }
}

/* which: 1 the wire that is dialled first, 2 the next, which asks whether a dialback key is good. False: the
 * negotiation was over before so many bytes had been read. */
static bool cut_behind(struct sweep *sweep, unsigned which, unsigned end, uint64_t bytes)
{
    world_break_after(sweep->home->world, world_wires(sweep->home->world) + which, end, bytes);
    say(sweep);
    run(sweep, 50);
    run(sweep, 300); /* and whoever rests has rested */
    expect_outcome(sweep, end, bytes, false);
    bool was_cut = !world_will_break(sweep->home->world);
    world_break_after(sweep->home->world, 0, 0, 1);
    say(sweep);
    run(sweep, 100);
    expect_outcome(sweep, end, bytes, true);
    close_streams(sweep->home, sweep->away->domain);
    run(sweep, 500);
    for (unsigned i = 0; i < sweep->home->shard_count; i++)
        assert_true(!sweep->home->shards[i].servers && !sweep->away->shards[i].servers);
    return was_cut;
}

static void sweep_all(const char *const *home, const char *const *away, const char *away_domain, unsigned shards,
                      unsigned wires, unsigned stride)
{
    struct sweep sweep = {0};
    witness_begin(passed, &sweep);
    sweep.home = rig_new(7, shards, NULL, 1, home);
    sweep.away = rig_join(sweep.home, away_domain, "127.0.0.2", shards, 1, away);
    actor_init(&sweep.romeo, sweep.home, 0, heard, &sweep);
    actor_init(&sweep.juliet, sweep.away, 0, heard, &sweep);
    snprintf(sweep.juliet.resource, sizeof sweep.juliet.resource, "r");
    assert_true(actor_bind(&sweep.romeo, 0) && actor_bind(&sweep.juliet, 0));
    for (unsigned which = 1; which <= wires; which++) {
        uint64_t ends[2] = {1, 1};
        for (unsigned end = 0; end < 2; end++)
            while (cut_behind(&sweep, which, end, ends[end]))
                ends[end] += stride;
        printf("wire %u cut behind each of %lu bytes from there, %lu bytes from here, every %u\n", which,
               (unsigned long)ends[0], (unsigned long)ends[1], stride);
        assert_true(ends[0] > 300 && ends[1] > 300);
    }
    actor_leave(&sweep.romeo);
    actor_leave(&sweep.juliet);
    run(&sweep, 500);
    rig_drain(sweep.home);
    rig_drain(sweep.away);
    run(&sweep, 20000);
    actor_fini(&sweep.romeo);
    actor_fini(&sweep.juliet);
    rig_free(sweep.away);
    rig_free(sweep.home);
    witness_end();
}

static unsigned stride(unsigned usual)
{
    return getenv("SL_SWEEP") ? 1 : usual;
}

/* Nobody is asked whether it is still there: actors do not answer that. */
#define SWIFT                                                                                                          \
    "s2s.enabled=true", "s2s.rest_min=100ms", "s2s.rest_max=100ms", "s2s.timeout=1s", "timeouts.close=100ms",          \
        "s2s.dials_per_user=1000000", "timeouts.idle=0s", "s2s.acks=false"

static void dialback__cut_behind_every_byte__arrives_or_comes_back(void **state)
{
    (void)state;
    static const char *const home[] = {SWIFT, "s2s.tls_required=false", "s2s.routes=example.net=127.0.0.2:5269", NULL};
    static const char *const away[] = {SWIFT, "s2s.tls_required=false", "s2s.routes=example.com=127.0.0.1:5269", NULL};
    sweep_all(home, away, "example.net", 1, 2, stride(1));
    sweep_all(home, away, "example.net", 3, 2, stride(11));
}

static void certificates__cut_behind_every_byte__arrives_or_comes_back(void **state)
{
    (void)state;
    static char authority[RIG_SETTING_SIZE], certificates[2][RIG_SETTING_SIZE];
    (void)rig_certs(authority, "s2s.ca", "ca.pem");
    (void)rig_certs(certificates[0], "rig.certificate", "a");
    (void)rig_certs(certificates[1], "rig.certificate", "c");
    const char *home[] = {SWIFT, "rig.domain=a.example", certificates[0], authority, "s2s.policy=pkix", NULL, NULL};
    const char *away[] = {SWIFT, certificates[1], authority, "s2s.policy=pkix", "s2s.routes=a.example=127.0.0.1:5269",
                          NULL};
    home[sizeof home / sizeof home[0] - 2] = "s2s.routes=c.example=127.0.0.2:5269";
    sweep_all(home, away, "c.example", 1, 1, stride(41));
    home[sizeof home / sizeof home[0] - 2] = "s2s.routes=c.example=127.0.0.2:5270/tls";
    sweep_all(home, away, "c.example", 2, 1, stride(41));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialback__cut_behind_every_byte__arrives_or_comes_back),
        cmocka_unit_test(certificates__cut_behind_every_byte__arrives_or_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
