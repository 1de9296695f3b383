/* SPDX-License-Identifier: MIT */
/* Negotiation of a stream that another server opened (RFC 6120 s4.3, s5, s6; XEP-0220 s2.2; XEP-0288). */
#include "core/base/log.h"
#include "io/io.h"
#include "router/certs/precedents.h"
#include "router/route/shard.h"
#include "router/s2s/ack.h"
#include "router/s2s/dialback.h"
#include "router/s2s/idle.h"
#include "router/s2s/s2s.h"
#include "router/stream/sasl.h"
#include "router/stream/stream_header.h"
#include "tls/engine.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_plain(const struct stream *stream)
{
    return !stream->tls;
}

static bool may_start_tls(const struct stream *stream)
{
    return !stream->tls && stream->shard->policy->tls_server;
}

/* The stream belongs on the shard of the first domain that was proven; not while keys of others are being checked
 * here. */
static bool stays_here(const struct stream *stream)
{
    return nego_is_home(stream) || ((const struct s2s *)stream)->checks;
}

/* RFC 6120 s13.7.2.1: the chain is valid, and it is that of the domain that the header names. TLSA records are about
 * servers: a client's certificate is none of theirs (RFC 6698 s1.2, RFC 7673 s3). */
static bool may_external(const struct stream *stream)
{
    const struct credential *credential = stream->tls ? engine_credential(stream->tls) : NULL;
    const char *from = stream->nego->from;
    return s2s_is_certified((const struct s2s *)stream) && from && !s2s_is_ours(stream, span_str(from)) &&
           identity_matches(&credential->identity, span_str(from), "xmpp-server") &&
           trust_accepts_for(stream->shard->policy->config, span_str(from), PROOF_PKIX);
}

static bool may_dialback(const struct stream *stream)
{
    struct span from = span_str(stream->nego->from ? stream->nego->from : "");
    return s2s_is_secure_enough(stream) && trust_may_dialback(stream->shard->policy->config, from);
}

static bool by_certificate(const struct stream *stream)
{
    const struct s2s_name *first = ((const struct s2s *)stream)->names;
    return first && first->proof == PROOF_PKIX;
}

static bool restarts_here(const struct stream *stream)
{
    return by_certificate(stream) && stays_here(stream);
}

/* Neither their certificate nor, by our policy, dialback can prove who they are. */
static bool has_no_way(const struct stream *stream)
{
    return stream->tls && !may_external(stream) && !may_dialback(stream);
}

/* s13.7.2: who is not validated has its session terminated, at once. XEP-0178 s3 would have it without a word, but most
 * of them have let a certificate expire: their operators are told what is wrong. */
static enum nego_event refuse(struct stream *stream, const struct xml_stanza *header)
{
    (void)header;
    struct span from = span_str(stream->nego->from ? stream->nego->from : "");
    const char *fault = s2s_certificate_fault(stream, from);
    char text[100];
    snprintf(text, sizeof text, "certificate: %s", fault);
    log_event(LOG_INFO, "s2s.unproven", "from=%s to=%s certificate=%s", log_quoted(from).text,
              log_quoted(stream->nego->domain).text, log_quoted(span_str(fault)).text);
    s2s_fails(s2s_of(stream), COUNTER_S2S_FAILED_CERTIFICATE);
    stream_close(stream, STREAM_NOT_AUTHORIZED_ERROR, text);
    return EV_CLOSED;
}

static void offer_acks(const struct stream *stream, struct xml_writer *w)
{
    if (stream->shard->policy->config->s2s_acks)
        xml_empty(w, "sm", "urn:xmpp:sm:3");
}

