/* SPDX-License-Identifier: MIT */
/*
 * Forwarding: what xml_forward writes is put into a stream of its own and read again by expat, libxml2 and the reader:
 * all three must see the tree that was accepted, with the changes, and exactly as many children as were sent.
 */
#include "core/xml/writer.h"
#include "tests/unit/core/jsonl.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/core/xml_dice.h"
#include "tests/unit/core/xml_run.h"

#include <stdlib.h>

static struct made chain_bytes(struct chain *chain, struct chunk_pool *pool)
{
    struct made out = {0};
    for (struct span front = chain_front(chain); front.size; front = chain_front(chain)) {
        made_add(&out, front);
        chain_consume(chain, pool, front.size);
    }
    return out;
}

/* Reads a stream and forwards each of its stanzas into one chain; returns how many, or -1 when it was refused. */
static int forward_all(struct span in, const struct xml_forward *forward, struct chain *chain, struct chunk_pool *pool)
{
    struct xml_scratch *scratch = xml_scratch_new(&xml_limits_default);
    struct xml_reader reader;
    xml_reader_init(&reader, &xml_limits_default);
    int count = 0;
    struct xml_stanza stanza;
    enum xml_event event;
    while ((event = xml_reader_next(&reader, scratch, &in, &stanza)) != XML_MORE && event != XML_REFUSED) {
        if (event != XML_STANZA)
            continue;
        xml_forward(chain, pool, &stanza, &reader, forward);
        count++;
    }
    xml_reader_fini(&reader);
    xml_scratch_free(scratch);
    return event == XML_REFUSED ? -1 : count;
}

static struct made forwarded(struct span in, const struct xml_forward *forward, const char *default_ns)
{
    struct chunk_pool pool;
    struct chain chain = {0};
    chunk_pool_init(&pool, 4);
    assert_true(forward_all(in, forward, &chain, &pool) >= 0);
    struct made stanzas = chain_bytes(&chain, &pool);
    chain_clear(&chain, &pool);
    chunk_pool_fini(&pool);
    struct made out = {0};
    made_add(&out, SPAN("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='"));
    made_add(&out, span_str(default_ns));
    made_add(&out, SPAN("'>"));
    made_add(&out, span_of(stanzas.bytes ? stanzas.bytes : "", stanzas.size));
    made_add(&out, SPAN("</stream:stream>"));
    made_free(&stanzas);
    return out;
}

static bool is_read_alike(struct span bytes)
{
    struct run run = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_EVENTS);
    struct peer expat = run_expat(bytes);
    struct peer libxml = run_libxml(bytes);
    bool is_alike = run.end == RUN_ENDED && expat.end == PEER_ENDED && libxml.end == PEER_ENDED &&
                    record_is_equal(&run.record, &expat.record) && record_is_equal(&run.record, &libxml.record);
    if (!is_alike)
        print_error("not read alike (%d %d %d): %.*s\n", (int)run.end, expat.code, libxml.code, SPAN_ARG(bytes));
    run_free(&run);
    record_free(&expat.record);
    record_free(&libxml.record);
    return is_alike;
}

/* --- generated ------------------------------------------------------------------------------------------------------
 */

/* Without changes the tree must be the one that came in; both headers make the same event. */
/* Holds 6120:8.4/10. */
static void forward__generated_stanzas__tree_unchanged(void **state)
{
    (void)state;
    struct dice dice = dice_seeded(__func__, 30);
    for (unsigned i = 0; i < 1500; i++) {
        struct made in = {0};
        made_add(&in, SPAN("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' "
                           "xmlns:p='urn:&amp;p' xmlns:q='jabber:client'>"));
        for (unsigned n = dice_below(&dice, 4); n > 0; n--)
            made_stanza(&in, &dice);
        made_add(&in, SPAN("</stream:stream>"));
        struct run before = run_reader(span_of(in.bytes, in.size), 0, in.size, &xml_limits_default, RUN_EVENTS);
        if (before.end == RUN_ENDED) {
            struct xml_forward none = {0};
            struct made out = forwarded(span_of(in.bytes, in.size), &none, "jabber:client");
            struct span bytes = span_of(out.bytes, out.size);
            struct run after = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_EVENTS);
            if (!record_is_equal(&before.record, &after.record))
                print_error("in:  %.*s\nout: %.*s\n", (int)in.size, in.bytes, SPAN_ARG(bytes));
            assert_true(record_is_equal(&before.record, &after.record));
            assert_int_equal(before.stanzas, after.stanzas);
            assert_true(is_read_alike(bytes));
            run_free(&after);
            made_free(&out);
        }
        run_free(&before);
        made_free(&in);
    }
}

