/* SPDX-License-Identifier: MIT */
#include "core/base/base64.h"
#include "router/store/account.h"
#include "router/store/store.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/scram_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

_Static_assert(ACCOUNT_JID_MAX == STORE_KEY_MAX, "an account's address is its key");

static void decode(struct span text, uint8_t *out, size_t size_expected)
{
    char bytes[128];
    size_t size = 0;
    assert_true(text.size < 128 && base64_decode(text, bytes, &size));
    assert_int_equal(size, size_expected);
    memcpy(out, bytes, size);
}

static void derive__published_vectors__same_keys(void **state)
{
    (void)state;
    struct scram_vectors vectors;
    unsigned tried = 0;
    scram_vectors_read(&vectors);
    for (unsigned i = 0; i < vectors.vector_count; i++) {
        const struct scram_vector *vector = &vectors.vectors[i];
        enum digest digest;
        bool is_plus;
        if (!scram_vector_digest(vector, &digest, &is_plus))
            continue;
        char salt[64];
        size_t salt_size = 0;
        uint8_t stored[32], server[32];
        struct account account;
        assert_true(base64_decode(vector->salt, salt, &salt_size));
        decode(vector->stored_key, stored, digest_size(digest));
        decode(vector->server_key, server, digest_size(digest));
        account_derive(&account, vector->password, span_of(salt, salt_size),
                       (uint32_t)strtoul(vector->iterations.ptr, NULL, 10));
        bool is_sha1 = digest == DIGEST_SHA1;
        assert_memory_equal(is_sha1 ? account.sha1_stored : account.sha256_stored, stored, digest_size(digest));
        assert_memory_equal(is_sha1 ? account.sha1_server : account.sha256_server, server, digest_size(digest));
        assert_true(account_verify(&account, vector->password));
        tried++;
    }
    assert_int_equal(tried, 10);
    scram_vectors_free(&vectors);
}

static void verify__right_and_wrong_password__told_apart(void **state)
{
    (void)state;
    struct account account;
    account_derive(&account, SPAN("correct horse"), SPAN("0123456789abcdef"), 4096);
    assert_true(account_verify(&account, SPAN("correct horse")));
    assert_false(account_verify(&account, SPAN("correct horsf")));
    assert_false(account_verify(&account, SPAN("correct hors")));
    assert_false(account_verify(&account, SPAN("correct horse ")));
    account.has_sha256 = false;
    assert_true(account_verify(&account, SPAN("correct horse")));
    assert_false(account_verify(&account, SPAN("Correct horse")));
    account.has_sha1 = false;
    assert_false(account_verify(&account, SPAN("correct horse")));
}

static void account_roll(uint64_t *dice, struct account *account)
{
    uint8_t *bytes = (uint8_t *)account;
    for (size_t i = 0; i < sizeof *account; i++)
        bytes[i] = (uint8_t)dice_next(dice);
    struct account out = {0};
    out.iterations = ACCOUNT_ITERATIONS_MIN + dice_below(dice, ACCOUNT_ITERATIONS_MAX - ACCOUNT_ITERATIONS_MIN + 1);
    out.salt_size = (uint8_t)(1 + dice_below(dice, ACCOUNT_SALT_MAX));
    memcpy(out.salt, account->salt, out.salt_size);
    unsigned which = 1 + dice_below(dice, 3);
    out.has_sha1 = (which & 1) != 0;
    out.has_sha256 = (which & 2) != 0;
    out.is_disabled = dice_below(dice, 2) == 0;
    if (out.has_sha1) {
        memcpy(out.sha1_stored, account->sha1_stored, 20);
        memcpy(out.sha1_server, account->sha1_server, 20);
    }
    if (out.has_sha256) {
        memcpy(out.sha256_stored, account->sha256_stored, 32);
        memcpy(out.sha256_server, account->sha256_server, 32);
    }
    memset(account, 0, sizeof *account);
    account->iterations = out.iterations;
    *account = out;
}

