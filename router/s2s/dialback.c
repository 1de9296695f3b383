/* SPDX-License-Identifier: MIT */
#include "router/s2s/dialback.h"

#include "core/base/hex.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/access.h"
#include "router/s2s/contact.h"
#include "router/s2s/remote.h"
#include "router/s2s/s2s.h"
#include "router/stream/stream.h"
#include "router/stream/throttle.h"
#include "tls/digest.h"

#include <stdlib.h>

/* Checks that one stream may have under way: each is a connection of ours. */
#define CHECKS_MAX 8u

/* XEP-0185 s2.1: HMAC-SHA256(SHA256(secret) in hexadecimal, receiving ' ' originating ' ' id). */
void dialback_key(struct span secret, struct span receiving, struct span originating, struct span stream_id,
                  char out[DIALBACK_KEY_SIZE])
{
    char text[2 * JID_PART_MAX + 2 + DIALBACK_ID_MAX], secret_text[64];
    uint8_t hash[32], mac[32];
    size_t size = 0;
    if (stream_id.size > DIALBACK_ID_MAX)
        stream_id.size = DIALBACK_ID_MAX;
    const struct span parts[] = {receiving, SPAN(" "), originating, SPAN(" "), stream_id};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].size)
            continue;
        memcpy(text + size, parts[i].ptr, parts[i].size);
        size += parts[i].size;
    }
    digest_hash(DIGEST_SHA256, secret, hash);
    hex_encode(span_of(hash, sizeof hash), secret_text);
    digest_hmac(DIGEST_SHA256, span_of(secret_text, sizeof secret_text), span_of(text, size), mac);
    hex_encode(span_of(mac, sizeof mac), out);
}

static struct span secret_of(const struct stream *stream)
{
    const struct router *router = stream->shard->router;
    return span_of((const char *)router->dialback_secret, sizeof router->dialback_secret);
}

/* ------------------------------------------------------------------------------------------------ what it says */

struct message {
    struct jid_buffer from_room, to_room;
    struct span theirs; /* prepared 'from' */
    struct span ours;   /* prepared 'to' */
    char id_room[DIALBACK_ID_MAX];
    struct span id;
    char type_room[16];
    struct span type; /* empty: a key, a question */
    char key_room[256];
    struct span key;
};

static bool domain_of(const struct xml_stanza *stanza, const char *name, struct jid_buffer *room, struct span *domain)
{
    char raw[JID_PART_MAX + 1];
    struct jid jid;
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, name);
    struct span value = attribute ? xml_value(stanza, attribute, raw, sizeof raw) : SPAN_NONE;
    if (!value.ptr || jid_prepare(value, room, &jid) != JID_OK || jid.local_size || jid.resource_size)
        return false;
    *domain = jid_domain(&jid);
    return true;
}

static struct span value_of(const struct xml_stanza *stanza, const char *name, char *room, size_t room_size)
{
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, name);
    return attribute ? xml_value(stanza, attribute, room, room_size) : SPAN("");
}

static bool message_read(const struct xml_stanza *stanza, struct message *message)
{
    message->id = value_of(stanza, "id", message->id_room, sizeof message->id_room);
    message->type = value_of(stanza, "type", message->type_room, sizeof message->type_room);
    message->key = xml_text(stanza, 0, message->key_room, sizeof message->key_room);
    while (message->key.size && (unsigned char)message->key.ptr[0] <= ' ')
        message->key = span_of(message->key.ptr + 1, message->key.size - 1);
    while (message->key.size && (unsigned char)message->key.ptr[message->key.size - 1] <= ' ')
        message->key.size--;
    return domain_of(stanza, "from", &message->from_room, &message->theirs) &&
           domain_of(stanza, "to", &message->to_room, &message->ours) && message->id.ptr &&
           message->id.size <= DIALBACK_ID_MAX && message->type.ptr && message->key.ptr &&
           message->key.size <= sizeof message->key_room;
}

