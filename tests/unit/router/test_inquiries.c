/* SPDX-License-Identifier: MIT */
/* What is asked, when, and who is told. */
#include "tests/unit/router/inquiries_bed.h"

static void watch__of_a_good_one__is_told_once_and_asked_again_in_time(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    assert_int_equal(stage.told_count, 0);
    assert_true(stage.fetches[0].body_size > 0);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    expect_silence(&stage);
    assert_in_range(pass(&stage), 10 * 3600, 12 * 3600); /* near nextUpdate, a tenth earlier at most */
    answer(&stage, OCSP, "watched_ocsp.good");
    expect_silence(&stage);
    close_stage(&stage);
}

static void watch__of_one_known__is_told_at_once(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    watch(&stage, "ocsp", 2);
    expect(&stage, 2, STANDING_GOOD);
    unwatch(&stage, 1);
    unwatch(&stage, 2);
    assert_int_equal(inquiries_count(stage.inquiries).dossiers, 0);
    watch(&stage, "ocsp", 3); /* remembered after all have gone */
    expect(&stage, 3, STANDING_GOOD);
    expect_silence(&stage);
    close_stage(&stage);
}

/* As when the responder takes longer than certs.wait, and hard has refused whoever waited. */
static void answer__after_all_have_left__is_remembered(void **state)
{
    (void)state;
    static const char *const names[][3] = {{"ocsp", OCSP, "watched_ocsp.good"}, {"crl", LIST, "watched.list_good"}};
    for (unsigned i = 0; i < 2; i++) {
        struct stage stage;
        open_stage(&stage);
        watch(&stage, names[i][0], 1);
        unwatch(&stage, 1);
        watch(&stage, names[i][0], 2); /* the same question */
        unwatch(&stage, 2);
        assert_int_equal(stage.fetch_count, 1);
        assert_int_equal(inquiries_count(stage.inquiries).inquiries, 1);
        answer(&stage, names[i][1], names[i][2]);
        expect_silence(&stage);
        assert_int_equal(inquiries_count(stage.inquiries).inquiries, 0);
        watch(&stage, names[i][0], 3);
        expect(&stage, 3, STANDING_GOOD);
        expect_silence(&stage);
        close_stage(&stage);
    }
}

static void answer__for_who_came_back__is_told_to_him(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    unwatch(&stage, 1);
    watch(&stage, "ocsp", 2);
    answer(&stage, OCSP, "watched_ocsp.revoked");
    expect(&stage, 2, STANDING_REVOKED);
    expect_silence(&stage);
    close_stage(&stage);
}

static void round__that_nobody_waits_for__ends_and_leaves_nothing(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "both", 1);
    unwatch(&stage, 1);
    answer(&stage, OCSP, NULL);
    answer(&stage, LIST, "watched_ocsp.good"); /* no list */
    expect_silence(&stage);
    assert_int_equal(inquiries_count(stage.inquiries).inquiries, 0);
    assert_int_equal(inquiries_count(stage.inquiries).memories, 0);
    assert_true(inquiries_due(stage.inquiries) == INT64_MAX);
    watch(&stage, "ocsp", 2);
    unwatch(&stage, 2);
    stage.fetch_count = 0;
    close_stage(&stage); /* with one under way */
}

static void revoked__later__is_told_to_all_and_not_asked_again(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    for (uint64_t tag = 1; tag <= 50; tag++)
        watch(&stage, "ocsp", tag);
    assert_int_equal(stage.fetch_count, 1);
    answer(&stage, OCSP, "watched_ocsp.good");
    assert_int_equal(stage.told_count, 50);
    stage.told_count = 0;
    pass(&stage);
    answer(&stage, OCSP, "watched_ocsp.revoked");
    assert_int_equal(stage.told_count, 50);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(stage.told[i].standing, STANDING_REVOKED);
    assert_true(inquiries_due(stage.inquiries) == INT64_MAX);
    close_stage(&stage);
}

