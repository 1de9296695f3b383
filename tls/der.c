/* SPDX-License-Identifier: MIT */
#include "tls/der_priv.h"

static unsigned byte_at(struct span s, size_t i)
{
    return (unsigned char)s.ptr[i];
}

bool der_take(struct span *s, unsigned *tag, struct span *content)
{
    if (s->size < 2)
        return false;
    *tag = byte_at(*s, 0);
    if ((*tag & 0x1f) == 0x1f)
        return false;
    size_t size = byte_at(*s, 1);
    size_t head = 2;
    if (size >= 0x80) {
        size_t count = size & 0x7f;
        if (count < 1 || count > 3 || s->size < 2 + count)
            return false;
        size = 0;
        for (size_t i = 0; i < count; i++)
            size = size << 8 | byte_at(*s, 2 + i);
        /* The shortest form only: below 128 in the tag's next octet, and no leading zero. */
        if (size < 0x80 || size >> (8 * (count - 1)) == 0)
            return false;
        head += count;
    }
    if (s->size - head < size)
        return false;
    *content = span_of(s->ptr + head, size);
    *s = span_skip(*s, head + size);
    return true;
}

bool der_take_tag(struct span *s, unsigned tag, struct span *content)
{
    unsigned found;
    return der_take(s, &found, content) && found == tag;
}

bool der_take_whole(struct span *s, unsigned tag, struct span *whole, struct span *content)
{
    const char *start = s->ptr;
    if (!der_take_tag(s, tag, content))
        return false;
    *whole = span_of(start, (size_t)(s->ptr - start));
    return true;
}

bool der_skip(struct span *s)
{
    unsigned tag;
    struct span content;
    return der_take(s, &tag, &content);
}

bool der_take_boolean(struct span *s, bool *out)
{
    struct span content;
    if (!der_take_tag(s, DER_BOOLEAN, &content) || content.size != 1)
        return false;
    *out = byte_at(content, 0) == 0xff;
    return *out || byte_at(content, 0) == 0;
}

bool der_take_number(struct span *s, uint32_t *out)
{
    struct span content;
    if (!der_take_tag(s, DER_INTEGER, &content) || content.size < 1 || content.size > 4 || byte_at(content, 0) >= 0x80)
        return false;
    if (content.size > 1 && byte_at(content, 0) == 0 && byte_at(content, 1) < 0x80)
        return false;
    *out = 0;
    for (size_t i = 0; i < content.size; i++)
        *out = *out << 8 | byte_at(content, i);
    return true;
}
