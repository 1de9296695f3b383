/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Revocation: was a certificate taken back by its issuer? The answers of both kinds are judged here, from bytes alone:
 * OCSP (RFC 6960) and CRL (RFC 5280 s5, s6.3). Where the bytes come from, stapled, fetched or out of a file, is the
 * caller's.
 *
 * Who may answer (RFC 6960 s4.2.2.2): the issuer with its own key, or a certificate that this very key signed for
 * id-kp-OCSPSigning and that is in force; nobody above the issuer and nobody that somebody else delegated. A delegate's
 * own revocation is not asked for: it is short-lived, or says so (id-pkix-ocsp-nocheck). A CRL is the issuer's own.
 *
 * An answer is fresh from thisUpdate, SKEW allowed for clocks that differ, until nextUpdate; without one, for a day.
 * No nonce is asked for: few responders give one, and freshness bounds what a replay is worth (RFC 6960 s4.4.1).
 *
 * Thread:  any; no state.
 * Bounds:  an answer of up to REVOCATION_OCSP_MAX or REVOCATION_CRL_MAX bytes; REVOCATION_DELEGATES_MAX signatures.
 */
#include "core/base/span.h"

#include <stdint.h>

#define REVOCATION_OCSP_MAX      65536u
#define REVOCATION_CRL_MAX       (16u << 20) /* the largest of public authorities have 10 MiB */
#define REVOCATION_DELEGATES_MAX 4u
#define REVOCATION_SKEW_S        300
#define REVOCATION_FRESH_S       86400 /* of an answer without nextUpdate (RFC 6960 s2.4: newer is always to be had) */
#define REVOCATION_SOURCES_MAX   4u

enum revocation_status {
    REVOCATION_GOOD,
    REVOCATION_REVOKED,
    /* No answer, for one of these reasons. */
    REVOCATION_UNKNOWN,      /* the responder does not know the certificate (RFC 6960 s2.2) */
    REVOCATION_REFUSED,      /* the responder has no answer: tryLater, unauthorized, ... (s2.3) */
    REVOCATION_MALFORMED,    /* breaks the syntax */
    REVOCATION_OTHER,        /* about another certificate, or by another issuer */
    REVOCATION_UNAUTHORISED, /* by somebody who may not say so */
    REVOCATION_FORGED,       /* the signature is wrong */
    REVOCATION_EARLY,        /* from the future */
    REVOCATION_STALE,        /* nextUpdate is over */
    REVOCATION_UNSUPPORTED,  /* says it in a way that is not understood here: a delta, an indirect CRL, weak hashes */
    REVOCATION_SILENCE,      /* nothing came that could be judged: the asker's word, no judge's */
};

struct revocation_answer {
    enum revocation_status status;
    uint8_t reason;      /* CRLReason, when revoked (RFC 5280 s5.3.1); 0: not told */
    int64_t this_update; /* seconds since 1970; 0: the answer was not read that far */
    int64_t next_update; /* until when it is fresh, also if it did not say so */
    int64_t revoked_at;
};

/* Where a certificate says that it can be asked for: addresses of http, of visible ASCII, in its order. They lie in the
 * DER. */
struct revocation_sources {
    unsigned ocsp_count;
    unsigned crl_count;
    bool must_staple; /* RFC 7633 */
    struct span ocsp[REVOCATION_SOURCES_MAX];
    struct span crl[REVOCATION_SOURCES_MAX];
};

/* False: it is no certificate. */
bool revocation_sources(struct span certificate, struct revocation_sources *out);

/* Its serial number, content of the INTEGER; with its issuer it names it. Empty: it is no certificate. */
struct span revocation_serial(struct span certificate);
/* The name of who issued it, content of Name. Empty: it is no certificate. */
struct span revocation_issuer(struct span certificate);

/* An OCSPRequest for one certificate, of at most OCSP_REQUEST_MAX bytes; 0: one of the two is no certificate. SHA-1
 * names the issuer, as the profile for large scale wants it (RFC 5019 s2.1.1; it protects nothing). */
#define OCSP_REQUEST_MAX 160u
size_t ocsp_request(struct span certificate, struct span issuer, uint8_t out[OCSP_REQUEST_MAX]);

/* All in DER; now in seconds since 1970. */
struct revocation_answer ocsp_judge(struct span response, struct span certificate, struct span issuer, int64_t now);
struct revocation_answer crl_judge(struct span crl, struct span certificate, struct span issuer, int64_t now);

/* What a list says of itself, whoever made it. */
struct crl_facts {
    struct span issuer;      /* content of its Name, as it stands in the certificates of who issued it; in the DER */
    struct span issuer_text; /* its common name, or else its organisation, as it stands there; may be empty */
    int64_t this_update;
    int64_t next_update; /* until when it is fresh, also if it did not say so */
    struct span entries; /* for crl_next_entry() */
};
/* False: it breaks the syntax, or is larger than REVOCATION_CRL_MAX. */
bool crl_read(struct span crl, struct crl_facts *out);
/* The next entry of a list, with the serial number that it is for; false: there is none, or it breaks the syntax, and
 * then entries is not empty. */
bool crl_next_entry(struct span *entries, struct span *entry, struct span *serial);
/* crl_judge() in two steps, for a list that many certificates of one issuer are looked up in: is it good by this
 * issuer's name and key, whatever the time? Then its signature, which takes as long as the list is large, has been seen
 * to, and crl_look_up() goes without, and by the entry of the certificate alone; empty: it has none. */
enum revocation_status crl_vouch(struct span crl, struct span issuer);
struct revocation_answer crl_look_up(struct span crl, struct span entry, struct span certificate, struct span issuer,
                                     int64_t now);

/* "stale"; for people and for the log. */
const char *revocation_text(enum revocation_status status);
