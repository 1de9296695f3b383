/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/jsonl.h"

#include "core/base/utf8.h"
#include "tests/unit/core/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jsonl_file jsonl_open(const char *name)
{
    const char *folder = getenv("SL_TEST_DATA");
    assert_non_null(folder);
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    struct jsonl_file out = {malloc(size + 1), NULL};
    assert_int_equal(fread(out.bytes, 1, size, file), size);
    out.bytes[size] = 0;
    out.next = out.bytes;
    fclose(file);
    return out;
}

void jsonl_close(struct jsonl_file *file)
{
    free(file->bytes);
}

static unsigned hex4(const char *p)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        assert_true((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f'));
        code = code * 16 + (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return code;
}

/* p is behind "\u". A lone surrogate fails the test: the files have none. */
static char *take_unicode(char *p, char **out)
{
    uint32_t code = hex4(p);
    p += 4;
    if (code >= 0xd800 && code < 0xdc00) {
        assert_true(p[0] == '\\' && p[1] == 'u');
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
        p += 6;
    }
    unsigned size = utf8_encode(code, *out);
    assert_true(size > 0);
    *out += size;
    return p;
}

/* Decodes in place; p is behind the quote. The decoded form is never longer. */
static char *take_string(char *p, char **value, size_t *size)
{
    char *out = p;
    *value = p;
    while (*p != '"') {
        assert_true(*p != 0 && *p != '\n');
        if (*p != '\\') {
            *out++ = *p++;
            continue;
        }
        static const char from[] = "\"\\/bfnrt";
        static const char to[] = "\"\\/\b\f\n\r\t";
        char c = p[1];
        p += 2;
        if (c == 'u') {
            p = take_unicode(p, &out);
            continue;
        }
        const char *at = strchr(from, c);
        assert_true(c != 0 && at != NULL);
        *out++ = to[at - from];
    }
    *size = (size_t)(out - *value);
    char *behind = p + 1;
    *out = 0;
    return behind;
}

static char *skip_space(char *p)
{
    while (*p == ' ')
        p++;
    return p;
}

static char *take_value(char *p, struct jsonl_line *line, char *name)
{
    bool is_array = *p == '[';
    p += is_array;
    do {
        p = skip_space(p);
        assert_int_equal(*p, '"');
        assert_true(line->count < JSONL_FIELDS_MAX);
        struct jsonl_field *field = &line->fields[line->count++];
        field->name = name;
        p = skip_space(take_string(p + 1, &field->value, &field->size));
    } while (is_array && *p++ == ',');
    return p;
}

bool jsonl_next(struct jsonl_file *file, struct jsonl_line *line)
{
    char *p = file->next;
    line->count = 0;
    if (*p == 0)
        return false;
    assert_int_equal(*p++, '{');
    do {
        char *name = NULL;
        size_t size = 0;
        p = skip_space(p);
        assert_int_equal(*p, '"');
        p = skip_space(take_string(p + 1, &name, &size));
        assert_int_equal(*p, ':');
        p = skip_space(take_value(skip_space(p + 1), line, name));
    } while (*p++ == ',');
    assert_int_equal(p[-1], '}');
    assert_int_equal(*p, '\n');
    file->next = p + 1;
    return true;
}

const struct jsonl_field *jsonl_get(const struct jsonl_line *line, const char *name)
{
    for (unsigned i = 0; i < line->count; i++) {
        if (strcmp(line->fields[i].name, name) == 0)
            return &line->fields[i];
    }
    return NULL;
}

bool jsonl_has(const struct jsonl_line *line, const char *name, const char *value)
{
    for (unsigned i = 0; i < line->count; i++) {
        if (strcmp(line->fields[i].name, name) == 0 && strcmp(line->fields[i].value, value) == 0)
            return true;
    }
    return false;
}

static size_t decode_base64(const char *in, size_t size, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    size_t done = 0;
    for (size_t i = 0; i < size && in[i] != '='; i++) {
        const char *at = strchr(alphabet, in[i]);
        assert_true(in[i] != 0 && at != NULL);
        bits = bits << 6 | (uint32_t)(at - alphabet);
        if (i % 4 != 0)
            out[done++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    return done;
}

char *jsonl_bytes(const struct jsonl_line *line, const char *name, const char *name_b64, size_t *size)
{
    const struct jsonl_field *text = jsonl_get(line, name);
    const struct jsonl_field *coded = jsonl_get(line, name_b64);
    assert_true(text || coded);
    char *bytes = malloc((text ? text->size : coded->size) + 1);
    if (text) {
        memcpy(bytes, text->value, text->size);
        *size = text->size;
    } else {
        *size = decode_base64(coded->value, coded->size, bytes);
    }
    return bytes;
}
