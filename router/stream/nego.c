/* SPDX-License-Identifier: MIT */
#include "router/stream/nego.h"

#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/s2s.h"
#include "router/stream/bearer.h"
#include "router/stream/bind.h"
#include "router/stream/crowd.h"
#include "router/stream/stream_header.h"
#include "router/stream/mechanism.h"
#include "router/stream/sasl.h"
#include "tls/engine.h"

#include <stdlib.h>

static bool may_start_tls(const struct stream *stream)
{
    return !stream->tls && stream->shard->policy->tls;
}

/* Authentication is possible only where it was offered. */
static bool may_authenticate(const struct stream *stream)
{
    return stream->tls || !stream->shard->policy->config->tls_required;
}

bool nego_is_home(const struct stream *stream)
{
    return router_owner(stream->shard->router, stream->nego->jid) == stream->shard->index;
}

bool nego_has_failed_too_often(const struct stream *stream)
{
    return stream->nego->attempts >= stream->shard->policy->config->sasl_attempts_max;
}

/* With the handshake that an <auth/> discards. */
static bool has_discarded_too_often(const struct stream *stream)
{
    return stream->nego->attempts + 1u >= stream->shard->policy->config->sasl_attempts_max;
}

static bool has_bound_too_often(const struct stream *stream)
{
    return stream->nego->attempts >= stream->shard->policy->config->bind_attempts_max;
}

/* Each phase has its deadline, but all together end timeouts.login after the first header: going through STARTTLS buys
 * no time (RELIABILITY s3.2). */
void nego_phase_deadline(struct stream *stream, uint64_t ms)
{
    uint64_t now = shard_now_ms(stream->shard), due = stream->nego->due_ms;
    if (due && now + ms > due)
        ms = due > now ? due - now : 1;
    stream_set_deadline(stream, ms);
}

void nego_login_deadline(struct stream *stream)
{
    uint64_t login_ms = stream->shard->policy->config->timeouts_login_ms;
    if (!stream->nego->due_ms)
        stream->nego->due_ms = shard_now_ms(stream->shard) + login_ms;
    nego_phase_deadline(stream, login_ms);
}

/* RFC 6120 s5.4.1, s6.4.1: while TLS is mandatory nothing but STARTTLS is offered. */
static enum nego_event offer(struct stream *stream, const struct xml_stanza *header)
{
    (void)header;
    const struct shard *shard = stream->shard;
    stream_header_write(stream);
    struct xml_writer w = stream_writer(stream, shard->pool);
    xml_open(&w, "stream:features");
    if (!stream->tls && shard->policy->tls) {
        xml_open(&w, "starttls");
        xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-tls");
        if (shard->policy->config->tls_required)
            xml_open(&w, "required"), xml_close(&w);
        xml_close(&w);
    }
    if (may_authenticate(stream)) {
        mechanism_write_features(stream, &w);
        stream_header_write_limits(stream, &w);
    }
    xml_close(&w);
    stream_touch(stream);
    stream->epoch = shard->policy->epoch;
    nego_login_deadline(stream);
    return EV_NONE;
}

/* s13.7.2: who is to be validated and cannot be is sent away; s4.9.3.14. */
static enum nego_event refuse_stranger(struct stream *stream, const struct xml_stanza *header)
{
    (void)header;
    stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "a valid client certificate is required");
    return EV_CLOSED;
}

/* Empty features would say that negotiation is over (s4.3.2). */
static bool has_no_way_in(const struct stream *stream)
{
    return stream->tls && !mechanism_is_any_offered(stream);
}

static enum nego_event refuse_helpless(struct stream *stream, const struct xml_stanza *header)
{
    (void)header;
    stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "no mechanism is strong enough that this stream could use");
    return EV_CLOSED;
}

static enum nego_event offer_bind(struct stream *stream, const struct xml_stanza *header)
{
    (void)header;
    stream_header_write(stream);
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "stream:features");
    xml_empty(&w, "bind", "urn:ietf:params:xml:ns:xmpp-bind");
    xml_open(&w, "session");
    xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-session");
    xml_open(&w, "optional"), xml_close(&w);
    xml_close(&w);
    stream_header_write_limits(stream, &w);
    xml_close(&w);
    stream_touch(stream);
    return EV_NONE;
}

static void write_tls_failure(struct stream *stream)
{
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_empty(&w, "failure", "urn:ietf:params:xml:ns:xmpp-tls");
    log_event(LOG_DEBUG, "tls.refused", "state=%u", stream->state);
}

