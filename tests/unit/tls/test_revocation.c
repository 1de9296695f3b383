/* SPDX-License-Identifier: MIT */
/*
 * Answers about revocation (tests/chains/revocation.py): the exact status of each, and that no byte of one can be
 * changed into another verdict.
 */
#include "tests/chains/answers.h"

#include <openssl/ocsp.h>
#include <openssl/x509.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

static struct revocation_answer judge(const struct answers_case *one, struct span answer)
{
    return answers_judge(one, answer, answers_time());
}

static void answers__of_every_kind__have_their_status(void **state)
{
    (void)state;
    FILE *table = answers_table();
    struct answers_case row;
    unsigned count = 0, failures = 0;
    for (; answers_next(table, &row); count++) {
        struct revocation_answer answer = judge(&row, row.answer);
        if (answer.status != row.expected) {
            print_error("%s: expected %s, found %s\n", row.name, revocation_text(row.expected),
                        revocation_text(answer.status));
            failures++;
        }
        if (answer.status == REVOCATION_GOOD || answer.status == REVOCATION_REVOKED)
            assert_true(answer.this_update > 0 && answer.next_update > answer.this_update);
        if (answer.status == REVOCATION_REVOKED)
            assert_true(answer.revoked_at > 0);
        answers_case_free(&row);
    }
    fclose(table);
    assert_int_equal(failures, 0);
    assert_in_range(count, 90, 1000);
}

static void reason__of_the_revoked__is_told(void **state)
{
    (void)state;
    FILE *table = answers_table();
    struct answers_case row;
    unsigned reasons = 0;
    while (answers_next(table, &row)) {
        if (strstr(row.name, "revoked_reason") != NULL) {
            assert_int_equal(judge(&row, row.answer).reason, 1); /* keyCompromise */
            reasons++;
        }
        answers_case_free(&row);
    }
    fclose(table);
    assert_int_equal(reasons, 2);
}

/* Every cut and every turned bit of a valid answer: it must not become one that is taken for an answer with another
 * verdict, and nothing outside of the bytes is read (a copy of exactly their size). Bits that no rule covers, such as
 * those of the certificates beside the signed part that are not needed, may leave it as it is. */
static void sweep(const struct answers_case *row)
{
    struct revocation_answer whole = judge(row, row->answer);
    for (size_t i = 0; i < row->answer.size; i++) {
        char *cut = malloc(i + 1);
        memcpy(cut, row->answer.ptr, i);
        assert_int_equal(judge(row, span_of(cut, i)).status, REVOCATION_MALFORMED);
        free(cut);
        char *turned = malloc(row->answer.size);
        memcpy(turned, row->answer.ptr, row->answer.size);
        turned[i] = (char)(turned[i] ^ (1 << (i % 8)));
        struct revocation_answer changed = judge(row, span_of(turned, row->answer.size));
        if (changed.status <= REVOCATION_REVOKED)
            assert_int_equal(changed.status, whole.status);
        free(turned);
    }
}

static void answers__cut_or_turned__do_not_change_sides(void **state)
{
    (void)state;
    static const char *const swept[] = {"ocsp_good", "ocsp_revoked_reason", "ocsp_good_delegate", "crl_revoked_reason",
                                        "crl_good_point"};
    FILE *table = answers_table();
    struct answers_case row;
    unsigned count = 0;
    while (answers_next(table, &row)) {
        for (size_t i = 0; i < sizeof(swept) / sizeof(swept[0]); i++) {
            if (strcmp(row.name, swept[i]) == 0) {
                sweep(&row);
                count++;
            }
        }
        answers_case_free(&row);
    }
    fclose(table);
    assert_int_equal(count, sizeof(swept) / sizeof(swept[0]));
}

