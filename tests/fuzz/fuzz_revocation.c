/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: answers about revocation, OCSP's and CRLs, and the certificates that say where to ask. Its world are the
 * answers of tests/chains/revocation.py, each signed by somebody: what no key has signed must never count. So whenever
 * GOOD or REVOKED is judged, what one of those keys signed stands in the bytes unaltered, says just that of just this
 * certificate, and is fresh.
 *
 *   octet 0   what is done: MODE_*, WALK_*
 *         1   whose certificate and issuer
 *         2   whose answer
 *         3   the hour that it is, from when the answers were made
 *   and then  a program of der_edit.h, or raw bytes
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test. SL_TEST_ANSWERS
 * is the folder of the answers.
 */
#include "tests/chains/answers.h"
#include "tests/fuzz/der_edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define CASES_MAX 160u
#define HOUR_S    3600

enum {
    MODE_RAW = 1,         /* the rest is the answer */
    MODE_CERTIFICATE = 2, /* the certificate is edited, */
    MODE_ISSUER = 4,      /* or its issuer, not the answer */
    /* And, of four octets alone, for they take long: */
    WALK_ALL = 8,   /* nothing is edited: each case has its own status */
    WALK_BYTES = 16 /* one bit after the other is turned, and the answer cut there */
};

struct world_case {
    struct answers_case given;
    bool is_about_it; /* what was signed is about the case's certificate, and by who may say so */
    struct span signed_part;
    struct span serial; /* of the certificate, as an INTEGER */
};

static struct world_case cases[CASES_MAX];
static unsigned case_count;
static int64_t made;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_right, const char *what, const struct world_case *one)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz_revocation: %s (%s)\n", what, one ? one->given.name : "");
    abort();
}

/* ---- the world --------------------------------------------------------------------------------------------------- */

/* Those that an edit can put right: a bit was turned, a byte is missing or one too many, the kind is another one, or
 * its delegate stands behind four others. */
