/* SPDX-License-Identifier: MIT */
#include "router/s2s/contact.h"

#include "core/base/slab.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/race.h"
#include "router/s2s/remote.h"
#include "router/s2s/resolver.h"
#include "router/s2s/s2s.h"
#include "router/s2s/target.h"
#include "router/s2s/trial.h"
#include "router/stream/stream.h"

/* Under way on a shard. Pairs are many, but those that are being connected are few unless somebody plays. */
#define CONTACTS_MAX 4096u

/* Exactly one of pair, check and trial is set. Connections are made by the race; on the one that wins is the stream. */
struct contact {
    struct shard *shard;
    struct pair *pair;
    struct dialback_check *check;
    struct trial *trial;
    struct stream *stream;
    struct target *targets;
    const struct lane *lane; /* the stream's */
    struct timer timer;      /* the next step: at once, or when an attempt took too long */
    uint64_t due_ms;         /* of a check: all candidates together; a pair has a timer of its own */
    bool is_resolved;
    enum stanza_error error; /* if there is nobody to connect to */
    struct race race;
};

void contact_init(struct shard *shard)
{
    shard->contacts = slab_new(sizeof(struct contact), CONTACTS_MAX);
}

struct shard *contact_shard(const struct contact *contact)
{
    return contact->shard;
}

const struct target *contact_target(const struct contact *contact)
{
    return contact->lane->target;
}

struct trial *contact_trial(const struct contact *contact)
{
    return contact->trial;
}

struct span contact_ours(const struct contact *contact)
{
    if (contact->trial)
        return contact->trial->ours;
    return contact->pair ? pair_local(contact->pair) : contact->check->ours;
}

struct span contact_theirs(const struct contact *contact)
{
    if (contact->trial)
        return contact->trial->theirs;
    return contact->pair ? pair_remote(contact->pair) : contact->check->theirs;
}

const struct dialback_check *contact_check(const struct contact *contact)
{
    return contact->check;
}

static void contact_free(struct contact *contact)
{
    struct shard *shard = contact->shard;
    wheel_cancel(shard->wheel, &contact->timer);
    dialback_check_free(contact->check);
    target_free_all(contact->targets);
    slab_give(shard->contacts, contact);
}

static void step_at(struct contact *contact, uint64_t when)
{
    if (contact->due_ms && when > contact->due_ms)
        when = contact->due_ms;
    wheel_set(contact->shard->wheel, &contact->timer, when);
}

static void step_soon(struct contact *contact)
{
    step_at(contact, shard_now_ms(contact->shard));
}

static bool is_over(const struct contact *contact)
{
    const struct shard *shard = contact->shard;
    return shard->drain_deadline_ms || (contact->due_ms && shard_now_ms(shard) >= contact->due_ms);
}

/* No candidate is left. */
static void give_up(struct contact *contact)
{
    struct pair *pair = contact->pair;
    struct shard *shard = contact->shard;
    struct dialback_check *check = contact->check;
    struct trial *trial = contact->trial;
    enum stanza_error error = contact->error;
    contact->check = NULL;
    contact_free(contact);
    if (trial) {
        trial->over(trial, false);
        return;
    }
    if (check) {
        dialback_checked(shard, check,
                         error == ERROR_REMOTE_SERVER_NOT_FOUND ? DIALBACK_NOT_FOUND : DIALBACK_UNREACHABLE);
        return;
    }
    pair->contact = NULL;
    remote_failed(pair, error);
}

/* What is under way is of no use any more. */
static void drop_attempts(struct contact *contact)
{
    struct stream *stream = contact->stream;
    contact->stream = NULL;
    race_stop(&contact->race);
    if (!stream)
        return;
    s2s_of(stream)->contact = NULL;
    stream_close(stream, STREAM_NO_ERROR, NULL);
}

/* RFC 6120 s10.4.3: a domain without a server is not found. If it has some, no stream can be negotiated with them, were
 * it only that they refuse connections; and one that could not be asked for may be there later. */
static enum stanza_error error_of(enum resolver_status status)
{
    bool is_passing =
        status == RESOLVER_FOUND || status == RESOLVER_TIMEOUT || status == RESOLVER_FAILED || status == RESOLVER_BUSY;
    return is_passing ? ERROR_REMOTE_SERVER_TIMEOUT : ERROR_REMOTE_SERVER_NOT_FOUND;
}

