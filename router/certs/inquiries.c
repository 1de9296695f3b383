/* SPDX-License-Identifier: MIT */
#include "router/certs/inquiries_priv.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "router/certs/rounds_priv.h"

#include <stdatomic.h>

/* A credential that is watched. */
struct dossier {
    struct credential *credential;
    struct watch *watches;
    struct inspector_finding told; /* the last one; the tag is the watch's */
    unsigned count;                /* of inquiries: the path but its anchor */
    struct inquiry *inquiries[CREDENTIAL_PATH_MAX];
};

struct watch {
    struct watch *next; /* of the dossier */
    struct dossier *dossier;
    bool is_told;
    struct {
        uint64_t tag;
        uint64_t client;
    } key;
};

struct inquiries {
    struct rounds rounds;
    struct table dossiers;  /* by fingerprint */
    struct table watches;   /* by key */
    struct table inquiries; /* by key */
};

static struct span dossier_key(const void *object)
{
    const struct dossier *dossier = object;
    return span_of(dossier->credential->fingerprint, sizeof dossier->credential->fingerprint);
}

static struct span watch_key(const void *object)
{
    const struct watch *watch = object;
    return span_of(&watch->key, sizeof watch->key);
}

static struct span inquiry_table_key(const void *object)
{
    const struct inquiry *inquiry = object;
    return span_of(inquiry->key, sizeof inquiry->key);
}

/* ---- inquiries --------------------------------------------------------------------------------------------------- */

static bool is_distrusted(const struct inquiries *inquiries, const struct inquiry *inquiry)
{
    const struct span names[] = {span_of(inquiry->sha256, sizeof inquiry->sha256),
                                 revocation_serial(inquiry->certificate)};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (evidence_find(&inquiries->rounds.evidence, EVIDENCE_DISTRUST, names[i], INT64_MIN).ptr)
            return true;
    return false;
}

static struct inquiry *inquiry_take(struct inquiries *inquiries, const struct credential_certificate *certificate,
                                    const struct credential_certificate *issuer, int64_t now)
{
    uint8_t key[INQUIRY_KEY_SIZE];
    inquiry_key(certificate, issuer, key);
    struct inquiry *inquiry = table_find(&inquiries->inquiries, span_of(key, sizeof key));
    if (inquiry) {
        inquiry->references++;
        return inquiry;
    }
    inquiry = inquiry_new(certificate, issuer);
    if (!inquiry || !table_add(&inquiries->inquiries, inquiry)) {
        if (inquiry)
            inquiry_free(inquiry);
        return NULL;
    }
    inquiry->references = 1;
    rounds_consult(&inquiries->rounds, inquiry, now);
    if (is_distrusted(inquiries, inquiry))
        inquiry->standing = STANDING_DISTRUSTED;
    inquiry->due = inquiry->standing == STANDING_DISTRUSTED ? INT64_MAX : INT64_MIN;
    inquiry->next = inquiries->rounds.all;
    if (inquiries->rounds.all)
        inquiries->rounds.all->previous = inquiry;
    inquiries->rounds.all = inquiry;
    return inquiry;
}

static void inquiry_remove(struct inquiries *inquiries, struct inquiry *inquiry)
{
    if (inquiry->next)
        inquiry->next->previous = inquiry->previous;
    if (inquiry->previous)
        inquiry->previous->next = inquiry->next;
    else
        inquiries->rounds.all = inquiry->next;
    table_remove(&inquiries->inquiries, inquiry);
    inquiry_free(inquiry);
}

/* One that is being asked for stays until its round is over: the answer is remembered for who comes again. Otherwise a
 * responder that takes longer than streams wait would be asked for ever, and under hard nobody let in. */
static void inquiry_drop(struct inquiries *inquiries, struct inquiry *inquiry)
{
    if (--inquiry->references == 0 && !inquiry->fetch)
        inquiry_remove(inquiries, inquiry);
}

/* Those that only their round kept. */
static void sweep(struct inquiries *inquiries)
{
    struct inquiry *next;
    for (struct inquiry *inquiry = inquiries->rounds.all; inquiry; inquiry = next) {
        next = inquiry->next;
        if (!inquiry->references && !inquiry->fetch)
            inquiry_remove(inquiries, inquiry);
    }
}