static void hold__that_is_lifted__is_good_again(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, "watched_ocsp.hold");
    assert_int_equal(stage.told[0].reason, 6);
    expect(&stage, 1, STANDING_REVOKED);
    inquiries_check(stage.inquiries, SPAN("peer.example"), stage.now);
    inquiries_advance(stage.inquiries, stage.now);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    expect_silence(&stage);
    close_stage(&stage);
}

static void responder__down__is_asked_with_growing_pauses(void **state)
{
    (void)state;
    struct stage stage;
    int64_t least = 27, most = 30;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, NULL);
    expect(&stage, 1, STANDING_UNANSWERED);
    for (unsigned i = 0; i < 12; i++) {
        assert_in_range(pass(&stage), least, most);
        answer(&stage, OCSP, i % 2 ? NULL : "watched_ocsp.unknown");
        expect_silence(&stage); /* told once */
        most = most * 2 < 3600 ? most * 2 : 3600;
        least = most - most / 10;
    }
    pass(&stage);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    close_stage(&stage);
}

/* What was learned is good as long as it said, though nobody answers any more; not longer. */
static void responder__down_later__is_unanswered_when_the_last_answer_is_stale(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    int64_t begin = stage.now;
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    for (unsigned i = 0; i < 1000 && stage.told_count == 0; i++) {
        pass(&stage);
        answer(&stage, OCSP, NULL);
    }
    expect(&stage, 1, STANDING_UNANSWERED);
    assert_in_range(stage.now - begin, 12 * 3600 - 60, 13 * 3600);
    close_stage(&stage);
}

static void ocsp__without_answer__is_followed_by_the_list(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "both", 1);
    answer(&stage, OCSP, "watched_ocsp.good"); /* of another certificate */
    assert_int_equal(stage.fetches[0].body_size, 0);
    answer(&stage, LIST, "watched.list_good");
    expect(&stage, 1, STANDING_GOOD);
    expect_silence(&stage);
    close_stage(&stage);
}

static void list__of_many__is_fetched_once(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "crl", 1);
    watch(&stage, "crl2", 2);
    assert_int_equal(stage.fetch_count, 1);
    answer(&stage, LIST, "watched.list_revoked");
    assert_int_equal(stage.told_count, 2);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(stage.told[i].standing, stage.told[i].tag == 1 ? STANDING_REVOKED : STANDING_GOOD);
    stage.told_count = 0;
    unwatch(&stage, 2);
    watch(&stage, "crl2", 3); /* out of what is remembered */
    expect(&stage, 3, STANDING_GOOD);
    expect_silence(&stage);
    close_stage(&stage);
}

static void source__none__is_unchecked_and_never_asked(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "plain", 1);
    expect(&stage, 1, STANDING_UNCHECKED);
    expect_silence(&stage);
    assert_true(inquiries_due(stage.inquiries) == INT64_MAX);
    close_stage(&stage);
}

