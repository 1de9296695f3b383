/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Certificate: what is read from an X.509 certificate in DER here (RFC 5280 s4.1, s4.2). What does not parse has none
 * of the facts: there is no half-read certificate.
 *
 * Thread:  any; no state.
 * Owns:    nothing: every span lies in the DER that was given.
 */
#include "core/base/span.h"

#include <stdint.h>

/* Bits of keyUsage (RFC 5280 s4.2.1.3), the first bit of the string highest. */
#define KEY_USAGE_DIGITAL_SIGNATURE 0x80u
#define KEY_USAGE_KEY_CERT_SIGN     0x04u
#define KEY_USAGE_CRL_SIGN          0x02u

/* What extKeyUsage names (RFC 5280 s4.2.1.12, RFC 6120 s13.7.1.4); others are not told apart. */
#define PURPOSE_SERVER 0x01u
#define PURPOSE_CLIENT 0x02u
#define PURPOSE_ANY    0x04u
#define PURPOSE_XMPP   0x08u /* id-on-xmppAddr */
#define PURPOSE_OCSP   0x10u /* id-kp-OCSPSigning */

#define PATH_LENGTH_NONE UINT32_MAX

struct certificate {
    struct span der;
    struct span to_be_signed;  /* TBSCertificate, whole */
    struct span algorithm;     /* content of signatureAlgorithm, the same inside and outside */
    struct span signature;     /* the bits */
    struct span issuer;        /* content of Name; two names are equal when their bytes are (RFC 5280 s4.1.2.4) */
    struct span subject;       /* the same */
    struct span subject_whole; /* Name, with tag and length */
    struct span serial;        /* content of the INTEGER; with the issuer it names the certificate */
    struct span key;           /* SubjectPublicKeyInfo, whole */
    struct span names;         /* content of subjectAltName; empty: none */
    struct span constraints;   /* content of nameConstraints; empty: none */
    struct span crl_points;    /* content of cRLDistributionPoints; empty: none */
    struct span information;   /* content of authorityInfoAccess; empty: none */
    int64_t not_before;        /* seconds since 1970 */
    int64_t not_after;
    uint32_t path_length_max; /* PATH_LENGTH_NONE: unlimited */
    uint8_t version;          /* 1..3 */
    uint8_t key_usage;
    uint8_t purposes;
    bool has_key_usage;
    bool has_purposes;
    bool is_authority;         /* basicConstraints, cA */
    bool must_staple;          /* RFC 7633: a handshake without status_request's answer is not to be trusted */
    bool has_unknown_critical; /* a critical extension that is not understood here */
};

/* False: not a certificate, or one that breaks the syntax of RFC 5280, trailing bytes included. */
bool certificate_read(struct span der, struct certificate *out);
static inline bool certificate_is_self_issued(const struct certificate *certificate)
{
    return span_equal(certificate->issuer, certificate->subject);
}

/* The next certificate in PEM, with its lines of begin and end; the rest stays in *pem. SPAN_NONE: there is none. */
struct span certificate_next_pem(struct span *pem);
/* For people, of a Name's content: its common name, or else its organisation, as it stands there; SPAN_NONE: neither.
 */
struct span certificate_name_text(struct span name);
/* SHA-256 over the issuer's organisation, or its whole name when there is none, and subjectAltName: equal for a
 * certificate and its renewals. Authorities change the certificate that they issue by from one renewal to the next. */
#define CERTIFICATE_IDENTITY_SIZE 32u
bool certificate_identity(struct span der, uint8_t out[CERTIFICATE_IDENTITY_SIZE]);
/* The hash of the certificate by the function of its signature, SHA-256 in place of MD5 and SHA-1 (RFC 5929 s4.1).
 * 0: the signature has no such function. SHA-512 is the largest. */
#define CERTIFICATE_HASH_MAX 64u
size_t certificate_hash(struct span der, uint8_t out[CERTIFICATE_HASH_MAX]);