/* With stamps, language and a swap, and any header: whatever comes out, all three parsers read the same, and as many
 * children. */
/* Holds 6120:11.3/1 6120:11.3/3. */
static void forward__generated_streams__never_splices(void **state)
{
    (void)state;
    struct dice dice = dice_seeded(__func__, 31);
    for (unsigned i = 0; i < 1000; i++) {
        struct made in = {0};
        made_stream(&in, &dice, 3);
        struct run before = run_reader(span_of(in.bytes, in.size), 0, in.size, &xml_limits_default, RUN_QUIET);
        if (before.end == RUN_ENDED) {
            struct xml_forward forward = {.from = SPAN("\"a'<&>\t\n@b/\xc3\xa4"),
                                          .to = SPAN(""),
                                          .lang = SPAN("de"),
                                          .content_from = NS_CLIENT,
                                          .content_to = NS_SERVER};
            struct made out = forwarded(span_of(in.bytes, in.size), &forward, "jabber:server");
            struct span bytes = span_of(out.bytes, out.size);
            struct run after = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_QUIET);
            if (after.end != RUN_ENDED)
                print_error("in:  %.*s\nout: %.*s\n", (int)in.size, in.bytes, (int)out.size, out.bytes);
            assert_int_equal(after.end, RUN_ENDED);
            assert_int_equal(before.stanzas, after.stanzas);
            assert_true(is_read_alike(bytes));
            run_free(&after);
            made_free(&out);
        }
        run_free(&before);
        made_free(&in);
    }
}

/* --- the tree that must come out ------------------------------------------------------------------------------------
 */

static struct span take_span(const uint8_t **p)
{
    uint32_t size;
    memcpy(&size, *p + 1, sizeof size);
    struct span bytes = span_of(*p + 1 + sizeof size, size);
    *p += 1 + sizeof size + size;
    return bytes;
}

static bool is_stamp(struct span uri, struct span name)
{
    return uri.size == 0 ? span_is(name, "from") || span_is(name, "to")
                         : span_equal(uri, xml_ns_uri(NS_XML)) && span_is(name, "lang");
}

/* Writes a reference parser's events again: jabber:client as jabber:server if that is asked for, and without what the
 * stamps of the stanzas (depth 2, the header being 1) replace. */
static struct record changed(const struct record *in, bool is_swapped)
{
    struct record out = {0};
    unsigned depth = 0;
    for (const uint8_t *p = in->bytes, *end = p + in->size; p < end;) {
        char tag = (char)*p;
        if (tag == 'E') {
            depth--;
            p++;
            record_end(&out);
        } else if (tag == 'X') {
            record_text(&out, take_span(&p));
        } else {
            struct span uri = take_span(&p), name = take_span(&p);
            if (is_swapped && span_equal(uri, xml_ns_uri(NS_CLIENT)))
                uri = xml_ns_uri(NS_SERVER);
            struct span value = tag == 'A' ? take_span(&p) : SPAN_NONE;
            depth += tag == 'S';
            if (tag == 'S')
                record_start(&out, uri, name);
            else if (depth != 2 || !is_stamp(uri, name))
                record_attribute(&out, uri, name, value);
        }
    }
    return out;
}

/* What a swap makes of one attribute in jabber:client and one of the same name in jabber:server on one element: README,
 * "Does not support". */
#define EXPAT_DUPLICATE 8 /* XML_ERROR_DUPLICATE_ATTRIBUTE */