/* ---- standings --------------------------------------------------------------------------------------------------- */

/* The worst of the path; the enum is in rising order but for what is not known yet, which hides nothing worse. */
static struct inspector_finding assess(const struct dossier *dossier)
{
    static const uint8_t weight[] = {
        [STANDING_GOOD] = 0,    [STANDING_UNCHECKED] = 1, [STANDING_UNANSWERED] = 2,
        [STANDING_PENDING] = 3, [STANDING_REVOKED] = 4,   [STANDING_DISTRUSTED] = 5, /* UNSTAPLED is no chain's */
    };
    struct inspector_finding finding = {.standing = STANDING_GOOD};
    for (unsigned i = 0; i < dossier->count; i++) {
        const struct inquiry *inquiry = dossier->inquiries[i];
        if (weight[inquiry->standing] <= weight[finding.standing])
            continue;
        finding.standing = inquiry->standing;
        finding.fault = i;
        finding.status = inquiry->standing == STANDING_REVOKED ? REVOCATION_REVOKED : inquiry->status;
        finding.reason = inquiry->standing == STANDING_REVOKED ? inquiry->answer.reason : 0;
        finding.rests_on_file = inquiry->rests_on_file;
    }
    for (unsigned i = 0; i < dossier->count && finding.standing == STANDING_GOOD; i++)
        finding.rests_on_file |= dossier->inquiries[i]->rests_on_file;
    return finding;
}

static void tell(const struct inquiries *inquiries, struct watch *watch, struct inspector_finding finding)
{
    watch->is_told = true;
    finding.tag = watch->key.tag;
    inquiries->rounds.hooks.tell(inquiries->rounds.hooks.context, (unsigned)watch->key.client, &finding);
}

static void reassess(const struct inquiries *inquiries, struct dossier *dossier)
{
    struct inspector_finding finding = assess(dossier);
    if (finding.standing == dossier->told.standing)
        return;
    dossier->told = finding;
    if (finding.standing == STANDING_PENDING) /* trusted again: what it is instead is told once it is known */
        return;
    for (struct watch *watch = dossier->watches; watch; watch = watch->next)
        tell(inquiries, watch, finding);
}

/* Those that contain it; a walk, for answers come seldom beside what else a server does. */
static void changed(void *context, const struct inquiry *inquiry)
{
    const struct inquiries *inquiries = context;
    struct dossier *dossier;
    uint32_t position = 0;
    while ((dossier = table_next(&inquiries->dossiers, &position)))
        for (unsigned i = 0; i < dossier->count; i++)
            if (dossier->inquiries[i] == inquiry)
                reassess(inquiries, dossier);
}

/* ---- watches ----------------------------------------------------------------------------------------------------- */

static void dossier_free(struct inquiries *inquiries, struct dossier *dossier)
{
    for (unsigned i = 0; i < dossier->count; i++)
        inquiry_drop(inquiries, dossier->inquiries[i]);
    credential_free(dossier->credential);
    free(dossier);
}

/* Takes the reference. NULL: no memory. */
static struct dossier *dossier_new(struct inquiries *inquiries, struct credential *credential, int64_t now)
{
    struct dossier *dossier = calloc(1, sizeof *dossier);
    if (!dossier) {
        credential_free(credential);
        return NULL;
    }
    dossier->credential = credential;
    dossier->told.standing = STANDING_PENDING;
    bool is_made = true;
    for (unsigned i = 0; is_made && i + 1 < credential->count; i++) {
        struct inquiry *inquiry = inquiry_take(inquiries, &credential->path[i], &credential->path[i + 1], now);
        is_made = inquiry != NULL;
        if (is_made)
            dossier->inquiries[dossier->count++] = inquiry;
    }
    if (is_made && table_add(&inquiries->dossiers, dossier))
        return dossier;
    dossier_free(inquiries, dossier);
    return NULL;
}

