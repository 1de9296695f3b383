/* SPDX-License-Identifier: MIT */
#include "der_build.h"

#include <stdlib.h>

static void put(struct der_build *out, struct span bytes)
{
    if (out->size + bytes.size > sizeof(out->bytes))
        abort();
    if (bytes.size > 0)
        memcpy(out->bytes + out->size, bytes.ptr, bytes.size);
    out->size += bytes.size;
}

void der_build_wrap(struct der_build *out, size_t start, unsigned tag)
{
    char head[5] = {(char)tag};
    size_t size = out->size - start;
    size_t head_size = 2;
    if (size < 0x80) {
        head[1] = (char)size;
    } else {
        size_t count = size < 0x100 ? 1 : size < 0x10000 ? 2 : 3;
        head[1] = (char)(0x80 | count);
        for (size_t i = 0; i < count; i++)
            head[head_size++] = (char)(size >> (8 * (count - 1 - i)));
    }
    if (out->size + head_size > sizeof(out->bytes))
        abort();
    memmove(out->bytes + start + head_size, out->bytes + start, size);
    memcpy(out->bytes + start, head, head_size);
    out->size += head_size;
}

void der_build_add(struct der_build *out, unsigned tag, struct span content)
{
    size_t start = out->size;
    put(out, content);
    der_build_wrap(out, start, tag);
}

void der_build_other(struct der_build *out, unsigned arc, unsigned tag, struct span value)
{
    size_t start = out->size;
    const char oid[] = {0x2b, 6, 1, 5, 5, 7, 8, (char)arc};
    der_build_add(out, 0x06, span_of(oid, sizeof(oid)));
    size_t inner = out->size;
    der_build_add(out, tag, value);
    der_build_wrap(out, inner, 0xa0);
    der_build_wrap(out, start, 0xa0);
}

static void put_algorithm(struct der_build *out)
{
    put(out, SPAN("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")); /* ecdsa-with-SHA256 */
}

struct span der_build_certificate(struct der_build *out, struct span names)
{
    out->size = 0;
    put(out, SPAN("\xa0\x03\x02\x01\x02\x02\x01\x01")); /* v3, serial number 1 */
    put_algorithm(out);
    put(out, SPAN("\x30\x00\x30\x1e\x17\x0d"
                  "200101000000Z"
                  "\x17\x0d"
                  "490101000000Z"
                  "\x30\x00"));                 /* no issuer, its dates, no subject */
    put(out, SPAN("\x30\x05\x30\x00\x03\x01")); /* a key that is none */
    put(out, span_of("", 1));
    if (names.size > 0) {
        size_t extensions = out->size;
        put(out, SPAN("\x06\x03\x55\x1d\x11"));
        size_t value = out->size;
        put(out, names);
        der_build_wrap(out, value, 0x30);
        der_build_wrap(out, value, 0x04);
        der_build_wrap(out, extensions, 0x30);
        der_build_wrap(out, extensions, 0x30);
        der_build_wrap(out, extensions, 0xa3);
    }
    der_build_wrap(out, 0, 0x30);
    put_algorithm(out);
    put(out, span_of("\x03\x02\x00\x01", 4));
    der_build_wrap(out, 0, 0x30);
    return span_of(out->bytes, out->size);
}
