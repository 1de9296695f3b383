/* SPDX-License-Identifier: MIT */
/* Splitting, the parts' bounds, the examples of RFC 7622 s3.5, IP literals, reasons. */
#include "core/jid/jid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct example {
    const char *input;
    enum jid_status status;
    const char *output; /* NULL with a refusal */
};

static enum jid_status prepare(struct span text, struct jid_buffer *buffer, struct jid *jid)
{
    memset(buffer, 0x5A, sizeof *buffer);
    return jid_prepare(text, buffer, jid);
}

static void check_examples(const struct example *examples, size_t count)
{
    struct jid_buffer buffer;
    struct jid jid;
    for (size_t i = 0; i < count; i++) {
        enum jid_status status = prepare(span_str(examples[i].input), &buffer, &jid);
        if (status != examples[i].status)
            print_error("<%s>: %s\n", examples[i].input, jid_status_text(status));
        assert_int_equal(status, examples[i].status);
        if (status != JID_OK)
            continue;
        struct span full = jid_full(&jid);
        assert_int_equal(full.size, strlen(examples[i].output));
        assert_memory_equal(full.ptr, examples[i].output, full.size);
    }
}

#define CHECK(examples) check_examples(examples, sizeof examples / sizeof examples[0])

/* Holds 7622:3.2/1. */
static void jid_prepare__legal_samples_of_rfc7622__accepted(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"juliet@example.com", JID_OK, "juliet@example.com"},
        {"juliet@example.com/foo", JID_OK, "juliet@example.com/foo"},
        {"juliet@example.com/foo bar", JID_OK, "juliet@example.com/foo bar"},
        {"juliet@example.com/foo@bar", JID_OK, "juliet@example.com/foo@bar"},
        {"foo\\20bar@example.com", JID_OK, "foo\\20bar@example.com"},
        {"fussball@example.com", JID_OK, "fussball@example.com"},
        {"fu\u00DFball@example.com", JID_OK, "fu\u00DFball@example.com"},
        {"\u03C0@example.com", JID_OK, "\u03C0@example.com"},
        {"\u03A3@example.com/foo", JID_OK, "\u03C3@example.com/foo"},
        {"\u03C3@example.com/foo", JID_OK, "\u03C3@example.com/foo"},
        {"\u03C2@example.com/foo", JID_OK, "\u03C2@example.com/foo"},
        {"king@example.com/\u265A", JID_OK, "king@example.com/\u265A"},
        {"example.com", JID_OK, "example.com"},
        {"example.com/foobar", JID_OK, "example.com/foobar"},
        {"a.example.com/b@example.net", JID_OK, "a.example.com/b@example.net"},
    };
    CHECK(examples);
}

static void jid_prepare__illegal_samples_of_rfc7622__refused(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"\"juliet\"@example.com", JID_LOCAL_FORBIDDEN, NULL},
        {"foo bar@example.com", JID_LOCAL_FORBIDDEN, NULL},
        /* Example 18 has no rule behind it: OpaqueString keeps spaces wherever they stand. See the README. */
        {"juliet@example.com/ foo", JID_OK, "juliet@example.com/ foo"},
        {"@example.com/", JID_LOCAL_EMPTY, NULL},
        {"henry\u2163@example.com", JID_LOCAL_FORBIDDEN, NULL},
        {"\u265A@example.com", JID_LOCAL_FORBIDDEN, NULL},
        {"juliet@", JID_DOMAIN_EMPTY, NULL},
        {"/foobar", JID_DOMAIN_EMPTY, NULL},
    };
    CHECK(examples);
}

