/* SPDX-License-Identifier: MIT */
#include "router/certs/watch.h"

#include "core/base/check.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/certs/precedents.h"
#include "router/route/shard.h"
#include "router/stream/nego.h"
#include "router/stream/stream.h"
#include "tls/engine.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SPREAD_MS 1000u /* streams of one entry are closed within that */
/* Until its streams are gone an entry whose end has come looks again in that time. */
#define AGAIN_MS 1000u
/* What the inspector had no room for is posted again; it takes all of its link in one turn. */
#define POST_AGAIN_MS 20u

struct watched {
    struct credential *credential; /* a reference */
    struct shard *shard;
    uint64_t tag;
    struct timer timer; /* expiry */
    struct timer wait;  /* runs while streams wait to be admitted */
    uint64_t wait_ms;   /* they do not wait longer than to then for the first finding */
    uint32_t waiting;   /* streams of those that live */
    uint32_t live;      /* streams */
    uint32_t count;     /* references in the array: also of streams that have left */
    uint32_t room;
    uint64_t *streams; /* io_ref() */
    enum standing standing;
    enum revocation_status answer;
    bool is_posted; /* the inspector watches */
};

static struct span chain_key(const void *object)
{
    const struct watched *watched = object;
    return span_of(watched->credential->fingerprint, sizeof watched->credential->fingerprint);
}

static struct span tag_key(const void *object)
{
    const struct watched *watched = object;
    return span_of(&watched->tag, sizeof watched->tag);
}

const char *standing_text(enum standing standing)
{
    static const char *const texts[] = {
        [STANDING_PENDING] = "pending",       [STANDING_GOOD] = "good",       [STANDING_UNCHECKED] = "unchecked",
        [STANDING_UNANSWERED] = "unanswered", [STANDING_REVOKED] = "revoked", [STANDING_DISTRUSTED] = "distrusted",
        [STANDING_UNSTAPLED] = "unstapled",
    };
    return texts[standing];
}

void watch_init(struct watch_list *list, const struct hash_key *key)
{
    table_init(&list->by_chain, key, chain_key);
    table_init(&list->by_tag, key, tag_key);
    list->last_tag = INSPECTOR_CLOCK_TAG;
}

