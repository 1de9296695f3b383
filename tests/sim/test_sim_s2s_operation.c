/* SPDX-License-Identifier: MIT */
/* What the operator sees of streams with other servers, and may do to them. */
#include "router/admin/control_priv.h"
#include "router/admin/survey.h"
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

struct stage {
    struct rig *home, *away;
    struct actor romeo;
    unsigned heard, errors;
    char error[64];
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    stage->heard++;
    stage->errors += actor_condition(stanza, stage->error);
}

static void stage_open(struct stage *stage, unsigned shards, const char *away_domain, const char *const *home,
                       const char *const *away)
{
    memset(stage, 0, sizeof *stage);
    stage->home = rig_new(1, shards, NULL, 1, home);
    stage->away = rig_join(stage->home, away_domain, "127.0.0.2", shards, 1, away);
    actor_init(&stage->romeo, stage->home, 0, keep, stage);
    assert_true(actor_bind(&stage->romeo, 0));
}

static void run(struct stage *stage, uint64_t ms)
{
    rig_run(stage->home, ms);
    actor_poll(&stage->romeo);
}

static uint64_t home_count(const struct stage *stage, enum counter counter)
{
    return rig_counter(stage->home, counter);
}

static void stage_close(struct stage *stage)
{
    actor_leave(&stage->romeo);
    run(stage, 1000);
    rig_drain(stage->home);
    rig_drain(stage->away);
    run(stage, 20000);
    assert_int_equal(home_count(stage, COUNTER_S2S_STREAMS_IN) + home_count(stage, COUNTER_S2S_STREAMS_OUT), 0);
    assert_int_equal(rig_counter(stage->away, COUNTER_S2S_STREAMS_IN), 0);
    assert_int_equal(rig_counter(stage->away, COUNTER_S2S_STREAMS_OUT), 0);
    actor_fini(&stage->romeo);
    rig_free(stage->away);
    rig_free(stage->home);
}

/* A ping of the other domain: its answer, or the error that takes its place, is heard. */
static void ping(struct stage *stage, const char *domain, uint64_t ms)
{
    stage->error[0] = '\0';
    actor_send(&stage->romeo, "<iq to='%s' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", domain);
    run(stage, ms);
}

#define OPEN "s2s.enabled=true", "s2s.tls_required=false"
static const char *const home_open[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", NULL};
static const char *const away_open[] = {OPEN, "s2s.routes=example.com=127.0.0.1:5269", NULL};

/* ------------------------------------------------------------------------------------------------ show, close */

/* What all shards of a router answer; each ask has room for little, so that there are several. */
static void survey(struct rig *rig, enum control_ask_kind kind, const char *domain, char *out, size_t room,
                   uint64_t *count)
{
    size_t size = 0;
    *count = 0;
    out[0] = '\0';
    for (unsigned shard = 0; shard < rig->shard_count; shard++) {
        struct control_ask_private private = {.count_max = 2};
        struct control_ask *ask = &private.ask;
        *ask = (struct control_ask){.kind = kind, .shard = shard, .private = &private, .domain = span_str(domain)};
        while (!ask->is_done) {
            answer_init(&private.rows, CONTROL_ASK_ROOM, false);
            private.count = 0;
            survey_answer(&rig->shards[shard], ask);
            assert_true(size + private.rows.size < room);
            if (private.rows.size)
                memcpy(out + size, private.rows.bytes, private.rows.size);
            size += private.rows.size;
            out[size] = '\0';
            answer_fini(&private.rows);
        }
        *count += ask->count;
    }
}

static void expect_rows(struct rig *rig, unsigned rows, const char *one, const char *two)
{
    char text[8192];
    uint64_t count;
    unsigned lines = 0;
    survey(rig, ASK_S2S, "", text, sizeof text, &count);
    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    if (lines != rows || !strstr(text, one) || !strstr(text, two))
        fail_msg("%u rows: %s", lines, text);
}

static uint64_t close_streams(struct rig *rig, const char *domain)
{
    char text[8];
    uint64_t count;
    survey(rig, ASK_S2S_CLOSE, domain, text, sizeof text, &count);
    assert_string_equal(text, "");
    for (unsigned i = 0; i < rig->shard_count; i++)
        io_notify(rig->shards[i].io);
    return count;
}

static void show__of_one_stream__each_side_its_own_view(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        stage_open(&stage, shards, "example.net", home_open, away_open);
        expect_rows(stage.home, 0, "", "");
        ping(&stage, "example.net", 3000);
        expect_rows(stage.home, 1, "example.net ours=example.com state=ready shard=",
                    " direction=out bidi=true address=127.0.0.2 proof=dialback pairs=1 stanzas_in=1 bytes_in=85 "
                    "stanzas_out=1 bytes_out=115 "
                    "queued=0 age_s=");
        expect_rows(stage.away, 1,
                    "example.com ours=example.net state=ready shard=", " direction=in bidi=true address=");
        stage_close(&stage);
    }
}

