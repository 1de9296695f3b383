/* SPDX-License-Identifier: MIT */
#include "der_build.h"
#include "tls/identity.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

enum form { DNS, SRV, XMPP, IP, MAIL, URI, UTF8_SRV, IA5_XMPP };

static void add_name(struct der_build *out, enum form form, struct span value)
{
    switch (form) {
    case DNS:
        der_build_add(out, 0x82, value);
        break;
    case SRV:
        der_build_other(out, 7, 0x16, value);
        break;
    case XMPP:
        der_build_other(out, 5, 0x0c, value);
        break;
    case IP:
        der_build_add(out, 0x87, value);
        break;
    case MAIL:
        der_build_add(out, 0x81, value);
        break;
    case URI:
        der_build_add(out, 0x86, value);
        break;
    case UTF8_SRV:
        der_build_other(out, 7, 0x0c, value);
        break;
    case IA5_XMPP:
        der_build_other(out, 5, 0x16, value);
        break;
    }
}

struct row {
    enum form form;
    struct span value;
    const char *domain;
    bool is_match;
};

static bool is_matched(enum form form, struct span value, struct span domain)
{
    static struct der_build names, certificate;
    struct identity identity;
    names.size = 0;
    add_name(&names, form, value);
    struct span der = der_build_certificate(&certificate, span_of(names.bytes, names.size));
    assert_true(identity_read(der, &identity));
    bool is_match = identity_matches(&identity, domain, "xmpp-server");
    identity_free(&identity);
    return is_match;
}

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_matched(rows[i].form, rows[i].value, span_str(rows[i].domain)) != rows[i].is_match)
            fail_msg("row %zu: \"%.*s\" for \"%s\"", i, SPAN_ARG(rows[i].value), rows[i].domain);
    }
}

#define ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

/* Holds 6120:13.7.1.2.1/1. */
static void dns__equal_or_not__matches(void **state)
{
    const struct row rows[] = {
        {DNS, SPAN("a.example"), "a.example", true},
        {DNS, SPAN("A.Example"), "a.example", true},
        {DNS, SPAN("a.example"), "A.EXAMPLE", true},
        {DNS, SPAN("a.example"), "a.example.", true}, /* the root's dot of a domainpart */
        {DNS, SPAN("a.example."), "a.example", false},
        {DNS, SPAN("a.example."), "a.example.", false},
        {DNS, SPAN("a.example"), "b.example", false},
        {DNS, SPAN("a.example"), "x.a.example", false},
        {DNS, SPAN("x.a.example"), "a.example", false},
        {DNS, SPAN("a.example"), "a.exampl", false},
        {DNS, SPAN("a.exampl"), "a.example", false},
        {DNS, SPAN("localhost"), "localhost", true},
        {DNS, SPAN("a_b.example"), "a_b.example", true},
        {DNS, SPAN("_xmpp-server.a.example"), "a.example", false}, /* that would be an SRV-ID */
        {DNS, SPAN("a.example"), "", false},
        {DNS, SPAN("a.example"), ".", false},
        {DNS, SPAN("a.example"), "a..example", false},
        {DNS, SPAN("a.example"), ".a.example", false},
    };
    (void)state;
    ROWS(rows);
}

static void dns__that_is_no_domain_name__is_ignored(void **state)
{
    const struct row rows[] = {
        {DNS, SPAN(""), "a.example", false},
        {DNS, SPAN("."), "a.example", false},
        {DNS, SPAN("a.example\0.evil.example"), "a.example", false},
        {DNS, SPAN("a.example\0"), "a.example", false},
        {DNS, SPAN("\0"), "a.example", false},
        {DNS, SPAN("a..example"), "a.example", false},
        {DNS, SPAN("a.example "), "a.example", false},
        {DNS, SPAN(" a.example"), "a.example", false},
        {DNS, SPAN("a.example\n"), "a.example", false},
        {DNS, SPAN("m\xc3\xbcller.example"), "m\xc3\xbcller.example", false}, /* UTF-8 in an IA5String */
        {DNS, SPAN("m\xfcller.example"), "m\xc3\xbcller.example", false},     /* Latin 1 */
        {DNS, SPAN("user@a.example"), "a.example", false},
        {DNS, SPAN("https://a.example"), "a.example", false},
        {DNS, SPAN("192.0.2.1"), "192.0.2.1", false},
        {DNS, SPAN("[2001:db8::1]"), "[2001:db8::1]", false},
    };
    (void)state;
    ROWS(rows);
}