/* NULL: it must not be dialled, since nothing that it has could prove the domain, or memory is refused. */
static struct target *take_target(struct contact *contact, const struct resolver_candidate *found)
{
    struct span domain = contact_theirs(contact);
    struct target *target = target_new(found, domain);
    bool needs_records = trust_policy(contact->shard->policy->config, domain) == S2S_DANE;
    if (!target || (needs_records && !dane_is_usable(target->dane))) {
        target_free_all(target);
        return NULL;
    }
    target->next = contact->targets;
    contact->targets = target;
    return target;
}

/* The first target's addresses must not be all that is ever tried: each has its share of the race, and at least one
 * address of each family. */
static void enter_race(struct contact *contact, const struct resolver_answer *answer)
{
    unsigned share = RACE_LANES_MAX / answer->count;
    if (share < 2)
        share = 2;
    for (unsigned i = 0; i < answer->count; i++) {
        const struct resolver_candidate *found = &answer->candidates[i];
        const struct target *target = take_target(contact, found);
        for (unsigned j = 0; target && j < found->address_count && j < share; j++)
            if (!race_add(&contact->race, target, &found->addresses[j], found->priority, found->is_direct_tls))
                return; /* the next time the order is drawn anew */
    }
    if (contact->targets)
        return;
    shard_count(contact->shard, COUNTER_S2S_FAILED_DANE, 1);
    trial_say(contact->trial, "dane", false, "s2s.policy wants TLSA records, and there are none that can be used");
}

void contact_resolved(void *context, const struct resolver_answer *answer)
{
    struct shard *shard = context;
    struct contact *contact = slab_find(shard->contacts, answer->tag);
    if (!contact)
        return; /* cancelled meanwhile */
    contact->is_resolved = true;
    contact->error = error_of(answer->status);
    trial_resolved(contact->trial, answer);
    if (answer->status == RESOLVER_FOUND)
        enter_race(contact, answer);
    else
        shard_count(shard, COUNTER_S2S_FAILED_RESOLVE, 1);
    step_soon(contact);
}

/* A full resolver is asked again in a moment; the pair's time limits how often. */
#define ASK_AGAIN_MS 100u

static void ask(struct contact *contact)
{
    struct shard *shard = contact->shard;
    uint64_t tag = slab_ref(shard->contacts, contact);
    if (!shard->resolver || !resolver_post(shard->resolver, tag, contact_theirs(contact)))
        step_at(contact, shard_now_ms(shard) + ASK_AGAIN_MS);
}

/* Negotiation has taken too long. */
static void give_up_stream(struct contact *contact)
{
    shard_count(contact->shard, COUNTER_S2S_FAILED_TIMEOUT, 1);
    trial_address(contact->trial, "give-up", false, &contact->lane->address, "s2s.dial_timeout is over");
    drop_attempts(contact);
}

static void next_step(void *context, struct timer *timer)
{
    (void)context;
    struct contact *contact = (struct contact *)((char *)timer - offsetof(struct contact, timer));
    if (is_over(contact)) {
        drop_attempts(contact);
        give_up(contact);
        return;
    }
    if (!contact->is_resolved) {
        ask(contact);
        return;
    }
    if (contact->stream)
        give_up_stream(contact);
    if (race_step(&contact->race))
        step_at(contact, race_next_ms(&contact->race));
    else
        give_up(contact);
}

static struct contact *contact_new(struct shard *shard)
{
    struct contact *contact = slab_take(shard->contacts);
    if (!contact)
        return NULL;
    contact->shard = shard;
    contact->error = ERROR_REMOTE_SERVER_TIMEOUT; /* until the resolver has answered */
    contact->timer.fire = next_step;
    race_init(&contact->race, shard, contact);
    step_soon(contact);
    return contact;
}

struct contact *contact_begin(struct pair *pair)
{
    struct shard *shard = pair->shard;
    struct contact *contact = budget_take_domain(shard, pair_remote(pair)) ? contact_new(shard) : NULL;
    if (contact)
        contact->pair = pair;
    return contact;
}

bool contact_begin_check(struct shard *shard, struct dialback_check *check)
{
    struct contact *contact = budget_take_domain(shard, check->theirs) ? contact_new(shard) : NULL;
    if (!contact)
        return false;
    contact->check = check;
    contact->due_ms = shard_now_ms(shard) + shard->policy->config->s2s_timeout_ms;
    return true;
}

