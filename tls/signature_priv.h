/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Signature: is a certificate (or an answer about one) signed by a key, and are both strong enough (RFC 5280 s6.1.3 (a)
 * (1), RFC 9325 s4.4).
 *
 * Accepted: RSA of 2048 to 4096 bits with PKCS #1 v1.5 or PSS, ECDSA on P-256, P-384, P-521, each with SHA-256, SHA-384
 * or SHA-512; Ed25519. PSS with its hash function in MGF1 too and a salt of the hash's size, the only ones that TLS
 * uses (RFC 8446 s4.2.3).
 *
 * Thread:  any; no state.
 */
#include "tls/certificate_priv.h"

enum signature_status {
    SIGNATURE_GOOD,
    SIGNATURE_BAD,
    SIGNATURE_FOREIGN, /* an algorithm or a key that is not accepted, SHA-1 and MD5 among them: not looked at */
};
/* What is signed, by which algorithm (the content of its identifier), and the signature's bits. */
struct signature {
    struct span text;
    struct span algorithm;
    struct span bits;
};
enum signature_status signature_verify(const struct signature *signature, struct span key);
static inline struct signature signature_of(const struct certificate *certificate)
{
    return (struct signature){certificate->to_be_signed, certificate->algorithm, certificate->signature};
}
bool signature_is_key_accepted(struct span key);
/* The hash function of an AlgorithmIdentifier's content, as the library numbers them (enum wc_HashType); 0: none. */
int signature_hash(struct span algorithm);
