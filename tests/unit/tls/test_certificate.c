/* SPDX-License-Identifier: MIT */
#include "pair.h"
#include "tls/certificate_priv.h"
#include "tls/identity.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <setjmp.h>

#include <cmocka.h>

static struct span read_file(const char *name)
{
    FILE *file = fopen(cert_path(name), "rb");
    char *bytes = malloc(8192);
    assert_non_null(file);
    size_t size = fread(bytes, 1, 8192, file);
    fclose(file);
    return span_of(realloc(bytes, size), size);
}

static void release(struct span bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

/* The expected hashes come from the openssl command. */
static void hash__by_signature_algorithm__is_the_end_point(void **state)
{
    static const struct {
        const char *certificate;
        const char *hash; /* NULL: none */
    } rows[] = {
        {"a.der", "a.sha256"},     /* ECDSA, SHA-256 */
        {"b.der", "b.sha384"},     /* ECDSA, SHA-384 */
        {"c.der", "c.sha512"},     /* ECDSA, SHA-512 */
        {"pss.der", "pss.sha384"}, /* RSASSA-PSS, SHA-384 */
        {"sha1.der", "sha1.sha256"}, {"ed.der", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span der = read_file(rows[i].certificate);
        uint8_t out[CERTIFICATE_HASH_MAX];
        size_t size = certificate_hash(der, out);
        if (rows[i].hash == NULL) {
            assert_int_equal(size, 0);
        } else {
            struct span expected = read_file(rows[i].hash);
            assert_true(span_equal(span_of(out, size), expected));
            release(expected);
        }
        release(der);
    }
}

static void times__of_a_fresh_certificate__are_now_and_later(void **state)
{
    struct span der = read_file("a.der");
    struct span old = read_file("old.der");
    struct certificate certificate;
    int64_t now = time(NULL);
    (void)state;
    assert_true(certificate_read(der, &certificate));
    assert_in_range(now - certificate.not_before, 0, 30 * 86400);
    assert_int_equal(certificate.not_after - certificate.not_before, 3650LL * 86400);
    assert_true(certificate_read(old, &certificate));
    assert_int_equal(certificate.not_after - certificate.not_before, -86400);
    release(der);
    release(old);
}

/* Cut at every byte and changed at every byte: no fact may come from outside of the bytes. */
static void facts__of_broken_certificates__stay_within(void **state)
{
    struct span der = read_file("wild.der");
    (void)state;
    for (size_t i = 0; i < der.size; i++) {
        uint8_t out[CERTIFICATE_HASH_MAX];
        struct certificate certificate;
        struct identity identity;
        char *copy = malloc(i + 1);
        memcpy(copy, der.ptr, i);
        assert_false(certificate_read(span_of(copy, i), &certificate));
        assert_int_equal(certificate_hash(span_of(copy, i), out), 0);
        assert_false(identity_read(span_of(copy, i), &identity));
        free(copy);
        for (unsigned bit = 0; bit < 8; bit++) {
            copy = malloc(der.size);
            memcpy(copy, der.ptr, der.size);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            (void)certificate_read(span_of(copy, der.size), &certificate);
            (void)certificate_hash(span_of(copy, der.size), out);
            (void)identity_read(span_of(copy, der.size), &identity);
            (void)identity_matches(&identity, SPAN("x.wild.example"), "xmpp-server");
            identity_free(&identity);
            free(copy);
        }
    }
    release(der);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash__by_signature_algorithm__is_the_end_point),
        cmocka_unit_test(times__of_a_fresh_certificate__are_now_and_later),
        cmocka_unit_test(facts__of_broken_certificates__stay_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