static void show__of_pairs_without_a_stream__until_when(void **state)
{
    (void)state;
    static const char *const settings[] = {
        OPEN, "s2s.routes=slow.example=127.0.0.2:5000 down.example=127.0.0.2:5001 third.example=127.0.0.2:5001", NULL};
    struct stage stage;
    stage_open(&stage, 2, "example.net", settings, away_open);
    world_set_far(stage.home->world, 5000, FAR_SILENT);
    ping(&stage, "slow.example", 10);
    ping(&stage, "down.example", 10);
    ping(&stage, "third.example", 1000);
    expect_rows(stage.home, 3, "slow.example ours=example.com state=connecting shard=", " gives_up_s=29\n");
    expect_rows(stage.home, 3, "down.example ours=example.com state=resting shard=",
                " queued=0 error=remote-server-timeout failures=1 next_s=");
    assert_int_equal(close_streams(stage.home, "down.example"), 0);
    expect_rows(stage.home, 2, "slow.example", "third.example"); /* it rests no more */
    run(&stage, 9000);
    expect_rows(stage.home, 1, "slow.example", " error=remote-server-timeout failures=1 next_s=");
    stage_close(&stage);
}

static void close__of_a_stream__the_next_stanza_opens_another(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        stage_open(&stage, shards, "example.net", home_open, away_open);
        ping(&stage, "example.net", 3000);
        assert_int_equal(close_streams(stage.home, "nowhere.example"), 0);
        assert_int_equal(close_streams(stage.home, "example.net"), 1);
        run(&stage, 1000);
        expect_rows(stage.home, 0, "", "");
        assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 0);
        ping(&stage, "example.net", 3000);
        assert_int_equal(stage.heard, 2);
        assert_int_equal(stage.errors, 0);
        assert_int_equal(close_streams(stage.away, "example.com"), 1); /* the one who was called may do it too */
        run(&stage, 1000);
        expect_rows(stage.home, 0, "", "");
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ test */

static unsigned answers;

static void answered(struct shard *shard, void *question)
{
    (void)shard;
    (void)question;
    answers++;
}

/* The steps that the test of a domain tells; whether it was reached. */
static bool try_domain(struct stage *stage, const char *domain, uint64_t ms, char *out, size_t room)
{
    struct shard *shard = &stage->home->shards[0];
    struct control_ask_private private = {.count_max = 100};
    struct control_ask *ask = &private.ask;
    *ask = (struct control_ask){
        .kind = ASK_S2S_TEST, .private = &private, .domain = span_str(domain), .ours = span_str(stage->home->domain)};
    answer_init(&private.rows, CONTROL_ASK_ROOM, false);
    shard->answered = answered;
    answers = 0;
    bool is_over = survey_answer(shard, ask);
    io_notify(shard->io);
    run(stage, ms);
    assert_int_equal(answers, !is_over);
    snprintf(out, room, "%.*s", (int)private.rows.size, private.rows.bytes);
    answer_fini(&private.rows);
    return ask->count == 1;
}