/* Whoever asks and does not read is not read either; a stranger has no claim to wait. */
static void said(struct stream *stream)
{
    stream_touch(stream);
    if (stream->out.size <= stream->shard->policy->config->limits_queue_soft)
        return;
    if (stream->state == STREAM_BOUND)
        throttle_sender(stream, stream_ref(stream));
    else
        stream_close(stream, STREAM_RESOURCE_CONSTRAINT_ERROR, "answers are not read");
}

static void say(struct s2s *s2s, const char *name, struct span from, struct span to, struct span id, const char *type,
                struct span key)
{
    struct stream *stream = &s2s->stream;
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, name);
    xml_write_attribute(&w, "from", from);
    xml_write_attribute(&w, "to", to);
    if (id.size)
        xml_write_attribute(&w, "id", id);
    if (type)
        xml_write_attribute(&w, "type", span_str(type));
    if (key.size)
        xml_write_text(&w, key);
    xml_close(&w);
    said(stream);
}

/* XEP-0220 s2.4.2: not a stream error, since other pairs may be on the stream. */
static void say_error(struct s2s *s2s, const char *name, const struct message *message, const char *type,
                      const char *condition)
{
    struct stream *stream = &s2s->stream;
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, name);
    xml_write_attribute(&w, "from", message->ours);
    xml_write_attribute(&w, "to", message->theirs);
    if (message->id.size)
        xml_write_attribute(&w, "id", message->id);
    xml_write_attribute(&w, "type", SPAN("error"));
    xml_open(&w, "error");
    xml_write_attribute(&w, "type", span_str(type));
    xml_empty(&w, condition, "urn:ietf:params:xml:ns:xmpp-stanzas");
    xml_close(&w);
    xml_close(&w);
    said(stream);
}

/* ------------------------------------------------------------------------------------------------ authoritative */

/* s2.2.2: is this key one of ours? */
static void answer_verify(struct s2s *s2s, const struct message *message)
{
    struct stream *stream = &s2s->stream;
    char key[DIALBACK_KEY_SIZE];
    if (!policy_has_domain(stream->shard->policy, message->ours)) {
        say_error(s2s, "db:verify", message, "cancel", "item-not-found");
        return;
    }
    dialback_key(secret_of(stream), message->theirs, message->ours, message->id, key);
    bool is_ours = message->key.size == sizeof key && digest_equal(key, message->key.ptr, sizeof key);
    say(s2s, "db:verify", message->ours, message->theirs, message->id, is_ours ? "valid" : "invalid", SPAN(""));
}

/* ------------------------------------------------------------------------------------------------ receiving */

void dialback_check_free(struct dialback_check *check)
{
    if (!check)
        return;
    span_free(&check->ours);
    span_free(&check->theirs);
    free(check);
}

static struct dialback_check *check_new(const struct s2s *s2s, const struct message *message)
{
    struct dialback_check *check = calloc(1, sizeof *check);
    if (!check)
        return NULL;
    check->stream_ref = stream_ref(&s2s->stream).ref;
    check->ours = span_copy(message->ours);
    check->theirs = span_copy(message->theirs);
    memcpy(check->stream_id, s2s->stream.nego->stream_id, sizeof check->stream_id);
    memcpy(check->key, message->key.ptr, message->key.size);
    check->key_size = (uint16_t)message->key.size;
    if (check->ours.ptr && check->theirs.ptr)
        return check;
    dialback_check_free(check);
    return NULL;
}

/* s2.2.1: they want to speak from their domain to ours. */
static void take_key(struct s2s *s2s, const struct message *message)
{
    struct stream *stream = &s2s->stream;
    const struct policy *policy = stream->shard->policy;
    if (!policy_has_domain(policy, message->ours)) {
        say_error(s2s, "db:result", message, "cancel", "item-not-found");
        return;
    }
    if (!access_permits(policy->config, message->theirs)) {
        shard_count(stream->shard, COUNTER_S2S_DENIED, 1);
        say_error(s2s, "db:result", message, "auth", "not-authorized");
        return;
    }
    if (policy_has_domain(policy, message->theirs) || !trust_may_dialback(policy->config, message->theirs)) {
        say_error(s2s, "db:result", message, "auth", "not-authorized");
        return;
    }
    if (s2s_may_hear(s2s, message->theirs, message->ours)) {
        say(s2s, "db:result", message->ours, message->theirs, SPAN(""), "valid", SPAN(""));
        return;
    }
    struct dialback_check *check = s2s->checks < CHECKS_MAX && message->key.size ? check_new(s2s, message) : NULL;
    if (!check || !contact_begin_check(stream->shard, check)) {
        dialback_check_free(check);
        say_error(s2s, "db:result", message, "wait", "resource-constraint");
        return;
    }
    s2s->checks++;
}