/* Whom the operator knows it by: the first of its names; a peer chose it. */
static struct span first_name(const struct watched *watched)
{
    const struct identity *identity = &watched->credential->identity;
    return identity->count ? identity->identifiers[0].name : SPAN("");
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */

static struct stream *stream_of(const struct watched *watched, uint64_t ref)
{
    struct io_conn *conn = io_find(watched->shard->io, ref);
    struct stream *stream = conn ? conn->owner : NULL;
    return stream && stream->is_watched ? stream : NULL;
}

/* Each within the time that is left, one after the other at even distances, so that those of other certificates are not
 * kept waiting by a burst; many entries that end together, each of few streams, begin anywhere in it. Those that end
 * already are left alone. How many are new. */
static uint32_t reset_all(const struct watched *watched, const char *text, uint64_t within_ms)
{
    uint32_t reset = 0, dice;
    io_random(watched->shard->io, &dice, sizeof dice);
    for (uint32_t i = 0; i < watched->count; i++) {
        struct stream *stream = stream_of(watched, watched->streams[i]);
        if (!stream || stream->state == STREAM_CLOSING || stream->ending || stream->awaits_finding)
            continue;
        uint64_t place = dice + reset * within_ms / watched->live;
        shard_count(watched->shard, COUNTER_RESETS, 1);
        precedents_part(stream, watched->standing);
        stream_end_later(stream, STREAM_RESET_ERROR, text, within_ms ? place % within_ms : 0);
        reset++;
    }
    return reset;
}

/* What the operator holds to be good enough. */
static bool is_good_enough(const struct watched *watched)
{
    const struct config *config = watched->shard->policy->config;
    switch (watched->standing) {
    case STANDING_DISTRUSTED:
    case STANDING_UNSTAPLED:
        return false;
    case STANDING_REVOKED:
        return config->certs_revocation == CERTS_OFF;
    case STANDING_UNANSWERED:
        return config->certs_revocation != CERTS_HARD;
    case STANDING_UNCHECKED:
        return config->certs_unchecked == UNCHECKED_ALLOW || config->certs_revocation == CERTS_OFF;
    case STANDING_PENDING:
    case STANDING_GOOD:
        break;
    }
    return true;
}

static void act(const struct watched *watched)
{
    if (!is_good_enough(watched))
        (void)reset_all(watched, "the certificate of this stream is no longer good", SPREAD_MS);
}

static void watched_free(struct watched *watched)
{
    wheel_cancel(watched->shard->wheel, &watched->timer);
    wheel_cancel(watched->shard->wheel, &watched->wait);
    credential_free(watched->credential);
    free(watched->streams);
    free(watched);
}

static void drop(struct watched *watched)
{
    struct shard *shard = watched->shard;
    if (watched->is_posted && !inspector_unwatch(shard->inspector, watched->tag)) {
        wheel_set(shard->wheel, &watched->timer, shard_now_ms(shard) + AGAIN_MS); /* there is no room now */
        return;
    }
    table_remove(&shard->watches.by_chain, watched);
    table_remove(&shard->watches.by_tag, watched);
    watched_free(watched);
}

/* ---- expiry ------------------------------------------------------------------------------------------------------ */

static int64_t left_ms(const struct watched *watched)
{
    return watched->credential->not_after * 1000 - io_wall_ms(watched->shard->io);
}

/* The timer fires a spread before the end, so that many can go one after the other and none is late. */
static uint64_t spread_ms(const struct watched *watched)
{
    return watched->live > 1 ? (watched->live < SPREAD_MS ? watched->live : SPREAD_MS) : 0;
}

/* The inspector's link may be full, of such posts: then it is tried again as soon as it may have been emptied. */
static bool post(struct watched *watched, struct span staple)
{
    struct inspector_client *inspector = watched->shard->inspector;
    if (!watched->is_posted && inspector)
        watched->is_posted = inspector_watch(inspector, watched->tag, watched->credential, staple);
    return watched->is_posted || !inspector;
}

static void arm(struct watched *watched)
{
    int64_t left = left_ms(watched) - (int64_t)SPREAD_MS;
    if (!post(watched, SPAN("")) && left > (int64_t)POST_AGAIN_MS)
        left = POST_AGAIN_MS;
    wheel_set(watched->shard->wheel, &watched->timer, shard_now_ms(watched->shard) + (left > 0 ? (uint64_t)left : 0));
}

static void expire(void *context, struct timer *timer)
{
    (void)context;
    struct watched *watched = (struct watched *)((char *)timer - offsetof(struct watched, timer));
    if (!watched->live) {
        drop(watched);
        return;
    }
    int64_t left = left_ms(watched);
    uint64_t spread = spread_ms(watched), now = shard_now_ms(watched->shard);
    if (left > (int64_t)SPREAD_MS) { /* the wall clock went another way, or the inspector had no room */
        arm(watched);
        return;
    }
    if (left > (int64_t)spread) {
        wheel_set(watched->shard->wheel, timer, now + (uint64_t)left - spread);
        return;
    }
    char hash[CREDENTIAL_SHORT_SIZE];
    uint32_t reset = reset_all(watched, "the certificate of this stream has expired", left > 0 ? (uint64_t)left : 0);
    shard_count(watched->shard, COUNTER_CERTS_EXPIRED, reset);
    if (reset)
        log_event(LOG_INFO, "certs.expired", "certificate=%s name=%s streams=%u",
                  credential_short(watched->credential, hash), log_quoted(first_name(watched)).text, reset);
    wheel_set(watched->shard->wheel, timer, now + AGAIN_MS); /* whoever came meanwhile */
}

/* ---- admission --------------------------------------------------------------------------------------------------- */

/* That nothing is known is good enough for those who are in, and not for who comes: for a time it is waited for. */
static enum admission judge(const struct watched *watched)
{
    const struct shard *shard = watched->shard;
    enum config_certs_revocation policy = (enum config_certs_revocation)shard->policy->config->certs_revocation;
    if (!is_good_enough(watched))
        return ADMISSION_REFUSED;
    if (watched->standing != STANDING_PENDING || policy == CERTS_OFF || !shard->inspector)
        return ADMISSION_GRANTED;
    if (shard_now_ms(shard) < watched->wait_ms)
        return ADMISSION_WAITS;
    return policy == CERTS_HARD ? ADMISSION_REFUSED : ADMISSION_GRANTED;
}

static void wait(struct watched *watched, struct stream *stream)
{
    if (!watched->waiting++)
        wheel_set(watched->shard->wheel, &watched->wait, watched->wait_ms);
    stream->awaits_finding = true;
    stream_hold(stream);
}

static void no_longer_waits(struct watched *watched, struct stream *stream)
{
    stream->awaits_finding = false;
    if (!--watched->waiting)
        wheel_cancel(watched->shard->wheel, &watched->wait);
}

/* Those that wait go on, each as it is judged. */
static void settle(struct watched *watched)
{
    watched->live++; /* the entry stays while it is walked */
    for (uint32_t i = 0; i < watched->count && watched->waiting; i++) {
        struct stream *stream = stream_of(watched, watched->streams[i]);
        if (!stream || !stream->awaits_finding)
            continue;
        no_longer_waits(watched, stream);
        if (stream->state == STREAM_CLOSING)
            continue;
        nego_event(stream, EV_INSPECTED, NULL);
        stream_release(stream);
    }
    if (--watched->live == 0)
        drop(watched);
}

static void wait_is_over(void *context, struct timer *timer)
{
    (void)context;
    struct watched *watched = (struct watched *)((char *)timer - offsetof(struct watched, wait));
    if (judge(watched) == ADMISSION_WAITS) {
        wheel_set(watched->shard->wheel, timer, watched->wait_ms);
        return;
    }
    char hash[CREDENTIAL_SHORT_SIZE];
    if (watched->standing == STANDING_PENDING) {
        log_event(LOG_WARN, "certs.late",
                  "certificate=%s name=%s streams=%u text=\"no answer about it within certs.wait\"",
                  credential_short(watched->credential, hash), log_quoted(first_name(watched)).text, watched->waiting);
        shard_count(watched->shard, COUNTER_CERTS_LATE, watched->waiting);
    }
    settle(watched);
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

void watch_fini(struct watch_list *list)
{
    struct watched *watched;
    uint32_t position = 0;
    while ((watched = table_next(&list->by_chain, &position))) { /* those that wait to be unwatched */
        SL_CHECK(watched->live == 0);
        table_remove(&list->by_chain, watched);
        watched_free(watched);
    }
    table_fini(&list->by_chain);
    table_fini(&list->by_tag);
}

static struct watched *watched_new(struct shard *shard, struct credential *credential, struct span staple)
{
    struct watch_list *list = &shard->watches;
    struct watched *watched = calloc(1, sizeof *watched);
    if (!watched)
        return NULL;
    credential_ref(credential);
    *watched = (struct watched){.credential = credential,
                                .shard = shard,
                                .tag = ++list->last_tag,
                                .timer.fire = expire,
                                .wait.fire = wait_is_over,
                                .wait_ms = shard_now_ms(shard) + shard->policy->config->certs_wait_ms,
                                .standing = STANDING_PENDING};
    bool is_added = table_add(&list->by_chain, watched);
    if (is_added && table_add(&list->by_tag, watched)) {
        (void)post(watched, staple);
        arm(watched);
        return watched;
    }
    if (is_added)
        table_remove(&list->by_chain, watched);
    watched_free(watched);
    return NULL;
}

/* References of streams that have left go when they are more than the others. */
static void compact(struct watched *watched)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < watched->count; i++)
        if (stream_of(watched, watched->streams[i]))
            watched->streams[kept++] = watched->streams[i];
    watched->count = kept;
}

