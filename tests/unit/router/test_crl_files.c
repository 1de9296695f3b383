/* SPDX-License-Identifier: MIT */
/*
 * Lists of revoked certificates that the operator has on disk: what is read, and what becomes of certificates that are
 * watched when the lists are others. Each fetch is answered by the test; the files are those of
 * tests/chains/revocation.py.
 */
#include "router/certs/crl_files.h"

#include "core/base/base64.h"
#include "tests/unit/router/inquiries_bed.h"

#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define ISSUERS 20u /* more than a list remembers */

/* Of these files, apart by blanks; NULL: err tells. */
static struct crl_files *read_files(const char *names, struct err *err)
{
    char paths[4][ANSWERS_PATH_SIZE], list[256], *rest = list;
    const char *items[4];
    unsigned count = 0;
    snprintf(list, sizeof list, "%s", names);
    for (char *name = strtok_r(list, " ", &rest); name; name = strtok_r(NULL, " ", &rest), count++)
        items[count] = answers_path(name, paths[count]);
    return crl_files_read(items, count, answers_time(), err);
}

static void watch_stapled(struct stage *stage, const char *name, const char *staple)
{
    struct credential *credential = credential_of(stage, name);
    struct span answer = staple ? answers_read(staple) : SPAN_NONE;
    atomic_store(&credential->uses, 1); /* so that it is listed */
    inquiries_watch(stage->inquiries, 1, 1, credential, answer, stage->now);
    inquiries_advance(stage->inquiries, stage->now);
    span_free(&answer);
}

static void use(struct stage *stage, const char *files)
{
    struct err err;
    struct crl_files *read = read_files(files, &err);
    if (!read)
        fail_msg("%s", err.text);
    inquiries_exchange_files(stage->inquiries, read, stage->now);
    inquiries_advance(stage->inquiries, stage->now);
}

/* All that was told since. */
static void expect_by(struct stage *stage, enum standing standing, bool rests_on_file)
{
    assert_true(stage->told_count > 0);
    assert_int_equal(stage->told[0].rests_on_file, rests_on_file);
    expect(stage, 1, standing);
    assert_int_equal(stage->told_count, 0);
}

