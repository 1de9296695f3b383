/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Anchors, as paths see them.
 */
#include "tls/anchors.h"
#include "tls/certificate_priv.h"

#include <stdatomic.h>

struct anchors {
    atomic_uint references;
    unsigned count;
    struct certificate *certificates; /* their DER is owned */
};

/* This very certificate, octet by octet? */
bool anchors_have(const struct anchors *anchors, struct span der);
