/* SPDX-License-Identifier: MIT */
/*
 * Each limit at n and n + 1 in every chunking, the memory of a cut element, and the cost of what peers could make
 * expensive.
 */
#include "tests/unit/core/suite.h"
#include "tests/unit/core/xml_dice.h"
#include "tests/unit/core/xml_run.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define HEADER "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>"

static void add(struct made *made, const char *text)
{
    made_add(made, span_str(text));
}

static void add_many(struct made *made, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(made, text);
}

static struct span span_made(const struct made *made)
{
    return span_of(made->bytes, made->size);
}

/* --- n and n + 1 ----------------------------------------------------------------------------------------------------
 */

static const struct xml_limits tight = {
    .stanza_size_max = 1000,
    .element_max = 5,
    .depth_max = 3,
    .attribute_max = 4,
    .name_size_max = 10,
    .namespace_max = 4,
};

struct bound {
    const char *xml; /* behind HEADER */
    enum xml_error error;
    unsigned offset; /* behind HEADER */
};

static const struct bound bounds[] = {
    {"<a><b><c/></b></a>", XML_OK, 0},
    {"<a><b><c><d/></c></b></a>", XML_LIMIT_DEPTH, 10},
    {"<a><b/><b/><b/><b/></a>", XML_OK, 0},
    {"<a><b/><b/><b/><b/><b/></a>", XML_LIMIT_ELEMENTS, 20},
    {"<a b='' c='' d='' e=''/>", XML_OK, 0},
    {"<a b='' c='' d='' e='' f=''/>", XML_LIMIT_ATTRIBUTES, 23},
    {"<a b='' c='' d='' xmlns='' f=''/>", XML_LIMIT_ATTRIBUTES, 27},
    {"<abcdefghij/>", XML_OK, 0},
    {"<abcdefghijk/>", XML_LIMIT_NAME, 11},
    {"<a abcdefghij=''/>", XML_OK, 0},
    {"<a abcdefghijk=''/>", XML_LIMIT_NAME, 13},
    {"<a abcdefghi\xc3\xa4=''/>", XML_LIMIT_NAME, 13},
    {"<a>&abcdefghijk;</a>", XML_LIMIT_NAME, 14},
    {"<a xmlns:b='u' xmlns:c='u'/>", XML_OK, 0},
    {"<a xmlns:b='u' xmlns:c='u' xmlns='v'/>", XML_LIMIT_NAMESPACES, 37},
    {"<a xmlns:b='u'><b xmlns:b='u'/><b xmlns:b='u'><c xmlns='w'/></b></a>", XML_LIMIT_NAMESPACES, 59},
    {"<a xmlns:b='u'><b xmlns:b='u'/><b xmlns:b='u'/><b xmlns:b='u'/></a>", XML_OK, 0},
};

static struct run run_any(struct span bytes, const struct xml_limits *limits)
{
    static const size_t chunks[] = {1, 2, 3, 7, 33, 64, 1000};
    static const char *const scanners[] = {"generic", "avx2"};
    struct run whole = run_reader(bytes, 0, bytes.size, limits, RUN_TAPE);
    for (size_t i = 0; i < 2 * sizeof chunks / sizeof chunks[0]; i++) {
        if (!xml_scan_force(scanners[i & 1]))
            continue;
        struct run run = run_reader(bytes, 0, chunks[i / 2], limits, RUN_TAPE);
        assert_true(run_is_equal(&whole, &run));
        run_free(&run);
    }
    return whole;
}

static void limits__at_the_bound__next_one_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        struct made made = {0};
        add(&made, HEADER);
        add(&made, bounds[i].xml);
        struct run run = run_any(span_made(&made), &tight);
        unsigned offset = (unsigned)(run.offset - (sizeof HEADER - 1));
        if (run.error != bounds[i].error || (run.error != XML_OK && offset != bounds[i].offset))
            print_error("%s: %s at %u\n", bounds[i].xml, xml_error_text(run.error), offset);
        assert_int_equal(run.error, bounds[i].error);
        assert_true(run.error == XML_OK || offset == bounds[i].offset);
        run_free(&run);
        made_free(&made);
    }
}

static void limits__stanza_size__exact(void **state)
{
    (void)state;
    static const char *const frames[][3] = {
        {"<a>", "x", "</a>"}, {"<a b='", "x", "'/>"},    {"<a>", "<b></b>", "</a>"},
        {"<a", " ", "/>"},    {"<a>&#", "0", "65;</a>"},
    };
    struct xml_limits limits = xml_limits_default;
    limits.stanza_size_max = 1000;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        size_t outer = strlen(frames[i][0]) + strlen(frames[i][2]);
        size_t unit = strlen(frames[i][1]);
        for (size_t extra = 0; extra < 2; extra++) {
            struct made made = {0};
            add(&made, HEADER);
            add_many(&made, frames[i][1], 0);
            add(&made, frames[i][0]);
            add_many(&made, frames[i][1], (1000 - outer) / unit);
            /* What is missing to 1000, and one more, goes into the end tag's or the tag's white space. */
            size_t missing = 1000 + extra - outer - (1000 - outer) / unit * unit;
            made_add(&made, span_of(frames[i][2], strlen(frames[i][2]) - (i == 1 || i == 3 ? 2 : 1)));
            add_many(&made, " ", missing);
            add(&made, i == 1 || i == 3 ? "/>" : ">");
            struct run run = run_any(span_made(&made), &limits);
            assert_int_equal(run.error, extra ? XML_LIMIT_SIZE : XML_OK);
            assert_int_equal(run.offset, sizeof HEADER - 1 + 1000);
            assert_true(run.memory_max < 3 * 1000 + 2048);
            run_free(&run);
            made_free(&made);
        }
    }
}