/* s5.4.1: nothing but STARTTLS while it is mandatory. */
static enum nego_event offer(struct stream *stream, const struct xml_stanza *header)
{
    (void)header;
    const struct shard *shard = stream->shard;
    stream_header_write(stream);
    struct xml_writer w = stream_writer(stream, shard->pool);
    xml_open(&w, "stream:features");
    if (may_start_tls(stream)) {
        xml_open(&w, "starttls");
        xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-tls");
        if (shard->policy->config->s2s_tls_required)
            xml_open(&w, "required"), xml_close(&w);
        xml_close(&w);
    }
    if (may_external(stream)) {
        xml_open(&w, "mechanisms");
        xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-sasl");
        xml_open(&w, "mechanism");
        xml_write_text(&w, SPAN("EXTERNAL"));
        xml_close(&w);
        xml_close(&w);
    }
    if (may_dialback(stream)) {
        xml_open(&w, "dialback");
        xml_namespace(&w, "urn:xmpp:features:dialback");
        xml_open(&w, "errors"), xml_close(&w);
        xml_close(&w);
        offer_acks(stream, &w); /* there are no other features behind dialback */
    }
    if (s2s_is_secure_enough(stream) && shard->policy->config->s2s_bidi)
        xml_empty(&w, "bidi", "urn:xmpp:features:bidi");
    if (s2s_is_secure_enough(stream))
        stream_header_write_limits(stream, &w);
    xml_close(&w);
    stream_touch(stream);
    stream->epoch = shard->policy->epoch;
    nego_login_deadline(stream);
    return EV_NONE;
}

static bool may_bidi(const struct stream *stream)
{
    return s2s_is_secure_enough(stream) && stream->shard->policy->config->s2s_bidi;
}

static enum nego_event take_bidi(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    s2s_of(stream)->may_bidi = true;
    return EV_NONE;
}

/* RFC 6120 s5.4.3.3: what was said in plain text was anybody's; so was <bidi/> (XEP-0288 s2.1). */
static enum nego_event forget_plain(struct stream *stream, const struct xml_stanza *stanza)
{
    s2s_of(stream)->may_bidi = false;
    return nego_tls_ready(stream, stanza);
}

static enum nego_event take_dialback(struct stream *stream, const struct xml_stanza *stanza)
{
    return dialback_take(s2s_of(stream), stanza);
}

/* RFC 6120 s6.3.8, XEP-0178 s3: the authorization identity, if there is one, is the domain of the header. */
static bool authzid_is_from(const struct stream *stream, struct span authzid)
{
    char prepared[JID_PART_MAX];
    size_t size;
    if (!authzid.size)
        return true;
    return jid_prepare_domain(authzid, prepared, &size) == JID_OK &&
           span_equal(span_of(prepared, size), span_str(stream->nego->from));
}

/* draft-ietf-xmpp-rfc3920bis; historical, and only where s2s.mutual says so: then it is as if <bidi/> had been said. */
static bool is_mutual(const struct stream *stream, const struct xml_stanza *stanza)
{
    char room[8];
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "mutual");
    struct span mutual = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    return stream->shard->policy->config->s2s_mutual && (span_is(mutual, "true") || span_is(mutual, "1"));
}

static enum nego_event take_external(struct stream *stream, const struct xml_stanza *stanza)
{
    char room[16], message[SASL_MESSAGE_MAX];
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "mechanism");
    struct span mechanism = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    struct span authzid;
    enum sasl_error error;
    if (!span_is(mechanism, "EXTERNAL") || !may_external(stream))
        return sasl_fail(stream, SASL_INVALID_MECHANISM);
    if (!sasl_initial_response(stanza, message, &authzid, &error))
        return sasl_fail(stream, error);
    if (!authzid_is_from(stream, authzid))
        return sasl_fail(stream, SASL_INVALID_AUTHZID);
    s2s_of(stream)->is_mutual = is_mutual(stream, stanza);
    return EV_INSPECTED;
}

static enum nego_event succeed(struct stream *stream)
{
    if (!s2s_prove(s2s_of(stream), span_str(stream->nego->from), stream->nego->domain, PROOF_PKIX))
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    s2s_of(stream)->may_bidi |= s2s_of(stream)->is_mutual;
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_empty(&w, "success", "urn:ietf:params:xml:ns:xmpp-sasl");
    stream_touch(stream);
    stream->has_sent_header = false;
    xml_reader_restart(&stream->reader);
    return EV_SUCCESS;
}

