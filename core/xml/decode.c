/* SPDX-License-Identifier: MIT */
/*
 * Decode: the value that accepted bytes stand for (XML s2.11, s3.3.3, s4.6). The input passed the reader, so every
 * reference in it is complete and one of the allowed ones; a decoded form is never longer than its raw one.
 */
#include "core/base/check.h"
#include "core/base/utf8.h"
#include "core/xml/chars_priv.h"
#include "core/xml/scan_priv.h"

/* p is behind '&'; returns the byte behind ';'. */
static const char *decode_reference(const char *p, const char *end, char out[4], unsigned *out_size)
{
    const char *semicolon = memchr(p, ';', (size_t)(end - p));
    if (!semicolon) { /* never in accepted bytes */
        *out_size = 0;
        return end;
    }
    uint32_t code = 0;
    if (*p == '#') {
        bool is_hex = p[1] == 'x';
        for (const char *d = p + 1 + is_hex; d < semicolon && code <= 0x10ffff; d++) {
            uint32_t digit = *d <= '9' ? (uint32_t)(*d - '0') : (uint32_t)((*d | 0x20) - 'a') + 10;
            code = code * (is_hex ? 16 : 10) + digit;
        }
    } else {
        struct span name = span_of(p, (size_t)(semicolon - p));
        code = span_is(name, "lt")     ? '<'
               : span_is(name, "gt")   ? '>'
               : span_is(name, "amp")  ? '&'
               : span_is(name, "apos") ? '\''
                                       : '"';
    }
    *out_size = utf8_encode(code, out);
    return semicolon + 1;
}

/* The next unit of a value: a byte, a normalised line end, or what a reference stands for. */
static const char *decode_unit(const char *p, const char *end, bool is_value, char out[4], unsigned *out_size)
{
    if (*p == '&')
        return decode_reference(p + 1, end, out, out_size);
    *out_size = 1;
    out[0] = *p;
    if (*p == '\r') {
        out[0] = is_value ? ' ' : '\n';
        return p + 1 + (p + 1 < end && p[1] == '\n');
    }
    if (is_value && (*p == '\n' || *p == '\t'))
        out[0] = ' ';
    return p + 1;
}

static bool is_plain(char c, bool is_value)
{
    return c != '&' && c != '\r' && !(is_value && (c == '\n' || c == '\t'));
}

static size_t decode(struct span raw, char *out, bool is_value)
{
    const char *p = raw.ptr;
    const char *end = p + raw.size;
    char *start = out;
    while (p < end) {
        const char *run = p;
        while (p < end && is_plain(*p, is_value))
            p++;
        memmove(out, run, (size_t)(p - run));
        out += p - run;
        if (p == end)
            break;
        char unit[4];
        unsigned size = 0;
        p = decode_unit(p, end, is_value, unit, &size);
        memcpy(out, unit, size);
        out += size;
    }
    return (size_t)(out - start);
}

size_t xml_decode_value(struct span raw, char *out)
{
    return decode(raw, out, true);
}

#define CDATA_START_SIZE 9u /* "<![CDATA[" */

char *xml_decode_content(struct span raw, char *out)
{
    while (raw.size) {
        const char *open = memchr(raw.ptr, '<', raw.size);
        size_t plain = open ? (size_t)(open - raw.ptr) : raw.size;
        out += decode(span_of(raw.ptr, plain), out, false);
        raw = span_skip(raw, plain);
        if (!raw.size)
            break;
        raw = span_skip(raw, CDATA_START_SIZE); /* no other '<' is left in a run */
        const char *close = memmem(raw.ptr, raw.size, "]]>", 3);
        SL_CHECK(close != NULL);
        /* Line ends are read before markup, so also in here (XML s2.11); references are not. */
        for (const char *p = raw.ptr; p < close; p++) {
            if (*p == '\r' && p + 1 < close && p[1] == '\n')
                continue;
            *out++ = *p == '\r' ? '\n' : *p;
        }
        raw = span_skip(raw, (size_t)(close - raw.ptr) + 3);
    }
    return out;
}

/* One side of a comparison: units are handed out byte by byte. */
struct unit_cursor {
    const char *p, *end;
    bool is_encoded;
    char unit[4];
    unsigned size, at;
};

static int cursor_next(struct unit_cursor *c)
{
    while (c->at == c->size) {
        if (c->p == c->end)
            return -1;
        c->at = 0;
        if (c->is_encoded) {
            c->p = decode_unit(c->p, c->end, true, c->unit, &c->size);
        } else {
            c->unit[0] = *c->p++;
            c->size = 1;
        }
    }
    return (uint8_t)c->unit[c->at++];
}

int xml_decode_compare(struct span a, bool a_encoded, struct span b, bool b_encoded)
{
    if (!a_encoded && !b_encoded) {
        size_t common = a.size < b.size ? a.size : b.size;
        int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
        return order ? order : (a.size > b.size) - (a.size < b.size);
    }
    struct unit_cursor x = {.p = a.ptr, .end = a.ptr + a.size, .is_encoded = a_encoded};
    struct unit_cursor y = {.p = b.ptr, .end = b.ptr + b.size, .is_encoded = b_encoded};
    for (;;) {
        int left = cursor_next(&x);
        int right = cursor_next(&y);
        if (left != right)
            return left < right ? -1 : 1;
        if (left < 0)
            return 0;
    }
}
