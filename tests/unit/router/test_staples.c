/* SPDX-License-Identifier: MIT */
/*
 * What is stapled to our own certificates, by hand: each fetch is answered by the test, the time is the test's, and the
 * contexts are only names. The certificates and answers are those of tests/chains/revocation.py; "good" lasts twelve
 * hours from now, "later" from the eighth hour to the thirtieth.
 */
#include "router/certs/inquiries_priv.h"
#include "router/certs/memory_file_priv.h"
#include "router/certs/staples_priv.h"
#include "tests/chains/answers.h"
#include "tls/digest.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define HOUR         3600
#define FETCHES_MAX  24u
#define CONTEXTS_MAX 4u
#define CERTIFICATES 20u /* more than are asked for at a time */
#define OCSP         "http://ocsp.example/1"

struct stage {
    struct staples *staples;
    struct inquiries *inquiries; /* has what is remembered */
    struct inspector_settings settings;
    int64_t now;
    struct {
        uint64_t number;
        char url[64];
    } fetches[FETCHES_MAX];
    unsigned fetch_count;
    char contexts[CONTEXTS_MAX];     /* their addresses */
    struct span shown[CONTEXTS_MAX]; /* at index 0; owned */
    unsigned show_count;
    unsigned good, failed, revoked; /* counted */
    uint32_t dice;
};

static void begin_fetch(void *context, uint64_t number, const char *url, struct span body)
{
    struct stage *stage = context;
    assert_true(stage->fetch_count < FETCHES_MAX && body.size > 0 && (number & STAPLES_NUMBER));
    stage->fetches[stage->fetch_count].number = number;
    snprintf(stage->fetches[stage->fetch_count++].url, sizeof stage->fetches[0].url, "%s", url);
}

static uint32_t throw_dice(void *context)
{
    struct stage *stage = context;
    return stage->dice = stage->dice * 1664525 + 1013904223;
}

static bool show(void *context, struct context *where, unsigned index, struct span response)
{
    struct stage *stage = context;
    size_t i = (size_t)((char *)where - stage->contexts);
    assert_true(i < CONTEXTS_MAX && index == 0);
    span_free(&stage->shown[i]);
    if (response.size)
        stage->shown[i] = span_copy(response);
    stage->show_count++;
    return true;
}

static void count(void *context, enum standing what)
{
    struct stage *stage = context;
    stage->good += what == STANDING_GOOD;
    stage->failed += what == STANDING_UNANSWERED;
    stage->revoked += what == STANDING_REVOKED;
}

static void open_stage(struct stage *stage)
{
    memset(stage, 0, sizeof *stage);
    stage->dice = 1;
    stage->now = answers_time();
    stage->settings = (struct inspector_settings){
        .interval_s = 86400, .retry_min_s = 30, .retry_max_s = 3600, .fetches_max = FETCHES_MAX};
    const struct inquiries_hooks hooks = {.context = stage, .dice = throw_dice};
    stage->inquiries = inquiries_new(&stage->settings, &hooks);
    const struct staples_hooks staple_hooks = {stage, begin_fetch, throw_dice, show, count};
    stage->staples = staples_new(&stage->settings, inquiries_evidence(stage->inquiries), &staple_hooks);
    assert_true(stage->inquiries && stage->staples);
}

static void close_stage(struct stage *stage)
{
    staples_free(stage->staples);
    inquiries_free(stage->inquiries);
    for (unsigned i = 0; i < CONTEXTS_MAX; i++)
        span_free(&stage->shown[i]);
}

/* In the set that is being made: context at number i shows this certificate. */
static void add(struct stage *stage, unsigned i, const char *name, bool has_issuer)
{
    char file[64];
    snprintf(file, sizeof file, "watched_%s.leaf", name);
    struct span leaf = answers_read(file), issuer = has_issuer ? answers_read("watched.root") : SPAN_NONE;
    const struct staple_place place = {"a.example", leaf, issuer, (struct context *)&stage->contexts[i], 0};
    staples_add(stage->staples, &place, stage->now);
    span_free(&leaf);
    span_free(&issuer);
}

static void advance(struct stage *stage)
{
    staples_advance(stage->staples, stage->now);
}

