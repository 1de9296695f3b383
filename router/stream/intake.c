/* SPDX-License-Identifier: MIT */
#include "router/stream/intake.h"

#include "core/base/log.h"
#include "router/route/route.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/nego.h"
#include "router/stream/stream.h"

/* RFC 6120 s8.1.2.1: a client's 'from', if there is one, is its full or its bare JID. */
static bool from_is_own(const struct stream *stream, const struct stanza_head *head)
{
    struct jid own = session_jid(stream->session);
    if (!head->has_from)
        return true;
    struct span from = jid_full(&head->from);
    return span_equal(from, jid_full(&own)) || span_equal(from, jid_bare(&own));
}

static void refuse(struct stream *stream, const struct stanza_head *head, enum stanza_fault fault)
{
    enum stanza_error error = ERROR_BAD_REQUEST;
    const char *text = NULL;
    switch (fault) {
    case STANZA_BAD_TO:
        error = ERROR_JID_MALFORMED;
        break;
    case STANZA_BAD_TYPE:
        text = "this type is not defined";
        break;
    case STANZA_NO_ID:
        text = "an iq needs an id";
        break;
    case STANZA_BAD_PAYLOAD:
        text = "an iq request has exactly one child element, a result at most one";
        break;
    case STANZA_FINE:
    case STANZA_BAD_FROM:
    case STANZA_BAD_ID:
        break;
    }
    route_refuse(stream, head, error, text);
}

/* What is not a stanza: RFC 6120 s4.8.2 and s4.9.3.24, and the peer's own stream error (s4.9.1.1). */
void intake_not_a_stanza(struct stream *stream, const struct xml_stanza *stanza)
{
    if (xml_is(stanza, 0, NS_STREAM, "error")) {
        log_event(LOG_DEBUG, "stream.peer_error", "bytes=%u", stanza->size);
        stream_close(stream, STREAM_NO_ERROR, NULL);
        return;
    }
    if (xml_is(stanza, 0, NS_TLS, "starttls")) { /* s5.4.2.1: it is answered by <proceed/> or <failure/>, wherever */
        (void)nego_refuse_tls(stream, stanza);
        return;
    }
    enum xml_ns ns = (enum xml_ns)stanza->elements[0].ns;
    bool is_content_like = ns == (stream->is_s2s ? NS_CLIENT : NS_SERVER) || ns == NS_NONE;
    stream_close(stream, is_content_like ? STREAM_INVALID_NAMESPACE_ERROR : STREAM_UNSUPPORTED_STANZA_TYPE_ERROR, NULL);
}

/* Reads the head. False: the stanza's sender is not who it says or cannot be answered, and the stream ends. */
static bool is_answerable(struct stream *stream, const struct xml_stanza *stanza, enum stanza_kind kind,
                          struct stanza_head *head, enum stanza_fault *fault)
{
    struct shard *shard = stream->shard;
    shard_count(shard, COUNTER_STANZAS_IN, 1);
    *fault = stanza_head_read(stanza, kind, head);
    if (*fault == STANZA_BAD_FROM || !from_is_own(stream, head)) {
        shard_count(shard, COUNTER_REFUSED, 1);
        stream_close(stream, STREAM_INVALID_FROM_ERROR, "'from' is not this stream's address");
        return false;
    }
    if (*fault == STANZA_BAD_ID) { /* an answer without it would answer nothing (s8.3.1) */
        shard_count(shard, COUNTER_REFUSED, 1);
        stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "the id of a stanza is too long");
        return false;
    }
    return true;
}

void intake_element(struct stream *stream, const struct xml_stanza *stanza)
{
    enum stanza_kind kind = stanza_kind_of(stanza, NS_CLIENT);
    struct stanza_head head;
    enum stanza_fault fault;
    if (kind == STANZA_NONE) {
        intake_not_a_stanza(stream, stanza);
        return;
    }
    if (!is_answerable(stream, stanza, kind, &head, &fault))
        return;
    if (fault != STANZA_FINE)
        refuse(stream, &head, fault);
    else
        route_stanza(stream, stanza, &head);
}

void intake_last(struct stream *stream, const struct xml_stanza *stanza)
{
    struct shard *shard = stream->shard;
    enum stanza_kind kind = stanza_kind_of(stanza, NS_CLIENT);
    struct stanza_head head;
    if (kind == STANZA_NONE)
        return;
    shard_count(shard, COUNTER_STANZAS_IN, 1);
    bool is_fine = stanza_head_read(stanza, kind, &head) == STANZA_FINE && from_is_own(stream, &head);
    bool is_answer = kind == STANZA_IQ && (head.type == TYPE_RESULT || head.type == TYPE_ERROR);
    if (is_fine && (kind == STANZA_MESSAGE || is_answer))
        route_stanza(stream, stanza, &head);
    else
        shard_count(shard, COUNTER_DROPPED, 1);
}

void intake_misnamed(struct stream *stream, const struct xml_stanza *stanza)
{
    enum stanza_kind kind = stanza_kind_of(stanza, NS_CLIENT);
    struct stanza_head head;
    enum stanza_fault fault;
    if (kind == STANZA_NONE) {
        shard_count(stream->shard, COUNTER_XML_REFUSED, 1);
        stream_close(stream, STREAM_NOT_WELL_FORMED_ERROR, xml_error_text(XML_NAMESPACE));
        return;
    }
    if (is_answerable(stream, stanza, kind, &head, &fault))
        route_refuse(stream, &head, ERROR_NOT_ACCEPTABLE, xml_error_text(XML_NAMESPACE));
}
