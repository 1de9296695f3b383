/* SPDX-License-Identifier: MIT */
#include "router/s2s/address.h"

#include "core/base/check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

struct address_range {
    unsigned char bytes[16];
    uint8_t bits;
    enum address_class class;
};

#define V4(a, b, c, bits, class)                                                                                       \
    {                                                                                                                  \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, 0}, 96 + (bits), class                                     \
    }

/* The first match decides; IPv4 stands as IPv4-mapped. */
static const struct address_range ranges[] = {
    V4(0, 0, 0, 8, ADDRESS_UNSPECIFIED),
    V4(10, 0, 0, 8, ADDRESS_PRIVATE),
    V4(100, 64, 0, 10, ADDRESS_SHARED),
    V4(127, 0, 0, 8, ADDRESS_LOOPBACK),
    V4(169, 254, 0, 16, ADDRESS_LINK_LOCAL),
    V4(172, 16, 0, 12, ADDRESS_PRIVATE),
    V4(192, 0, 0, 24, ADDRESS_RESERVED),
    V4(192, 0, 2, 24, ADDRESS_DOCUMENTATION),
    V4(192, 88, 99, 24, ADDRESS_RESERVED), /* 6to4 relays, deprecated by RFC 7526 */
    V4(192, 168, 0, 16, ADDRESS_PRIVATE),
    V4(198, 18, 0, 15, ADDRESS_BENCHMARK),
    V4(198, 51, 100, 24, ADDRESS_DOCUMENTATION),
    V4(203, 0, 113, 24, ADDRESS_DOCUMENTATION),
    V4(224, 0, 0, 4, ADDRESS_MULTICAST),
    V4(240, 0, 0, 4, ADDRESS_RESERVED),
    V4(0, 0, 0, 0, ADDRESS_PUBLIC),
    {{0}, 128, ADDRESS_UNSPECIFIED},
    {{[15] = 1}, 128, ADDRESS_LOOPBACK},
    {{0x00, 0x64, 0xff, 0x9b, 0, 1}, 48, ADDRESS_PRIVATE},   /* RFC 8215 */
    {{0x20, 0x01, 0x00, 0x02, 0, 0}, 48, ADDRESS_BENCHMARK}, /* RFC 5180 */
    {{0x20, 0x01, 0x00, 0x00}, 23, ADDRESS_RESERVED},        /* RFC 2928; Teredo and ORCHID in it */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, ADDRESS_DOCUMENTATION},   /* RFC 3849 */
    {{0x3f, 0xff, 0x00, 0x00}, 20, ADDRESS_DOCUMENTATION},   /* RFC 9637 */
    {{0x20}, 3, ADDRESS_PUBLIC},                             /* what has been given out: RFC 4291 s2.4 */
    {{0xfc}, 7, ADDRESS_UNIQUE_LOCAL},                       /* RFC 4193 */
    {{0xfe, 0x80}, 10, ADDRESS_LINK_LOCAL},                  /* RFC 4291 s2.5.6 */
    {{0xfe, 0xc0}, 10, ADDRESS_PRIVATE},                     /* RFC 3879 */
    {{0xff}, 8, ADDRESS_MULTICAST},                          /* RFC 4291 s2.7 */
    {{0}, 0, ADDRESS_RESERVED},
};

static bool has_prefix(const unsigned char bytes[16], const unsigned char prefix[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(bytes, prefix, whole) != 0)
        return false;
    return rest == 0 || ((bytes[whole] ^ prefix[whole]) >> (8 - rest)) == 0;
}

static void map_v4(const void *v4, unsigned char out[16])
{
    memset(out, 0, 10);
    out[10] = out[11] = 0xff;
    memcpy(out + 12, v4, 4);
}

static void bytes_of(const union address *address, unsigned char out[16])
{
    if (address->head.sa_family == AF_INET)
        map_v4(&address->v4.sin_addr, out);
    else
        memcpy(out, &address->v6.sin6_addr, 16);
}

/* Where in an IPv6 address an IPv4 address is carried, or NULL: mapped (RFC 4291 s2.5.5.2), compatible (s2.5.5.1, but
 * for :: and ::1), NAT64 (RFC 6052 s2.1) and 6to4 (RFC 3056 s2). */