static bool add(struct watched *watched, uint64_t ref)
{
    if (watched->count == watched->room && watched->count > 2 * watched->live + 8)
        compact(watched);
    if (watched->count == watched->room) {
        uint32_t room = watched->room ? watched->room * 2 : 1; /* most servers have one stream */
        uint64_t *streams = realloc(watched->streams, room * sizeof *streams);
        if (!streams)
            return false;
        watched->streams = streams;
        watched->room = room;
    }
    watched->streams[watched->count++] = ref;
    watched->live++;
    atomic_fetch_add_explicit(&watched->credential->uses, 1, memory_order_relaxed); /* for show certs peers */
    return true;
}

static struct watched *watched_of(const struct stream *stream)
{
    const struct credential *credential = engine_credential(stream->tls);
    return table_find(&stream->shard->watches.by_chain,
                      span_of(credential->fingerprint, sizeof credential->fingerprint));
}

/* NULL: no memory. */
static struct watched *enter(struct stream *stream, struct credential *credential)
{
    struct watched *watched = watched_of(stream);
    if (stream->is_watched)
        return watched;
    /* What came in its handshake goes to the inspector and stays nowhere else. Where there is no room for it the
     * others' sources are asked. */
    struct span staple = engine_staple(stream->tls);
    if (!watched)
        watched = watched_new(stream->shard, credential, staple);
    else if (staple.size && watched->is_posted)
        (void)!inspector_shown(stream->shard->inspector, watched->tag, staple);
    engine_drop_staple(stream->tls);
    if (!watched)
        return NULL;
    if (!add(watched, io_ref(stream->conn))) {
        if (!watched->live)
            drop(watched);
        return NULL;
    }
    stream->is_watched = true;
    return watched;
}

