/* SPDX-License-Identifier: MIT */
/*
 * What is not namespace-well-formed, read on to its end (RFC 6120 s11.3, rule 4): where elements end and which of them
 * are at fault, held against expat without and with namespaces; the W3C suite's namespace cases inside a stanza; and
 * what is never spared.
 */
#include "tests/unit/core/jsonl.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/core/xml_dice.h"
#include "tests/unit/core/xml_spare.h"

#include <stdlib.h>

#define HEADER                                                                                                         \
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:c='jabber:client' "    \
    "xmlns:h='urn:h'>"
#define FOOTER  "</stream:stream>"
#define XML_NS  "http://www.w3.org/XML/1998/namespace"
#define XMLNS   "http://www.w3.org/2000/xmlns/"
#define STREAMS 4000u

static const char *const scanners[] = {"generic", "avx2"};

static struct made stream_of(struct span content)
{
    struct made made = {0};
    made_add(&made, SPAN(HEADER));
    made_add(&made, content);
    made_add(&made, SPAN(FOOTER));
    return made;
}

/* Whole, byte by byte and at every split, with both scanners. */
static bool is_right_at_every_split(struct span bytes)
{
    for (unsigned s = 0; s < 2; s++) {
        if (!xml_scan_force(scanners[s]))
            continue;
        struct run whole = run_reader(bytes, 0, bytes.size, &spare_limits, RUN_TAPE);
        bool is_same = true;
        for (size_t first = 0; first <= bytes.size && is_same; first++) {
            struct run run = run_reader(bytes, first, first ? bytes.size : 1, &spare_limits, RUN_TAPE);
            is_same = run_is_equal(&whole, &run);
            run_free(&run);
        }
        run_free(&whole);
        const char *fault = is_same ? spare_fault(bytes, bytes.size / 2 + 1, 3) : "a split";
        if (fault) {
            print_error("%s, %s: %.*s\n", scanners[s], fault, SPAN_ARG(bytes));
            return false;
        }
    }
    return true;
}

/* --- the W3C suite --------------------------------------------------------------------------------------------------
 */

/* Not a fault of namespaces to us: see test_xml_conformance. The second holds processing instructions. */
static bool is_other(const char *id)
{
    return strcmp(id, "rmt-ns10-012") == 0 || strcmp(id, "x-ibm-1-0.5-valid-P05-ibm05v02.xml") == 0;
}

static void misnamed__w3c_cases_in_a_stanza__one_each_and_the_next_is_told(void **state)
{
    (void)state;
    struct jsonl_file file = jsonl_open("prologless.jsonl");
    struct jsonl_line line;
    unsigned count = 0;
    while (jsonl_next(&file, &line)) {
        const char *id = jsonl_get(&line, "id")->value;
        if (strcmp(jsonl_get(&line, "expected")->value, "ns-not-wf") != 0 || is_other(id))
            continue;
        size_t size = 0;
        char *xml = jsonl_bytes(&line, "xml", "xml_b64", &size);
        struct made content = {0};
        made_add(&content, SPAN("<message id='1'>"));
        made_add(&content, span_of(xml, size));
        made_add(&content, SPAN("</message><message id='2'/>"));
        struct made made = stream_of(span_of(content.bytes, content.size));
        struct span bytes = span_of(made.bytes, made.size);
        struct run strict = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_QUIET);
        struct run run = run_reader(bytes, 0, bytes.size, &spare_limits, RUN_QUIET);
        if (run.end != RUN_ENDED)
            print_error("%s: %s\n", id, xml_error_text(run.error));
        assert_int_equal(strict.error, XML_NAMESPACE);
        assert_int_equal(strict.stanzas, 0);
        assert_int_equal(run.end, RUN_ENDED);
        assert_int_equal(run.misnamed, 1);
        assert_int_equal(run.stanzas, 1);
        assert_true(is_right_at_every_split(bytes));
        count++;
        made_free(&made);
        made_free(&content);
        free(xml);
    }
    jsonl_close(&file);
    assert_int_equal(count, 23);
}

