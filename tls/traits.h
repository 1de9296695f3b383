/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Traits: what of a certificate makes another one of it. A renewal has other dates and another serial number, and
 * perhaps another leaf under another certificate of the same authority; with another key, issuer or name whoever
 * presents it is to be met as a stranger.
 *
 * Thread:  any; no state.
 */
#include "tls/credential.h"

/* SHA-256 of each. */
struct traits {
    uint8_t key[CREDENTIAL_SHA256];    /* the leaf's SubjectPublicKeyInfo */
    uint8_t issuer[CREDENTIAL_SHA256]; /* name and SubjectPublicKeyInfo of who signed it; its name when it is alone */
    uint8_t names[CREDENTIAL_SHA256];  /* the leaf's identity: in any order, letters of ASCII in any case */
};

/* Of a valid one. */
void traits_read(const struct credential *credential, struct traits *out);