/* All of these contexts show the certificate, and no others do. */
static void take(struct stage *stage, const char *name, unsigned first, unsigned last)
{
    staples_begin(stage->staples);
    for (unsigned i = first; i <= last; i++)
        add(stage, i, name, true);
    staples_end(stage->staples);
    advance(stage);
}

/* Answers the oldest fetch; NULL: it fails. */
static void answer(struct stage *stage, const char *name)
{
    assert_true(stage->fetch_count > 0);
    uint64_t number = stage->fetches[0].number;
    stage->fetch_count--;
    memmove(stage->fetches, stage->fetches + 1, stage->fetch_count * sizeof stage->fetches[0]);
    struct span body = name ? answers_read(name) : SPAN_NONE;
    staples_fetched(stage->staples, number, body, stage->now);
    advance(stage);
    span_free(&body);
}

static bool shows(const struct stage *stage, unsigned i, const char *name)
{
    struct span expected = name ? answers_read(name) : SPAN_NONE;
    bool is_shown = name ? span_equal(stage->shown[i], expected) : !stage->shown[i].ptr;
    span_free(&expected);
    return is_shown;
}

static struct inspector_staple known(const struct stage *stage, const char *name)
{
    struct inspector_staple staple;
    uint8_t sha256[CREDENTIAL_SHA256];
    char file[64];
    snprintf(file, sizeof file, "watched_%s.leaf", name);
    struct span leaf = answers_read(file);
    digest_hash(DIGEST_SHA256, leaf, sha256);
    span_free(&leaf);
    assert_true(staples_find(stage->staples, sha256, &staple));
    return staple;
}

static void expect(const struct stage *stage, enum staple_state state)
{
    assert_int_equal(known(stage, "ocsp").state, state);
}

/* Goes to when something is due; how long it took. */
static int64_t pass(struct stage *stage)
{
    int64_t due = staples_due(stage->staples), before = stage->now;
    assert_true(due != INT64_MAX && due > stage->now);
    staples_advance(stage->staples, due - 1);
    assert_int_equal(stage->fetch_count, 0);
    stage->now = due;
    advance(stage);
    return due - before;
}

static void good__answer__is_shown_everywhere_and_renewed_before_its_end(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 2);
    assert_int_equal(stage.fetch_count, 1); /* one certificate, one question */
    assert_string_equal(stage.fetches[0].url, OCSP);
    expect(&stage, STAPLE_PENDING);
    assert_int_equal(stage.show_count, 0);
    answer(&stage, "watched_ocsp.good");
    for (unsigned i = 0; i < 3; i++)
        assert_true(shows(&stage, i, "watched_ocsp.good"));
    struct inspector_staple staple = known(&stage, "ocsp");
    assert_int_equal(staple.state, STAPLE_GOOD);
    assert_true(staple.until == stage.now + 12 * HOUR && staple.made == stage.now - HOUR && staple.failing == 0);
    assert_true(staple.due - stage.now >= 48 * HOUR / 5 && staple.due - stage.now <= 54 * HOUR / 5);
    pass(&stage);
    assert_int_equal(stage.fetch_count, 1);
    answer(&stage, "watched_ocsp.later");
    for (unsigned i = 0; i < 3; i++)
        assert_true(shows(&stage, i, "watched_ocsp.later"));
    assert_int_equal(stage.good, 2);
    assert_int_equal(stage.failed + stage.revoked, 0);
    close_stage(&stage);
}

/* The interval holds for those with a long life, and the same answer twice is no news. */
static void interval__of_an_hour__asks_each_hour(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    staples_free(stage.staples);
    stage.settings.interval_s = HOUR;
    const struct staples_hooks hooks = {&stage, begin_fetch, throw_dice, show, count};
    stage.staples = staples_new(&stage.settings, inquiries_evidence(stage.inquiries), &hooks);
    take(&stage, "ocsp", 0, 0);
    answer(&stage, "watched_ocsp.good");
    for (unsigned i = 0; i < 5; i++) {
        assert_in_range(pass(&stage), HOUR * 9 / 10, HOUR);
        answer(&stage, "watched_ocsp.good");
    }
    assert_int_equal(stage.good, 1);
    assert_int_equal(stage.show_count, 1);
    close_stage(&stage);
}

