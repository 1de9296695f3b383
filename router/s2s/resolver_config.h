/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Resolver config: the resolver's settings from the router's configuration (s2s.routes, s2s.nameservers, ...).
 *
 * Thread:  the main thread, before the resolver is opened.
 */
#include "router/s2s/resolver.h"

struct config;
struct static_route;

#define RESOLVER_NAMESERVERS_MAX 8u

struct resolver_config {
    struct resolver_settings settings; /* points into what follows */
    struct static_route *routes;
    char *words; /* a copy that is cut up */
    const char *nameservers[RESOLVER_NAMESERVERS_MAX];
};

/* Names the key and the word that is wrong. After true it lives until the resolver is closed. */
bool resolver_config_init(struct resolver_config *resolver, const struct config *config, struct err *err);
void resolver_config_fini(struct resolver_config *resolver);
/* Whether a resolver could be had by it; the anchor's content is libunbound's to judge. Any thread. */
bool resolver_config_check(const struct config *config, struct err *err);
