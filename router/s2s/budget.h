/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Budget: how often this router is made to look for other servers and dial them, in a minute and on a shard:
 *
 *   s2s.dials_per_user     by one account: whoever names domain after domain is answered <resource-constraint/>, and
 *                          neither the pairs of the shard nor somebody's name servers pay for it
 *   s2s.dials_per_domain   to one domain, whoever is the cause: our users, and strangers who name it in dialback keys
 *                          that its servers are to check (XEP-0220 s2.1.2)
 *
 * Nothing is kept by name: names share BUDGET_SLOTS counters by a keyed hash, so memory is fixed.
 *
 * Thread:  the shard's.
 */
#include "core/base/span.h"

#include <stdint.h>

#define BUDGET_SLOTS 1024u

struct shard;

struct budget {
    struct {
        uint32_t minute;
        uint32_t count;
    } slots[BUDGET_SLOTS];
};

/* One dial at the cost of this bare JID. False: not now. */
bool budget_take_user(struct shard *shard, struct span bare);
/* One dial to this domain. */
bool budget_take_domain(struct shard *shard, struct span domain);