void dialback_grant(struct s2s *s2s, struct span theirs, struct span ours)
{
    say(s2s, "db:result", ours, theirs, SPAN(""), "valid", SPAN(""));
}

/* s2.1.2: a key is good for the stream whose id it was made of; that of a stream before STARTTLS or SASL says nothing
 * of the one behind it, which has another security context. Such an answer is nobody's. */
static bool is_same_stream(const struct stream *stream, const struct dialback_check *check)
{
    return (stream->state == STREAM_OPEN || stream->state == STREAM_BOUND) &&
           strcmp(stream->nego->stream_id, check->stream_id) == 0;
}

/* s2.5. Of its conditions <remote-connection-failed/> is none that RFC 6120 defines, as the same section asks for: a
 * server that cannot be connected to is a timeout. */
static void tell_error(struct s2s *s2s, const struct dialback_check *check, enum dialback_result result)
{
    struct message message = {.theirs = check->theirs, .ours = check->ours, .id = SPAN("")};
    switch (result) {
    case DIALBACK_VALID: /* and yet there is no room for it */
        say_error(s2s, "db:result", &message, "wait", "resource-constraint");
        break;
    case DIALBACK_INVALID:
        say_error(s2s, "db:result", &message, "auth", "forbidden");
        break;
    case DIALBACK_UNREACHABLE:
        say_error(s2s, "db:result", &message, "wait", "remote-server-timeout");
        break;
    case DIALBACK_NOT_FOUND:
        say_error(s2s, "db:result", &message, "cancel", "remote-server-not-found");
        break;
    }
}

static void tell_result(struct s2s *s2s, const struct dialback_check *check, enum dialback_result result,
                        enum proof proof)
{
    struct stream *stream = &s2s->stream;
    bool is_proven = result == DIALBACK_VALID && s2s_prove(s2s, check->theirs, check->ours, proof);
    if (is_proven && s2s->is_ready) {
        dialback_grant(s2s, check->theirs, check->ours);
    } else if (is_proven) { /* told when it is settled that the stream stays: dialback_grant() */
        nego_event(stream, EV_SUCCESS, NULL);
    } else if (result == DIALBACK_INVALID && !s2s->names) { /* s2.2.1: the first pair is bogus */
        say(s2s, "db:result", check->ours, check->theirs, SPAN(""), "invalid", SPAN(""));
        stream_close(stream, STREAM_NO_ERROR, NULL);
    } else { /* the other pairs stay: "invalid" would end them too */
        tell_error(s2s, check, result);
    }
}

void dialback_checked(struct shard *shard, struct dialback_check *check, enum dialback_result result)
{
    struct io_conn *conn = io_find(shard->io, check->stream_ref);
    enum proof proof = check->is_by_dane ? PROOF_DANE_DIALBACK : PROOF_DIALBACK;
    /* Since a reload, perhaps, not any more. */
    if (result == DIALBACK_VALID && !trust_accepts_for(shard->policy->config, check->theirs, proof))
        result = DIALBACK_UNREACHABLE;
    if (result == DIALBACK_INVALID)
        shard_count(shard, COUNTER_S2S_FAILED_DIALBACK_INVALID, 1);
    struct stream *stream = conn ? conn->owner : NULL;
    if (stream && stream->is_s2s && stream->state != STREAM_CLOSING) {
        s2s_of(stream)->checks--;
        if (is_same_stream(stream, check))
            tell_result(s2s_of(stream), check, result, proof);
    }
    dialback_check_free(check);
}

/* ------------------------------------------------------------------------------------------------ originating */