/* RFC 6120 s5.4.2.2: <starttls/> has one of two answers. Where it is not <proceed/>, the stream ends behind it. */
enum nego_event nego_refuse_tls(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    write_tls_failure(stream);
    stream_close(stream, STREAM_NO_ERROR, NULL);
    return EV_CLOSED;
}

/* s4.9.3.14: the failure alone would say that there is no TLS here. */
static enum nego_event refuse_handshake(struct stream *stream)
{
    write_tls_failure(stream);
    stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "too many handshakes from this address");
    return EV_CLOSED;
}

/* A.3: nothing inside, or <required/>. */
static bool is_starttls_command(const struct xml_stanza *stanza)
{
    uint32_t child = xml_child(stanza, 0);
    if (child == XML_NOWHERE)
        return xml_inner(stanza, 0).size == 0;
    return xml_is(stanza, child, NS_TLS, "required") && xml_inner(stanza, child).size == 0 &&
           xml_inner(stanza, 0).size == xml_outer(stanza, child).size;
}

/* s5.3.3, RELIABILITY s3.3: bytes that came together with <starttls/> are plain text that would be taken for
 * protected. That, and a command that is none (s5.4.2.2), fails; so does want of memory. */
enum nego_event nego_start_tls(struct stream *stream, const struct xml_stanza *stanza)
{
    if (stream->behind || !is_starttls_command(stanza))
        return nego_refuse_tls(stream, stanza);
    if (!crowd_may_handshake(stream))
        return refuse_handshake(stream);
    if (!stream_start_tls(stream))
        return nego_refuse_tls(stream, stanza);
    /* What is in wire goes before the first record, so in plain text. */
    struct xml_writer w = xml_writer_on(&stream->wire, stream->shard->pool);
    xml_empty(&w, "proceed", "urn:ietf:params:xml:ns:xmpp-tls");
    stream_touch(stream);
    nego_phase_deadline(stream, stream->shard->policy->config->timeouts_tls_ms);
    return EV_NONE;
}

enum nego_event nego_tls_ready(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    shard_count(stream->shard, engine_is_resumed(stream->tls) ? COUNTER_TLS_RESUMED : COUNTER_TLS_FULL, 1);
    if (!stream->is_s2s)
        bearer_seen(stream);
    stream_header_forget(stream->nego); /* s5.4.3.3: what came unprotected is not known any more */
    nego_phase_deadline(stream, stream->shard->policy->config->timeouts_header_ms);
    return EV_NONE;
}

/* s6.3.2: both sides begin anew; s6.4.6. */
static void authenticated(struct stream *stream)
{
    char address[STREAM_ADDRESS_SIZE], certificate[BEARER_TEXT_SIZE];
    log_event(LOG_INFO, "c2s.login", "jid=%s address=%s mechanism=%s tls=%s certificate=%s",
              log_quoted(stream->nego->jid).text, stream_address(stream, address), mechanism_name(stream->mechanism),
              stream->tls ? engine_version(stream->tls) : "none", bearer_text(stream, certificate));
    shard_count(stream->shard, COUNTER_LOGINS, 1);
    stream->nego->attempts = 0;
    stream->has_sent_header = false;
    stream->reader.limits = &stream->shard->limits;
    xml_reader_restart(&stream->reader);
}

static enum nego_event restart_here(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    authenticated(stream);
    return EV_NONE;
}

static enum nego_event go_home(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    authenticated(stream);
    stream_move(stream, router_owner(stream->shard->router, stream->nego->jid));
    return EV_NONE;
}

/* s6.4.5, s7.7.3: another attempt is allowed, but not for ever. */
enum nego_event nego_give_up(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "too many failed attempts");
    return EV_CLOSED;
}

/* s6.4.6: the proof was right, but a protected header said another name: the connection attempt ends. */
static enum nego_event refuse_identity(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    stream_close(stream, STREAM_INVALID_FROM_ERROR, "'from' of the stream header is not who authenticated");
    return EV_CLOSED;
}

enum nego_event nego_nothing(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stream;
    (void)stanza;
    return EV_NONE;
}

