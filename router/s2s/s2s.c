/* SPDX-License-Identifier: MIT */
#include "router/s2s/s2s.h"

#include "core/base/log.h"
#include "router/route/shard.h"
#include "router/s2s/access.h"
#include "router/s2s/ack.h"
#include "router/s2s/contact.h"
#include "router/s2s/remote.h"
#include "router/s2s/trial.h"
#include "tls/engine.h"

#include <stdlib.h>

static struct span name_theirs(const struct s2s_name *name)
{
    return span_of(name->bytes, name->theirs_size);
}

static struct span name_ours(const struct s2s_name *name)
{
    return span_of(name->bytes + name->theirs_size, name->ours_size);
}

bool s2s_may_hear(const struct s2s *s2s, struct span theirs, struct span ours)
{
    for (const struct s2s_name *name = s2s->names; name; name = name->next)
        if (span_equal(name_theirs(name), theirs) && span_equal(name_ours(name), ours))
            return true;
    return false;
}

bool s2s_has_name(const struct s2s *s2s, struct span theirs)
{
    for (const struct s2s_name *name = s2s->names; name; name = name->next)
        if (span_equal(name_theirs(name), theirs))
            return true;
    return false;
}

bool s2s_is_permitted(const struct s2s *s2s)
{
    const struct config *config = s2s->stream.shard->policy->config;
    for (const struct s2s_name *name = s2s->names; name; name = name->next)
        if (!access_permits(config, name_theirs(name)))
            return false;
    return !s2s->is_out || access_permits(config, s2s->remote);
}

bool s2s_is_secure_enough(const struct stream *stream)
{
    const struct s2s *s2s = (const struct s2s *)stream;
    return stream->tls || (!stream->shard->policy->config->s2s_tls_required && !s2s->needs_tls);
}

bool s2s_is_certified(const struct s2s *s2s)
{
    const struct stream *stream = &s2s->stream;
    const struct policy *policy = stream->shard->policy;
    const struct context *context = s2s->is_out ? policy->tls_client : policy->tls_server;
    const struct credential *credential = stream->tls && context ? engine_credential(stream->tls) : NULL;
    return credential && credential->verdict == CREDENTIAL_VALID && context_trusts(context, credential);
}

bool s2s_is_forsaken(const struct s2s *s2s)
{
    bool is_by_certificate = s2s->is_out && s2s->proof == PROOF_PKIX;
    for (const struct s2s_name *name = s2s->names; name && !is_by_certificate; name = name->next)
        is_by_certificate = name->proof == PROOF_PKIX;
    return is_by_certificate && !s2s_is_certified(s2s);
}

bool s2s_is_trusted(const struct s2s *s2s)
{
    const struct config *config = s2s->stream.shard->policy->config;
    for (const struct s2s_name *name = s2s->names; name; name = name->next)
        if (!trust_accepts_for(config, name_theirs(name), (enum proof)name->proof))
            return false;
    return !s2s->is_out || trust_accepts_for(config, s2s->remote, (enum proof)s2s->proof);
}

bool s2s_is_trust_changed(const struct s2s *s2s, const struct config *before)
{
    const struct config *after = s2s->stream.shard->policy->config;
    const struct nego *nego = s2s->stream.nego;
    struct span claimed = s2s->is_out ? s2s->remote : span_str(nego && nego->from ? nego->from : "");
    bool is_changed = trust_policy(after, claimed) != trust_policy(before, claimed);
    for (const struct s2s_name *name = s2s->names; name && !is_changed; name = name->next)
        is_changed = trust_policy(after, name_theirs(name)) != trust_policy(before, name_theirs(name));
    return is_changed;
}

bool s2s_prove(struct s2s *s2s, struct span theirs, struct span ours, enum proof proof)
{
    if (s2s_may_hear(s2s, theirs, ours))
        return true;
    if (s2s->name_count == S2S_NAMES_MAX)
        return false;
    struct s2s_name *name = malloc(sizeof *name + theirs.size + ours.size);
    if (!name)
        return false;
    *name = (struct s2s_name){
        .proof = (uint8_t)proof, .theirs_size = (uint16_t)theirs.size, .ours_size = (uint16_t)ours.size};
    memcpy(name->bytes, theirs.ptr, theirs.size);
    memcpy(name->bytes + theirs.size, ours.ptr, ours.size);
    /* At the end: the first one is whom the stream belongs to. */
    struct s2s_name **link = &s2s->names;
    while (*link)
        link = &(*link)->next;
    *link = name;
    s2s->name_count++;
    return true;
}

/* From when on a stream that says nothing of its end is taken for lost when its peer opens another one: by then the
 * peer's own dial, begun before it knew of the stream, is over. */
#define SETTLED_MS 30000u

/* Both have dialled. Who has the smaller name keeps its own: each side comes to the same verdict alone. Not before the
 * other side has seen ours: it may never come through. */
