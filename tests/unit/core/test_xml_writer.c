/* SPDX-License-Identifier: MIT */
/*
 * Writer: any bytes in any position come back as the same value from expat, libxml2 and the reader.
 */
#include "core/xml/writer.h"

#include "core/base/utf8.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/core/xml_dice.h"
#include "tests/unit/core/xml_run.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct desk {
    struct chunk_pool pool;
    struct chain chain;
    struct xml_writer writer;
};

static void desk_open(struct desk *desk)
{
    *desk = (struct desk){0};
    chunk_pool_init(&desk->pool, 4);
    desk->writer = xml_writer_on(&desk->chain, &desk->pool);
}

static struct made desk_close(struct desk *desk)
{
    struct made out = {0};
    for (struct span front = chain_front(&desk->chain); front.size; front = chain_front(&desk->chain)) {
        made_add(&out, front);
        chain_consume(&desk->chain, &desk->pool, front.size);
    }
    chain_clear(&desk->chain, &desk->pool);
    chunk_pool_fini(&desk->pool);
    made_add(&out, span_of("", 1));
    out.size--;
    return out;
}

/* What must come back: the bytes, U+FFFD for each that is no valid character. */
static struct made expected_value(struct span bytes)
{
    struct made out = {0};
    while (bytes.size) {
        uint32_t code = 0;
        unsigned size = utf8_decode(bytes, &code);
        bool is_char = size && (code >= 0x20 || code == 9 || code == 10 || code == 13) && (code & ~1u) != 0xfffe;
        made_add(&out, is_char ? span_of(bytes.ptr, size) : SPAN("\xef\xbf\xbd"));
        bytes = span_skip(bytes, is_char ? size : 1);
    }
    return out;
}

static void fill(struct made *value, struct dice *dice)
{
    static const char *const awkward[] = {"<",
                                          ">",
                                          "&",
                                          "'",
                                          "\"",
                                          "]]>",
                                          "\r",
                                          "\n",
                                          "\t",
                                          "\r\n",
                                          "\xef\xbf\xbe",
                                          "\xed\xa0\x80",
                                          "\xff",
                                          "\xc3",
                                          "é",
                                          "漢",
                                          "😀",
                                          "&amp;",
                                          "<![CDATA[",
                                          "-->",
                                          "plain words",
                                          "\x01"};
    unsigned count = dice_below(dice, 50) == 0 ? 3000 : dice_below(dice, 12);
    for (unsigned i = 0; i < count; i++) {
        char byte = (char)dice_below(dice, 256);
        bool is_any = dice_below(dice, 3) == 0;
        made_add(value,
                 is_any ? span_of(&byte, 1) : span_str(awkward[dice_below(dice, sizeof awkward / sizeof *awkward)]));
    }
}

static void writer__any_bytes__come_back(void **state)
{
    (void)state;
    struct dice dice = dice_seeded(__func__, 40);
    for (unsigned i = 0; i < 3000; i++) {
        struct made value = {0};
        struct made text = {0};
        fill(&value, &dice);
        fill(&text, &dice);
        struct desk desk;
        desk_open(&desk);
        xml_open(&desk.writer, "stream");
        xml_open(&desk.writer, "a");
        xml_write_attribute(&desk.writer, "b", span_of(value.bytes, value.size));
        xml_namespace(&desk.writer, "u");
        xml_write_text(&desk.writer, span_of(text.bytes, text.size));
        xml_close(&desk.writer);
        xml_close(&desk.writer);
        struct made out = desk_close(&desk);
        struct made want_value = expected_value(span_of(value.bytes, value.size));
        struct made want_text = expected_value(span_of(text.bytes, text.size));
        struct record want = {0};
        record_start(&want, SPAN(""), SPAN("stream"));
        record_start(&want, SPAN("u"), SPAN("a"));
        record_attribute(&want, SPAN(""), SPAN("b"), span_of(want_value.bytes, want_value.size));
        record_text(&want, span_of(want_text.bytes, want_text.size));
        record_end(&want);
        record_end(&want);
        struct span bytes = span_of(out.bytes, out.size);
        struct peer expat = run_expat(bytes);
        struct peer libxml = run_libxml(bytes);
        struct run run = run_reader(bytes, 0, bytes.size, &xml_limits_default, RUN_EVENTS);
        assert_int_equal(expat.end, PEER_ENDED);
        assert_true(record_is_equal(&want, &expat.record));
        assert_true(record_is_equal(&want, &libxml.record));
        assert_true(record_is_equal(&want, &run.record));
        record_free(&want);
        record_free(&expat.record);
        record_free(&libxml.record);
        run_free(&run);
        made_free(&out);
        made_free(&value);
        made_free(&text);
        made_free(&want_value);
        made_free(&want_text);
    }
}

static void writer__its_calls__write_as_documented(void **state)
{
    (void)state;
    struct desk desk;
    desk_open(&desk);
    struct xml_writer *w = &desk.writer;
    xml_open(w, "stream:stream");
    xml_write_attribute(w, "to", SPAN("a"));
    xml_leave_open(w);
    xml_open(w, "iq");
    xml_write_attribute_f(w, "id", "%d-%s", 7, "x");
    xml_empty(w, "ping", "urn:xmpp:ping");
    xml_open(w, "t");
    xml_namespace(w, "u");
    xml_write_text(w, SPAN("1 < 2"));
    xml_close(w);
    xml_close(w);
    xml_open(w, "b");
    xml_write_text(w, SPAN(""));
    xml_close(w);
    assert_int_equal(w->depth, 0);
    struct made out = desk_close(&desk);
    assert_string_equal(out.bytes, "<stream:stream to='a'><iq id='7-x'><ping xmlns='urn:xmpp:ping'/>"
                                   "<t xmlns='u'>1 &lt; 2</t></iq><b/>");
    made_free(&out);
}

/* --- misuse ---------------------------------------------------------------------------------------------------------
 */

static void attribute_after_text(struct xml_writer *w)
{
    xml_open(w, "a");
    xml_write_text(w, SPAN("t"));
    xml_write_attribute(w, "b", SPAN("c"));
}

static void attribute_outside(struct xml_writer *w)
{
    xml_write_attribute(w, "b", SPAN("c"));
}

static void close_without_open(struct xml_writer *w)
{
    xml_close(w);
}

static void text_outside(struct xml_writer *w)
{
    xml_write_text(w, SPAN("t"));
}

static void open_too_deep(struct xml_writer *w)
{
    for (unsigned i = 0; i <= XML_WRITER_DEPTH; i++)
        xml_open(w, "a");
}

static void format_too_long(struct xml_writer *w)
{
    xml_open(w, "a");
    xml_write_attribute_f(w, "b", "%0256d", 1);
}

static void leave_open_after_text(struct xml_writer *w)
{
    xml_open(w, "a");
    xml_write_text(w, SPAN("t"));
    xml_leave_open(w);
}

static void writer__misuse__ends_the_process(void **state)
{
    (void)state;
    void (*const misuses[])(struct xml_writer *) = {attribute_after_text, attribute_outside, close_without_open,
                                                    text_outside,         open_too_deep,     format_too_long,
                                                    leave_open_after_text};
    for (size_t i = 0; i < sizeof misuses / sizeof misuses[0]; i++) {
        pid_t child = fork();
        if (child == 0) {
            assert_non_null(freopen("/dev/null", "w", stderr));
            struct desk desk;
            desk_open(&desk);
            misuses[i](&desk.writer);
            _exit(0);
        }
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writer__any_bytes__come_back),
        cmocka_unit_test(writer__its_calls__write_as_documented),
        cmocka_unit_test(writer__misuse__ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
