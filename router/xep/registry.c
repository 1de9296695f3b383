/* SPDX-License-Identifier: MIT */
#include "router/xep/feature.h"

#include "router/route/shard.h"
#include "router/xep/features.h"

const struct feature *const feature_registry[] = {
    &feature_ping,                      /* first: the request that comes most often */
    &feature_disco,   &feature_session, /* before the rest only because clients send it right behind binding */
    &feature_version, &feature_time,    &feature_second_bind, NULL,
};

uint32_t iq_payload(const struct iq_request *request)
{
    return xml_child(request->stanza, 0);
}

struct xml_writer iq_answer(const struct iq_request *request)
{
    /* RFC 6120 s8.1.2.1, s10.3.3: an answer on behalf of the account comes from its bare JID. */
    struct span from = request->head->has_to ? jid_full(&request->head->to) : jid_bare(&request->asker);
    return reply_result(request->out, request->shard->pool, from, jid_full(&request->asker), request->head->id);
}

static const struct iq_route *route_find(const struct iq_request *request)
{
    unsigned target = request->to_account ? TO_ACCOUNT : TO_SERVER;
    uint32_t payload = iq_payload(request);
    for (const struct feature *const *feature = feature_registry; *feature; feature++) {
        for (const struct iq_route *route = (*feature)->iq; route && route->name; route++)
            if (route->type == request->head->type && (route->targets & target) &&
                xml_is(request->stanza, payload, route->ns, route->name))
                return route;
    }
    return NULL;
}

enum stanza_error feature_answer(const struct iq_request *request)
{
    const struct iq_route *route = route_find(request);
    return route ? route->answer(request) : ERROR_SERVICE_UNAVAILABLE;
}