bool contact_begin_trial(struct shard *shard, struct trial *trial)
{
    struct contact *contact = shard->resolver ? contact_new(shard) : NULL;
    if (contact)
        contact->trial = contact->race.trial = trial;
    return contact != NULL;
}

void contact_passed(struct contact *contact)
{
    struct trial *trial = contact->trial;
    contact_free(contact);
    trial->over(trial, true);
}

void contact_cancel(struct contact *contact)
{
    drop_attempts(contact);
    contact_free(contact);
}

/* True: it lives, and is the contact's. */
static bool begin_stream(struct contact *contact, struct io_conn *conn)
{
    const struct lane *lane = contact->lane;
    if (is_over(contact))
        return false; /* no stream begins on a shard that ends */
    trial_address(contact->trial, "connect", true, &lane->address, lane->is_direct_tls ? "direct TLS" : "");
    contact->stream = s2s_dialled(contact, conn, lane->is_direct_tls);
    if (contact->stream)
        stream_keep_address(contact->stream, &lane->address.head);
    if (contact->stream && contact->stream->state != STREAM_CLOSING)
        return true;
    contact->stream = NULL;
    return false;
}

void contact_opened(struct shard *shard, struct io_conn *conn, int error)
{
    struct lane *lane = conn->owner;
    struct contact *contact = lane->race->contact;
    conn->owner = NULL; /* a stream's, once there is one */
    if (error) {
        race_failed(lane); /* closed follows, which is nobody's */
        step_soon(contact);
        return;
    }
    race_won(lane);
    contact->lane = lane;
    if (begin_stream(contact, conn)) {
        step_at(contact, lane->due_ms);
        return;
    }
    io_close(shard->io, conn);
    step_soon(contact);
}

struct pair *contact_won(struct contact *contact, struct stream *stream)
{
    struct pair *pair = contact->pair;
    contact->stream = NULL; /* contact_cancel() of remote_ready() leaves it alone */
    remote_ready(pair, stream);
    return pair;
}

void contact_denied(struct s2s *s2s, enum stanza_error error)
{
    if (s2s->contact)
        s2s->contact->error = error;
}

void contact_lost(struct contact *contact, struct stream *stream)
{
    if (contact->stream != stream)
        return;
    contact->stream = NULL;
    step_soon(contact);
}

bool contact_is_heard(const struct contact *contact)
{
    return contact->stream && contact->stream->state != STREAM_HEADER;
}

bool contact_awaits_dialback(const struct contact *contact)
{
    return contact->stream && contact->stream->state == STREAM_DIALBACK;
}

void contact_yield(struct contact *contact)
{
    if (contact->stream)
        s2s_of(contact->stream)->contact = NULL;
    contact->stream = NULL;
    wheel_cancel(contact->shard->wheel, &contact->timer);
    (void)remote_use_spare(contact->pair); /* frees the contact */
}

void contact_verified(struct s2s *s2s, struct span id, enum dialback_result result)
{
    struct contact *contact = s2s->contact;
    if (!contact || !contact->check || !span_equal(id, span_str(contact->check->stream_id)))
        return;
    struct shard *shard = contact->shard;
    struct dialback_check *check = contact->check;
    check->is_by_dane = (s2s->evidence & EVIDENCE_DANE) != 0;
    contact->check = NULL;
    s2s->contact = NULL;
    contact_free(contact);
    stream_close(&s2s->stream, STREAM_NO_ERROR, NULL); /* XEP-0220 s2.1.2: it was for this alone */
    dialback_checked(shard, check, result);
}

void contact_drain(struct shard *shard)
{
    uint32_t position = 0;
    for (struct contact *contact; (contact = slab_next(shard->contacts, &position));)
        step_soon(contact); /* to find that it is over */
}

unsigned contact_count(const struct shard *shard)
{
    return slab_count(shard->contacts);
}

void contact_fini(struct shard *shard)
{
    uint32_t position = 0;
    for (struct contact *contact; (contact = slab_next(shard->contacts, &position));) {
        struct trial *trial = contact->trial;
        contact_free(contact);
        if (trial)
            trial->over(trial, false);
    }
    slab_free(shard->contacts);
}
