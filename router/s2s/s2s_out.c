/* SPDX-License-Identifier: MIT */
/* Negotiation of a stream that we open to another server (RFC 6120 s4.3, s5, s6; XEP-0220 s2.1; XEP-0288). */
#include "core/base/base64.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/certs/precedents.h"
#include "router/route/shard.h"
#include "router/s2s/ack.h"
#include "router/s2s/contact.h"
#include "router/s2s/idle.h"
#include "router/s2s/s2s.h"
#include "router/s2s/target.h"
#include "router/s2s/trial.h"
#include "router/stream/stream_header.h"
#include "tls/engine.h"

#include <stdlib.h>

/* NULL nearly always. */
static struct trial *trial_of(const struct s2s *s2s)
{
    return s2s->contact ? contact_trial(s2s->contact) : NULL;
}

static bool offers(const struct stream *stream, enum s2s_offer offer)
{
    return (((const struct s2s *)stream)->offers & offer) != 0;
}

static bool offers_external(const struct xml_stanza *features)
{
    char room[32];
    uint32_t mechanisms = xml_child_named(features, 0, NS_SASL, "mechanisms");
    uint32_t child = mechanisms == XML_NOWHERE ? XML_NOWHERE : xml_child(features, mechanisms);
    for (; child != XML_NOWHERE; child = xml_sibling(features, child))
        if (xml_is(features, child, NS_SASL, "mechanism") &&
            span_is(xml_text(features, child, room, sizeof room), "EXTERNAL"))
            return true;
    return false;
}

void s2s_take_features(struct s2s *s2s, const struct xml_stanza *features)
{
    static const struct {
        enum xml_ns ns;
        const char *name;
        enum s2s_offer offer;
    } known[] = {
        {NS_TLS, "starttls", OFFERS_TLS},
        {NS_FEATURES_BIDI, "bidi", OFFERS_BIDI},
        {NS_FEATURES_DIALBACK, "dialback", OFFERS_DIALBACK},
        {NS_SM, "sm", OFFERS_ACKS},
    };
    s2s->offers = offers_external(features) ? OFFERS_EXTERNAL : 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (xml_child_named(features, 0, known[i].ns, known[i].name) != XML_NOWHERE)
            s2s->offers |= (uint8_t)known[i].offer;
    if (s2s->is_out)
        trial_offered(trial_of(s2s), s2s);
}

static bool wants_tls(const struct stream *stream)
{
    return !stream->tls && stream->shard->policy->tls_client && offers(stream, OFFERS_TLS);
}

static bool is_check(const struct stream *stream)
{
    const struct s2s *s2s = (const struct s2s *)stream;
    return s2s_is_secure_enough(stream) && s2s->contact && contact_check(s2s->contact);
}

static bool has_evidence(const struct stream *stream, enum evidence evidence)
{
    return (((const struct s2s *)stream)->evidence & evidence) != 0;
}

static bool accepts(const struct stream *stream, enum proof proof)
{
    return trust_accepts_for(stream->shard->policy->config, ((const struct s2s *)stream)->remote, proof);
}

/* What their certificate proves, in the operator's word (RFC 6120 s13.7.2.1, RFC 7673 s4). */
static enum proof proof_of(const struct stream *stream)
{
    if (has_evidence(stream, EVIDENCE_REFUTED))
        return PROOF_NONE;
    if (has_evidence(stream, EVIDENCE_DANE) && accepts(stream, PROOF_DANE))
        return PROOF_DANE;
    return has_evidence(stream, EVIDENCE_PKIX) && accepts(stream, PROOF_PKIX) ? PROOF_PKIX : PROOF_NONE;
}

static bool is_refuted(const struct stream *stream)
{
    return has_evidence(stream, EVIDENCE_REFUTED);
}

/* A key is as good as the server that is asked for it. */
static bool may_check(const struct stream *stream)
{
    return is_check(stream) && (accepts(stream, PROOF_DIALBACK) ||
                                (has_evidence(stream, EVIDENCE_DANE) && accepts(stream, PROOF_DANE_DIALBACK)));
}

static bool may_external(const struct stream *stream)
{
    return offers(stream, OFFERS_EXTERNAL) && proof_of(stream) != PROOF_NONE;
}

/* Who has proven itself may want dialback of us: that is its own choice. */
static bool may_dialback(const struct stream *stream)
{
    bool is_wanted = proof_of(stream) != PROOF_NONE && offers(stream, OFFERS_DIALBACK);
    return s2s_is_secure_enough(stream) && (is_wanted || accepts(stream, PROOF_DIALBACK));
}

