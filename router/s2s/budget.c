/* SPDX-License-Identifier: MIT */
#include "router/s2s/budget.h"

#include "core/base/hash.h"
#include "router/route/shard.h"

bool budget_take(struct shard *shard, struct span bare)
{
    struct budget *budget = &shard->dials;
    uint64_t i = hash_siphash13(&shard->router->hash_key, bare) % BUDGET_SLOTS;
    uint32_t minute = (uint32_t)(shard_now_ms(shard) / 60000);
    if (budget->slots[i].minute != minute) {
        budget->slots[i].minute = minute;
        budget->slots[i].count = 0;
    }
    if (budget->slots[i].count == shard->policy->config->s2s_dials_per_user)
        return false;
    budget->slots[i].count++;
    return true;
}
