/* SPDX-License-Identifier: MIT */
/* What a lookup keeps of the answers to its questions, and what it makes of it in the end. */
#include "router/s2s/lookup_priv.h"

static char *copy_text(struct lookup *lookup, const char *text)
{
    char *copy = arena_copy(&lookup->arena, span_str(text));
    lookup->is_out_of_memory |= copy == NULL;
    return copy;
}

static void *take(struct lookup *lookup, size_t size)
{
    void *memory = arena_take(&lookup->arena, size);
    lookup->is_out_of_memory |= memory == NULL;
    return memory;
}

struct host *lookup_add_host(struct lookup *lookup, const char *name)
{
    struct host **end = &lookup->hosts;
    for (; *end != NULL; end = &(*end)->next) {
        if (strcmp((*end)->name, name) == 0)
            return *end;
    }
    struct host *host = take(lookup, sizeof *host);
    const char *copy = copy_text(lookup, name);
    if (host == NULL || copy == NULL)
        return NULL;
    host->name = copy;
    host->v4.result = host->v6.result = DNS_NO_DATA;
    *end = host;
    return host;
}

struct endpoint *lookup_add_endpoint(struct lookup *lookup, const char *host_name, uint16_t port)
{
    struct host *host = lookup_add_host(lookup, host_name);
    struct endpoint *endpoint = host == NULL ? NULL : take(lookup, sizeof *endpoint);
    if (endpoint == NULL)
        return NULL;
    endpoint->host = host;
    endpoint->port = port;
    struct endpoint **end = &lookup->endpoints;
    while (*end != NULL)
        end = &(*end)->next;
    *end = endpoint;
    return endpoint;
}

/* Records without a port or without a host name of a target are no places to connect to; "." among others is none
 * either (RFC 2782 gives it a meaning only alone). */
bool lookup_take_srv(struct lookup *lookup, struct service *service, const struct dns_answer *answer)
{
    lookup->record_count += answer->count;
    if (lookup->record_count > RESOLVER_RECORDS_MAX) {
        service->result = DNS_TOO_MANY;
        return true;
    }
    struct srv srv;
    for (unsigned i = 0; i < answer->count; i++) {
        if (!srv_read(answer->data[i], &srv))
            return false;
    }
    for (unsigned i = 0; i < answer->count; i++) {
        if (!srv_read(answer->data[i], &srv))
            continue;
        if (srv.target_status == DNS_NAME_ROOT && answer->count == 1)
            service->is_declined = true;
        if (srv.target_status != DNS_NAME_HOST || srv.port == 0)
            continue;
        struct endpoint *endpoint = lookup_add_endpoint(lookup, srv.target, srv.port);
        if (endpoint == NULL)
            return false;
        endpoint->priority = srv.priority;
        endpoint->weight = srv.weight;
        endpoint->is_direct_tls = service->question.role == QUESTION_SRV_TLS;
        endpoint->is_srv_secure = answer->is_secure;
    }
    return true;
}

bool lookup_take_addresses(struct lookup *lookup, struct family *family, const struct dns_answer *answer)
{
    bool is_v6 = family->question.role == QUESTION_AAAA;
    unsigned count_max = answer->count < RESOLVER_ADDRESSES_MAX ? answer->count : RESOLVER_ADDRESSES_MAX;
    family->is_secure = answer->is_secure;
    family->addresses = take(lookup, count_max * sizeof family->addresses[0]);
    if (family->addresses == NULL)
        return false;
    for (unsigned i = 0; i < answer->count; i++) {
        if (answer->data[i].size != (is_v6 ? 16 : 4))
            return false;
        const char *bytes = answer->data[i].ptr;
        union address address = is_v6 ? address_v6(bytes) : address_v4(bytes);
        if (lookup->source != RESOLVER_BY_ROUTE && !address_is_permitted(&lookup->env->settings->policy, &address))
            family->has_refused = true;
        else if (family->count < count_max)
            family->addresses[family->count++] = address;
    }
    return true;
}

bool lookup_take_tlsa(struct lookup *lookup, struct endpoint *endpoint, const struct dns_answer *answer)
{
    /* An answer that was not validated says nothing (RFC 7673 s3.4). */
    if (!answer->is_secure)
        return true;
    if (answer->count > RESOLVER_TLSA_MAX) {
        endpoint->has_excess_tlsa = true;
        return true;
    }
    endpoint->tlsa = take(lookup, answer->count * sizeof endpoint->tlsa[0]);
    if (endpoint->tlsa == NULL)
        return false;
    for (unsigned i = 0; i < answer->count; i++) {
        struct span data = answer->data[i];
        if (data.size < 4)
            return false;
        char *copy = arena_copy(&lookup->arena, span_skip(data, 3));
        if (copy == NULL) {
            lookup->is_out_of_memory = true;
            return false;
        }
        endpoint->tlsa[endpoint->tlsa_count++] = (struct resolver_tlsa){
            .usage = (uint8_t)data.ptr[0],
            .selector = (uint8_t)data.ptr[1],
            .matching = (uint8_t)data.ptr[2],
            .data = span_of(copy, data.size - 3),
        };
    }
    return true;
}