static void jid_prepare__separators__first_slash_then_first_at(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"", JID_EMPTY, NULL},
        {"@", JID_LOCAL_EMPTY, NULL},
        {"/", JID_DOMAIN_EMPTY, NULL},
        {"@/", JID_LOCAL_EMPTY, NULL},
        {"a@/b", JID_DOMAIN_EMPTY, NULL},
        {"@b/c", JID_LOCAL_EMPTY, NULL},
        {"b/", JID_RESOURCE_EMPTY, NULL},
        {"a@b/", JID_RESOURCE_EMPTY, NULL},
        {"a@b@c", JID_DOMAIN_FORBIDDEN, NULL},
        {"a@@b", JID_DOMAIN_FORBIDDEN, NULL},
        {"b//", JID_OK, "b//"},
        {"a@b/c/d@e", JID_OK, "a@b/c/d@e"},
        /* The separators are found before any mapping (s3.1): these two become '@' and '/' too late to be one. */
        {"a\uFF20b", JID_DOMAIN_FORBIDDEN, NULL},
        {"a\uFF20b@c", JID_LOCAL_FORBIDDEN, NULL},
        {"b\uFF0Fc", JID_DOMAIN_FORBIDDEN, NULL},
        {"a\uFF0Fb@c", JID_LOCAL_FORBIDDEN, NULL},
        {"a@b/\uFF0F\uFF20", JID_OK, "a@b/\uFF0F\uFF20"},
    };
    CHECK(examples);
}

/* Holds 7622:3.3/2 7622:5/1 7622:feature/address-localpart-prep. */
static void jid_prepare__localpart__mapped_or_refused(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"JULIET@d", JID_OK, "juliet@d"},
        {"!#$%()*+,-.09;=?AZ[\\]^_`az{|}~@d", JID_OK, "!#$%()*+,-.09;=?az[\\]^_`az{|}~@d"},
        {"a&b@d", JID_LOCAL_FORBIDDEN, NULL},
        {"a'b@d", JID_LOCAL_FORBIDDEN, NULL},
        {"a:b@d", JID_LOCAL_FORBIDDEN, NULL},
        {"a<b@d", JID_LOCAL_FORBIDDEN, NULL},
        {"a>b@d", JID_LOCAL_FORBIDDEN, NULL},
        {"a\x7F@d", JID_LOCAL_FORBIDDEN, NULL},
        {"\uFF2A\uFF35\uFF2C@d", JID_OK, "jul@d"},
        {"\u212A@d", JID_OK, "k@d"},
        {"I\u0307\u0130@d", JID_OK, "i\u0307i\u0307@d"},
        {"e\u0301@d", JID_OK, "\u00E9@d"},
        {"\uFF02@d", JID_LOCAL_FORBIDDEN, NULL}, /* a fullwidth quotation mark is one after mapping */
        {"\u1FEF@d", JID_OK, "`@d"},             /* GREEK VARIA is a grave accent in NFC */
        {"\u1100\u1161@d", JID_OK, "\uAC00@d"},
        {"\u1100@d", JID_LOCAL_FORBIDDEN, NULL},  /* conjoining jamo */
        {"a\u05D0@d", JID_LOCAL_FORBIDDEN, NULL}, /* Bidi rule 5 */
        {"\u05D0\u05D1@d", JID_OK, "\u05D0\u05D1@d"},
        {"\u05D0a@d", JID_LOCAL_FORBIDDEN, NULL},       /* Bidi rule 2 */
        {"\u06271\u0661@d", JID_LOCAL_FORBIDDEN, NULL}, /* Bidi rule 4 */
        {"\u0378@d", JID_LOCAL_FORBIDDEN, NULL},        /* unassigned */
        {"\uE000@d", JID_LOCAL_FORBIDDEN, NULL},        /* private use */
        {"a\u200Db@d", JID_LOCAL_FORBIDDEN, NULL},
        {"\u0915\u094D\u200D\u0937@d", JID_OK, "\u0915\u094D\u200D\u0937@d"},
        {"l\u00B7l@d", JID_OK, "l\u00B7l@d"},
        {"L\u00B7l@d", JID_OK, "l\u00B7l@d"}, /* the class is asked last: RFC 8264 s7 */
    };
    CHECK(examples);
}

