/* SPDX-License-Identifier: MIT */
#include "router/certs/staples_priv.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "router/certs/inquiry_priv.h"
#include "tls/context.h"
#include "tls/digest.h"

struct place {
    struct context *context;
    unsigned index;
    const char *domain;
};

/* One of our certificates. */
struct staple {
    uint8_t sha256[CREDENTIAL_SHA256];
    struct inquiry *inquiry; /* NULL: nobody can be asked */
    bool has_responder;
    bool must_staple;
    int64_t failing;      /* since when askings have failed; 0: the last one has not */
    struct span response; /* what is shown, owned; NULL: nothing */
    int64_t made, until;  /* of the response */
    unsigned place_count, place_room;
    struct place *places;
};

struct staples {
    struct inspector_settings settings;
    struct staples_hooks hooks;
    struct evidence *evidence;
    struct table table; /* by hash */
    uint64_t last_number;
    uint32_t fetches;
};

static struct span key_of(const void *object)
{
    const struct staple *staple = object;
    return span_of(staple->sha256, sizeof staple->sha256);
}

static uint32_t dice(const struct staples *staples)
{
    return staples->hooks.dice(staples->hooks.context);
}

struct staples *staples_new(const struct inspector_settings *settings, struct evidence *evidence,
                            const struct staples_hooks *hooks)
{
    struct staples *staples = calloc(1, sizeof *staples);
    struct hash_key key;
    if (!staples)
        return NULL;
    *staples = (struct staples){.settings = *settings, .hooks = *hooks, .evidence = evidence};
    for (size_t i = 0; i < sizeof key / sizeof(uint32_t); i++) {
        uint32_t word = dice(staples);
        memcpy((char *)&key + i * sizeof word, &word, sizeof word);
    }
    table_init(&staples->table, &key, key_of);
    return staples;
}

static void staple_free(struct staple *staple)
{
    if (staple->inquiry)
        inquiry_free(staple->inquiry);
    span_free(&staple->response);
    free(staple->places);
    free(staple);
}

void staples_free(struct staples *staples)
{
    struct staple *staple;
    uint32_t position = 0;
    if (!staples)
        return;
    while ((staple = table_next(&staples->table, &position))) {
        table_remove(&staples->table, staple);
        staple_free(staple);
    }
    table_fini(&staples->table);
    free(staples);
}

/* The first one of those that show it, for the log. */
static const char *name_of(const struct staple *staple)
{
    return staple->places[0].domain;
}

static enum staple_state state_of(const struct staple *staple)
{
    if (!staple->has_responder)
        return STAPLE_NONE;
    if (!staple->inquiry)
        return STAPLE_NO_ISSUER;
    if (staple->inquiry->standing == STANDING_REVOKED)
        return STAPLE_REVOKED;
    if (staple->response.ptr)
        return STAPLE_GOOD;
    return staple->inquiry->standing == STANDING_PENDING ? STAPLE_PENDING : STAPLE_UNANSWERED;
}

/* ---- what is shown ----------------------------------------------------------------------------------------------- */

static void show(const struct staples *staples, const struct staple *staple, const struct place *place)
{
    struct span response = staple->response.ptr ? staple->response : SPAN("");
    if (!staples->hooks.show(staples->hooks.context, place->context, place->index, response))
        log_event(LOG_DEBUG, "certs.staple_unused", "domain=%s", name_of(staple));
}

static void show_everywhere(const struct staples *staples, const struct staple *staple)
{
    for (unsigned i = 0; i < staple->place_count; i++)
        show(staples, staple, &staple->places[i]);
}

static void withdraw(const struct staples *staples, struct staple *staple)
{
    if (!staple->response.ptr)
        return;
    span_free(&staple->response);
    staple->made = staple->until = 0;
    show_everywhere(staples, staple);
}

/* Clients that know of it end the handshake, and nothing else tells why. */
static void complain(const struct staple *staple)
{
    if (staple->must_staple && !staple->response.ptr)
        log_event(LOG_WARN, "certs.must_staple",
                  "domain=%s staple=%s: the certificate demands one, and clients refuse it", name_of(staple),
                  staple_text(state_of(staple)));
}