static enum resolver_status status_of_missing(enum dns_result result)
{
    switch (result) {
    case DNS_DATA:
    case DNS_NO_DATA:
        return RESOLVER_NO_ADDRESS;
    case DNS_NO_NAME:
        return RESOLVER_NO_DOMAIN;
    case DNS_FAILED:
        return RESOLVER_FAILED;
    case DNS_TIMEOUT:
        return RESOLVER_TIMEOUT;
    case DNS_BOGUS:
        return RESOLVER_BOGUS;
    case DNS_TOO_MANY:
        return RESOLVER_TOO_MANY;
    }
    return RESOLVER_FAILED;
}

/* RFC 7673 s3.2: bogus addresses of either family, and the host is left alone. */
static enum resolver_status judge_host(const struct host *host)
{
    if (host->v6.result == DNS_BOGUS || host->v4.result == DNS_BOGUS)
        return RESOLVER_BOGUS;
    if (host->v6.count + host->v4.count > 0)
        return RESOLVER_FOUND;
    if (host->v6.has_refused || host->v4.has_refused)
        return RESOLVER_REFUSED;
    enum resolver_status v6 = status_of_missing(host->v6.result);
    enum resolver_status v4 = status_of_missing(host->v4.result);
    /* A family that is switched off was never asked for, and says nothing. */
    if (host->v6.question.lookup == NULL || v6 == RESOLVER_NO_ADDRESS)
        return v4;
    return host->v4.question.lookup == NULL || v4 < v6 ? v6 : v4;
}

enum resolver_status lookup_judge(const struct endpoint *endpoint)
{
    enum resolver_status status = judge_host(endpoint->host);
    if (status != RESOLVER_FOUND || !endpoint->is_tlsa_asked)
        return status;
    /* RFC 7673 s3.4: without an answer about TLSA records there is no connection. */
    if (endpoint->tlsa_question.is_open)
        return RESOLVER_TIMEOUT;
    if (endpoint->has_excess_tlsa)
        return RESOLVER_TOO_MANY;
    switch (endpoint->tlsa_result) {
    case DNS_DATA:
    case DNS_NO_DATA:
    case DNS_NO_NAME:
        return RESOLVER_FOUND;
    case DNS_FAILED:
    case DNS_TIMEOUT:
    case DNS_BOGUS:
    case DNS_TOO_MANY:
        return status_of_missing(endpoint->tlsa_result);
    }
    return RESOLVER_FAILED;
}

static bool fill_candidate(const struct endpoint *endpoint, struct arena *arena, struct resolver_candidate *out)
{
    const struct host *host = endpoint->host;
    size_t size = host->count * sizeof host->addresses[0];
    union address *addresses = arena_take(arena, size);
    struct resolver_tlsa *tlsa = arena_take(arena, endpoint->tlsa_count * sizeof tlsa[0]);
    char *name = arena_copy(arena, span_str(host->name));
    if (addresses == NULL || tlsa == NULL || name == NULL)
        return false;
    memcpy(addresses, host->addresses, size);
    for (unsigned i = 0; i < host->count; i++)
        address_set_port(&addresses[i], endpoint->port);
    for (unsigned i = 0; i < endpoint->tlsa_count; i++) {
        tlsa[i] = endpoint->tlsa[i];
        tlsa[i].data.ptr = arena_copy(arena, endpoint->tlsa[i].data);
        if (tlsa[i].data.ptr == NULL)
            return false;
    }
    *out = (struct resolver_candidate){
        .host = name,
        .port = endpoint->port,
        .priority = endpoint->priority,
        .weight = endpoint->weight,
        .is_direct_tls = endpoint->is_direct_tls,
        .is_srv_secure = endpoint->is_srv_secure,
        .is_secure = endpoint->is_tlsa_asked,
        .addresses = addresses,
        .address_count = host->count,
        .tlsa = tlsa,
        .tlsa_count = endpoint->tlsa_count,
    };
    return true;
}

static bool fill_candidates(const struct lookup *lookup, struct arena *arena, struct resolver_answer *out,
                            uint64_t *dice)
{
    const struct endpoint *usable[RESOLVER_RECORDS_MAX];
    struct srv_rank ranks[RESOLVER_RECORDS_MAX];
    unsigned count = 0;
    for (const struct endpoint *one = lookup->endpoints; one != NULL && count < RESOLVER_RECORDS_MAX; one = one->next) {
        if (lookup_judge(one) != RESOLVER_FOUND)
            continue;
        usable[count] = one;
        ranks[count] = (struct srv_rank){one->priority, one->weight, count};
        count++;
    }
    if (lookup->source == RESOLVER_BY_SRV)
        srv_order(ranks, count, dice);
    struct resolver_candidate *candidates = arena_take(arena, count * sizeof candidates[0]);
    if (candidates == NULL)
        return false;
    for (unsigned i = 0; i < count; i++) {
        if (!fill_candidate(usable[ranks[i].index], arena, &candidates[i]))
            return false;
    }
    out->candidates = candidates;
    out->count = count;
    return true;
}

void lookup_answer(const struct lookup *lookup, struct resolver_request *request, uint64_t *dice)
{
    struct resolver_answer *answer = &request->answer;
    answer->status = lookup->status;
    answer->source = lookup->source;
    answer->is_partial = lookup->is_partial;
    if (lookup->status == RESOLVER_FOUND && !fill_candidates(lookup, &request->arena, answer, dice)) {
        answer->status = RESOLVER_BUSY;
        answer->candidates = NULL;
        answer->count = 0;
    }
}
