/* SPDX-License-Identifier: MIT */
#include "router/s2s/dns.h"

#define LABEL_MAX 63u /* RFC 1035 s2.3.4; a length octet above it is compression or from the future */

static bool is_host_octet(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

enum dns_name_status dns_name_read(struct span wire, char out[DNS_NAME_MAX + 1])
{
    size_t size = 0;
    out[0] = '\0';
    for (;;) {
        if (wire.size == 0)
            return DNS_NAME_BAD;
        size_t label = (unsigned char)wire.ptr[0];
        wire = span_skip(wire, 1);
        if (label == 0)
            break;
        if (label > LABEL_MAX || label > wire.size || size + (size > 0) + label > DNS_NAME_MAX)
            return DNS_NAME_BAD;
        if (size > 0)
            out[size++] = '.';
        for (size_t i = 0; i < label; i++) {
            if (!is_host_octet((unsigned char)wire.ptr[i]))
                return DNS_NAME_BAD;
            out[size++] = lower(wire.ptr[i]);
        }
        wire = span_skip(wire, label);
    }
    out[size] = '\0';
    return size == 0 ? DNS_NAME_ROOT : DNS_NAME_HOST;
}

bool dns_name_is_valid(struct span text)
{
    if (text.size == 0 || text.size > DNS_NAME_MAX)
        return false;
    size_t label = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.ptr[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        } else if (!is_host_octet((unsigned char)text.ptr[i]) || ++label > LABEL_MAX) {
            return false;
        }
    }
    return label > 0;
}

const char *dns_type_name(enum dns_type type)
{
    switch (type) {
    case DNS_A:
        return "A";
    case DNS_AAAA:
        return "AAAA";
    case DNS_SRV:
        return "SRV";
    case DNS_TLSA:
        return "TLSA";
    }
    return "?";
}

const char *dns_result_name(enum dns_result result)
{
    static const char *const names[] = {
        [DNS_DATA] = "found",
        [DNS_NO_DATA] = "no such records",
        [DNS_NO_NAME] = "no such name",
        [DNS_FAILED] = "failed",
        [DNS_TIMEOUT] = "no answer",
        [DNS_BOGUS] = "bogus",
        [DNS_TOO_MANY] = "too many aliases",
    };
    return names[result];
}