/* The question is byte for byte that of an independent implementation. */
static void request__of_a_certificate__is_what_openssl_asks(void **state)
{
    (void)state;
    struct span certificate = answers_read("ocsp_good.leaf"), issuer = answers_read("ocsp_good.issuer");
    uint8_t ours[OCSP_REQUEST_MAX], *theirs = NULL;
    const unsigned char *at = (const unsigned char *)certificate.ptr;
    X509 *subject = d2i_X509(NULL, &at, (long)certificate.size);
    at = (const unsigned char *)issuer.ptr;
    X509 *by = d2i_X509(NULL, &at, (long)issuer.size);
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    assert_non_null(OCSP_request_add0_id(request, OCSP_cert_to_id(EVP_sha1(), subject, by)));
    int size = i2d_OCSP_REQUEST(request, &theirs);
    assert_int_equal(ocsp_request(certificate, issuer, ours), size);
    assert_memory_equal(ours, theirs, (size_t)size);
    assert_int_equal(ocsp_request(SPAN("0"), issuer, ours), 0);
    assert_int_equal(ocsp_request(certificate, certificate, ours), 0); /* not its issuer */
    OPENSSL_free(theirs);
    OCSP_REQUEST_free(request);
    X509_free(subject);
    X509_free(by);
    span_free(&certificate);
    span_free(&issuer);
}

static void sources__of_certificates__are_their_addresses(void **state)
{
    (void)state;
    struct revocation_sources sources;
    struct span plain = answers_read("ocsp_good.leaf"), full = answers_read("sources.leaf");
    assert_true(revocation_sources(plain, &sources));
    assert_int_equal(sources.ocsp_count + sources.crl_count, 0);
    assert_false(sources.must_staple);
    assert_true(revocation_sources(full, &sources));
    assert_true(sources.must_staple);
    /* ldap, and a list for some reasons only, are passed over; four of five. */
    assert_int_equal(sources.ocsp_count, 2);
    assert_true(span_is(sources.ocsp[0], "http://ocsp.example/1"));
    assert_true(span_is(sources.ocsp[1], "http://ocsp.example/2"));
    assert_int_equal(sources.crl_count, REVOCATION_SOURCES_MAX);
    assert_true(span_is(sources.crl[0], "http://crl.example/0"));
    assert_true(span_is(sources.crl[3], "http://crl.example/3"));
    assert_false(revocation_sources(SPAN("0"), &sources));
    span_free(&plain);
    span_free(&full);
}

/* A NUL would make another address of it wherever it becomes a C string, a line end another request or line of the log.
 */
static void sources__with_what_no_address_has__are_passed_over(void **state)
{
    (void)state;
    static const char wrong[] = {'\0', '\n', '\r', ' ', '\t', '\x7f', '\x80', '\xff'};
    struct revocation_sources sources;
    struct span full = answers_read("sources.leaf");
    char *address = memmem(full.ptr, full.size, "http://ocsp.example/1", 21);
    assert_non_null(address);
    for (size_t i = 0; i < sizeof wrong; i++) {
        address[11] = wrong[i];
        assert_true(revocation_sources(full, &sources));
        assert_int_equal(sources.ocsp_count, 1);
        assert_true(span_is(sources.ocsp[0], "http://ocsp.example/2"));
    }
    memcpy(address, "HTTP://ocsp", 11);
    assert_true(revocation_sources(full, &sources));
    assert_int_equal(sources.ocsp_count, 1); /* the last wrong one is in it still */
    address[11] = '.';
    assert_true(revocation_sources(full, &sources));
    assert_true(span_is(sources.ocsp[0], "HTTP://ocsp.example/1"));
    span_free(&full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers__of_every_kind__have_their_status),
        cmocka_unit_test(reason__of_the_revoked__is_told),
        cmocka_unit_test(answers__cut_or_turned__do_not_change_sides),
        cmocka_unit_test(request__of_a_certificate__is_what_openssl_asks),
        cmocka_unit_test(sources__of_certificates__are_their_addresses),
        cmocka_unit_test(sources__with_what_no_address_has__are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