static const unsigned char *inner_v4(const unsigned char bytes[16])
{
    static const unsigned char mapped[16] = {[10] = 0xff, [11] = 0xff};
    static const unsigned char compatible[16] = {0};
    static const unsigned char nat64[16] = {0x00, 0x64, 0xff, 0x9b};
    static const unsigned char six_to_four[16] = {0x20, 0x02};
    if (has_prefix(bytes, six_to_four, 16))
        return bytes + 2;
    if (has_prefix(bytes, mapped, 96) || has_prefix(bytes, nat64, 96))
        return bytes + 12;
    if (has_prefix(bytes, compatible, 96) && !has_prefix(bytes, compatible, 120))
        return bytes + 12;
    return NULL;
}

union address address_v4(const void *bytes)
{
    union address out;
    memset(&out, 0, sizeof out);
    out.v4.sin_family = AF_INET;
    memcpy(&out.v4.sin_addr, bytes, 4);
    return out;
}

union address address_v6(const void *bytes)
{
    union address out;
    memset(&out, 0, sizeof out);
    out.v6.sin6_family = AF_INET6;
    memcpy(&out.v6.sin6_addr, bytes, 16);
    return out;
}

bool address_parse(const char *text, union address *out)
{
    unsigned char bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
        *out = address_v4(bytes);
        return true;
    }
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        *out = address_v6(bytes);
        return true;
    }
    return false;
}

