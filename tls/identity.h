/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Identity: whose certificate is this? The one place where names in certificates are compared with domains (RFC 9525,
 * RFC 6120 s13.7).
 *
 * Of a certificate only subjectAltName counts, in three forms: DNS-ID (dNSName), SRV-ID (id-on-dnsSRV, RFC 4985) and
 * XmppAddr (id-on-xmppAddr, RFC 6120 s13.7.1.4). A common name never does (RFC 9525 s2), nor does an IP address, so a
 * domain that is an address literal has no identity.
 *
 * What is not a name in its form is as if it were not there (RFC 9525 s6.3: "MUST be ignored"): bytes that are no
 * letter, digit, hyphen or underscore in labels of 1 to 63 (so an embedded NUL, UTF-8 in an IA5String, an empty name, a
 * trailing dot), more than 253 bytes, a wildcard that is not the whole left-most label or has not at least two labels
 * behind it, an SRV-ID without a service, an XmppAddr with a resourcepart.
 *
 * Addresses of people are read too, an XmppAddr with a localpart (RFC 6120 s13.7.1.3) and an rfc822Name: they are never
 * a domain's. Whose account they are is for the caller, who knows what an address is.
 *
 * Thread:  any; no state.
 * Owns:    nothing: identifiers lie in the certificate's DER, which must outlive them.
 * Bounds:  IDENTITY_COUNT_MAX identifiers; a certificate with more has none.
 */
#include "core/base/span.h"

#include <stdint.h>

/* The largest certificates of hosting companies have about 250 names. */
#define IDENTITY_COUNT_MAX 512u
#define IDENTITY_NAME_MAX  253u  /* a domain name's text (RFC 1035 s2.3.4) */
#define IDENTITY_XMPP_MAX  1023u /* a domainpart, in UTF-8 (RFC 7622 s3.2); a localpart likewise */

enum identifier_kind { IDENTIFIER_DNS, IDENTIFIER_SRV, IDENTIFIER_XMPP, IDENTIFIER_ACCOUNT, IDENTIFIER_MAIL };

struct identifier {
    enum identifier_kind kind;
    /* As it stands in the certificate: DNS: A-labels; SRV: "_service.name"; XMPP: a domain in UTF-8; ACCOUNT: what may
     * be a bare JID, in UTF-8 and not prepared; MAIL: "local@host" in ASCII. */
    struct span name;
};

struct identity {
    uint32_t count;
    struct identifier *identifiers;
};

/* Of the DER of a certificate. False: it is no certificate, or its subjectAltName breaks the syntax, or it has too many
 * names, or memory was refused; then the identity is empty, as it may be on true. */
bool identity_read(struct span der, struct identity *out);
void identity_free(struct identity *identity);

/* Is one of them the domain's, for a service such as "xmpp-server"? The domain in U-labels or A-labels, with or without
 * the root's dot. A DNS-ID or an XmppAddr is good for any service, an SRV-ID for its own. */
bool identity_matches(const struct identity *identity, struct span domain, const char *service);

/* Is one of them the address of somebody at that domain? */
bool identity_has_person_at(const struct identity *identity, struct span domain);

/* Is a DNS-ID the host's that a SRV record names? Other names speak of services, not of hosts (RFC 7673 s4.1, RFC 6125
 * s6.2.1). */
bool identity_matches_host(const struct identity *identity, struct span host);

/* A domain in lower-case A-labels, to be freed; NULL: it is none (an address literal, say). */
char *identity_a_label(struct span domain);
