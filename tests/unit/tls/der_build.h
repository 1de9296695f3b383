/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * DER build: certificates by hand, for names that no tool would write. They are signed by nobody.
 */
#include "core/base/span.h"

struct der_build {
    char bytes[131072];
    size_t size;
};

/* Wraps what was built since start into an element with this tag. */
void der_build_wrap(struct der_build *out, size_t start, unsigned tag);
void der_build_add(struct der_build *out, unsigned tag, struct span content);
/* An otherName of id-pkix' arc 8 (7: SRVName, 5: XmppAddr) with a value of this tag. */
void der_build_other(struct der_build *out, unsigned arc, unsigned tag, struct span value);
/* A certificate with this content of subjectAltName (empty: none); the bytes lie in out. */
struct span der_build_certificate(struct der_build *out, struct span names);
