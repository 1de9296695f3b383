/* SPDX-License-Identifier: MIT */
#include "router/route/router.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/link.h"
#include "router/certs/precedents.h"
#include "router/certs/crl_files.h"
#include "router/stream/client_map.h"
#include "router/stream/crowd.h"
#include "tls/digest.h"

#include <stdatomic.h>
#include <stdlib.h>

/* Where the limits end that no key names: declarations in scope and the like are bounded by the reader itself. */
static struct xml_limits limits_of(const struct config *config, uint32_t stanza_size, uint32_t elements)
{
    return (struct xml_limits){
        .stanza_size_max = stanza_size,
        .element_max = elements,
        .depth_max = (uint16_t)config->limits_depth,
        .attribute_max = (uint16_t)config->limits_attributes,
        .name_size_max = (uint16_t)config->limits_name_size,
        .namespace_max = (uint16_t)config->limits_namespaces,
    };
}

/* A resumed session shows no certificate: where everybody must, nobody may resume. */
static bool takes_tickets(const struct config *config)
{
    return config->tls_tickets && config->tls_client_certificates != CLIENT_CERTIFICATES_REQUIRED;
}

enum context_use { FOR_CLIENTS, FOR_SERVERS, TO_SERVERS };

static struct context *context_of(const struct config *config, enum context_use use, struct anchors *anchors,
                                  struct ticket_keys *tickets, struct err *err, struct err *warning)
{
    static const char *const alpn_client[] = {"xmpp-client", NULL}, *const alpn_server[] = {"xmpp-server", NULL};
    struct context_domain *domains = calloc(config->domain_count + 1, sizeof *domains);
    SL_CHECK(domains);
    unsigned count = 0;
    for (unsigned i = 0; i < config->domain_count; i++)
        if (config->domains[i].certificate[0])
            domains[count++] = (struct context_domain){config->domains[i].name, config->domains[i].certificate,
                                                       config->domains[i].key};
    struct context_config context = {
        .role = use == TO_SERVERS ? CONTEXT_CLIENT : CONTEXT_SERVER,
        .domains = domains,
        .domain_count = count,
        .alpn = use == FOR_CLIENTS ? alpn_client : alpn_server,
        .ticket_keys = use == FOR_CLIENTS && takes_tickets(config) ? tickets : NULL,
        .anchors = anchors,
        .for_users = use == FOR_CLIENTS && anchors,
        .version_min = config->tls_version_min == CONFIG_TLS_1_3 ? 0x0304 : 0x0303,
    };
    struct context *result = context_new(&context, err, warning);
    free(domains);
    return result;
}

/* What clients are shown; and, if they are asked for certificates, by what theirs are judged, and whose they are. */
static bool client_context(struct policy *policy, struct ticket_keys *tickets, struct err *err, struct err *warning)
{
    const struct config *config = policy->config;
    struct anchors *anchors = NULL;
    if (config->tls_client_certificates != CLIENT_CERTIFICATES_OFF) {
        anchors = anchors_new(config->tls_client_ca_file, err);
        if (!anchors) {
            err_prefix(err, "tls.client_ca_file");
            return false;
        }
        policy->client_map = config->tls_client_map[0] ? client_map_new(config->tls_client_map, config, err) : NULL;
    }
    if (!anchors || !config->tls_client_map[0] || policy->client_map)
        policy->tls = context_of(config, FOR_CLIENTS, anchors, tickets, err, warning);
    anchors_unref(anchors);
    return policy->tls != NULL;
}

/* Between servers, both roles, with a judgement of the other side's certificate. */
static bool server_contexts(struct policy *policy, struct err *err)
{
    const struct config *config = policy->config;
    struct anchors *anchors = anchors_new(config->s2s_ca[0] ? config->s2s_ca : NULL, err);
    if (!anchors) {
        err_prefix(err, "s2s.ca");
        return false;
    }
    policy->tls_server = context_of(config, FOR_SERVERS, anchors, NULL, err, NULL);
    policy->tls_client = policy->tls_server ? context_of(config, TO_SERVERS, anchors, NULL, err, NULL) : NULL;
    anchors_unref(anchors);
    return policy->tls_client != NULL;
}

static bool has_certificate(const struct config *config)
{
    for (unsigned i = 0; i < config->domain_count; i++)
        if (config->domains[i].certificate[0])
            return true;
    return false;
}

struct policy *policy_new(struct config *config, struct ticket_keys *tickets, struct err *err, struct err *warning)
{
    struct policy *policy = calloc(1, sizeof *policy);
    SL_CHECK(policy);
    atomic_init(&policy->references, 1);
    policy->config = config;
    policy->limits = limits_of(config, config->limits_stanza_size, config->limits_elements);
    /* Only who has authenticated is spared: a stranger's stream ends. */
    policy->limits.spares_misnamed = config->xml_namespace_errors == NAMESPACE_ERRORS_STANZA;
    policy->limits_unauthenticated =
        limits_of(config, config->limits_stanza_size_unauthenticated, config->limits_elements_unauthenticated);
    const struct config_list *lists = &config->certs_crl_files;
    policy->crl_files = crl_files_read(lists->items, lists->count, clock_wall_ms() / 1000, err);
    if (!policy->crl_files) {
        err_prefix(err, "certs.crl_files");
        policy_unref(policy);
        return NULL;
    }
    if (!has_certificate(config))
        return policy;
    if (client_context(policy, tickets, err, warning) && (!config->s2s_enabled || server_contexts(policy, err)))
        return policy;
    policy_unref(policy);
    return NULL;
}

