/* SPDX-License-Identifier: MIT */
#pragma once
/* What both kinds of answers share. */
#include "tls/certificate_priv.h"
#include "tls/revocation.h"

/* The certificate and who issued it, read. */
struct revocation_case {
    struct certificate certificate;
    struct certificate issuer;
    int64_t now;
};

/* False: one is no certificate, or the issuer is another one's. */
bool revocation_case_read(struct span certificate, struct span issuer, int64_t now, struct revocation_case *out);
/* thisUpdate or nextUpdate, off the front. False for one of 1970 or sooner too, which no answer has: 0 stands for one
 * that is not told. */
bool revocation_take_update(struct span *s, int64_t *out);
/* thisUpdate and nextUpdate (0: none) against the clock: good, early or stale. Fills both in. */
enum revocation_status revocation_freshness(int64_t this_update, int64_t next_update, int64_t now,
                                            struct revocation_answer *answer);
/* A certificate that was revoked stays so, also by an answer that is stale; only a hold may be over meanwhile (reason
 * 6, RFC 5280 s5.3.1). */
static inline bool revocation_outlives(const struct revocation_answer *answer, enum revocation_status freshness)
{
    return answer->status == REVOCATION_REVOKED && answer->reason != 6 && freshness == REVOCATION_STALE;
}
static inline struct revocation_answer revocation_none(enum revocation_status status)
{
    return (struct revocation_answer){.status = status};
}
