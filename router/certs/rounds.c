/* SPDX-License-Identifier: MIT */
#include "router/certs/rounds_priv.h"

#include "core/base/hex.h"
#include "core/base/log.h"

#include <stdlib.h>

/* A fetch of a list, which several inquiries may wait for. */
struct list_fetch {
    struct list_fetch *next;
    uint64_t number;
    struct span url; /* of an inquiry that waits, owned */
};

void rounds_init(struct rounds *rounds, const struct inspector_settings *settings, const struct inquiries_hooks *hooks,
                 const struct hash_key *key)
{
    *rounds = (struct rounds){.settings = *settings, .hooks = *hooks};
    evidence_init(&rounds->evidence, key);
}

void rounds_fini(struct rounds *rounds)
{
    while (rounds->lists) {
        struct list_fetch *list = rounds->lists;
        rounds->lists = list->next;
        span_free(&list->url);
        free(list);
    }
    evidence_fini(&rounds->evidence);
    crl_files_unref(rounds->files);
}

static uint32_t dice(const struct rounds *rounds)
{
    return rounds->hooks.dice(rounds->hooks.context);
}

static void settle_by_file(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    char hash[2 * 8 + 1] = "";
    if (inquiry->standing != STANDING_REVOKED) {
        hex_encode(span_of(inquiry->sha256, 8), hash);
        log_event(LOG_WARN, "certs.listed", "certificate=%s file=%s", hash, log_quoted(span_str(inquiry->file)).text);
    }
    (void)inquiry_settle(inquiry, inquiry->listed, &rounds->settings, dice(rounds), now);
    inquiry->rests_on_file = true;
}

/* A certificate on a list of the operator's is revoked, whatever others say. */
static bool settle(struct rounds *rounds, struct inquiry *inquiry, struct revocation_answer answer, int64_t now)
{
    bool is_good = answer.status == REVOCATION_GOOD;
    if (is_good && inquiry->listed.status == REVOCATION_REVOKED) {
        settle_by_file(rounds, inquiry, now);
        return true;
    }
    if (!inquiry_settle(inquiry, answer, &rounds->settings, dice(rounds), now))
        return false;
    inquiry->rests_on_file = false;
    return true;
}

/* No source is left: a list of the operator's may answer. */
static void conclude(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    if (inquiry->listed.status == REVOCATION_GOOD && inquiry->standing != STANDING_REVOKED) {
        inquiry_fall_back(inquiry, &rounds->settings, dice(rounds), now);
        inquiry->rests_on_file = true;
        return;
    }
    if (inquiry->sources.ocsp_count + inquiry->sources.crl_count == 0)
        inquiry->status = inquiry->listed.status;
    inquiry_fail(inquiry, &rounds->settings, dice(rounds), now);
    inquiry->rests_on_file &= inquiry->standing == STANDING_REVOKED || inquiry->standing == STANDING_GOOD;
}

static struct span known_answer(const struct rounds *rounds, const struct inquiry *inquiry, int64_t now)
{
    return evidence_find(&rounds->evidence, EVIDENCE_ANSWER, span_of(inquiry->key, sizeof inquiry->key), now);
}

static bool take(struct rounds *rounds, struct inquiry *inquiry, struct revocation_answer answer, struct span der,
                 int64_t now)
{
    if (!settle(rounds, inquiry, answer, now))
        return false;
    struct span known = known_answer(rounds, inquiry, now);
    if (!known.ptr || !span_equal(known, der))
        (void)evidence_put(&rounds->evidence, EVIDENCE_ANSWER, span_of(inquiry->key, sizeof inquiry->key), der,
                           answer.next_update, now);
    return true;
}

bool rounds_take_answer(struct rounds *rounds, struct inquiry *inquiry, struct span der, int64_t now)
{
    return take(rounds, inquiry, ocsp_judge(der, inquiry->certificate, inquiry->issuer, now), der, now);
}

bool rounds_take_staple(struct rounds *rounds, struct inquiry *inquiry, struct span der, int64_t now)
{
    bool is_good = inquiry->standing == STANDING_GOOD;
    struct span known = is_good ? known_answer(rounds, inquiry, now) : SPAN_NONE;
    if (known.ptr && span_equal(known, der)) /* the usual thing of a server with many streams: nothing to judge */
        return false;
    struct revocation_answer answer = ocsp_judge(der, inquiry->certificate, inquiry->issuer, now);
    bool is_news = answer.status == REVOCATION_REVOKED ||
                   (answer.status == REVOCATION_GOOD && (!is_good || answer.this_update > inquiry->answer.this_update));
    if (!is_news || !take(rounds, inquiry, answer, der, now))
        return false;
    inquiry->is_stapled = !inquiry->rests_on_file;
    return true;
}

