/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * DNS: one question's answer as the lookup sees it, whoever asked it, and names between wire and text.
 *
 * Thread:  any; no state.
 */
#include "core/base/span.h"

#include <stdint.h>

#define DNS_NAME_MAX 253u /* octets of a name in text, without the last dot (RFC 1035 s2.3.4: 255 on the wire) */

/* RFC 1035 s3.2.2, RFC 3596 s2.1, RFC 2782, RFC 6698 s7.1. */
enum dns_type { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33, DNS_TLSA = 52 };

enum dns_result {
    DNS_DATA,     /* at least one record */
    DNS_NO_DATA,  /* the name exists, without records of that type */
    DNS_NO_NAME,  /* NXDOMAIN */
    DNS_FAILED,   /* SERVFAIL, REFUSED, records that cannot be read: nothing is known */
    DNS_TIMEOUT,  /* no answer in time */
    DNS_BOGUS,    /* DNSSEC validation failed */
    DNS_TOO_MANY, /* the chain of aliases is too long */
};

struct dns_answer {
    enum dns_result result;
    bool is_secure;     /* validated, aliases included; also of an absence */
    uint32_t ttl_s;     /* the least of all that was used; of an absence by RFC 2308 s5 */
    unsigned aliases;   /* CNAME and DNAME records that led there */
    const char *reason; /* why it is bogus, for a person; or NULL */
    const struct span *data;
    unsigned count;
};

enum dns_name_status {
    DNS_NAME_HOST, /* letters, digits, hyphens, underscores and dots */
    DNS_NAME_ROOT, /* "." */
    DNS_NAME_BAD,  /* cut off, compressed, or with octets that no host name has */
};

/* An uncompressed name at the start of wire, as text in lower case without the last dot, with a NUL behind it. */
enum dns_name_status dns_name_read(struct span wire, char out[DNS_NAME_MAX + 1]);
/* Labels of 1 to 63 octets, DNS_NAME_MAX in all. */
bool dns_name_is_valid(struct span text);
/* "SRV"; "?" for a type not listed above. */
const char *dns_type_name(enum dns_type type);
/* "no such name" */
const char *dns_result_name(enum dns_result result);
