/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Budget: how often the users of this router make it dial other servers. Each account has s2s.dials_per_user in a
 * minute on a shard; whoever names domain after domain is answered <resource-constraint/>, and neither the pairs of the
 * shard nor somebody's name servers pay for it.
 *
 * Nothing is kept by name: accounts share BUDGET_SLOTS counters by a keyed hash, so memory is fixed.
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

/* One dial for this bare JID. False: not now. */
bool budget_take(struct shard *shard, struct span bare);
