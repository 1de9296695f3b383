/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Inquiry: one certificate and its issuer, and how far the asking has come. It goes through its sources in order; a
 * round ends with an answer that counts or when the last source has failed.
 *
 * Thread:  the inspector's.
 */
#include "router/certs/inspector.h"

#include <stdlib.h>

#define INQUIRY_KEY_SIZE 32u

struct inquiry {
    struct inquiry *next, *previous; /* all */
    uint32_t references;             /* of dossiers */
    uint8_t key[INQUIRY_KEY_SIZE];   /* SHA-256 over the hashes of the two */
    uint8_t sha256[CREDENTIAL_SHA256];
    struct span certificate; /* owned, as is the next */
    struct span issuer;
    struct revocation_sources sources; /* they lie in the certificate */
    enum standing standing;            /* not UNCHECKED or GOOD by mistake: see inquiry_settle() */
    struct revocation_answer answer;   /* the last one that counted; fresh until next_update */
    enum revocation_status status;     /* of the last answer, whatever it was */
    struct revocation_answer listed;   /* what the operator's own lists say: crl_files_judge() */
    const char *file;                  /* which of them; NULL: none is by its issuer */
    bool rests_on_file;                /* the standing */
    int64_t due;                       /* the next round; INT64_MAX: never, or one is under way */
    int64_t checked;                   /* when the last one ended */
    uint64_t fetch;                    /* what is waited for; 0: nothing */
    unsigned failures;                 /* rounds in a row */
    unsigned source;                   /* next to ask in this round */
    bool is_stapled;                   /* the answer that counted came in a handshake */
};

/* NULL: no memory. Nothing is asked yet. */
struct inquiry *inquiry_new(const struct credential_certificate *certificate,
                            const struct credential_certificate *issuer);
void inquiry_free(struct inquiry *inquiry);
void inquiry_key(const struct credential_certificate *certificate, const struct credential_certificate *issuer,
                 uint8_t out[INQUIRY_KEY_SIZE]);

/* The next source of the round. */
enum inquiry_source { INQUIRY_OCSP, INQUIRY_CRL, INQUIRY_NONE };
enum inquiry_source inquiry_source(const struct inquiry *inquiry, struct span *url);
/* An answer came. True: it counts, and the round is over. */
bool inquiry_settle(struct inquiry *inquiry, struct revocation_answer answer, const struct inspector_settings *settings,
                    uint32_t dice, int64_t now);
/* No source has answered, and a list of the operator's has: it is good, and they are asked again as if it were not. */
void inquiry_fall_back(struct inquiry *inquiry, const struct inspector_settings *settings, uint32_t dice, int64_t now);
/* No source is left. */
void inquiry_fail(struct inquiry *inquiry, const struct inspector_settings *settings, uint32_t dice, int64_t now);
/* Is this its serial number, or its hash? */
bool inquiry_is_named(const struct inquiry *inquiry, struct span name);