static void assert_same(const struct account *a, const struct account *b)
{
    assert_int_equal(a->iterations, b->iterations);
    assert_int_equal(a->salt_size, b->salt_size);
    assert_memory_equal(a->salt, b->salt, sizeof a->salt);
    assert_int_equal(a->is_disabled, b->is_disabled);
    assert_int_equal(a->has_sha1, b->has_sha1);
    assert_int_equal(a->has_sha256, b->has_sha256);
    assert_memory_equal(a->sha1_stored, b->sha1_stored, 20);
    assert_memory_equal(a->sha1_server, b->sha1_server, 20);
    assert_memory_equal(a->sha256_stored, b->sha256_stored, 32);
    assert_memory_equal(a->sha256_server, b->sha256_server, 32);
}

static void record__any_account__comes_back(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    for (unsigned i = 0; i < 2000; i++) {
        struct account in, out;
        uint8_t record[ACCOUNT_RECORD_MAX];
        account_roll(&dice, &in);
        size_t size = account_encode(&in, record);
        assert_true(size <= ACCOUNT_RECORD_MAX);
        assert_true(account_decode(span_of(record, size), &out));
        assert_same(&in, &out);
    }
}

static void record__every_other_size__refused(void **state)
{
    (void)state;
    struct account account, out;
    uint8_t record[ACCOUNT_RECORD_MAX] = {0};
    account_derive(&account, SPAN("x"), SPAN("0123456789abcdef"), 1);
    size_t right = account_encode(&account, record);
    for (size_t size = 0; size <= sizeof record; size++) {
        /* An exact heap copy, so that the sanitizer sees any read behind it. */
        uint8_t *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, record, size);
        assert_int_equal(account_decode(span_of(copy, size), &out), size == right);
        free(copy);
    }
    assert_false(account_decode(SPAN_NONE, &out));
}

static void record__bad_fields__refused(void **state)
{
    (void)state;
    struct account account, out;
    uint8_t record[ACCOUNT_RECORD_MAX];
    account_derive(&account, SPAN("x"), SPAN("0123456789abcdef"), 4096);
    size_t size = account_encode(&account, record);
    const struct {
        size_t at;
        uint8_t value;
    } bad[] = {{0, 0},  {0, 2},   {0, 255}, {1, 0}, {1, 1},  {1, 2}, {1, 8},
               {1, 11}, {1, 255}, {5, 255}, {6, 0}, {6, 15}, {6, 33}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t old = record[bad[i].at];
        record[bad[i].at] = bad[i].value;
        assert_false(account_decode(span_of(record, size), &out));
        record[bad[i].at] = old;
    }
    memset(record + 2, 0, 4); /* no iterations */
    assert_false(account_decode(span_of(record, size), &out));
}

static void line__any_account__comes_back(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    char name[ACCOUNT_JID_MAX];
    memset(name, 'u', sizeof name);
    for (unsigned i = 0; i < 2000; i++) {
        struct account in, out;
        char line[ACCOUNT_LINE_MAX];
        struct span jid = span_of(name, 1 + dice_below(&dice, ACCOUNT_JID_MAX));
        struct span got = SPAN_NONE;
        const char *why = "?";
        account_roll(&dice, &in);
        size_t size = account_to_line(jid, &in, line);
        assert_true(size <= ACCOUNT_LINE_MAX);
        assert_true(account_from_line(span_of(line, size), &got, &out, &why));
        assert_true(span_equal(got, jid));
        assert_same(&in, &out);
    }
}

#define SALT "QSXCR+Q6sek8bf92"
#define K20  "6dlGYMOdZcOPutkcNY8U2g7vK9Y="
#define K32  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