static void responder__down__leaves_the_last_one_until_its_end(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 1);
    answer(&stage, "watched_ocsp.good");
    int64_t end = stage.now + 12 * HOUR, failing = 0;
    unsigned askings = 0;
    while (stage.now < end) {
        assert_true(shows(&stage, 0, "watched_ocsp.good") && shows(&stage, 1, "watched_ocsp.good"));
        expect(&stage, STAPLE_GOOD);
        pass(&stage);
        assert_true(stage.now <= end);
        failing = failing ? failing : stage.now;
        if (stage.fetch_count && ++askings)
            answer(&stage, askings % 2 ? NULL : "watched_ocsp.unknown");
        assert_true(known(&stage, "ocsp").failing == failing);
    }
    assert_true(stage.now == end && askings >= 5);
    assert_true(shows(&stage, 0, NULL) && shows(&stage, 1, NULL));
    expect(&stage, STAPLE_UNANSWERED);
    assert_int_equal(stage.failed, askings);
    assert_in_range(pass(&stage), 1, HOUR);
    answer(&stage, "watched_ocsp.later"); /* it is back */
    assert_true(shows(&stage, 0, "watched_ocsp.later"));
    assert_true(known(&stage, "ocsp").failing == 0);
    close_stage(&stage);
}

static void responder__never_up__is_asked_with_growing_pauses(void **state)
{
    (void)state;
    struct stage stage;
    int64_t most = 30;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 0);
    answer(&stage, NULL);
    expect(&stage, STAPLE_UNANSWERED);
    assert_int_equal(known(&stage, "ocsp").status, REVOCATION_SILENCE);
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(pass(&stage), most - most / 10, most);
        answer(&stage, i % 2 ? NULL : "watched_both.good"); /* about another one */
        most = most * 2 < HOUR ? most * 2 : HOUR;
    }
    assert_int_equal(stage.show_count, 0);
    assert_int_equal(stage.failed, 11);
    close_stage(&stage);
}

static void bad__answers__are_never_shown(void **state)
{
    static const char *const names[] = {"watched_ocsp.unknown", "watched_ocsp.hold",  "watched_ocsp.later",
                                        "watched_plain.good",   "watched.list_good",  "watched.root",
                                        "ocsp_good.answer",     "ocsp_forged.answer", "ocsp_empty.answer"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct stage stage;
        open_stage(&stage);
        take(&stage, "ocsp", 0, 0);
        answer(&stage, names[i]);
        assert_true(shows(&stage, 0, NULL));
        assert_int_equal(stage.good, 0);
        close_stage(&stage);
    }
}

static void revoked__later__takes_the_good_one_away_for_good(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 1);
    answer(&stage, "watched_ocsp.good");
    pass(&stage);
    answer(&stage, "watched_ocsp.revoked");
    assert_true(shows(&stage, 0, NULL) && shows(&stage, 1, NULL));
    assert_int_equal(stage.revoked, 1);
    struct inspector_staple staple = known(&stage, "ocsp");
    assert_int_equal(staple.state, STAPLE_REVOKED);
    assert_true(staple.revoked > 0 && staple.revoked < stage.now && staple.until == 0);
    assert_true(staples_due(stage.staples) == INT64_MAX); /* nobody takes that back */
    take(&stage, "ocsp", 2, 3);                           /* a reload with the same certificate */
    assert_int_equal(stage.fetch_count, 0);
    assert_true(shows(&stage, 2, NULL));
    expect(&stage, STAPLE_REVOKED);
    assert_int_equal(stage.revoked, 1);
    close_stage(&stage);
}

static void hold__that_is_lifted__is_shown_again(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 0);
    answer(&stage, "watched_ocsp.hold");
    expect(&stage, STAPLE_REVOKED);
    assert_int_equal(staples_check(stage.staples, SPAN("b.example"), stage.now), 0);
    assert_int_equal(staples_check(stage.staples, SPAN("a.example"), stage.now), 1);
    advance(&stage);
    answer(&stage, "watched_ocsp.good");
    assert_true(shows(&stage, 0, "watched_ocsp.good"));
    expect(&stage, STAPLE_GOOD);
    close_stage(&stage);
}

