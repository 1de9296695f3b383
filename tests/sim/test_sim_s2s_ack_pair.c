/* SPDX-License-Identifier: MIT */
/* XEP-0198 between two routers: nothing is lost, whenever and however their connection ends. */
#include "router/s2s/s2s.h"
#include "tests/sim/ack_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct heard juliet_heard;

static const char *const home_settings[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", NULL};
static const char *const away_settings[] = {OPEN, "s2s.routes=example.com=127.0.0.1:5269", NULL};

static void pair_open(struct stage *stage, uint64_t seed, unsigned shards, const struct world_chaos *chaos)
{
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(seed, shards, chaos, 1, home_settings);
    stage->away = rig_join(stage->home, "example.net", "127.0.0.2", shards, 1, away_settings);
    join(&stage->romeo, stage->home, &romeo_heard, "orchard", 0);
    join(&stage->juliet, stage->away, &juliet_heard, "balcony", shards - 1);
}

static void both_say(struct stage *stage, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        actor_send(&stage->romeo,
                   "<message to='user0@example.net/balcony' type='chat' id='%d'><body>n %d</body></message>", i, i);
        actor_send(&stage->juliet,
                   "<message to='user0@example.com/orchard' type='chat' id='%d'><body>n %d</body></message>", i, i);
    }
}

static void two_routers__both_directions__all_acknowledged(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        pair_open(&stage, 1, shards, NULL);
        both_say(&stage, 0, 100);
        run(&stage, 3000);
        both_say(&stage, 100, 100);
        run(&stage, 3000);
        assert_int_equal(romeo_heard.last, 199);
        assert_int_equal(juliet_heard.last, 199);
        assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING) + rig_counter(stage.away, COUNTER_S2S_WAITING), 0);
        assert_int_equal(home_count(&stage, COUNTER_ROUTED), 200);
        assert_int_equal(rig_counter(stage.away, COUNTER_ROUTED), 200);
        stage_close(&stage);
    }
}

static bool cut_one(struct rig *rig)
{
    for (unsigned i = 0; i < rig->shard_count; i++)
        for (struct stream *stream = rig->shards[i].streams; stream; stream = stream->next)
            if (stream->is_s2s && stream->state == STREAM_BOUND) {
                io_reset(rig->shards[i].io, stream->conn);
                return true;
            }
    return false;
}

/* Nothing is lost: each message has come, or an error for it; again only with a stamp, and the first copies in order.
 */
static void check_heard(const struct heard *to, const struct heard *from, int count, unsigned step)
{
    for (int i = 0; i < count; i++)
        if (to->copies[i] % 1000 == 0 && from->copies[i] < 1000)
            fail_msg("step %u: %d is lost", step, i);
    if (to->is_jumbled || to->unstamped_again)
        fail_msg("step %u: jumbled %d, again without a stamp %u", step, to->is_jumbled, to->unstamped_again);
}

/* The connection is cut in every moment of an exchange, by either side, in small pieces all the while. */
static void two_routers__cut_at_every_step__nothing_is_lost(void **state)
{
    (void)state;
    static const struct world_chaos chaos = {.cut_receives = true, .cut_sends = true, .delay = true, .receive_max = 64};
    const char *given = getenv("SL_CUTS");
    unsigned steps = given ? (unsigned)strtoul(given, NULL, 10) : 400;
    uint64_t resent = 0;
    struct stage stage;
    pair_open(&stage, 7, 2, &chaos);
    int said = 0;
    for (unsigned step = 0; step < steps; step++) {
        both_say(&stage, said, 6);
        said += 6;
        if (said + 6 > MANY)
            break;
        for (unsigned i = 0; i < step % 200; i++)
            world_step(stage.home->world);
        cut_one(step % 2 ? stage.home : stage.away);
        run(&stage, 4000);
        check_heard(&juliet_heard, &romeo_heard, said, step);
        check_heard(&romeo_heard, &juliet_heard, said, step);
        assert_int_equal(rig_balance(stage.home), 0);
        assert_int_equal(rig_balance(stage.away), 0);
    }
    resent = home_count(&stage, COUNTER_S2S_RESENT) + rig_counter(stage.away, COUNTER_S2S_RESENT);
    assert_true(resent > 0);
    assert_int_equal(home_count(&stage, COUNTER_S2S_WAITING) + rig_counter(stage.away, COUNTER_S2S_WAITING), 0);
    stage_close(&stage);
}

/* Ended in order by either side, with something under way: each message comes exactly once, or its error. */
static void two_routers__ended_in_order__each_once(void **state)
{
    (void)state;
    static const struct world_chaos chaos = {.cut_receives = true, .cut_sends = true, .delay = true, .receive_max = 64};
    struct stage stage;
    pair_open(&stage, 11, 1, &chaos);
    both_say(&stage, 0, 1);
    run(&stage, 3000);
    int said = 1;
    for (unsigned step = 0; step < 150; step++) {
        both_say(&stage, said, 4);
        said += 4;
        for (unsigned i = 0; i < step; i++)
            world_step(stage.home->world);
        struct rig *rig = step % 2 ? stage.home : stage.away;
        for (struct stream *stream = rig->shards[0].streams; stream; stream = stream->next)
            if (stream->is_s2s && stream->state == STREAM_BOUND) {
                stream_close(stream, step % 3 ? STREAM_NO_ERROR : STREAM_RESET_ERROR, NULL);
                break;
            }
        io_notify(rig->shards[0].io);
        run(&stage, 8000);
        check_heard(&juliet_heard, &romeo_heard, said, step);
        check_heard(&romeo_heard, &juliet_heard, said, step);
    }
    for (int i = 0; i < said; i++) {
        assert_int_equal(juliet_heard.copies[i] % 1000 + romeo_heard.copies[i] / 1000, 1);
        assert_int_equal(romeo_heard.copies[i] % 1000 + juliet_heard.copies[i] / 1000, 1);
    }
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_routers__both_directions__all_acknowledged),
        cmocka_unit_test(two_routers__cut_at_every_step__nothing_is_lost),
        cmocka_unit_test(two_routers__ended_in_order__each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