void dialback_ask(struct s2s *s2s)
{
    struct stream *stream = &s2s->stream;
    char key[DIALBACK_KEY_SIZE];
    struct span ours = stream->nego->domain;
    dialback_key(secret_of(stream), s2s->remote, ours, span_str(s2s->peer_id), key);
    say(s2s, "db:result", ours, s2s->remote, SPAN(""), NULL, span_of(key, sizeof key));
}

void dialback_verify(struct s2s *s2s, const struct dialback_check *check)
{
    say(s2s, "db:verify", check->ours, check->theirs, span_str(check->stream_id), NULL,
        span_of(check->key, check->key_size));
}

/* An answer to what this stream asked: only for its own pair (s3.1). */
static bool is_about_us(const struct s2s *s2s, const struct message *message)
{
    return s2s->is_out && span_equal(message->theirs, s2s->remote) &&
           span_equal(message->ours, s2s->stream.nego->domain);
}

/* s2.5: whoever answers <item-not-found/> is not the domain's server. */
static bool is_not_found(const struct xml_stanza *stanza)
{
    uint32_t error = xml_child_named(stanza, 0, NS_SERVER, "error");
    return error != XML_NOWHERE && xml_child_named(stanza, error, NS_STANZA_ERRORS, "item-not-found") != XML_NOWHERE;
}

static enum dialback_result result_of(const struct xml_stanza *stanza, struct span type)
{
    if (span_is(type, "valid"))
        return DIALBACK_VALID;
    if (span_is(type, "invalid"))
        return DIALBACK_INVALID;
    return is_not_found(stanza) ? DIALBACK_NOT_FOUND : DIALBACK_UNREACHABLE;
}

bool dialback_lets_in(const struct s2s *s2s, const struct xml_stanza *stanza)
{
    struct message message;
    return xml_is(stanza, 0, NS_DIALBACK, "result") && message_read(stanza, &message) && is_about_us(s2s, &message) &&
           span_is(message.type, "valid");
}

enum nego_event dialback_take(struct s2s *s2s, const struct xml_stanza *stanza)
{
    struct stream *stream = &s2s->stream;
    struct message message;
    bool is_result = xml_is(stanza, 0, NS_DIALBACK, "result"), is_verify = xml_is(stanza, 0, NS_DIALBACK, "verify");
    if (!is_result && !is_verify) {
        stream_close(stream, STREAM_UNSUPPORTED_STANZA_TYPE_ERROR, NULL);
        return EV_CLOSED;
    }
    if (!message_read(stanza, &message)) {
        stream_close(stream, STREAM_IMPROPER_ADDRESSING_ERROR, NULL);
        return EV_CLOSED;
    }
    if (is_result)
        message.id = SPAN(""); /* s6.1: a result has none, and its answer gets none */
    if (!message.type.size && !s2s_is_secure_enough(stream)) {
        say_error(s2s, is_result ? "db:result" : "db:verify", &message, "modify", "policy-violation");
        return EV_NONE;
    }
    if (!message.type.size) {
        if (is_verify)
            answer_verify(s2s, &message);
        else if (!s2s->is_out)
            take_key(s2s, &message);
        else
            say_error(s2s, "db:result", &message, "cancel", "feature-not-implemented"); /* XEP-0288 s2.2: not asked */
        return EV_NONE;
    }
    if (!is_about_us(s2s, &message)) {
        stream_close(stream, STREAM_INVALID_FROM_ERROR, "an answer to a question that was not asked");
        return EV_CLOSED;
    }
    if (is_verify) {
        contact_verified(s2s, message.id, result_of(stanza, message.type));
        return stream->state == STREAM_CLOSING ? EV_CLOSED : EV_NONE;
    }
    if (span_is(message.type, "invalid")) {
        s2s_fails(s2s, COUNTER_S2S_FAILED_DIALBACK_INVALID);
        contact_denied(s2s, ERROR_INTERNAL_SERVER_ERROR); /* s2.1.1 */
    }
    return span_is(message.type, "valid") ? EV_SUCCESS : EV_FAILURE;
}
