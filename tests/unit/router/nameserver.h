/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Nameserver: a DNS server on loopback for tests, of our own, that can be slow, silent and lying. It answers like a
 * resolver that knows everything: UDP and TCP on one port of 127.0.0.1. Names in the zone that was made signed are
 * signed as they are asked for (ECDSA P-256), absences by NSEC records that cover just that name (RFC 4470).
 *
 * Thread:  one of its own; nameserver_add() only before nameserver_start().
 */
#include <stdbool.h>
#include <stdint.h>

enum nameserver_mode {
    NS_HONEST,
    NS_SILENT,
    NS_SERVFAIL,
    NS_NXDOMAIN,
    NS_TRUNCATED,     /* over UDP never more than the first half of it */
    NS_FORGED_ID,     /* a lie with another id comes first, the truth 30 ms later */
    NS_FORGED_NAME,   /* a lie about another name comes first, likewise */
    NS_BAD_SIGNATURE, /* one bit is wrong */
    NS_EXPIRED,       /* signed well, long ago */
    NS_STRIPPED,      /* no signatures */
};

struct nameserver;

struct nameserver *nameserver_new(void);
/* Everything at and below the zone is signed. */
void nameserver_sign(struct nameserver *server, const char *zone);
/* type "A", "AAAA", "SRV", "TLSA", "CNAME"; "*" with a mode: whatever is asked of the name. text: the data as in a zone
 * file, addresses and names without a last dot; NULL: none. */
void nameserver_add(struct nameserver *server, const char *name, const char *type, const char *text,
                    enum nameserver_mode mode, unsigned delay_ms);
/* "127.0.0.1@PORT" */
const char *nameserver_start(struct nameserver *server);
/* The zone's key as a trust anchor. */
const char *nameserver_anchor(const struct nameserver *server);
/* Questions heard, of that name; NULL: all. Any thread. */
unsigned nameserver_heard(struct nameserver *server, const char *name);
void nameserver_stop(struct nameserver *server);