static void test__of_a_good_domain__every_step_and_no_stream_is_left(void **state)
{
    (void)state;
    char steps[4096];
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        stage_open(&stage, shards, "example.net", home_open, away_open);
        for (unsigned i = 0; i < 2; i++) { /* without a stream, and beside one */
            assert_true(try_domain(&stage, "example.net", 3000, steps, sizeof steps));
            assert_memory_equal(steps, "resolve ok=true text=\"1 by s2s.routes", 36); /* then: cached */
            assert_string_equal(strchr(steps, '\n') + 1,
                                "candidate ok=true text=\"127.0.0.2 port 5269, STARTTLS, 1 address\"\n"
                                "connect ok=true text=127.0.0.2:5269\n"
                                "features ok=true text=\"dialback bidi\"\n"
                                "authenticate ok=true text=dialback\n"
                                "ready ok=true text=\"without TLS\"\n");
            assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), i);
            ping(&stage, "example.net", 3000);
            assert_int_equal(stage.errors, 0);
            assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 1);
            assert_int_equal(rig_counter(stage.away, COUNTER_S2S_STREAMS_IN), 1);
        }
        stage_close(&stage);
    }
}

static void test__of_what_fails__tells_where(void **state)
{
    (void)state;
    static const struct {
        const char *settings[6];
        const char *domain, *last;
        int far;
    } cases[] = {
        {{OPEN}, "nowhere.example", "resolve ok=false text=", 0},
        {{OPEN, "s2s.deny=example.net"}, "example.net", "access ok=false text=", 0},
        {{"s2s.enabled=false"}, "example.net", "begin ok=false text=", 0},
        {{OPEN, "s2s.routes=example.net=127.0.0.2:5000"}, "example.net", "connect ok=false text=\"127.0.0.2:5000: ", 0},
        {{OPEN, "s2s.routes=example.net=127.0.0.2:5000", "s2s.dial_timeout=1s"},
         "example.net",
         "give-up ok=false text=\"127.0.0.2:5000: ",
         FAR_SILENT + 1},
        {{OPEN, "s2s.routes=other.example=127.0.0.2:5269"},
         "other.example",
         "header ok=false text=\"it is of 'example.net', expected was 'other.example'\"\nour-error ok=false "
         "text=invalid-from\n",
         0},
        {{"s2s.enabled=true", "s2s.routes=example.net=127.0.0.2:5269"},
         "example.net",
         "failed ok=false text=\"Streams between servers without TLS",
         0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char steps[4096];
        struct stage stage;
        stage_open(&stage, 1, "example.net", cases[i].settings, away_open);
        if (cases[i].far)
            world_set_far(stage.home->world, 5000, (enum world_far)(cases[i].far - 1));
        if (try_domain(&stage, cases[i].domain, 3000, steps, sizeof steps) || !strstr(steps, cases[i].last))
            fail_msg("%u: %s", i, steps);
        stage_close(&stage);
    }
}

/* ------------------------------------------------------------------------------------------------ allow, deny */

static void deny__of_a_domain__not_allowed_out_policy_violation_in(void **state)
{
    (void)state;
    static const char *const denies[] = {"s2s.deny=example.net", "s2s.deny=*.net", "s2s.allow=*.example.net"};
    for (unsigned i = 0; i < 3; i++) {
        const char *const settings[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", denies[i], NULL};
        struct stage stage;
        stage_open(&stage, 1 + i, "example.net", settings, away_open);
        ping(&stage, "example.net", 50);
        assert_string_equal(stage.error, "not-allowed");
        assert_int_equal(home_count(&stage, COUNTER_S2S_DIALLED), 0);
        assert_int_equal(home_count(&stage, COUNTER_S2S_DENIED), 1);
        struct peer *peer = peer_connect_to(stage.home->group, 0, LISTEN_S2S);
        peer_send(peer, SPAN("<stream:stream xmlns='jabber:server' version='1.0' from='example.net' to='example.com' "
                             "xmlns:stream='http://etherx.jabber.org/streams'>"));
        rig_run(stage.home, 20);
        struct span got = peer_received(peer);
        assert_non_null(memmem(got.ptr, got.size, "<policy-violation", 17));
        assert_non_null(memmem(got.ptr, got.size, "</stream:stream>", 16));
        assert_int_equal(home_count(&stage, COUNTER_S2S_DENIED), 2);
        peer_free(peer);
        stage_close(&stage);
    }
}

/* No 'from' in the header: the first name is that of the key. */
static void deny__of_a_dialback_key__not_authorized_and_not_checked(void **state)
{
    (void)state;
    const char *const settings[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", "s2s.deny=example.net", NULL};
    struct stage stage;
    stage_open(&stage, 1, "example.net", settings, away_open);
    struct peer *peer = peer_connect_to(stage.home->group, 0, LISTEN_S2S);
    peer_send(peer, SPAN("<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' "
                         "to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
                         "<db:result from='example.net' to='example.com'>k</db:result>"));
    rig_run(stage.home, 50);
    struct span got = peer_received(peer);
    assert_non_null(memmem(got.ptr, got.size, "<not-authorized", 15));
    assert_int_equal(home_count(&stage, COUNTER_S2S_DIALLED), 0);
    peer_free(peer);
    stage_close(&stage);
}

/* Where a reload denies a domain its streams end, whoever opened them, and stay away; where it allows it again they
 * come back. */
static void deny__by_a_reload__ends_streams(void **state)
{
    (void)state;
    static const char *const denied[] = {OPEN, "s2s.routes=example.net=127.0.0.2:5269", "s2s.deny=example.net",
                                         "timeouts.reset=0ms", NULL};
    struct stage stage;
    stage_open(&stage, 2, "example.net", home_open, away_open);
    ping(&stage, "example.net", 3000);
    assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 1);
    rig_reload(stage.home, denied);
    run(&stage, 1000);
    assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 0);
    ping(&stage, "example.net", 100);
    assert_string_equal(stage.error, "not-allowed");
    rig_reload(stage.home, home_open);
    run(&stage, 1000);
    ping(&stage, "example.net", 1000);
    assert_string_equal(stage.error, "");
    assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 1);
    stage_close(&stage);
}

