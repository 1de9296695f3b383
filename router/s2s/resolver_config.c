/* SPDX-License-Identifier: MIT */
#include "router/s2s/resolver_config.h"

#include "core/base/check.h"
#include "router/admin/config.h"
#include "router/s2s/static_route.h"

#include <stdlib.h>
#include <string.h>

/* The next word of a list "a, b c"; NULL behind the last. Cuts the text up. */
static char *word_next(char **text)
{
    *text += strspn(*text, " ,");
    if (!**text)
        return NULL;
    char *word = *text;
    *text += strcspn(word, " ,");
    if (**text)
        *(*text)++ = '\0';
    return word;
}

static bool routes_read(struct resolver_config *resolver, char *text, struct err *err)
{
    char *word;
    unsigned count = 0;
    resolver->routes = calloc(strlen(text) / 2 + 1, sizeof *resolver->routes); /* a route has more than two letters */
    SL_CHECK(resolver->routes);
    while ((word = word_next(&text))) {
        if (!static_route_parse(word, &resolver->routes[count++], err)) {
            err_prefix(err, "s2s.routes");
            return false;
        }
    }
    resolver->settings.routes = resolver->routes;
    resolver->settings.route_count = count;
    return true;
}

static bool nameservers_read(struct resolver_config *resolver, char *text, struct err *err)
{
    char *word;
    while ((word = word_next(&text))) {
        if (resolver->settings.nameserver_count == RESOLVER_NAMESERVERS_MAX) {
            err_set(err, "s2s.nameservers: more than %u", RESOLVER_NAMESERVERS_MAX);
            return false;
        }
        resolver->nameservers[resolver->settings.nameserver_count++] = word;
    }
    resolver->settings.nameservers = resolver->nameservers;
    return true;
}

bool resolver_config_init(struct resolver_config *resolver, const struct config *config, struct err *err)
{
    *resolver = (struct resolver_config){.settings = resolver_settings_default};
    resolver->settings.policy.allow_private = config->s2s_allow_private;
    resolver->settings.anchor_file = config->s2s_dnssec_anchor[0] ? config->s2s_dnssec_anchor : NULL;
    size_t size = strlen(config->s2s_routes) + 1;
    resolver->words = malloc(size + strlen(config->s2s_nameservers) + 1);
    SL_CHECK(resolver->words);
    memcpy(resolver->words, config->s2s_routes, size);
    strcpy(resolver->words + size, config->s2s_nameservers);
    if (routes_read(resolver, resolver->words, err) && nameservers_read(resolver, resolver->words + size, err))
        return true;
    resolver_config_fini(resolver);
    return false;
}

void resolver_config_fini(struct resolver_config *resolver)
{
    free(resolver->routes);
    free(resolver->words);
    *resolver = (struct resolver_config){0};
}
