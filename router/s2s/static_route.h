/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Static route: the operator's word that a domain's server is at a host and port, instead of what the DNS says
 * (RFC 6120 s3.2.3). Several routes of one domain are tried in their order.
 *
 *   example.net=10.0.0.5:5269        example.net=[fd00::1]:5269        example.net=xmpp.internal:5270/tls
 *
 * "/tls": TLS begins at once (XEP-0368), else STARTTLS. Without a port it is 5269.
 */
#include "core/base/err.h"
#include "core/jid/jid.h"
#include "router/s2s/dns.h"

struct static_route {
    char domain[JID_PART_MAX + 1]; /* prepared */
    char host[DNS_NAME_MAX + 1];   /* A-labels, or an address without brackets */
    uint16_t port;
    bool is_direct_tls;
};

bool static_route_parse(const char *text, struct static_route *out, struct err *err);
