/* SPDX-License-Identifier: MIT */
#include "router/route/deliver.h"

#include "router/im/presence.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/s2s/remote.h"
#include "router/stream/stream.h"
#include "router/stream/throttle.h"

/* From this size on a payload's chunks are moved instead of copied when it has one recipient. Below it the copy is
 * cheaper than the room that a chunk of its own would take in the recipient's queue. */
#define MOVE_MIN 2048u

#define PRIORITY_MIN (-128) /* RFC 6121 s4.7.2.3 */

static struct span first_bytes(const struct letter *letter, struct chunk **rest)
{
    *rest = NULL;
    if (!letter->payload)
        return letter->payload_inline;
    struct chunk *chunk = letter->payload->head;
    if (!chunk)
        return SPAN("");
    *rest = chunk->next;
    return span_of(chunk->bytes + chunk->start, chunk->end - chunk->start);
}

static void copy_payload(struct shard *shard, struct chain *out, const struct letter *letter)
{
    struct chunk *rest;
    chain_append(out, shard->pool, first_bytes(letter, &rest));
    for (; rest; rest = rest->next)
        chain_append(out, shard->pool, span_of(rest->bytes + rest->start, rest->end - rest->start));
}

void deliver_append(struct shard *shard, struct chain *out, struct letter *letter)
{
    if (letter->payload && letter->payload->size >= MOVE_MIN)
        chain_splice(out, letter->payload);
    else
        copy_payload(shard, out, letter);
}

static size_t payload_size(const struct letter *letter)
{
    return letter->payload ? letter->payload->size : letter->payload_inline.size;
}

static bool has_room(const struct shard *shard, const struct stream *stream, const struct letter *letter)
{
    const struct config *config = shard->policy->config;
    size_t most = stream->is_s2s ? config->s2s_queue_hard : config->limits_queue_hard;
    return stream->out.size + payload_size(letter) <= most;
}

/* One copy to one stream. The caller has checked has_room(). */
static void hand_over(struct shard *shard, struct stream *stream, struct letter *letter, bool is_last)
{
    if (is_last)
        deliver_append(shard, &stream->out, letter);
    else
        copy_payload(shard, &stream->out, letter);
    stream_touch(stream);
    shard_count(shard, stream->is_acked ? COUNTER_S2S_WAITING : COUNTER_DELIVERED, 1);
    if (stream->out.size > shard->policy->config->limits_queue_soft) {
        /* Answers of the router itself have no sender to slow down: then it is the recipient who asks too much. */
        throttle_sender(stream, letter->sender.ref ? letter->sender : stream_ref(stream));
    }
}

bool deliver_to_stream(struct shard *shard, struct stream *stream, struct letter *letter)
{
    if (!has_room(shard, stream, letter))
        return false;
    hand_over(shard, stream, letter, true);
    return true;
}

static void deliver_to_one(struct shard *shard, struct session *session, struct letter *letter)
{
    if (!deliver_to_stream(shard, session->stream, letter))
        deliver_bounce(shard, letter, ERROR_RESOURCE_CONSTRAINT);
}

/* Silence, where a rule allows no answer. */
static void drop(struct shard *shard)
{
    shard_count(shard, COUNTER_DROPPED, 1);
}

/* To every available session with at least that priority; at least one has it. Refused only if none had room. */
static void deliver_to_many(struct shard *shard, struct user *user, struct letter *letter, int priority_min)
{
    unsigned copies = 0;
    for (struct session *session = user->first; session; session = session->next) {
        if (!session->is_available || session->priority < priority_min || !has_room(shard, session->stream, letter))
            continue;
        hand_over(shard, session->stream, letter, false);
        copies++;
    }
    if (copies)
        shard_count(shard, COUNTER_BORN, copies - 1);
    else
        deliver_bounce(shard, letter, ERROR_RESOURCE_CONSTRAINT);
}

/* RFC 6121 s8.5.2 and s8.5.3.2: a message for the account, not for one matching resource. */
static void deliver_message_to_user(struct shard *shard, struct user *user, struct letter *letter)
{
    bool is_full = letter->to.resource_size != 0;
    int max = user ? session_priority_max(user) : -1;
    switch (letter->type) {
    case TYPE_NORMAL:
        if (is_full) {
            deliver_bounce(shard, letter, ERROR_SERVICE_UNAVAILABLE);
            return;
        }
        break;
    case TYPE_CHAT:
        break;
    case TYPE_HEADLINE:
        /* Bare: to all non-negative resources or silence (s8.5.2.1.1, s8.5.2.2.1). Full without match: silence, one of
         * the two that s8.5.3.2.1 allows. */
        if (max >= 0 && !is_full)
            deliver_to_many(shard, user, letter, 0);
        else
            drop(shard);
        return;
    case TYPE_ERROR:
        drop(shard);
        return;
    case TYPE_GROUPCHAT:
    case TYPE_AVAILABLE:
    case TYPE_UNAVAILABLE:
    case TYPE_PROBE:
    case TYPE_SUBSCRIPTION:
    case TYPE_GET:
    case TYPE_SET:
    case TYPE_RESULT:
        deliver_bounce(shard, letter, ERROR_SERVICE_UNAVAILABLE);
        return;
    }
    /* Normal and chat: the most available resources, those of the highest priority. */
    if (max >= 0)
        deliver_to_many(shard, user, letter, max);
    else
        deliver_bounce(shard, letter, ERROR_SERVICE_UNAVAILABLE);
}