/* --- by hand --------------------------------------------------------------------------------------------------------
 */

enum expected {
    WELL,     /* a stanza */
    MISNAMED, /* spared */
    STREAM,   /* a namespace fault that ends the stream */
    OTHER,    /* another fault, which always does */
};

struct written {
    const char *xml;
    enum expected expected;
};

static const struct written list[] = {
    /* prefixes */
    {"<m><x:y/></m>", MISNAMED},
    {"<m><x:y></x:y></m>", MISNAMED},
    {"<m x:y='1'/>", MISNAMED},
    {"<m><a xmlns:x='u'/><x:y/></m>", MISNAMED},
    {"<m><xmlns:y/></m>", MISNAMED},
    {"<m><h:y/><c:z/></m>", WELL},
    /* names */
    {"<m><a:b:c/></m>", MISNAMED},
    {"<m><:a></:a></m>", MISNAMED},
    {"<m><a:/></m>", MISNAMED},
    {"<m><:/></m>", MISNAMED},
    {"<m><h:1/></m>", MISNAMED},
    {"<m :='1' ::='2' a::b='3'/>", MISNAMED},
    {"<m h:1='1'/>", MISNAMED},
    {"<m><1:a/></m>", OTHER},
    {"<m><h:\xc2\xb7/></m>", MISNAMED},
    {"<m><h:\xc3\x97/></m>", OTHER},
    /* declarations */
    {"<m xmlns:xml='u'/>", MISNAMED},
    {"<m xmlns:x='" XML_NS "'/>", MISNAMED},
    {"<m xmlns:xmlns='u'/>", MISNAMED},
    {"<m xmlns:xmlns='" XMLNS "'/>", MISNAMED},
    {"<m xmlns:x=''/>", MISNAMED},
    {"<m xmlns:='u'/>", MISNAMED},
    {"<m xmlns:='u' xmlns:x='u'><x:y/></m>", MISNAMED},
    {"<m xmlns:a:b='u'/>", MISNAMED},
    {"<m><x xmlns='" XML_NS "'/></m>", MISNAMED},
    {"<m><x xmlns='" XMLNS "'/></m>", MISNAMED},
    {"<m xmlns:xml='" XML_NS "'/>", WELL},
    /* attributes that are one once expanded */
    {"<m xmlns:x='u' xmlns:y='u' x:a='1' y:a='2'/>", MISNAMED},
    {"<m xmlns:x='u' xmlns:y='&#117;'><b x:a='1' y:a='2'/></m>", MISNAMED},
    {"<m xmlns:x='jabber:client' x:a='1' c:a='2'/>", MISNAMED},
    {"<m xmlns:x='jabber:client' x:a='1' a='2'/>", WELL},
    /* the same as written is XML's own fault, whatever else is wrong */
    {"<m a='1' a='2'/>", OTHER},
    {"<m x:a='1' x:a='2'/>", OTHER},
    {"<m><y:z/><b x:a='1' x:a='2'/></m>", OTHER},
    {"<m xmlns:x='u' xmlns:y='u' x:a='1' y:a='2' x:a='3'/>", OTHER},
    {"<m xmlns:x='u' xmlns:y='u' y:a='2' x:a='1' x:a='3'/>", OTHER},
    {"<m xmlns:x='u' xmlns:x='v'/>", OTHER},
    {"<m :a='1' :a='2'/>", OTHER},
    {"<m xmlns:='u' xmlns:='v'/>", OTHER},
    /* the top-level element's own name or namespace: nobody can say what it is */
    {"<x:m/>", STREAM},
    {"<:m/>", STREAM},
    {"<c:/>", STREAM},
    {"<c:m:n/>", STREAM},
    {"<xmlns:m/>", STREAM},
    {"<m xmlns='" XML_NS "'/>", STREAM},
    {"<m xmlns='" XMLNS "'/>", STREAM},
    {"<c:m xmlns:c=''/>", STREAM},
    {"<c:m xmlns:c='" XML_NS "'/>", STREAM},
    {"<c:m xmlns='" XML_NS "'/>", MISNAMED},
    {"<m xmlns:c=''/>", MISNAMED},
    /* never spared, before or behind a spared fault */
    {"<m><x:y/></n>", OTHER},
    {"<m><x:y></y></m>", OTHER},
    {"<m><x:y></z:y></m>", OTHER},
    {"<m><x:y/><!-- --></m>", OTHER},
    {"<m><x:y/><?p?></m>", OTHER},
    {"<m><x:y/>&nbsp;</m>", OTHER},
    {"<m><x:y/>&x:y;</m>", STREAM},
    {"<m><x:y/>\xff</m>", OTHER},
    {"<m><x:y/>\x01</m>", OTHER},
    {"<m><x:y a='<'/></m>", OTHER},
};