static const struct nego_row rows[] = {
    /* state          event         guard                 action         next            spec */
    {STREAM_HEADER, EV_HEADER, bearer_is_missing, refuse_stranger, STREAM_CLOSING, "RFC6120 13.7.2"},
    {STREAM_HEADER, EV_HEADER, has_no_way_in, refuse_helpless, STREAM_CLOSING, "RFC6120 4.3.2, 4.9.3.14"},
    {STREAM_HEADER, EV_HEADER, NULL, offer, STREAM_OPEN, "RFC6120 4.3.2, 5.4.1, 6.4.1"},
    {STREAM_OPEN, EV_STARTTLS, may_start_tls, nego_start_tls, STREAM_TLS, "RFC6120 5.4.2.3"},
    {STREAM_OPEN, EV_STARTTLS, NULL, nego_refuse_tls, STREAM_CLOSING, "RFC6120 5.4.2.2"},
    {STREAM_SASL, EV_STARTTLS, NULL, nego_refuse_tls, STREAM_CLOSING, "RFC6120 5.3.4, 5.4.2.2"},
    {STREAM_BIND, EV_STARTTLS, NULL, nego_refuse_tls, STREAM_CLOSING, "RFC6120 5.4.2.2"},
    {STREAM_TLS, EV_TLS_READY, NULL, nego_tls_ready, STREAM_HEADER, "RFC6120 5.4.3.3"},
    {STREAM_OPEN, EV_AUTH, may_authenticate, sasl_begin, STREAM_LOOKUP, "RFC6120 6.4.2"},
    {STREAM_OPEN, EV_AUTH, NULL, sasl_refuse_plain, STREAM_OPEN, "RFC6120 6.5.4"},
    {STREAM_OPEN, EV_RESPONSE, NULL, sasl_refuse_response, STREAM_OPEN, "RFC6120 6.5.8"},
    {STREAM_OPEN, EV_ABORT, NULL, sasl_abort, STREAM_OPEN, "RFC6120 6.4.4"},
    {STREAM_OPEN, EV_FAILURE, nego_has_failed_too_often, nego_give_up, STREAM_CLOSING, "RFC6120 6.4.5"},
    {STREAM_OPEN, EV_FAILURE, NULL, nego_nothing, STREAM_OPEN, "RFC6120 6.4.5"},
    {STREAM_LOOKUP, EV_INSPECTED, NULL, sasl_inspected, STREAM_LOOKUP, "RFC6120 6.4.2, 13.7.2.3"},
    {STREAM_LOOKUP, EV_ACCOUNT, NULL, sasl_account, STREAM_LOOKUP, "RFC6120 6.4.2"},
    {STREAM_LOOKUP, EV_VERIFIED, NULL, sasl_verified, STREAM_LOOKUP, "RFC6120 6.4.2, RFC4616 2"},
    {STREAM_LOOKUP, EV_CHALLENGE, NULL, nego_nothing, STREAM_SASL, "RFC6120 6.4.3"},
    {STREAM_SASL, EV_AUTH, has_discarded_too_often, nego_give_up, STREAM_CLOSING, "RFC6120 6.4.2, 6.4.5"},
    {STREAM_SASL, EV_AUTH, may_authenticate, sasl_begin, STREAM_LOOKUP, "RFC6120 6.4.2: a second one takes its place"},
    {STREAM_SASL, EV_RESPONSE, NULL, sasl_response, STREAM_LOOKUP, "RFC6120 6.4.3"},
    {STREAM_SASL, EV_ABORT, NULL, sasl_abort, STREAM_LOOKUP, "RFC6120 6.4.4"},
    {STREAM_LOOKUP, EV_FAILURE, nego_has_failed_too_often, nego_give_up, STREAM_CLOSING, "RFC6120 6.4.5"},
    {STREAM_LOOKUP, EV_FAILURE, NULL, nego_nothing, STREAM_OPEN, "RFC6120 6.4.5"},
    {STREAM_LOOKUP, EV_OTHER_FROM, NULL, refuse_identity, STREAM_CLOSING, "RFC6120 6.4.6, 4.9.3.9"},
    {STREAM_LOOKUP, EV_SUCCESS, nego_is_home, restart_here, STREAM_RESTART, "RFC6120 6.4.6"},
    {STREAM_LOOKUP, EV_SUCCESS, NULL, go_home, STREAM_MOVE, "RFC6120 6.4.6"},
    {STREAM_MOVE, EV_ARRIVED, NULL, nego_nothing, STREAM_RESTART, "RFC6120 6.4.6"},
    {STREAM_RESTART, EV_HEADER, NULL, offer_bind, STREAM_BIND, "RFC6120 7.4"},
    {STREAM_BIND, EV_IQ_BIND, NULL, bind_resource, STREAM_BOUND, "RFC6120 7.6, 7.7"},
    {STREAM_BOUND, EV_FAILURE, has_bound_too_often, nego_give_up, STREAM_CLOSING, "RFC6120 7.7.3"},
    {STREAM_BOUND, EV_FAILURE, NULL, nego_nothing, STREAM_BIND, "RFC6120 7.6.2, 7.7.2"},
};