/* s6.5.10: a certificate that was taken back proves nothing. Dialback is open to them where the policy believes it of
 * anybody: it does not look at certificates. */
static enum nego_event disown(struct stream *stream, enum standing standing)
{
    struct span from = span_str(stream->nego->from);
    s2s_of(stream)->disowned = (uint8_t)standing;
    precedents_refuse(stream, PRECEDENT_SERVER, from, standing);
    log_event(LOG_INFO, "s2s.unproven", "from=%s to=%s certificate=%s", log_quoted(from).text,
              log_quoted(stream->nego->domain).text, standing_text(standing));
    s2s_fails(s2s_of(stream), COUNTER_S2S_FAILED_CERTIFICATE);
    return sasl_fail(stream, SASL_NOT_AUTHORIZED);
}

/* What their issuers say about their certificate, before it counts (s13.7.2.3). */
static enum nego_event inspect(struct stream *stream, const struct xml_stanza *stanza)
{
    enum standing standing;
    (void)stanza;
    switch (watch_admit(stream, &standing)) {
    case ADMISSION_WAITS:
        return EV_NONE;
    case ADMISSION_REFUSED:
        return disown(stream, standing);
    case ADMISSION_GRANTED:
        break;
    }
    return may_external(stream) ? succeed(stream) : sasl_fail(stream, SASL_NOT_AUTHORIZED); /* after a reload */
}

/* XEP-0198 s3: not before authentication. It may be tried again, but not for ever. */
static enum nego_event refuse_acks(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    stream->nego->attempts++;
    ack_refuse_early(s2s_of(stream));
    return EV_FAILURE;
}

static void keep_jid(struct stream *stream)
{
    const struct s2s_name *first = s2s_of(stream)->names;
    span_free(&stream->nego->jid);
    stream->nego->jid = span_copy(span_of(first->bytes, first->theirs_size));
}

/* A pair is proven: before anything else it is settled whose stream this is. */
static enum nego_event proven(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    keep_jid(stream);
    return stream->nego->jid.ptr ? EV_VERIFIED : EV_CLOSED;
}

/* s4.3.5: what is still offered is voluntary. */
static void write_completion(struct stream *stream)
{
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "stream:features");
    offer_acks(stream, &w);
    stream_header_write_limits(stream, &w);
    xml_close(&w);
    stream_touch(stream);
}

static enum nego_event ready(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct s2s *s2s = s2s_of(stream);
    const struct s2s_name *first = s2s->names;
    char address[STREAM_ADDRESS_SIZE];
    struct span theirs = span_of(first->bytes, first->theirs_size);
    struct span ours = span_of(first->bytes + first->theirs_size, first->ours_size);
    log_event(LOG_INFO, "s2s.in", "from=%s to=%s address=%s proof=%s bidi=%s", log_quoted(theirs).text,
              log_quoted(ours).text, stream_address(stream, address), trust_proof_name((enum proof)first->proof),
              s2s->may_bidi ? "yes" : "no");
    s2s_begin(s2s);
    if (by_certificate(stream)) {
        (void)watch_enter(stream);
        s2s->changed = precedents_meet(stream, PRECEDENT_SERVER, theirs);
    }
    stream->reader.limits = &stream->shard->limits;
    idle_begin(s2s);
    stream_header_write(stream); /* after a restart */
    bool is_claimed = s2s->may_bidi && nego_is_home(stream);
    enum s2s_claim claim = is_claimed ? s2s_claim(s2s, ours, theirs) : CLAIM_SPARE;
    if (claim == CLAIM_CONFLICT) {
        stream_close(stream, STREAM_CONFLICT_ERROR, "there is a stream for these domains");
        return EV_CLOSED;
    }
    if (by_certificate(stream))
        write_completion(stream);
    else
        dialback_grant(s2s, theirs, ours);
    stream_seal(stream);
    if (claim == CLAIM_GRANTED) {
        ack_offered(s2s);
        s2s_speak(s2s, ours, theirs);
    } else if (is_claimed) {
        s2s_spare(s2s, ours, theirs);
    }
    s2s_end_elders(s2s, theirs, ours);
    return EV_NONE;
}