static void dns__too_long__is_ignored(void **state)
{
    char name[300];
    (void)state;
    /* Labels of 63: three of them and one of 61 make 253 bytes. */
    memset(name, 'a', sizeof(name));
    for (size_t i = 63; i < sizeof(name); i += 64)
        name[i] = '.';
    assert_true(is_matched(DNS, span_of(name, 253), span_of(name, 253)));
    assert_false(is_matched(DNS, span_of(name, 254), span_of(name, 254)));
    memset(name, 'a', sizeof(name));
    memcpy(name + 64, ".example", 8);
    assert_false(is_matched(DNS, span_of(name, 72), span_of(name, 72)));
    assert_true(is_matched(DNS, span_of(name + 1, 71), span_of(name + 1, 71)));
}

/* Holds 6120:13.7.1.2.1/1. */
static void wildcard__only_as_the_whole_first_label__matches_one_label(void **state)
{
    const struct row rows[] = {
        {DNS, SPAN("*.a.example"), "x.a.example", true},
        {DNS, SPAN("*.A.example"), "X.a.EXAMPLE", true},
        {DNS, SPAN("*.a.example"), "xn--mller-kva.a.example", true},
        {DNS, SPAN("*.a.example"), "m\xc3\xbcller.a.example", true},
        {DNS, SPAN("*.a.example"), "a.example", false},
        {DNS, SPAN("*.a.example"), "y.x.a.example", false},
        {DNS, SPAN("*.a.example"), ".a.example", false},
        {DNS, SPAN("*.a.example"), "*.a.example", false},
        {DNS, SPAN("*.example"), "a.example", false}, /* a whole top-level domain */
        {DNS, SPAN("*."), "a", false},
        {DNS, SPAN("*"), "example", false},
        {DNS, SPAN("x*.a.example"), "xy.a.example", false},
        {DNS, SPAN("*x.a.example"), "yx.a.example", false},
        {DNS, SPAN("x*y.a.example"), "xzy.a.example", false},
        {DNS, SPAN("x.*.example"), "x.a.example", false},
        {DNS, SPAN("x.a.*"), "x.a.example", false},
        {DNS, SPAN("*.*.example"), "x.a.example", false},
        {DNS, SPAN("**.a.example"), "x.a.example", false},
        {DNS, SPAN("xn--*.a.example"), "xn--mller-kva.a.example", false},
        {DNS, SPAN("*.0.2.1"), "192.0.2.1", false},
    };
    (void)state;
    ROWS(rows);
}

static void idn__in_either_form__is_compared_in_a_labels(void **state)
{
    const struct row rows[] = {
        {DNS, SPAN("xn--mller-kva.example"), "m\xc3\xbcller.example", true},
        {DNS, SPAN("XN--MLLER-KVA.example"), "m\xc3\xbcller.example", true},
        {DNS, SPAN("xn--mller-kva.example"), "xn--mller-kva.example", true},
        {DNS, SPAN("xn--mller-kva.example"), "muller.example", false},
        {DNS, SPAN("xn--strae-oqa.example"),
         "stra\xc3\x9f"
         "e.example",
         true}, /* IDNA2008: sharp s is a letter of its own */
        {DNS, SPAN("strasse.example"),
         "stra\xc3\x9f"
         "e.example",
         false},
        {SRV, SPAN("_xmpp-server.xn--mller-kva.example"), "m\xc3\xbcller.example", true},
        {XMPP, SPAN("m\xc3\xbcller.example"), "m\xc3\xbcller.example", true},
        {XMPP, SPAN("m\xc3\xbcller.example"), "xn--mller-kva.example", true},
        {XMPP, SPAN("xn--mller-kva.example"), "m\xc3\xbcller.example", true},
        {XMPP, SPAN("mu\xcc\x88ller.example"), "m\xc3\xbcller.example", true}, /* not composed */
        {XMPP, SPAN("m\xfcller.example"), "m\xc3\xbcller.example", false},     /* no UTF-8 */
    };
    (void)state;
    ROWS(rows);
}

/* Holds 6120:13.7.1.2.1/3. */
static void srv__of_the_service__matches(void **state)
{
    const struct row rows[] = {
        {SRV, SPAN("_xmpp-server.a.example"), "a.example", true},
        {SRV, SPAN("_XMPP-Server.A.example"), "a.example", true},
        {SRV, SPAN("_xmpp-server.*.a.example"), "x.a.example", true},
        {SRV, SPAN("_xmpp-server.*.a.example"), "a.example", false},
        {SRV, SPAN("_xmpp-server.*.example"), "a.example", false},
        {SRV, SPAN("_xmpp-client.a.example"), "a.example", false},
        {SRV, SPAN("_xmpp-server._tcp.a.example"), "a.example", false},
        {SRV, SPAN("xmpp-server.a.example"), "a.example", false},
        {SRV, SPAN("_xmpp-server."), "a.example", false},
        {SRV, SPAN("_xmpp-server"), "a.example", false},
        {SRV, SPAN("_.a.example"), "a.example", false},
        {SRV, SPAN("*.a.example"), "x.a.example", false},
        {SRV, SPAN("a.example"), "a.example", false},
        {SRV, SPAN(""), "a.example", false},
        {SRV, SPAN("_xmpp-server.a.example."), "a.example", false},
        {SRV, SPAN("_xmpp-server.a.example\0"), "a.example", false},
        {UTF8_SRV, SPAN("_xmpp-server.a.example"), "a.example", false}, /* of the wrong type */
    };
    (void)state;
    ROWS(rows);
}

