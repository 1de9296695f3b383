/* SPDX-License-Identifier: MIT */
#include "router/s2s/lookup_priv.h"

#include "core/base/check.h"
#include "router/s2s/static_route.h"

#include <stdio.h>

#define SERVICE_TLS   "_xmpps-server._tcp."
#define SERVICE_PLAIN "_xmpp-server._tcp."

/* So many targets are asked for at a time, the best first. Questions about dead zones go on in libunbound after the
 * lookup has ended (17 s, measured), and one made-up domain must not be able to leave a hundred of them behind. */
#define TARGETS_AT_A_TIME 4u

static void step(struct lookup *lookup, uint64_t now_ms);

/*
 * Questions.
 */

/* True if it is under way. What cannot be asked has failed. */
static bool ask(struct lookup *lookup, struct question *question, enum dns_type type, const char *name, uint64_t now_ms)
{
    question->lookup = lookup;
    question->type = type;
    question->name = name;
    question->asked_ms = now_ms;
    question->is_open = name != NULL && lookup->env->ask(lookup->env->context, question);
    lookup->question_count++;
    return question->is_open;
}

static const char *prefixed(struct lookup *lookup, const char *prefix, const char *name)
{
    char text[2 * DNS_NAME_MAX];
    int size = snprintf(text, sizeof text, "%s%s", prefix, name);
    if (size <= 0 || (size_t)size > DNS_NAME_MAX)
        return NULL;
    char *copy = arena_copy(&lookup->arena, span_of(text, (size_t)size));
    lookup->is_out_of_memory |= copy == NULL;
    return copy;
}

static void close_question(struct lookup *lookup, struct question *question, enum dns_result *result)
{
    if (!question->is_open)
        return;
    question->is_open = false;
    lookup->env->forget(lookup->env->context, question);
    *result = DNS_TIMEOUT;
    lookup->is_partial = true;
}

static void close_all(struct lookup *lookup)
{
    for (unsigned i = 0; i < 2; i++)
        close_question(lookup, &lookup->services[i].question, &lookup->services[i].result);
    for (struct host *host = lookup->hosts; host != NULL; host = host->next) {
        close_question(lookup, &host->v6.question, &host->v6.result);
        close_question(lookup, &host->v4.question, &host->v4.result);
    }
    for (struct endpoint *one = lookup->endpoints; one != NULL; one = one->next)
        close_question(lookup, &one->tlsa_question, &one->tlsa_result);
}

static bool has_open(const struct lookup *lookup)
{
    for (const struct host *host = lookup->hosts; host != NULL; host = host->next) {
        if (host->v6.question.is_open || host->v4.question.is_open)
            return true;
    }
    for (const struct endpoint *one = lookup->endpoints; one != NULL; one = one->next) {
        if (one->tlsa_question.is_open)
            return true;
    }
    return false;
}

static void done(struct lookup *lookup, enum resolver_status status)
{
    close_all(lookup);
    lookup->status = lookup->is_out_of_memory ? RESOLVER_BUSY : status;
    lookup->phase = LOOKUP_DONE;
    /* A failure is its status alone; the cache may hold many of them. */
    if (lookup->status != RESOLVER_FOUND) {
        lookup->endpoints = NULL;
        lookup->hosts = NULL;
        arena_fini(&lookup->arena);
    }
}

/*
 * Hosts: their addresses, and the TLSA records of the endpoints on them.
 */

static void ask_family(struct lookup *lookup, struct host *host, struct family *family, enum question_role role,
                       uint64_t now_ms)
{
    family->question.role = role;
    family->question.host = host;
    if (!ask(lookup, &family->question, role == QUESTION_AAAA ? DNS_AAAA : DNS_A, host->name, now_ms))
        family->result = DNS_FAILED;
}

/* A host that is an address needs no question. */
static bool take_literal(struct lookup *lookup, struct host *host)
{
    union address address;
    if (!address_parse(host->name, &address))
        return false;
    bool is_v4 = address.head.sa_family == AF_INET;
    struct family *family = is_v4 ? &host->v4 : &host->v6;
    family->question.role = is_v4 ? QUESTION_A : QUESTION_AAAA;
    family->question.lookup = lookup;
    family->result = DNS_DATA;
    struct span data = is_v4 ? span_of(&address.v4.sin_addr, 4) : span_of(&address.v6.sin6_addr, 16);
    struct dns_answer answer = {.result = DNS_DATA, .data = &data, .count = 1};
    (void)lookup_take_addresses(lookup, family, &answer);
    return true;
}

