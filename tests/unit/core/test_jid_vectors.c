/* SPDX-License-Identifier: MIT */
/*
 * Published vectors, reduced by tools/jid_vectors.py: PRECIS profiles and derived properties (precis_i18n, Go's
 * x/text), and domain names (Unicode's IdnaTestV2 with the verdict of another IDNA2008 implementation beside it).
 */
#include "core/base/utf8.h"
#include "core/jid/codepoint_priv.h"
#include "core/jid/part_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <idn2.h>
#include <unictype.h>

#include <cmocka.h>

#define LINE_MAX_SIZE 4096

struct vectors {
    FILE *file;
    char line[LINE_MAX_SIZE];
    char *fields[3];
};

static const char *property_name(enum codepoint_property property)
{
    static const char *const names[] = {
        [CODEPOINT_PVALID] = "PVALID",     [CODEPOINT_FREE_PVAL] = "FREE_PVAL",   [CODEPOINT_CONTEXTJ] = "CONTEXTJ",
        [CODEPOINT_CONTEXTO] = "CONTEXTO", [CODEPOINT_DISALLOWED] = "DISALLOWED", [CODEPOINT_UNASSIGNED] = "UNASSIGNED",
    };
    assert_in_range(property, 0, sizeof names / sizeof names[0] - 1);
    return names[property];
}

static void vectors_open(struct vectors *vectors, const char *name)
{
    char path[512];
    const char *root = getenv("SL_TEST_DATA");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/%s", root, name);
    vectors->file = fopen(path, "r");
    assert_non_null(vectors->file);
}

static bool vectors_next(struct vectors *vectors)
{
    if (!fgets(vectors->line, sizeof vectors->line, vectors->file)) {
        fclose(vectors->file);
        return false;
    }
    char *newline = strchr(vectors->line, '\n');
    assert_non_null(newline);
    *newline = '\0';
    char *rest = vectors->line;
    for (size_t i = 0; i < 3; i++)
        vectors->fields[i] = strsep(&rest, "\t");
    assert_non_null(vectors->fields[2]);
    assert_null(rest);
    return true;
}

/* Undoes %XX in place. */
static struct span unescape(char *field)
{
    char *write = field;
    for (const char *read = field; *read; read++) {
        unsigned octet = 0;
        if (*read == '%') {
            assert_int_equal(sscanf(read + 1, "%2x", &octet), 1);
            read += 2;
        } else {
            octet = (unsigned char)*read;
        }
        *write++ = (char)octet;
    }
    return span_of(field, (size_t)(write - field));
}

/* Whether libunistring's Unicode version knows every character of a text; those of later versions are not comparable.
 */
static bool is_known(struct span text)
{
    while (text.size > 0) {
        uint32_t code_point = 0;
        unsigned size = utf8_decode(text, &code_point);
        if (size == 0)
            return true;
        if (codepoint_precis(code_point).property == CODEPOINT_UNASSIGNED)
            return false;
        text = span_skip(text, size);
    }
    return true;
}

/* What a profile makes of a text, with the excluded characters of RFC 7622 told apart from those of the profile. */
static bool is_excluded_from_local(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (memchr("\"&'/:<>@", text.ptr[i], 8))
            return true;
    }
    return false;
}

/* Holds 7622:3.3/2 7622:3.4/2 7622:feature/address-localpart-prep 7622:feature/address-resource-prep. */
static void precis_profiles__published_vectors__same_verdict_and_text(void **state)
{
    (void)state;
    struct vectors vectors;
    vectors_open(&vectors, "precis/profiles.txt");
    unsigned used = 0, excluded = 0, newer = 0, wrong = 0;
    while (vectors_next(&vectors)) {
        bool is_username = vectors.fields[0][0] == 'U';
        bool refused = strcmp(vectors.fields[2], "!") == 0;
        struct span input = unescape(vectors.fields[1]);
        struct span expected = unescape(vectors.fields[2]);
        char out[JID_PART_MAX];
        size_t size = 0;
        enum jid_status status =
            is_username ? jid_prepare_local(input, out, &size) : jid_prepare_resource(input, out, &size);
        bool same = refused ? status != JID_OK : status == JID_OK && span_equal(span_of(out, size), expected);
        if (is_username && !refused && is_excluded_from_local(expected)) {
            /* RFC 7622 s3.3.1 is stricter than the profile. */
            same = status == JID_LOCAL_FORBIDDEN;
            excluded++;
        } else if (!same && !refused && !is_known(input)) {
            same = status != JID_OK;
            newer++;
        }
        if (!same) {
            print_error("%s <%.*s>: %s\n", vectors.fields[0], SPAN_ARG(input), jid_status_text(status));
            wrong++;
        }
        used++;
    }
    print_message("%u vectors: %u excluded by RFC 7622 s3.3.1, %u with newer characters\n", used, excluded, newer);
    assert_int_equal(wrong, 0);
    assert_true(used > 600 && newer < 10);
}