static enum nego_event event_of(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stream;
    if (stanza_kind_of(stanza, NS_CLIENT) != STANZA_NONE)
        return bind_is_request(stanza) ? EV_IQ_BIND : EV_STANZA;
    if (xml_is(stanza, 0, NS_TLS, "starttls"))
        return EV_STARTTLS;
    if (xml_is(stanza, 0, NS_SASL, "auth"))
        return EV_AUTH;
    if (xml_is(stanza, 0, NS_SASL, "response"))
        return EV_RESPONSE;
    if (xml_is(stanza, 0, NS_SASL, "abort"))
        return EV_ABORT;
    return EV_OTHER;
}

const struct nego_table nego_c2s_table = {rows, sizeof rows / sizeof rows[0], event_of};

/* No row: what the peer did has no place here. */
static void no_row(struct stream *stream, enum nego_event event, const struct xml_stanza *stanza)
{
    /* RFC 6120 s4.9.3.12: whatever is sent before authentication, or before binding (s7.1), except a second header: to
     * the reader one in mid-stream is an element like any other. */
    enum stream_error error = STREAM_NOT_AUTHORIZED_ERROR;
    if (event == EV_HEADER || (event == EV_OTHER && xml_is(stanza, 0, NS_STREAM, "stream")))
        error = STREAM_BAD_FORMAT_ERROR;
    stream_close(stream, error, NULL);
}

static const struct nego_table *table_of(const struct stream *stream)
{
    if (!stream->is_s2s)
        return &nego_c2s_table;
    return ((const struct s2s *)stream)->is_out ? &s2s_out_table : &s2s_in_table;
}

static const struct nego_row *row_find(const struct stream *stream, enum nego_event event)
{
    const struct nego_table *table = table_of(stream);
    for (unsigned i = 0; i < table->count; i++) {
        const struct nego_row *row = &table->rows[i];
        if ((unsigned)row->state == stream->state && row->event == event && (!row->guard || row->guard(stream)))
            return row;
    }
    return NULL;
}

void nego_event(struct stream *stream, enum nego_event event, const struct xml_stanza *stanza)
{
    while (event != EV_NONE && event != EV_CLOSED) {
        const struct nego_row *row = row_find(stream, event);
        if (!row) {
            no_row(stream, event, stanza);
            return;
        }
        event = row->action(stream, stanza);
        if (event == EV_CLOSED || stream->state == STREAM_CLOSING)
            return;
        stream->state = (uint8_t)row->next;
    }
    if (stream->state == STREAM_BOUND && !stream->is_s2s) { /* dialback goes on between servers */
        stream_seal(stream);
        nego_free(stream);
    }
}

void nego_header(struct stream *stream, const struct xml_stanza *header)
{
    enum stream_error error = stream_header_take(stream, header);
    if (error != STREAM_NO_ERROR)
        stream_close(stream, error, NULL);
    else
        nego_event(stream, EV_HEADER, header);
}

void nego_element(struct stream *stream, const struct xml_stanza *stanza)
{
    nego_event(stream, table_of(stream)->event_of(stream, stanza), stanza);
}

/* An iq request is a failed attempt to bind, answered by bind_resource(); whatever else has no place here ends the
 * stream as it would if nothing were spared (RFC 6120 s11.3, rule 4). */
void nego_misnamed(struct stream *stream, const struct xml_stanza *stanza)
{
    if (stream->state == STREAM_BIND && bind_is_misnamed(stanza)) {
        nego_event(stream, EV_IQ_BIND, stanza);
        return;
    }
    shard_count(stream->shard, COUNTER_XML_REFUSED, 1);
    stream_close(stream, STREAM_NOT_WELL_FORMED_ERROR, xml_error_text(XML_NAMESPACE));
}

bool nego_new(struct stream *stream)
{
    struct nego *nego = calloc(1, sizeof *nego);
    if (!nego)
        return false;
    stream->nego = nego;
    stream_header_forget(nego);
    return true;
}

void nego_free(struct stream *stream)
{
    struct nego *nego = stream->nego;
    if (!nego)
        return;
    stream->nego = NULL;
    sasl_free(nego->sasl);
    span_free(&nego->domain);
    span_free(&nego->jid);
    free(nego->lang);
    free(nego->from);
    free(nego);
}
