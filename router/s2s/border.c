/* SPDX-License-Identifier: MIT */
#include "router/s2s/border.h"

#include "router/route/deliver.h"
#include "router/route/route.h"
#include "router/route/shard.h"
#include "router/s2s/ack.h"
#include "router/s2s/dialback.h"
#include "router/s2s/idle.h"
#include "router/s2s/s2s.h"
#include "router/stream/intake.h"
#include "router/xep/feature.h"

static struct letter letter_of(const struct stream *stream, const struct stanza_head *head)
{
    return (struct letter){
        .kind = head->kind,
        .type = head->type,
        .to = head->to,
        .from = head->from,
        .id = head->id,
        .sender = stream_ref(stream),
    };
}

static void refuse(struct stream *stream, const struct stanza_head *head, enum stanza_error error)
{
    struct letter letter = letter_of(stream, head);
    deliver_bounce(stream->shard, &letter, error);
}

/* An iq to one of our domains: its answer goes the way of every stanza for theirs. */
static void answer(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    struct shard *shard = stream->shard;
    struct chain chain = {0};
    struct iq_request request = {
        .shard = shard, .out = &chain, .asker = head->from, .stanza = stanza, .head = head, .to_account = false};
    enum stanza_error error = feature_answer(&request);
    if (error != NO_STANZA_ERROR) {
        refuse(stream, head, error);
        return;
    }
    shard_count(shard, COUNTER_ANSWERED, 1);
    shard_count(shard, COUNTER_BORN, 1);
    struct letter letter = {
        .kind = STANZA_IQ,
        .type = TYPE_RESULT,
        .is_remote = true,
        .to = head->from,
        .from = head->to,
        .id = head->id,
        .payload = &chain,
    };
    deliver_anywhere(shard, &letter);
    chain_clear(&chain, shard->pool);
}

static void to_server(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    bool is_answer = head->type == TYPE_RESULT || head->type == TYPE_ERROR;
    if (head->kind == STANZA_IQ && !is_answer)
        answer(stream, stanza, head);
    else if (head->kind == STANZA_MESSAGE && !is_answer)
        refuse(stream, head, ERROR_SERVICE_UNAVAILABLE);
    else
        shard_count(stream->shard, COUNTER_DROPPED, 1);
}

static void to_user(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    struct shard *shard = stream->shard;
    struct letter letter = letter_of(stream, head);
    struct xml_forward forward = {.content_from = NS_SERVER, .content_to = NS_CLIENT};
    /* RFC 6120 s4.7.4: of who began the stream; the answer's header says what language its server's own texts are in.
     */
    if (!s2s_of(stream)->is_out && stream->nego->lang && !head->has_lang)
        forward.lang = span_str(stream->nego->lang);
    letter.payload = &shard->work;
    idle_used(s2s_of(stream));
    xml_forward(&shard->work, shard->pool, stanza, &stream->reader, &forward);
    deliver_anywhere(shard, &letter);
    chain_clear(&shard->work, shard->pool);
}

static void route(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    bool is_request = head->kind == STANZA_IQ && (head->type == TYPE_GET || head->type == TYPE_SET);
    if (head->to.local_size && is_request && !head->to.resource_size)
        refuse(stream, head, ERROR_SERVICE_UNAVAILABLE); /* RFC 6121 s8.5.1: nobody's account answers strangers yet */
    else if (xml_swap_collides(stanza, NS_SERVER, NS_CLIENT))
        refuse(stream, head, ERROR_NOT_ACCEPTABLE);
    else if (head->to.local_size)
        to_user(stream, stanza, head);
    else if (head->to.resource_size)
        refuse(stream, head, ERROR_SERVICE_UNAVAILABLE);
    else
        to_server(stream, stanza, head);
}

