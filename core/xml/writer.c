/* SPDX-License-Identifier: MIT */
#include "core/xml/writer.h"

#include "core/base/check.h"
#include "core/xml/escape_priv.h"

#include <stdarg.h>
#include <stdio.h>

#define FORMAT_SIZE_MAX 256

static void put(struct xml_writer *w, struct span bytes)
{
    chain_append(w->chain, w->pool, bytes);
}

/* Content follows: the start tag ends. */
static void end_tag(struct xml_writer *w)
{
    if (w->in_tag)
        put(w, SPAN(">"));
    w->in_tag = false;
}

void xml_open(struct xml_writer *w, const char *name)
{
    SL_CHECK(w->depth < XML_WRITER_DEPTH);
    end_tag(w);
    w->open[w->depth++] = name;
    w->in_tag = true;
    put(w, SPAN("<"));
    put(w, span_str(name));
}

void xml_write_attribute(struct xml_writer *w, const char *name, struct span value)
{
    SL_CHECK(w->in_tag);
    put(w, SPAN(" "));
    put(w, span_str(name));
    put(w, SPAN("='"));
    xml_escape(w->chain, w->pool, XML_IN_ATTRIBUTE, value);
    put(w, SPAN("'"));
}

void xml_namespace(struct xml_writer *w, const char *uri)
{
    xml_write_attribute(w, "xmlns", span_str(uri));
}

void xml_write_attribute_f(struct xml_writer *w, const char *name, const char *format, ...)
{
    char text[FORMAT_SIZE_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    SL_CHECK(size >= 0 && size < FORMAT_SIZE_MAX);
    xml_write_attribute(w, name, span_of(text, (size_t)size));
}

void xml_write_text(struct xml_writer *w, struct span text)
{
    SL_CHECK(w->depth > 0);
    if (text.size == 0)
        return;
    end_tag(w);
    xml_escape(w->chain, w->pool, XML_IN_TEXT, text);
}

void xml_close(struct xml_writer *w)
{
    SL_CHECK(w->depth > 0);
    w->depth--;
    if (w->in_tag) {
        put(w, SPAN("/>"));
    } else {
        put(w, SPAN("</"));
        put(w, span_str(w->open[w->depth]));
        put(w, SPAN(">"));
    }
    w->in_tag = false;
}

void xml_empty(struct xml_writer *w, const char *name, const char *uri)
{
    xml_open(w, name);
    xml_namespace(w, uri);
    xml_close(w);
}

void xml_text_in_english(struct xml_writer *w, const char *uri, const char *text)
{
    xml_open(w, "text");
    xml_namespace(w, uri);
    xml_write_attribute(w, "xml:lang", SPAN("en"));
    xml_write_text(w, span_str(text));
    xml_close(w);
}

void xml_leave_open(struct xml_writer *w)
{
    SL_CHECK(w->in_tag && w->depth > 0);
    end_tag(w);
    w->depth--;
}
