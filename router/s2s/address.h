/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Address: where a stream to a server may go. What range an address is in, which ranges are permitted, and in what
 * order the addresses of one host are tried.
 *
 * DNS answers come from whoever owns a domain: without this a made-up domain makes the router connect to its own
 * machine or network. An address that carries an IPv4 address inside it (IPv4-mapped, IPv4-compatible, NAT64, 6to4)
 * is judged by that one.
 *
 * Thread:  any; no state.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

union address {
    struct sockaddr head; /* for io_dial() */
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* By the registries of RFC 6890 (IANA's special-purpose addresses). */
enum address_class {
    ADDRESS_PUBLIC,
    ADDRESS_LOOPBACK,
    ADDRESS_LINK_LOCAL,
    ADDRESS_PRIVATE, /* RFC 1918, site-local, NAT64's local prefix (RFC 8215) */
    ADDRESS_SHARED,  /* carrier-grade NAT (RFC 6598) */
    ADDRESS_UNIQUE_LOCAL,
    ADDRESS_DOCUMENTATION,
    ADDRESS_BENCHMARK,
    /* Never permitted by allow_private, nor by a prefix: nothing can be a peer there. */
    ADDRESS_UNSPECIFIED, /* 0.0.0.0/8 and ::, which Linux takes for the machine itself */
    ADDRESS_MULTICAST,
    ADDRESS_RESERVED, /* 240/4, protocol assignments, Teredo, discard, what is not given out yet */
};

struct address_prefix {
    unsigned char bytes[16]; /* IPv4 as IPv4-mapped */
    uint8_t bits;            /* of these 16 bytes */
};

struct address_policy {
    bool allow_private; /* everything but the last three classes */
    const struct address_prefix *allowed;
    unsigned allowed_count;
};

/* IPv4 from 4 bytes, IPv6 from 16; the port is 0. */
union address address_v4(const void *bytes);
union address address_v6(const void *bytes);
/* An address literal without brackets; false if it is none. */
bool address_parse(const char *text, union address *out);
void address_set_port(union address *address, uint16_t port);
uint16_t address_port(const union address *address);
#define ADDRESS_TEXT_MAX 64u
/* "192.0.2.1:5269" or "[2001:db8::1]:5269" */
void address_print(const union address *address, char out[ADDRESS_TEXT_MAX]);

enum address_class address_class(const union address *address);
/* "a loopback address" */
const char *address_class_name(enum address_class class);
bool address_is_permitted(const struct address_policy *policy, const union address *address);
/* "10.0.0.0/8", "fd00::/8"; a single address is a prefix too. */
bool address_prefix_parse(const char *text, struct address_prefix *out, struct err *err);

/*
 * The order of attempts (RFC 8305 s4): first by destination address selection, then families interleaved one by one,
 * beginning with that of the first. Of the selection (RFC 6724 s6) it takes what depends on the destination alone:
 * precedence by the default policy table (rule 6), then smaller scope (rule 8), else the order as it came (rule 10).
 * The other rules compare source addresses, which only the kernel that routes the connection knows; what they would
 * avoid, the race of RFC 8305 s5 gets over.
 */
void address_order(union address *addresses, unsigned count);