/* AAAA first, immediately followed by A: RFC 8305 s3. */
static void ask_addresses(struct lookup *lookup, struct host *host, uint64_t now_ms)
{
    host->is_begun = true;
    if (take_literal(lookup, host))
        return;
    if (!lookup->env->settings->without_ipv6)
        ask_family(lookup, host, &host->v6, QUESTION_AAAA, now_ms);
    if (!lookup->env->settings->without_ipv4)
        ask_family(lookup, host, &host->v4, QUESTION_A, now_ms);
}

/* The one that is not asked for yet of the least priority number, which is tried first. */
static struct host *next_host(const struct lookup *lookup)
{
    const struct endpoint *best = NULL;
    for (const struct endpoint *one = lookup->endpoints; one != NULL; one = one->next) {
        if (!one->host->is_begun && (best == NULL || one->priority < best->priority))
            best = one;
    }
    return best != NULL ? best->host : NULL;
}

static void ask_hosts(struct lookup *lookup, uint64_t now_ms)
{
    unsigned open = 0;
    for (const struct host *host = lookup->hosts; host != NULL; host = host->next)
        open += host->v6.question.is_open || host->v4.question.is_open;
    for (struct host *host = next_host(lookup); host != NULL && open < TARGETS_AT_A_TIME; host = next_host(lookup)) {
        ask_addresses(lookup, host, now_ms);
        open += host->v6.question.is_open || host->v4.question.is_open;
    }
}

static void enter_hosts(struct lookup *lookup, uint64_t now_ms)
{
    lookup->phase = LOOKUP_HOSTS;
    lookup->patience_ms = UINT64_MAX;
    step(lookup, now_ms);
}

/* There is no time left for those whose turn has not come. */
static void give_up_hosts(struct lookup *lookup)
{
    for (struct host *host = next_host(lookup); host != NULL; host = next_host(lookup)) {
        host->is_begun = true;
        host->v6.result = host->v4.result = DNS_TIMEOUT;
        lookup->is_partial = true;
    }
}

/* RFC 7673 s3.1, s3.2: only where the SRV records and addresses are secure, else the answer would be spurious. */
static void ask_tlsa(struct lookup *lookup, const struct host *host, uint64_t now_ms)
{
    for (struct endpoint *one = lookup->endpoints; one != NULL; one = one->next) {
        if (one->host != host || !one->is_srv_secure || one->is_tlsa_asked)
            continue;
        char prefix[32];
        snprintf(prefix, sizeof prefix, "_%u._tcp.", one->port);
        one->is_tlsa_asked = true;
        one->tlsa_question.role = QUESTION_TLSA;
        one->tlsa_question.endpoint = one;
        if (!ask(lookup, &one->tlsa_question, DNS_TLSA, prefixed(lookup, prefix, host->name), now_ms))
            one->tlsa_result = DNS_FAILED;
    }
}

static enum resolver_status best_status(const struct lookup *lookup)
{
    /* From what says most about the domain to what says least; the first that any endpoint ended with is told. */
    static const enum resolver_status order[] = {RESOLVER_FOUND,    RESOLVER_BOGUS,  RESOLVER_REFUSED,
                                                 RESOLVER_TOO_MANY, RESOLVER_FAILED, RESOLVER_TIMEOUT};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        for (const struct endpoint *one = lookup->endpoints; one != NULL; one = one->next) {
            if (lookup_judge(one) == order[i])
                return order[i];
        }
    }
    /* Only of the domain's own name can be said that the domain does not exist. */
    bool is_own = lookup->source == RESOLVER_BY_FALLBACK && lookup->endpoints != NULL;
    return is_own ? lookup_judge(lookup->endpoints) : RESOLVER_NO_ADDRESS;
}

static void order_hosts(struct lookup *lookup)
{
    for (struct host *host = lookup->hosts; host != NULL; host = host->next) {
        unsigned count = host->v6.count + host->v4.count;
        host->addresses = arena_take(&lookup->arena, count * sizeof host->addresses[0]);
        if (host->addresses == NULL) {
            lookup->is_out_of_memory = true;
            return;
        }
        if (host->v6.count > 0)
            memcpy(host->addresses, host->v6.addresses, host->v6.count * sizeof host->addresses[0]);
        if (host->v4.count > 0)
            memcpy(host->addresses + host->v6.count, host->v4.addresses, host->v4.count * sizeof host->addresses[0]);
        host->count = count;
        address_order(host->addresses, count);
    }
}