static enum nego_event greet(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    stream_header_write(stream);
    stream_touch(stream);
    return EV_NONE;
}

static void log_refuted(const struct s2s *s2s, const struct target *target)
{
    log_event(LOG_WARN, "s2s.dane", "to=%s host=%s records=%u reason=\"%s\"", log_quoted(s2s->remote).text,
              log_quoted(span_str(target->host)).text, dane_count(target->dane),
              dane_text(engine_finding(s2s->stream.tls)->verdict));
}

static enum nego_event greet_secured(struct stream *stream, const struct xml_stanza *stanza)
{
    struct s2s *s2s = s2s_of(stream);
    if (s2s->contact)
        s2s->evidence = (uint8_t)target_evidence(contact_target(s2s->contact), stream->tls, s2s->remote);
    if (!s2s_is_certified(s2s)) /* judged during a reload, by the authorities of before */
        s2s->evidence &= (uint8_t)~EVIDENCE_PKIX;
    if (is_refuted(stream))
        log_refuted(s2s, contact_target(s2s->contact));
    trial_secured(trial_of(s2s), s2s);
    return greet(stream, stanza);
}

static enum nego_event ask_tls(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_empty(&w, "starttls", "urn:ietf:params:xml:ns:xmpp-tls");
    stream_touch(stream);
    return EV_NONE;
}

static bool start_tls(struct stream *stream)
{
    const struct s2s *s2s = s2s_of(stream);
    return s2s->contact && stream_start_tls(stream) && target_expect(contact_target(s2s->contact), stream->tls);
}

/* s5.4.3.3: what came in plain text behind <proceed/> would be taken for protected. */
static enum nego_event begin_tls(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    if (stream->behind || !start_tls(stream)) {
        stream_abort(stream);
        return EV_CLOSED;
    }
    return EV_NONE;
}

static void ask_bidi(struct stream *stream)
{
    struct s2s *s2s = s2s_of(stream);
    if (s2s->may_bidi || trial_of(s2s) || !stream->shard->policy->config->s2s_bidi || !offers(stream, OFFERS_BIDI))
        return; /* once: dialback may follow on the same stream when EXTERNAL fails */
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_empty(&w, "bidi", "urn:xmpp:bidi");
    s2s->may_bidi = true;
}

/* The other way to ask for both directions, where <bidi/> is not offered: see s2s.mutual. */
static void ask_mutual(struct stream *stream, struct xml_writer *w)
{
    struct s2s *s2s = s2s_of(stream);
    if (s2s->may_bidi || trial_of(s2s) || !stream->shard->policy->config->s2s_mutual)
        return;
    xml_write_attribute(w, "mutual", SPAN("true"));
    s2s->may_bidi = s2s->is_mutual = true;
}

static enum nego_event ask_external(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    char text[BASE64_ENCODED_SIZE(JID_PART_MAX)];
    struct span ours = stream->nego->domain;
    ask_bidi(stream);
    trial_say(trial_of(s2s_of(stream)), "authenticate", true, "EXTERNAL");
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "auth");
    xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-sasl");
    xml_write_attribute(&w, "mechanism", SPAN("EXTERNAL"));
    ask_mutual(stream, &w);
    xml_write_text(&w, span_of(text, base64_encode(ours, text)));
    xml_close(&w);
    stream_touch(stream);
    return EV_NONE;
}

/* It is by their certificate that we would know them. */
static bool is_by_certificate(const struct stream *stream)
{
    return proof_of(stream) == PROOF_PKIX;
}

/* What their issuers say about it (RFC 6120 s13.7.2.3), before we tell who we are. */
static enum nego_event inspect(struct stream *stream, const struct xml_stanza *stanza)
{
    enum standing standing;
    struct s2s *s2s = s2s_of(stream);
    (void)stanza;
    enum admission admission = watch_admit(stream, &standing);
    if (admission == ADMISSION_WAITS)
        return EV_NONE;
    if (admission == ADMISSION_REFUSED) {
        s2s->evidence &= (uint8_t)~EVIDENCE_PKIX;
        s2s->disowned = (uint8_t)standing;
        precedents_refuse(stream, PRECEDENT_SERVER, s2s->remote, standing);
        trial_say(trial_of(s2s), "certificate", false, "%s", standing_text(standing));
    }
    return EV_VERIFIED;
}

static enum nego_event restart(struct stream *stream, const struct xml_stanza *stanza)
{
    s2s_of(stream)->proof = (uint8_t)proof_of(stream);
    stream->has_sent_header = false;
    xml_reader_restart(&stream->reader);
    return greet(stream, stanza);
}