/* The same certificate in new contexts has its answer at once; another one is asked for, and the answer to the
 * question about the old one that is under way does nothing. */
static void reload__keeps_what_is_known_and_asks_for_what_is_new(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 0);
    answer(&stage, "watched_ocsp.good");
    take(&stage, "ocsp", 1, 1);
    assert_true(shows(&stage, 1, "watched_ocsp.good"));
    assert_int_equal(stage.fetch_count, 0);
    assert_int_equal(stage.show_count, 2);
    pass(&stage);
    assert_int_equal(stage.fetch_count, 1);
    take(&stage, "both", 2, 2); /* renewed */
    assert_int_equal(stage.fetch_count, 2);
    assert_true(shows(&stage, 1, "watched_ocsp.good")); /* as it was: it ends with its engines */
    answer(&stage, "watched_ocsp.later");
    assert_true(shows(&stage, 1, "watched_ocsp.good") && shows(&stage, 2, NULL));
    answer(&stage, "watched_both.good");
    assert_true(shows(&stage, 2, "watched_both.good"));
    take(&stage, "ocsp", 3, 3); /* back again: what was learned was not forgotten */
    assert_true(shows(&stage, 3, "watched_ocsp.good"));
    staples_begin(stage.staples);
    staples_end(stage.staples);
    assert_true(staples_due(stage.staples) == INT64_MAX);
    close_stage(&stage);
}

static void sources__that_do_not_do__are_told_apart(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    staples_begin(stage.staples);
    add(&stage, 0, "plain", true);
    add(&stage, 1, "crl", true); /* lists cannot be stapled */
    add(&stage, 2, "ocsp", false);
    staples_end(stage.staples);
    advance(&stage);
    assert_int_equal(stage.fetch_count, 0);
    assert_int_equal(known(&stage, "plain").state, STAPLE_NONE);
    assert_int_equal(known(&stage, "crl").state, STAPLE_NONE);
    expect(&stage, STAPLE_NO_ISSUER);
    assert_true(staples_due(stage.staples) == INT64_MAX);
    take(&stage, "ocsp", 2, 2); /* with its issuer now */
    answer(&stage, "watched_ocsp.good");
    expect(&stage, STAPLE_GOOD);
    uint8_t unknown[CREDENTIAL_SHA256] = {0};
    struct inspector_staple staple;
    assert_false(staples_find(stage.staples, unknown, &staple));
    close_stage(&stage);
}

static void both__sources__the_list_is_never_asked(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "both", 0, 0);
    assert_string_equal(stage.fetches[0].url, OCSP);
    answer(&stage, NULL);
    assert_int_equal(stage.fetch_count, 0);
    assert_int_equal(known(&stage, "both").state, STAPLE_UNANSWERED);
    close_stage(&stage);
}

static void clock__set_back_by_decades__asks_within_an_interval(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    take(&stage, "ocsp", 0, 0);
    answer(&stage, "watched_ocsp.good");
    stage.now = 1000; /* 1970 */
    staples_clock(stage.staples, stage.now);
    assert_in_range(pass(&stage), 1, 86400);
    answer(&stage, "watched_ocsp.good");                /* from the future by this clock */
    assert_true(shows(&stage, 0, "watched_ocsp.good")); /* others have clocks of their own */
    close_stage(&stage);
}

/* The leaf under another fingerprint: a number stands in its signature, which nobody looks at, and so its answer is
 * good for each. */
static void add_numbered(struct stage *stage, unsigned number)
{
    struct span leaf = answers_read("watched_ocsp.leaf"), issuer = answers_read("watched.root");
    char *last = (char *)(uintptr_t)leaf.ptr + leaf.size - 1;
    *last = (char)(*last ^ (char)number);
    const struct staple_place place = {"a.example", leaf, issuer, (struct context *)&stage->contexts[0], 0};
    staples_add(stage->staples, &place, stage->now);
    span_free(&leaf);
    span_free(&issuer);
}

