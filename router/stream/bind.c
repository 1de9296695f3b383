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
    const struct xml_attribute *type = xml_attribute(stanza, 0, NS_NONE, "type");
    return xml_is(stanza, 0, NS_CLIENT, "iq") && type && span_is(xml_raw_value(stanza, type), "set") &&
           xml_child_named(stanza, 0, NS_BIND, "bind") != XML_NOWHERE;
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

/* The resource asked for, prepared, or none. False: asked for and not preparable (s7.7.2.1). */
static bool requested(const struct xml_stanza *stanza, char *out, size_t *size)
{
    char room[JID_PART_MAX + 1];
    uint32_t bind = xml_child_named(stanza, 0, NS_BIND, "bind");
    uint32_t element = xml_child_named(stanza, bind, NS_BIND, "resource");
    *size = 0;
    if (element == XML_NOWHERE)
        return true;
    struct span text = xml_text(stanza, element, room, sizeof room);
    if (text.ptr && text.size == 0)
        return true; /* an empty element asks for nothing in particular */
    return text.ptr && jid_prepare_resource(text, out, size) == JID_OK;
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

enum nego_event bind_resource(struct stream *stream, const struct xml_stanza *stanza)
{
    struct shard *shard = stream->shard;
    struct stanza_head head;
    char resource[JID_PART_MAX];
    size_t size;
    if (stanza_head_read(stanza, STANZA_IQ, &head) != STANZA_FINE || !requested(stanza, resource, &size))
        return refuse(stream, &head, ERROR_BAD_REQUEST);
    if (!size)
        size = generate(stream, resource);
    struct user *user = session_user(shard, stream->nego->jid);
    struct session *older = session_find(user, span_of(resource, size));
    if (older && !settle_conflict(stream, older, resource, &size))
        return refuse(stream, &head, ERROR_CONFLICT);
    /* Closing the older session may have freed the user. */
    user = session_user(shard, stream->nego->jid);
    if (user && user->count >= shard->policy->config->bind_sessions_max)
        return refuse(stream, &head, ERROR_RESOURCE_CONSTRAINT); /* s7.6.2.1 */
    struct session *session = session_new(shard, stream, stream->nego->jid, span_of(resource, size));
    if (!session)
        return refuse(stream, &head, ERROR_RESOURCE_CONSTRAINT);
    become_session(stream, session);
    write_result(stream, &head);
    return EV_NONE;
}