static enum nego_event ask_dialback(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    if (s2s_of(stream)->is_mutual) /* with EXTERNAL, which has failed */
        s2s_of(stream)->may_bidi = s2s_of(stream)->is_mutual = false;
    ask_bidi(stream);
    trial_say(trial_of(s2s_of(stream)), "authenticate", true, "dialback");
    enum proof proof = proof_of(stream);
    s2s_of(stream)->proof = proof == PROOF_NONE ? PROOF_DIALBACK : (uint8_t)proof;
    dialback_ask(s2s_of(stream));
    return EV_NONE;
}

static enum nego_event ask_check(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    dialback_verify(s2s_of(stream), contact_check(s2s_of(stream)->contact));
    return EV_NONE;
}

static enum nego_event take_dialback(struct stream *stream, const struct xml_stanza *stanza)
{
    return dialback_take(s2s_of(stream), stanza);
}

/* Which of the things that were wanting it was. */
static enum counter failure_of(const struct stream *stream)
{
    bool wants_dane = accepts(stream, PROOF_DANE) && (is_check(stream) || !accepts(stream, PROOF_PKIX));
    if (!s2s_is_secure_enough(stream))
        return COUNTER_S2S_FAILED_TLS;
    if (is_refuted(stream) ||
        (stream->tls && !may_dialback(stream) && wants_dane && !has_evidence(stream, EVIDENCE_DANE)))
        return COUNTER_S2S_FAILED_DANE;
    return may_dialback(stream) || !stream->tls || proof_of(stream) != PROOF_NONE ? COUNTER_S2S_FAILED_REFUSED
                                                                                  : COUNTER_S2S_FAILED_CERTIFICATE;
}

static enum nego_event no_way(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    s2s_fails(s2s_of(stream), failure_of(stream));
    log_event(LOG_INFO, "s2s.refused", "from=%s to=%s certificate=%s", log_quoted(stream->nego->domain).text,
              log_quoted(s2s_of(stream)->remote).text,
              log_quoted(span_str(s2s_certificate_fault(stream, s2s_of(stream)->remote))).text);
    stream_close(stream, STREAM_NO_ERROR, NULL);
    return EV_CLOSED;
}

static enum nego_event ready(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct s2s *s2s = s2s_of(stream);
    struct contact *contact = s2s->contact;
    if (!contact || contact_check(contact)) {
        stream_close(stream, STREAM_NO_ERROR, NULL);
        return EV_CLOSED;
    }
    if (contact_trial(contact)) {
        trial_say(contact_trial(contact), "ready", true, "%s", stream->tls ? "over TLS" : "without TLS");
        s2s->contact = NULL;
        contact_passed(contact);
        stream_close(stream, STREAM_NO_ERROR, NULL);
        return EV_CLOSED;
    }
    s2s_begin(s2s);
    stream_seal(stream);
    if (s2s->proof == PROOF_PKIX) {
        (void)watch_enter(stream);
        s2s->changed = precedents_meet(stream, PRECEDENT_SERVER, s2s->remote);
    }
    if (stream->tls) /* where nobody made use of it */
        engine_drop_staple(stream->tls);
    s2s->is_bidi = s2s->may_bidi && s2s_prove(s2s, s2s->remote, stream->nego->domain, (enum proof)s2s->proof);
    s2s->contact = NULL;
    log_event(LOG_INFO, "s2s.out", "from=%s to=%s proof=%s bidi=%s tls=%s", log_quoted(stream->nego->domain).text,
              log_quoted(s2s->remote).text, trust_proof_name((enum proof)s2s->proof), s2s->is_bidi ? "yes" : "no",
              stream->tls ? "yes" : "no");
    stream->reader.limits = &stream->shard->limits;
    idle_begin(s2s);
    ack_enable(s2s); /* in front of what waits for the stream */
    s2s->pair = contact_won(contact, stream);
    if (s2s->is_bidi)
        s2s_end_elders(s2s, s2s->remote, stream->nego->domain);
    return EV_NONE;
}

void s2s_out_late(struct s2s *s2s, const struct xml_stanza *stanza)
{
    struct stream *stream = &s2s->stream;
    bool is_let_in =
        s2s->asks_late == STREAM_DIALBACK ? dialback_lets_in(s2s, stanza) : xml_is(stanza, 0, NS_STREAM, "features");
    if (!is_let_in)
        return;
    s2s->asks_late = 0;
    s2s->hears_late = s2s_prove(s2s, s2s->remote, stream->nego->domain, (enum proof)s2s->proof);
    stream->reader.limits = &stream->shard->limits;
}

