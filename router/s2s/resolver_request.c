/* SPDX-License-Identifier: MIT */
#include "router/s2s/resolver_request_priv.h"

#include "core/base/check.h"
#include "core/jid/jid.h"

#include <stdlib.h>

const struct resolver_settings resolver_settings_default = {
    .timeout_ms = 10000,
    .patience_ms = 1000,
    .ttl_max_s = 86400,
    .negative_ttl_max_s = 3600,
    .failure_ttl_s = 30,
    .cache_count = 4096,
    .lookups_max = 512,
};

struct resolver_request *resolver_request_new(unsigned client, uint64_t tag, struct span domain)
{
    SL_CHECK(domain.size > 0 && domain.size <= JID_PART_MAX);
    struct resolver_request *request = malloc(sizeof *request + domain.size);
    if (request == NULL)
        return NULL;
    *request = (struct resolver_request){.client = client, .answer = {.tag = tag}};
    arena_init(&request->arena, RESOLVER_MEMORY_MAX);
    memcpy(request->bytes, domain.ptr, domain.size);
    request->answer.domain = span_of(request->bytes, domain.size);
    return request;
}

void resolver_request_free(struct resolver_request *request)
{
    arena_fini(&request->arena);
    free(request);
}

void request_queue_init(struct request_queue *queue)
{
    *queue = (struct request_queue){.last = &queue->first};
}

void request_queue_fini(struct request_queue *queue)
{
    for (struct resolver_request *one = request_queue_take(queue); one != NULL; one = request_queue_take(queue))
        resolver_request_free(one);
}

void request_queue_put(struct request_queue *queue, struct resolver_request *request)
{
    request->next = NULL;
    *queue->last = request;
    queue->last = &request->next;
}

struct resolver_request *request_queue_take(struct request_queue *queue)
{
    struct resolver_request *request = queue->first;
    if (request == NULL)
        return NULL;
    queue->first = request->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    return request;
}

const char *resolver_status_name(enum resolver_status status)
{
    static const char *const names[RESOLVER_STATUS_COUNT] = {
        [RESOLVER_FOUND] = "found",
        [RESOLVER_NO_DOMAIN] = "no-such-domain",
        [RESOLVER_NO_SERVICE] = "no-service",
        [RESOLVER_NO_ADDRESS] = "no-address",
        [RESOLVER_BAD_NAME] = "bad-name",
        [RESOLVER_TIMEOUT] = "timeout",
        [RESOLVER_FAILED] = "failed",
        [RESOLVER_BOGUS] = "bogus",
        [RESOLVER_REFUSED] = "refused",
        [RESOLVER_TOO_MANY] = "too-many",
        [RESOLVER_BUSY] = "busy",
    };
    return names[status];
}

const char *resolver_status_text(enum resolver_status status)
{
    static const char *const texts[RESOLVER_STATUS_COUNT] = {
        [RESOLVER_FOUND] = "The domain's server was found.",
        [RESOLVER_NO_DOMAIN] = "There is no such domain.",
        [RESOLVER_NO_SERVICE] = "The domain says that it has no XMPP server (SRV target \".\").",
        [RESOLVER_NO_ADDRESS] = "The domain exists, but it has no host with an address to connect to.",
        [RESOLVER_BAD_NAME] = "The domain cannot be a name in the DNS.",
        [RESOLVER_TIMEOUT] = "The name servers did not answer in time.",
        [RESOLVER_FAILED] = "The name servers failed to answer.",
        [RESOLVER_BOGUS] = "DNSSEC validation failed.",
        [RESOLVER_REFUSED] = "The domain's addresses are in ranges that this router does not connect to.",
        [RESOLVER_TOO_MANY] = "The domain has more records, or a longer chain of aliases, than are followed.",
        [RESOLVER_BUSY] = "Too many lookups are under way.",
    };
    return texts[status];
}