/* Not in the place of one that lasts longer: of several responders behind one name some may be late. */
static void take_good(const struct staples *staples, struct staple *staple, struct span der,
                      struct revocation_answer answer, int64_t now)
{
    bool is_known = staple->response.ptr && span_equal(staple->response, der);
    struct span copy =
        !is_known && answer.next_update >= staple->until ? span_copy(der) : SPAN_NONE; /* no memory: the next time */
    if (!copy.ptr)
        return;
    span_free(&staple->response);
    staple->response = copy;
    staple->made = answer.this_update;
    staple->until = answer.next_update;
    show_everywhere(staples, staple);
    staples->hooks.count(staples->hooks.context, STANDING_GOOD);
    log_event(LOG_INFO, "certs.staple", "domain=%s left_s=%lld", name_of(staple),
              (long long)(answer.next_update - now));
}

static void take_revoked(const struct staples *staples, struct staple *staple, struct revocation_answer answer,
                         bool is_news)
{
    char since[CLOCK_TEXT_SIZE];
    withdraw(staples, staple);
    if (!is_news)
        return;
    staples->hooks.count(staples->hooks.context, STANDING_REVOKED);
    clock_text(answer.revoked_at, since);
    log_event(LOG_ERROR, "certs.own_revoked",
              "domain=%s reason=%u since=%s: its issuer has revoked our certificate, and others refuse it",
              name_of(staple), answer.reason, since);
    complain(staple);
}

/* The time between four fifths and nine tenths of what is left of the answer, by chance. */
static void renew_early(const struct staples *staples, struct inquiry *inquiry, int64_t now)
{
    int64_t tenth = (inquiry->answer.next_update - now) / 10;
    int64_t due = now + 8 * tenth + (int64_t)dice(staples) % (tenth + 1);
    if (due <= now)
        due = now + 1;
    if (inquiry->due > due)
        inquiry->due = due;
}

/* What TLS has no room for is no answer to us. */
static struct revocation_answer judge(const struct inquiry *inquiry, struct span der, int64_t now)
{
    struct revocation_answer answer = ocsp_judge(der, inquiry->certificate, inquiry->issuer, now);
    if (answer.status == REVOCATION_GOOD && der.size > CONTEXT_STAPLE_MAX)
        answer.status = REVOCATION_UNSUPPORTED;
    return answer;
}