/* Holds 7622:3.2/2 7622:3.2/3 7622:3.2/4 7622:3.2.1/2 7622:5/1 7622:feature/address-domain-prep. */
static void jid_prepare__domainpart__prepared_form_is_u_labels(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"EXAMPLE.Com.", JID_OK, "example.com"},
        {"xn--fa-hia.DE", JID_OK, "fa\u00DF.de"},
        {"XN--FA-HIA.de", JID_OK, "fa\u00DF.de"},
        {"FA\u00DF.de", JID_OK, "fa\u00DF.de"},
        {"\uFF45\uFF58\uFF0E\u4F8B\u3002", JID_OK, "ex.\u4F8B"},
        {"\u03A3\u03A3.gr", JID_OK, "\u03C3\u03C3.gr"}, /* RFC 5895 s2 knows no final sigma */
        {"BU\u0308CHER.example", JID_OK, "b\u00FCcher.example"},
        {"127.0.0.1", JID_OK, "127.0.0.1"},
        {"localhost", JID_OK, "localhost"},
        {"a--b.c", JID_OK, "a--b.c"},
        {".", JID_DOMAIN_EMPTY, NULL},
        {"a..", JID_DOMAIN_FORBIDDEN, NULL},
        {"a.\u3002", JID_DOMAIN_FORBIDDEN, NULL},
        {".a", JID_DOMAIN_FORBIDDEN, NULL},
        {"a..b", JID_DOMAIN_FORBIDDEN, NULL},
        {"-a.b", JID_DOMAIN_FORBIDDEN, NULL},
        {"a-.b", JID_DOMAIN_FORBIDDEN, NULL},
        {"a.b-", JID_DOMAIN_FORBIDDEN, NULL},
        {"ab--c", JID_DOMAIN_FORBIDDEN, NULL}, /* reserved, RFC 5890 s2.3.1 */
        {"a_b", JID_DOMAIN_FORBIDDEN, NULL},
        {"a b", JID_DOMAIN_FORBIDDEN, NULL},
        {"a:5222", JID_DOMAIN_FORBIDDEN, NULL},
        {"xn--", JID_DOMAIN_FORBIDDEN, NULL},
        {"xn--a-", JID_DOMAIN_FORBIDDEN, NULL}, /* decodes to ASCII */
        {"xn--fa-hiA1", JID_DOMAIN_FORBIDDEN, NULL},
        {"xn--9999999999", JID_DOMAIN_FORBIDDEN, NULL}, /* overflows Punycode */
        {"xn--u-ccb.de", JID_DOMAIN_FORBIDDEN, NULL},   /* u, U+0308: a U-label must be NFC */
        {"\u2615.example", JID_DOMAIN_FORBIDDEN, NULL}, /* a symbol */
        {"\u0301a.example", JID_DOMAIN_FORBIDDEN, NULL},
        {"\uFB01.example", JID_DOMAIN_FORBIDDEN, NULL}, /* a ligature; RFC 5895 has no compatibility mapping */
        {"1a.\u05D0", JID_DOMAIN_FORBIDDEN, NULL},      /* every label of a Bidi name must satisfy the rule */
        {"\u0660\u06F0", JID_DOMAIN_FORBIDDEN, NULL},
    };
    CHECK(examples);
}

/* Holds 7622:3.2/2. */
static void jid_prepare__ip_literal__one_form_by_rfc5952(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"[::1]", JID_OK, "[::1]"},
        {"[::1].", JID_OK, "[::1]"},
        {"a@[2001:0DB8:0:0:0:0:0:1]/r", JID_OK, "a@[2001:db8::1]/r"},
        {"[2001:db8:0:1:1:1:1:1]", JID_OK, "[2001:db8:0:1:1:1:1:1]"},
        {"[::FFFF:1.2.3.4]", JID_OK, "[::ffff:1.2.3.4]"},
        {"[fe80::1%25Eth0]", JID_OK, "[fe80::1%25Eth0]"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]", JID_OK, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"},
        {"[]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[", JID_DOMAIN_FORBIDDEN, NULL},
        {"[.", JID_DOMAIN_FORBIDDEN, NULL},
        {"[::1", JID_DOMAIN_FORBIDDEN, NULL},
        {"::1", JID_DOMAIN_FORBIDDEN, NULL},
        {"[::1]..", JID_DOMAIN_FORBIDDEN, NULL},
        {"[::1]a", JID_DOMAIN_FORBIDDEN, NULL},
        {"[1.2.3.4]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[::00001]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[1::2::3]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25a-b_c.D~9%C3%bc]", JID_OK, "[fe80::1%25a-b_c.D~9%C3%bc]"},
        {"[1:2:3:4:5:6:7:8%25z]", JID_OK, "[1:2:3:4:5:6:7:8%25z]"},
        {"[fe80::1%eth0]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[%25eth0]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25a%4]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25a%4g]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25a!]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25\u00E9]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[::g]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[fe80::1%25a%zz]", JID_DOMAIN_FORBIDDEN, NULL},
        {"[v1.fe80]", JID_DOMAIN_FORBIDDEN, NULL},
        {"\uFF3B::1\uFF3D", JID_DOMAIN_FORBIDDEN, NULL},
    };
    CHECK(examples);
}