static void take_file(void *context, const struct inspector_chain *chain)
{
    assert_non_null(chain->file);
    snprintf(context, 64, "%s", strrchr(chain->file, '/') + 1);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void file__of_each_kind__is_read_or_named_with_its_fault(void **state)
{
    static const struct {
        const char *names;
        unsigned count;
        const char *fault; /* NULL: none */
    } rows[] = {
        {"", 0, NULL},
        {"file_all.der", 1, NULL},
        {"file_two.pem", 2, NULL},
        {"file_two.pem file_none.der file_stale.der", 4, NULL},
        {"file_none.der file_missing.der", 0, "file_missing.der: No such file"},
        {".", 0, ": is not a file"},
        {"file_empty.pem", 0, "file_empty.pem: has no list of revoked certificates"},
        {"file_text.pem", 0, "file_text.pem: has no list of revoked certificates"},
        {"file_short.der", 0, "file_short.der: list 1 breaks the syntax"},
        {"file_leaf.der", 0, "file_leaf.der: list 1 breaks the syntax"},
        {"file_open.pem", 0, "file_open.pem: list 1 is broken PEM: it has no end"},
        {"file_base64.pem", 0, "file_base64.pem: list 1 is broken PEM"},
        {"file_none.der file_second.pem", 0, "file_second.pem: list 2 breaks the syntax"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = {""};
        struct crl_files *files = read_files(rows[i].names, &err);
        if (!files != !!rows[i].fault || (!files && !strstr(err.text, rows[i].fault)))
            fail_msg("%s: %s", rows[i].names, err.text);
        if (files)
            assert_int_equal(crl_files_count(files), rows[i].count);
        crl_files_unref(files);
    }
}

static void lists__together__say_what_the_worst_and_the_freshest_do(void **state)
{
    static const struct {
        const char *names;
        enum revocation_status status;
        const char *file;
    } rows[] = {
        {"", REVOCATION_SILENCE, NULL},
        {"file_stranger.der", REVOCATION_SILENCE, NULL},
        {"file_all.der", REVOCATION_REVOKED, "file_all.der"},
        {"file_two.pem", REVOCATION_REVOKED, "file_two.pem"},
        {"file_none.der", REVOCATION_GOOD, "file_none.der"},
        {"file_stale.der", REVOCATION_STALE, "file_stale.der"},
        {"file_early.der", REVOCATION_EARLY, "file_early.der"},
        {"file_stale_all.der", REVOCATION_REVOKED, "file_stale_all.der"}, /* it is not taken back by time */
        {"file_forged.der", REVOCATION_FORGED, "file_forged.der"},
        {"file_namesake.der", REVOCATION_FORGED, "file_namesake.der"},
        {"file_none.der file_all.der file_stale.der", REVOCATION_REVOKED, "file_all.der"},
        {"file_all.der file_none.der", REVOCATION_REVOKED, "file_all.der"},
        {"file_stale.der file_none.der file_forged.der", REVOCATION_GOOD, "file_none.der"},
    };
    struct span leaf = answers_read("watched_plain.leaf"), root = answers_read("watched.root");
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err;
        const char *path;
        struct crl_files *files = read_files(rows[i].names, &err);
        assert_non_null(files);
        for (unsigned again = 0; again < 2; again++) { /* its signature is remembered */
            struct revocation_answer found = crl_files_judge(files, leaf, root, answers_time(), &path);
            if (found.status != rows[i].status || !path != !rows[i].file ||
                (path && strcmp(strrchr(path, '/') + 1, rows[i].file) != 0))
                fail_msg("%s: %s by %s", rows[i].names, revocation_text(found.status), path ? path : "none");
        }
        crl_files_unref(files);
    }
    span_free(&leaf);
    span_free(&root);
}

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

/* Of its own, in the folder of temporary files. */
static FILE *open_own(char path[ANSWERS_PATH_SIZE])
{
    snprintf(path, ANSWERS_PATH_SIZE, "/tmp/sluice-crl-%d", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    return file;
}

/* What is there of one file, and of another one that comes after it; NULL: there is none. */
static struct crl_files *read_own(const char *path, const char *other, struct err *err)
{
    const char *paths[2] = {path, other};
    return crl_files_read(paths, other ? 2 : 1, answers_time(), err);
}

static void expect_unread(struct crl_files *files, const struct err *err, const char *fault)
{
    assert_null(files);
    if (!strstr(err->text, fault))
        fail_msg("%s", err->text);
}

static void lists__one_more_than_the_bound__are_refused(void **state)
{
    struct err err = {""};
    char path[ANSWERS_PATH_SIZE], other[ANSWERS_PATH_SIZE];
    struct span list = answers_read("file_none.der");
    char *text = malloc(BASE64_ENCODED_SIZE(list.size));
    (void)state;
    assert_non_null(text);
    int size = (int)base64_encode(list, text);
    FILE *file = open_own(path);
    for (unsigned i = 0; i < CRL_FILES_LISTS_MAX; i++)
        fprintf(file, "-----BEGIN X509 CRL-----\n%.*s\n-----END X509 CRL-----\n", size, text);
    assert_int_equal(fflush(file), 0);
    struct crl_files *files = read_own(path, NULL, &err);
    assert_non_null(files);
    assert_int_equal(crl_files_count(files), CRL_FILES_LISTS_MAX);
    crl_files_unref(files);
    /* Wherever the one stands. */
    files = read_own(path, answers_path("file_none.der", other), &err);
    expect_unread(files, &err, "file_none.der: more than 1024 lists in all files");
    fprintf(file, "-----BEGIN X509 CRL-----\n%.*s\n-----END X509 CRL-----\n", size, text);
    assert_int_equal(fclose(file), 0);
    files = read_own(path, NULL, &err);
    expect_unread(files, &err, "more than 1024 lists in all files");
    unlink(path);
    free(text);
    span_free(&list);
}

/* Holes all of it, which the disk does not have. */
static void file__a_byte_larger_than_the_bound__is_refused(void **state)
{
    struct err err = {""};
    char path[ANSWERS_PATH_SIZE];
    FILE *file = open_own(path);
    (void)state;
    assert_int_equal(ftruncate(fileno(file), CRL_FILES_SIZE_MAX + 1), 0);
    expect_unread(read_own(path, NULL, &err), &err, "is too large: more than 64 MiB");
    assert_int_equal(ftruncate(fileno(file), CRL_FILES_SIZE_MAX), 0);
    expect_unread(read_own(path, NULL, &err), &err, "has no list of revoked certificates");
    fclose(file);
    unlink(path);
}

/* The root with this number in its signature, which nobody looks at: another certificate of the same name and key. */
static struct span numbered_root(unsigned number)
{
    struct span root = answers_read("watched.root");
    char *last = (char *)(uintptr_t)root.ptr + root.size - 1;
    *last = (char)(*last ^ (char)number);
    return root;
}

/* More issuers of one name than a list remembers: each is judged as the others are, and the list behind it is left as
 * it was. */
static void issuers__more_than_are_remembered__are_judged_each_time(void **state)
{
    struct err err;
    const char *path;
    struct span leaf = answers_read("watched_plain.leaf");
    struct crl_files *files = read_files("file_none.der file_stale.der file_all.der file_none.der", &err);
    (void)state;
    assert_non_null(files);
    for (unsigned i = 0; i < 2 * ISSUERS; i++) {
        struct span root = numbered_root(i % ISSUERS);
        struct revocation_answer found = crl_files_judge(files, leaf, root, answers_time(), &path);
        assert_int_equal(found.status, REVOCATION_REVOKED);
        assert_string_equal(strrchr(path, '/') + 1, "file_all.der");
        span_free(&root);
    }
    crl_files_unref(files);
    span_free(&leaf);
}

/* ---- what is watched --------------------------------------------------------------------------------------------- */

/* One that names nobody to be asked: all depends on the lists. */
static void plain__by_the_lists_alone__stands_as_they_say(void **state)
{
    static const struct {
        const char *files;
        enum standing standing;
        bool rests_on_file;
    } rows[] = {
        {"file_none.der", STANDING_GOOD, true},         {"file_stale.der", STANDING_UNCHECKED, false},
        {"file_none.der", STANDING_GOOD, true},         {"", STANDING_UNCHECKED, false},
        {"file_all.der", STANDING_REVOKED, true},       {"", STANDING_UNCHECKED, false},
        {"file_two.pem", STANDING_REVOKED, true},       {"file_none.der", STANDING_GOOD, true},
        {"file_forged.der", STANDING_UNCHECKED, false}, {"file_hold.der", STANDING_REVOKED, true},
        {"file_none.der", STANDING_GOOD, true},         {"file_stranger.der", STANDING_UNCHECKED, false},
    };
    struct stage stage;
    (void)state;
    open_stage(&stage);
    watch(&stage, "plain", 1);
    expect_by(&stage, STANDING_UNCHECKED, false);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        use(&stage, rows[i].files);
        expect_by(&stage, rows[i].standing, rows[i].rests_on_file);
        use(&stage, rows[i].files); /* the same again is no news */
        assert_int_equal(stage.told_count, 0);
    }
    close_stage(&stage);
}

static void plain__later_than_the_list__stands_so_at_once(void **state)
{
    struct stage stage;
    (void)state;
    open_stage(&stage);
    use(&stage, "file_none.der");
    watch(&stage, "plain", 1);
    expect_by(&stage, STANDING_GOOD, true);
    int64_t due = inquiries_due(stage.inquiries), begin = stage.now;
    assert_in_range(due - begin, 10 * 3600, 12 * 3600);
    for (unsigned i = 0; i < 100 && stage.told_count == 0; i++) { /* nobody replaces it */
        stage.now = inquiries_due(stage.inquiries);
        inquiries_advance(stage.inquiries, stage.now);
    }
    expect_by(&stage, STANDING_UNCHECKED, false);
    assert_in_range(stage.now - begin, 12 * 3600 - 60, 12 * 3600 + 60);
    close_stage(&stage);
    open_stage(&stage);
    use(&stage, "file_all.der");
    watch_stapled(&stage, "plain", NULL);
    expect_by(&stage, STANDING_REVOKED, true);
    char file[64] = "";
    inquiries_list(stage.inquiries, SPAN(""), take_file, file);
    assert_string_equal(file, "file_all.der");
    close_stage(&stage);
}

static void asked__and_good__is_revoked_by_a_list_that_comes(void **state)
{
    struct stage stage;
    (void)state;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect_by(&stage, STANDING_GOOD, false);
    use(&stage, "file_none.der"); /* no news, and nothing that its standing rests on */
    assert_int_equal(stage.told_count, 0);
    use(&stage, "file_all.der");
    expect_by(&stage, STANDING_REVOKED, true);
    inquiries_check(stage.inquiries, SPAN("peer.example"), stage.now); /* its responder cannot help it */
    inquiries_advance(stage.inquiries, stage.now);
    assert_int_equal(stage.told_count, 0);
    use(&stage, ""); /* begins from zero, out of what is remembered */
    assert_int_equal(stage.told[stage.told_count - 1].standing, STANDING_GOOD);
    stage.told_count = 0;
    close_stage(&stage);
}

static void asked__while_the_list_comes__stays_revoked_when_the_answer_does(void **state)
{
    struct stage stage;
    (void)state;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    use(&stage, "file_all.der");
    expect_by(&stage, STANDING_REVOKED, true);
    answer(&stage, OCSP, "watched_ocsp.good");
    assert_int_equal(stage.told_count, 0);
    close_stage(&stage);
    open_stage(&stage); /* nor does one that is stapled help, or one that is remembered */
    use(&stage, "file_all.der");
    watch_stapled(&stage, "ocsp", "watched_ocsp.good");
    expect_by(&stage, STANDING_REVOKED, true);
    close_stage(&stage);
}

static void asked__without_answer__falls_back_on_the_list_and_is_asked_again(void **state)
{
    struct stage stage;
    (void)state;
    open_stage(&stage);
    use(&stage, "file_none.der");
    watch(&stage, "ocsp", 1);
    answer(&stage, OCSP, NULL);
    expect_by(&stage, STANDING_GOOD, true);
    for (int64_t pause = 30; pause <= 240; pause *= 2) {
        assert_in_range(pass(&stage), pause - pause / 10, pause);
        answer(&stage, OCSP, NULL);
        assert_int_equal(stage.told_count, 0);
    }
    use(&stage, ""); /* it is all that held it */
    answer(&stage, OCSP, NULL);
    expect_by(&stage, STANDING_UNANSWERED, false);
    use(&stage, "file_none.der");
    expect_by(&stage, STANDING_GOOD, true);
    stage.now = inquiries_due(stage.inquiries);
    inquiries_advance(stage.inquiries, stage.now);
    answer(&stage, OCSP, "watched_ocsp.revoked");
    expect_by(&stage, STANDING_REVOKED, false);
    use(&stage, "file_none.der"); /* a list that does not know it takes nothing back */
    assert_int_equal(stage.told_count, 0);
    close_stage(&stage);
}

static void distrusted__by_the_operator__stays_so(void **state)
{
    struct stage stage;
    (void)state;
    open_stage(&stage);
    struct span leaf = answers_read("watched_plain.leaf");
    watch(&stage, "plain", 1);
    expect_by(&stage, STANDING_UNCHECKED, false);
    inquiries_distrust(stage.inquiries, revocation_serial(leaf));
    expect_by(&stage, STANDING_DISTRUSTED, false);
    use(&stage, "file_all.der");
    use(&stage, "file_none.der");
    assert_int_equal(stage.told_count, 0);
    span_free(&leaf);
    close_stage(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file__of_each_kind__is_read_or_named_with_its_fault),
        cmocka_unit_test(lists__together__say_what_the_worst_and_the_freshest_do),
        cmocka_unit_test(lists__one_more_than_the_bound__are_refused),
        cmocka_unit_test(file__a_byte_larger_than_the_bound__is_refused),
        cmocka_unit_test(issuers__more_than_are_remembered__are_judged_each_time),
        cmocka_unit_test(plain__by_the_lists_alone__stands_as_they_say),
        cmocka_unit_test(plain__later_than_the_list__stands_so_at_once),
        cmocka_unit_test(asked__and_good__is_revoked_by_a_list_that_comes),
        cmocka_unit_test(asked__while_the_list_comes__stays_revoked_when_the_answer_does),
        cmocka_unit_test(asked__without_answer__falls_back_on_the_list_and_is_asked_again),
        cmocka_unit_test(distrusted__by_the_operator__stays_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