static bool take_list(struct rounds *rounds, struct inquiry *inquiry, struct span der, int64_t now)
{
    return settle(rounds, inquiry, crl_judge(der, inquiry->certificate, inquiry->issuer, now), now);
}

static struct list_fetch *list_find(const struct rounds *rounds, struct span url)
{
    struct list_fetch *list = rounds->lists;
    while (list && !span_equal(list->url, url))
        list = list->next;
    return list;
}

/* False: it cannot be fetched now. */
static bool fetch(struct rounds *rounds, struct inquiry *inquiry, struct span url, bool is_list)
{
    uint8_t room[OCSP_REQUEST_MAX];
    struct span body = SPAN("");
    struct list_fetch *list = NULL;
    struct span text = span_copy(url); /* with its NUL */
    if (!is_list)
        body = span_of(room, ocsp_request(inquiry->certificate, inquiry->issuer, room));
    else
        list = calloc(1, sizeof *list);
    if (!text.ptr || (is_list ? list == NULL : body.size == 0)) {
        span_free(&text);
        free(list);
        return false;
    }
    inquiry->fetch = ++rounds->last_number;
    inquiry->due = INT64_MAX;
    rounds->fetches++;
    rounds->hooks.fetch(rounds->hooks.context, inquiry->fetch, text.ptr, body);
    if (!list) {
        span_free(&text);
        return true;
    }
    *list = (struct list_fetch){.next = rounds->lists, .number = inquiry->fetch, .url = text};
    rounds->lists = list;
    return true;
}

/* Asks the next source, or ends the round. */
static void go_on(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    struct span url = SPAN_NONE;
    for (;; inquiry->source++) {
        enum inquiry_source source = inquiry_source(inquiry, &url);
        if (source == INQUIRY_NONE)
            break;
        struct list_fetch *list = source == INQUIRY_CRL ? list_find(rounds, url) : NULL;
        if (list) { /* somebody waits for it already */
            inquiry->fetch = list->number;
            inquiry->due = INT64_MAX;
            return;
        }
        struct span known =
            source == INQUIRY_CRL ? evidence_find(&rounds->evidence, EVIDENCE_LIST, url, now) : SPAN_NONE;
        if (known.ptr && inquiry->standing == STANDING_PENDING && take_list(rounds, inquiry, known, now))
            return;
        if (fetch(rounds, inquiry, url, source == INQUIRY_CRL))
            return;
    }
    conclude(rounds, inquiry, now);
}

bool rounds_recall(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    struct span known = known_answer(rounds, inquiry, now);
    return known.ptr && rounds_take_answer(rounds, inquiry, known, now);
}

void rounds_begin(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    enum standing before = inquiry->standing;
    rounds_consult(rounds, inquiry, now);
    if (inquiry->listed.status == REVOCATION_REVOKED)
        settle_by_file(rounds, inquiry, now);
    else if (before != STANDING_PENDING || !rounds_recall(rounds, inquiry, now))
        go_on(rounds, inquiry, now);
    if (inquiry->standing != before)
        rounds->changed(rounds->changed_context, inquiry);
}

void rounds_advance(struct rounds *rounds, int64_t now)
{
    for (struct inquiry *inquiry = rounds->all; inquiry; inquiry = inquiry->next) {
        if (rounds->fetches >= rounds->settings.fetches_max)
            return;
        if (inquiry->due <= now)
            rounds_begin(rounds, inquiry, now);
    }
}

int64_t rounds_due(const struct rounds *rounds)
{
    int64_t due = INT64_MAX;
    if (rounds->fetches >= rounds->settings.fetches_max)
        return due;
    for (const struct inquiry *inquiry = rounds->all; inquiry; inquiry = inquiry->next)
        if (inquiry->due < due)
            due = inquiry->due;
    return due;
}

/* A list is of use until the earliest of its inquiries says that it is stale. */
static void keep_list(struct rounds *rounds, struct span url, struct span der, int64_t until, int64_t now)
{
    if (until > now)
        (void)evidence_put(&rounds->evidence, EVIDENCE_LIST, url, der, until, now);
}

