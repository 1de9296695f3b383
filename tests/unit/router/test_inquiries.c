/* SPDX-License-Identifier: MIT */
/*
 * What the inspector does, by hand: each fetch is answered by the test, the time is the test's. The certificates and
 * answers are those of tests/chains/revocation.py; answers that count are good for twelve hours from now.
 */
#include "router/certs/inquiries_priv.h"
#include "router/certs/memory_file_priv.h"
#include "tls/credential_pool_priv.h"
#include "tls/credential_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#define FETCHES_MAX 8
#define TOLD_MAX    4096

struct stage {
    struct inquiries *inquiries;
    struct inspector_settings settings;
    struct anchors *anchors;
    int64_t now;
    int64_t made;
    struct {
        uint64_t number;
        char url[64];
        size_t body_size;
    } fetches[FETCHES_MAX];
    unsigned fetch_count;
    struct inspector_finding told[TOLD_MAX];
    unsigned told_count;
    uint32_t dice;
};

static void begin_fetch(void *context, uint64_t number, const char *url, struct span body)
{
    struct stage *stage = context;
    assert_true(stage->fetch_count < FETCHES_MAX);
    stage->fetches[stage->fetch_count].number = number;
    stage->fetches[stage->fetch_count].body_size = body.size;
    snprintf(stage->fetches[stage->fetch_count++].url, sizeof stage->fetches[0].url, "%s", url);
}

static void tell(void *context, unsigned client, const struct inspector_finding *finding)
{
    struct stage *stage = context;
    assert_int_equal(client, finding->tag % 7);
    assert_true(stage->told_count < TOLD_MAX);
    stage->told[stage->told_count++] = *finding;
}

static uint32_t throw_dice(void *context)
{
    struct stage *stage = context;
    return stage->dice = stage->dice * 1664525 + 1013904223;
}