bool watch_enter(struct stream *stream)
{
    struct credential *credential = engine_shared_credential(stream->tls);
    if (!credential || stream->is_watched)
        return credential != NULL;
    const struct watched *watched = enter(stream, credential);
    if (watched)
        act(watched); /* what is known of the others holds for it */
    return watched != NULL;
}

/* RFC 7633 s4.3.3: such a certificate is not to be taken for valid, whatever else could be found about it. */
static bool is_unstapled(const struct stream *stream, const struct credential *credential)
{
    char hash[CREDENTIAL_SHORT_SIZE];
    if (stream->shard->policy->config->certs_revocation == CERTS_OFF || !engine_is_unstapled(stream->tls))
        return false;
    shard_count(stream->shard, COUNTER_CERTS_UNSTAPLED, 1);
    shard_count(stream->shard, COUNTER_CERTS_REFUSED, 1);
    log_event(LOG_WARN, "certs.unstapled", "certificate=%s", credential_short(credential, hash));
    return true;
}

enum admission watch_admit(struct stream *stream, enum standing *standing)
{
    const struct shard *shard = stream->shard;
    struct credential *credential = stream->tls ? engine_shared_credential(stream->tls) : NULL;
    *standing = STANDING_UNANSWERED;
    if (!credential || !shard->inspector)
        return ADMISSION_GRANTED;
    if (!stream->is_watched && is_unstapled(stream, credential)) {
        *standing = STANDING_UNSTAPLED;
        return ADMISSION_REFUSED;
    }
    if (shard->policy->config->certs_revocation == CERTS_OFF && !watched_of(stream))
        return ADMISSION_GRANTED; /* it enters when it is bound: nothing waits for its finding */
    struct watched *watched = enter(stream, credential);
    if (!watched) /* no memory: nobody answers */
        return shard->policy->config->certs_revocation == CERTS_HARD ? ADMISSION_REFUSED : ADMISSION_GRANTED;
    enum admission admission = judge(watched);
    if (admission == ADMISSION_WAITS)
        wait(watched, stream);
    if (admission != ADMISSION_REFUSED)
        return admission;
    if (watched->standing != STANDING_PENDING)
        *standing = watched->standing;
    shard_count(watched->shard, COUNTER_CERTS_REFUSED, 1);
    watch_leave(stream);
    return admission;
}

void watch_leave(struct stream *stream)
{
    struct watched *watched = watched_of(stream);
    SL_CHECK(watched && watched->live);
    stream->is_watched = false;
    atomic_fetch_sub_explicit(&watched->credential->uses, 1, memory_order_relaxed);
    if (stream->awaits_finding)
        no_longer_waits(watched, stream);
    if (--watched->live == 0)
        drop(watched);
}

