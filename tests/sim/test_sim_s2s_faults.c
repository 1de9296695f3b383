/* SPDX-License-Identifier: MIT */
/* What a fault of a stream between servers must not cost where nothing is acknowledged (s2s.acks=false): one test for
 * each way in which stanzas were once lost. */
#include "core/base/check.h"
#include "router/admin/control_priv.h"
#include "router/admin/survey.h"
#include "router/s2s/remote.h"
#include "router/s2s/s2s.h"
#include "tests/sim/actor.h"
#include "tests/sim/witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct stage {
    struct rig *home, *away;
    struct actor romeo, juliet; /* user0@example.com/r, user0@example.net/r */
    unsigned last;              /* of the numbers that juliet has heard */
    unsigned arrived, returned;
    bool is_jumbled;
    unsigned read; /* by the router of juliet */
    unsigned said; /* by romeo */
};

static void heard(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    char room[64], text[64];
    unsigned number;
    const struct xml_attribute *id = xml_attribute(stanza, 0, NS_NONE, "id");
    struct span value = id ? xml_value(stanza, id, room, sizeof room) : SPAN("");
    snprintf(text, sizeof text, "%.*s", SPAN_ARG(value));
    if (sscanf(text, "#%u#", &number) != 1)
        return;
    if (actor == &stage->romeo) {
        stage->returned++;
        return;
    }
    stage->is_jumbled |= number <= stage->last;
    stage->last = number;
    stage->arrived++;
}

static void passed(void *context, const struct router *router, uint64_t wire, unsigned number, bool is_read)
{
    struct stage *stage = context;
    (void)wire;
    (void)number;
    stage->read += is_read && stage->away && router == stage->away->router;
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    actor_poll(&stage->romeo);
    if (stage->away)
        actor_poll(&stage->juliet);
}

#define OPEN "s2s.enabled=true", "s2s.acks=false", "s2s.tls_required=false", "s2s.rest_min=100ms", "s2s.rest_max=100ms"
static const char *const home_open[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", NULL};
static const char *const away_open[] = {OPEN, "s2s.routes=example.com=127.0.0.1:5269", "limits.queue_soft=4KiB", NULL};
static const char *const away_one_way[] = {OPEN, "s2s.routes=example.com=127.0.0.1:5269", "limits.queue_soft=4KiB",
                                           "s2s.bidi=false", NULL};

static void join(struct stage *stage, struct actor *actor, struct rig *rig)
{
    actor_init(actor, rig, 0, heard, stage);
    actor_enter(actor, "r", 0);
}

static void stage_open(struct stage *stage, unsigned shards, const char *const *away)
{
    memset(stage, 0, sizeof *stage);
    witness_begin(passed, stage);
    stage->home = rig_new(3, shards, NULL, 1, home_open);
    stage->away = rig_join(stage->home, "example.net", "127.0.0.2", shards, 1, away);
    join(stage, &stage->romeo, stage->home);
    join(stage, &stage->juliet, stage->away);
}

static void stage_close(struct stage *stage)
{
    if (stage->romeo.state == ACTOR_BOUND)
        actor_leave(&stage->romeo);
    run(stage, 1000);
    rig_drain(stage->home);
    if (stage->away)
        rig_drain(stage->away);
    run(stage, 20000);
    actor_fini(&stage->romeo);
    if (stage->away) {
        actor_fini(&stage->juliet);
        rig_free(stage->away);
    }
    rig_free(stage->home);
    witness_end();
}

static void say(struct stage *stage, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        actor_send(&stage->romeo,
                   "<message to='user0@example.net/r' type='chat' id='" WITNESS_TOKEN "'><body>%0300d</body></message>",
                   ++stage->said, 0);
}

/* The stream between the two, at that router. */
static struct stream *stream_of(const struct rig *rig)
{
    for (unsigned i = 0; i < rig->shard_count; i++)
        for (struct s2s *s2s = rig->shards[i].servers; s2s; s2s = s2s->next)
            if (s2s->stream.state == STREAM_BOUND)
                return &s2s->stream;
    fail_msg("there is no stream");
    abort();
}

static void close_streams(struct rig *rig, const char *domain)
{
    for (unsigned i = 0; i < rig->shard_count; i++) {
        struct control_ask ask = {.kind = ASK_S2S_CLOSE, .shard = i, .domain = span_str(domain)};
        survey_s2s_close(&rig->shards[i], &ask);
        io_notify(rig->shards[i].io);
    }
}

/* Juliet does not read, so her router has stopped reading the other one, with stanzas read and not handled. */
static void hold(struct stage *stage)
{
    say(stage, 1);
    run(stage, 500);
    assert_int_equal(stage->arrived, 1);
    peer_set_window(stage->juliet.peer, 100);
    say(stage, 60);
    rig_run(stage->home, 200);
    struct stream *stream = stream_of(stage->away);
    assert_true(stream->holds);
    if (stage->away->shard_count == 1) /* from another shard the word to stop comes later, when all has been handled */
        assert_false(chain_is_empty(&stream->held));
    assert_true(stage->read > 10);
}

static void let_go(struct stage *stage)
{
    peer_set_window(stage->juliet.peer, 1 << 24);
    run(stage, 1000);
    run(stage, 3000);
}

enum ending { OURS, THEIRS, CUT };

/* Whoever ends it: what was read from a stream that is held was accepted. */
static void held__stream_ends__what_was_read_arrives_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        enum ending ending = (enum ending)(i % 3);
        struct stage stage;
        stage_open(&stage, 1 + i / 3, away_open);
        hold(&stage);
        unsigned read = stage.read;
        if (ending == OURS) {
            close_streams(stage.away, "example.com");
        } else if (ending == THEIRS) {
            close_streams(stage.home, "example.net");
        } else {
            assert_true(world_break(stream_of(stage.away)->conn));
            /* Only who writes learns of it while it does not read. */
            actor_send(&stage.juliet, "<message to='user0@example.com/r' type='chat'><body>ay me</body></message>");
            rig_run(stage.home, 100);
            if (i < 3)
                assert_int_equal(rig_counter(stage.away, COUNTER_STANZAS_IN), read + 1);
        }
        rig_run(stage.home, 100);
        let_go(&stage);
        assert_false(stage.is_jumbled);
        assert_true(stage.arrived >= read);
        if (ending != CUT)
            assert_int_equal(stage.arrived + stage.returned, stage.said);
        stage_close(&stage);
    }
}

