/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * General name: one GeneralName of a certificate (RFC 5280 s4.2.1.6), in subjectAltName or nameConstraints.
 *
 * Thread:  any; no state.
 * Owns:    nothing: the value lies in the DER.
 */
#include "core/base/span.h"

enum name_kind {
    NAME_DNS,       /* the IA5String's bytes */
    NAME_SRV,       /* id-on-dnsSRV: the IA5String's bytes (RFC 4985 s2) */
    NAME_XMPP,      /* id-on-xmppAddr: the UTF8String's bytes (RFC 6120 s13.7.1.4) */
    NAME_DIRECTORY, /* the content of Name */
    NAME_MAIL,      /* rfc822Name: the IA5String's bytes */
    NAME_IP,        /* 4 or 16 octets; with as many of mask in a constraint */
    NAME_OTHER,     /* the octets behind the tag; for an otherName, its OID whole */
};

struct general_name {
    enum name_kind kind;
    unsigned tag;
    struct span value;
};

/* Takes one off the front; false: no such thing, and *s is spoilt. An otherName of a kind that is known whose value is
 * of another type than it should be is NAME_OTHER. */
bool general_name_take(struct span *s, struct general_name *out);