static bool is_reparable(const char *name)
{
    static const char *const names[] = {
        "ocsp_forged", "ocsp_cut",     "ocsp_trailing",       "ocsp_another_kind",   "crl_forged",
        "crl_cut",     "crl_trailing", "ocsp_delegate_fifth", "ocsp_weak_signature", "crl_point_unasked"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void load_case(struct world_case *one)
{
    enum revocation_status expected = one->given.expected;
    bool is_crl = one->given.is_crl;
    const char *name = one->given.name;
    one->is_about_it = expected == REVOCATION_GOOD || expected == REVOCATION_REVOKED || expected == REVOCATION_STALE ||
                       expected == REVOCATION_EARLY || is_reparable(name);
    /* CertificateList.tbsCertList; OCSPResponse.responseBytes.response.tbsResponseData. A byte more at the end, or
     * less, does not matter so far inside, but the outermost length has to hold: what is cut is found without it. */
    struct span whole = one->given.answer;
    bool is_cut = strstr(name, "_cut") != NULL;
    if (is_cut) {
        char *longer = malloc(whole.size + 1);
        check(longer != NULL, "no memory", one);
        memcpy(longer, whole.ptr, whole.size);
        longer[whole.size] = 0;
        whole = span_of(longer, whole.size + 1);
    }
    one->signed_part = der_edit_find(whole, is_crl ? "00" : "010100");
    one->serial = der_edit_find(one->given.certificate, "001");
    check(one->serial.size > 2, "a certificate without a serial number", one);
}

static void load_world(void)
{
    struct answers_case given;
    FILE *table = answers_table();
    made = answers_time();
    while (answers_next(table, &given)) {
        check(case_count < CASES_MAX, "more cases than there is room", NULL);
        cases[case_count].given = given;
        load_case(&cases[case_count++]);
    }
    fclose(table);
    check(case_count > 50, "too few cases", NULL);
}

/* ---- what may be judged ------------------------------------------------------------------------------------------ */

/* Is the list for this certificate? One of a distribution point is for those that name it. */
static bool is_listed_there(const struct world_case *list, const struct world_case *subject)
{
    bool has_point = der_edit_holds(list->signed_part, SPAN("http://crl.example/1"));
    return !has_point || der_edit_holds(subject->given.certificate, SPAN("http://crl.example/1"));
}

/* An entry is the serial number and then the time (UTCTime, 13 octets): a short number alone may stand in a long one.
 */
static bool has_entry(const struct world_case *list, struct span serial)
{
    char entry[32];
    check(serial.size + 2 <= sizeof entry, "a serial number beyond its bound", list);
    memcpy(entry, serial.ptr, serial.size);
    memcpy(entry + serial.size, "\x17\x0d", 2);
    return der_edit_holds(list->signed_part, span_of(entry, serial.size + 2));
}

/* What was signed says this of the certificate. */
static bool says(const struct world_case *one, const struct world_case *subject, enum revocation_status status)
{
    if (!one->is_about_it || !span_equal(one->given.issuer, subject->given.issuer))
        return false;
    if (one->given.is_crl)
        return is_listed_there(one, subject) && has_entry(one, subject->serial) == (status == REVOCATION_REVOKED);
    bool is_revoked = strstr(one->given.name, "revoked") || strstr(one->given.name, "hold");
    return span_equal(one->given.certificate, subject->given.certificate) &&
           is_revoked == (status == REVOCATION_REVOKED);
}

static void check_answer(const struct world_case *subject, bool is_crl, struct span bytes, int64_t now, bool is_edited)
{
    const struct revocation_answer answer =
        (is_crl ? crl_judge : ocsp_judge)(bytes, subject->given.certificate, subject->given.issuer, now);
    check(answer.status < REVOCATION_SILENCE, "a status that is no judge's", subject);
    if (answer.status != REVOCATION_GOOD && answer.status != REVOCATION_REVOKED)
        return;
    if (answer.status == REVOCATION_GOOD || answer.reason == 6)
        check(answer.this_update - REVOCATION_SKEW_S <= now && now <= answer.next_update, "not fresh", subject);
    check(answer.this_update - REVOCATION_SKEW_S <= now, "from the future", subject);
    for (unsigned i = 0; i < case_count; i++) {
        const struct world_case *one = &cases[i];
        if (one->given.is_crl != is_crl || !one->signed_part.size || !der_edit_holds(bytes, one->signed_part))
            continue;
        if (is_edited || says(one, subject, answer.status))
            return;
    }
    check(false, answer.status == REVOCATION_GOOD ? "good, and nobody said so" : "revoked, and nobody said so",
          subject);
}

static bool is_within(struct span part, struct span whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.size <= whole.ptr + whole.size;
}

static void check_addresses(const struct span *addresses, unsigned count, struct span certificate)
{
    check(count <= REVOCATION_SOURCES_MAX, "more sources than the bound", NULL);
    for (unsigned i = 0; i < count; i++) {
        check(is_within(addresses[i], certificate), "a source outside of the certificate", NULL);
        check(addresses[i].size >= 7 && strncasecmp(addresses[i].ptr, "http://", 7) == 0, "a source of another kind",
              NULL);
        for (size_t at = 0; at < addresses[i].size; at++)
            check(addresses[i].ptr[at] > ' ' && addresses[i].ptr[at] < 0x7f, "a source that is no URL", NULL);
    }
}

static void check_sources(struct span certificate, struct span issuer)
{
    struct revocation_sources sources;
    uint8_t request[OCSP_REQUEST_MAX];
    check(ocsp_request(certificate, issuer, request) <= sizeof request, "a request beyond its bound", NULL);
    struct span serial = revocation_serial(certificate);
    check(serial.size == 0 || is_within(serial, certificate), "a serial number outside", NULL);
    if (!revocation_sources(certificate, &sources))
        return;
    check_addresses(sources.ocsp, sources.ocsp_count, certificate);
    check_addresses(sources.crl, sources.crl_count, certificate);
}

/* ---- modes ------------------------------------------------------------------------------------------------------- */

static void check_all(void)
{
    for (unsigned i = 0; i < case_count; i++) {
        const struct world_case *one = &cases[i];
        struct revocation_answer answer = answers_judge(&one->given, one->given.answer, made);
        check(answer.status == one->given.expected, "another status than its own", one);
        for (unsigned k = 0; k < case_count; k++)
            check_answer(&cases[k], one->given.is_crl, one->given.answer, made, false);
        check_sources(one->given.certificate, one->given.issuer);
    }
}

/* Turned and cut at every so many bytes. */
static void check_each_byte(const struct world_case *subject, const struct world_case *one, unsigned begin)
{
    struct span copy = der_edit(one->given.answer, SPAN(""), SPAN(""));
    char *bytes = (char *)(uintptr_t)copy.ptr;
    for (size_t i = begin % 16; i < copy.size; i += 16) {
        char was = bytes[i];
        bytes[i] = (char)(was ^ (1 << begin / 16 % 8));
        check_answer(subject, one->given.is_crl, copy, made, false);
        bytes[i] = was;
        struct span cut = der_edit(span_of(bytes, i), SPAN(""), SPAN(""));
        check_answer(subject, one->given.is_crl, cut, made, false);
        free((void *)(uintptr_t)cut.ptr);
    }
    free(bytes);
}

static void check_edited(const struct world_case *subject, const struct world_case *one, unsigned mode,
                         struct span program, int64_t now)
{
    struct world_case edited = *subject;
    struct span whole;
    if (mode & (MODE_CERTIFICATE | MODE_ISSUER)) {
        struct span *part = mode & MODE_CERTIFICATE ? &edited.given.certificate : &edited.given.issuer;
        struct span other = mode & MODE_CERTIFICATE ? one->given.certificate : one->given.issuer;
        *part = whole = mode & MODE_RAW ? der_edit(program, SPAN(""), SPAN("")) : der_edit(*part, other, program);
        check_answer(&edited, one->given.is_crl, one->given.answer, now, true);
        check_sources(edited.given.certificate, edited.given.issuer);
    } else {
        whole = mode & MODE_RAW ? der_edit(program, SPAN(""), SPAN(""))
                                : der_edit(one->given.answer, subject->given.answer, program);
        check_answer(subject, one->given.is_crl, whole, now, false);
    }
    free((void *)(uintptr_t)whole.ptr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!case_count)
        load_world();
    if (size < 4)
        return 0;
    const struct world_case *subject = &cases[data[1] % case_count], *one = &cases[data[2] % case_count];
    if (size == 4 && data[0] == WALK_ALL)
        check_all();
    else if (size == 4 && data[0] == WALK_BYTES)
        check_each_byte(subject, one, data[3]);
    else
        check_edited(subject, one, data[0], span_of(data + 4, size - 4), made + (int8_t)data[3] * HOUR_S);
    return 0;
}
