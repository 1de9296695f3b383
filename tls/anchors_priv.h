/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Anchors, as paths see them.
 */
#include "tls/anchors.h"
#include "tls/certificate_priv.h"

#include <stdatomic.h>
#include <stdint.h>

struct anchors {
    atomic_uint references;
    unsigned count;
    uint64_t content; /* names the set, in whatever order: of its SHA-256, the lowest two bits are 10 */
    struct certificate *certificates; /* their DER is owned */
};

/* This very certificate, octet by octet? */
bool anchors_have(const struct anchors *anchors, struct span der);
