/* SPDX-License-Identifier: MIT */
/* What the operator distrusts, and what is remembered over a restart. */
#include "router/certs/memory_file_priv.h"
#include "tests/unit/router/inquiries_bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

static void count_name(void *context, struct span name)
{
    unsigned *counts = context;
    counts[name.size == CREDENTIAL_SHA256]++;
}

static void expect_names(const struct stage *stage, unsigned serials, unsigned hashes)
{
    unsigned counts[2] = {0};
    inquiries_list_distrusted(stage->inquiries, count_name, counts);
    assert_int_equal(counts[0], serials);
    assert_int_equal(counts[1], hashes);
}

/* By two names: only when both are taken back. Then it is asked for as if it were new. */
static void trust__of_what_was_distrusted__asks_anew(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    watch(&stage, "ocsp", 1);
    struct credential *credential = credential_of(&stage, "ocsp");
    struct span hash = span_of(credential->path[0].sha256, CREDENTIAL_SHA256);
    struct span serial = revocation_serial(credential->path[0].der);
    assert_false(inquiries_trust(stage.inquiries, hash, stage.now));
    inquiries_distrust(stage.inquiries, hash);
    inquiries_distrust(stage.inquiries, serial);
    expect(&stage, 1, STANDING_DISTRUSTED);
    answer(&stage, OCSP, "watched_ocsp.good"); /* was under way, and does not count */
    expect_names(&stage, 1, 1);
    assert_true(inquiries_trust(stage.inquiries, serial, stage.now));
    assert_false(inquiries_trust(stage.inquiries, serial, stage.now));
    expect_names(&stage, 0, 1);
    inquiries_advance(stage.inquiries, stage.now);
    expect_silence(&stage);
    assert_true(inquiries_trust(stage.inquiries, hash, stage.now));
    expect_names(&stage, 0, 0);
    inquiries_advance(stage.inquiries, stage.now);
    answer(&stage, OCSP, "watched_ocsp.good");
    expect(&stage, 1, STANDING_GOOD);
    inquiries_distrust(stage.inquiries, hash);
    expect(&stage, 1, STANDING_DISTRUSTED);
    assert_true(inquiries_trust(stage.inquiries, hash, stage.now));
    expect(&stage, 1, STANDING_GOOD); /* remembered */
    expect_silence(&stage);
    credential_free(credential);
    close_stage(&stage);
}

static void trust__of_one_without_sources__is_unchecked_again(void **state)
{
    (void)state;
    struct stage stage;
    open_stage(&stage);
    struct credential *credential = credential_of(&stage, "plain");
    struct span hash = span_of(credential->path[0].sha256, CREDENTIAL_SHA256);
    inquiries_distrust(stage.inquiries, hash);
    watch(&stage, "plain", 1);
    expect(&stage, 1, STANDING_DISTRUSTED);
    assert_true(inquiries_trust(stage.inquiries, hash, stage.now));
    expect(&stage, 1, STANDING_UNCHECKED);
    watch(&stage, "plain", 2);
    expect(&stage, 2, STANDING_UNCHECKED);
    expect_silence(&stage);
    credential_free(credential);
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
    inquiries_distrust(memory->stage.inquiries, SPAN("\x56"));
    assert_true(inquiries_trust(memory->stage.inquiries, SPAN("\x56"), memory->stage.now));
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
    expect_names(&memory.stage, 1, 0);
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
        cmocka_unit_test(distrust__by_hash_and_by_serial__is_for_good),
        cmocka_unit_test(trust__of_what_was_distrusted__asks_anew),
        cmocka_unit_test(trust__of_one_without_sources__is_unchecked_again),
        cmocka_unit_test(memory__read_again__answers_without_asking),
        cmocka_unit_test(memory__tampered_with__gains_nothing),
        cmocka_unit_test(memory__of_something_else__is_an_error_that_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
