/* SPDX-License-Identifier: MIT */
#include "router/admin/answer_priv.h"

#include "core/base/clock.h"
#include "core/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

#define ROOM_FIRST 512u

void answer_init(struct answer *answer, size_t room_max, bool is_json)
{
    *answer = (struct answer){.room_max = room_max, .is_json = is_json};
}

void answer_fini(struct answer *answer)
{
    free(answer->bytes);
    answer->bytes = NULL;
    answer->size = answer->room = 0;
}

/* False and is_full when size more bytes do not fit. */
static bool reserve(struct answer *answer, size_t size)
{
    if (answer->size + size <= answer->room)
        return true;
    size_t room = answer->room == 0 ? ROOM_FIRST : answer->room;
    while (room < answer->size + size)
        room *= 2;
    if (room > answer->room_max)
        room = answer->room_max;
    char *bytes = room < answer->size + size ? NULL : realloc(answer->bytes, room);
    if (bytes == NULL) {
        answer->is_full = true;
        return false;
    }
    answer->bytes = bytes;
    answer->room = room;
    return true;
}

void answer_append(struct answer *answer, struct span bytes)
{
    if (bytes.size == 0 || !reserve(answer, bytes.size))
        return;
    memcpy(answer->bytes + answer->size, bytes.ptr, bytes.size);
    answer->size += bytes.size;
}

void answer_format(struct answer *answer, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size > 0)
        answer_append(answer, span_of(text, (size_t)size < sizeof(text) ? (size_t)size : sizeof(text) - 1));
}

static void append_char(struct answer *answer, char c)
{
    answer_append(answer, span_of(&c, 1));
}

/* JSON, RFC 8259 s7. Bytes that are not UTF-8 cannot stand in JSON: the whole value then has them as \u00xx. */
static void append_quoted(struct answer *answer, struct span value)
{
    bool is_utf8 = utf8_is_valid(value);
    append_char(answer, '"');
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c == '"' || c == '\\')
            answer_format(answer, "\\%c", c);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8))
            answer_format(answer, "\\u%04x", c);
        else
            append_char(answer, (char)c);
    }
    append_char(answer, '"');
}

static bool is_plain(struct span value)
{
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c <= ' ' || c == '"' || c == '\\' || c == 0x7f)
            return false;
    }
    return value.size > 0 && utf8_is_valid(value);
}

void answer_record(struct answer *answer)
{
    answer->is_rows = false;
    answer->has_field = false;
    if (answer->is_json)
        append_char(answer, '{');
}

void answer_record_end(struct answer *answer)
{
    if (answer->is_json)
        answer_append(answer, SPAN("}\n"));
}

void answer_rows(struct answer *answer)
{
    answer->is_rows = true;
    answer->has_row = false;
    if (answer->is_json)
        append_char(answer, '[');
}

void answer_row(struct answer *answer)
{
    answer->is_rows = true;
    answer->has_field = false;
    if (answer->is_json)
        answer_append(answer, answer->has_row ? SPAN(",{") : SPAN("{"));
    answer->has_row = true;
}

void answer_row_end(struct answer *answer)
{
    append_char(answer, answer->is_json ? '}' : '\n');
}

void answer_rows_end(struct answer *answer)
{
    if (answer->is_json)
        answer_append(answer, SPAN("]\n"));
}

/* All up to the value. */
static void begin_field(struct answer *answer, const char *name)
{
    if (answer->is_json)
        answer_format(answer, "%s\"%s\":", answer->has_field ? "," : "", name);
    else if (!answer->is_rows)
        answer_format(answer, "%s: ", name);
    else if (answer->has_field)
        answer_format(answer, " %s=", name);
    answer->has_field = true;
}

static void end_field(struct answer *answer)
{
    if (!answer->is_json && !answer->is_rows)
        append_char(answer, '\n');
}

void answer_verbatim(struct answer *answer, const char *name, struct span value)
{
    begin_field(answer, name);
    answer_append(answer, value);
    end_field(answer);
}

void answer_text(struct answer *answer, const char *name, struct span value)
{
    begin_field(answer, name);
    if (!answer->is_json && is_plain(value))
        answer_append(answer, value);
    else
        append_quoted(answer, value);
    end_field(answer);
}

void answer_string(struct answer *answer, const char *name, const char *value)
{
    answer_text(answer, name, span_str(value));
}

void answer_number(struct answer *answer, const char *name, uint64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    answer_verbatim(answer, name, span_of(text, (size_t)size));
}

void answer_integer(struct answer *answer, const char *name, int64_t value)
{
    char text[24];
    int size = snprintf(text, sizeof(text), "%lld", (long long)value);
    answer_verbatim(answer, name, span_of(text, (size_t)size));
}

void answer_bool(struct answer *answer, const char *name, bool value)
{
    answer_verbatim(answer, name, value ? SPAN("true") : SPAN("false"));
}

void answer_date(struct answer *answer, const char *name, int64_t seconds)
{
    char text[CLOCK_TEXT_SIZE];
    if (seconds != 0 && clock_text(seconds, text))
        answer_string(answer, name, text);
}