/* ------------------------------------------------------------------------------------------------ counters */

static void counters__of_one_stream__both_sides_tell_it(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards++) {
        struct stage stage;
        stage_open(&stage, shards, "example.net", home_open, away_open);
        ping(&stage, "example.net", 500);
        assert_int_equal(stage.heard, 1);
        assert_string_equal(stage.error, "");
        assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 1);
        assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_IN), 0);
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_STREAMS_IN), 1);
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_STREAMS_OUT), 0);
        assert_int_equal(home_count(&stage, COUNTER_S2S_DIALLED), 1);
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_ACCEPTED), 1);
        assert_int_equal(home_count(&stage, COUNTER_S2S_ACCEPTED), 1); /* the check of our dialback key */
        assert_int_equal(rig_counter(stage.away, COUNTER_S2S_DIALLED), 1);
        for (enum counter c = COUNTER_S2S_FAILED_RESOLVE; c <= COUNTER_S2S_FAILED_DIALBACK_INVALID; c++)
            assert_int_equal(home_count(&stage, c) + rig_counter(stage.away, c), 0);
        stage_close(&stage);
    }
}

struct failure {
    const char *to;
    enum counter counter;
    const char *settings[6];
    int far; /* enum world_far + 1 of port 5000; 0: nobody is there */
};

