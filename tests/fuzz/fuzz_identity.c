/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: certificates and the names in them, of any bytes. The first byte chooses what the rest is: a whole
 * certificate, the names of one, or the name constraints of its authority. What is accepted must lie in the bytes, and
 * match by no other rule than RFC 9525's, written down here once more in its plainest form.
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test.
 */
#include "tests/unit/tls/der_build.h"
#include "tls/constraints_priv.h"
#include "tls/credential_priv.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz_identity: %s\n", what);
    abort();
}

static bool is_within(struct span part, struct span whole)
{
    return part.ptr >= whole.ptr && part.ptr + part.size <= whole.ptr + whole.size;
}

/* The domain of the tests is a.b.example: which names are good for it, service s? */
static bool is_expected(const struct identifier *identifier)
{
    static const char *const plain[] = {"a.b.example", "*.b.example"};
    static const char *const service[] = {"_s.a.b.example", "_s.*.b.example"};
    const char *const *rows = identifier->kind == IDENTIFIER_SRV ? service : plain;
    for (unsigned i = 0; i < 2; i++) {
        if (identifier->name.size == strlen(rows[i]) &&
            strncasecmp(identifier->name.ptr, rows[i], identifier->name.size) == 0)
            return true;
    }
    return false;
}

static void check_names(struct span der)
{
    struct identity identity;
    if (!identity_read(der, &identity)) {
        check(identity.count == 0 && identity.identifiers == NULL, "refused, and yet there is something");
        return;
    }
    bool is_expected_here = false;
    bool has_unicode = false; /* an XmppAddr may become the domain by conversion */
    check(identity.count <= IDENTITY_COUNT_MAX, "more than the bound");
    for (uint32_t i = 0; i < identity.count; i++) {
        const struct identifier *identifier = &identity.identifiers[i];
        check(is_within(identifier->name, der), "a name outside of the certificate");
        check(memchr(identifier->name.ptr, '\0', identifier->name.size) == NULL, "a name with a NUL");
        is_expected_here = is_expected_here || is_expected(identifier);
        has_unicode = has_unicode || identifier->kind == IDENTIFIER_XMPP;
    }
    bool is_match = identity_matches(&identity, SPAN("a.b.example"), "s");
    check(!is_expected_here || is_match, "not matched by a name that is the domain's");
    check(!is_match || is_expected_here || has_unicode, "matched by a name that is not the domain's");
    check(!identity_matches(&identity, SPAN("192.0.2.1"), "s"), "matched an address");
    check(!identity_matches(&identity, SPAN(""), "s"), "matched nothing");
    check(!identity_matches(&identity, SPAN("a.b.example\0x"), "s"), "matched a domain with a NUL");
    identity_free(&identity);
}

static void check_chain(struct span der)
{
    static struct anchors none;
    struct certificate certificate;
    uint8_t hash[CERTIFICATE_HASH_MAX];
    struct credential *credential = credential_judge(&none, &der, 1, CREDENTIAL_CLIENT, 1700000000);
    check(credential == NULL || credential->verdict != CREDENTIAL_VALID, "valid without an anchor");
    credential_free(credential);
    (void)certificate_hash(der, hash);
    if (!certificate_read(der, &certificate))
        return;
    check(is_within(certificate.key, der) && is_within(certificate.signature, der), "a part outside");
    check(certificate.names.size == 0 || is_within(certificate.names, der), "names outside");
}

static void check_constraints(struct span constraints)
{
    static struct der_build names, built;
    struct certificate certificate;
    struct certificate authority = {.constraints = constraints};
    unsigned steps = 0;
    names.size = 0;
    der_build_add(&names, 0x82, SPAN("a.b.example"));
    der_build_add(&names, 0x82, SPAN("*.b.example"));
    der_build_add(&names, 0x87, SPAN("\xc0\x00\x02\x01"));
    der_build_other(&names, 7, 0x16, SPAN("_s.a.b.example"));
    der_build_other(&names, 5, 0x0c, SPAN("m\xc3\xbcller.example"));
    struct span der = der_build_certificate(&built, span_of(names.bytes, names.size));
    check(certificate_read(der, &certificate), "the certificate of the test");
    (void)constraints_allow(&authority, &certificate, &steps);
    check(steps <= CONSTRAINTS_STEPS_MAX + 1, "more steps than the bound");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct der_build built;
    if (size < 1 || size > 16384)
        return 0;
    struct span bytes = span_of(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        check_names(bytes);
        check_chain(bytes);
        break;
    case 1: {
        /* Of its exact size, so that a sanitizer sees a read beside it. */
        struct span der = der_build_certificate(&built, bytes);
        char *copy = malloc(der.size);
        memcpy(copy, der.ptr, der.size);
        check_names(span_of(copy, der.size));
        free(copy);
        break;
    }
    default:
        check_constraints(bytes);
        break;
    }
    return 0;
}