static bool lists_differ(const struct config_list *a, const struct config_list *b)
{
    bool differ = a->count != b->count;
    for (unsigned i = 0; i < a->count && !differ; i++)
        differ = strcmp(a->items[i], b->items[i]) != 0;
    return differ;
}

/* By whom their certificates are judged may be another one now: settled here, on the control thread, for all chains
 * that are in use, so that a shard finds out about each of its streams by looking it up. */
static void review(const struct policy *after, const struct policy *before)
{
    const struct context *const pairs[][2] = {
        {after->tls, before->tls}, {after->tls_server, before->tls_server}, {after->tls_client, before->tls_client}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (pairs[i][0] && !context_has_same_anchors(pairs[i][0], pairs[i][1]))
            context_review(pairs[i][0]);
}

bool policy_succeed(struct policy *after, const struct policy *before)
{
    const struct config *new = after->config, *old = before->config;
    bool tls_differs = !after->tls != !before->tls || new->tls_required != old->tls_required ||
                       new->tls_version_min != old->tls_version_min ||
                       new->tls_client_certificates != old->tls_client_certificates;
    for (unsigned i = 0; i < old->domain_count && !tls_differs; i++)
        tls_differs = !context_is_renewal(before->tls, after->tls, span_str(old->domains[i].name));
    bool strength_differs = false;
    for (unsigned i = 0; i < old->domain_count; i++)
        strength_differs |= config_strength_min(old, span_str(old->domains[i].name)) !=
                            config_strength_min(new, span_str(old->domains[i].name));
    bool features_differ = tls_differs || strength_differs || new->sasl_anonymous != old->sasl_anonymous ||
                           lists_differ(&new->sasl_mechanisms, &old->sasl_mechanisms) ||
                           new->limits_stanza_size != old->limits_stanza_size ||
                           new->limits_stanza_size_unauthenticated != old->limits_stanza_size_unauthenticated;
    after->epoch = before->epoch + features_differ;
    review(after, before);
    if (after->tls)
        context_bind_tickets(after->tls, after->epoch);
    return features_differ;
}

struct policy *policy_ref(struct policy *policy)
{
    atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void policy_unref(struct policy *policy)
{
    /* Release our reads before another thread's free; the last one acquires them all. */
    if (!policy || atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) != 1)
        return;
    struct context *const contexts[] = {policy->tls, policy->tls_server, policy->tls_client};
    for (size_t i = 0; i < sizeof contexts / sizeof contexts[0]; i++)
        if (contexts[i])
            context_unref(contexts[i]);
    client_map_free(policy->client_map);
    crl_files_unref(policy->crl_files);
    config_unref(policy->config);
    free(policy);
}

bool policy_has_domain(const struct policy *policy, struct span domain)
{
    return config_domain_find(policy->config, domain) != NULL;
}

struct router *router_new(unsigned shard_count, uint32_t link_size, const uint8_t seed[64])
{
    SL_CHECK(shard_count >= 1 && shard_count <= ROUTER_SHARDS_MAX);
    struct router *router = calloc(1, sizeof *router);
    SL_CHECK(router);
    router->shard_count = shard_count;
    router->link_size = link_size;
    atomic_init(&router->undrained, shard_count);
    memcpy(&router->hash_key, seed, 16);
    memcpy(&router->owner_key, seed + 16, 16);
    memcpy(router->fake_secret, seed + 32, 32);
    digest_hmac(DIGEST_SHA256, span_of((const char *)seed, 64), SPAN("dialback"), router->dialback_secret);
    router->crowd = crowd_new(&router->hash_key);
    router->precedents = precedents_new(&router->hash_key, PRECEDENTS_MAX);
    unsigned count = shard_count + 1;
    router->links = calloc((size_t)count * count, sizeof(struct link *));
    SL_CHECK(router->links && router->crowd && router->precedents);
    for (unsigned from = 0; from < count; from++) {
        for (unsigned to = 0; to < shard_count; to++)
            if (from != to)
                router->links[from * count + to] = link_new(link_size);
    }
    return router;
}

void router_free(struct router *router)
{
    if (!router)
        return;
    unsigned count = router->shard_count + 1;
    for (unsigned i = 0; i < count * count; i++)
        if (router->links[i])
            link_free(router->links[i]);
    free(router->links);
    precedents_free(router->precedents);
    crowd_free(router->crowd);
    free(router);
}

unsigned router_owner(const struct router *router, struct span bare)
{
    if (router->shard_count == 1)
        return 0; /* spares the hash, once for each stanza */
    /* The high bits, scaled: no division, no bias worth the name for 256 shards. */
    uint64_t hash = hash_siphash13(&router->owner_key, bare);
    return (unsigned)(((hash >> 32) * router->shard_count) >> 32);
}

struct link *router_link(const struct router *router, unsigned from, unsigned to)
{
    return router->links[from * (router->shard_count + 1) + to];
}
