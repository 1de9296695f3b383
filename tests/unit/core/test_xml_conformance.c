/* SPDX-License-Identifier: MIT */
/*
 * The W3C suite's documents without prolog (tests/data/prologless.jsonl) and the project's own stream cases, each
 * whole, byte by byte and at every split in two, with both scanners: one verdict, one offset, one tape.
 */
#include "tests/unit/core/jsonl.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/core/xml_run.h"

#include <stdlib.h>

static const char *const scanners[] = {"generic", "avx2"};

/* The run of the whole bytes; every other chunking must equal it. */
static struct run run_all_ways(struct span bytes, const char *id)
{
    assert_true(xml_scan_force("generic"));
    struct run whole = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_TAPE);
    for (unsigned s = 0; s < 2; s++) {
        if (!xml_scan_force(scanners[s]))
            continue;
        size_t step = bytes.size > 2048 ? 1 + bytes.size / 300 : 1;
        for (size_t first = 0; first <= bytes.size; first += step) {
            size_t chunk = first == 0 ? 1 : bytes.size; /* 0: byte by byte */
            struct run run = run_reader(bytes, first, chunk, &xml_limits_default, RUN_TAPE);
            if (!run_is_equal(&whole, &run))
                print_error("%s: %s, first %zu: %d %s at %llu, whole: %d %s at %llu\n", id, scanners[s], first,
                            (int)run.end, xml_error_text(run.error), (unsigned long long)run.offset, (int)whole.end,
                            xml_error_text(whole.error), (unsigned long long)whole.offset);
            assert_true(run_is_equal(&whole, &run));
            run_free(&run);
        }
    }
    return whole;
}

static struct span concat(char **room, struct span a, struct span b, struct span c)
{
    char *p = malloc(a.size + b.size + c.size + 1);
    memcpy(p, a.ptr, a.size);
    memcpy(p + a.size, b.ptr, b.size);
    memcpy(p + a.size + b.size, c.ptr, c.size);
    *room = p;
    return span_of(p, a.size + b.size + c.size);
}

/* --- W3C ------------------------------------------------------------------------------------------------------------
 */

static bool has_trait(const struct jsonl_line *line, const char *trait)
{
    return strstr(jsonl_get(line, "traits")->value, trait) != NULL;
}

/* Documents that are not well-formed alone and yet are right in a stream, and what they are there. */
struct exception {
    const char *id;
    enum run_end end;
    uint32_t stanzas;
};

static const struct exception exceptions[] = {
    /* two roots: two top-level elements */
    {"not-wf-sa-040", RUN_ENDED, 2},
    {"not-wf-sa-041", RUN_ENDED, 2},
    {"not-wf-sa-044", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n06.xml", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n07.xml", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n08.xml", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n09.xml", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n10.xml", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n11.xml", RUN_ENDED, 2},
    {"ibm-not-wf-P89-ibm89n12.xml", RUN_ENDED, 2},
    /* no root */
    {"element00", RUN_ENDED, 0},
    /* a CDATA section that swallows the rest: never whole */
    {"not-wf-sa-017", RUN_OPEN, 0},
    {"ibm-not-wf-P18-ibm18n02.xml", RUN_OPEN, 0},
    /* Without its DTD, which makes the value a token, "urn:xyzzy" and " urn:xyzzy " are different names (Namespaces
     * s2.3); the listed verdict is libxml2's doubt whether the second is a URI. */
    {"rmt-ns10-012", RUN_ENDED, 1},
};

