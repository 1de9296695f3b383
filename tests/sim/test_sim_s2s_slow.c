/* SPDX-License-Identifier: MIT */
/* A server that stops reading: what its queue may hold, what its senders get, and that nobody else waits for it. */
#include "router/s2s/s2s.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SENDERS 40u
#define EACH    20u
#define HARD    65536u

struct stage {
    struct rig *home, *slow, *swift;
    struct actor senders[SENDERS], nurse, juliet, benvolio; /* nurse writes to benvolio, whose server reads */
    int last[SENDERS];
    unsigned arrived, refused, answered, other;
    bool is_jumbled;
};

static void heard(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    char room[64], text[64], error[ACTOR_CONDITION_SIZE];
    unsigned from;
    int number;
    const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
    struct span value = id ? xml_value(stanza, id, room, sizeof room) : SPAN("");
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(value));
    if (actor == &stage->benvolio) {
        stage->answered++;
    } else if (actor == &stage->juliet && sscanf(text, "%u-%d", &from, &number) == 2) {
        stage->is_jumbled |= number <= stage->last[from];
        stage->last[from] = number;
        stage->arrived++;
    } else if (actor_condition(stanza, error)) {
        bool is_known = strcmp(error, "resource-constraint") == 0;
        stage->refused += is_known;
        stage->other += !is_known;
    }
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    for (unsigned i = 0; i < SENDERS; i++)
        actor_poll(&stage->senders[i]);
    actor_poll(&stage->nurse);
    actor_poll(&stage->juliet);
    actor_poll(&stage->benvolio);
}

static void join(struct stage *stage, struct actor *actor, struct rig *rig, unsigned number)
{
    actor_init(actor, rig, number, heard, stage);
    actor_enter(actor, "r", 0);
}

static void expect_bounded(const struct stage *stage)
{
    for (const struct s2s *s2s = stage->home->shards[0].servers; s2s; s2s = s2s->next)
        assert_true(s2s->stream.out.size <= HARD);
}

static void slow_server__flooded__bounded_refused_and_nobody_else_waits(void **state)
{
    (void)state;
    static const char *const home[] = {"s2s.enabled=true",
                                       "s2s.tls_required=false",
                                       "limits.queue_soft=4KiB",
                                       "limits.stanza_size=16KiB",
                                       "s2s.queue_hard=64KiB",
                                       "s2s.acks=false",
                                       "s2s.routes=example.net=127.0.0.2:5269 example.org=127.0.0.3:5269",
                                       "rig.domain=example.com",
                                       NULL};
    static const char *const away[] = {"s2s.enabled=true", "s2s.tls_required=false",
                                       "s2s.routes=example.com=127.0.0.1:5269", "s2s.acks=false", NULL};
    static struct stage stage;
    stage.home = rig_new(5, 1, NULL, SENDERS + 1, home);
    stage.slow = rig_join(stage.home, "example.net", "127.0.0.2", 1, 1, away);
    stage.swift = rig_join(stage.home, "example.org", "127.0.0.3", 1, 1, away);
    for (unsigned i = 0; i < SENDERS; i++) {
        join(&stage, &stage.senders[i], stage.home, i);
        stage.last[i] = -1;
    }
    join(&stage, &stage.nurse, stage.home, SENDERS);
    join(&stage, &stage.juliet, stage.slow, 0);
    join(&stage, &stage.benvolio, stage.swift, 0);
    actor_send(&stage.senders[0], "<message to='user0@example.net/r' type='chat'><body>x</body></message>");
    run(&stage, 500);
    world_set_stalled(stage.slow->shards[0].io, true);
    for (unsigned n = 0; n < EACH; n++) {
        for (unsigned i = 0; i < SENDERS; i++)
            actor_send(&stage.senders[i],
                       "<message to='user0@example.net/r' type='chat' id='%u-%u'><body>%04000d</body></message>", i, n,
                       0);
        actor_send(&stage.nurse, "<message to='user0@example.org/r' type='chat' id='n'><body>x</body></message>");
        if (n < EACH / 2)
            continue; /* all at once: each may add what was read of it before it is slowed down */
        run(&stage, 5);
        expect_bounded(&stage);
    }
    run(&stage, 100);
    assert_int_equal(stage.answered, EACH); /* on the same shard, all the while */
    assert_int_equal(stage.arrived, 0);
    assert_true(rig_counter(stage.home, COUNTER_THROTTLED) >= SENDERS);
    world_set_stalled(stage.slow->shards[0].io, false);
    run(&stage, 2000);
    run(&stage, 2000);
    assert_int_equal(stage.arrived + stage.refused, SENDERS * EACH);
    assert_true(stage.refused > 0 && stage.arrived > 100);
    assert_int_equal(stage.other, 0);
    assert_false(stage.is_jumbled);
    printf("%u arrived, %u refused\n", stage.arrived, stage.refused);
    rig_drain(stage.home);
    rig_drain(stage.slow);
    rig_drain(stage.swift);
    run(&stage, 20000);
    for (unsigned i = 0; i < SENDERS; i++)
        actor_fini(&stage.senders[i]);
    actor_fini(&stage.nurse);
    actor_fini(&stage.juliet);
    actor_fini(&stage.benvolio);
    rig_free(stage.swift);
    rig_free(stage.slow);
    rig_free(stage.home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_server__flooded__bounded_refused_and_nobody_else_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
