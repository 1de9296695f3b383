/* SPDX-License-Identifier: MIT */
#include "router/route/route.h"

#include "router/im/presence.h"
#include "router/route/deliver.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"
#include "router/xep/feature.h"

enum verdict route_verdict(const struct policy *policy, const struct stanza_head *head, struct span own_bare)
{
    bool is_iq = head->kind == STANZA_IQ;
    if (!head->has_to) {
        if (head->kind == STANZA_PRESENCE)
            return VERDICT_BROADCAST;
        return is_iq ? VERDICT_ACCOUNT : VERDICT_USER;
    }
    if (!policy_has_domain(policy, jid_domain(&head->to)))
        return VERDICT_REMOTE;
    if (!head->to.local_size)
        return head->to.resource_size ? VERDICT_SERVICE : VERDICT_SERVER;
    bool is_own_bare = !head->to.resource_size && span_equal(jid_bare(&head->to), own_bare);
    return is_iq && is_own_bare ? VERDICT_ACCOUNT : VERDICT_USER;
}

void route_refuse(struct stream *stream, const struct stanza_head *head, enum stanza_error error, const char *text)
{
    struct shard *shard = stream->shard;
    if (head->type == TYPE_ERROR || head->type == TYPE_RESULT || stream->state == STREAM_CLOSING) {
        shard_count(shard, COUNTER_DROPPED, 1);
        return;
    }
    struct jid own = session_jid(stream->session);
    struct span from = head->to.domain_size ? jid_full(&head->to) : SPAN_NONE;
    reply_error(&stream->out, shard->pool, head->kind, from, jid_full(&own), head->id, error, text);
    shard_count(shard, COUNTER_REFUSED, 1);
    stream_wrote_stanza(stream);
}

/* An iq to the server or to the sender's own account. Answers and errors to us are nobody's: of the pings
 * of silence.c it matters that something came, not what. */
static void answer_iq(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head,
                      bool to_account)
{
    struct shard *shard = stream->shard;
    if (head->type == TYPE_RESULT || head->type == TYPE_ERROR) {
        shard_count(shard, COUNTER_DROPPED, 1);
        return;
    }
    struct iq_request request = {
        .shard = shard,
        .out = &stream->out,
        .asker = session_jid(stream->session),
        .stanza = stanza,
        .head = head,
        .to_account = to_account,
    };
    enum stanza_error error = feature_answer(&request);
    if (error != NO_STANZA_ERROR) {
        route_refuse(stream, head, error, NULL);
        return;
    }
    shard_count(shard, COUNTER_ANSWERED, 1);
    stream_wrote_stanza(stream);
}

static void to_server(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    if (head->kind == STANZA_IQ)
        answer_iq(stream, stanza, head, false);
    else if (head->kind == STANZA_MESSAGE)
        route_refuse(stream, head, ERROR_SERVICE_UNAVAILABLE, NULL); /* nobody reads what is written to a server */
    else
        shard_count(stream->shard, COUNTER_DROPPED, 1); /* the server watches nobody's presence */
}

/* A user of ours, or anything at another domain. */
static void to_address(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head,
                       bool is_remote)
{
    struct shard *shard = stream->shard;
    struct session *session = stream->session;
    struct jid own = session_jid(session);
    struct xml_forward forward = {.from = jid_full(&own)};
    if (session->lang && !head->has_lang)
        forward.lang = span_str(session->lang); /* RFC 6120 s8.1.5 */
    struct letter letter = {
        .kind = head->kind,
        .type = head->type,
        .is_remote = is_remote,
        .to = head->to,
        .from = own,
        .id = head->id,
        .sender = stream_ref(stream),
        .payload = &shard->work,
    };
    if (is_remote) {
        forward.content_from = NS_CLIENT;
        forward.content_to = NS_SERVER;
    }
    if (!head->has_to) { /* s10.3.1: as if 'to' were the sender's bare JID */
        letter.to = jid_of_prepared(jid_bare(&own));
        forward.to = jid_bare(&own);
    }
    if (head->kind == STANZA_PRESENCE && !presence_directed(session, head)) {
        route_refuse(stream, head, ERROR_RESOURCE_CONSTRAINT, "presence is directed at too many");
        return;
    }
    xml_forward(&shard->work, shard->pool, stanza, &stream->reader, &forward);
    deliver_anywhere(shard, &letter);
    chain_clear(&shard->work, shard->pool);
}

void route_stanza(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    struct jid own = session_jid(stream->session);
    switch (route_verdict(stream->shard->policy, head, jid_bare(&own))) {
    case VERDICT_BROADCAST:
        if (head->type == TYPE_AVAILABLE || head->type == TYPE_UNAVAILABLE)
            presence_broadcast(stream, stanza, head);
        else
            route_refuse(stream, head, ERROR_BAD_REQUEST, NULL);
        break;
    case VERDICT_SERVER:
        to_server(stream, stanza, head);
        break;
    case VERDICT_ACCOUNT:
        answer_iq(stream, stanza, head, true);
        break;
    case VERDICT_USER:
        to_address(stream, stanza, head, false);
        break;
    case VERDICT_SERVICE:
        route_refuse(stream, head, ERROR_SERVICE_UNAVAILABLE, NULL);
        break;
    case VERDICT_REMOTE:
        if (!stream->shard->policy->config->s2s_enabled)
            route_refuse(stream, head, ERROR_REMOTE_SERVER_NOT_FOUND, NULL);
        else if (head->type == TYPE_SUBSCRIPTION) /* without rosters the answer would be nobody's */
            route_refuse(stream, head, ERROR_FEATURE_NOT_IMPLEMENTED, "there are no rosters here");
        else if (xml_swap_collides(stanza, NS_CLIENT, NS_SERVER))
            route_refuse(stream, head, ERROR_NOT_ACCEPTABLE, "attributes that would be one in jabber:server");
        else
            to_address(stream, stanza, head, true);
        break;
    }
}