enum standing watch_chain_standing(const struct shard *shard, const uint8_t chain[CREDENTIAL_SHA256],
                                   enum standing otherwise)
{
    const struct watched *watched = table_find(&shard->watches.by_chain, span_of(chain, CREDENTIAL_SHA256));
    return watched ? watched->standing : otherwise;
}

enum standing watch_standing(const struct stream *stream, enum revocation_status *answer)
{
    const struct watched *watched = watched_of(stream);
    *answer = watched->answer;
    return watched->standing;
}

/* ---- what comes from outside ------------------------------------------------------------------------------------- */

static enum counter counter_of(enum standing standing)
{
    static const enum counter counters[] = {
        [STANDING_PENDING] = COUNTER_CERTS_UNANSWERED,  [STANDING_GOOD] = COUNTER_CERTS_GOOD,
        [STANDING_UNCHECKED] = COUNTER_CERTS_UNCHECKED, [STANDING_UNANSWERED] = COUNTER_CERTS_UNANSWERED,
        [STANDING_REVOKED] = COUNTER_CERTS_REVOKED,     [STANDING_DISTRUSTED] = COUNTER_CERTS_DISTRUSTED,
        [STANDING_UNSTAPLED] = COUNTER_CERTS_UNSTAPLED,
    };
    return counters[standing];
}

static void count_own(struct shard *shard, enum standing standing)
{
    enum counter counter = standing == STANDING_REVOKED ? COUNTER_CERTS_OWN_REVOKED
                           : standing == STANDING_GOOD  ? COUNTER_CERTS_STAPLES
                                                        : COUNTER_CERTS_STAPLES_FAILED;
    shard_count(shard, counter, 1);
}

/* Where nobody was asked, an answer would mislead. */
static const char *answer_of(const struct inspector_finding *finding)
{
    if (finding->standing == STANDING_GOOD)
        return "good";
    if (finding->standing == STANDING_DISTRUSTED)
        return "none: by certs distrust";
    return finding->standing == STANDING_UNCHECKED ? "none: it names nobody" : revocation_text(finding->status);
}

void watch_found(void *context, const struct inspector_finding *finding)
{
    struct shard *shard = context;
    if (finding->tag == INSPECTOR_OWN_TAG) {
        count_own(shard, finding->standing);
        return;
    }
    if (finding->tag == INSPECTOR_CLOCK_TAG) {
        watch_clock(shard);
        return;
    }
    struct watched *watched = table_find(&shard->watches.by_tag, span_of(&finding->tag, sizeof finding->tag));
    if (!watched)
        return; /* its last stream has left */
    char hash[CREDENTIAL_SHORT_SIZE];
    watched->standing = finding->standing;
    watched->answer = finding->status;
    shard_count(shard, counter_of(finding->standing), 1);
    shard_count(shard, COUNTER_CERTS_BY_FILE, finding->rests_on_file);
    log_event(finding->standing > STANDING_UNCHECKED ? LOG_WARN : LOG_DEBUG, "certs.standing",
              "certificate=%s name=%s standing=%s fault=%u answer=\"%s\" streams=%u",
              credential_short(watched->credential, hash), log_quoted(first_name(watched)).text,
              standing_text(finding->standing), finding->fault, answer_of(finding), watched->live);
    act(watched);
    if (watched->waiting && judge(watched) != ADMISSION_WAITS)
        settle(watched);
}

void watch_clock(struct shard *shard)
{
    struct watched *watched;
    uint32_t position = 0;
    while ((watched = table_next(&shard->watches.by_chain, &position)))
        if (watched->live) /* the others' timers run to unwatch them */
            arm(watched);
}

void watch_policy(struct shard *shard)
{
    struct watched *watched;
    uint32_t position = 0;
    while ((watched = table_next(&shard->watches.by_chain, &position))) {
        act(watched);
        if (watched->waiting) /* judged in the next turn */
            wheel_set(shard->wheel, &watched->wait, shard_now_ms(shard));
    }
}
