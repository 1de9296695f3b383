/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Resolver script: what the DNS says in a test or a simulation; only with resolver_script.c, which replaces libunbound.
 * Everything above the DNS question is the same as in the real resolver.
 *
 * A script is lines, "#" begins a comment:
 *
 *   _xmpp-server._tcp.example.com  SRV   5 0 5269 xmpp.example.com  ttl=60 secure
 *   xmpp.example.com               AAAA  2001:db8::1
 *   xmpp.example.com               A     192.0.2.1  delay=300
 *   _5269._tcp.xmpp.example.com    TLSA  3 1 1 0123abcd  secure
 *   alias.example.com              CNAME xmpp.example.com
 *   gone.example.com               A     bogus
 *   slow.example.com               *     silent
 *
 * Instead of data: nodata, nxdomain, fail, bogus, silent. "*" stands for every type. Options: ttl=SECONDS (300 if not
 * given), delay=MILLISECONDS, secure. A name that is nowhere in the script is NXDOMAIN, one without the type has no
 * data.
 *
 * Thread:  that of the clients, which is one: no second thread may have a client.
 */
#include "router/s2s/resolver.h"

/* Adds to what the script says already. */
bool resolver_script_add(struct resolver *resolver, const char *lines, struct err *err);
/* From now on the DNS is empty; what was learned stays cached. */
void resolver_script_clear(struct resolver *resolver);
/* Questions asked of that name and type (0: any) since the beginning. */
unsigned resolver_script_asked(const struct resolver *resolver, const char *name, enum dns_type type);
