/* SPDX-License-Identifier: MIT */
#include "router/s2s/access.h"

#include "router/admin/config.h"

static bool fits(const char *item, struct span domain)
{
    if (item[0] != '*')
        return span_is(domain, item);
    struct span suffix = span_str(item + 1); /* with its dot */
    return domain.size > suffix.size &&
           span_equal(span_of(domain.ptr + domain.size - suffix.size, suffix.size), suffix);
}

static bool is_on(const struct config_list *list, struct span domain)
{
    for (unsigned i = 0; i < list->count; i++)
        if (fits(list->items[i], domain))
            return true;
    return false;
}

bool access_permits(const struct config *config, struct span domain)
{
    if (is_on(&config->s2s_deny, domain))
        return false;
    return config->s2s_allow.count == 0 || is_on(&config->s2s_allow, domain);
}