/* An answer from wherever. False: it does not count. */
static bool take(const struct staples *staples, struct staple *staple, struct span der, int64_t now)
{
    struct inquiry *inquiry = staple->inquiry;
    struct revocation_answer answer = judge(inquiry, der, now);
    bool was_revoked = inquiry->standing == STANDING_REVOKED;
    if (!inquiry_settle(inquiry, answer, &staples->settings, dice(staples), now))
        return false;
    struct span key = span_of(inquiry->key, sizeof inquiry->key);
    struct span known = evidence_find(staples->evidence, EVIDENCE_ANSWER, key, now);
    staple->failing = 0;
    if (answer.status == REVOCATION_REVOKED) {
        take_revoked(staples, staple, answer, !was_revoked);
    } else {
        take_good(staples, staple, der, answer, now);
        renew_early(staples, inquiry, now);
    }
    bool is_last = answer.next_update >= staple->until; /* always, of one that is revoked: nothing is shown then */
    if (is_last && (!known.ptr || !span_equal(known, der)))
        (void)evidence_put(staples->evidence, EVIDENCE_ANSWER, key, der, answer.next_update, now);
    return true;
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

void staples_begin(struct staples *staples)
{
    struct staple *staple;
    uint32_t position = 0;
    while ((staple = table_next(&staples->table, &position)))
        staple->place_count = 0;
}

static struct staple *staple_new(struct staples *staples, const struct staple_place *place,
                                 const uint8_t sha256[CREDENTIAL_SHA256])
{
    struct revocation_sources sources = {0};
    struct staple *staple = calloc(1, sizeof *staple);
    if (!staple)
        return NULL;
    (void)revocation_sources(place->leaf, &sources);
    memcpy(staple->sha256, sha256, sizeof staple->sha256);
    staple->has_responder = sources.ocsp_count > 0;
    staple->must_staple = sources.must_staple;
    if (table_add(&staples->table, staple))
        return staple;
    staple_free(staple);
    return NULL;
}

static bool add_place(struct staple *staple, struct place place)
{
    if (staple->place_count == staple->place_room) {
        unsigned room = staple->place_room ? staple->place_room * 2 : 4;
        struct place *places = realloc(staple->places, room * sizeof *places);
        if (!places)
            return false;
        staple->places = places;
        staple->place_room = room;
    }
    staple->places[staple->place_count++] = place;
    return true;
}

/* Now that the issuer is known: what is remembered of the certificate counts at once. */
static void begin_inquiry(const struct staples *staples, struct staple *staple, const struct staple_place *place,
                          int64_t now)
{
    struct credential_certificate certificate = {.der = place->leaf}, issuer = {.der = place->issuer};
    memcpy(certificate.sha256, staple->sha256, sizeof certificate.sha256);
    digest_hash(DIGEST_SHA256, place->issuer, issuer.sha256);
    staple->inquiry = inquiry_new(&certificate, &issuer);
    if (!staple->inquiry)
        return;
    staple->inquiry->sources.crl_count = 0; /* lists cannot be stapled */
    staple->inquiry->due = now;
    struct span key = span_of(staple->inquiry->key, sizeof staple->inquiry->key);
    struct span known = evidence_find(staples->evidence, EVIDENCE_ANSWER, key, now);
    struct span copy = known.ptr ? span_copy(known) : SPAN_NONE; /* taking it may write there */
    if (copy.ptr)
        (void)take(staples, staple, copy, now);
    span_free(&copy);
}

void staples_add(struct staples *staples, const struct staple_place *place, int64_t now)
{
    uint8_t sha256[CREDENTIAL_SHA256];
    digest_hash(DIGEST_SHA256, place->leaf, sha256);
    struct staple *staple = table_find(&staples->table, span_of(sha256, sizeof sha256));
    if (!staple)
        staple = staple_new(staples, place, sha256);
    if (!staple || !add_place(staple, (struct place){place->context, place->index, place->domain}))
        return; /* no memory: it is shown alone */
    if (staple->response.ptr)
        show(staples, staple, &staple->places[staple->place_count - 1]);
    if (!staple->inquiry && staple->has_responder && place->issuer.size)
        begin_inquiry(staples, staple, place, now);
}

void staples_end(struct staples *staples)
{
    struct staple *staple;
    uint32_t position = 0;
    while ((staple = table_next(&staples->table, &position))) {
        if (staple->place_count)
            continue;
        table_remove(&staples->table, staple); /* an answer that is under way finds nobody */
        staple_free(staple);
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------------------ */

/* False: it cannot be asked now. */
static bool fetch(struct staples *staples, struct inquiry *inquiry, struct span url)
{
    uint8_t room[OCSP_REQUEST_MAX];
    struct span body = span_of(room, ocsp_request(inquiry->certificate, inquiry->issuer, room));
    struct span text = span_copy(url); /* with its NUL */
    if (!text.ptr || !body.size) {
        span_free(&text);
        return false;
    }
    inquiry->fetch = STAPLES_NUMBER | ++staples->last_number;
    inquiry->due = INT64_MAX;
    staples->fetches++;
    staples->hooks.fetch(staples->hooks.context, inquiry->fetch, text.ptr, body);
    span_free(&text);
    return true;
}

static void fail(const struct staples *staples, struct staple *staple, int64_t now)
{
    inquiry_fail(staple->inquiry, &staples->settings, dice(staples), now);
    staples->hooks.count(staples->hooks.context, STANDING_UNANSWERED);
    if (staple->failing)
        return; /* told once */
    staple->failing = now;
    log_event(LOG_WARN, "certs.staple_failed", "domain=%s answer=\"%s\" left_s=%lld", name_of(staple),
              revocation_text(staple->inquiry->status), (long long)(staple->until ? staple->until - now : 0));
    complain(staple);
}

/* The next responder, or the end of the round. */
static void go_on(struct staples *staples, struct staple *staple, int64_t now)
{
    struct span url;
    for (; inquiry_source(staple->inquiry, &url) == INQUIRY_OCSP; staple->inquiry->source++)
        if (fetch(staples, staple->inquiry, url))
            return;
    fail(staples, staple, now);
}

void staples_advance(struct staples *staples, int64_t now)
{
    struct staple *staple;
    uint32_t position = 0;
    while ((staple = table_next(&staples->table, &position))) {
        if (staple->until && staple->until <= now) {
            log_event(LOG_WARN, "certs.staple_over", "domain=%s", name_of(staple));
            withdraw(staples, staple);
            complain(staple);
        }
        if (staple->inquiry && staple->inquiry->due <= now && staples->fetches < STAPLES_FETCHES_MAX)
            go_on(staples, staple, now);
    }
}

int64_t staples_due(const struct staples *staples)
{
    const struct staple *staple;
    uint32_t position = 0;
    int64_t due = INT64_MAX;
    bool has_room = staples->fetches < STAPLES_FETCHES_MAX;
    while ((staple = table_next(&staples->table, &position))) {
        if (staple->until && staple->until < due)
            due = staple->until;
        if (has_room && staple->inquiry && staple->inquiry->due < due)
            due = staple->inquiry->due;
    }
    return due;
}

static struct staple *find_fetch(const struct staples *staples, uint64_t number)
{
    struct staple *staple;
    uint32_t position = 0;
    while ((staple = table_next(&staples->table, &position)))
        if (staple->inquiry && staple->inquiry->fetch == number)
            return staple;
    return NULL;
}

void staples_fetched(struct staples *staples, uint64_t number, struct span body, int64_t now)
{
    struct staple *staple = find_fetch(staples, number);
    SL_CHECK(staples->fetches > 0);
    staples->fetches--;
    if (!staple)
        return;
    staple->inquiry->fetch = 0;
    if (!body.ptr)
        staple->inquiry->status = REVOCATION_SILENCE;
    if (body.ptr && take(staples, staple, body, now))
        return;
    staple->inquiry->source++;
    go_on(staples, staple, now);
}

void staples_clock(struct staples *staples, int64_t now)
{
    struct staple *staple;
    uint32_t position = 0;
    int64_t latest = now + staples->settings.interval_s;
    while ((staple = table_next(&staples->table, &position)))
        if (staple->inquiry && staple->inquiry->due != INT64_MAX && staple->inquiry->due > latest)
            staple->inquiry->due = latest;
}

static bool is_shown_for(const struct staple *staple, struct span domain)
{
    for (unsigned i = 0; i < staple->place_count; i++)
        if (span_equal(domain, span_str(staple->places[i].domain)))
            return true;
    return false;
}

unsigned staples_check(struct staples *staples, struct span domain, int64_t now)
{
    struct staple *staple;
    uint32_t position = 0;
    unsigned count = 0;
    while ((staple = table_next(&staples->table, &position))) {
        if (!staple->inquiry || !is_shown_for(staple, domain))
            continue;
        count++;
        if (!staple->inquiry->fetch)
            staple->inquiry->due = now;
    }
    return count;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

bool staples_find(const struct staples *staples, const uint8_t sha256[CREDENTIAL_SHA256], struct inspector_staple *out)
{
    const struct staple *staple = table_find(&staples->table, span_of(sha256, CREDENTIAL_SHA256));
    if (!staple)
        return false;
    const struct inquiry *inquiry = staple->inquiry;
    *out = (struct inspector_staple){.state = state_of(staple), .status = REVOCATION_SILENCE};
    if (!inquiry)
        return true;
    out->status = inquiry->status;
    out->made = staple->made;
    out->until = staple->until;
    out->failing = staple->failing;
    out->revoked = out->state == STAPLE_REVOKED ? inquiry->answer.revoked_at : 0;
    out->checked = inquiry->checked;
    out->due = inquiry->due == INT64_MAX ? 0 : inquiry->due;
    out->url = inquiry->sources.ocsp[0];
    return true;
}

const char *staple_text(enum staple_state state)
{
    static const char *const texts[] = {
        [STAPLE_NONE] = "none", [STAPLE_NO_ISSUER] = "no-issuer",   [STAPLE_PENDING] = "pending",
        [STAPLE_GOOD] = "good", [STAPLE_UNANSWERED] = "unanswered", [STAPLE_REVOKED] = "revoked",
    };
    return texts[state];
}