static const char *path_of(const char *name)
{
    static char path[512];
    const char *folder = getenv("SL_TEST_ANSWERS");
    assert_non_null(folder);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static struct span read_file(const char *name)
{
    static char bytes[65536];
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return span_copy(span_of(bytes, size));
}

static void open_stage(struct stage *stage)
{
    const struct inquiries_hooks hooks = {stage, begin_fetch, tell, throw_dice};
    struct err err;
    memset(stage, 0, sizeof *stage);
    stage->dice = 1;
    struct span text = read_file("now"); /* when the answers were made */
    stage->now = strtoll(text.ptr, NULL, 10);
    stage->made = stage->now;
    span_free(&text);
    stage->settings = (struct inspector_settings){
        .interval_s = 86400, .retry_min_s = 30, .retry_max_s = 3600, .fetches_max = FETCHES_MAX};
    stage->anchors = anchors_new(path_of("watched.pem"), &err);
    assert_non_null(stage->anchors);
    stage->inquiries = inquiries_new(&stage->settings, &hooks);
    assert_non_null(stage->inquiries);
}

static void close_stage(struct stage *stage)
{
    inquiries_free(stage->inquiries);
    anchors_unref(stage->anchors);
}

static struct credential *credential_of(struct stage *stage, const char *name)
{
    char file[64];
    snprintf(file, sizeof file, "watched_%s.leaf", name);
    struct span leaf = read_file(file);
    struct credential *credential = credential_judge(stage->anchors, &leaf, 1, CREDENTIAL_SERVER, stage->made);
    span_free(&leaf);
    assert_int_equal(credential->verdict, CREDENTIAL_VALID);
    return credential_pool_share(credential);
}

/* The client is the tag modulo 7: tell() looks. */
static void watch(struct stage *stage, const char *name, uint64_t tag)
{
    inquiries_watch(stage->inquiries, (unsigned)(tag % 7), tag, credential_of(stage, name), SPAN(""), stage->now);
    inquiries_advance(stage->inquiries, stage->now);
}

static void unwatch(struct stage *stage, uint64_t tag)
{
    inquiries_unwatch(stage->inquiries, (unsigned)(tag % 7), tag);
}

/* Answers the oldest fetch, which must be of that URL; NULL: it fails. */
static void answer(struct stage *stage, const char *url, const char *name)
{
    assert_true(stage->fetch_count > 0);
    assert_string_equal(stage->fetches[0].url, url);
    uint64_t number = stage->fetches[0].number;
    stage->fetch_count--;
    memmove(stage->fetches, stage->fetches + 1, stage->fetch_count * sizeof stage->fetches[0]);
    struct span body = name ? read_file(name) : SPAN_NONE;
    inquiries_fetched(stage->inquiries, number, body, stage->now);
    inquiries_advance(stage->inquiries, stage->now);
    span_free(&body);
}

/* The next finding, which must be there. */
static void expect(struct stage *stage, uint64_t tag, enum standing standing)
{
    assert_true(stage->told_count > 0);
    assert_int_equal(stage->told[0].tag, tag);
    assert_int_equal(stage->told[0].standing, standing);
    stage->told_count--;
    memmove(stage->told, stage->told + 1, stage->told_count * sizeof stage->told[0]);
}

static void expect_silence(const struct stage *stage)
{
    assert_int_equal(stage->told_count, 0);
    assert_int_equal(stage->fetch_count, 0);
}

/* Goes to when something is due. */
static int64_t pass(struct stage *stage)
{
    int64_t due = inquiries_due(stage->inquiries), before = stage->now;
    assert_true(due != INT64_MAX && due > stage->now);
    inquiries_advance(stage->inquiries, due - 1);
    assert_int_equal(stage->fetch_count, 0);
    stage->now = due;
    inquiries_advance(stage->inquiries, stage->now);
    return due - before;
}

#define OCSP "http://ocsp.example/1"
#define LIST "http://crl.example/1"

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
    struct span good = read_file("watched_ocsp.good"), revoked = read_file("watched_ocsp.revoked");
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

static void distrust__by_hash_and_by_serial__is_for_good(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    struct credential *credential = credential_of(&stage, "crl");
    struct span serial = revocation_serial(credential->path[0].der);
    assert_int_equal(inquiries_distrust(stage.inquiries, serial), 0);
    watch(&stage, "crl", 2);
    expect(&stage, 2, STANDING_DISTRUSTED);
    credential_free(credential);
    credential = credential_of(&stage, "ocsp");
    assert_int_equal(inquiries_distrust(stage.inquiries, span_of(credential->path[0].sha256, CREDENTIAL_SHA256)), 1);
    credential_free(credential);
    expect(&stage, 1, STANDING_DISTRUSTED);
    answer(&stage, OCSP, "watched_ocsp.good"); /* was under way */
    expect_silence(&stage);
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

/* ---- the file ---------------------------------------------------------------------------------------------------- */

struct memory_stage {
    struct stage stage;
    char path[64];
};

static void write_memory(struct memory_stage *memory)
{
    struct err err;
    open_stage(&memory->stage);
    snprintf(memory->path, sizeof memory->path, "/tmp/sluice-memory-%d", (int)getpid());
    watch(&memory->stage, "ocsp", 1);
    answer(&memory->stage, OCSP, "watched_ocsp.good");
    watch(&memory->stage, "crl", 2);
    answer(&memory->stage, LIST, "watched.list_revoked");
    inquiries_distrust(memory->stage.inquiries, SPAN("\x12\x34"));
    assert_true(memory_file_write(memory->path, memory->stage.inquiries, &err));
    close_stage(&memory->stage);
}

static void memory__read_again__answers_without_asking(void **state)
{
    (void)state;
    struct memory_stage memory;
    struct err err;
    write_memory(&memory);
    open_stage(&memory.stage);
    assert_true(memory_file_read(memory.path, memory.stage.inquiries, memory.stage.now, &err));
    assert_int_equal(inquiries_count(memory.stage.inquiries).memories, 3);
    watch(&memory.stage, "ocsp", 1);
    expect(&memory.stage, 1, STANDING_GOOD);
    watch(&memory.stage, "crl", 2);
    expect(&memory.stage, 2, STANDING_REVOKED);
    expect_silence(&memory.stage);
    close_stage(&memory.stage);
    unlink(memory.path);
}

/* A byte in seventeen changed, or cut there: never a standing that nobody signed. */
static void memory__tampered_with__gains_nothing(void **state)
{
    (void)state;
    struct memory_stage memory;
    static char bytes[65536];
    struct err err;
    write_memory(&memory);
    FILE *file = fopen(memory.path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    for (size_t i = 0; i < size; i += 17) {
        bool is_cut = i % 2; /* every other time */
        bytes[i] = (char)(bytes[i] ^ 0x10);
        file = fopen(memory.path, "wb");
        assert_int_equal(fwrite(bytes, 1, is_cut ? i : size, file), is_cut ? i : size);
        fclose(file);
        bytes[i] = (char)(bytes[i] ^ 0x10);
        open_stage(&memory.stage);
        (void)memory_file_read(memory.path, memory.stage.inquiries, memory.stage.now, &err);
        watch(&memory.stage, "crl", 2);
        for (unsigned told = 0; told < memory.stage.told_count; told++)
            assert_int_not_equal(memory.stage.told[told].standing, STANDING_GOOD);
        close_stage(&memory.stage);
    }
    unlink(memory.path);
}

static void memory__of_something_else__is_an_error_that_says_so(void **state)
{
    (void)state;
    struct stage stage;
    struct err err;
    open_stage(&stage);
    assert_true(memory_file_read("/tmp/sluice-no-such-file", stage.inquiries, stage.now, &err));
    assert_false(memory_file_read("/dev/zero", stage.inquiries, stage.now, &err));
    assert_non_null(strstr(err.text, "/dev/zero"));
    assert_false(memory_file_write("/nowhere/at/all", stage.inquiries, &err));
    assert_non_null(strstr(err.text, "/nowhere/at/all"));
    close_stage(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(watch__of_a_good_one__is_told_once_and_asked_again_in_time),
        cmocka_unit_test(watch__of_one_known__is_told_at_once),
        cmocka_unit_test(revoked__later__is_told_to_all_and_not_asked_again),
        cmocka_unit_test(hold__that_is_lifted__is_good_again),
        cmocka_unit_test(responder__down__is_asked_with_growing_pauses),
        cmocka_unit_test(responder__down_later__is_unanswered_when_the_last_answer_is_stale),
        cmocka_unit_test(ocsp__without_answer__is_followed_by_the_list),
        cmocka_unit_test(list__of_many__is_fetched_once),
        cmocka_unit_test(source__none__is_unchecked_and_never_asked),
        cmocka_unit_test(staple__good_or_not__counts_as_an_answer),
        cmocka_unit_test(distrust__by_hash_and_by_serial__is_for_good),
        cmocka_unit_test(clock__set_back_by_decades__asks_within_an_interval),
        cmocka_unit_test(watches__a_hundred_thousand_of_one__cost_one_inquiry),
        cmocka_unit_test(memory__read_again__answers_without_asking),
        cmocka_unit_test(memory__tampered_with__gains_nothing),
        cmocka_unit_test(memory__of_something_else__is_an_error_that_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