/* The other router learns of the cut and comes back by another connection while the old one is still held here. */
static void held__another_stream_comes__what_was_read_goes_first(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 2; shards++) {
        struct stage stage;
        stage_open(&stage, shards, away_one_way);
        hold(&stage);
        unsigned read = stage.read;
        assert_true(world_break(stream_of(stage.away)->conn));
        say(&stage, 1);
        rig_run(stage.home, 300);
        say(&stage, 5);
        rig_run(stage.home, 300);
        let_go(&stage);
        assert_true(stage.arrived > read);
        assert_false(stage.is_jumbled);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ let in late */

/* We end a stream that we dialled while the other side is about to let us in: with <bidi/> it may have spoken before it
 * knew. Without the word that lets us in nothing counts. */
static void asked__we_end_before_the_answer__what_follows_it_arrives(void **state)
{
    (void)state;
    static const char *const routes[] = {OPEN, "s2s.routes=example.net=127.0.0.3:6000", NULL};
    static const char *const answers[] = {"<db:result from='example.net' to='example.com' type='valid'/>", "",
                                          "<db:result from='example.net' to='example.com' type='invalid'/>",
                                          "<db:result from='evil.example' to='example.com' type='valid'/>"};
    for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct stage stage = {0};
        witness_begin(passed, &stage);
        stage.home = rig_new(3, 1, NULL, 1, routes);
        world_set_far(stage.home->world, 6000, FAR_ACCEPTS);
        join(&stage, &stage.romeo, stage.home);
        actor_send(&stage.romeo, "<message to='a@example.net' type='chat' id='1'><body>but soft</body></message>");
        run(&stage, 50);
        struct peer *peer = world_accept(stage.home->world);
        assert_non_null(peer);
        peer_send(peer,
                  SPAN("<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='own' "
                       "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
                       "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/><bidi "
                       "xmlns='urn:xmpp:features:bidi'/></stream:features>"));
        run(&stage, 50);
        assert_true(peer_has(peer, "<bidi xmlns='urn:xmpp:bidi'/>") && peer_has(peer, "<db:result "));
        close_streams(stage.home, "example.net");
        run(&stage, 10);
        assert_true(peer_has(peer, "</stream:stream>"));
        peer_send(peer, span_str(answers[i]));
        peer_send(peer,
                  SPAN("<message from='a@example.net/r' to='user0@example.com/r' id='#00000007#'><body>late</body>"
                       "</message></stream:stream>"));
        run(&stage, 50);
        assert_int_equal(stage.returned, i == 0 ? 1 : 0); /* romeo has heard it */
        peer_free(peer);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ the end */

/* What still comes for another domain when the router ends is answered, not queued for a connection that nobody will
 * make. */
static void drain__stanza_for_a_domain_without_a_stream__refused(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        stage_open(&stage, shards, away_open);
        rig_drain(stage.home);
        say(&stage, 5);
        rig_run(stage.home, 50);
        for (unsigned i = 0; i < shards; i++)
            for (uint32_t position = 0;;) {
                const struct remote *remote = table_next(&stage.home->shards[i].remotes, &position);
                if (!remote)
                    break;
                for (const struct pair *pair = remote->first; pair; pair = pair->next)
                    assert_true(chain_is_empty(&pair->queue) && !pair->contact);
            }
        run(&stage, 100);
        assert_int_equal(stage.arrived, 0);
        assert_int_equal(rig_counter(stage.home, COUNTER_S2S_DIALLED), 0);
        stage_close(&stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held__stream_ends__what_was_read_arrives_in_order),
        cmocka_unit_test(held__another_stream_comes__what_was_read_goes_first),
        cmocka_unit_test(asked__we_end_before_the_answer__what_follows_it_arrives),
        cmocka_unit_test(drain__stanza_for_a_domain_without_a_stream__refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