static void limits__header__bounded_too(void **state)
{
    (void)state;
    struct xml_limits limits = xml_limits_default;
    limits.stanza_size_max = 100;
    struct made made = {0};
    add(&made, "<s:stream xmlns:s='");
    add_many(&made, "x", 100);
    struct run run = run_any(span_made(&made), &limits);
    assert_int_equal(run.error, XML_LIMIT_SIZE);
    assert_int_equal(run.offset, 100);
    run_free(&run);
    made_free(&made);
    add(&made, "<s");
    for (int i = 0; i < 33; i++) {
        char text[32];
        snprintf(text, sizeof text, " xmlns:p%d='u'", i);
        add(&made, text);
    }
    add(&made, ">");
    run = run_any(span_made(&made), &xml_limits_default);
    assert_int_equal(run.error, XML_LIMIT_NAMESPACES);
    run_free(&run);
    made_free(&made);
}

/* --- memory ---------------------------------------------------------------------------------------------------------
 */

struct flood {
    const char *unit;
    double most; /* bytes held for each byte of the element, beyond 4 KiB */
};

/* README, invariant 6. Without namespace declarations 1.5; each name declared anew costs 8 bytes more. */
static const struct flood floods[] = {
    {"text ", 1.25},
    {"ж", 1.25},
    {"&amp;", 1.25},
    {"<b/>", 1.5},
    {"<b></b>", 1.5},
    {"<b>x</b>", 1.5},
    {"<b >x</b >", 2.0},
    {"<b c=''/>", 1.5},
    {"<b c='' d='' e='' f=''/>", 1.5},
    {"<b c = 'x' />", 2.0},
    {"<a xmlns=''/>", 2.0},
    {"<p:b xmlns:p='u'/>", 2.0},
    {"<message id='12345678' type='chat'><body>A body of usual size, or a little less</body></message>", 1.3},
};

static void memory__cut_element__bounded_by_its_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof floods / sizeof floods[0]; i++) {
        struct made made = {0};
        add(&made, HEADER "<a>");
        while (made.size < 200000)
            add(&made, floods[i].unit);
        struct run run = run_reader(span_made(&made), 0, 1000, &xml_limits_default, RUN_QUIET);
        assert_int_equal(run.end, RUN_OPEN);
        double ratio = ((double)run.memory_max - 4096) / (double)made.size;
        if (getenv("SL_TEST_VERBOSE"))
            print_message("%-40.40s %.3f\n", floods[i].unit, ratio);
        assert_true(ratio <= floods[i].most);
        run_free(&run);
        made_free(&made);
    }
}

/* The worst there is: every element declares a name of its own. */
static void memory__declaration_flood__bounded(void **state)
{
    (void)state;
    struct made made = {0};
    add(&made, HEADER "<a>");
    for (unsigned i = 0; i < 20000; i++) {
        char text[32];
        snprintf(text, sizeof text, "<a xmlns='%x'/>", i);
        add(&made, text);
    }
    struct run run = run_reader(span_made(&made), 0, 1000, &xml_limits_default, RUN_QUIET);
    assert_int_equal(run.end, RUN_OPEN);
    assert_true((double)run.memory_max <= 2.5 * (double)made.size + 4096);
    run_free(&run);
    made_free(&made);
}

static void memory__at_rest__only_the_struct(void **state)
{
    (void)state;
    static const char *const streams[] = {
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a'><m/> ",
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' "
        "xmlns='jabber:server'>\n<m/>",
    };
    for (size_t i = 0; i < 2; i++) {
        struct xml_scratch *scratch = xml_scratch_new(&xml_limits_default);
        struct xml_reader reader;
        struct xml_stanza stanza;
        xml_reader_init(&reader, &xml_limits_default);
        for (const char *p = streams[i]; *p; p++) {
            struct span in = span_of(p, 1);
            while (xml_reader_next(&reader, scratch, &in, &stanza) != XML_MORE)
                continue;
        }
        assert_null(reader.partial);
        assert_int_equal(xml_reader_memory(&reader), 0);
        assert_int_equal(xml_reader_prefixes(&reader), 2);
        xml_reader_restart(&reader);
        assert_int_equal(xml_reader_prefixes(&reader), 0);
        assert_int_equal(reader.offset, 0);
        xml_reader_fini(&reader);
        xml_scratch_free(scratch);
    }
}

/* --- depth without recursion ----------------------------------------------------------------------------------------
 */