void address_set_port(union address *address, uint16_t port)
{
    /* The port lies at the same place in both. */
    if (address->head.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

uint16_t address_port(const union address *address)
{
    return ntohs(address->head.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

void address_print(const union address *address, char out[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->head.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_MAX, "%s:%u", host, address_port(address));
    } else {
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        snprintf(out, ADDRESS_TEXT_MAX, "[%s]:%u", host, address_port(address));
    }
}

static enum address_class class_of(const unsigned char bytes[16])
{
    for (size_t i = 0;; i++) {
        if (has_prefix(bytes, ranges[i].bytes, ranges[i].bits))
            return ranges[i].class;
    }
}

enum address_class address_class(const union address *address)
{
    unsigned char bytes[16], inner[16];
    bytes_of(address, bytes);
    if (address->head.sa_family == AF_INET)
        return class_of(bytes);
    const unsigned char *v4 = inner_v4(bytes);
    if (v4 == NULL)
        return class_of(bytes);
    map_v4(v4, inner);
    enum address_class class = class_of(inner);
    /* An AAAA record that holds an IPv4 address in disguise has no honest use: NAT64 and 6to4 alone are routed. */
    bool is_routed = bytes[0] != 0 || bytes[1] == 0x64;
    return class == ADDRESS_PUBLIC && !is_routed ? ADDRESS_RESERVED : class;
}

const char *address_class_name(enum address_class class)
{
    static const char *const names[] = {
        [ADDRESS_PUBLIC] = "a public address",
        [ADDRESS_LOOPBACK] = "a loopback address",
        [ADDRESS_LINK_LOCAL] = "a link-local address",
        [ADDRESS_PRIVATE] = "a private address",
        [ADDRESS_SHARED] = "an address shared by a carrier",
        [ADDRESS_UNIQUE_LOCAL] = "a unique local address",
        [ADDRESS_DOCUMENTATION] = "an address for documentation",
        [ADDRESS_BENCHMARK] = "an address for benchmarks",
        [ADDRESS_UNSPECIFIED] = "an unspecified address",
        [ADDRESS_MULTICAST] = "a multicast address",
        [ADDRESS_RESERVED] = "a reserved address",
    };
    return names[class];
}

bool address_is_permitted(const struct address_policy *policy, const union address *address)
{
    enum address_class class = address_class(address);
    if (class == ADDRESS_PUBLIC)
        return true;
    if (class == ADDRESS_UNSPECIFIED || class == ADDRESS_MULTICAST || class == ADDRESS_RESERVED)
        return false;
    if (policy->allow_private)
        return true;
    unsigned char bytes[16], inner[16];
    bytes_of(address, bytes);
    const unsigned char *v4 = address->head.sa_family == AF_INET6 ? inner_v4(bytes) : NULL;
    if (v4 != NULL)
        map_v4(v4, inner);
    for (unsigned i = 0; i < policy->allowed_count; i++) {
        const struct address_prefix *prefix = &policy->allowed[i];
        if (has_prefix(bytes, prefix->bytes, prefix->bits) ||
            (v4 != NULL && has_prefix(inner, prefix->bytes, prefix->bits)))
            return true;
    }
    return false;
}

bool address_prefix_parse(const char *text, struct address_prefix *out, struct err *err)
{
    char host[INET6_ADDRSTRLEN];
    size_t size = strcspn(text, "/");
    union address address;
    memset(host, 0, sizeof host);
    if (size < sizeof host)
        memcpy(host, text, size);
    if (!address_parse(host, &address)) {
        err_set(err, "\"%s\" is not an address prefix like 10.0.0.0/8 or fd00::/8", text);
        return false;
    }
    bool is_v4 = address.head.sa_family == AF_INET;
    unsigned long bits = is_v4 ? 32 : 128;
    char *end = NULL;
    if (text[size] == '/') {
        unsigned long given = strtoul(text + size + 1, &end, 10);
        if (text[size + 1] < '0' || text[size + 1] > '9' || *end != '\0' || given > bits) {
            err_set(err, "\"%s\": the length of a prefix is 0 to %lu here", text, bits);
            return false;
        }
        bits = given;
    }
    bytes_of(&address, out->bytes);
    out->bits = (uint8_t)(is_v4 ? 96 + bits : bits);
    return true;
}

/* RFC 6724 s2.1: the default policy table, longest prefix first. */
static unsigned precedence(const unsigned char bytes[16])
{
    static const struct {
        unsigned char bytes[16];
        uint8_t bits;
        uint8_t precedence;
    } rows[] = {
        {{[15] = 1}, 128, 50},  {{[10] = 0xff, [11] = 0xff}, 96, 35},
        {{0}, 96, 1},           {{0x20, 0x01, 0x00, 0x00}, 32, 5},
        {{0x20, 0x02}, 16, 30}, {{0x3f, 0xfe}, 16, 1},
        {{0xfe, 0xc0}, 10, 1},  {{0xfc}, 7, 3},
        {{0}, 0, 40},
    };
    for (size_t i = 0;; i++) {
        if (has_prefix(bytes, rows[i].bytes, rows[i].bits))
            return rows[i].precedence;
    }
}

/* RFC 6724 s3.1 and s3.2: link-local 2, site-local 5, global 14; loopback counts as link-local. */
static unsigned scope(const union address *address)
{
    unsigned char bytes[16];
    bytes_of(address, bytes);
    switch (class_of(bytes)) {
    case ADDRESS_LOOPBACK:
    case ADDRESS_LINK_LOCAL:
        return 2;
    case ADDRESS_PRIVATE:
        return bytes[0] == 0xfe ? 5 : 14;
    case ADDRESS_PUBLIC:
    case ADDRESS_SHARED:
    case ADDRESS_UNIQUE_LOCAL:
    case ADDRESS_DOCUMENTATION:
    case ADDRESS_BENCHMARK:
    case ADDRESS_UNSPECIFIED:
    case ADDRESS_MULTICAST:
    case ADDRESS_RESERVED:
        return 14;
    }
    return 14;
}

static bool goes_before(const union address *a, const union address *b)
{
    unsigned char a_bytes[16], b_bytes[16];
    bytes_of(a, a_bytes);
    bytes_of(b, b_bytes);
    unsigned a_precedence = precedence(a_bytes), b_precedence = precedence(b_bytes);
    if (a_precedence != b_precedence)
        return a_precedence > b_precedence;
    return scope(a) < scope(b);
}

/* By insertion: stable, and a host has few addresses. */
static void sort(union address *addresses, unsigned count)
{
    for (unsigned i = 1; i < count; i++) {
        union address moved = addresses[i];
        unsigned j = i;
        for (; j > 0 && goes_before(&moved, &addresses[j - 1]); j--)
            addresses[j] = addresses[j - 1];
        addresses[j] = moved;
    }
}

void address_order(union address *addresses, unsigned count)
{
    sort(addresses, count);
    /* Place by place: where the family is that of the place before, the next address of the other one moves up. */
    for (unsigned i = 1; i < count; i++) {
        sa_family_t before = addresses[i - 1].head.sa_family;
        unsigned other = i;
        while (other < count && addresses[other].head.sa_family == before)
            other++;
        if (other == count)
            return;
        union address moved = addresses[other];
        memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof addresses[0]);
        addresses[i] = moved;
    }
}
