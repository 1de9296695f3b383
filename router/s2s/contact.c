/* SPDX-License-Identifier: MIT */
#include "router/s2s/contact.h"

#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/remote.h"
#include "router/s2s/resolver.h"
#include "router/s2s/s2s.h"
#include "router/s2s/trial.h"
#include "router/stream/stream.h"

#include <stdlib.h>

/* Addresses tried in one go; a domain with more has its other ones tried the next time (they are drawn anew). */
#define CONTACT_CANDIDATES_MAX 12u

/* Under way on a shard. Pairs are many, but those that are being connected are few unless somebody plays. */
#define CONTACTS_MAX 4096u

struct candidate {
    union address address;
    bool is_direct_tls;
};

/* Exactly one of pair, check and trial is set. An attempt is a connection that is being made (conn), then a stream. */
struct contact {
    struct contact *next, *previous; /* all of the shard */
    struct shard *shard;
    struct pair *pair;
    struct dialback_check *check;
    struct trial *trial;
    struct io_conn *conn;
    struct stream *stream;
    struct timer timer; /* the next step: at once, or when an attempt took too long */
    uint64_t tag;       /* of the question to the resolver */
    uint64_t due_ms;    /* of a check: all candidates together; a pair has a timer of its own */
    bool is_resolved;
    unsigned candidate_count;
    unsigned next_candidate;
    enum stanza_error error; /* if there is nobody to connect to */
    struct candidate candidates[CONTACT_CANDIDATES_MAX];
};

struct shard *contact_shard(const struct contact *contact)
{
    return contact->shard;
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
    if (contact->next)
        contact->next->previous = contact->previous;
    if (contact->previous)
        contact->previous->next = contact->next;
    else
        shard->contacts = contact->next;
    shard->contact_count--;
    dialback_check_free(contact->check);
    free(contact);
}

static void step_in(struct contact *contact, uint64_t ms)
{
    uint64_t when = shard_now_ms(contact->shard) + ms;
    if (contact->due_ms && when > contact->due_ms)
        when = contact->due_ms;
    wheel_set(contact->shard->wheel, &contact->timer, when);
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
        dialback_checked(shard, check, DIALBACK_UNREACHABLE);
        return;
    }
    pair->contact = NULL;
    remote_failed(pair, error);
}

/* The attempt under way is of no use any more. */
static void drop_attempt(struct contact *contact)
{
    struct stream *stream = contact->stream;
    struct io_conn *conn = contact->conn;
    contact->stream = NULL;
    contact->conn = NULL;
    if (stream) {
        s2s_of(stream)->contact = NULL;
        stream_close(stream, STREAM_NO_ERROR, NULL);
    } else if (conn) {
        conn->owner = NULL;
        io_close(contact->shard->io, conn);
    }
}

static void candidate_add(struct contact *contact, const struct resolver_candidate *found, unsigned address)
{
    if (contact->candidate_count == CONTACT_CANDIDATES_MAX)
        return;
    contact->candidates[contact->candidate_count++] =
        (struct candidate){.address = found->addresses[address], .is_direct_tls = found->is_direct_tls};
}

/* RFC 6120 s10.4.3: a domain without a server is not found. If it has some, no stream can be negotiated with them, were
 * it only that they refuse connections; and one that could not be asked for may be there later. */
static enum stanza_error error_of(enum resolver_status status)
{
    bool is_passing = status == RESOLVER_FOUND || status == RESOLVER_TIMEOUT || status == RESOLVER_FAILED || status == RESOLVER_BUSY;
    return is_passing ? ERROR_REMOTE_SERVER_TIMEOUT : ERROR_REMOTE_SERVER_NOT_FOUND;
}

void contact_resolved(void *context, const struct resolver_answer *answer)
{
    struct shard *shard = context;
    struct contact *contact = shard->contacts;
    while (contact && contact->tag != answer->tag)
        contact = contact->next;
    if (!contact)
        return; /* cancelled meanwhile */
    contact->is_resolved = true;
    if (answer->status != RESOLVER_FOUND)
        shard_count(shard, COUNTER_S2S_FAILED_RESOLVE, 1);
    contact->error = error_of(answer->status);
    trial_resolved(contact->trial, answer);
    for (unsigned i = 0; answer->status == RESOLVER_FOUND && i < answer->count; i++)
        for (unsigned j = 0; j < answer->candidates[i].address_count; j++)
            candidate_add(contact, &answer->candidates[i], j);
    step_in(contact, 0);
}

/* A full resolver is asked again in a moment; the pair's time limits how often. */
#define ASK_AGAIN_MS 100u

static void ask(struct contact *contact)
{
    struct shard *shard = contact->shard;
    if (!shard->resolver || !resolver_post(shard->resolver, contact->tag, contact_theirs(contact)))
        step_in(contact, ASK_AGAIN_MS);
}

