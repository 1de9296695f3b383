/* SPDX-License-Identifier: MIT */
#include "router/stream/bind.h"

#include "core/base/log.h"
#include "io/io.h"
#include "router/route/reply.h"
#include "router/route/session.h"
#include "router/route/shard.h"

#include <stdlib.h>

bool bind_is_request(const struct xml_stanza *stanza)
{
    char room[16];
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "type");
    struct span type = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    return xml_is(stanza, 0, NS_CLIENT, "iq") && !span_is(type, "result") && !span_is(type, "error") &&
           xml_child_named(stanza, 0, NS_BIND, "bind") != XML_NOWHERE;
}

bool bind_is_misnamed(const struct xml_stanza *stanza)
{
    const struct xml_attribute *type = xml_attribute(stanza, 0, NS_NONE, "type");
    char room[32];
    struct span value = type ? xml_value(stanza, type, room, sizeof room) : SPAN_NONE;
    return (stanza->flags & XML_HAS_MISNAMED) && xml_is(stanza, 0, NS_CLIENT, "iq") &&
           (span_is(value, "set") || span_is(value, "get"));
}

static enum nego_event refuse(struct stream *stream, const struct stanza_head *head, enum stanza_error error)
{
    reply_error(&stream->out, stream->shard->pool, STANZA_IQ, SPAN_NONE, SPAN_NONE, head->id, error, NULL);
    stream_touch(stream);
    stream->nego->attempts++;
    return EV_FAILURE;
}

/* RFC 6120 s7.6.1 note: hard to guess, so that nobody learns of a session by sending to it. */
static size_t generate(struct stream *stream, char *out)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[16];
    io_random(stream->shard->io, random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        out[i] = alphabet[random[i] & 63];
    return sizeof random;
}

/* The resource asked for, prepared; size 0 when it is ours to make: none is asked for, or one that is no resourcepart,
 * which SHOULD be brought into conformance rather than refused (RFC 6120 s7.7.2.1). False: there is XML inside. */
static bool requested(const struct xml_stanza *stanza, char *out, size_t *size)
{
    char room[JID_PART_MAX + 1];
    uint32_t bind = xml_child_named(stanza, 0, NS_BIND, "bind");
    uint32_t element = xml_child_named(stanza, bind, NS_BIND, "resource");
    *size = 0;
    if (element == XML_NOWHERE)
        return true;
    if (xml_child(stanza, element) != XML_NOWHERE)
        return false;
    struct span text = xml_text(stanza, element, room, sizeof room);
    if (!text.ptr || jid_prepare_resource(text, out, size) != JID_OK)
        *size = 0;
    return true;
}

static void write_result(struct stream *stream, const struct stanza_head *head)
{
    struct jid jid = session_jid(stream->session);
    struct xml_writer w = reply_result(&stream->out, stream->shard->pool, SPAN_NONE, SPAN_NONE, head->id);
    xml_open(&w, "bind");
    xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-bind");
    xml_open(&w, "jid");
    xml_write_text(&w, jid_full(&jid));
    xml_close(&w);
    xml_close(&w);
    xml_close(&w);
    stream_touch(stream);
}

static void become_session(struct stream *stream, struct session *session)
{
    struct jid jid = session_jid(session);
    stream->session = session;
    stream->was_bound = true;
    if (stream->tls)
        (void)watch_enter(stream); /* where the client's certificate still counts for something */
    session->lang = stream->nego->lang;
    stream->nego->lang = NULL;
    stream_set_deadline(stream, stream->shard->policy->config->timeouts_idle_ms);
    log_event(LOG_DEBUG, "c2s.bound", "jid=%s", log_quoted(jid_full(&jid)).text);
}

/* s7.7.2.2: the three ways to settle a conflict. True: the resource in out is free now. */
static bool settle_conflict(struct stream *stream, struct session *older, char *out, size_t *size)
{
    switch ((enum config_conflict)stream->shard->policy->config->bind_conflict) {
    case CONFLICT_REPLACE:
        stream_close(older->stream, STREAM_CONFLICT_ERROR, "a newer session took this resource");
        return true;
    case CONFLICT_RENAME:
        *size = generate(stream, out);
        return true;
    case CONFLICT_REFUSE:
        break;
    }
    return false;
}

static enum nego_event bind_requested(struct stream *stream, const struct stanza_head *head, char *resource,
                                      size_t size)
{
    struct shard *shard = stream->shard;
    if (!size)
        size = generate(stream, resource);
    struct user *user = session_user(shard, stream->nego->jid);
    struct session *older = session_find(user, span_of(resource, size));
    if (older && !settle_conflict(stream, older, resource, &size))
        return refuse(stream, head, ERROR_CONFLICT);
    /* Closing the older session may have freed the user. */
    user = session_user(shard, stream->nego->jid);
    if (user && user->count >= shard->policy->config->bind_sessions_max)
        return refuse(stream, head, ERROR_RESOURCE_CONSTRAINT); /* s7.6.2.1 */
    struct session *session = session_new(shard, stream, stream->nego->jid, span_of(resource, size));
    if (!session)
        return refuse(stream, head, ERROR_RESOURCE_CONSTRAINT);
    become_session(stream, session);
    write_result(stream, head);
    return EV_NONE;
}

/* What ends the stream: another's 'from' (s8.1.2.1), an id that no answer could carry, and a stanza to another than the
 * server or the own account before there is a session (s7.1). */
static enum stream_error judge_addresses(const struct stream *stream, const struct stanza_head *head,
                                         enum stanza_fault fault)
{
    const struct nego *nego = stream->nego;
    if (fault == STANZA_BAD_FROM || (head->has_from && !span_equal(jid_bare(&head->from), nego->jid)))
        return STREAM_INVALID_FROM_ERROR;
    if (fault == STANZA_BAD_ID)
        return STREAM_POLICY_VIOLATION_ERROR;
    if (fault == STANZA_BAD_TO || !head->has_to)
        return STREAM_NO_ERROR;
    bool is_ours = span_equal(jid_full(&head->to), nego->domain) || span_equal(jid_full(&head->to), nego->jid);
    return is_ours ? STREAM_NO_ERROR : STREAM_NOT_AUTHORIZED_ERROR;
}

enum nego_event bind_resource(struct stream *stream, const struct xml_stanza *stanza)
{
    struct stanza_head head;
    char resource[JID_PART_MAX];
    size_t size;
    enum stanza_fault fault = stanza_head_read(stanza, STANZA_IQ, &head);
    enum stream_error error = judge_addresses(stream, &head, fault);
    if (error != STREAM_NO_ERROR) {
        stream_close(stream, error, NULL);
        return EV_CLOSED;
    }
    if (stanza->flags & XML_HAS_MISNAMED)
        return refuse(stream, &head, ERROR_NOT_ACCEPTABLE);
    if (fault == STANZA_BAD_TO)
        return refuse(stream, &head, ERROR_JID_MALFORMED);
    if (fault != STANZA_FINE || head.type != TYPE_SET || !requested(stanza, resource, &size))
        return refuse(stream, &head, ERROR_BAD_REQUEST);
    return bind_requested(stream, &head, resource, size);
}