static void deliver_message(struct shard *shard, struct user *user, struct letter *letter)
{
    struct session *session = letter->to.resource_size ? session_find(user, jid_resource(&letter->to)) : NULL;
    if (session)
        deliver_to_one(shard, session, letter);
    else
        deliver_message_to_user(shard, user, letter);
}

static void deliver_presence(struct shard *shard, struct user *user, struct letter *letter)
{
    struct session *session = letter->to.resource_size ? session_find(user, jid_resource(&letter->to)) : NULL;
    if (letter->type == TYPE_PROBE && session && presence_was_directed(session, &letter->from)) {
        presence_answer_probe(shard, session, letter);
        return;
    }
    if (letter->type == TYPE_PROBE || letter->type == TYPE_SUBSCRIPTION) {
        /* Without a roster nobody is subscribed: s8.5.1 allows silence for both. */
        drop(shard);
        return;
    }
    if (letter->type == TYPE_UNAVAILABLE && session)
        presence_forget(session, jid_full(&letter->from));
    if (session)
        deliver_to_one(shard, session, letter);
    else if (!letter->to.resource_size && user && session_any_available(user))
        deliver_to_many(shard, user, letter, PRIORITY_MIN);
    else
        drop(shard);
}

static void deliver_iq(struct shard *shard, struct user *user, struct letter *letter)
{
    struct session *session = letter->to.resource_size ? session_find(user, jid_resource(&letter->to)) : NULL;
    if (session)
        deliver_to_one(shard, session, letter);
    else
        deliver_bounce(shard, letter, ERROR_SERVICE_UNAVAILABLE);
}

void deliver(struct shard *shard, struct letter *letter)
{
    if (letter->is_remote) {
        remote_deliver(shard, letter);
        return;
    }
    struct user *user = session_user(shard, jid_bare(&letter->to));
    switch (letter->kind) {
    case STANZA_MESSAGE:
        deliver_message(shard, user, letter);
        break;
    case STANZA_PRESENCE:
        deliver_presence(shard, user, letter);
        break;
    case STANZA_IQ:
        deliver_iq(shard, user, letter);
        break;
    case STANZA_NONE:
        break;
    }
}

void deliver_anywhere(struct shard *shard, struct letter *letter)
{
    unsigned owner = router_owner(shard->router, letter->is_remote ? jid_domain(&letter->to) : jid_bare(&letter->to));
    if (owner == shard->index)
        deliver(shard, letter);
    else if (!mail_post_letter(shard, owner, letter))
        deliver_bounce(shard, letter, ERROR_RESOURCE_CONSTRAINT);
}

/* RFC 6120 s8.3.1 for answers. Presence is answered where another server is out of reach (s10.4.3), for a user of ours
 * has none of s8.5's rules for that; a probe is never (RFC 6121 s4.3). */
static bool is_bounced(const struct shard *shard, const struct letter *letter, enum stanza_error error)
{
    if (letter->type == TYPE_ERROR || letter->type == TYPE_RESULT || !letter->from.domain_size)
        return false;
    if (letter->type == TYPE_HEADLINE && !letter->to.resource_size && error == ERROR_SERVICE_UNAVAILABLE)
        return false; /* to all or to nobody: RFC 6121 s8.5.2.2.1 */
    if (letter->kind != STANZA_PRESENCE)
        return true;
    return letter->type != TYPE_PROBE && error != ERROR_SERVICE_UNAVAILABLE &&
           !policy_has_domain(shard->policy, jid_domain(&letter->to));
}

void deliver_bounce(struct shard *shard, const struct letter *letter, enum stanza_error error)
{
    if (!is_bounced(shard, letter, error)) {
        /* Nobody being there is what s8.5 has rules for; anything else is a loss that only the operator can be told of.
         */
        shard_count(shard, error == ERROR_SERVICE_UNAVAILABLE ? COUNTER_DROPPED : COUNTER_LOST, 1);
        return;
    }
    shard_count(shard, COUNTER_REFUSED, 1);
    shard_count(shard, COUNTER_BORN, 1);
    struct chain chain = {0};
    reply_error(&chain, shard->pool, letter->kind, jid_full(&letter->to), jid_full(&letter->from), letter->id, error,
                NULL);
    struct letter back = {
        .kind = letter->kind,
        .type = TYPE_ERROR,
        .is_remote = !policy_has_domain(shard->policy, jid_domain(&letter->from)),
        .to = letter->from,
        .from = letter->to,
        .id = letter->id,
        .payload = &chain,
    };
    deliver_anywhere(shard, &back);
    chain_clear(&chain, shard->pool);
}

void deliver_copy(struct shard *shard, struct session *session, struct span payload)
{
    struct letter letter = {.kind = STANZA_PRESENCE, .payload_inline = payload};
    shard_count(shard, COUNTER_BORN, 1);
    if (has_room(shard, session->stream, &letter))
        hand_over(shard, session->stream, &letter, false);
    else
        shard_count(shard, COUNTER_LOST, 1);
}