/* Holds 7622:3.2.1/3 7622:3.4/2 7622:5/1 7622:feature/address-resource-prep. */
static void jid_prepare__resourcepart__opaque(void **state)
{
    (void)state;
    static const struct example examples[] = {
        {"d/Balcony", JID_OK, "d/Balcony"},
        {"d/ ", JID_OK, "d/ "},
        {"d/a\u00A0b\u3000c", JID_OK, "d/a b c"},
        {"d/A\u030A", JID_OK, "d/\u00C5"},
        {"d/\uFF21", JID_OK, "d/\uFF21"},
        {"d/\u05D0a", JID_OK, "d/\u05D0a"},
        {"d/a\tb", JID_RESOURCE_FORBIDDEN, NULL},
        {"d/a\u00ADb", JID_RESOURCE_FORBIDDEN, NULL},
        {"d/\uFEFF", JID_RESOURCE_FORBIDDEN, NULL},
        {"d/\u200C", JID_RESOURCE_FORBIDDEN, NULL},
        {"d/\uFDD0", JID_RESOURCE_FORBIDDEN, NULL},
        {"d/\xFF", JID_BAD_UTF8, NULL},
        {"d/\xC0\x80", JID_BAD_UTF8, NULL},
        {"d/\xED\xA0\x80", JID_BAD_UTF8, NULL},
        {"\xE4@d", JID_BAD_UTF8, NULL},
        {"a\xE4", JID_BAD_UTF8, NULL},
    };
    CHECK(examples);
    struct jid_buffer buffer;
    struct jid jid;
    assert_int_equal(prepare(span_of("a\0b@d", 5), &buffer, &jid), JID_LOCAL_FORBIDDEN);
    assert_int_equal(prepare(span_of("d\0", 2), &buffer, &jid), JID_DOMAIN_FORBIDDEN);
    assert_int_equal(prepare(span_of("[::1\0]", 6), &buffer, &jid), JID_DOMAIN_FORBIDDEN);
    assert_int_equal(prepare(span_of("d/\0", 3), &buffer, &jid), JID_RESOURCE_FORBIDDEN);
}

/* A text of count repetitions of a unit, in memory of exactly that size, so that a sanitizer sees a step beyond it. */
static struct span repeated(const char *unit, size_t count)
{
    size_t size = strlen(unit);
    char *text = malloc(size * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, unit, size);
    return span_of(text, size * count);
}

typedef enum jid_status (*part_fn)(struct span text, char *out, size_t *size);

static void check_size(part_fn part, const char *unit, size_t count, enum jid_status expected, size_t expected_size)
{
    struct span text = repeated(unit, count);
    char *out = malloc(JID_PART_MAX);
    assert_non_null(out);
    size_t size = 0;
    assert_int_equal(part(text, out, &size), expected);
    if (expected == JID_OK)
        assert_int_equal(size, expected_size);
    free(out);
    free((void *)(uintptr_t)text.ptr);
}

