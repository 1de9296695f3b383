/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Prefix: the part of a peer's address that stands for one subscriber: a whole IPv4 address, an IPv6 /64 (RFC 6177 s2
 * gives a site no less), or what the operator says.
 */
#include "core/base/span.h"

#include <stdint.h>

#define PREFIX_TEXT_SIZE 52u /* an IPv6 address, "/128", NUL */

struct prefix {
    uint8_t bytes[16]; /* IPv4 mapped (RFC 4291 s2.5.5.2); the bits behind the prefix are 0 */
};

/* address: 16 bytes, IPv4 mapped. */
struct prefix prefix_of(const uint8_t address[16], unsigned bits_ipv4, unsigned bits_ipv6);
static inline struct span prefix_key(const struct prefix *prefix)
{
    return span_of(prefix->bytes, sizeof prefix->bytes);
}
/* "192.0.2.7/32", "2001:db8::/64". */
const char *prefix_text(const struct prefix *prefix, unsigned bits_ipv4, unsigned bits_ipv6,
                        char out[PREFIX_TEXT_SIZE]);