static void line__bad_field__is_named(void **state)
{
    (void)state;
    static const struct {
        const char *line, *why;
    } bad[] = {
        {"", "user@domain"},
        {"\t4096\t" SALT "\t-\t-\t" K32 "\t" K32, "user@domain"},
        {"u@d", "iterations"},
        {"u@d\t", "iterations"},
        {"u@d\t4095\t" SALT "\t-\t-\t" K32 "\t" K32, "iterations"},
        {"u@d\t10000001\t" SALT "\t-\t-\t" K32 "\t" K32, "iterations"},
        {"u@d\t99999999999999999999\t" SALT "\t-\t-\t" K32 "\t" K32, "iterations"},
        {"u@d\t04096\t" SALT "\t-\t-\t" K32 "\t" K32, "iterations"},
        {"u@d\t+4096\t" SALT "\t-\t-\t" K32 "\t" K32, "iterations"},
        {"u@d\t4096 \t" SALT "\t-\t-\t" K32 "\t" K32, "iterations"},
        {"u@d\t4096", "salt"},
        {"u@d\t4096\t\t-\t-\t" K32 "\t" K32, "salt"},
        {"u@d\t4096\t-\t-\t-\t" K32 "\t" K32, "salt"},
        {"u@d\t4096\tQSXCR+Q6sek8bf9\t-\t-\t" K32 "\t" K32, "salt"},
        {"u@d\t4096\t" K32 K32 "\t-\t-\t" K32 "\t" K32, "salt"},
        {"u@d\t4096\tAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\t-\t-\t" K32 "\t" K32, "salt"}, /* 33 bytes */
        {"u@d\t4096\t" SALT, "sha1-stored"},
        {"u@d\t4096\t" SALT "\t" K32 "\t" K20 "\t-\t-", "sha1-stored"},
        {"u@d\t4096\t" SALT "\t" K20 "\t-\t-\t-", "sha1-server"},
        {"u@d\t4096\t" SALT "\t-\t" K20 "\t-\t-", "sha1-server"},
        {"u@d\t4096\t" SALT "\t" K20 "\t" SALT "\t-\t-", "sha1-server"},
        {"u@d\t4096\t" SALT "\t-\t-\t-\t-", "sha256-stored"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K20 "\t" K32, "sha256-stored"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32, "sha256-server"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32 "\t-", "sha256-server"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32 "\t" K32 "\t", "disabled"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32 "\t" K32 "\tx", "disabled"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32 "\t" K32 "\tdisabled\t", "disabled"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32 "\t\tdisabled", "sha256-server"},
        {"u@d\t4096\t" SALT "\t-\t-\t" K32 "\t" K32 "\n", "sha256-server"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct span jid;
        struct account account;
        const char *why = NULL;
        assert_false(account_from_line(span_str(bad[i].line), &jid, &account, &why));
        assert_string_equal(why, bad[i].why);
    }
}

static void line__minimal_and_full__accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        "u@d\t4096\t" SALT "\t-\t-\t" K32 "\t" K32,
        "u@d\t10000000\tAA==\t" K20 "\t" K20 "\t-\t-",
        "u@d\t10000\t" K32 "\t" K20 "\t" K20 "\t" K32 "\t" K32,
        "u@d\t10000\t" K32 "\t" K20 "\t" K20 "\t-\t-\tdisabled",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct span jid;
        struct account account;
        const char *why = NULL;
        char line[ACCOUNT_LINE_MAX];
        assert_true(account_from_line(span_str(good[i]), &jid, &account, &why));
        assert_null(why);
        assert_true(span_is(jid, "u@d"));
        size_t size = account_to_line(jid, &account, line);
        assert_true(span_is(span_of(line, size), good[i]));
    }
}

static void line__too_long_address__refused(void **state)
{
    (void)state;
    static const char tail[] = "\t4096\t" SALT "\t-\t-\t" K32 "\t" K32;
    for (size_t size = ACCOUNT_JID_MAX - 1; size <= ACCOUNT_JID_MAX + 1; size++) {
        char line[ACCOUNT_LINE_MAX];
        struct span jid;
        struct account account;
        const char *why = NULL;
        memset(line, 'u', size);
        memcpy(line + size, tail, sizeof tail - 1);
        bool is_read = account_from_line(span_of(line, size + sizeof tail - 1), &jid, &account, &why);
        assert_int_equal(is_read, size <= ACCOUNT_JID_MAX);
    }
}

