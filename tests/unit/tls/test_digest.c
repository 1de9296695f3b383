/* SPDX-License-Identifier: MIT */
#include "tls/digest.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <setjmp.h>

#include <cmocka.h>

static void expect_hex(const uint8_t *bytes, size_t size, const char *hex)
{
    char text[2 * DIGEST_SIZE_MAX + 1] = "";
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(text, hex);
}

/* FIPS 180-4's examples: "abc" and the empty message. */
static void hash__known_messages__known_digests(void **state)
{
    static const struct {
        enum digest digest;
        struct span message;
        const char *hex;
    } rows[] = {
        {DIGEST_SHA1, {"abc", 3}, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {DIGEST_SHA1, {NULL, 0}, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {DIGEST_SHA256, {"abc", 3}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {DIGEST_SHA256, {NULL, 0}, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {DIGEST_SHA512,
         {"abc", 3},
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce"
         "80e"
         "2a9ac94fa54ca49f"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[DIGEST_SIZE_MAX];
        digest_hash(rows[i].digest, rows[i].message, out);
        expect_hex(out, digest_size(rows[i].digest), rows[i].hex);
    }
}

/* RFC 2202 s3 for SHA-1, RFC 4231 s4 for the others: a short key, a short message, a key longer than a block. */
static void hmac__known_keys__known_codes(void **state)
{
    static char long_key[131];
    static const struct span hash_first = {"Test Using Larger Than Block-Size Key - Hash Key First", 54};
    const struct span key = span_of(long_key, sizeof(long_key));
    const struct {
        enum digest digest;
        struct span key;
        struct span message;
        const char *hex;
    } rows[] = {
        {DIGEST_SHA1, SPAN("Jefe"), SPAN("what do ya want for nothing?"), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
        {DIGEST_SHA256, SPAN("Jefe"), SPAN("what do ya want for nothing?"),
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {DIGEST_SHA256, key, hash_first, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
        {DIGEST_SHA512, SPAN("Jefe"), SPAN("what do ya want for nothing?"),
         "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6"
         "b4b"
         "636e070a38bce737"},
        {DIGEST_SHA512, key, hash_first,
         "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0"
         "aec"
         "8b915a985d786598"},
    };
    (void)state;
    memset(long_key, 0xaa, sizeof(long_key));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[DIGEST_SIZE_MAX];
        digest_hmac(rows[i].digest, rows[i].key, rows[i].message, out);
        expect_hex(out, digest_size(rows[i].digest), rows[i].hex);
    }
}

/* RFC 6070 s2 for SHA-1; RFC 7914 s11 (its first 32 bytes) for SHA-256; RFC 7677 s3's salted password is in scram's own
 * tests. */
static void pbkdf2__known_passwords__known_keys(void **state)
{
    uint8_t out[DIGEST_SIZE_MAX];
    (void)state;
    digest_pbkdf2(DIGEST_SHA1, SPAN("password"), SPAN("salt"), 1, out);
    expect_hex(out, 20, "0c60c80f961f0e71f3a9b524af6012062fe037a6");
    digest_pbkdf2(DIGEST_SHA1, SPAN("password"), SPAN("salt"), 4096, out);
    expect_hex(out, 20, "4b007901b765489abead49d926f721d065a429c1");
    digest_pbkdf2(DIGEST_SHA256, SPAN("passwd"), SPAN("salt"), 1, out);
    expect_hex(out, 32, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
}

/* Whatever the pieces, the key is that of one go. */
static void pbkdf2__in_pieces__same_key(void **state)
{
    static const enum digest digests[] = {DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512};
    static const uint32_t pieces[] = {1, 7, 500, UINT32_MAX};
    (void)state;
    for (size_t d = 0; d < 3; d++) {
        for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
            for (uint32_t iterations = 1; iterations <= 1002; iterations += 77) {
                uint8_t whole[DIGEST_SIZE_MAX];
                uint8_t out[DIGEST_SIZE_MAX];
                uint32_t runs = 0;
                struct digest_pbkdf2 *pbkdf2 = digest_pbkdf2_new(digests[d], SPAN("pass"), SPAN("salt"), iterations);
                assert_non_null(pbkdf2);
                while (!digest_pbkdf2_run(pbkdf2, pieces[p]))
                    runs++;
                assert_true(runs <= iterations / pieces[p]);
                digest_pbkdf2_result(pbkdf2, out);
                digest_pbkdf2_free(pbkdf2);
                digest_pbkdf2(digests[d], SPAN("pass"), SPAN("salt"), iterations, whole);
                assert_memory_equal(out, whole, digest_size(digests[d]));
            }
        }
    }
}

static void equal__differing_in_one_bit_anywhere__is_false(void **state)
{
    uint8_t a[33] = {0};
    uint8_t b[33] = {0};
    (void)state;
    assert_true(digest_equal(a, b, sizeof(a)));
    assert_true(digest_equal(a, b, 0));
    for (size_t i = 0; i < sizeof(a) * 8; i++) {
        b[i / 8] = (uint8_t)(1u << (i % 8));
        assert_false(digest_equal(a, b, sizeof(a)));
        b[i / 8] = 0;
    }
}

static void wipe__a_secret__leaves_zeroes(void **state)
{
    uint8_t secret[16] = "correct horse";
    static const uint8_t zeroes[16];
    (void)state;
    digest_wipe(secret, sizeof(secret));
    assert_memory_equal(secret, zeroes, sizeof(secret));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash__known_messages__known_digests),
        cmocka_unit_test(hmac__known_keys__known_codes),
        cmocka_unit_test(pbkdf2__known_passwords__known_keys),
        cmocka_unit_test(pbkdf2__in_pieces__same_key),
        cmocka_unit_test(equal__differing_in_one_bit_anywhere__is_false),
        cmocka_unit_test(wipe__a_secret__leaves_zeroes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
