/* SPDX-License-Identifier: MIT */
#include "router/stream/prefix.h"

#include "core/base/check.h"

#include <arpa/inet.h>
#include <stdio.h>

#define MAPPED_BITS 96u

static bool is_ipv4(const uint8_t address[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, mapped, sizeof mapped) == 0;
}

struct prefix prefix_of(const uint8_t address[16], unsigned bits_ipv4, unsigned bits_ipv6)
{
    struct prefix prefix = {{0}};
    SL_CHECK(bits_ipv4 <= 32 && bits_ipv6 <= 128);
    unsigned bits = is_ipv4(address) ? MAPPED_BITS + bits_ipv4 : bits_ipv6;
    memcpy(prefix.bytes, address, bits / 8);
    if (bits % 8)
        prefix.bytes[bits / 8] = (uint8_t)(address[bits / 8] & (0xff00u >> (bits % 8)));
    return prefix;
}

const char *prefix_text(const struct prefix *prefix, unsigned bits_ipv4, unsigned bits_ipv6, char out[PREFIX_TEXT_SIZE])
{
    bool is_v4 = is_ipv4(prefix->bytes);
    char text[INET6_ADDRSTRLEN];
    inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? prefix->bytes + 12 : prefix->bytes, text, sizeof text);
    snprintf(out, PREFIX_TEXT_SIZE, "%s/%u", text, is_v4 ? bits_ipv4 : bits_ipv6);
    return out;
}
