/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Credential: what became of the certificates that the other side presented (RFC 5280 s6, RFC 6120 s13.7.2).
 *
 * A verdict is about the chain alone; whose it is, identity_matches tells with the domain that the peer claims in its
 * stream header. Only both together authenticate it (RFC 6120 s13.7.2.1, XEP-0178 s3).
 *
 * Usage: extKeyUsage, when it is there, must name serverAuth in the server's certificate; in the client's, serverAuth
 * or clientAuth, for one server uses one certificate in both roles and public authorities do not put clientAuth into it
 * any more; in that of a user's client, clientAuth. anyExtendedKeyUsage and id-on-xmppAddr (RFC 6120 s13.7.1.4) do for
 * all. RFC 9525 is silent on it (s1.4), and XEP-0178 too. keyUsage, when it is there, must have digitalSignature, which
 * every handshake that we speak needs. A leaf that may sign certificates is refused (RFC 6120 s13.7.1.1); one with an
 * empty subject is not, as they are issued today.
 *
 * Thread:  immutable but for its count of references, that of uses, and what is remembered of it: any thread may change
 * them.
 * Bounds:  the library takes CREDENTIAL_SENT_MAX certificates, about 18 KiB together; a chain beyond that ends the
 * handshake.
 */
#include "tls/identity.h"

#define CREDENTIAL_SENT_MAX 9u
#define CREDENTIAL_PATH_MAX (CREDENTIAL_SENT_MAX + 1) /* with the anchor */
#define CREDENTIAL_SHA256   32u

enum credential_verdict {
    CREDENTIAL_NONE, /* no certificate was presented */
    CREDENTIAL_VALID,
    CREDENTIAL_MALFORMED,        /* does not parse, or is not of version 3 */
    CREDENTIAL_SELF_SIGNED,      /* by its own key, and not pinned */
    CREDENTIAL_UNKNOWN_ISSUER,   /* no path to an anchor */
    CREDENTIAL_BAD_SIGNATURE,    /* not by the issuer that it names */
    CREDENTIAL_ALGORITHM,        /* a signature or key that is too weak, or of a kind that is not accepted */
    CREDENTIAL_EXPIRED,          /* an anchor may be it too */
    CREDENTIAL_NOT_YET_VALID,    /* the same */
    CREDENTIAL_NOT_AN_AUTHORITY, /* an issuer that may not issue */
    CREDENTIAL_IS_AUTHORITY,     /* a leaf that may */
    CREDENTIAL_USAGE,            /* keyUsage or extKeyUsage forbid it */
    CREDENTIAL_PATH_LENGTH,      /* pathLenConstraint */
    CREDENTIAL_NAME_CONSTRAINTS, /* an authority that may not vouch for these names */
    CREDENTIAL_CRITICAL,         /* a critical extension that is not understood */
    CREDENTIAL_TANGLED,          /* more signatures or names than the bounds allow to look at */
    CREDENTIAL_NO_MEMORY,
};

/* Of the one who is judged; CLIENT: another server that has called us, USER: the client of somebody. */
enum credential_role { CREDENTIAL_SERVER, CREDENTIAL_CLIENT, CREDENTIAL_USER };
#define CREDENTIAL_ROLES 3u

struct credential_certificate {
    struct span der;
    uint8_t sha256[CREDENTIAL_SHA256];
    int64_t not_before;
    int64_t not_after;
};

struct credential {
    enum credential_verdict verdict;
    uint32_t references;      /* the pool's */
    _Atomic uint32_t uses;    /* of whoever counts them: router/certs/watch.c its streams, relaxed */
    bool is_shared;           /* by all with the same path: valid ones that came by a handshake */
    _Atomic uint64_t *held;   /* of a valid one: what context_trusts() found last, for each role */
    unsigned fault;           /* when refused: of which certificate, counted from the leaf, 0 */
    int64_t not_after;        /* of the whole path, its anchor included: the earliest (RFC 6120 s13.7.2.3) */
    struct identity identity; /* of the leaf; empty unless it is valid */
    uint8_t fingerprint[CREDENTIAL_SHA256]; /* of a valid one's path: SHA-256 over its certificates' */
    /* The path that was found, leaf first, the anchor last; none unless it is valid. */
    unsigned count;
    struct credential_certificate path[];
};

/* "expired"; for people and for the log. */
const char *credential_text(enum credential_verdict verdict);
/* The first 16 hexadecimal digits of the leaf's SHA-256, for the log; of one that has a path. */
#define CREDENTIAL_SHORT_SIZE 17u
const char *credential_short(const struct credential *credential, char out[CREDENTIAL_SHORT_SIZE]);
/* One more reference to a shared one. */
void credential_ref(struct credential *credential);
/* Drops a reference; with the last one it is gone. */
void credential_free(struct credential *credential);