static void counters__of_each_failure__its_own_and_no_other(void **state)
{
    (void)state;
    static const struct failure failures[] = {
        {"nowhere.example", COUNTER_S2S_FAILED_RESOLVE, {OPEN}, 0},
        {"example.net", COUNTER_S2S_FAILED_CONNECT, {OPEN, "s2s.routes=example.net=127.0.0.2:5000"}, 0},
        {"example.net",
         COUNTER_S2S_FAILED_TIMEOUT,
         {OPEN, "s2s.routes=example.net=127.0.0.2:5000", "s2s.dial_timeout=1s"},
         FAR_SILENT + 1},
        {"example.net", COUNTER_S2S_FAILED_TLS, {"s2s.enabled=true", "s2s.routes=example.net=127.0.0.2:5269"}, 0},
        {"other.example", COUNTER_S2S_FAILED_REFUSED, {OPEN, "s2s.routes=other.example=127.0.0.2:5269"}, 0},
        {"example.net",
         COUNTER_S2S_FAILED_REFUSED,
         {OPEN, "s2s.policy=pkix", "s2s.routes=example.net=127.0.0.2:5269"},
         0},
    };
    for (unsigned i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        struct stage stage;
        stage_open(&stage, 1 + i % 2, "example.net", failures[i].settings, away_open);
        if (failures[i].far)
            world_set_far(stage.home->world, 5000, (enum world_far)(failures[i].far - 1));
        ping(&stage, failures[i].to, 2000);
        assert_int_equal(stage.errors, 1);
        for (enum counter c = COUNTER_S2S_FAILED_RESOLVE; c <= COUNTER_S2S_FAILED_DIALBACK_INVALID; c++)
            if (home_count(&stage, c) != (c == failures[i].counter))
                fail_msg("%u: %s is %lu", i, counter_infos[c].name, (unsigned long)home_count(&stage, c));
        assert_int_equal(home_count(&stage, COUNTER_S2S_STREAMS_OUT), 0);
        stage_close(&stage);
    }
}

/* A certificate of another domain, and nothing but certificates counts. */
static void counters__of_a_certificate_that_does_not_fit__only_where_it_was_judged(void **state)
{
    (void)state;
    char certificate[2][RIG_SETTING_SIZE], authority[RIG_SETTING_SIZE];
    (void)rig_certs(authority, "s2s.ca", "ca.pem");
    const char *const home[] = {"rig.domain=a.example",
                                rig_certs(certificate[0], "rig.certificate", "a"),
                                authority,
                                "s2s.enabled=true",
                                "s2s.policy=pkix",
                                "s2s.routes=b.example=127.0.0.2:5269",
                                NULL};
    const char *const away[] = {rig_certs(certificate[1], "rig.certificate", "c"), authority, "s2s.enabled=true",
                                "s2s.policy=pkix", NULL};
    struct stage stage;
    stage_open(&stage, 1, "b.example", home, away);
    ping(&stage, "b.example", 1000);
    assert_string_equal(stage.error, "remote-server-timeout");
    assert_int_equal(home_count(&stage, COUNTER_S2S_FAILED_CERTIFICATE), 1);
    assert_int_equal(rig_counter(stage.away, COUNTER_S2S_FAILED_CERTIFICATE), 0); /* ours is good */
    assert_int_equal(home_count(&stage, COUNTER_S2S_FAILED_REFUSED), 0);
    stage_close(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(show__of_one_stream__each_side_its_own_view),
        cmocka_unit_test(show__of_pairs_without_a_stream__until_when),
        cmocka_unit_test(close__of_a_stream__the_next_stanza_opens_another),
        cmocka_unit_test(test__of_a_good_domain__every_step_and_no_stream_is_left),
        cmocka_unit_test(test__of_what_fails__tells_where),
        cmocka_unit_test(deny__of_a_domain__not_allowed_out_policy_violation_in),
        cmocka_unit_test(deny__of_a_dialback_key__not_authorized_and_not_checked),
        cmocka_unit_test(deny__by_a_reload__ends_streams),
        cmocka_unit_test(counters__of_one_stream__both_sides_tell_it),
        cmocka_unit_test(counters__of_each_failure__its_own_and_no_other),
        cmocka_unit_test(counters__of_a_certificate_that_does_not_fit__only_where_it_was_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