static struct watch *watch_new(struct inquiries *inquiries, unsigned client, uint64_t tag,
                               struct credential *credential, int64_t now)
{
    struct span name = span_of(credential->fingerprint, sizeof credential->fingerprint);
    struct dossier *dossier = table_find(&inquiries->dossiers, name);
    if (dossier)
        credential_free(credential);
    else
        dossier = dossier_new(inquiries, credential, now);
    struct watch *watch = dossier ? calloc(1, sizeof *watch) : NULL;
    if (watch) {
        *watch = (struct watch){.next = dossier->watches, .dossier = dossier, .key = {tag, client}};
        if (!table_add(&inquiries->watches, watch)) {
            free(watch);
            watch = NULL;
        }
    }
    if (watch)
        dossier->watches = watch;
    if (dossier && !dossier->watches) {
        table_remove(&inquiries->dossiers, dossier);
        dossier_free(inquiries, dossier);
    }
    return watch;
}

/* What needs no fetch is known at once; the rest begins with the next advance. */
static void look_up(struct inquiries *inquiries, struct inquiry *inquiry, int64_t now)
{
    bool has_source = inquiry->sources.ocsp_count + inquiry->sources.crl_count > 0;
    bool is_listed = inquiry->listed.status == REVOCATION_REVOKED;
    if (!is_listed && rounds_recall(&inquiries->rounds, inquiry, now))
        changed(inquiries, inquiry);
    else if (!has_source || is_listed)
        rounds_begin(&inquiries->rounds, inquiry, now);
    else
        inquiry->due = now;
}

/* What was taken back, or is distrusted, stays so whatever a peer shows. */
static void take_staple(struct inquiries *inquiries, const struct dossier *dossier, struct span staple, int64_t now)
{
    struct inquiry *leaf = dossier->count ? dossier->inquiries[0] : NULL;
    if (!leaf || leaf->standing == STANDING_DISTRUSTED || leaf->standing == STANDING_REVOKED)
        return;
    enum standing before = leaf->standing;
    if (rounds_take_staple(&inquiries->rounds, leaf, staple, now) && leaf->standing != before)
        changed(inquiries, leaf);
}

void inquiries_watch(struct inquiries *inquiries, unsigned client, uint64_t tag, struct credential *credential,
                     struct span staple, int64_t now)
{
    struct watch *watch = watch_new(inquiries, client, tag, credential, now);
    if (!watch) {
        const struct inspector_finding finding = {.tag = tag, .standing = STANDING_UNANSWERED};
        inquiries->rounds.hooks.tell(inquiries->rounds.hooks.context, client, &finding);
        return;
    }
    struct dossier *dossier = watch->dossier;
    if (staple.size)
        take_staple(inquiries, dossier, staple, now);
    for (unsigned i = 0; i < dossier->count; i++)
        if (dossier->inquiries[i]->due == INT64_MIN)
            look_up(inquiries, dossier->inquiries[i], now);
    reassess(inquiries, dossier); /* tells all, this watch among them, if it is news */
    if (!watch->is_told && dossier->told.standing != STANDING_PENDING)
        tell(inquiries, watch, dossier->told);
}

static struct watch *watch_find(const struct inquiries *inquiries, unsigned client, uint64_t tag)
{
    const struct watch wanted = {.key = {tag, client}};
    return table_find(&inquiries->watches, watch_key(&wanted));
}

void inquiries_staple(struct inquiries *inquiries, unsigned client, uint64_t tag, struct span staple, int64_t now)
{
    const struct watch *watch = watch_find(inquiries, client, tag);
    if (watch)
        take_staple(inquiries, watch->dossier, staple, now);
}

void inquiries_unwatch(struct inquiries *inquiries, unsigned client, uint64_t tag)
{
    struct watch *watch = watch_find(inquiries, client, tag);
    if (!watch)
        return;
    struct dossier *dossier = watch->dossier;
    struct watch **link = &dossier->watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    table_remove(&inquiries->watches, watch);
    free(watch);
    if (dossier->watches)
        return;
    table_remove(&inquiries->dossiers, dossier);
    dossier_free(inquiries, dossier);
}