/* Holds 7622:3.2/5 7622:3.3/1 7622:3.4/1 7622:feature/address-domain-length 7622:feature/address-localpart-length. */
/* Holds 7622:feature/address-resource-length. */
static void jid_prepare__parts_at_their_limits__measured_after_preparation(void **state)
{
    (void)state;
    check_size(jid_prepare_local, "a", 1023, JID_OK, 1023);
    check_size(jid_prepare_local, "a", 1024, JID_LOCAL_LONG, 0);
    check_size(jid_prepare_local, "a", 100000, JID_LOCAL_LONG, 0);
    check_size(jid_prepare_local, "", 0, JID_LOCAL_EMPTY, 0);
    check_size(jid_prepare_local, "\uFF21", 1023, JID_OK, 1023); /* 3069 octets shrink to 1023 */
    check_size(jid_prepare_local, "\uFF21", 1024, JID_LOCAL_LONG, 0);
    check_size(jid_prepare_local, "\uFF21\u0308\u0304", 511, JID_OK, 1022); /* 3577 octets: the steepest there is */
    check_size(jid_prepare_local, "\u0130", 341, JID_OK, 1023);             /* 2 octets grow to 3 */
    check_size(jid_prepare_local, "\u0130", 342, JID_LOCAL_LONG, 0);
    check_size(jid_prepare_resource, "a", 1023, JID_OK, 1023);
    check_size(jid_prepare_resource, "a", 1024, JID_RESOURCE_LONG, 0);
    check_size(jid_prepare_resource, "\u0958", 170, JID_OK, 1020); /* excluded from composition: 3 octets become 6 */
    check_size(jid_prepare_resource, "\u0958", 171, JID_RESOURCE_LONG, 0);
    check_size(jid_prepare_resource, "\U0001D160", 295, JID_RESOURCE_LONG, 0);
    check_size(jid_prepare_resource, "\uFB2C", 1193, JID_RESOURCE_LONG, 0);
    check_size(jid_prepare_resource, "\u1F82", 341, JID_OK, 1023); /* decomposes to four on the way */
    check_size(jid_prepare_resource, "\u1F82", 1193, JID_RESOURCE_LONG, 0);
    check_size(jid_prepare_domain, "a", 63, JID_OK, 63);
    check_size(jid_prepare_domain, "a", 64, JID_DOMAIN_LONG, 0);
    check_size(jid_prepare_domain, "a.", 127, JID_OK, 253);
    check_size(jid_prepare_domain, "a.", 128, JID_DOMAIN_LONG, 0);
    check_size(jid_prepare_domain, "a.", 5000, JID_DOMAIN_LONG, 0);
    check_size(jid_prepare_domain, "\u4F8B", 40, JID_OK, 120);
    check_size(jid_prepare_domain, "\u4F8B", 60, JID_DOMAIN_LONG, 0);
    check_size(jid_prepare_domain, "\u4F8B.", 23, JID_OK, 91);         /* "xn--fsq." is 8 octets: 23 x 8 - 1 = 183 */
    check_size(jid_prepare_domain, "\u4F8B.", 32, JID_DOMAIN_LONG, 0); /* 32 x 8 - 1 = 255 */
    /* Labels of 42 ideographs of 4 octets, each an A-label of some 60: too long in both forms. */
    check_size(jid_prepare_domain,
               "\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000"
               "\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000"
               "\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000"
               "\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000"
               "\U00020000\U00020000\U00020000\U00020000\U00020000\U00020000.",
               7, JID_DOMAIN_LONG, 0);
    check_size(jid_prepare_domain, "\u4F8B\u4F8B", 600, JID_DOMAIN_LONG, 0);
}

static void jid_prepare__largest_parts__fill_the_buffer_exactly(void **state)
{
    (void)state;
    char text[JID_SIZE_MAX];
    memset(text, 'A', sizeof text);
    text[1023] = '@';
    for (size_t i = 1024; i < 1024 + 253; i++)
        text[i] = (i - 1024) % 2 ? '.' : 'd';
    text[1277] = '/';
    struct jid_buffer buffer;
    struct jid jid;
    assert_int_equal(prepare(span_of(text, 1278 + 1023), &buffer, &jid), JID_OK);
    assert_int_equal(jid.local_size, 1023);
    assert_int_equal(jid.domain_size, 253);
    assert_int_equal(jid.resource_size, 1023);
    assert_int_equal(jid_full(&jid).size, 2301);
    assert_int_equal(prepare(span_of(text, 1278 + 1024), &buffer, &jid), JID_RESOURCE_LONG);
}

static void jid_parts__of_prepared__taken_apart_again(void **state)
{
    (void)state;
    static const char *const inputs[] = {"a@b/c", "b/c@d/e", "b", "a@b", "a@b/c@d"};
    struct jid_buffer buffer;
    struct jid jid;
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++) {
        assert_int_equal(prepare(span_str(inputs[i]), &buffer, &jid), JID_OK);
        struct jid again = jid_of_prepared(jid_full(&jid));
        assert_ptr_equal(again.bytes, jid.bytes);
        assert_int_equal(again.local_size, jid.local_size);
        assert_int_equal(again.domain_size, jid.domain_size);
        assert_int_equal(again.resource_size, jid.resource_size);
    }
    assert_int_equal(prepare(SPAN("Ab@C.d/E"), &buffer, &jid), JID_OK);
    assert_true(span_is(jid_local(&jid), "ab"));
    assert_true(span_is(jid_domain(&jid), "c.d"));
    assert_true(span_is(jid_bare(&jid), "ab@c.d"));
    assert_true(span_is(jid_resource(&jid), "E"));
    assert_true(span_is(jid_full(&jid), "ab@c.d/E"));
}