static void staple__good_or_not__counts_as_an_answer(void **state)
{
    (void)state;
    struct stage stage;
    struct span good = answers_read("watched_ocsp.good"), revoked = answers_read("watched_ocsp.revoked");
    open_stage(&stage);
    inquiries_watch(stage.inquiries, 1, 1, credential_of(&stage, "ocsp"), good, stage.now);
    inquiries_advance(stage.inquiries, stage.now);
    expect(&stage, 1, STANDING_GOOD);
    expect_silence(&stage);
    inquiries_watch(stage.inquiries, 2, 2, credential_of(&stage, "ocsp"), SPAN("nonsense"), stage.now);
    expect(&stage, 2, STANDING_GOOD);
    inquiries_watch(stage.inquiries, 3, 3, credential_of(&stage, "ocsp"), revoked, stage.now);
    assert_int_equal(stage.told_count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(stage.told[i].standing, STANDING_REVOKED);
    stage.told_count = 0;
    inquiries_watch(stage.inquiries, 4, 4, credential_of(&stage, "ocsp"), good, stage.now); /* from before */
    expect(&stage, 4, STANDING_REVOKED);
    span_free(&good);
    span_free(&revoked);
    close_stage(&stage);
}

/* Of a chain that is watched already: what tells something newer counts, whoever brings it. */
static void staple__with_a_later_stream__counts_where_it_is_newer(void **state)
{
    (void)state;
    struct stage stage;
    struct span good = answers_read("watched_ocsp.good"), revoked = answers_read("watched_ocsp.revoked");
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, NULL);
    expect(&stage, 1, STANDING_UNANSWERED);
    inquiries_staple(stage.inquiries, 1, 1, SPAN("nonsense"), stage.now);
    inquiries_staple(stage.inquiries, 1, 77, good, stage.now); /* nobody's */
    expect_silence(&stage);
    inquiries_staple(stage.inquiries, 1, 1, good, stage.now);
    expect(&stage, 1, STANDING_GOOD);
    uint64_t version = inquiries_version(stage.inquiries);
    inquiries_staple(stage.inquiries, 1, 1, good, stage.now + 1); /* once more */
    expect_silence(&stage);
    assert_int_equal(inquiries_version(stage.inquiries), version);
    inquiries_staple(stage.inquiries, 1, 1, revoked, stage.now);
    expect(&stage, 1, STANDING_REVOKED);
    inquiries_staple(stage.inquiries, 1, 1, good, stage.now);
    expect_silence(&stage);
    span_free(&good);
    span_free(&revoked);
    close_stage(&stage);
}

static void clock__set_back_by_decades__asks_within_an_interval(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    stage.now = 1000; /* 1970 */
    inquiries_clock(stage.inquiries, stage.now);
    assert_in_range(pass(&stage), 1, 86400);
    answer(&stage, OCSP, "watched_ocsp.good"); /* from the future by this clock */
    close_stage(&stage);
}

static void watches__a_hundred_thousand_of_one__cost_one_inquiry(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    struct credential *credential = credential_of(&stage, "ocsp");
    for (uint64_t tag = 1; tag <= 100000; tag++) {
        credential_ref(credential);
        inquiries_watch(stage.inquiries, (unsigned)(tag % 7), tag, credential, SPAN(""), stage.now);
    }
    credential_free(credential);
    struct inquiries_count count = inquiries_count(stage.inquiries);
    assert_int_equal(count.watches, 100000);
    assert_int_equal(count.dossiers, 1);
    assert_int_equal(count.inquiries, 1);
    for (uint64_t tag = 100000; tag > 0; tag--) /* newest first: a shard has one watch of a chain, so a list will do */
        unwatch(&stage, tag);
    count = inquiries_count(stage.inquiries);
    assert_int_equal(count.watches + count.dossiers + count.inquiries, 0);
    close_stage(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watch__of_a_good_one__is_told_once_and_asked_again_in_time),
        cmocka_unit_test(watch__of_one_known__is_told_at_once),
        cmocka_unit_test(answer__after_all_have_left__is_remembered),
        cmocka_unit_test(answer__for_who_came_back__is_told_to_him),
        cmocka_unit_test(round__that_nobody_waits_for__ends_and_leaves_nothing),
        cmocka_unit_test(revoked__later__is_told_to_all_and_not_asked_again),
        cmocka_unit_test(hold__that_is_lifted__is_good_again),
        cmocka_unit_test(responder__down__is_asked_with_growing_pauses),
        cmocka_unit_test(responder__down_later__is_unanswered_when_the_last_answer_is_stale),
        cmocka_unit_test(ocsp__without_answer__is_followed_by_the_list),
        cmocka_unit_test(list__of_many__is_fetched_once),
        cmocka_unit_test(source__none__is_unchecked_and_never_asked),
        cmocka_unit_test(staple__good_or_not__counts_as_an_answer),
        cmocka_unit_test(staple__with_a_later_stream__counts_where_it_is_newer),
        cmocka_unit_test(clock__set_back_by_decades__asks_within_an_interval),
        cmocka_unit_test(watches__a_hundred_thousand_of_one__cost_one_inquiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
