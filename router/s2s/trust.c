/* SPDX-License-Identifier: MIT */
#include "router/s2s/trust.h"

#include <string.h>

#define BIT(proof) (1u << (proof))

static const unsigned accepted[] = {
    [S2S_PKIX] = BIT(PROOF_PKIX),
    [S2S_PKIX_OR_DIALBACK] = BIT(PROOF_PKIX) | BIT(PROOF_DANE) | BIT(PROOF_DANE_DIALBACK) | BIT(PROOF_DIALBACK),
    [S2S_DANE] = BIT(PROOF_DANE) | BIT(PROOF_DANE_DIALBACK),
    [S2S_DANE_OR_PKIX] = BIT(PROOF_PKIX) | BIT(PROOF_DANE) | BIT(PROOF_DANE_DIALBACK),
};

/* How many bytes of the domain the item speaks of, one more if all; 0: it is not of this domain. */
static size_t fit_of(struct span pattern, struct span domain)
{
    if (pattern.size == 0)
        return 0;
    if (pattern.ptr[0] != '*')
        return span_equal(pattern, domain) ? domain.size + 1 : 0;
    struct span suffix = span_skip(pattern, 1); /* with its dot */
    bool is_below =
        domain.size > suffix.size && span_equal(span_of(domain.ptr + domain.size - suffix.size, suffix.size), suffix);
    return is_below ? suffix.size : 0;
}

enum config_s2s_policy trust_policy(const struct config *config, struct span domain)
{
    enum config_s2s_policy policy = (enum config_s2s_policy)config->s2s_policy;
    size_t best = 0;
    for (unsigned i = 0; i < config->s2s_policies.count; i++) {
        enum config_s2s_policy other;
        struct span pattern = config_policy_item(config->s2s_policies.items[i], &other);
        size_t fit = fit_of(pattern, domain);
        if (fit > best) {
            best = fit;
            policy = other;
        }
    }
    return policy;
}

bool trust_accepts(enum config_s2s_policy policy, enum proof proof)
{
    return (accepted[policy] & BIT(proof)) != 0;
}

bool trust_may_dialback(const struct config *config, struct span domain)
{
    return (accepted[trust_policy(config, domain)] & (BIT(PROOF_DIALBACK) | BIT(PROOF_DANE_DIALBACK))) != 0;
}

const char *trust_proof_name(enum proof proof)
{
    static const char *const names[] = {[PROOF_NONE] = NULL,
                                        [PROOF_PKIX] = "pkix",
                                        [PROOF_DANE] = "dane",
                                        [PROOF_DIALBACK] = "dialback",
                                        [PROOF_DANE_DIALBACK] = "dane-dialback"};
    return names[proof];
}