static void jid_password__opaque_string__room_is_kept(void **state)
{
    (void)state;
    char out[16];
    size_t size = 0;
    assert_int_equal(jid_prepare_password(SPAN("Pass word"), out, sizeof out, &size), JID_OK);
    assert_int_equal(size, 9);
    assert_int_equal(jid_prepare_password(SPAN("\u00A0\u212B"), out, sizeof out, &size), JID_OK);
    assert_true(span_is(span_of(out, size), " \u00C5"));
    assert_int_equal(jid_prepare_password(SPAN("0123456789abcdef"), out, sizeof out, &size), JID_OK);
    assert_int_equal(jid_prepare_password(SPAN("0123456789abcdef0"), out, sizeof out, &size), JID_RESOURCE_LONG);
    assert_int_equal(jid_prepare_password(SPAN("\u0958\u0958\u0958"), out, sizeof out, &size), JID_RESOURCE_LONG);
    assert_int_equal(jid_prepare_password(SPAN(""), out, sizeof out, &size), JID_RESOURCE_EMPTY);
    assert_int_equal(jid_prepare_password(SPAN("a\x01"), out, sizeof out, &size), JID_RESOURCE_FORBIDDEN);
    assert_int_equal(jid_prepare_password(SPAN("\x80"), out, sizeof out, &size), JID_BAD_UTF8);
}

static void jid_prepare__no_text_at_all__empty(void **state)
{
    (void)state;
    struct jid_buffer buffer;
    struct jid jid;
    size_t size = 0;
    assert_int_equal(jid_prepare(SPAN_NONE, &buffer, &jid), JID_EMPTY);
    assert_int_equal(jid_prepare_local(SPAN_NONE, buffer.bytes, &size), JID_LOCAL_EMPTY);
    assert_int_equal(jid_prepare_domain(SPAN_NONE, buffer.bytes, &size), JID_DOMAIN_EMPTY);
    assert_int_equal(jid_prepare_resource(SPAN_NONE, buffer.bytes, &size), JID_RESOURCE_EMPTY);
    jid = jid_of_prepared(SPAN_NONE);
    assert_int_equal(jid.domain_size, 0);
}

static void jid_status_text__every_status__has_its_own_sentence(void **state)
{
    (void)state;
    for (int i = 0; i < JID_STATUS_COUNT; i++) {
        const char *text = jid_status_text((enum jid_status)i);
        assert_non_null(text);
        assert_int_equal(text[strlen(text) - 1], '.');
        for (int j = 0; j < i; j++)
            assert_string_not_equal(text, jid_status_text((enum jid_status)j));
    }
}

static void jid_explain__refusals__name_code_point_and_rule(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        enum jid_status status;
        uint32_t code_point;
        const char *rule;
    } cases[] = {
        {"henry\u2163@d", JID_LOCAL_FORBIDDEN, 0x2163, "HasCompat"},
        {"\u265A@d", JID_LOCAL_FORBIDDEN, 0x265A, "Symbols"},
        {"a b@d", JID_LOCAL_FORBIDDEN, ' ', "Spaces"},
        {"a:b@d", JID_LOCAL_FORBIDDEN, ':', "RFC 7622 s3.3.1"},
        {"\u05D0a@d", JID_LOCAL_FORBIDDEN, JID_NO_CODE_POINT, "Bidi Rule 2"},
        {"\u0378@d", JID_LOCAL_FORBIDDEN, 0x0378, "unassigned"},
        {"a@\u2615", JID_DOMAIN_FORBIDDEN, 0x2615, "IDNA2008"},
        {"a@b_c", JID_DOMAIN_FORBIDDEN, '_', "letter, digit"},
        {"a@1.\u05D0", JID_DOMAIN_FORBIDDEN, JID_NO_CODE_POINT, "Bidi Rule"},
        {"a@xn--u-ccb.de", JID_DOMAIN_FORBIDDEN, JID_NO_CODE_POINT, "Normalization Form C"},
        {"a@[x]", JID_DOMAIN_FORBIDDEN, JID_NO_CODE_POINT, "IPv6"},
        {"a@d/\u00AD", JID_RESOURCE_FORBIDDEN, 0x00AD, "PrecisIgnorable"},
        {"a@d/\u200D", JID_RESOURCE_FORBIDDEN, 0x200D, "contextual"},
        {"a@d/\xFF", JID_BAD_UTF8, JID_NO_CODE_POINT, NULL},
        {"a@d/", JID_RESOURCE_EMPTY, JID_NO_CODE_POINT, NULL},
        {"", JID_EMPTY, JID_NO_CODE_POINT, NULL},
        {"a@d/r", JID_OK, JID_NO_CODE_POINT, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jid_buffer buffer;
        struct jid jid;
        struct jid_reason reason;
        assert_int_equal(jid_explain(span_str(cases[i].input), &buffer, &jid, &reason), cases[i].status);
        assert_int_equal(reason.code_point, cases[i].code_point);
        if (cases[i].rule)
            assert_non_null(strstr(reason.rule, cases[i].rule));
        else
            assert_null(reason.rule);
    }
}