static bool ours_stays(const struct pair *pair, struct span ours, struct span theirs)
{
    if (pair->state == PAIR_READY)
        return shard_now_ms(pair->shard) - pair->ready_ms < SETTLED_MS;
    size_t common = ours.size < theirs.size ? ours.size : theirs.size;
    int order = memcmp(ours.ptr, theirs.ptr, common);
    bool is_smaller = order ? order < 0 : ours.size < theirs.size;
    return pair->state == PAIR_CONNECTING && is_smaller && contact_is_heard(pair->contact);
}

enum s2s_claim s2s_claim(const struct s2s *s2s, struct span ours, struct span theirs)
{
    const struct pair *pair = remote_pair_find(s2s->stream.shard, ours, theirs);
    if (!pair || !ours_stays(pair, ours, theirs))
        return CLAIM_GRANTED;
    bool is_waiting = pair->state == PAIR_CONNECTING && contact_awaits_dialback(pair->contact);
    return is_waiting ? CLAIM_SPARE : CLAIM_CONFLICT;
}

void s2s_spare(struct s2s *s2s, struct span ours, struct span theirs)
{
    struct pair *pair = remote_pair_find(s2s->stream.shard, ours, theirs);
    pair->spare_ref = stream_ref(&s2s->stream).ref;
}

void s2s_speak(struct s2s *s2s, struct span ours, struct span theirs)
{
    struct pair *pair = remote_pair(s2s->stream.shard, ours, theirs);
    if (!pair)
        return; /* too many: they may speak, and we answer on no stream */
    struct stream *before = pair->state == PAIR_READY ? pair->stream : NULL;
    if (before) {
        remote_stream_replaced(pair);
        s2s_of(before)->pair = NULL;
    }
    s2s->pair = pair;
    s2s->is_bidi = true;
    remote_ready(pair, &s2s->stream);
    if (before)
        stream_close(before, STREAM_CONFLICT_ERROR, "another stream takes its place");
}

const char *s2s_certificate_fault(const struct stream *stream, struct span domain)
{
    const struct credential *credential = stream->tls ? engine_credential(stream->tls) : NULL;
    if (!credential || credential->verdict != CREDENTIAL_VALID)
        return credential_text(credential ? credential->verdict : CREDENTIAL_NONE);
    if (!identity_matches(&credential->identity, domain, "xmpp-server"))
        return "not of this domain";
    const struct s2s *s2s = (const struct s2s *)stream;
    return s2s->disowned ? standing_text((enum standing)s2s->disowned) : "nothing";
}

void s2s_end_elders(const struct s2s *s2s, struct span theirs, struct span ours)
{
    for (struct s2s *elder = s2s->stream.shard->servers, *next; elder; elder = next) {
        next = elder->next;
        if (elder != s2s && elder->stream.holds && elder->stream.state == STREAM_BOUND &&
            s2s_may_hear(elder, theirs, ours))
            stream_close(&elder->stream, STREAM_CONFLICT_ERROR, "another stream takes its place");
    }
}

void s2s_refuses(const struct s2s *s2s, const char *condition)
{
    if (s2s->contact)
        trial_say(contact_trial(s2s->contact), "our-error", false, "%s", condition);
}

void s2s_misnamed(const struct s2s *s2s, struct span from)
{
    struct span expected = s2s->is_out ? s2s->remote : span_str(s2s->stream.nego->from);
    log_event(LOG_INFO, "s2s.misnamed", "from=%s expected=%s", log_quoted(from).text, log_quoted(expected).text);
    if (s2s->contact)
        trial_say(contact_trial(s2s->contact), "header", false, "it is of '%.*s', expected was '%.*s'", SPAN_ARG(from),
                  SPAN_ARG(expected));
}

void s2s_take_error(struct s2s *s2s, const struct xml_stanza *error)
{
    struct stream *stream = &s2s->stream;
    uint32_t condition = xml_child(error, 0);
    struct span name = condition == XML_NOWHERE ? SPAN("none") : xml_name(error, condition);
    log_event(LOG_INFO, "s2s.peer_error", "from=%s condition=%s", log_quoted(s2s->is_out ? s2s->remote : SPAN("")).text,
              log_quoted(name).text);
    if (s2s->contact)
        trial_say(contact_trial(s2s->contact), "their-error", false, "%.*s", SPAN_ARG(name));
    /* XEP-0220 s2.5: to whom sent the key that is being checked. */
    if (span_is(name, "host-unknown") && s2s->contact && contact_check(s2s->contact))
        contact_denied(s2s, ERROR_REMOTE_SERVER_NOT_FOUND);
    /* Their stream is on its way to us: it will carry what waits. */
    if (span_is(name, "conflict") && s2s->contact && !contact_check(s2s->contact))
        contact_yield(s2s->contact);
    stream_close(stream, STREAM_NO_ERROR, NULL);
}