static bool is_right(const struct jsonl_line *line, const struct run *run)
{
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        if (strcmp(exceptions[i].id, jsonl_get(line, "id")->value) == 0)
            return run->end == exceptions[i].end && run->stanzas == exceptions[i].stanzas;
    }
    const char *expected = jsonl_get(line, "expected")->value;
    bool is_restrictable = has_trait(line, "comment") || has_trait(line, "pi") || has_trait(line, "entityref");
    if (strcmp(expected, "well-formed") == 0 && !is_restrictable)
        return run->end == RUN_ENDED && run->stanzas == 1;
    if (run->end != RUN_REFUSED)
        return false;
    if (strcmp(expected, "well-formed") == 0)
        return run->error == XML_RESTRICTED;
    if (has_trait(line, "notutf8") && run->error == XML_ENCODING)
        return true;
    if (is_restrictable && run->error == XML_RESTRICTED)
        return true;
    return run->error == XML_NOT_WELL_FORMED || run->error == XML_NAMESPACE || run->error == XML_STRAY_TEXT;
}

/* Holds 6120:11.3/2. */
static void reader__w3c_documents__verdicts_as_listed(void **state)
{
    (void)state;
    struct jsonl_file file = jsonl_open("prologless.jsonl");
    struct jsonl_line line;
    unsigned count = 0;
    unsigned wrong = 0;
    while (jsonl_next(&file, &line)) {
        size_t size = 0;
        char *xml = jsonl_bytes(&line, "xml", "xml_b64", &size);
        char *room = NULL;
        struct span bytes = concat(&room, SPAN("<s:stream xmlns:s='http://etherx.jabber.org/streams'>"),
                                   span_of(xml, size), SPAN("</s:stream>"));
        struct run run = run_all_ways(bytes, jsonl_get(&line, "id")->value);
        if (!is_right(&line, &run)) {
            print_error("%s: expected %s (%s), got %d %s at %llu\n", jsonl_get(&line, "id")->value,
                        jsonl_get(&line, "expected")->value, jsonl_get(&line, "traits")->value, (int)run.end,
                        xml_error_text(run.error), (unsigned long long)run.offset);
            wrong++;
        }
        count++;
        run_free(&run);
        free(room);
        free(xml);
    }
    jsonl_close(&file);
    assert_int_equal(wrong, 0);
    assert_int_equal(count, 830);
}

/* --- stream cases ---------------------------------------------------------------------------------------------------
 */

/* The stream errors that a tokenizer's refusal becomes. */
static const char *stream_error(enum xml_error error)
{
    switch (error) {
    case XML_NOT_WELL_FORMED:
    case XML_NAMESPACE:
    case XML_VERSION:
        return "not-well-formed";
    case XML_RESTRICTED:
        return "restricted-xml";
    case XML_ENCODING:
        return "unsupported-encoding";
    case XML_STRAY_TEXT:
        return "bad-format";
    case XML_OK:
    case XML_LIMIT_SIZE:
    case XML_LIMIT_DEPTH:
    case XML_LIMIT_ATTRIBUTES:
    case XML_LIMIT_ELEMENTS:
    case XML_LIMIT_NAME:
    case XML_LIMIT_NAMESPACES:
    case XML_MEMORY:
    case XML_ERROR_COUNT:
        break;
    }
    return "none of its own";
}

/* Outcomes that only a stream can come to: there the tokenizer accepts. */
static bool is_streams(const char *outcome)
{
    static const char *const streams[] = {
        "accept",         "host-unknown",        "improper-addressing",     "invalid-namespace",
        "not-authorized", "unsupported-version", "unsupported-stanza-type", "policy-violation",
        "invalid-from",   "invalid-xml"};
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
        if (strcmp(outcome, streams[i]) == 0)
            return true;
    }
    return strncmp(outcome, "stanza error", 12) == 0;
}

static bool case_is_right(const struct jsonl_line *line, const struct run *run, uint64_t start)
{
    bool may_pass = false;
    for (unsigned i = 0; i < line->count; i++) {
        if (strcmp(line->fields[i].name, "expect") == 0)
            may_pass |= is_streams(line->fields[i].value);
    }
    if (run->end != RUN_REFUSED)
        return may_pass;
    /* The header before the case is never at fault. */
    return run->offset >= start && jsonl_has(line, "expect", stream_error(run->error));
}

