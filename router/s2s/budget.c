/* SPDX-License-Identifier: MIT */
#include "router/s2s/budget.h"

#include "core/base/hash.h"
#include "router/route/shard.h"

static bool take(struct shard *shard, struct budget *budget, struct span name, unsigned count_max)
{
    uint64_t i = hash_siphash13(&shard->router->hash_key, name) % BUDGET_SLOTS;
    uint32_t minute = (uint32_t)(shard_now_ms(shard) / 60000);
    if (budget->slots[i].minute != minute) {
        budget->slots[i].minute = minute;
        budget->slots[i].count = 0;
    }
    if (budget->slots[i].count >= count_max)
        return false;
    budget->slots[i].count++;
    return true;
}

bool budget_take_user(struct shard *shard, struct span bare)
{
    return take(shard, &shard->user_dials, bare, shard->policy->config->s2s_dials_per_user);
}

bool budget_take_domain(struct shard *shard, struct span domain)
{
    return take(shard, &shard->domain_dials, domain, shard->policy->config->s2s_dials_per_domain);
}