static bool is_as_expected(const struct run *run, enum expected expected)
{
    switch (expected) {
    case WELL:
        return run->end == RUN_ENDED && run->misnamed == 0 && run->stanzas == 2;
    case MISNAMED:
        return run->end == RUN_ENDED && run->misnamed == 1 && run->stanzas == 1;
    case STREAM:
        return run->end == RUN_REFUSED && run->error == XML_NAMESPACE && run->misnamed == 0 && run->stanzas == 0;
    case OTHER:
        return run->end == RUN_REFUSED && run->error != XML_NAMESPACE && run->misnamed == 0 && run->stanzas == 0;
    }
    return false;
}

static void misnamed__written_cases__spared_or_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct made content = {0};
        made_add(&content, span_str(list[i].xml));
        made_add(&content, SPAN("<n/>"));
        struct made made = stream_of(span_of(content.bytes, content.size));
        struct span bytes = span_of(made.bytes, made.size);
        struct run run = run_reader(bytes, 0, bytes.size, &spare_limits, RUN_QUIET);
        if (!is_as_expected(&run, list[i].expected))
            print_error("%s: %d %s, %u misnamed\n", list[i].xml, (int)run.end, xml_error_text(run.error), run.misnamed);
        assert_true(is_as_expected(&run, list[i].expected));
        assert_true(is_right_at_every_split(bytes));
        made_free(&made);
        made_free(&content);
    }
}

/* Nothing is spared before there is a header, nor in it. */
static void misnamed__header__never_spared(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "<x:stream xmlns='jabber:client'>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' x:y='1'>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns:x=''>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns:xml='u'>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns:s='u' xmlns:t='u' s:a='' t:a=''>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' a:b:c='1'>",
        "<s:stream:x xmlns:s='http://etherx.jabber.org/streams'>",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        struct span bytes = span_str(headers[i]);
        struct run run = run_reader(bytes, 0, bytes.size, &spare_limits, RUN_TAPE);
        assert_int_equal(run.end, RUN_REFUSED);
        assert_int_equal(run.error, XML_NAMESPACE);
        for (size_t first = 1; first < bytes.size; first++) {
            struct run cut = run_reader(bytes, first, bytes.size, &spare_limits, RUN_TAPE);
            assert_true(run_is_equal(&run, &cut));
        }
    }
}