/* True when compared; false when the swap made two attributes of one name. */
static bool comes_out_as_accepted(struct span in, const struct peer *before, const struct xml_forward *forward)
{
    bool is_swap = forward->content_to == NS_SERVER;
    struct made out = forwarded(in, forward, is_swap ? "jabber:server" : "jabber:client");
    struct span bytes = span_of(out.bytes, out.size);
    struct peer expat = run_expat(bytes), libxml = run_libxml(bytes);
    struct record wanted = changed(&before->record, is_swap);
    struct record by_expat = changed(&expat.record, false), by_libxml = changed(&libxml.record, false);
    bool is_merged = is_swap && expat.end == PEER_REFUSED && expat.code == EXPAT_DUPLICATE;
    bool is_same = record_is_equal(&wanted, &by_expat) && record_is_equal(&wanted, &by_libxml);
    if (!is_merged && !is_same)
        print_error("in:  %.*s\nout: %.*s\n", SPAN_ARG(in), SPAN_ARG(bytes));
    assert_true(is_merged || is_same);
    record_free(&wanted);
    record_free(&by_expat);
    record_free(&by_libxml);
    record_free(&expat.record);
    record_free(&libxml.record);
    made_free(&out);
    return !is_merged;
}

/* Stamped, and for another server: by expat and libxml2 the tree is the accepted one, but for the stamps and the swap.
 */
static void forward__stamped_and_swapped__tree_as_accepted(void **state)
{
    (void)state;
    struct dice dice = dice_seeded(__func__, 32);
    struct xml_forward forward = {.from = SPAN("a@b/c"), .to = SPAN("d@e"), .lang = SPAN("de")};
    unsigned compared = 0, merged = 0;
    for (unsigned i = 0; i < 1000; i++) {
        struct made in = {0};
        made_add(&in, SPAN("<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' "
                           "xmlns:p='urn:&amp;p' xmlns:q='jabber:client'>"));
        for (unsigned n = 1 + dice_below(&dice, 3); n > 0; n--)
            made_stanza(&in, &dice);
        made_add(&in, SPAN("</stream:stream>"));
        struct span bytes = span_of(in.bytes, in.size);
        struct peer before = run_expat(bytes);
        forward.content_from = i & 1 ? NS_CLIENT : NS_NONE;
        forward.content_to = i & 1 ? NS_SERVER : NS_NONE;
        if (before.end == PEER_ENDED) {
            bool is_compared = comes_out_as_accepted(bytes, &before, &forward);
            compared += is_compared;
            merged += !is_compared;
        }
        record_free(&before.record);
        made_free(&in);
    }
    assert_true(compared > 500 && merged < 50);
}

/* --- what others have collected -------------------------------------------------------------------------------------
 */

#define PLAIN_HEADER "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'>"

/* expat knows the names of the fourth edition only: see test_xml_differential. */
static bool is_newer_name(struct span bytes)
{
    struct peer expat = run_expat(bytes), libxml = run_libxml(bytes);
    record_free(&expat.record);
    record_free(&libxml.record);
    return expat.end == PEER_REFUSED && expat.code == 4 && libxml.end == PEER_ENDED;
}

/* The splice test: S as it came, then T. If S is accepted, what is forwarded has exactly these two children, for three
 * parsers, and they are the tree that was accepted. */
static bool splices(struct span s, unsigned *newer)
{
    struct made in = {0};
    made_add(&in, SPAN(PLAIN_HEADER));
    made_add(&in, s);
    made_add(&in, SPAN("<message id='T'><body>t</body></message></stream:stream>"));
    struct span bytes = span_of(in.bytes, in.size);
    struct run before = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_EVENTS);
    bool is_accepted = before.end == RUN_ENDED && before.stanzas == 2;
    if (is_accepted) {
        struct xml_forward none = {0};
        struct made out = forwarded(bytes, &none, "jabber:client");
        struct span after_bytes = span_of(out.bytes, out.size);
        struct run after = run_reader(after_bytes, 0, after_bytes.size, &xml_limits_default, RUN_EVENTS);
        assert_int_equal(after.stanzas, 2);
        assert_true(record_is_equal(&before.record, &after.record));
        if (is_newer_name(bytes)) {
            ++*newer;
        } else {
            assert_true(is_read_alike(bytes));
            assert_true(is_read_alike(after_bytes));
        }
        run_free(&after);
        made_free(&out);
    }
    run_free(&before);
    made_free(&in);
    return is_accepted;
}