static void jid_domain_to_ascii__prepared_names__a_labels(void **state)
{
    (void)state;
    char out[JID_ASCII_DOMAIN_MAX + 1];
    assert_true(jid_domain_to_ascii(SPAN("example.com"), out));
    assert_string_equal(out, "example.com");
    assert_true(jid_domain_to_ascii(SPAN("b\xc3\xbc"
                                         "cher.example.\xe4\xb8\xad\xe5\x9b\xbd"),
                                    out));
    assert_string_equal(out, "xn--bcher-kva.example.xn--fiqs8s");
}

static void jid_domain_to_ascii__too_long_or_unprepared__refused(void **state)
{
    (void)state;
    char out[JID_ASCII_DOMAIN_MAX + 1], name[JID_ASCII_DOMAIN_MAX + 2];
    for (size_t i = 0; i < sizeof name; i++)
        name[i] = i % 50 == 49 ? '.' : 'a';
    assert_true(jid_domain_to_ascii(span_of(name, JID_ASCII_DOMAIN_MAX), out));
    assert_int_equal(strlen(out), JID_ASCII_DOMAIN_MAX);
    assert_false(jid_domain_to_ascii(span_of(name, JID_ASCII_DOMAIN_MAX + 1), out));
    memset(name, 'a', 64);
    assert_true(jid_domain_to_ascii(span_of(name, 63), out));
    assert_false(jid_domain_to_ascii(span_of(name, 64), out));
    assert_false(jid_domain_to_ascii(SPAN(""), out));
    assert_false(jid_domain_to_ascii(SPAN("a..b"), out));
    assert_false(jid_domain_to_ascii(SPAN("a.\xff\xfe.b"), out));
    assert_false(jid_domain_to_ascii(SPAN("\xe2\x98\xba.example"), out)); /* U+263A is DISALLOWED */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jid_prepare__legal_samples_of_rfc7622__accepted),
        cmocka_unit_test(jid_prepare__illegal_samples_of_rfc7622__refused),
        cmocka_unit_test(jid_prepare__separators__first_slash_then_first_at),
        cmocka_unit_test(jid_prepare__localpart__mapped_or_refused),
        cmocka_unit_test(jid_prepare__domainpart__prepared_form_is_u_labels),
        cmocka_unit_test(jid_prepare__ip_literal__one_form_by_rfc5952),
        cmocka_unit_test(jid_prepare__resourcepart__opaque),
        cmocka_unit_test(jid_prepare__parts_at_their_limits__measured_after_preparation),
        cmocka_unit_test(jid_prepare__largest_parts__fill_the_buffer_exactly),
        cmocka_unit_test(jid_parts__of_prepared__taken_apart_again),
        cmocka_unit_test(jid_password__opaque_string__room_is_kept),
        cmocka_unit_test(jid_prepare__no_text_at_all__empty),
        cmocka_unit_test(jid_status_text__every_status__has_its_own_sentence),
        cmocka_unit_test(jid_domain_to_ascii__prepared_names__a_labels),
        cmocka_unit_test(jid_domain_to_ascii__too_long_or_unprepared__refused),
        cmocka_unit_test(jid_explain__refusals__name_code_point_and_rule),
    };
    return cmocka_run_group_tests_name("core/jid", tests, NULL, NULL);
}