/* Limits hold behind a spared fault as before it. */
static void misnamed__over_a_limit__ends_the_stream(void **state)
{
    (void)state;
    static const struct {
        const char *xml;
        enum xml_error error;
    } cases[] = {
        {"<m><x:y/><a><a><a/></a></a></m>", XML_LIMIT_DEPTH},
        {"<m><x:y/><a/><a/><a/><a/></m>", XML_LIMIT_ELEMENTS},
        {"<m><x:y/><a b='' c='' d='' e='' f=''/></m>", XML_LIMIT_ATTRIBUTES},
        {"<m><x:y/><abcdefghijklmnopqrstuvwxyz/></m>", XML_LIMIT_NAME},
        {"<m><x:abcdefghijklmnopqrstuvwxyz/></m>", XML_LIMIT_NAME},
        {"<m><x:y/><a xmlns:b='b' xmlns:c='c'><d xmlns:e='e'/></a></m>", XML_LIMIT_NAMESPACES},
        {("<m><x:y/><a>abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
          "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmno</a></m>"),
         XML_LIMIT_SIZE},
    };
    struct xml_limits limits = {180, 5, 3, 4, 16, 6, true};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct made made = stream_of(span_str(cases[i].xml));
        struct span bytes = span_of(made.bytes, made.size);
        for (size_t first = 0; first < bytes.size; first++) {
            struct run run = run_reader(bytes, first, bytes.size, &limits, RUN_QUIET);
            if (run.error != cases[i].error)
                print_error("%s: %s\n", cases[i].xml, xml_error_text(run.error));
            assert_int_equal(run.error, cases[i].error);
            assert_int_equal(run.stanzas + run.misnamed, 0);
        }
        made_free(&made);
    }
}

/* What a router needs for its answer can be read, and nothing that is unbound takes its place. */
static void misnamed__attributes_of_the_stanza__readable(void **state)
{
    (void)state;
    struct span bytes = SPAN(HEADER "<message x:id='no' y:to='no' to='a@b' id='7&amp;'><z:to/></message>");
    struct xml_scratch *scratch = xml_scratch_new(&spare_limits);
    struct xml_reader reader;
    struct xml_stanza stanza;
    char room[16];
    xml_reader_init(&reader, &spare_limits);
    assert_int_equal(xml_reader_next(&reader, scratch, &bytes, &stanza), XML_HEADER);
    assert_int_equal(xml_reader_next(&reader, scratch, &bytes, &stanza), XML_MISNAMED);
    assert_true(stanza.flags & XML_HAS_MISNAMED);
    assert_true(xml_is(&stanza, 0, NS_CLIENT, "message"));
    const struct xml_attribute *to = &stanza.attributes[2], *id = &stanza.attributes[3];
    assert_true(span_is(xml_raw_value(&stanza, to), "a@b"));
    assert_true(span_is(xml_value(&stanza, id, room, sizeof room), "7&"));
    assert_int_equal(stanza.elements[1].ns, NS_NONE);
    xml_reader_fini(&reader);
    xml_scratch_free(scratch);
}

/* --- generated ------------------------------------------------------------------------------------------------------
 */

static void put(struct made *made, const char *text)
{
    made_add(made, span_str(text));
}

static const char *one_of(struct dice *dice, const char *const *list_of, unsigned count)
{
    return list_of[dice_below(dice, count)];
}

#define ONE_OF(dice, array) one_of((dice), (array), sizeof(array) / sizeof *(array))

/* Mostly right; wrong in each way that Namespaces knows. */
static void put_name(struct made *made, struct dice *dice)
{
    static const char *const names[] = {"a",   "b",   "a",     "b",   "h:a",   "h:b", "c:a", "p:a",
                                        "q:a", "p:b", "xml:a", "r:a", "a:b:c", ":a",  "h:",  "p:1"};
    put(made, ONE_OF(dice, names));
}

static void put_attribute(struct made *made, struct dice *dice)
{
    static const char *const declared[] = {"xmlns:p", "xmlns:q",   "xmlns:h",     "xmlns",
                                           "xmlns:r", "xmlns:xml", "xmlns:xmlns", "xmlns:"};
    static const char *const uris[] = {"u", "v", "&#117;", "urn:h", "jabber:client", "u", "", XML_NS, XMLNS};
    bool is_declaration = dice_below(dice, 3) == 0;
    put(made, " ");
    if (is_declaration)
        put(made, declared[dice_below(dice, dice_below(dice, 4) ? 4 : 8)]);
    else
        put_name(made, dice);
    put(made, "='");
    put(made, is_declaration ? uris[dice_below(dice, dice_below(dice, 4) ? 5 : 9)] : "x");
    put(made, "'");
}