static enum nego_event go_home(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    stream_move(stream, router_owner(stream->shard->router, stream->nego->jid));
    return EV_NONE;
}

static const struct nego_row rows[] = {
    /* state          event         guard                 action              next            spec */
    {STREAM_HEADER, EV_HEADER, has_no_way, refuse, STREAM_CLOSING, "RFC6120 13.7.2, XEP-0178 3"},
    {STREAM_HEADER, EV_HEADER, NULL, offer, STREAM_OPEN, "RFC6120 4.3.2, 5.4.1"},
    {STREAM_OPEN, EV_STARTTLS, may_start_tls, nego_start_tls, STREAM_TLS, "RFC6120 5.4.2.3"},
    {STREAM_OPEN, EV_STARTTLS, is_plain, nego_refuse_tls, STREAM_CLOSING, "RFC6120 5.4.2.2"},
    {STREAM_TLS, EV_TLS_READY, NULL, forget_plain, STREAM_HEADER, "RFC6120 5.4.3.3"},
    {STREAM_OPEN, EV_BIDI, may_bidi, take_bidi, STREAM_OPEN, "XEP-0288 2.2"},
    {STREAM_OPEN, EV_ACKS, NULL, refuse_acks, STREAM_OPEN, "XEP-0198 3"},
    {STREAM_OPEN, EV_DIALBACK, NULL, take_dialback, STREAM_OPEN, "XEP-0220 2.2"},
    {STREAM_OPEN, EV_SUCCESS, NULL, proven, STREAM_OPEN, "XEP-0220 2.2.1"},
    {STREAM_OPEN, EV_AUTH, NULL, take_external, STREAM_LOOKUP, "RFC6120 6.4.2, XEP-0178 3"},
    {STREAM_LOOKUP, EV_INSPECTED, NULL, inspect, STREAM_LOOKUP, "RFC6120 13.7.2.3"},
    {STREAM_LOOKUP, EV_SUCCESS, NULL, proven, STREAM_LOOKUP, "RFC6120 6.4.6"},
    {STREAM_LOOKUP, EV_VERIFIED, restarts_here, nego_nothing, STREAM_RESTART, "RFC6120 6.4.6"},
    {STREAM_LOOKUP, EV_VERIFIED, NULL, go_home, STREAM_MOVE, "RFC6120 6.4.6"},
    {STREAM_LOOKUP, EV_FAILURE, nego_has_failed_too_often, nego_give_up, STREAM_CLOSING, "RFC6120 6.4.5"},
    {STREAM_LOOKUP, EV_FAILURE, NULL, nego_nothing, STREAM_OPEN, "RFC6120 6.4.5"},
    {STREAM_OPEN, EV_VERIFIED, stays_here, ready, STREAM_BOUND, "XEP-0220 2.2.1"},
    {STREAM_OPEN, EV_VERIFIED, NULL, go_home, STREAM_MOVE, "XEP-0220 2.2.1"},
    {STREAM_MOVE, EV_ARRIVED, by_certificate, nego_nothing, STREAM_RESTART, "RFC6120 6.4.6"},
    {STREAM_RESTART, EV_HEADER, NULL, ready, STREAM_BOUND, "RFC6120 4.3.5"},
    {STREAM_MOVE, EV_ARRIVED, NULL, ready, STREAM_BOUND, "XEP-0220 2.2.1"},
    {STREAM_OPEN, EV_FAILURE, nego_has_failed_too_often, nego_give_up, STREAM_CLOSING, "RFC6120 6.4.5"},
    {STREAM_OPEN, EV_FAILURE, NULL, nego_nothing, STREAM_OPEN, "RFC6120 6.4.5"},
};

const struct nego_table s2s_in_table = {rows, sizeof rows / sizeof rows[0], s2s_event_of};