static void next_step(void *context, struct timer *timer)
{
    (void)context;
    struct contact *contact = (struct contact *)((char *)timer - offsetof(struct contact, timer));
    struct shard *shard = contact->shard;
    if (is_over(contact)) {
        drop_attempt(contact);
        give_up(contact);
        return;
    }
    if (!contact->is_resolved) {
        ask(contact);
        return;
    }
    if (contact->conn || contact->stream) {
        const struct candidate *before = &contact->candidates[contact->next_candidate - 1];
        shard_count(shard, COUNTER_S2S_FAILED_TIMEOUT, 1);
        trial_address(contact->trial, "give-up", false, &before->address, "s2s.dial_timeout is over");
    }
    drop_attempt(contact);
    while (contact->next_candidate < contact->candidate_count) {
        const struct candidate *candidate = &contact->candidates[contact->next_candidate++];
        contact->conn = io_dial(shard->io, NULL, &candidate->address.head, NULL);
        shard_count(shard, COUNTER_S2S_DIALLED, 1);
        if (!contact->conn) {
            shard_count(shard, COUNTER_S2S_FAILED_CONNECT, 1);
            trial_address(contact->trial, "connect", false, &candidate->address, "no descriptor or slot is free");
            continue;
        }
        contact->conn->owner = NULL; /* a stream's, once it is connected */
        step_in(contact, shard->policy->config->s2s_dial_timeout_ms);
        return;
    }
    give_up(contact);
}

static struct contact *contact_new(struct shard *shard)
{
    struct contact *contact = shard->contact_count < CONTACTS_MAX ? calloc(1, sizeof *contact) : NULL;
    if (!contact)
        return NULL;
    shard->contact_count++;
    contact->shard = shard;
    contact->error = ERROR_REMOTE_SERVER_TIMEOUT; /* until the resolver has answered */
    contact->timer.fire = next_step;
    contact->tag = ++shard->contact_serial;
    contact->next = shard->contacts;
    if (shard->contacts)
        shard->contacts->previous = contact;
    shard->contacts = contact;
    step_in(contact, 0);
    return contact;
}

struct contact *contact_begin(struct pair *pair)
{
    struct contact *contact = contact_new(pair->shard);
    if (contact)
        contact->pair = pair;
    return contact;
}

bool contact_begin_check(struct shard *shard, struct dialback_check *check)
{
    struct contact *contact = contact_new(shard);
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
        contact->trial = trial;
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
    drop_attempt(contact);
    contact_free(contact);
}

static struct contact *contact_of(const struct shard *shard, const struct io_conn *conn)
{
    struct contact *contact = shard->contacts;
    while (contact && contact->conn != conn)
        contact = contact->next;
    return contact;
}

void contact_opened(struct shard *shard, struct io_conn *conn, int error)
{
    struct contact *contact = contact_of(shard, conn);
    if (!contact) {
        if (!error)
            io_close(shard->io, conn);
        return; /* cancelled meanwhile */
    }
    if (error)
        return; /* closed follows: contact_broken() */
    const struct candidate *candidate = &contact->candidates[contact->next_candidate - 1];
    contact->conn = NULL;
    if (is_over(contact)) { /* no stream begins on a shard that ends */
        io_close(shard->io, conn);
        step_in(contact, 0);
        return;
    }
    trial_address(contact->trial, "connect", true, &candidate->address, candidate->is_direct_tls ? "direct TLS" : "");
    contact->stream = s2s_dialled(contact, conn, candidate->is_direct_tls);
    if (contact->stream)
        stream_keep_address(contact->stream, &candidate->address.head);
    if (!contact->stream || contact->stream->state == STREAM_CLOSING) {
        contact->stream = NULL;
        io_close(shard->io, conn);
        step_in(contact, 0);
    }
}

void contact_broken(struct shard *shard, struct io_conn *conn)
{
    struct contact *contact = contact_of(shard, conn);
    if (!contact)
        return;
    const struct candidate *candidate = &contact->candidates[contact->next_candidate - 1];
    shard_count(shard, COUNTER_S2S_FAILED_CONNECT, 1);
    trial_address(contact->trial, "connect", false, &candidate->address, "refused, unreachable or reset");
    contact->conn = NULL;
    step_in(contact, 0);
}

struct pair *contact_won(struct contact *contact, struct stream *stream)
{
    struct pair *pair = contact->pair;
    contact->stream = NULL; /* contact_cancel() of remote_ready() leaves it alone */
    remote_ready(pair, stream);
    return pair;
}

void contact_lost(struct contact *contact, struct stream *stream)
{
    if (contact->stream != stream)
        return;
    contact->stream = NULL;
    step_in(contact, 0);
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
    contact->check = NULL;
    s2s->contact = NULL;
    contact_free(contact);
    stream_close(&s2s->stream, STREAM_NO_ERROR, NULL); /* XEP-0220 s2.1.2: it was for this alone */
    dialback_checked(shard, check, result);
}

void contact_drain(struct shard *shard)
{
    for (struct contact *contact = shard->contacts; contact; contact = contact->next)
        step_in(contact, 0); /* to find that it is over */
}

void contact_fini(struct shard *shard)
{
    while (shard->contacts) {
        struct trial *trial = shard->contacts->trial;
        contact_free(shard->contacts);
        if (trial)
            trial->over(trial, false);
    }
}