/* A level of an element: its tags match as written, but for a few. */
static void put_element(struct made *made, struct dice *dice, unsigned depth)
{
    struct made name = {0};
    if (depth == 0 && dice_below(dice, 8))
        put(&name, "m");
    else
        put_name(&name, dice);
    put(made, "<");
    made_add(made, span_of(name.bytes, name.size));
    for (unsigned n = dice_below(dice, 20) ? dice_below(dice, 4) : 20; n > 0; n--)
        put_attribute(made, dice);
    if (dice_below(dice, 3) == 0) {
        put(made, "/>");
    } else {
        put(made, ">");
        for (unsigned n = depth < 4 ? dice_below(dice, 4) : 0; n > 0; n--)
            put_element(made, dice, depth + 1);
        put(made, dice_below(dice, 2) ? "text" : "");
        put(made, "</");
        if (dice_below(dice, 100))
            made_add(made, span_of(name.bytes, name.size));
        else
            put_name(made, dice);
        put(made, ">");
    }
    made_free(&name);
}

static void misnamed__generated_streams__ends_as_by_others(void **state)
{
    (void)state;
    struct dice dice = dice_seeded(__func__, 40);
    unsigned spared = 0, ended = 0, refused = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        struct made content = {0};
        for (unsigned n = 1 + dice_below(&dice, 3); n > 0; n--)
            put_element(&content, &dice, 0);
        struct made made = stream_of(span_of(content.bytes, content.size));
        if (i % 4 == 3)
            made_spoil(&made, &dice);
        struct span bytes = span_of(made.bytes, made.size);
        xml_scan_force(scanners[i & 1]);
        size_t first = 1 + dice_below(&dice, (uint32_t)bytes.size + 1);
        const char *fault = spare_fault(bytes, first, 1 + dice_below(&dice, 50));
        if (fault)
            print_error("%s: %.*s\n", fault, SPAN_ARG(bytes));
        assert_null(fault);
        struct run run = run_reader(bytes, 0, bytes.size, &spare_limits, RUN_QUIET);
        spared += run.misnamed;
        ended += run.end == RUN_ENDED;
        refused += run.end == RUN_REFUSED;
        made_free(&made);
        made_free(&content);
    }
    /* The generator reaches what it is for. */
    assert_true(spared > STREAMS / 10 && ended > STREAMS / 10 && refused > STREAMS / 10);
}

/* As many cut and spliced stanzas as there are: a large one too, which is kept in compact form while it is cut. */
static void misnamed__large_and_cut__same_tape(void **state)
{
    (void)state;
    struct dice dice = dice_seeded(__func__, 41);
    struct made content = {0};
    put(&content, "<m id='1'>");
    for (unsigned i = 0; i < 300; i++)
        put(&content,
            i % 50 == 49 ? "<x:y xmlns:='' a:b:c='1' :d='2' xmlns:xml=''><h:/></x:y>" : "<p:e xmlns:p='u' p:f='1'/>");
    put(&content, "</m><n/>");
    struct made made = stream_of(span_of(content.bytes, content.size));
    struct span bytes = span_of(made.bytes, made.size);
    for (unsigned i = 0; i < 60; i++)
        assert_null(spare_fault(bytes, 1 + dice_below(&dice, (uint32_t)bytes.size), 1 + dice_below(&dice, 700)));
    struct run run = run_reader(bytes, 0, 7, &spare_limits, RUN_QUIET);
    assert_int_equal(run.misnamed, 1);
    assert_int_equal(run.stanzas, 1);
    made_free(&made);
    made_free(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misnamed__w3c_cases_in_a_stanza__one_each_and_the_next_is_told),
        cmocka_unit_test(misnamed__written_cases__spared_or_not),
        cmocka_unit_test(misnamed__header__never_spared),
        cmocka_unit_test(misnamed__over_a_limit__ends_the_stream),
        cmocka_unit_test(misnamed__attributes_of_the_stanza__readable),
        cmocka_unit_test(misnamed__generated_streams__ends_as_by_others),
        cmocka_unit_test(misnamed__large_and_cut__same_tape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
