/* SPDX-License-Identifier: MIT */
#include "router/certs/inquiry_priv.h"

#include "tls/digest.h"

void inquiry_key(const struct credential_certificate *certificate, const struct credential_certificate *issuer,
                 uint8_t out[INQUIRY_KEY_SIZE])
{
    uint8_t both[2 * CREDENTIAL_SHA256];
    memcpy(both, certificate->sha256, CREDENTIAL_SHA256);
    memcpy(both + CREDENTIAL_SHA256, issuer->sha256, CREDENTIAL_SHA256);
    digest_hash(DIGEST_SHA256, span_of(both, sizeof both), out);
}

struct inquiry *inquiry_new(const struct credential_certificate *certificate,
                            const struct credential_certificate *issuer)
{
    struct inquiry *inquiry = calloc(1, sizeof *inquiry);
    if (!inquiry)
        return NULL;
    inquiry_key(certificate, issuer, inquiry->key);
    memcpy(inquiry->sha256, certificate->sha256, sizeof inquiry->sha256);
    inquiry->certificate = span_copy(certificate->der);
    inquiry->issuer = span_copy(issuer->der);
    inquiry->standing = STANDING_PENDING;
    inquiry->status = REVOCATION_SILENCE;
    if (inquiry->certificate.ptr && inquiry->issuer.ptr && revocation_sources(inquiry->certificate, &inquiry->sources))
        return inquiry;
    inquiry_free(inquiry);
    return NULL;
}

void inquiry_free(struct inquiry *inquiry)
{
    span_free(&inquiry->certificate);
    span_free(&inquiry->issuer);
    free(inquiry);
}

enum inquiry_source inquiry_source(const struct inquiry *inquiry, struct span *url)
{
    const struct revocation_sources *sources = &inquiry->sources;
    unsigned index = inquiry->source;
    if (index < sources->ocsp_count) {
        *url = sources->ocsp[index];
        return INQUIRY_OCSP;
    }
    index -= sources->ocsp_count;
    if (index >= sources->crl_count)
        return INQUIRY_NONE;
    *url = sources->crl[index];
    return INQUIRY_CRL;
}

/* A tenth of the time sooner, by chance: so that the streams of one authority do not ask all at once, and some asking
 * twice still comes before the answer is stale. */
static int64_t sooner(int64_t pause, uint32_t dice)
{
    int64_t tenth = pause / 10;
    return pause - (tenth > 0 ? (int64_t)dice % (tenth + 1) : 0);
}

/* The reason that may be over some day (RFC 5280 s5.3.1): everything else is for good. */
#define REASON_HOLD 6u

bool inquiry_settle(struct inquiry *inquiry, struct revocation_answer answer, const struct inspector_settings *settings,
                    uint32_t dice, int64_t now)
{
    inquiry->status = answer.status;
    if (answer.status != REVOCATION_GOOD && answer.status != REVOCATION_REVOKED)
        return false;
    bool is_revoked = answer.status == REVOCATION_REVOKED;
    int64_t pause = answer.next_update - now;
    if (pause > settings->interval_s)
        pause = settings->interval_s;
    inquiry->answer = answer;
    inquiry->is_stapled = false;
    inquiry->standing = is_revoked ? STANDING_REVOKED : STANDING_GOOD;
    inquiry->due = is_revoked && answer.reason != REASON_HOLD ? INT64_MAX : now + (pause > 0 ? sooner(pause, dice) : 1);
    inquiry->checked = now;
    inquiry->failures = 0;
    inquiry->source = 0;
    inquiry->fetch = 0;
    return true;
}

static int64_t pause_of(const struct inquiry *inquiry, const struct inspector_settings *settings)
{
    int64_t pause = settings->retry_min_s;
    for (unsigned i = 0; i < inquiry->failures && pause < settings->retry_max_s; i++)
        pause *= 2;
    return pause < settings->retry_max_s ? pause : settings->retry_max_s;
}

void inquiry_fall_back(struct inquiry *inquiry, const struct inspector_settings *settings, uint32_t dice, int64_t now)
{
    int64_t pause = sooner(pause_of(inquiry, settings), dice);
    unsigned failures = inquiry->failures + 1;
    (void)inquiry_settle(inquiry, inquiry->listed, settings, dice, now);
    if (inquiry->sources.ocsp_count + inquiry->sources.crl_count == 0)
        return;
    inquiry->failures = failures;
    if (inquiry->due > now + pause)
        inquiry->due = now + pause;
}

void inquiry_fail(struct inquiry *inquiry, const struct inspector_settings *settings, uint32_t dice, int64_t now)
{
    int64_t pause = pause_of(inquiry, settings);
    bool is_known = inquiry->standing == STANDING_GOOD || inquiry->standing == STANDING_REVOKED;
    bool is_fresh = is_known && inquiry->answer.next_update > now;
    if (is_fresh && now + pause > inquiry->answer.next_update)
        pause = inquiry->answer.next_update - now; /* to say so at that moment */
    else if (!is_fresh && inquiry->standing != STANDING_REVOKED)
        inquiry->standing = STANDING_UNANSWERED;
    if (inquiry->sources.ocsp_count + inquiry->sources.crl_count == 0)
        inquiry->standing = STANDING_UNCHECKED;
    inquiry->due = inquiry->standing == STANDING_UNCHECKED ? INT64_MAX : now + sooner(pause, dice);
    inquiry->checked = now;
    inquiry->failures++;
    inquiry->source = 0;
    inquiry->fetch = 0;
}

bool inquiry_is_named(const struct inquiry *inquiry, struct span name)
{
    return span_equal(name, span_of(inquiry->sha256, sizeof inquiry->sha256)) ||
           span_equal(name, revocation_serial(inquiry->certificate));
}