static void line__random_damage__never_read_beyond(void **state)
{
    (void)state;
    uint64_t dice = dice_seed(__func__);
    static const char alphabet[] = "\t\t-=+/A9z@\n";
    for (unsigned i = 0; i < 20000; i++) {
        struct account account;
        struct span jid;
        const char *why = NULL;
        char line[ACCOUNT_LINE_MAX];
        account_roll(&dice, &account);
        size_t size = account_to_line(SPAN("user@example.com"), &account, line);
        size = dice_below(&dice, 4) == 0 ? dice_below(&dice, (unsigned)size + 1) : size;
        char *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, line, size);
        for (unsigned n = dice_below(&dice, 4); size > 0 && n > 0; n--)
            copy[dice_below(&dice, (unsigned)size)] = alphabet[dice_below(&dice, sizeof alphabet - 1)];
        if (account_from_line(span_of(copy, size), &jid, &account, &why)) {
            /* What was read is written the same: there is one spelling only. */
            size_t again = account_to_line(jid, &account, line);
            assert_true(span_equal(span_of(line, again), span_of(copy, size)));
        } else {
            assert_non_null(why);
        }
        free(copy);
    }
}

static void fake__same_name_and_secret__same_account(void **state)
{
    (void)state;
    struct account a, b;
    account_fake(&a, SPAN("nobody@example.com"), SPAN("secret"));
    account_fake(&b, SPAN("nobody@example.com"), SPAN("secret"));
    assert_memory_equal(&a, &b, sizeof a);
    account_fake(&b, SPAN("nobodx@example.com"), SPAN("secret"));
    assert_memory_not_equal(a.salt, b.salt, ACCOUNT_SALT_SIZE);
    assert_memory_not_equal(a.sha256_stored, b.sha256_stored, 32);
    account_fake(&b, SPAN("nobody@example.com"), SPAN("secres"));
    assert_memory_not_equal(a.salt, b.salt, ACCOUNT_SALT_SIZE);
    assert_memory_not_equal(a.sha1_stored, b.sha1_stored, 20);
}

static void fake__beside_a_real_account__same_shape(void **state)
{
    (void)state;
    struct account fake, real;
    uint8_t salt[ACCOUNT_SALT_SIZE] = {7};
    account_fake(&fake, SPAN("nobody@example.com"), SPAN("secret"));
    account_derive(&real, SPAN("password"), span_of(salt, sizeof salt), ACCOUNT_ITERATIONS);
    assert_int_equal(fake.iterations, real.iterations);
    assert_int_equal(fake.salt_size, real.salt_size);
    assert_true(fake.has_sha1 && fake.has_sha256);
    /* No key is the prefix of another: each comes from a call of its own. */
    assert_memory_not_equal(fake.sha1_stored, fake.sha256_stored, 20);
    assert_memory_not_equal(fake.sha1_server, fake.sha256_server, 20);
    assert_memory_not_equal(fake.sha256_stored, fake.sha256_server, 32);
    assert_memory_not_equal(fake.salt, fake.sha1_stored, ACCOUNT_SALT_SIZE);
    assert_false(account_verify(&fake, SPAN("")));
    assert_false(account_verify(&fake, SPAN("secret")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derive__published_vectors__same_keys),
        cmocka_unit_test(verify__right_and_wrong_password__told_apart),
        cmocka_unit_test(record__any_account__comes_back),
        cmocka_unit_test(record__every_other_size__refused),
        cmocka_unit_test(record__bad_fields__refused),
        cmocka_unit_test(line__any_account__comes_back),
        cmocka_unit_test(line__bad_field__is_named),
        cmocka_unit_test(line__minimal_and_full__accepted),
        cmocka_unit_test(line__too_long_address__refused),
        cmocka_unit_test(line__random_damage__never_read_beyond),
        cmocka_unit_test(fake__same_name_and_secret__same_account),
        cmocka_unit_test(fake__beside_a_real_account__same_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
