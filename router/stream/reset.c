/* SPDX-License-Identifier: MIT */
#include "router/stream/reset.h"

#include "core/base/log.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/s2s/s2s.h"
#include "router/stream/bearer.h"
#include "router/stream/mechanism.h"
#include "router/stream/nego.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

static const char text[] = "what this stream was secured with is no longer offered";
static const char untrusted_text[] = "the authority of this stream's certificate is no longer trusted";

/* Nobody waits for timeouts.reset who is not trusted any more; as many as there are still come back one after the
 * other. */
#define UNTRUSTED_SPREAD_MS 1000u

bool reset_is_stale(const struct stream *stream)
{
    return stream->epoch != stream->shard->policy->epoch;
}

static enum stream_error judge_session(const struct stream *stream, const struct policy *before)
{
    const struct policy *after = stream->shard->policy;
    struct jid jid = session_jid(stream->session);
    if (!policy_has_domain(after, jid_domain(&jid)))
        return STREAM_HOST_GONE_ERROR;
    if (!mechanism_is_still_offered(stream) || bearer_is_missing(stream))
        return STREAM_RESET_ERROR;
    if (!stream->tls)
        return after->tls && after->config->tls_required ? STREAM_RESET_ERROR : STREAM_NO_ERROR;
    bool is_too_old =
        after->config->tls_version_min == CONFIG_TLS_1_3 && strcmp(engine_version(stream->tls), "TLSv1.3") != 0;
    if (is_too_old || !context_is_renewal(before->tls, after->tls, jid_domain(&jid)))
        return STREAM_RESET_ERROR;
    return STREAM_NO_ERROR;
}

/* A user's certificate is valid, and by an authority that is gone. One that is judged by nobody any more is no such
 * case: it is the operator's word that changed. */
static bool is_bearer_forsaken(const struct stream *stream)
{
    const struct policy *policy = stream->shard->policy;
    const struct credential *credential = stream->tls ? engine_credential(stream->tls) : NULL;
    return credential && credential->verdict == CREDENTIAL_VALID && policy->tls &&
           policy->config->tls_client_certificates != CLIENT_CERTIFICATES_OFF &&
           !context_trusts(policy->tls, credential);
}

/* What streams between servers rest on, or for whom they are: a domain that is ours now was perhaps theirs. By what
 * each domain has to prove itself, and if it still does, s2s.h tells. */
static bool servers_differ(const struct config *after, const struct config *before)
{
    if (after->s2s_enabled != before->s2s_enabled || after->s2s_tls_required != before->s2s_tls_required ||
        after->domain_count != before->domain_count)
        return true;
    for (unsigned i = 0; i < after->domain_count; i++)
        if (strcmp(after->domains[i].name, before->domains[i].name) != 0)
            return true;
    return false;
}

/* Another server comes back at once, so it is not asked what of the change concerns it; one that is now denied stays
 * away. */
static enum stream_error judge_server(const struct stream *stream, const struct policy *before)
{
    if (!s2s_is_permitted((const struct s2s *)stream))
        return STREAM_POLICY_VIOLATION_ERROR;
    bool is_stale = reset_is_stale(stream) || servers_differ(stream->shard->policy->config, before->config) ||
                    s2s_is_forsaken((const struct s2s *)stream) || !s2s_is_trusted((const struct s2s *)stream);
    return is_stale ? STREAM_RESET_ERROR : STREAM_NO_ERROR;
}

/* In negotiation: what was offered, or who would be believed, is another thing now. By which authorities a certificate
 * was judged, or will be at the end of a handshake, cannot be told apart: all of that begin anew. */
static bool is_outdated(const struct stream *stream, const struct policy *before)
{
    const struct policy *after = stream->shard->policy;
    if (reset_is_stale(stream))
        return true;
    if (!stream->is_s2s)
        return stream->nego->jid.size && !mechanism_is_still_offered(stream);
    return servers_differ(after->config, before->config) ||
           !context_has_same_anchors(before->tls_server, after->tls_server) ||
           s2s_is_trust_changed((const struct s2s *)stream, before->config);
}

enum verdict { STAYS, ENDS, ENDS_UNTRUSTED };

static enum verdict judge(struct stream *stream, const struct policy *before)
{
    struct shard *shard = stream->shard;
    if (stream->state == STREAM_CLOSING || stream->ending)
        return STAYS;
    bool is_server = stream->is_s2s && stream->state == STREAM_BOUND;
    if (!stream->session && !is_server) {
        if (stream->has_sent_header && is_outdated(stream, before))
            stream_close(stream, STREAM_RESET_ERROR, text);
        return STAYS;
    }
    enum stream_error error = is_server ? judge_server(stream, before) : judge_session(stream, before);
    if (error == STREAM_NO_ERROR)
        return STAYS;
    bool is_untrusted = error == STREAM_RESET_ERROR &&
                        (is_server ? s2s_is_forsaken((const struct s2s *)stream) : is_bearer_forsaken(stream));
    uint32_t dice;
    io_random(shard->io, &dice, sizeof dice);
    uint64_t spread = shard->policy->config->timeouts_reset_ms;
    if (is_untrusted && spread > UNTRUSTED_SPREAD_MS)
        spread = UNTRUSTED_SPREAD_MS;
    shard_count(shard, COUNTER_RESETS, 1);
    const char *reason = error == STREAM_POLICY_VIOLATION_ERROR ? NULL : is_untrusted ? untrusted_text : text;
    stream_end_later(stream, error, reason, dice % (spread + 1));
    return is_untrusted ? ENDS_UNTRUSTED : ENDS;
}

void reset_streams(struct shard *shard, const struct policy *before)
{
    unsigned untrusted = 0;
    for (struct stream *stream = shard->streams, *next; stream; stream = next) {
        next = stream->next; /* stream_close() leaves the stream in the list */
        untrusted += judge(stream, before) == ENDS_UNTRUSTED;
    }
    if (!untrusted)
        return;
    shard_count(shard, COUNTER_CERTS_UNTRUSTED, untrusted);
    log_event(LOG_WARN, "certs.untrusted", "streams=%u text=\"their authority was taken away: they end with <reset/>\"",
              untrusted);
}