static void *run_deep(void *argument)
{
    struct made *made = argument;
    struct xml_limits limits = xml_limits_default;
    limits.depth_max = UINT16_MAX;
    struct run run = run_reader(span_made(made), 0, 1000, &limits, RUN_QUIET);
    bool is_right = run.end == RUN_ENDED && run.stanzas == 1;
    run_free(&run);
    return is_right ? made : NULL;
}

static void depth__on_a_small_stack__needs_none(void **state)
{
    (void)state;
    struct made made = {0};
    add(&made, HEADER);
    add_many(&made, "<a>", 60000);
    add_many(&made, "</a>", 60000);
    add(&made, "</s:stream>");
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    assert_int_equal(pthread_attr_setstacksize(&attributes, 65536 * 2), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, &attributes, run_deep, &made), 0);
    void *result = NULL;
    pthread_join(thread, &result);
    pthread_attr_destroy(&attributes);
    assert_ptr_equal(result, &made);
    made_free(&made);
}

/* --- cost -----------------------------------------------------------------------------------------------------------
 */

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The least of three: noise only ever adds. */
static double cost(struct span bytes, size_t chunk)
{
    double least = 1e9;
    for (int i = 0; i < 3; i++) {
        double start = cpu_now();
        struct run run = run_reader(bytes, 0, chunk, &xml_limits_default, RUN_QUIET);
        double taken = cpu_now() - start;
        least = taken < least ? taken : least;
        run_free(&run);
    }
    return least;
}

struct token {
    const char *name, *before, *unit, *after;
    bool is_numbered;
};

static const struct token tokens[] = {
    {"text", "<a>", "x", "</a>", false},
    {"high text", "<a>", "\xc3\xa4", "</a>", false},
    {"entities", "<a>", "&lt;", "</a>", false},
    {"value", "<a b='", "x", "'/>", false},
    {"spaces", "<a", " ", "/>", false},
    {"character reference", "<a>&#", "0", "65;</a>", false},
    {"cdata", "<a><![CDATA[", "]", "]]></a>", false},
    {"elements", "<a>", "<b></b>", "</a>", false},
    {"names", "<a>", "<abcdefghijklmnopqrstuv bcdefghijklmn='&quot;'></abcdefghijklmnopqrstuv>", "</a>", false},
    {"attributes", "<a", " a%u=''", "/>", true},
    {"declarations", "<a>", "<b xmlns='u%u'/>", "</a>", true},
    {"prefixes", "<a>", "<p:b xmlns:p='u%u' p:c=''/>", "</a>", true},
    {"encoded declarations", "<a>", "<b xmlns='u&amp;%u'/>", "</a>", true},
};

static void made_token(struct made *made, const struct token *token, size_t size)
{
    add(made, HEADER);
    add(made, token->before);
    for (unsigned i = 0; made->size < size; i++) {
        char text[64];
        /* The formats are this file's own. */
        if (token->is_numbered) {
            const char *at = strchr(token->unit, '%');
            snprintf(text, sizeof text, "%.*s%u%s", (int)(at - token->unit), token->unit, i % 4000, at + 2);
        } else {
            snprintf(text, sizeof text, "%s", token->unit);
        }
        if (strcmp(token->name, "attributes") == 0 && i == 4000)
            break;
        add(made, text);
    }
    add(made, token->after);
}

/* Twice the bytes at twice the cost, at every chunking. A quadratic path would be four times; the bound leaves room for
 * a busy machine. */
static void cost__large_tokens__linear_at_any_chunking(void **state)
{
    (void)state;
    static const size_t chunks[] = {1, 2, 3, 7, 64, 4096, 1u << 20};
    xml_scan_force("avx2");
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++) {
        struct made half = {0};
        struct made full = {0};
        bool is_tag = strcmp(tokens[i].name, "attributes") == 0;
        made_token(&half, &tokens[i], is_tag ? 7000 : 16384);
        made_token(&full, &tokens[i], is_tag ? 14000 : 32768);
        for (size_t c = 0; c < sizeof chunks / sizeof chunks[0]; c++) {
            double once = 0;
            double twice = 1;
            for (int attempt = 0; attempt < 5 && twice >= 3 * once + 1e-3; attempt++) {
                once = cost(span_made(&half), chunks[c]);
                twice = cost(span_made(&full), chunks[c]);
            }
            if (getenv("SL_TEST_VERBOSE"))
                print_message("%-22s chunk %7zu: %6.2f ns/B, x%.2f\n", tokens[i].name, chunks[c],
                              twice * 1e9 / (double)full.size, twice / once);
            assert_true(twice < 3 * once + 1e-3);
        }
        made_free(&half);
        made_free(&full);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits__at_the_bound__next_one_refused),
        cmocka_unit_test(limits__stanza_size__exact),
        cmocka_unit_test(limits__header__bounded_too),
        cmocka_unit_test(memory__cut_element__bounded_by_its_bytes),
        cmocka_unit_test(memory__declaration_flood__bounded),
        cmocka_unit_test(memory__at_rest__only_the_struct),
        cmocka_unit_test(depth__on_a_small_stack__needs_none),
        cmocka_unit_test(cost__large_tokens__linear_at_any_chunking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