/* Holds 6120:11.3/1 6120:11.3/3. */
static void forward__w3c_documents_and_stream_cases__never_splice(void **state)
{
    (void)state;
    static const struct {
        const char *file, *field, *field_b64;
        unsigned accepted_min;
    } files[] = {{"prologless.jsonl", "xml", "xml_b64", 100}, {"xmpp-stream-cases.jsonl", "send", "send_b64", 10}};
    for (unsigned i = 0; i < 2; i++) {
        struct jsonl_file file = jsonl_open(files[i].file);
        struct jsonl_line line;
        unsigned accepted = 0, newer = 0;
        while (jsonl_next(&file, &line)) {
            size_t size = 0;
            char *sent = jsonl_bytes(&line, files[i].field, files[i].field_b64, &size);
            /* As a stanza itself, and inside one. */
            struct made inside = {0};
            made_add(&inside, SPAN("<message><x xmlns='u'>"));
            made_add(&inside, span_of(sent, size));
            made_add(&inside, SPAN("</x></message>"));
            accepted += splices(span_of(sent, size), &newer);
            accepted += splices(span_of(inside.bytes, inside.size), &newer);
            made_free(&inside);
            free(sent);
        }
        jsonl_close(&file);
        assert_true(accepted >= files[i].accepted_min);
        assert_true(newer <= 32); /* fifteen documents of the suite, twice, and not many more */
    }
}

/* --- by hand --------------------------------------------------------------------------------------------------------
 */

struct written {
    const char *in;
    struct xml_forward forward;
    const char *out;
};

#define HEADER                                                                                                         \
    "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' xmlns:p='u&amp;&apos;v' "              \
    "xmlns:c='jabber:client'>"
#define LITERAL(text)                                                                                                  \
    {                                                                                                                  \
        (text), sizeof(text) - 1                                                                                       \
    } /* SPAN is no constant to a static table */
#define SWAP .content_from = NS_CLIENT, .content_to = NS_SERVER