unsigned inquiries_distrust(struct inquiries *inquiries, struct span name)
{
    unsigned count = 0;
    (void)evidence_put(&inquiries->rounds.evidence, EVIDENCE_DISTRUST, name, SPAN(""), INT64_MAX, INT64_MIN);
    for (struct inquiry *inquiry = inquiries->rounds.all; inquiry; inquiry = inquiry->next) {
        if (!inquiry_is_named(inquiry, name) || inquiry->standing == STANDING_DISTRUSTED)
            continue;
        inquiry->standing = STANDING_DISTRUSTED;
        inquiry->due = INT64_MAX;
        inquiry->fetch = 0; /* what is under way changes nothing any more */
        changed(inquiries, inquiry);
        count += inquiry->references;
    }
    return count;
}

bool inquiries_trust(struct inquiries *inquiries, struct span name, int64_t now)
{
    if (!evidence_remove(&inquiries->rounds.evidence, EVIDENCE_DISTRUST, name))
        return false;
    for (struct inquiry *inquiry = inquiries->rounds.all; inquiry; inquiry = inquiry->next) {
        if (inquiry->standing != STANDING_DISTRUSTED || is_distrusted(inquiries, inquiry))
            continue;
        inquiry->standing = STANDING_PENDING;
        look_up(inquiries, inquiry, now);
        changed(inquiries, inquiry);
    }
    return true;
}

void inquiries_list_distrusted(const struct inquiries *inquiries, inspector_name_fn fn, void *context)
{
    struct inquiries_memory memory;
    uint32_t position = 0;
    while (inquiries_next_memory(inquiries, &position, &memory))
        if (memory.kind == EVIDENCE_DISTRUST)
            fn(context, memory.name);
}

void inquiries_exchange_files(struct inquiries *inquiries, struct crl_files *files, int64_t now)
{
    struct dossier *dossier;
    uint32_t position = 0;
    rounds_exchange_files(&inquiries->rounds, files, now);
    while ((dossier = table_next(&inquiries->dossiers, &position)))
        reassess(inquiries, dossier);
}

/* The domain's own, or of somebody there. */
static bool is_about(const struct credential *credential, struct span domain)
{
    return identity_matches(&credential->identity, domain, "xmpp-server") ||
           identity_has_person_at(&credential->identity, domain);
}

unsigned inquiries_check(struct inquiries *inquiries, struct span domain, int64_t now)
{
    struct dossier *dossier;
    uint32_t position = 0;
    unsigned count = 0;
    while ((dossier = table_next(&inquiries->dossiers, &position))) {
        if (!is_about(dossier->credential, domain))
            continue;
        count++;
        for (unsigned i = 0; i < dossier->count; i++) {
            struct inquiry *inquiry = dossier->inquiries[i];
            if (!inquiry->fetch && inquiry->standing != STANDING_DISTRUSTED)
                inquiry->due = now;
        }
    }
    return count;
}

static void describe_inquiry(const struct inquiry *inquiry, struct inspector_chain *chain)
{
    const struct revocation_sources *sources = &inquiry->sources;
    if (!chain->source.size && sources->ocsp_count)
        chain->source = sources->ocsp[0];
    else if (!chain->source.size && sources->crl_count)
        chain->source = sources->crl[0];
    chain->has_ocsp |= sources->ocsp_count > 0;
    chain->has_crl |= sources->crl_count > 0;
    if (!chain->file || inquiry->rests_on_file)
        chain->file = inquiry->file;
    chain->is_asking |= inquiry->fetch != 0;
    if (inquiry->checked > chain->checked)
        chain->checked = inquiry->checked;
    bool is_due = inquiry->due != INT64_MAX && inquiry->due != INT64_MIN;
    if (is_due && (!chain->due || inquiry->due < chain->due))
        chain->due = inquiry->due;
}

void inquiries_list(const struct inquiries *inquiries, struct span domain, inspector_chain_fn fn, void *context)
{
    const struct dossier *dossier;
    uint32_t position = 0;
    while ((dossier = table_next(&inquiries->dossiers, &position))) {
        const struct credential *credential = dossier->credential;
        uint32_t streams = atomic_load_explicit(&credential->uses, memory_order_relaxed);
        if (!streams || (domain.size && !is_about(credential, domain)))
            continue;
        const struct inspector_finding finding = assess(dossier);
        struct inspector_chain chain = {
            .credential = credential,
            .serial = revocation_serial(credential->path[0].der),
            .streams = streams,
            .standing = finding.standing,
            .status = finding.status,
        };
        for (unsigned i = 0; i < dossier->count; i++)
            describe_inquiry(dossier->inquiries[i], &chain);
        chain.is_stapled = dossier->count && dossier->inquiries[0]->is_stapled;
        fn(context, &chain);
    }
}

