/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Context: an immutable snapshot of certificates, keys and policy from which engines are made. A reload makes a new
 * one; engines keep the one they were born with. The only header through which the library's name is known to others
 * is its version string.
 *
 * TLS 1.3 and 1.2; AEAD with forward secrecy only (RFC 7590 s3, RFC 9325); no renegotiation, no compression, no early
 * data. Tickets are sealed with keys of the ticket_keys shared by all contexts and shards of the process.
 *
 * Thread:  context_new on any; ref and unref on any (atomic count); engine_new on any.
 */
#include "core/base/err.h"
#include "core/base/span.h"
#include "tls/anchors.h"

#include <stdint.h>

struct context;
struct credential;
struct ticket_keys;

/* Seconds since 1970. */
typedef int64_t (*context_clock_fn)(void);

enum context_role { CONTEXT_SERVER, CONTEXT_CLIENT };

struct context_domain {
    const char *name;             /* A-label or U-label domain, prepared */
    const char *certificate_file; /* PEM, leaf first, then intermediates */
    const char *key_file;         /* PEM */
};

struct context_config {
    enum context_role role;
    const struct context_domain *domains; /* server: at least one; the first answers clients without SNI, and those
                                             whose SNI is not served: the handshake goes on without an acknowledgement
                                             of the name and the client judges (RFC 6066 s3). Client: what it presents
                                             when it is asked, one for each domain that it calls from, or none */
    unsigned domain_count;
    const char *const *alpn;         /* NULL-terminated, preferred first; NULL: none. A server refuses a client that
                                        offers only others (RFC 7301 s3.2) and accepts one that offers none */
    struct ticket_keys *ticket_keys; /* server; NULL: no tickets. Must outlive the context and its engines. A resumed
                                        handshake shows no certificate that could be judged: so between servers there
                                        are none, and of users' clients only those get one that presented no
                                        certificate, in TLS 1.3, where it is known by then */
    /* The peer's certificates, which a server asks for, are judged by these, and the handshake goes on whatever comes
     * of it (engine_credential tells). NULL: a server does not ask, a client goes by ca_file. A reference is taken. */
    struct anchors *anchors;
    bool for_users;         /* server, with anchors: who is judged are clients of users, and not other servers */
    context_clock_fn clock; /* to judge by; NULL: the system's */
    const char *ca_file;    /* client: trust anchors in PEM; NULL with insecure. Names are the caller's to check */
    bool insecure;          /* client, tests and benches: accept any certificate */
    uint16_t version_min;   /* 0x0303 or 0x0304 */
    uint16_t version_max;   /* the same; 0: 0x0304 */
};

/* Once per process, before the first context; at the end. */
bool tls_start(struct err *err);
void tls_stop(void);
/* "wolfSSL 5.9.2 (origin)". */
const char *tls_library(void);

/* 128-bit random key names, 256-bit keys; rotated by age at use (4 h), refused after 12 h. A ticket is bound to its
 * domain; after 64 resumptions in a chain comes a full handshake. Thread-safe. */
struct ticket_keys *ticket_keys_new(void);
void ticket_keys_free(struct ticket_keys *keys);
/* All tickets given so far are refused from now on: their sessions are established from zero. */
void ticket_keys_forget(struct ticket_keys *keys);

/* Names the file and the reason: unreadable, no PEM, key does not match, certificate not for the domain (RFC 9525),
 * expired. The last two are for the caller to judge: they are told in warning, which may be NULL. */
struct context *context_new(const struct context_config *config, struct err *err, struct err *warning);
struct context *context_ref(struct context *context);
void context_unref(struct context *context);
/* Before the first engine is made of it: its tickets are good in contexts of the same era alone. 0 without that. */
void context_bind_tickets(struct context *context, uint32_t era);
/* Does a valid credential hold by the anchors that there are now? Its path ends at one of them, or another path to one
 * does, from the certificates below its old anchor, that ends no sooner: a root that was renewed with its key, or an
 * authority that became an anchor itself. What else the peer sent was not kept, so a way that only a handshake could
 * find is not found. Judged once for a set of anchors, and remembered. */
bool context_trusts(const struct context *context, const struct credential *credential);
/* Judges all that are shared in the process, so that those who ask for each of their streams only look it up. Up to 32
 * signatures for each whose anchor has gone and whose issuer has a namesake; others cost a microsecond. */
void context_review(const struct context *context);
/* The same anchors, octet by octet, wherever they were read from? NULL and a context without anchors have none. */
bool context_has_same_anchors(const struct context *a, const struct context *b);
/* A certificate that a domain shows. The spans are the context's. */
struct context_certificate {
    const char *domain;
    struct span der;
    struct span serial;  /* the octets as they stand in it */
    struct span subject; /* its common name, or else its organisation, as it stands there; may be empty */
    struct span issuer;  /* the same */
    int64_t not_after;   /* 0: the certificate breaks the syntax, and nothing of it was read */
    bool must_staple;    /* it may not be trusted without a stapled answer (RFC 7633 s4) */
};
/* The leaf of the domain at index, as in the configuration; false: there are no more. */
bool context_certificate(const struct context *context, unsigned index, struct context_certificate *out);
/* Server: the OCSP answer (RFC 6960) for the certificate of the domain at index, as in the configuration, is shown from
 * the next handshake on to clients that ask for it (RFC 6066 s8, RFC 8446 s4.4.2.1); others get none. Copied; an empty
 * one: none any more. Whether it is one, about this certificate and fresh, is the caller's to know. Any thread, at any
 * time. False: no memory, no such domain, or more than CONTEXT_STAPLE_MAX bytes; then it stays as it was. */
#define CONTEXT_STAPLE_MAX                                                                                             \
    16000u /* answers have some hundred bytes, with a delegate some thousand; OpenSSL takes 16,380 */
bool context_set_staple(struct context *context, unsigned index, struct span response);
/* What is shown now: a copy, for span_free(). SPAN_NONE: none. */
struct span context_staple(const struct context *context, unsigned index);
/* The others that are sent behind it, from position 0 on, in the order of its file; false: there are no more. */
bool context_certificate_above(const struct context *context, unsigned index, unsigned position,
                               struct context_certificate *out);
/* The certificate in DER that has signed the leaf: among the others of its file, else among the context's anchors, else
 * among those, which may be NULL. SPAN_NONE: nowhere. */
struct span context_certificate_issuer(const struct context *context, unsigned index, const struct anchors *others);
/* Two contexts of a server, an older and a newer one: is the domain's certificate the same or a renewal, by the same
 * organisation (without one, by the same issuer) and with the same names (a new key and new dates make no other
 * certificate of it)? True too when neither has the domain; NULL stands for a context without domains. */
bool context_is_renewal(const struct context *before, const struct context *after, struct span domain);