/* Holds 6120:13.7.1.4/1. */
static void xmpp_addr__of_a_domain__matches(void **state)
{
    const struct row rows[] = {
        {XMPP, SPAN("a.example"), "a.example", true},       {XMPP, SPAN("A.Example"), "a.example", true},
        {XMPP, SPAN("user@a.example"), "a.example", false}, {XMPP, SPAN("a.example/x"), "a.example", false},
        {XMPP, SPAN("@a.example"), "a.example", false},     {XMPP, SPAN("*.a.example"), "x.a.example", false},
        {XMPP, SPAN("a.example\0x"), "a.example", false},   {XMPP, SPAN(""), "a.example", false},
        {XMPP, SPAN("192.0.2.1"), "192.0.2.1", false},      {IA5_XMPP, SPAN("a.example"), "a.example", false},
    };
    (void)state;
    ROWS(rows);
}

static void other_names__of_any_content__identify_nothing(void **state)
{
    const struct row rows[] = {
        {IP, SPAN("\xc0\x00\x02\x01"), "192.0.2.1", false}, {IP, SPAN("192.0.2.1"), "192.0.2.1", false},
        {MAIL, SPAN("a.example"), "a.example", false},      {MAIL, SPAN("x@a.example"), "a.example", false},
        {URI, SPAN("xmpp:a.example"), "a.example", false},  {URI, SPAN("a.example"), "a.example", false},
    };
    (void)state;
    ROWS(rows);
}

/* Holds 6120:13.7.1.2.1/3. */
static void names__several_with_bad_ones_between__match_by_the_good_ones(void **state)
{
    static struct der_build names, certificate;
    struct identity identity;
    (void)state;
    names.size = 0;
    add_name(&names, DNS, SPAN("bad name"));
    add_name(&names, DNS, SPAN("a.example"));
    add_name(&names, IP, SPAN("\x7f\x00\x00\x01"));
    add_name(&names, SRV, SPAN("_xmpp-client.b.example"));
    add_name(&names, SRV, SPAN("_xmpp-server.c.example"));
    add_name(&names, XMPP, SPAN("d.example"));
    assert_true(identity_read(der_build_certificate(&certificate, span_of(names.bytes, names.size)), &identity));
    assert_int_equal(identity.count, 4);
    assert_true(identity_matches(&identity, SPAN("a.example"), "xmpp-server"));
    assert_true(identity_matches(&identity, SPAN("a.example"), "xmpp-client"));
    assert_false(identity_matches(&identity, SPAN("b.example"), "xmpp-server"));
    assert_true(identity_matches(&identity, SPAN("b.example"), "xmpp-client"));
    assert_true(identity_matches(&identity, SPAN("c.example"), "xmpp-server"));
    assert_false(identity_matches(&identity, SPAN("c.example"), "xmpp-client"));
    assert_true(identity_matches(&identity, SPAN("d.example"), "xmpp-server"));
    assert_false(identity_matches(&identity, SPAN("e.example"), "xmpp-server"));
    identity_free(&identity);
}