static const struct nego_row rows[] = {
    /* state          event         guard                 action              next            spec */
    {STREAM_HEADER, EV_HEADER, NULL, nego_nothing, STREAM_OPEN, "RFC6120 4.3.2"},
    {STREAM_OPEN, EV_FEATURES, wants_tls, ask_tls, STREAM_PROCEED, "RFC6120 5.4.2.1"},
    {STREAM_PROCEED, EV_PROCEED, NULL, begin_tls, STREAM_TLS, "RFC6120 5.4.2.3"},
    {STREAM_TLS, EV_TLS_READY, NULL, greet_secured, STREAM_HEADER, "RFC6120 5.4.3.3"},
    {STREAM_OPEN, EV_FEATURES, is_refuted, no_way, STREAM_CLOSING, "RFC7673 4.2"},
    {STREAM_OPEN, EV_FEATURES, may_check, ask_check, STREAM_DIALBACK, "XEP-0220 2.1.2"},
    {STREAM_OPEN, EV_FEATURES, is_check, no_way, STREAM_CLOSING, "RFC7712 4.3"},
    {STREAM_OPEN, EV_FEATURES, is_by_certificate, inspect, STREAM_LOOKUP, "RFC6120 13.7.2.3"},
    {STREAM_LOOKUP, EV_INSPECTED, NULL, inspect, STREAM_LOOKUP, "RFC6120 13.7.2.3"},
    {STREAM_LOOKUP, EV_VERIFIED, may_external, ask_external, STREAM_SASL, "RFC6120 6.4.2, XEP-0178 3"},
    {STREAM_LOOKUP, EV_VERIFIED, may_dialback, ask_dialback, STREAM_DIALBACK, "XEP-0220 2.1.1"},
    {STREAM_LOOKUP, EV_VERIFIED, NULL, no_way, STREAM_CLOSING, "RFC6120 13.7.2"},
    {STREAM_OPEN, EV_FEATURES, may_external, ask_external, STREAM_SASL, "RFC6120 6.4.2, XEP-0178 3"},
    {STREAM_SASL, EV_SUCCESS, NULL, restart, STREAM_RESTART, "RFC6120 6.4.6"},
    {STREAM_SASL, EV_FAILURE, may_dialback, ask_dialback, STREAM_DIALBACK, "XEP-0178 3"},
    {STREAM_SASL, EV_FAILURE, NULL, no_way, STREAM_CLOSING, "RFC6120 6.4.5"},
    {STREAM_RESTART, EV_HEADER, NULL, nego_nothing, STREAM_BIND, "RFC6120 6.4.6"},
    {STREAM_BIND, EV_FEATURES, NULL, ready, STREAM_BOUND, "RFC6120 4.3.5"},
    {STREAM_OPEN, EV_FEATURES, may_dialback, ask_dialback, STREAM_DIALBACK, "XEP-0220 2.1.1"},
    {STREAM_OPEN, EV_FEATURES, NULL, no_way, STREAM_CLOSING, "RFC6120 5.3.1"},
    {STREAM_DIALBACK, EV_DIALBACK, NULL, take_dialback, STREAM_DIALBACK, "XEP-0220 2.1"},
    {STREAM_DIALBACK, EV_SUCCESS, NULL, ready, STREAM_BOUND, "XEP-0220 2.1.1"},
    {STREAM_DIALBACK, EV_FAILURE, NULL, no_way, STREAM_CLOSING, "XEP-0220 2.1.1"},
};

struct stream *s2s_dialled(struct contact *contact, struct io_conn *conn, bool direct_tls)
{
    struct shard *shard = contact_shard(contact);
    struct stream *stream = stream_dialled(shard, conn, sizeof(struct s2s));
    if (!stream)
        return NULL;
    struct s2s *s2s = s2s_of(stream);
    s2s->is_out = true;
    s2s->needs_tls = contact_target(contact)->dane != NULL;
    stream->nego->domain = span_copy(contact_ours(contact));
    s2s->remote = span_copy(contact_theirs(contact));
    stream->nego->from = strndup(contact_theirs(contact).ptr, contact_theirs(contact).size);
    if (!stream->nego->domain.ptr || !s2s->remote.ptr || !stream->nego->from) {
        stream_abort(stream);
        return NULL;
    }
    s2s->contact = contact;
    if (!direct_tls)
        greet(stream, NULL);
    else if (!start_tls(stream))
        stream_abort(stream);
    return stream;
}

const struct nego_table s2s_out_table = {rows, sizeof rows / sizeof rows[0], s2s_event_of};
