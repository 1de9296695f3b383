/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Staples: what the issuers of our own certificates say of them, for TLS to show beside them (RFC 6066 s8), without
 * threads, sockets and clocks: they are the hooks'.
 *
 * Each certificate that names an OCSP responder is an inquiry, whatever number of contexts and domains show it. It is
 * asked for again when four fifths to nine tenths of its answer's time are over, so that failures have room before its
 * end, and after an interval at the latest. What is shown is the last answer that said good, until its nextUpdate, and
 * nothing else: see staples_fetched() for one that is revoked.
 *
 * Thread:  the inspector's.
 * Bounds:  STAPLES_FETCHES_MAX at a time, beside those of inquiries.
 * Times:   seconds since 1970 by the wall clock.
 */
#include "router/certs/evidence_priv.h"
#include "router/certs/inspector.h"

#define STAPLES_FETCHES_MAX 8u
#define STAPLES_NUMBER      (UINT64_C(1) << 63) /* set in the numbers of our fetches, and in no others */

/* A certificate of ours in one context. */
struct staple_place {
    const char *domain; /* stays as long as it is in the set */
    struct span leaf;   /* DER */
    struct span issuer; /* empty: it is not known */
    struct context *context;
    unsigned index;
};

struct staples;

struct staples_hooks {
    void *context;
    /* As inquiries_hooks have them. */
    void (*fetch)(void *context, uint64_t number, const char *url, struct span body);
    uint32_t (*dice)(void *context);
    /* From now on this context shows that answer for the certificate at that index; empty: none. False: it cannot. */
    bool (*show)(void *context, struct context *where, unsigned index, struct span response);
    /* GOOD: an answer is shown that was not before; UNANSWERED: an asking has failed; REVOKED: it is. */
    void (*count)(void *context, enum standing what);
};

/* evidence: where answers are remembered; the caller's. */
struct staples *staples_new(const struct inspector_settings *settings, struct evidence *evidence,
                            const struct staples_hooks *hooks);
void staples_free(struct staples *staples);

/* A new set of places: those that are added between the two. What is known of a certificate stays known, and is shown
 * in its new places at once. Those that are in no place any more are forgotten; what they show is left as it is. */
void staples_begin(struct staples *staples);
void staples_add(struct staples *staples, const struct staple_place *place, int64_t now);
void staples_end(struct staples *staples);

/* Begins what is due, and takes away what is over. */
void staples_advance(struct staples *staples, int64_t now);
int64_t staples_due(const struct staples *staples);
/* body.ptr NULL: it could not be fetched. An answer that says revoked ends the showing of the good one before it, and
 * is not shown itself: RFC 6066 s8 leaves that to the server, whoever stole the key would not show it either, and who
 * asks the responder is told so. All it could do is to cut off our own users before there is another certificate. */
void staples_fetched(struct staples *staples, uint64_t number, struct span body, int64_t now);
void staples_clock(struct staples *staples, int64_t now);
/* Those of a domain, by its prepared name, are asked for at once; how many. */
unsigned staples_check(struct staples *staples, struct span domain, int64_t now);
/* What is known of the certificate; false: it is in no place. */
bool staples_find(const struct staples *staples, const uint8_t sha256[CREDENTIAL_SHA256], struct inspector_staple *out);
