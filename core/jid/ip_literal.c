/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "core/jid/idna_priv.h"

#include <arpa/inet.h>

/* A zone is the name of an interface on the sender's own machine, so it is never long; 63 is a label's worth. */
#define ZONE_SIZE_MAX 63u

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* unreserved of RFC 3986 s2.3, ASCII only whatever the locale. */
static bool is_unreserved(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

/* ZoneID = 1*( unreserved / pct-encoded ), RFC 6874 s2. */
static bool is_zone(struct span zone)
{
    if (zone.size == 0 || zone.size > ZONE_SIZE_MAX)
        return false;
    for (size_t i = 0; i < zone.size; i++) {
        if (is_unreserved(zone.ptr[i]))
            continue;
        if (zone.ptr[i] != '%' || zone.size - i < 3 || !is_hex(zone.ptr[i + 1]) || !is_hex(zone.ptr[i + 2]))
            return false;
        i += 2;
    }
    return true;
}

/*
 * RFC 7622 does not say which of the many spellings of an IPv6 address is the prepared one. Comparison is octet for
 * octet (s3.2.3), so there must be one: the form of RFC 5952 s4, which inet_ntop() writes. The zone stays as it is:
 * names of interfaces differ by case. IPvFuture is in the grammar of IP-literal but is none of the four things that
 * s3.2 allows.
 */
enum part_result ip_literal_prepare(struct span text, char *out, size_t *size, struct jid_reason *reason)
{
    static const char *const rule = "the brackets hold no IPv6 address (RFC 7622 s3.2, RFC 6874 s2)";
    if (text.size < 2 || text.ptr[0] != '[' || text.ptr[text.size - 1] != ']')
        return part_forbidden(reason, JID_NO_CODE_POINT, rule);
    struct span inner = span_of(text.ptr + 1, text.size - 2);
    struct span zone = SPAN_NONE;
    const char *percent = inner.size ? memchr(inner.ptr, '%', inner.size) : NULL;
    if (percent) {
        struct span tail = span_of(percent, (size_t)(inner.ptr + inner.size - percent));
        if (tail.size < 3 || memcmp(tail.ptr, "%25", 3) != 0 || !is_zone(span_skip(tail, 3)))
            return part_forbidden(reason, JID_NO_CODE_POINT, "the zone of the IPv6 address is not by RFC 6874 s2");
        zone = tail;
        inner.size -= tail.size;
    }
    char address_text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (inner.size >= sizeof address_text || (inner.size && memchr(inner.ptr, '\0', inner.size)))
        return part_forbidden(reason, JID_NO_CODE_POINT, rule);
    memcpy(address_text, inner.ptr, inner.size);
    address_text[inner.size] = '\0';
    if (inet_pton(AF_INET6, address_text, &address) != 1)
        return part_forbidden(reason, JID_NO_CODE_POINT, rule);
    SL_CHECK(inet_ntop(AF_INET6, &address, address_text, sizeof address_text) != NULL);

    size_t address_size = strlen(address_text);
    out[0] = '[';
    memcpy(out + 1, address_text, address_size);
    if (zone.size > 0)
        memcpy(out + 1 + address_size, zone.ptr, zone.size);
    out[1 + address_size + zone.size] = ']';
    *size = address_size + zone.size + 2;
    return PART_OK;
}
