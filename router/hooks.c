/* SPDX-License-Identifier: MIT */
/*
 * Hooks: reload, stop and what else control asks of the running process. Nothing is changed before all of it is known
 * to be good; shards hear of it by their mail.
 */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "router/admin/config.h"
#include "router/admin/survey_certs.h"
#include "router/certs/crl_files.h"
#include "router/sluiced_priv.h"
#include "tls/context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool post(struct sluice *sluice, unsigned shard, enum notice notice, void *argument)
{
    struct link *link = router_link(sluice->router, sluice->shard_count, shard);
    if (!mail_post_control(link, notice, argument))
        return false;
    io_notify(sluice->workers[shard].io);
    return true;
}

/* A shard that does not take its mail for this long is stuck; control then says so instead of waiting for ever. */
#define POST_TRIES 2000u

static bool post_patiently(struct sluice *sluice, unsigned shard, enum notice notice, void *argument)
{
    for (unsigned i = 0; i < POST_TRIES; i++) {
        if (post(sluice, shard, notice, argument))
            return true;
        usleep(1000);
    }
    log_event(LOG_ERROR, "control.stuck", "shard=%u takes no mail", shard);
    return false;
}

static bool hook_ask(void *context, struct control_ask *ask)
{
    return post(context, ask->shard, NOTICE_ASK, ask);
}

static struct survey_own own_of(const struct sluice *sluice)
{
    const struct policy *policy = sluice->policy;
    return (struct survey_own){policy->tls, policy->tls_server, sluice->inspector, clock_wall_ms() / 1000};
}

static void hook_own(void *context, control_own_fn tell, void *listing)
{
    const struct survey_own own = own_of(context);
    survey_own(&own, tell, listing);
}

static void hook_daily(void *context)
{
    struct sluice *sluice = context;
    const struct survey_own own = own_of(sluice);
    survey_own_warn(&own, sluice->warned_s);
    sluice->warned_s = own.now;
}

static bool lacks_issuer(const struct context *tls)
{
    struct context_certificate own;
    for (unsigned i = 0; context_certificate(tls, i, &own); i++)
        if (!context_certificate_issuer(tls, i, NULL).ptr)
            return true;
    return false;
}

void hooks_own_certificates(struct sluice *sluice, const struct policy *policy)
{
    struct context *const contexts[] = {policy->tls, policy->tls_server};
    const struct config *config = policy->config;
    struct anchors *others = NULL;
    struct err ignored;
    if (config->certs_staple && policy->tls && !policy->tls_server && lacks_issuer(policy->tls))
        others = anchors_new(config->s2s_ca[0] ? config->s2s_ca : NULL, &ignored);
    inspector_own(sluice->inspector, contexts, config->certs_staple ? 2 : 0, others);
    anchors_unref(others);
}

struct restart_keys {
    char text[384];
    unsigned count;
};

static void note_change(void *context, const char *key, bool needs_restart)
{
    struct restart_keys *keys = context;
    size_t used = strlen(keys->text);
    if (needs_restart)
        snprintf(keys->text + used, sizeof keys->text - used, "%s%s", keys->count++ ? ", " : "", key);
}

/* What of the new configuration does not hold before a restart. */
static void tell_notice(const struct restart_keys *keys, bool is_s2s_late, struct err *notice)
{
    const char *late = is_s2s_late ? "s2s.enabled: turning it on needs a restart, and until then it stays off" : "";
    if (keys->count)
        err_set(notice, "%s%s%s: a restart is needed for %s to take effect", late, late[0] ? "; " : "", keys->text,
                keys->count > 1 ? "them" : "it");
    else
        err_set(notice, "%s", late);
}

static bool hook_reload(void *context, struct err *notice, struct err *err)
{
    struct sluice *sluice = context;
    struct err warning = {0};
    struct config *config = config_load(sluice->path, sluice->overrides, sluice->override_count, err);
    if (!config || !resolver_config_check(config, err)) {
        config_unref(config);
        return false;
    }
    /* Without a resolver nobody is reached: stanzas get at once what they get when it is off. */
    bool is_s2s_late = config->s2s_enabled && !sluice->resolver;
    config->s2s_enabled &= !is_s2s_late;
    struct policy *policy = policy_new(config, sluice->tickets, err, &warning);
    if (!policy)
        return false;
    hooks_own_certificates(sluice, policy);
    struct restart_keys keys = {0};
    config_compare(sluice->policy->config, policy->config, note_change, &keys);
    tell_notice(&keys, is_s2s_late, notice);
    if (warning.text[0])
        log_event(LOG_WARN, "tls.certificate", "warning=%s", log_quoted(span_str(warning.text)).text);
    log_set_level((enum log_level)policy->config->log_level);
    /* Before the shards know: no stream that they end may come back by a ticket (RFC 6120 s4.9.3.16). What a shard
     * still gives away under the old policy is good under that alone. */
    if (policy_succeed(policy, sluice->policy))
        ticket_keys_forget(sluice->tickets);
    for (unsigned i = 0; i < sluice->shard_count; i++)
        if (!post_patiently(sluice, i, NOTICE_POLICY, policy_ref(policy)))
            policy_unref(policy);
    policy_unref(sluice->policy);
    sluice->policy = policy;
    if (sluice->inspector)
        inspector_exchange_files(sluice->inspector, crl_files_ref(policy->crl_files));
    sluice->warned_s = 0;
    hook_daily(sluice);
    log_event(LOG_INFO, "config.reloaded", "domains=%u notice=%s", policy->config->domain_count,
              log_quoted(span_str(notice->text)).text);
    return true;
}

static void hook_stop(void *context, bool drain)
{
    struct sluice *sluice = context;
    log_event(LOG_INFO, "control.stop", "drain=%d", drain);
    for (unsigned i = 0; i < sluice->shard_count; i++)
        if (!drain || !post_patiently(sluice, i, NOTICE_DRAIN, NULL))
            io_stop(sluice->workers[i].io);
}

static void hook_account_changed(void *context, struct span jid, enum control_account_change change)
{
    struct sluice *sluice = context;
    if (change != ACCOUNT_DELETED && change != ACCOUNT_DISABLED)
        return;
    /* Its sessions are on one shard; who is just logging in may be on any. */
    sluice->withdrawals++;
    for (unsigned i = 0; i < sluice->shard_count; i++) {
        struct withdrawal *withdrawal = malloc(sizeof *withdrawal + jid.size);
        enum notice notice = change == ACCOUNT_DELETED ? NOTICE_REMOVED : NOTICE_DISABLED;
        if (!withdrawal)
            continue;
        *withdrawal = (struct withdrawal){sluice->withdrawals, (uint32_t)jid.size};
        memcpy(withdrawal->bare, jid.ptr, jid.size);
        if (!post_patiently(sluice, i, notice, withdrawal))
            free(withdrawal);
    }
}

static const struct config *hook_config(void *context)
{
    const struct sluice *sluice = context;
    return sluice->policy->config;
}

const struct control_hooks hooks = {hook_ask,    hook_reload, hook_stop, hook_account_changed,
                                    hook_config, hook_own,    hook_daily};
