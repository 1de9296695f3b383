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

/* What streams between servers were proven by, or for whom: a domain that is ours now was perhaps theirs. By what each
 * domain has to prove itself, s2s.h tells. */
static bool servers_differ(const struct config *after, const struct config *before)
{
    if (after->s2s_enabled != before->s2s_enabled || after->s2s_tls_required != before->s2s_tls_required ||
        strcmp(after->s2s_ca, before->s2s_ca) != 0 || after->domain_count != before->domain_count)
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
                    !s2s_is_trusted((const struct s2s *)stream);
    return is_stale ? STREAM_RESET_ERROR : STREAM_NO_ERROR;
}

static void judge(struct stream *stream, const struct policy *before)
{
    struct shard *shard = stream->shard;
    if (stream->state == STREAM_CLOSING || stream->ending)
        return;
    bool is_server = stream->is_s2s && stream->state == STREAM_BOUND;
    if (!stream->session && !is_server) {
        bool differs = stream->is_s2s ? servers_differ(shard->policy->config, before->config) ||
                                            s2s_is_trust_changed((const struct s2s *)stream, before->config)
                                      : stream->nego->jid.size && !mechanism_is_still_offered(stream);
        if (stream->has_sent_header && (differs || reset_is_stale(stream)))
            stream_close(stream, STREAM_RESET_ERROR, text);
        return;
    }
    enum stream_error error = is_server ? judge_server(stream, before) : judge_session(stream, before);
    if (error == STREAM_NO_ERROR)
        return;
    uint32_t dice;
    io_random(shard->io, &dice, sizeof dice);
    uint64_t spread = shard->policy->config->timeouts_reset_ms;
    shard_count(shard, COUNTER_RESETS, 1);
    const char *reason = error == STREAM_POLICY_VIOLATION_ERROR ? NULL : text;
    stream_end_later(stream, error, reason, dice % (spread + 1));
}

void reset_streams(struct shard *shard, const struct policy *before)
{
    for (struct stream *stream = shard->streams, *next; stream; stream = next) {
        next = stream->next; /* stream_close() leaves the stream in the list */
        judge(stream, before);
    }
}
