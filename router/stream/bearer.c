/* SPDX-License-Identifier: MIT */
#include "router/stream/bearer.h"

#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

_Static_assert(CLIENT_MAP_KEY_SIZE == CREDENTIAL_SHA256, "the map is keyed by what a credential tells");
_Static_assert(BEARER_TEXT_SIZE == CREDENTIAL_SHORT_SIZE, "a credential is named by its short form");

/* ---- whose ------------------------------------------------------------------------------------------------------- */

struct search {
    struct span domain;
    struct span wanted; /* empty: whoever it is */
    struct jid_buffer *buffer;
    struct span account; /* the first one, in buffer */
    unsigned count;      /* different ones: 0, 1, and 2 for more */
    bool is_wanted;      /* the one that is wanted is among them */
};

static void meet(struct search *search, struct span name)
{
    struct jid_buffer buffer;
    struct jid jid;
    if (jid_prepare(name, &buffer, &jid) != JID_OK || !jid.local_size || jid.resource_size ||
        !span_equal(jid_domain(&jid), search->domain))
        return;
    struct span bare = jid_bare(&jid);
    search->is_wanted |= span_equal(bare, search->wanted);
    if (search->count && !span_equal(bare, search->account))
        search->count = 2;
    if (search->count)
        return;
    memcpy(search->buffer->bytes, bare.ptr, bare.size);
    search->account = span_of(search->buffer->bytes, bare.size);
    search->count = 1;
}

static void meet_names(struct search *search, const struct identity *identity, enum identifier_kind kind)
{
    for (uint32_t i = 0; i < identity->count; i++)
        if (identity->identifiers[i].kind == kind)
            meet(search, identity->identifiers[i].name);
}

static void meet_mapped(struct search *search, const struct client_map *map, const uint8_t *sha256)
{
    struct span account = client_map_account(map, sha256, 0);
    for (unsigned i = 1; account.ptr; i++) {
        meet(search, account);
        account = client_map_account(map, sha256, i);
    }
}

enum bearer bearer_find(const struct credential *credential, const struct bearer_rules *rules, struct span domain,
                        struct span wanted, struct jid_buffer *out, struct span *account)
{
    struct search search = {.domain = domain, .wanted = wanted, .buffer = out};
    meet_names(&search, &credential->identity, IDENTIFIER_ACCOUNT);
    if (!search.count)
        meet_mapped(&search, rules->map, credential->path[0].sha256);
    if (!search.count && rules->takes_mail)
        meet_names(&search, &credential->identity, IDENTIFIER_MAIL);
    if (!search.count)
        return BEARER_NOBODY;
    if (wanted.size && !search.is_wanted)
        return BEARER_OTHER;
    if (!wanted.size && search.count > 1)
        return BEARER_SEVERAL;
    if (wanted.size)
        memcpy(out->bytes, wanted.ptr, wanted.size);
    *account = span_of(out->bytes, wanted.size ? wanted.size : search.account.size);
    return BEARER_FOUND;
}

/* ---- of a stream ------------------------------------------------------------------------------------------------- */

const struct credential *bearer_credential(const struct stream *stream)
{
    const struct policy *policy = stream->shard->policy;
    if (!stream->tls || policy->config->tls_client_certificates == CLIENT_CERTIFICATES_OFF)
        return NULL;
    const struct credential *credential = engine_credential(stream->tls);
    if (!credential || credential->verdict != CREDENTIAL_VALID || !context_trusts(policy->tls, credential))
        return NULL;
    return io_wall_ms(stream->shard->io) / 1000 <= credential->not_after ? credential : NULL;
}

enum bearer bearer_of(const struct stream *stream, struct span domain, struct span wanted, struct jid_buffer *out,
                      struct span *account)
{
    const struct policy *policy = stream->shard->policy;
    const struct bearer_rules rules = {policy->client_map, policy->config->tls_client_mail};
    const struct credential *credential = bearer_credential(stream);
    return credential ? bearer_find(credential, &rules, domain, wanted, out, account) : BEARER_NOBODY;
}

bool bearer_is_missing(const struct stream *stream)
{
    const struct config *config = stream->shard->policy->config;
    return stream->tls && config->tls_client_certificates == CLIENT_CERTIFICATES_REQUIRED && !bearer_credential(stream);
}

void bearer_seen(const struct stream *stream)
{
    char address[STREAM_ADDRESS_SIZE];
    const struct credential *credential = engine_credential(stream->tls);
    if (!credential || credential->verdict == CREDENTIAL_NONE)
        return;
    bool is_valid = credential->verdict == CREDENTIAL_VALID;
    shard_count(stream->shard, is_valid ? COUNTER_TLS_CERTIFICATES : COUNTER_TLS_CERTIFICATES_REFUSED, 1);
    if (!is_valid)
        log_event(LOG_INFO, "c2s.certificate", "verdict=\"%s\" depth=%u address=%s",
                  credential_text(credential->verdict), credential->fault, stream_address(stream, address));
}

void bearer_forget(struct stream *stream)
{
    bool is_kept = stream->shard->policy->config->tls_client_certificates == CLIENT_CERTIFICATES_REQUIRED;
    if (stream->is_watched && !is_kept) /* EXTERNAL was tried before */
        watch_leave(stream);
    if (stream->tls && !is_kept)
        credential_free(engine_take_credential(stream->tls));
}

const char *bearer_text(const struct stream *stream, char out[BEARER_TEXT_SIZE])
{
    const struct credential *credential = bearer_credential(stream);
    return credential ? credential_short(credential, out) : "none";
}