/* Addresses of people are read, and are never a domain's. */
static void addresses__of_people__are_told_apart(void **state)
{
    static const struct {
        enum form form;
        struct span value;
        bool is_read;
        enum identifier_kind kind;
    } rows[] = {
        {XMPP, {"a@b.example", 11}, true, IDENTIFIER_ACCOUNT},
        {XMPP, {"a@b@c", 5}, true, IDENTIFIER_ACCOUNT},
        {XMPP, {"\xc3\xa4@b.example", 12}, true, IDENTIFIER_ACCOUNT},
        {XMPP, {"b.example", 9}, true, IDENTIFIER_XMPP},
        {XMPP, {"a@b.example/x", 13}, false, IDENTIFIER_ACCOUNT},
        {XMPP, {"a@b\0.example", 12}, false, IDENTIFIER_ACCOUNT},
        {XMPP, {"@b.example", 10}, false, IDENTIFIER_ACCOUNT},
        {XMPP, {"a@", 2}, false, IDENTIFIER_ACCOUNT},
        {IA5_XMPP, {"a@b.example", 11}, false, IDENTIFIER_ACCOUNT},
        {MAIL, {"a@b.example", 11}, true, IDENTIFIER_MAIL},
        {MAIL, {"b.example", 9}, false, IDENTIFIER_MAIL},
        {MAIL, {"a b@b.example", 13}, false, IDENTIFIER_MAIL},
        {MAIL, {"\xc3\xa4@b.example", 12}, false, IDENTIFIER_MAIL},
        {MAIL, {"a@b\0", 4}, false, IDENTIFIER_MAIL},
        {MAIL, {"", 0}, false, IDENTIFIER_MAIL},
        {URI, {"xmpp:a@b.example", 16}, false, IDENTIFIER_ACCOUNT},
    };
    static struct der_build names, certificate;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct identity identity;
        names.size = 0;
        add_name(&names, rows[i].form, rows[i].value);
        assert_true(identity_read(der_build_certificate(&certificate, span_of(names.bytes, names.size)), &identity));
        if (identity.count != rows[i].is_read)
            fail_msg("row %zu: %u names", i, identity.count);
        if (rows[i].is_read) {
            assert_int_equal(identity.identifiers[0].kind, rows[i].kind);
            assert_true(span_equal(identity.identifiers[0].name, rows[i].value));
        }
        bool is_domain = rows[i].is_read && rows[i].kind == IDENTIFIER_XMPP;
        bool is_there = rows[i].is_read && !is_domain && rows[i].value.size > 5;
        assert_int_equal(identity_matches(&identity, SPAN("b.example"), "xmpp-server"), is_domain);
        assert_int_equal(identity_has_person_at(&identity, SPAN("B.example")), is_there);
        assert_false(identity_has_person_at(&identity, SPAN("example")));
        identity_free(&identity);
    }
}

static void names__as_many_as_the_bound_and_one_more__are_read_and_refused(void **state)
{
    static struct der_build names, certificate;
    struct identity identity;
    char name[32];
    (void)state;
    names.size = 0;
    for (unsigned i = 0; i <= IDENTITY_COUNT_MAX; i++) {
        if (i == IDENTITY_COUNT_MAX) {
            assert_true(
                identity_read(der_build_certificate(&certificate, span_of(names.bytes, names.size)), &identity));
            assert_int_equal(identity.count, IDENTITY_COUNT_MAX);
            assert_true(identity_matches(&identity, SPAN("n511.a.example"), "xmpp-server"));
            identity_free(&identity);
        }
        snprintf(name, sizeof(name), "n%u.a.example", i);
        add_name(&names, DNS, span_str(name));
    }
    assert_false(identity_read(der_build_certificate(&certificate, span_of(names.bytes, names.size)), &identity));
    assert_int_equal(identity.count, 0);
    assert_false(identity_matches(&identity, SPAN("n1.a.example"), "xmpp-server"));
}

static void names__none_or_broken__identify_nothing(void **state)
{
    static struct der_build certificate;
    struct identity identity;
    static const struct span broken[] = {
        {"\x82\x09"
         "a.exampl",
         10}, /* shorter than it says */
        {"\x82\x81\x09"
         "a.example",
         12}, /* a length in more octets than it needs */
        {"\x82\x80"
         "a.example\0\0",
         13}, /* an indefinite one */
        {"\x89\x09"
         "a.example",
         11},                        /* a name of no kind */
        {"\xa0\x03\x06\x01\x2b", 5}, /* an otherName without a value */
        {"\x82\x09"
         "a.example"
         "\x82",
         12},                    /* a name cut off behind a good one */
        {"\xa4\x02\x31\x00", 4}, /* a directory name that is none */
    };
    (void)state;
    assert_true(identity_read(der_build_certificate(&certificate, SPAN_NONE), &identity));
    assert_int_equal(identity.count, 0);
    assert_false(identity_matches(&identity, SPAN("a.example"), "xmpp-server"));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        assert_false(identity_read(der_build_certificate(&certificate, broken[i]), &identity));
        assert_int_equal(identity.count, 0);
    }
    assert_false(identity_read(SPAN(""), &identity));
    assert_false(identity_read(SPAN("\x30\x00"), &identity));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dns__equal_or_not__matches),
        cmocka_unit_test(dns__that_is_no_domain_name__is_ignored),
        cmocka_unit_test(dns__too_long__is_ignored),
        cmocka_unit_test(wildcard__only_as_the_whole_first_label__matches_one_label),
        cmocka_unit_test(idn__in_either_form__is_compared_in_a_labels),
        cmocka_unit_test(srv__of_the_service__matches),
        cmocka_unit_test(xmpp_addr__of_a_domain__matches),
        cmocka_unit_test(other_names__of_any_content__identify_nothing),
        cmocka_unit_test(names__several_with_bad_ones_between__match_by_the_good_ones),
        cmocka_unit_test(addresses__of_people__are_told_apart),
        cmocka_unit_test(names__as_many_as_the_bound_and_one_more__are_read_and_refused),
        cmocka_unit_test(names__none_or_broken__identify_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
