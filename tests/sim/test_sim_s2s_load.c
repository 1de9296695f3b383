/* SPDX-License-Identifier: MIT */
/*
 * Load between two routers in one world: users of both write to each other in bursts over one TLS stream, all arrives
 * in order. Also what instructions of a federated message are counted with (docs/BENCH.md): SL_BURSTS, SL_BODY.
 */
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define USERS    32u
#define BURST    16u
#define BODY_MAX 8192u

struct end {
    struct actor actor;
    unsigned sent, next, heard, refused;
};

struct pairs {
    struct rig *rigs[2];
    struct end ends[2][USERS];
    char certificates[2][RIG_SETTING_SIZE], authority[RIG_SETTING_SIZE];
    char padding[BODY_MAX + 1];
    char text[BURST * (BODY_MAX + 128)];
};

static unsigned setting(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* Each body begins with its number. */
static void hear(struct actor *actor, const struct xml_stanza *stanza)
{
    struct end *end = actor->context;
    uint32_t body = xml_child_named(stanza, 0, NS_CLIENT, "body");
    if (xml_child_named(stanza, 0, NS_CLIENT, "error") != XML_NOWHERE) {
        end->refused++;
        return;
    }
    char room[BODY_MAX + 16];
    assert_int_not_equal(body, XML_NOWHERE);
    struct span text = xml_text(stanza, body, room, sizeof room);
    assert_true(text.size >= 8);
    char number[9] = "";
    memcpy(number, text.ptr, 8);
    unsigned long found = strtoul(number, NULL, 16);
    assert_true(found >= end->next); /* what was refused leaves a gap, and nothing goes back */
    end->next = (unsigned)found + 1;
    end->heard++;
}

/* more: three settings of both routers; NULL where there are fewer. */
static void open_pairs(struct pairs *pairs, unsigned shards, const char *const *more)
{
    static const char *const routes[] = {"s2s.routes=b.example=127.0.0.2:5269", "s2s.routes=a.example=127.0.0.1:5269"};
    (void)rig_certs(pairs->authority, "s2s.ca", "ca.pem");
    (void)rig_certs(pairs->certificates[0], "rig.certificate", "a");
    (void)rig_certs(pairs->certificates[1], "rig.certificate", "b");
    const char *home[] = {"rig.domain=a.example",
                          pairs->certificates[0],
                          pairs->authority,
                          "s2s.enabled=true",
                          "s2s.policy=pkix",
                          routes[0],
                          more[0],
                          more[1],
                          more[0] ? more[2] : NULL,
                          NULL};
    const char *away[] = {pairs->certificates[1],
                          pairs->authority,
                          "s2s.enabled=true",
                          "s2s.policy=pkix",
                          routes[1],
                          more[0],
                          more[1],
                          more[0] ? more[2] : NULL,
                          NULL};
    pairs->rigs[0] = rig_new(7, shards, NULL, USERS, home);
    pairs->rigs[1] = rig_join(pairs->rigs[0], "b.example", "127.0.0.2", shards, USERS, away);
    for (unsigned i = 0; i < 2 * USERS; i++) {
        struct end *end = &pairs->ends[i % 2][i / 2];
        actor_init(&end->actor, pairs->rigs[i % 2], i / 2, hear, end);
        actor_enter(&end->actor, "r", i / 2 % shards);
    }
}

static void run(struct pairs *pairs, uint64_t ms)
{
    rig_run(pairs->rigs[0], ms);
    for (unsigned i = 0; i < 2 * USERS; i++)
        actor_poll(&pairs->ends[i % 2][i / 2].actor);
}

static void burst(struct pairs *pairs, unsigned side, unsigned user, unsigned body)
{
    struct end *end = &pairs->ends[side][user];
    size_t size = 0;
    for (unsigned n = 0; n < BURST; n++)
        size +=
            (size_t)snprintf(pairs->text + size, sizeof pairs->text - size,
                             "<message to='user%u@%c.example/r' type='chat' id='%08x'><body>%08x%.*s</body></message>",
                             user, 'b' - (int)side, end->sent + n, end->sent + n, (int)body - 8, pairs->padding);
    end->sent += BURST;
    peer_send(end->actor.peer, span_of(pairs->text, size)); /* more than actor_send() has room for */
}

static void close_pairs(struct pairs *pairs)
{
    for (unsigned i = 0; i < 2 * USERS; i++)
        actor_leave(&pairs->ends[i % 2][i / 2].actor);
    run(pairs, 1000);
    rig_drain(pairs->rigs[0]);
    rig_drain(pairs->rigs[1]);
    run(pairs, 20000);
    for (unsigned i = 0; i < 2 * USERS; i++)
        actor_fini(&pairs->ends[i % 2][i / 2].actor);
    rig_free(pairs->rigs[1]);
    rig_free(pairs->rigs[0]);
}

/* All write at once, several times. Returns how many were refused. */
static unsigned load(unsigned shards, unsigned bursts, unsigned body, const char *const *more)
{
    struct pairs *pairs = calloc(1, sizeof *pairs);
    assert_non_null(pairs);
    assert_true(body >= 8 && body <= BODY_MAX);
    memset(pairs->padding, 'x', BODY_MAX);
    open_pairs(pairs, shards, more);
    uint64_t before = rig_counter(pairs->rigs[0], COUNTER_CONNECTIONS);
    burst(pairs, 0, 0, 100); /* the stream is there before the others write */
    run(pairs, 2000);
    for (unsigned n = 0; n < bursts; n++) {
        for (unsigned i = 0; i < 2 * USERS; i++)
            burst(pairs, i % 2, i / 2, body);
        run(pairs, 200);
    }
    run(pairs, 2000);
    unsigned refused = 0;
    for (unsigned i = 0; i < 2 * USERS; i++) {
        const struct end *from = &pairs->ends[i % 2][i / 2], *to = &pairs->ends[1 - i % 2][i / 2];
        assert_int_equal(to->heard + from->refused, from->sent);
        refused += from->refused;
    }
    assert_int_equal(rig_counter(pairs->rigs[0], COUNTER_CONNECTIONS) - before, 1);
    assert_int_equal(rig_balance(pairs->rigs[0]), 0);
    close_pairs(pairs);
    free(pairs);
    return refused;
}

static const char *const usual[] = {NULL, NULL, NULL};

static void bursts__of_many_users_both_ways__all_in_order_on_one_stream(void **state)
{
    (void)state;
    assert_int_equal(load(1, setting("SL_BURSTS", 8), setting("SL_BODY", 100), usual), 0);
}

static void bursts__over_several_shards__all_in_order_on_one_stream(void **state)
{
    (void)state;
    assert_int_equal(load(3, 4, 2000, usual), 0);
}

/* Many users share a stream: what each has in its buffers when it is slowed down is more than one session may hold. */
static void bursts__of_more_users_than_a_session_has_room_for__slowed_down_and_not_refused(void **state)
{
    (void)state;
    static const char *const tight[] = {"limits.queue_soft=4KiB", "limits.queue_hard=64KiB",
                                        "limits.stanza_size=16KiB"};
    assert_int_equal(load(1, 4, 2000, tight), 0);
    static const char *const tighter[] = {"limits.queue_soft=4KiB", "s2s.queue_hard=64KiB", "limits.stanza_size=16KiB"};
    assert_true(load(1, 4, 2000, tighter) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts__of_many_users_both_ways__all_in_order_on_one_stream),
        cmocka_unit_test(bursts__over_several_shards__all_in_order_on_one_stream),
        cmocka_unit_test(bursts__of_more_users_than_a_session_has_room_for__slowed_down_and_not_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