static void step_hosts(struct lookup *lookup, uint64_t now_ms)
{
    ask_hosts(lookup, now_ms);
    if (!has_open(lookup)) {
        order_hosts(lookup);
        done(lookup, best_status(lookup));
    } else if (lookup->patience_ms == UINT64_MAX && best_status(lookup) == RESOLVER_FOUND) {
        lookup->patience_ms = now_ms + lookup->env->settings->patience_ms;
    }
}

/*
 * SRV.
 */

static bool has_result(const struct lookup *lookup, enum dns_result result)
{
    return lookup->services[0].result == result || lookup->services[1].result == result;
}

static void fall_back(struct lookup *lookup, uint64_t now_ms)
{
    lookup->source = RESOLVER_BY_FALLBACK;
    (void)lookup_add_endpoint(lookup, lookup->name, RESOLVER_PORT);
    enter_hosts(lookup, now_ms);
}

static void step_srv(struct lookup *lookup, uint64_t now_ms)
{
    const struct service *services = lookup->services;
    if (services[0].question.is_open || services[1].question.is_open) {
        if (lookup->endpoints != NULL && lookup->patience_ms == UINT64_MAX)
            lookup->patience_ms = now_ms + lookup->env->settings->patience_ms;
        return;
    }
    /* RFC 7673 s3.1: a bogus answer ends it, and so does any failure that leaves open whether there are records. */
    if (has_result(lookup, DNS_BOGUS))
        done(lookup, RESOLVER_BOGUS);
    else if (has_result(lookup, DNS_TOO_MANY))
        done(lookup, RESOLVER_TOO_MANY);
    else if (lookup->endpoints != NULL)
        enter_hosts(lookup, now_ms);
    else if (has_result(lookup, DNS_FAILED))
        done(lookup, RESOLVER_FAILED);
    else if (has_result(lookup, DNS_TIMEOUT))
        done(lookup, RESOLVER_TIMEOUT);
    else if (services[0].is_declined || services[1].is_declined)
        done(lookup, RESOLVER_NO_SERVICE); /* XEP-0368 s5: no fallback either */
    else if (has_result(lookup, DNS_DATA))
        done(lookup, RESOLVER_NO_ADDRESS); /* records that lead nowhere: RFC 6120 s3.2.1 step 8 */
    else
        fall_back(lookup, now_ms);
}

static void step(struct lookup *lookup, uint64_t now_ms)
{
    switch (lookup->phase) {
    case LOOKUP_SRV:
        step_srv(lookup, now_ms);
        break;
    case LOOKUP_HOSTS:
        step_hosts(lookup, now_ms);
        break;
    case LOOKUP_DONE:
        break;
    }
}

static void ask_service(struct lookup *lookup, struct service *service, enum question_role role, const char *prefix,
                        uint64_t now_ms)
{
    service->question.role = role;
    const char *name = prefixed(lookup, prefix, lookup->name);
    /* A domain so long that no name of a service fits before it has none: only the fallback is left. */
    if (name == NULL)
        service->result = DNS_NO_NAME;
    else if (!ask(lookup, &service->question, DNS_SRV, name, now_ms))
        service->result = DNS_FAILED;
}

/*
 * Begin and end.
 */

/* True if the configuration says where the domain is. */
static bool add_routes(struct lookup *lookup)
{
    struct span domain = span_of(lookup->domain, lookup->domain_size);
    uint16_t priority = 0;
    for (unsigned i = 0; i < lookup->env->settings->route_count; i++) {
        const struct static_route *route = &lookup->env->settings->routes[i];
        if (!span_is(domain, route->domain))
            continue;
        struct endpoint *endpoint = lookup_add_endpoint(lookup, route->host, route->port);
        lookup->source = RESOLVER_BY_ROUTE;
        if (endpoint == NULL)
            return true;
        endpoint->is_direct_tls = route->is_direct_tls;
        endpoint->priority = priority++;
    }
    return lookup->source == RESOLVER_BY_ROUTE && priority > 0;
}

