/* SPDX-License-Identifier: MIT */
#include "router/certs/precedents.h"

#include "core/base/check.h"
#include "core/base/hex.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/certs/watch.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/s2s/s2s.h"
#include "tls/engine.h"
#include "tls/traits.h"

#include <pthread.h>
#include <stdlib.h>

struct remembered {
    struct remembered *newer, *older;
    struct traits traits;
    uint8_t chain[CREDENTIAL_SHA256];
    uint8_t leaf[CREDENTIAL_SHA256];
    int64_t not_after;
    uint8_t standing;
    uint16_t size;
    char peer[];
};

struct shelf {
    pthread_mutex_t lock;
    struct table by_peer;
    struct remembered *newest, *oldest;
};

struct precedents {
    uint32_t count_max;
    struct shelf shelves[PRECEDENT_KINDS];
};

static struct span peer_key(const void *object)
{
    const struct remembered *remembered = object;
    return span_of(remembered->peer, remembered->size);
}

struct precedents *precedents_new(const struct hash_key *key, uint32_t count_max)
{
    SL_CHECK(count_max > 0);
    struct precedents *precedents = calloc(1, sizeof *precedents);
    if (!precedents)
        return NULL;
    precedents->count_max = count_max;
    for (unsigned i = 0; i < PRECEDENT_KINDS; i++) {
        SL_CHECK(pthread_mutex_init(&precedents->shelves[i].lock, NULL) == 0);
        table_init(&precedents->shelves[i].by_peer, key, peer_key);
    }
    return precedents;
}

void precedents_free(struct precedents *precedents)
{
    if (!precedents)
        return;
    for (unsigned i = 0; i < PRECEDENT_KINDS; i++) {
        struct shelf *shelf = &precedents->shelves[i];
        for (struct remembered *remembered = shelf->newest, *older; remembered; remembered = older) {
            older = remembered->older;
            free(remembered);
        }
        table_fini(&shelf->by_peer);
        pthread_mutex_destroy(&shelf->lock);
    }
    free(precedents);
}

/* ---- the shelf, under its lock ----------------------------------------------------------------------------------- */

static void take_off(struct shelf *shelf, struct remembered *remembered)
{
    struct remembered **from_newer = remembered->newer ? &remembered->newer->older : &shelf->newest;
    struct remembered **from_older = remembered->older ? &remembered->older->newer : &shelf->oldest;
    *from_newer = remembered->older;
    *from_older = remembered->newer;
}

static void put_first(struct shelf *shelf, struct remembered *remembered)
{
    remembered->newer = NULL;
    remembered->older = shelf->newest;
    *(shelf->newest ? &shelf->newest->newer : &shelf->oldest) = remembered;
    shelf->newest = remembered;
}

/* NULL: no memory, and then it comes as if for the first time again. */
static struct remembered *add(struct shelf *shelf, uint32_t count_max, struct span peer)
{
    if (shelf->by_peer.count == count_max) {
        struct remembered *oldest = shelf->oldest;
        table_remove(&shelf->by_peer, oldest);
        take_off(shelf, oldest);
        free(oldest);
    }
    struct remembered *remembered = calloc(1, sizeof *remembered + peer.size);
    if (!remembered)
        return NULL;
    remembered->size = (uint16_t)peer.size;
    memcpy(remembered->peer, peer.ptr, peer.size);
    if (table_add(&shelf->by_peer, remembered))
        return remembered;
    free(remembered);
    return NULL;
}

static struct precedent compare(const struct remembered *before, const struct credential *credential,
                                const struct traits *traits)
{
    struct precedent precedent = {.is_known = true, .standing = before->standing, .not_after = before->not_after};
    if (memcmp(before->traits.key, traits->key, sizeof traits->key) != 0)
        precedent.changed |= CHANGED_KEY;
    if (memcmp(before->traits.issuer, traits->issuer, sizeof traits->issuer) != 0)
        precedent.changed |= CHANGED_ISSUER;
    if (memcmp(before->traits.names, traits->names, sizeof traits->names) != 0)
        precedent.changed |= CHANGED_NAMES;
    bool is_other = memcmp(before->leaf, credential->path[0].sha256, sizeof before->leaf) != 0;
    precedent.is_renewed = is_other && !precedent.changed;
    hex_encode(span_of(before->leaf, sizeof precedent.certificate / 2),
               precedent.certificate); /* as credential_short() */
    memcpy(precedent.chain, before->chain, sizeof precedent.chain);
    return precedent;
}

static void keep(struct remembered *remembered, const struct credential *credential, const struct traits *traits,
                 enum standing standing)
{
    remembered->traits = *traits;
    remembered->not_after = credential->not_after;
    remembered->standing = (uint8_t)standing;
    memcpy(remembered->chain, credential->fingerprint, sizeof remembered->chain);
    memcpy(remembered->leaf, credential->path[0].sha256, sizeof remembered->leaf);
}