/* What makes the whole stream untrustworthy; STREAM_NO_ERROR: nothing. */
static enum stream_error fault_of(const struct s2s *s2s, const struct stanza_head *head, enum stanza_fault fault)
{
    /* Without one, or with one that is none; whatever else is wrong with the stanza may be told first in fault. */
    if (!head->from.domain_size || !head->to.domain_size)
        return STREAM_IMPROPER_ADDRESSING_ERROR;
    if (fault == STANZA_BAD_ID)
        return STREAM_POLICY_VIOLATION_ERROR;
    if (s2s_may_hear(s2s, jid_domain(&head->from), jid_domain(&head->to)))
        return STREAM_NO_ERROR;
    return s2s_has_name(s2s, jid_domain(&head->from)) ? STREAM_HOST_UNKNOWN_ERROR : STREAM_INVALID_FROM_ERROR;
}

static void note_heard(struct s2s *s2s, const struct xml_stanza *stanza)
{
    s2s->heard.stanzas++;
    s2s->heard.bytes += stanza->size;
}

void border_late(struct stream *stream, const struct xml_stanza *stanza)
{
    struct s2s *s2s = s2s_of(stream);
    enum stanza_kind kind = stanza_kind_of(stanza, NS_SERVER);
    struct stanza_head head;
    if (s2s->asks_late)
        s2s_out_late(s2s, stanza);
    if (s2s->hears_late && ack_is_hearing(s2s)) {
        /* XEP-0198 s4: our last <a/> said what we answer for; the rest is still its sender's, and comes again. */
        ack_late(s2s, stanza);
        return;
    }
    if (!s2s->hears_late || kind == STANZA_NONE)
        return;
    enum stanza_fault fault = stanza_head_read(stanza, kind, &head);
    if (fault_of(s2s, &head, fault) != STREAM_NO_ERROR) {
        s2s->hears_late = false;
        return;
    }
    shard_count(stream->shard, COUNTER_STANZAS_IN, 1);
    note_heard(s2s, stanza);
    if (fault != STANZA_FINE)
        refuse(stream, &head, ERROR_BAD_REQUEST);
    else
        route(stream, stanza, &head);
}

/* Reads the head. False: its addresses are not those of the stream, and the stream ends. */
static bool is_answerable(struct stream *stream, const struct xml_stanza *stanza, enum stanza_kind kind,
                          struct stanza_head *head, enum stanza_fault *fault)
{
    struct shard *shard = stream->shard;
    *fault = stanza_head_read(stanza, kind, head);
    enum stream_error error = fault_of(s2s_of(stream), head, *fault);
    shard_count(shard, COUNTER_STANZAS_IN, 1);
    if (error == STREAM_NO_ERROR) {
        note_heard(s2s_of(stream), stanza);
        ack_heard(s2s_of(stream));
        return true;
    }
    shard_count(shard, COUNTER_REFUSED, 1);
    stream_close(stream, error, NULL);
    return false;
}

void border_element(struct stream *stream, const struct xml_stanza *stanza)
{
    enum stanza_kind kind = stanza_kind_of(stanza, NS_SERVER);
    struct stanza_head head;
    enum stanza_fault fault;
    if (stanza->elements[0].ns == NS_DIALBACK) {
        (void)dialback_take(s2s_of(stream), stanza);
        return;
    }
    if (stanza->elements[0].ns == NS_SM) {
        ack_element(s2s_of(stream), stanza);
        return;
    }
    if (xml_is(stanza, 0, NS_STREAM, "error")) {
        s2s_take_error(s2s_of(stream), stanza);
        return;
    }
    if (kind == STANZA_NONE) {
        intake_not_a_stanza(stream, stanza);
        return;
    }
    if (!is_answerable(stream, stanza, kind, &head, &fault))
        return;
    if (fault != STANZA_FINE)
        refuse(stream, &head, ERROR_BAD_REQUEST);
    else
        route(stream, stanza, &head);
}

void border_misnamed(struct stream *stream, const struct xml_stanza *stanza)
{
    enum stanza_kind kind = stanza_kind_of(stanza, NS_SERVER);
    struct stanza_head head;
    enum stanza_fault fault;
    if (kind == STANZA_NONE) {
        shard_count(stream->shard, COUNTER_XML_REFUSED, 1);
        stream_close(stream, STREAM_NOT_WELL_FORMED_ERROR, xml_error_text(XML_NAMESPACE));
        return;
    }
    if (is_answerable(stream, stanza, kind, &head, &fault))
        refuse(stream, &head, ERROR_NOT_ACCEPTABLE);
}
