/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * DER: a strict reader of ASN.1's distinguished encoding, as far as certificates need it (X.690 s8.1, s10.1): definite
 * lengths in their shortest form, of up to three octets; tags below 31. Nothing is copied and nothing outside of the
 * span is ever read.
 *
 * Thread:  any; no state.
 */
#include "core/base/span.h"

#include <stdint.h>

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_UTF8_STRING = 0x0c,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
};
/* Context-specific tags: primitive and constructed. */
#define DER_CONTEXT(number)      (0x80u | (number))
#define DER_CONTEXT_LIST(number) (0xa0u | (number))

/* Each takes one element off the front; false: there is none such, and *s is spoilt. */
bool der_take(struct span *s, unsigned *tag, struct span *content);
bool der_take_tag(struct span *s, unsigned tag, struct span *content);
/* With its tag and length too. */
bool der_take_whole(struct span *s, unsigned tag, struct span *whole, struct span *content);
bool der_skip(struct span *s);
/* BOOLEAN and a non-negative INTEGER of up to four octets, in their only form (X.690 s11.1, s8.3.2). */
bool der_take_boolean(struct span *s, bool *out);
bool der_take_number(struct span *s, uint32_t *out);
/* Seconds since 1970 of a UTCTime or GeneralizedTime: YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ, nothing else (RFC 5280
 * s4.1.2.5.1, s4.1.2.5.2; RFC 6960 s4.2.2.1 goes by the same). */
bool der_take_time(struct span *s, int64_t *out);

/* The tag of the next element; 0: none. */
static inline unsigned der_peek(struct span s)
{
    return s.size == 0 ? 0 : (unsigned char)s.ptr[0];
}