static const struct written list[] = {
    {"<presence/>", {.content_from = NS_NONE}, "<presence/>"},
    {"<a  b = \"1'\"\n c='2\"' ></a >", {.content_from = NS_NONE}, "<a  b = \"1'\"\n c='2\"' ></a >"},
    {"<m from='x' to=\"y\" id='1'>t</m>",
     {.from = LITERAL("a@b/'c"), .to = LITERAL("d<e")},
     "<m from='a@b/&apos;c' to='d&lt;e' id='1'>t</m>"},
    {"<m from='x'/>", {.to = LITERAL("y")}, "<m to='y' from='x'/>"},
    {"<m p:from='x'/>", {.from = LITERAL("y")}, "<m from='y' xmlns:p='u&amp;&apos;v' p:from='x'/>"},
    {"<m><p:x/></m>", {.content_from = NS_NONE}, "<m xmlns:p='u&amp;&apos;v'><p:x/></m>"},
    {"<m xmlns:p='w'><p:x/></m>", {.content_from = NS_NONE}, "<m xmlns:p='w'><p:x/></m>"},
    {"<m><x xmlns:p='w'><p:x/></x></m>", {.content_from = NS_NONE}, "<m><x xmlns:p='w'><p:x/></x></m>"},
    {"<m><s:x/></m>", {.content_from = NS_NONE}, "<m xmlns:s='http://etherx.jabber.org/streams'><s:x/></m>"},
    {"<c:m/>", {SWAP}, "<m xmlns:c='jabber:server'/>"},
    {"<c:m><c:b a='&lt;'>t<![CDATA[<]]></c:b> <x/></c:m >",
     {SWAP},
     "<m xmlns:c='jabber:server'><b a='&lt;'>t&lt;</b> <x/></m>"},
    {"<m><o xmlns='u'><c:i/><n/></o>.</m>",
     {.from = LITERAL("y")},
     "<m from='y' xmlns:c='jabber:client'><o xmlns='u'><i xmlns='jabber:client'/><n/></o>.</m>"},
    {"<d:m xmlns:d='jabber:client' d:a='1' to='z'><d:b><e xmlns='u'><d:f xmlns:d='v'/></e></d:b></d:m>",
     {.to = LITERAL("y")},
     "<m to='y' xmlns:d='jabber:client' d:a='1'><b><e xmlns='u'><f xmlns:d='v' xmlns='v'/></e></b></m>"},
    {"<m><x xmlns='jabber:client'/></m>", {SWAP}, "<m><x xmlns='jabber:server'/></m>"},
    {"<m><x xmlns='jabber:clien&#116;'/></m>", {SWAP}, "<m><x xmlns='jabber:server'/></m>"},
    {"<m xmlns=\"jabber:client\"/>", {SWAP}, "<m xmlns='jabber:server'/>"},
    {"<m><x xmlns='jabber:client'/></m>", {.content_from = NS_NONE}, "<m><x xmlns='jabber:client'/></m>"},
    {"<m x='jabber:client'/>", {SWAP}, "<m x='jabber:client'/>"},
    {"<m/>", {.lang = LITERAL("de")}, "<m xml:lang='de'/>"},
    {"<m xml:lang='en'/>", {.lang = LITERAL("de")}, "<m xml:lang='en'/>"},
    {"<m lang='en'/>", {.lang = LITERAL("de")}, "<m xml:lang='de' lang='en'/>"},
    {"<m><![CDATA[<a>&b;]]></m>", {.content_from = NS_NONE}, "<m>&lt;a&gt;&amp;b;</m>"},
    {"<m>]]<![CDATA[>]]></m>", {.content_from = NS_NONE}, "<m>]]&gt;</m>"},
    {"<m><![CDATA[]]]]>></m>", {.content_from = NS_NONE}, "<m>&#93;&#93;></m>"},
    {"<m>\r<![CDATA[\n]]></m>", {.content_from = NS_NONE}, "<m>\r&#10;</m>"},
    {"<m><![CDATA[\r\n\r]]></m>", {.content_from = NS_NONE}, "<m>\n\n</m>"},
    {"<m><![CDATA[<![CDATA[]]></m>", {.content_from = NS_NONE}, "<m>&lt;![CDATA[</m>"},
    {"<m><x a=']]>'/><![CDATA[]]></m>", {.content_from = NS_NONE}, "<m><x a=']]>'/></m>"},
};

/* Holds 6120:8.1.5/3 6120:8.4/3 6120:12/2. */
static void forward__written_cases__byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct made in = {0};
        made_add(&in, SPAN(HEADER));
        made_add(&in, span_str(list[i].in));
        struct chunk_pool pool;
        struct chain chain = {0};
        chunk_pool_init(&pool, 4);
        assert_int_equal(forward_all(span_of(in.bytes, in.size), &list[i].forward, &chain, &pool), 1);
        struct made out = chain_bytes(&chain, &pool);
        made_add(&out, span_of("", 1));
        assert_string_equal(out.bytes, list[i].out);
        made_free(&out);
        made_free(&in);
        chain_clear(&chain, &pool);
        chunk_pool_fini(&pool);
    }
}

/* The sender's stream has another default namespace than ours: it must not leak into ours. */
static void forward__other_default_namespace__declared(void **state)
{
    (void)state;
    struct xml_forward none = {0};
    struct span in =
        SPAN("<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:c='jabber:client'><c:m><x/></c:m>");
    struct made out = forwarded(in, &none, "jabber:client");
    assert_non_null(memmem(out.bytes, out.size, "<m xmlns:c='jabber:client'><x xmlns=''/></m>", 44));
    made_free(&out);
    in = SPAN("<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='u&lt;'><m/>");
    out = forwarded(in, &none, "jabber:client");
    assert_non_null(memmem(out.bytes, out.size, "<m xmlns='u&lt;'/>", 18));
    made_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward__generated_stanzas__tree_unchanged),
        cmocka_unit_test(forward__generated_streams__never_splices),
        cmocka_unit_test(forward__stamped_and_swapped__tree_as_accepted),
        cmocka_unit_test(forward__w3c_documents_and_stream_cases__never_splice),
        cmocka_unit_test(forward__written_cases__byte_for_byte),
        cmocka_unit_test(forward__other_default_namespace__declared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
