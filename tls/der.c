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

/* Days from 1970-01-01 by counting leap days in eras of 400 years that begin in March. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static bool digits(struct span *s, size_t count, int64_t *out)
{
    int64_t number = 0;
    if (s->size < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9')
            return false;
        number = number * 10 + (s->ptr[i] - '0');
    }
    *s = span_skip(*s, count);
    *out = number;
    return true;
}

bool der_take_time(struct span *s, int64_t *out)
{
    unsigned tag;
    struct span text;
    int64_t year, month, day, hour, minute, second;
    if (!der_take(s, &tag, &text) || (tag != DER_UTC_TIME && tag != DER_GENERALIZED_TIME))
        return false;
    if (!digits(&text, tag == DER_UTC_TIME ? 2 : 4, &year) || !digits(&text, 2, &month) || !digits(&text, 2, &day) ||
        !digits(&text, 2, &hour) || !digits(&text, 2, &minute) || !digits(&text, 2, &second) || !span_is(text, "Z"))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 59)
        return false;
    if (tag == DER_UTC_TIME)
        year += year >= 50 ? 1900 : 2000;
    *out = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}