#define DECLARATION "<?xml version='1.0'?>"
#define HEADER                                                                                                         \
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='example.com' "           \
    "version='1.0'>"

static void reader__stream_cases__verdicts_as_listed(void **state)
{
    (void)state;
    struct jsonl_file file = jsonl_open("xmpp-stream-cases.jsonl");
    struct jsonl_line line;
    unsigned count = 0;
    unsigned wrong = 0;
    while (jsonl_next(&file, &line)) {
        size_t size = 0;
        char *sent = jsonl_bytes(&line, "send", "send_b64", &size);
        bool is_open = strcmp(jsonl_get(&line, "context")->value, "open") == 0;
        struct span before = is_open ? SPAN("") : SPAN(DECLARATION HEADER);
        char *room = NULL;
        struct span bytes = concat(&room, before, span_of(sent, size), SPAN(""));
        struct run run = run_all_ways(bytes, jsonl_get(&line, "id")->value);
        if (!case_is_right(&line, &run, before.size)) {
            print_error("%s: %d %s at %llu\n", jsonl_get(&line, "id")->value, (int)run.end, xml_error_text(run.error),
                        (unsigned long long)run.offset);
            wrong++;
        }
        count++;
        run_free(&run);
        free(room);
        free(sent);
    }
    jsonl_close(&file);
    assert_int_equal(wrong, 0);
    assert_int_equal(count, 113);
}

/* --- what the cases leave open: the exact error and its offset -------------------------------------------------------
 */

struct exact {
    const char *xml; /* behind HEADER when it does not begin with '=' */
    enum xml_error error;
    unsigned offset; /* behind the header */
};