static struct span list_over(struct rounds *rounds, uint64_t number)
{
    for (struct list_fetch **link = &rounds->lists; *link; link = &(*link)->next) {
        struct list_fetch *list = *link;
        if (list->number != number)
            continue;
        struct span url = list->url;
        *link = list->next;
        free(list);
        return url;
    }
    return SPAN_NONE;
}

/* One that asked for this list before, and will have to again, is served by the way. */
static bool shares_list(const struct inquiry *inquiry, struct span url)
{
    if (!url.ptr || inquiry->fetch || inquiry->sources.ocsp_count || inquiry->standing == STANDING_DISTRUSTED)
        return false;
    for (unsigned i = 0; i < inquiry->sources.crl_count; i++)
        if (span_equal(inquiry->sources.crl[i], url))
            return true;
    return false;
}

void rounds_fetched(struct rounds *rounds, uint64_t number, struct span body, int64_t now)
{
    struct span url = list_over(rounds, number);
    int64_t until = 0;
    rounds->fetches--;
    for (struct inquiry *inquiry = rounds->all; inquiry; inquiry = inquiry->next) {
        if (inquiry->fetch != number && !shares_list(inquiry, url))
            continue;
        enum standing before = inquiry->standing;
        uint64_t was = inquiry->fetch;
        inquiry->fetch = 0;
        bool is_asked = was == number;
        if (is_asked && !body.ptr)
            inquiry->status = REVOCATION_SILENCE;
        bool is_over = body.ptr && (url.ptr ? take_list(rounds, inquiry, body, now)
                                            : rounds_take_answer(rounds, inquiry, body, now));
        if (is_over) {
            until = inquiry->answer.next_update;
        } else if (is_asked) {
            inquiry->source++;
            go_on(rounds, inquiry, now);
        }
        if (inquiry->standing != before)
            rounds->changed(rounds->changed_context, inquiry);
    }
    if (url.ptr && body.ptr)
        keep_list(rounds, url, body, until, now);
    span_free(&url);
}

void rounds_clock(struct rounds *rounds, int64_t now)
{
    for (struct inquiry *inquiry = rounds->all; inquiry; inquiry = inquiry->next)
        if (inquiry->due != INT64_MAX && inquiry->due > now + rounds->settings.interval_s)
            inquiry->due = now + rounds->settings.interval_s;
}

/* ---- the operator's lists ---------------------------------------------------------------------------------------- */

void rounds_consult(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    inquiry->listed = (struct revocation_answer){.status = REVOCATION_SILENCE};
    inquiry->file = NULL;
    if (rounds->files)
        inquiry->listed = crl_files_judge(rounds->files, inquiry->certificate, inquiry->issuer, now, &inquiry->file);
}

/* What its standing rested on has gone: it is asked for as if for the first time. A good one stays good until somebody
 * has answered, or nobody has. */
static void forget_file(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    inquiry->rests_on_file = false;
    inquiry->answer.next_update = 0;
    inquiry->failures = 0;
    if (inquiry->standing == STANDING_REVOKED)
        inquiry->standing = STANDING_PENDING;
    if (inquiry->sources.ocsp_count + inquiry->sources.crl_count == 0)
        conclude(rounds, inquiry, now);
    else if (!inquiry->fetch)
        inquiry->due = now;
}

static void judge_again(struct rounds *rounds, struct inquiry *inquiry, int64_t now)
{
    bool is_unanswered = inquiry->standing == STANDING_UNCHECKED || inquiry->standing == STANDING_UNANSWERED;
    rounds_consult(rounds, inquiry, now);
    if (inquiry->standing == STANDING_DISTRUSTED)
        return;
    if (inquiry->listed.status == REVOCATION_REVOKED)
        settle_by_file(rounds, inquiry, now);
    else if (inquiry->rests_on_file)
        forget_file(rounds, inquiry, now);
    else if (is_unanswered && inquiry->listed.status == REVOCATION_GOOD)
        conclude(rounds, inquiry, now);
}

void rounds_exchange_files(struct rounds *rounds, struct crl_files *files, int64_t now)
{
    struct crl_files *before = rounds->files;
    rounds->files = files;
    for (struct inquiry *inquiry = rounds->all; inquiry; inquiry = inquiry->next)
        judge_again(rounds, inquiry, now);
    crl_files_unref(before);
}