/* True if the domain is an address: it stands in brackets when it is IPv6 (RFC 7622 s3.2). */
static bool add_literal(struct lookup *lookup)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct span domain = span_of(lookup->domain, lookup->domain_size);
    union address address;
    bool is_v6 = domain.size >= 2 && domain.ptr[0] == '[';
    if (is_v6)
        domain = span_of(domain.ptr + 1, domain.size - 2);
    if (domain.size >= sizeof text)
        return false;
    memcpy(text, domain.ptr, domain.size);
    if (!address_parse(text, &address) || (address.head.sa_family == AF_INET6) != is_v6)
        return false;
    lookup->source = RESOLVER_BY_LITERAL;
    (void)lookup_add_endpoint(lookup, text, RESOLVER_PORT);
    return true;
}

void lookup_start(struct lookup *lookup, const struct lookup_env *env, uint64_t now_ms)
{
    lookup->env = env;
    lookup->source = RESOLVER_BY_SRV;
    lookup->ttl_s = UINT32_MAX;
    lookup->deadline_ms = now_ms + env->settings->timeout_ms;
    lookup->patience_ms = UINT64_MAX;
    arena_init(&lookup->arena, RESOLVER_MEMORY_MAX);
    if (add_routes(lookup) || add_literal(lookup)) {
        enter_hosts(lookup, now_ms);
        return;
    }
    if (!jid_domain_to_ascii(span_of(lookup->domain, lookup->domain_size), lookup->name) ||
        !dns_name_is_valid(span_str(lookup->name))) {
        done(lookup, RESOLVER_BAD_NAME);
        return;
    }
    ask_service(lookup, &lookup->services[0], QUESTION_SRV_TLS, SERVICE_TLS, now_ms);
    ask_service(lookup, &lookup->services[1], QUESTION_SRV, SERVICE_PLAIN, now_ms);
    step(lookup, now_ms);
}

static void take_address_answer(struct lookup *lookup, struct question *question, const struct dns_answer *answer,
                                enum dns_result result, uint64_t now_ms)
{
    struct host *host = question->host;
    struct family *family = question->role == QUESTION_AAAA ? &host->v6 : &host->v4;
    family->result = result;
    if (result == DNS_DATA && !lookup_take_addresses(lookup, family, answer)) {
        family->result = DNS_FAILED;
        family->count = 0;
    }
    if (family->count > 0 && family->is_secure)
        ask_tlsa(lookup, host, now_ms);
}

static void take_service_answer(struct lookup *lookup, struct question *question, const struct dns_answer *answer,
                                enum dns_result result)
{
    struct service *service = &lookup->services[question->role == QUESTION_SRV_TLS ? 0 : 1];
    service->result = result;
    if (result == DNS_DATA && !lookup_take_srv(lookup, service, answer))
        service->result = DNS_FAILED;
}

void lookup_answered(struct lookup *lookup, struct question *question, const struct dns_answer *answer, uint64_t now_ms)
{
    SL_CHECK(!question->is_open && lookup->phase != LOOKUP_DONE);
    enum dns_result result = answer->aliases > RESOLVER_ALIASES_MAX ? DNS_TOO_MANY : answer->result;
    if (answer->ttl_s < lookup->ttl_s)
        lookup->ttl_s = answer->ttl_s;
    switch (question->role) {
    case QUESTION_SRV_TLS:
    case QUESTION_SRV:
        take_service_answer(lookup, question, answer, result);
        break;
    case QUESTION_AAAA:
    case QUESTION_A:
        take_address_answer(lookup, question, answer, result, now_ms);
        break;
    case QUESTION_TLSA:
        question->endpoint->tlsa_result = result;
        if (result == DNS_DATA && !lookup_take_tlsa(lookup, question->endpoint, answer))
            question->endpoint->tlsa_result = DNS_FAILED;
        break;
    }
    step(lookup, now_ms);
}

void lookup_expire(struct lookup *lookup, uint64_t now_ms)
{
    if (lookup->phase == LOOKUP_DONE || now_ms < lookup_deadline_ms(lookup))
        return;
    if (lookup->phase == LOOKUP_HOSTS)
        give_up_hosts(lookup);
    close_all(lookup);
    step(lookup, now_ms);
    /* The hosts that a late SRV answer would still have to ask for have no time left. */
    if (lookup->phase != LOOKUP_DONE && now_ms >= lookup->deadline_ms) {
        give_up_hosts(lookup);
        close_all(lookup);
        step(lookup, now_ms);
    }
}

uint64_t lookup_deadline_ms(const struct lookup *lookup)
{
    return lookup->patience_ms < lookup->deadline_ms ? lookup->patience_ms : lookup->deadline_ms;
}

void lookup_fini(struct lookup *lookup)
{
    close_all(lookup);
    arena_fini(&lookup->arena);
}