static const struct exact exacts[] = {
    {"<a><b></a>", XML_NOT_WELL_FORMED, 8},
    {"<a b='<'/>", XML_NOT_WELL_FORMED, 6},
    {"<a>&nbsp;</a>", XML_RESTRICTED, 8},
    {"<a>&nbsp </a>", XML_NOT_WELL_FORMED, 8},
    {"<a>&n:b;</a>", XML_NAMESPACE, 5},
    {"<a>]]></a>", XML_NOT_WELL_FORMED, 5},
    {"<a><![CDATA[]]]]>></a>", XML_OK, 0},
    {"<a>&#93;]></a>", XML_OK, 0},
    {"<a><!--", XML_RESTRICTED, 6},
    {"<a><!-x", XML_NOT_WELL_FORMED, 6},
    {"<!DOCTYPE", XML_RESTRICTED, 8},
    {"<!DOCTYPO", XML_NOT_WELL_FORMED, 8},
    {"<![CDATA[", XML_STRAY_TEXT, 8},
    {"<a><?p", XML_RESTRICTED, 5},
    {"<a><? ", XML_NOT_WELL_FORMED, 5},
    {"<a>\xc3\x28", XML_ENCODING, 3},
    {"<a>\xef\xbf\xbf", XML_NOT_WELL_FORMED, 3},
    {"<a>\xf0\x90\x80\x80</a>", XML_OK, 0},
    {"<a \xc3\xa4='1'/>", XML_OK, 0},
    {"<a \xc3\x97='1'/>", XML_NOT_WELL_FORMED, 3},
    {"<a:b/>", XML_NAMESPACE, 5},
    {"<:b/>", XML_NAMESPACE, 1},
    {"<a: xmlns:a='u'/>", XML_NAMESPACE, 3},
    {"<a:1 xmlns:a='u'/>", XML_NAMESPACE, 3},
    {"<a b='1' b='2'/>", XML_NOT_WELL_FORMED, 15},
    {"<a x:b='1' y:b='2' xmlns:x='u' xmlns:y='u'/>", XML_NAMESPACE, 43},
    {"<a x:b='1' y:b='2' x:b='3' xmlns:x='u' xmlns:y='u'/>", XML_NOT_WELL_FORMED, 51},
    {"<a x:b='1' y:b='2' xmlns:x='u' xmlns:y='&#117;'/>", XML_NAMESPACE, 48},
    {"<a x:b='1' b='2' xmlns:x='u'/>", XML_OK, 0},
    {"<a xmlns:b=''/>", XML_NAMESPACE, 14},
    {"<a xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", XML_OK, 0},
    {"<a xmlns='http://www.w3.org/XML/1998/namespace'/>", XML_NAMESPACE, 48},
    {"<xmlns:a/>", XML_NAMESPACE, 9},
    {"<a b='1'c='2'/>", XML_NOT_WELL_FORMED, 8},
    {"<a></a b='1'>", XML_NOT_WELL_FORMED, 7},
    {"</stream:stream >", XML_OK, 0},
    {"</stream:strea>", XML_NOT_WELL_FORMED, 14},
    {"</stream:stream> \n", XML_OK, 0},
    {"</stream:stream><a/>", XML_NOT_WELL_FORMED, 16},
    {" \t\r\n&amp;", XML_STRAY_TEXT, 4},
    {"\xff", XML_ENCODING, 0},
    {"=\xef\xbb\xbf<a/>", XML_NOT_WELL_FORMED, 0},
    {"=\xfe\xff", XML_ENCODING, 0},
    {"=\xff\xfe<", XML_ENCODING, 0},
    {"=<?xml version='1.0' encoding='Utf-8' standalone='yes' ?> <a/>", XML_OK, 0},
    {"=<?xml version='1.0' standalone='no'?>", XML_RESTRICTED, 36},
    {"=<?xml version='1.0' standalone='maybe'?>", XML_NOT_WELL_FORMED, 39},
    {"=<?xml version='1.1'?>", XML_VERSION, 20},
    {"=<?xml encoding='UTF-8'?>", XML_NOT_WELL_FORMED, 23},
    {"=<?xml version='1.0'encoding='UTF-8'?>", XML_NOT_WELL_FORMED, 36},
    {"=<?xml version='1.0' encoding='latin1'?>", XML_ENCODING, 38},
    {"=<?xml version='1.0' encoding='8859'?>", XML_NOT_WELL_FORMED, 36},
    {"=<?xml version='1.0' <", XML_NOT_WELL_FORMED, 20},
    {"=<?xml?>", XML_NOT_WELL_FORMED, 5},
    {"=<?xmlx ", XML_RESTRICTED, 5},
    {"=<?xm l", XML_RESTRICTED, 4},
    {"=<?x", XML_OK, 0},
    {"= <?xml version='1.0'?>", XML_RESTRICTED, 3},
    {"=</a>", XML_NOT_WELL_FORMED, 1},
    {"=<a/>", XML_OK, 0},
    {"=<a/> <b/>", XML_NOT_WELL_FORMED, 5},
};

static void reader__faults__named_exactly(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof exacts / sizeof exacts[0]; i++) {
        const struct exact *e = &exacts[i];
        bool is_bare = *e->xml == '=';
        char *room = NULL;
        struct span bytes = concat(&room, is_bare ? SPAN("") : SPAN(HEADER), span_str(e->xml + is_bare), SPAN(""));
        struct run run = run_all_ways(bytes, e->xml);
        unsigned offset = (unsigned)(run.offset - (is_bare ? 0 : sizeof HEADER - 1));
        bool is_refused = run.end == RUN_REFUSED;
        if (is_refused != (e->error != XML_OK) || (is_refused && (run.error != e->error || offset != e->offset))) {
            print_error("%s: %s at %u\n", e->xml, xml_error_text(run.error), offset);
            wrong++;
        }
        run_free(&run);
        free(room);
    }
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader__w3c_documents__verdicts_as_listed),
        cmocka_unit_test(reader__stream_cases__verdicts_as_listed),
        cmocka_unit_test(reader__faults__named_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
