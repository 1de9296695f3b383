/* SPDX-License-Identifier: MIT */
#include "router/s2s/resolver_config.h"

#include "core/base/check.h"
#include "router/admin/config.h"
#include "router/s2s/address.h"
#include "router/s2s/static_route.h"

#include <errno.h>
#include <stdio.h>
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

/* As libunbound takes it: an address, perhaps of an interface (fe80::1%eth0), and perhaps @port. */
static bool is_nameserver(const char *word)
{
    char text[64];
    union address address;
    size_t size = strcspn(word, "@%");
    const char *at = strchr(word, '@');
    char *end = NULL;
    unsigned long port = at ? strtoul(at + 1, &end, 10) : 53;
    if (size >= sizeof text || port == 0 || port > 65535 || (at && (at[1] < '0' || at[1] > '9' || *end)))
        return false;
    memcpy(text, word, size);
    text[size] = '\0';
    return address_parse(text, &address) && (word[size] != '%' || address.head.sa_family == AF_INET6);
}

static bool nameservers_read(struct resolver_config *resolver, char *text, struct err *err)
{
    char *word;
    while ((word = word_next(&text))) {
        if (resolver->settings.nameserver_count == RESOLVER_NAMESERVERS_MAX) {
            err_set(err, "s2s.nameservers: more than %u", RESOLVER_NAMESERVERS_MAX);
            return false;
        }
        if (!is_nameserver(word)) {
            err_set(err, "s2s.nameservers: \"%.200s\" is not a name server like 192.0.2.53 or 192.0.2.53@5353", word);
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

bool resolver_config_check(const struct config *config, struct err *err)
{
    struct resolver_config resolver;
    if (!resolver_config_init(&resolver, config, err))
        return false;
    resolver_config_fini(&resolver);
    const char *path = config->s2s_dnssec_anchor;
    if (!config->s2s_enabled || !path[0])
        return true;
    errno = 0;
    FILE *file = fopen(path, "re");
    bool is_readable = file && (fgetc(file) != EOF || !ferror(file));
    if (!is_readable)
        err_set(err, "s2s.dnssec_anchor: %s cannot be read: %s", path, strerror(errno));
    if (file)
        fclose(file);
    return is_readable;
}

void resolver_config_fini(struct resolver_config *resolver)
{
    free(resolver->routes);
    free(resolver->words);
    *resolver = (struct resolver_config){0};
}
