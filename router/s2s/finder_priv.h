/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Finder: what both implementations of the resolver share: one lookup for each domain that anybody asks for, its
 * outcome kept for as long as it holds, and the answers. Outcomes beyond settings.cache_count push out those not used
 * for longest.
 *
 * Thread:  the owner's, but for finder_stats().
 * Owns:    requests from finder_request() until it calls reply.
 */
#include "router/s2s/lookup_priv.h"

struct finder;

struct finder_hooks {
    void *context;
    bool (*ask)(void *context, struct question *question);
    void (*forget)(void *context, struct question *question);
    /* The request's answer is filled: it is the other's again. */
    void (*reply)(void *context, struct resolver_request *request);
};

/* NULL when memory is refused. hooks are copied; the settings are borrowed. */
struct finder *finder_new(const struct resolver_settings *settings, const struct finder_hooks *hooks, uint64_t now_ms);
/* Requests not yet answered are freed, open questions forgotten. */
void finder_free(struct finder *finder);
void finder_request(struct finder *finder, struct resolver_request *request, uint64_t now_ms);
/* Closes the question, whose memory may be gone afterwards. */
void finder_answered(struct finder *finder, struct question *question, const struct dns_answer *answer,
                     uint64_t now_ms);
/* Ends what has taken too long. */
void finder_advance(struct finder *finder, uint64_t now_ms);
uint64_t finder_deadline_ms(const struct finder *finder);
void finder_stats(struct finder *finder, struct resolver_stats *stats);
