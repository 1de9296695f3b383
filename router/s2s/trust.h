/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Trust: by what another server may prove to us that a domain is its own. The operator says it in one word for all
 * (s2s.policy) and in another one for some (s2s.policies); nobody else reads these two.
 *
 *                      authorities   TLSA   dialback, the domain's server    dialback
 *                                           proven by TLSA
 *   pkix                   yes        no            no                          no
 *   dane                   no         yes           yes                         no
 *   dane-or-pkix           yes        yes           yes                         no
 *   pkix-or-dialback       yes        yes           yes                         yes
 *
 * Authorities: a valid certificate of the domain (RFC 6120 s13.7). TLSA: RFC 7673; it is about servers, and says
 * nothing of a certificate that a client presents, so who dials us proves itself by TLSA in that we dial its domain's
 * server to ask for its key (RFC 7712 s4.3). Secure TLSA records that do not fit end a stream of ours whatever the
 * word.
 *
 * Thread:  any; the configuration does not change.
 * Bounds:  a list of 256 items, compared one after the other: when a stream is negotiated, not for every stanza on it.
 */
#include "core/base/span.h"
#include "router/admin/config.h"

enum proof { PROOF_NONE, PROOF_PKIX, PROOF_DANE, PROOF_DIALBACK, PROOF_DANE_DIALBACK };

/* The word for a prepared domain: of s2s.policies the item with its very name, else the one with the longest suffix,
 * else s2s.policy. */
enum config_s2s_policy trust_policy(const struct config *config, struct span domain);
bool trust_accepts(enum config_s2s_policy policy, enum proof proof);
static inline bool trust_accepts_for(const struct config *config, struct span domain, enum proof proof)
{
    return trust_accepts(trust_policy(config, domain), proof);
}
/* Is there any dialback that is believed? */
bool trust_may_dialback(const struct config *config, struct span domain);
/* "dane-dialback"; NULL of PROOF_NONE. For logs and answers. */
const char *trust_proof_name(enum proof proof);