static void codepoint_precis__all_code_points__property_and_category_as_published(void **state)
{
    (void)state;
    struct vectors vectors;
    vectors_open(&vectors, "precis/derived.txt");
    unsigned compared = 0, newer = 0, wrong = 0;
    while (vectors_next(&vectors)) {
        uint32_t first = (uint32_t)strtoul(vectors.fields[0], NULL, 16);
        uint32_t last = (uint32_t)strtoul(vectors.fields[1], NULL, 16);
        for (uint32_t code_point = first; code_point <= last; code_point++) {
            if (code_point >= 0xD800 && code_point <= 0xDFFF)
                continue;
            struct codepoint_class class = codepoint_precis(code_point);
            char text[64];
            snprintf(text, sizeof text, "%s/%s", property_name(class.property), class.category);
            if (strcmp(text, vectors.fields[2]) == 0) {
                compared++;
            } else if (class.property == CODEPOINT_UNASSIGNED) {
                newer++;
            } else {
                print_error("U+%04X: %s, published %s\n", code_point, text, vectors.fields[2]);
                wrong++;
            }
        }
    }
    print_message("%u code points alike, %u of a newer Unicode version refused\n", compared, newer);
    assert_int_equal(wrong, 0);
    assert_int_equal(compared + newer, 0x110000 - 0x800);
    assert_true(newer < 10000);
}

/* Holds 7622:3.2.1/1 7622:3.2.1/2 7622:3.2.2/1 7622:feature/address-domain-prep. */
static void jid_prepare_domain__idna_test_v2__as_idna2008_says(void **state)
{
    (void)state;
    struct vectors vectors;
    vectors_open(&vectors, "idna/names.txt");
    unsigned used = 0, accepted = 0, stricter = 0, dotted = 0, wrong = 0;
    while (vectors_next(&vectors)) {
        bool uts46_refuses = strcmp(vectors.fields[1], "!") == 0;
        bool idna2008_refuses = strcmp(vectors.fields[2], "!") == 0;
        struct span source = unescape(vectors.fields[0]);
        struct span uts46 = unescape(vectors.fields[1]);
        struct span idna2008 = unescape(vectors.fields[2]);
        char out[JID_PART_MAX];
        size_t size = 0;
        enum jid_status status = jid_prepare_domain(source, out, &size);
        struct span ours = span_of(out, size);
        bool same = idna2008_refuses ? status != JID_OK : status == JID_OK && span_equal(ours, idna2008);
        if (status == JID_OK && uts46_refuses) {
            /* UTS #46 refuses the root's empty label when it verifies DNS lengths; RFC 7622 s3.2 strips the dot. */
            const char *tail = source.ptr + source.size;
            bool has_dot = tail[-1] == '.' || memcmp(tail - 3, "\u3002", 3) == 0 ||
                           memcmp(tail - 3, "\uFF61", 3) == 0 || memcmp(tail - 3, "\uFF0E", 3) == 0;
            same = same && has_dot;
            dotted++;
        } else if (status == JID_OK) {
            same = same && span_equal(ours, uts46);
        }
        if (!same) {
            print_error("<%.*s>: %s\n", SPAN_ARG(source), jid_status_text(status));
            wrong++;
        }
        used++;
        accepted += status == JID_OK;
        stricter += status != JID_OK && !uts46_refuses;
    }
    print_message("%u names: %u accepted (%u with a final dot), %u refused that UTS #46 would take\n", used, accepted,
                  dotted, stricter);
    assert_int_equal(wrong, 0);
    assert_true(used > 6000 && accepted > 350);
}

/* Each assigned code point between two ideographs, with which nothing composes, is a label that libidn2 judges too. Its
 * tables are another reading of the same rules, perhaps for another Unicode version, so it may only be stricter where
 * it does not know a code point. */
/* Holds 7622:3.2.1/1. */
static void codepoint_idna__assigned_code_points__as_libidn2_says(void **state)
{
    (void)state;
    unsigned compared = 0, unknown = 0, wrong = 0;
    /* Above U+323B0 only tags, variation selectors and private use are assigned: three planes of DISALLOWED. */
    for (uint32_t code_point = 0x80; code_point < 0x32400; code_point++) {
        if (code_point >= 0xD800 && code_point <= 0xF8FF)
            continue;
        enum codepoint_property property = codepoint_idna(code_point).property;
        bool is_comparable = property == CODEPOINT_PVALID || property == CODEPOINT_DISALLOWED;
        if (!is_comparable || uc_bidi_category(code_point) == UC_BIDI_R || uc_bidi_category(code_point) == UC_BIDI_AL)
            continue;
        char text[12] = "\u4E2D";
        unsigned size = utf8_encode(code_point, text + 3);
        memcpy(text + 3 + size, "\u4E2D", 4);
        uint8_t *result = NULL;
        int rc = idn2_lookup_u8((const uint8_t *)text, &result, IDN2_NO_TR46);
        idn2_free(result);
        if (rc == IDN2_UNASSIGNED) {
            unknown++;
            continue;
        }
        compared++;
        bool is_allowed = rc == IDN2_OK || rc == IDN2_BIDI;
        if (is_allowed != (property == CODEPOINT_PVALID)) {
            print_error("U+%04X: %s, libidn2 %s\n", code_point, property_name(property), idn2_strerror(rc));
            wrong++;
        }
    }
    print_message("%u code points alike, %u unknown to libidn2\n", compared, unknown);
    assert_int_equal(wrong, 0);
    assert_true(compared > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(precis_profiles__published_vectors__same_verdict_and_text),
        cmocka_unit_test(codepoint_precis__all_code_points__property_and_category_as_published),
        cmocka_unit_test(jid_prepare_domain__idna_test_v2__as_idna2008_says),
        cmocka_unit_test(codepoint_idna__assigned_code_points__as_libidn2_says),
    };
    return cmocka_run_group_tests_name("core/jid vectors", tests, NULL, NULL);
}