struct precedent precedents_exchange(struct precedents *precedents, enum precedent_kind kind, struct span peer,
                                     const struct credential *credential, enum standing standing)
{
    struct shelf *shelf = &precedents->shelves[kind];
    struct precedent precedent = {0};
    struct traits traits;
    traits_read(credential, &traits); /* hashes: not under the lock */
    pthread_mutex_lock(&shelf->lock);
    struct remembered *remembered = table_find(&shelf->by_peer, peer);
    if (remembered) {
        precedent = compare(remembered, credential, &traits);
        take_off(shelf, remembered);
    } else {
        remembered = add(shelf, precedents->count_max, peer);
    }
    if (remembered) {
        keep(remembered, credential, &traits, standing);
        put_first(shelf, remembered);
    }
    pthread_mutex_unlock(&shelf->lock);
    return precedent;
}

void precedents_learn(struct precedents *precedents, enum precedent_kind kind, struct span peer,
                      const uint8_t chain[CREDENTIAL_SHA256], enum standing standing)
{
    struct shelf *shelf = &precedents->shelves[kind];
    pthread_mutex_lock(&shelf->lock);
    struct remembered *remembered = table_find(&shelf->by_peer, peer);
    if (remembered && memcmp(remembered->chain, chain, sizeof remembered->chain) == 0)
        remembered->standing = (uint8_t)standing;
    pthread_mutex_unlock(&shelf->lock);
}

uint32_t precedents_count(struct precedents *precedents, enum precedent_kind kind)
{
    struct shelf *shelf = &precedents->shelves[kind];
    pthread_mutex_lock(&shelf->lock);
    uint32_t count = shelf->by_peer.count;
    pthread_mutex_unlock(&shelf->lock);
    return count;
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

#define DAY_S 86400

const char *precedents_text(uint8_t changed)
{
    static const char *const texts[] = {"",      "key",       "issuer",       "key,issuer",
                                        "names", "key,names", "issuer,names", "key,issuer,names"};
    return texts[changed & 7];
}

static void count(struct shard *shard, const struct precedent *before)
{
    if (before->changed & CHANGED_KEY)
        shard_count(shard, COUNTER_CERTS_CHANGED_KEY, 1);
    if (before->changed & CHANGED_ISSUER)
        shard_count(shard, COUNTER_CERTS_CHANGED_ISSUER, 1);
    if (before->changed & CHANGED_NAMES)
        shard_count(shard, COUNTER_CERTS_CHANGED_NAMES, 1);
    if (before->is_renewed)
        shard_count(shard, COUNTER_CERTS_RENEWED, 1);
}

/* Streams by the one before may be here still; else it is as it was when they ended. */
static const char *standing_before(const struct shard *shard, const struct precedent *before, int64_t left)
{
    enum standing standing = watch_chain_standing(shard, before->chain, before->standing);
    return left < 0 && standing < STANDING_REVOKED ? "expired" : standing_text(standing);
}

uint8_t precedents_meet(struct stream *stream, enum precedent_kind kind, struct span peer)
{
    struct shard *shard = stream->shard;
    const struct credential *credential = engine_shared_credential(stream->tls);
    enum revocation_status answer;
    char new[CREDENTIAL_SHORT_SIZE];
    if (!credential)
        return 0;
    enum standing standing = stream->is_watched ? watch_standing(stream, &answer) : STANDING_PENDING;
    struct precedent before = precedents_exchange(shard->router->precedents, kind, peer, credential, standing);
    count(shard, &before);
    if (!before.changed)
        return 0;
    int64_t now = io_wall_ms(shard->io) / 1000, left = before.not_after - now;
    log_event(LOG_INFO, "certs.changed",
              "peer=%s changed=%s old=%s new=%s old_standing=%s old_days_left=%lld new_days_left=%lld",
              log_quoted(peer).text, precedents_text(before.changed), before.certificate,
              credential_short(credential, new), standing_before(shard, &before, left), (long long)(left / DAY_S),
              (long long)((credential->not_after - now) / DAY_S));
    return before.changed;
}

void precedents_refuse(const struct stream *stream, enum precedent_kind kind, struct span peer, enum standing standing)
{
    const struct credential *credential = engine_credential(stream->tls);
    precedents_learn(stream->shard->router->precedents, kind, peer, credential->fingerprint, standing);
}

void precedents_part(const struct stream *stream, enum standing standing)
{
    if (stream->session) {
        struct jid jid = session_jid(stream->session);
        precedents_refuse(stream, PRECEDENT_CLIENT, jid_bare(&jid), standing);
    } else if (stream->is_s2s) {
        const struct s2s *s2s = (const struct s2s *)stream;
        const struct s2s_name *first = s2s->names;
        struct span proven = first ? span_of(first->bytes, first->theirs_size) : SPAN("");
        precedents_refuse(stream, PRECEDENT_SERVER, s2s->is_out ? s2s->remote : proven, standing);
    }
}