/* One that is answered, or fails, makes room for the next one, and while there is none nothing is due. */
static void certificates__more_than_fetches_at_once__are_all_asked_in_turn(void **state)
{
    struct stage stage;
    (void)state;
    open_stage(&stage);
    staples_begin(stage.staples);
    for (unsigned i = 0; i < CERTIFICATES; i++)
        add_numbered(&stage, i);
    staples_end(stage.staples);
    advance(&stage);
    for (unsigned waiting = CERTIFICATES; waiting > 0; waiting--) {
        assert_int_equal(stage.fetch_count, waiting < STAPLES_FETCHES_MAX ? waiting : STAPLES_FETCHES_MAX);
        if (waiting == CERTIFICATES)
            assert_true(staples_due(stage.staples) == INT64_MAX);
        answer(&stage, waiting % 3 ? "watched_ocsp.good" : NULL);
    }
    assert_int_equal(stage.fetch_count, 0);
    assert_int_equal(stage.good + stage.failed, CERTIFICATES);
    assert_int_equal(stage.failed, CERTIFICATES / 3);
    close_stage(&stage);
}

/* What was learned is shown from the first handshake after a restart; what is over by then is not. */
static void restart__from_the_file__shows_at_once(void **state)
{
    static const struct {
        const char *answer;
        int64_t later;
        enum staple_state state;
        unsigned fetches;
    } rows[] = {
        {"watched_ocsp.good", HOUR, STAPLE_GOOD, 0},
        {"watched_ocsp.good", 13 * HOUR, STAPLE_PENDING, 1},
        {"watched_ocsp.revoked", HOUR, STAPLE_REVOKED, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct stage stage;
        struct err err;
        char path[64];
        snprintf(path, sizeof path, "/tmp/sluice-staples-%d", (int)getpid());
        open_stage(&stage);
        take(&stage, "ocsp", 0, 0);
        answer(&stage, rows[i].answer);
        assert_true(memory_file_write(path, stage.inquiries, &err));
        close_stage(&stage);
        open_stage(&stage);
        stage.now += rows[i].later;
        assert_true(memory_file_read(path, stage.inquiries, stage.now, &err));
        take(&stage, "ocsp", 1, 1);
        expect(&stage, rows[i].state);
        assert_int_equal(stage.fetch_count, rows[i].fetches);
        assert_true(shows(&stage, 1, rows[i].state == STAPLE_GOOD ? "watched_ocsp.good" : NULL));
        close_stage(&stage);
        unlink(path);
    }
}

/* Some responders behind one name are late: what lasts longer stays, over a restart too. */
static void answer__that_ends_sooner__takes_no_place(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    stage.now += 9 * HOUR;
    take(&stage, "ocsp", 0, 0);
    answer(&stage, "watched_ocsp.later");
    staples_check(stage.staples, SPAN("a.example"), stage.now);
    advance(&stage);
    answer(&stage, "watched_ocsp.good");
    assert_true(shows(&stage, 0, "watched_ocsp.later"));
    assert_int_equal(stage.good, 1);
    take(&stage, "both", 1, 1);
    take(&stage, "ocsp", 2, 2); /* forgotten, and out of what is remembered */
    assert_true(shows(&stage, 2, "watched_ocsp.later"));
    close_stage(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good__answer__is_shown_everywhere_and_renewed_before_its_end),
        cmocka_unit_test(interval__of_an_hour__asks_each_hour),
        cmocka_unit_test(responder__down__leaves_the_last_one_until_its_end),
        cmocka_unit_test(responder__never_up__is_asked_with_growing_pauses),
        cmocka_unit_test(bad__answers__are_never_shown),
        cmocka_unit_test(revoked__later__takes_the_good_one_away_for_good),
        cmocka_unit_test(hold__that_is_lifted__is_shown_again),
        cmocka_unit_test(reload__keeps_what_is_known_and_asks_for_what_is_new),
        cmocka_unit_test(sources__that_do_not_do__are_told_apart),
        cmocka_unit_test(both__sources__the_list_is_never_asked),
        cmocka_unit_test(clock__set_back_by_decades__asks_within_an_interval),
        cmocka_unit_test(answer__that_ends_sooner__takes_no_place),
        cmocka_unit_test(certificates__more_than_fetches_at_once__are_all_asked_in_turn),
        cmocka_unit_test(restart__from_the_file__shows_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