/* ---- the asking -------------------------------------------------------------------------------------------------- */

void inquiries_advance(struct inquiries *inquiries, int64_t now)
{
    rounds_advance(&inquiries->rounds, now);
}

int64_t inquiries_due(const struct inquiries *inquiries)
{
    return rounds_due(&inquiries->rounds);
}

void inquiries_fetched(struct inquiries *inquiries, uint64_t number, struct span body, int64_t now)
{
    rounds_fetched(&inquiries->rounds, number, body, now);
    sweep(inquiries);
}

void inquiries_clock(struct inquiries *inquiries, int64_t now)
{
    rounds_clock(&inquiries->rounds, now);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

bool inquiries_next_memory(const struct inquiries *inquiries, uint32_t *position, struct inquiries_memory *out)
{
    const struct evidence_piece *piece = table_next(&inquiries->rounds.evidence.pieces, position);
    if (!piece)
        return false;
    *out = (struct inquiries_memory){piece->name[0], span_of(piece->name + 1, piece->name_size - 1), piece->content,
                                     piece->until};
    return true;
}

void inquiries_remember(struct inquiries *inquiries, const struct inquiries_memory *memory, int64_t now)
{
    bool is_known =
        memory->kind == EVIDENCE_ANSWER || memory->kind == EVIDENCE_LIST || memory->kind == EVIDENCE_DISTRUST;
    if (is_known && memory->until > now)
        (void)evidence_put(&inquiries->rounds.evidence, (enum evidence_kind)memory->kind, memory->name, memory->content,
                           memory->until, now);
}

uint64_t inquiries_version(const struct inquiries *inquiries)
{
    return inquiries->rounds.evidence.version;
}

struct evidence *inquiries_evidence(struct inquiries *inquiries)
{
    return &inquiries->rounds.evidence;
}

struct inquiries_count inquiries_count(const struct inquiries *inquiries)
{
    return (struct inquiries_count){inquiries->watches.count, inquiries->dossiers.count, inquiries->inquiries.count,
                                    inquiries->rounds.evidence.pieces.count, inquiries->rounds.fetches};
}

/* ---- from end to end --------------------------------------------------------------------------------------------- */

struct inquiries *inquiries_new(const struct inspector_settings *settings, const struct inquiries_hooks *hooks)
{
    struct inquiries *inquiries = calloc(1, sizeof *inquiries);
    struct hash_key key;
    if (!inquiries)
        return NULL;
    for (size_t i = 0; i < sizeof key / sizeof(uint32_t); i++) {
        uint32_t word = hooks->dice(hooks->context);
        memcpy((char *)&key + i * sizeof word, &word, sizeof word);
    }
    table_init(&inquiries->dossiers, &key, dossier_key);
    table_init(&inquiries->watches, &key, watch_key);
    table_init(&inquiries->inquiries, &key, inquiry_table_key);
    rounds_init(&inquiries->rounds, settings, hooks, &key);
    inquiries->rounds.changed = changed;
    inquiries->rounds.changed_context = inquiries;
    return inquiries;
}

void inquiries_free(struct inquiries *inquiries)
{
    struct watch *watch;
    struct dossier *dossier;
    uint32_t position = 0;
    while ((watch = table_next(&inquiries->watches, &position))) {
        table_remove(&inquiries->watches, watch);
        free(watch);
    }
    position = 0;
    while ((dossier = table_next(&inquiries->dossiers, &position))) {
        table_remove(&inquiries->dossiers, dossier);
        dossier_free(inquiries, dossier);
    }
    while (inquiries->rounds.all)
        inquiry_remove(inquiries, inquiries->rounds.all);
    table_fini(&inquiries->watches);
    table_fini(&inquiries->dossiers);
    table_fini(&inquiries->inquiries);
    rounds_fini(&inquiries->rounds);
    free(inquiries);
}