/* SASL's <success/> and <failure/> are answers: where nothing was asked they are as strange as anything else. */
enum nego_event s2s_event_of(struct stream *stream, const struct xml_stanza *stanza)
{
    static const struct {
        enum xml_ns ns;
        const char *name;
        enum nego_event event;
    } known[] = {
        {NS_STREAM, "features", EV_FEATURES}, {NS_TLS, "starttls", EV_STARTTLS}, {NS_TLS, "proceed", EV_PROCEED},
        {NS_SASL, "auth", EV_AUTH},           {NS_BIDI, "bidi", EV_BIDI},        {NS_SM, "enable", EV_ACKS},
        {NS_SM, "resume", EV_ACKS},
    };
    if (xml_is(stanza, 0, NS_STREAM, "error")) {
        s2s_take_error(s2s_of(stream), stanza);
        return EV_CLOSED;
    }
    if (xml_is(stanza, 0, NS_STREAM, "features"))
        s2s_take_features(s2s_of(stream), stanza);
    if (stanza_kind_of(stanza, NS_SERVER) != STANZA_NONE)
        return EV_STANZA;
    if (stanza->elements[0].ns == NS_DIALBACK)
        return EV_DIALBACK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (xml_is(stanza, 0, known[i].ns, known[i].name))
            return known[i].event;
    if (stream->state == STREAM_SASL && xml_is(stanza, 0, NS_SASL, "success"))
        return EV_SUCCESS;
    return stream->state == STREAM_SASL && xml_is(stanza, 0, NS_SASL, "failure") ? EV_FAILURE : EV_OTHER;
}

static enum counter gauge_of(const struct s2s *s2s)
{
    return s2s->is_out ? COUNTER_S2S_STREAMS_OUT : COUNTER_S2S_STREAMS_IN;
}

void s2s_enter(struct s2s *s2s)
{
    struct shard *shard = s2s->stream.shard;
    s2s->serial = ++shard->server_serial;
    s2s->previous = NULL;
    s2s->next = shard->servers;
    if (shard->servers)
        shard->servers->previous = s2s;
    shard->servers = s2s;
}

void s2s_leave(struct s2s *s2s)
{
    if (s2s->next)
        s2s->next->previous = s2s->previous;
    if (s2s->previous)
        s2s->previous->next = s2s->next;
    else
        s2s->stream.shard->servers = s2s->next;
}

void s2s_fails(struct s2s *s2s, enum counter failure)
{
    if (!s2s->is_ready && !s2s->failure)
        s2s->failure = (uint8_t)failure;
}

/* Ours that nobody answers for is given up; one of theirs that ends for no reason known was theirs to end. */
static void count_failure(struct s2s *s2s)
{
    if (s2s->contact && !s2s->failure)
        s2s->failure = COUNTER_S2S_FAILED_REFUSED;
    if (s2s->contact && s2s->failure)
        trial_say(contact_trial(s2s->contact), "failed", false, "%s", counter_infos[s2s->failure].text);
    if (!s2s->is_ready && s2s->failure && (s2s->contact || !s2s->is_out))
        shard_count(s2s->stream.shard, (enum counter)s2s->failure, 1);
    s2s->failure = 0;
}

void s2s_begin(struct s2s *s2s)
{
    s2s->is_ready = true;
    s2s->is_counted = true;
    shard_count(s2s->stream.shard, gauge_of(s2s), 1);
}

void s2s_ending(struct s2s *s2s)
{
    if (s2s->is_counted)
        counter_sub(s2s->stream.shard->counters, gauge_of(s2s), 1);
    s2s->is_counted = false;
    count_failure(s2s);
    struct pair *pair = s2s->pair;
    struct contact *contact = s2s->contact;
    s2s->pair = NULL;
    s2s->contact = NULL;
    if (pair)
        remote_stream_ended(pair);
    ack_stop(s2s);
    if (contact)
        contact_lost(contact, &s2s->stream);
}

void s2s_settle(struct s2s *s2s)
{
    if (s2s->unsettled)
        remote_settle(s2s->unsettled);
}

void s2s_closing(struct s2s *s2s, bool in_order)
{
    uint8_t state = s2s->stream.state;
    bool has_asked = state == STREAM_DIALBACK || state == STREAM_RESTART || state == STREAM_BIND;
    s2s->hears_late = in_order && s2s->is_ready;
    bool may_speak = in_order && s2s->is_out && s2s->may_bidi && !s2s->is_ready;
    s2s->asks_late = may_speak && has_asked ? state : 0;
}

void s2s_clear(struct s2s *s2s)
{
    ack_free(s2s);
    while (s2s->names) {
        struct s2s_name *name = s2s->names;
        s2s->names = name->next;
        free(name);
    }
    span_free(&s2s->remote);
    free(s2s->peer_id);
}
