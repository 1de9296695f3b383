/* SPDX-License-Identifier: MIT */
#include "router/s2s/remote.h"

#include "core/base/log.h"
#include "io/io.h"
#include "router/route/deliver.h"
#include "router/route/shard.h"
#include "router/s2s/access.h"
#include "router/s2s/ack.h"
#include "router/s2s/contact.h"
#include "router/s2s/idle.h"
#include "router/s2s/s2s.h"
#include "router/s2s/unacked.h"
#include "router/stream/stream.h"
#include "router/stream/unsent.h"

#include <stdlib.h>

/* What a pair has learnt (how often it failed) is forgotten when nobody has asked for it so long. */
#define FORGET_MS 600000u

/* A stanza that makes the other side end the stream would be sent for ever. */
#define STUCK_MAX 3u

static struct span remote_key(const void *object)
{
    const struct remote *remote = object;
    return span_of(remote->domain, remote->domain_size);
}

void remote_init(struct shard *shard)
{
    table_init(&shard->remotes, &shard->router->hash_key, remote_key);
}

static struct pair *pair_in(const struct remote *remote, struct span local)
{
    struct pair *pair = remote->first;
    while (pair && !span_equal(pair_local(pair), local))
        pair = pair->next;
    return pair;
}

struct pair *remote_pair_find(const struct shard *shard, struct span local, struct span domain)
{
    const struct remote *remote = table_find(&shard->remotes, domain);
    return remote ? pair_in(remote, local) : NULL;
}

static struct remote *remote_new(struct shard *shard, struct span domain)
{
    struct remote *remote = calloc(1, sizeof *remote + domain.size);
    if (!remote)
        return NULL;
    remote->domain_size = (uint16_t)domain.size;
    memcpy(remote->domain, domain.ptr, domain.size);
    if (table_add(&shard->remotes, remote))
        return remote;
    free(remote);
    return NULL;
}

static void time_is_up(void *context, struct timer *timer);

struct pair *remote_pair(struct shard *shard, struct span local, struct span domain)
{
    struct remote *remote = table_find(&shard->remotes, domain);
    struct pair *pair = remote ? pair_in(remote, local) : NULL;
    if (pair)
        return pair;
    if (shard->pair_count == shard->policy->config->s2s_pairs_max)
        return NULL;
    pair = calloc(1, sizeof *pair + local.size);
    if (!pair)
        return NULL;
    if (!remote)
        remote = remote_new(shard, domain);
    if (!remote) {
        free(pair);
        return NULL;
    }
    pair->shard = shard;
    pair->remote = remote;
    pair->timer.fire = time_is_up;
    pair->domain_size = (uint16_t)local.size;
    memcpy(pair->domain, local.ptr, local.size);
    pair->next = remote->first;
    remote->first = pair;
    shard->pair_count++;
    return pair;
}

static void pair_free(struct pair *pair)
{
    struct shard *shard = pair->shard;
    struct remote *remote = pair->remote;
    if (pair->unsettled)
        pair->unsettled->unsettled = NULL;
    wheel_cancel(shard->wheel, &pair->timer);
    chain_clear(&pair->queue, shard->pool);
    struct pair **link = &remote->first;
    while (*link != pair)
        link = &(*link)->next;
    *link = pair->next;
    shard->pair_count--;
    free(pair);
    if (!remote->first) {
        table_remove(&shard->remotes, remote);
        free(remote);
    }
}

void remote_fini(struct shard *shard)
{
    uint32_t position = 0;
    struct remote *remote;
    uint64_t lost = counter_read(shard->counters, COUNTER_S2S_WAITING);
    if (lost)
        log_event(LOG_WARN, "s2s.unsettled", "shard=%u stanzas=%llu text=\"they may or may not have arrived\"",
                  shard->index, (unsigned long long)lost);
    while ((remote = table_next(&shard->remotes, &position))) {
        for (struct pair *pair = remote->first, *next; pair; pair = next) {
            next = pair->next;
            pair_free(pair); /* the last one takes remote with it */
        }
    }
    table_fini(&shard->remotes);
}

static void pair_timer(struct pair *pair, uint64_t ms)
{
    wheel_set(pair->shard->wheel, &pair->timer, shard_now_ms(pair->shard) + ms);
}

static void become(struct pair *pair, enum pair_state state)
{
    wheel_cancel(pair->shard->wheel, &pair->timer);
    pair->state = (uint8_t)state;
}

static void become_idle(struct pair *pair)
{
    become(pair, PAIR_IDLE);
    pair_timer(pair, FORGET_MS);
}

/* RFC 6120 s3.3: a random first rest, so that not all come back at once; then twice as long each time. */
static uint64_t rest_ms(const struct pair *pair)
{
    const struct config *config = pair->shard->policy->config;
    uint64_t longest = config->s2s_rest_max_ms, ms = config->s2s_rest_min_ms;
    for (unsigned i = 1; i < pair->failures && ms < longest; i++)
        ms *= 2;
    if (ms > longest)
        ms = longest;
    uint32_t dice;
    io_random(pair->shard->io, &dice, sizeof dice);
    return ms / 2 + dice % (ms / 2 + 1);
}

bool remote_use_spare(struct pair *pair)
{
    struct io_conn *conn = pair->spare_ref ? io_find(pair->shard->io, pair->spare_ref) : NULL;
    struct stream *stream = conn ? conn->owner : NULL;
    pair->spare_ref = 0;
    if (pair->state != PAIR_CONNECTING || !stream || !stream->is_s2s || stream->state != STREAM_BOUND)
        return false;
    s2s_speak(s2s_of(stream), pair_local(pair), pair_remote(pair));
    return true;
}

/* All that waits goes back to its senders. */
static void return_waiting(struct pair *pair)
{
    struct chain waiting = pair->queue;
    pair->queue = (struct chain){0};
    pair->queued = 0;
    unsent_return(pair->shard, &waiting, NS_SERVER, COUNTER_S2S_WAITING, pair->error);
    chain_clear(&waiting, pair->shard->pool);
}

void remote_failed(struct pair *pair, enum stanza_error error)
{
    if (remote_use_spare(pair))
        return;
    if (pair->failures < UINT8_MAX)
        pair->failures++;
    become(pair, PAIR_RESTING);
    pair->error = error;
    uint64_t ms = rest_ms(pair);
    pair_timer(pair, ms);
    log_event(LOG_INFO, "s2s.failed", "from=%s to=%s error=%s failures=%u rest_ms=%llu",
              log_quoted(pair_local(pair)).text, log_quoted(pair_remote(pair)).text, reply_error_name(error),
              pair->failures, (unsigned long long)ms);
    return_waiting(pair);
}

static void time_is_up(void *context, struct timer *timer)
{
    (void)context;
    struct pair *pair = (struct pair *)((char *)timer - offsetof(struct pair, timer));
    switch ((enum pair_state)pair->state) {
    case PAIR_CONNECTING:
        shard_count(pair->shard, COUNTER_S2S_FAILED_TIMEOUT, 1);
        contact_cancel(pair->contact);
        pair->contact = NULL;
        remote_failed(pair, ERROR_REMOTE_SERVER_TIMEOUT);
        break;
    case PAIR_RESTING:
        become_idle(pair);
        break;
    case PAIR_IDLE:
        pair_free(pair);
        break;
    case PAIR_READY:
        break;
    }
}

static bool connect_pair(struct pair *pair)
{
    if (pair->shard->drain_deadline_ms) /* nothing would come of it before the shard ends */
        return false;
    if (!access_permits(pair->shard->policy->config, pair_remote(pair)))
        return false; /* since a reload */
    pair->contact = contact_begin(pair);
    if (!pair->contact)
        return false;
    become(pair, PAIR_CONNECTING);
    pair_timer(pair, pair->shard->policy->config->s2s_timeout_ms);
    return true;
}

static size_t letter_size(const struct letter *letter)
{
    return letter->payload ? letter->payload->size : letter->payload_inline.size;
}

static bool enqueue(struct pair *pair, struct letter *letter)
{
    struct shard *shard = pair->shard;
    if (pair->queue.size + letter_size(letter) > shard->policy->config->limits_queue_hard)
        return false;
    deliver_append(shard, &pair->queue, letter);
    pair->queued++;
    shard_count(shard, COUNTER_S2S_WAITING, 1);
    return true;
}

/* What the router answers by itself is not on its user's account. */
static bool may_dial(struct shard *shard, const struct letter *letter)
{
    return !letter->sender.ref || budget_take_user(shard, jid_bare(&letter->from));
}

static void note_said(struct s2s *s2s, uint32_t stanzas, size_t bytes)
{
    s2s->said.stanzas += stanzas;
    s2s->said.bytes += bytes;
}

void remote_deliver(struct shard *shard, struct letter *letter)
{
    struct span local = jid_domain(&letter->from), domain = jid_domain(&letter->to);
    struct pair *pair = remote_pair_find(shard, local, domain);
    bool is_ready = pair && pair->state == PAIR_READY;
    if (!is_ready && !access_permits(shard->policy->config, domain)) {
        shard_count(shard, COUNTER_S2S_DENIED, 1);
        deliver_bounce(shard, letter, ERROR_NOT_ALLOWED); /* RFC 6120 s8.3.3.10 */
        return;
    }
    if ((!pair || pair->state == PAIR_IDLE) && !may_dial(shard, letter)) {
        deliver_bounce(shard, letter, ERROR_RESOURCE_CONSTRAINT);
        return;
    }
    if (!pair)
        pair = remote_pair(shard, local, domain);
    bool is_taken = false;
    enum stanza_error error = shard->drain_deadline_ms ? ERROR_REMOTE_SERVER_TIMEOUT : ERROR_RESOURCE_CONSTRAINT;
    if (is_ready) {
        size_t before = pair->stream->out.size;
        is_taken = deliver_to_stream(shard, pair->stream, letter);
        if (is_taken)
            note_said(s2s_of(pair->stream), 1, pair->stream->out.size - before);
        if (is_taken && pair->stream->is_acked)
            ack_wrote(s2s_of(pair->stream), 1);
        if (letter->from.local_size)
            idle_used(s2s_of(pair->stream));
    } else if (pair && pair->state == PAIR_RESTING) {
        error = pair->error;
    } else if (pair && (pair->state == PAIR_CONNECTING || connect_pair(pair))) {
        is_taken = enqueue(pair, letter);
    }
    if (!is_taken)
        deliver_bounce(shard, letter, error);
}

/* In front of what waits already. */
static void put_first(struct pair *pair, struct chain *stanzas, uint32_t count)
{
    chain_splice(stanzas, &pair->queue);
    pair->queue = *stanzas;
    pair->queued += count;
}

/* Sent by that stream, and not acknowledged. */
static void take_unacknowledged(struct pair *pair, struct s2s *s2s)
{
    struct chain stanzas = {0};
    bool has_moved = ack_has_moved(s2s);
    uint32_t count = unacked_collect(s2s, pair_local(pair), &stanzas);
    if (has_moved)
        pair->stuck = 0;
    if (!count)
        return;
    if (!has_moved && ++pair->stuck >= STUCK_MAX) {
        pair->stuck--; /* the next stream has to bring something over */
        unsent_return(pair->shard, &stanzas, NS_SERVER, COUNTER_S2S_WAITING, ERROR_REMOTE_SERVER_TIMEOUT);
        chain_clear(&stanzas, pair->shard->pool);
    } else {
        put_first(pair, &stanzas, count);
    }
}

struct unsent {
    struct shard *shard;
    struct chain stanzas;
    uint32_t count;
};

static void take_one(void *context, const struct xml_stanza *stanza)
{
    struct unsent *unsent = context;
    chain_append(&unsent->stanzas, unsent->shard->pool, span_of(stanza->bytes, stanza->size));
    unsent->count++;
}

/* Not sent by the stream in use. */
static void take_unsent(struct pair *pair)
{
    struct shard *shard = pair->shard;
    struct chain *out = &pair->stream->out;
    struct unsent unsent = {.shard = shard};
    unsent_walk(shard, out, NS_SERVER, take_one, &unsent);
    chain_clear(out, shard->pool);
    uint32_t waiting = ack_take_waiting(s2s_of(pair->stream)); /* by the books, which have the others as delivered */
    uint32_t lost = waiting > unsent.count ? waiting - unsent.count : 0; /* where reading them found no memory */
    uint32_t delivered = unsent.count + lost - waiting;
    counter_sub(shard->counters, COUNTER_DELIVERED, delivered);
    counter_sub(shard->counters, COUNTER_S2S_WAITING, lost);
    shard_count(shard, COUNTER_LOST, lost);
    shard_count(shard, COUNTER_S2S_WAITING, delivered);
    put_first(pair, &unsent.stanzas, unsent.count);
}

static void take_from_unsettled(struct pair *pair)
{
    struct s2s *s2s = pair->unsettled;
    if (!s2s)
        return;
    pair->unsettled = NULL;
    s2s->unsettled = NULL;
    take_unacknowledged(pair, s2s);
}

void remote_ready(struct pair *pair, struct stream *stream)
{
    struct shard *shard = pair->shard;
    if (pair->contact)
        contact_cancel(pair->contact);
    pair->contact = NULL;
    pair->spare_ref = 0;
    take_from_unsettled(pair); /* its last word comes too late */
    become(pair, PAIR_READY);
    pair->stream = stream;
    pair->ready_ms = shard_now_ms(shard);
    if (chain_is_empty(&pair->queue))
        return;
    if (stream->is_acked) {
        ack_wrote(s2s_of(stream), pair->queued);
    } else {
        counter_sub(shard->counters, COUNTER_S2S_WAITING, pair->queued);
        shard_count(shard, COUNTER_DELIVERED, pair->queued);
    }
    note_said(s2s_of(stream), pair->queued, pair->queue.size);
    pair->queued = 0;
    chain_splice(&stream->out, &pair->queue);
    stream_touch(stream);
}

void remote_stream_replaced(struct pair *pair)
{
    take_unsent(pair);
    take_unacknowledged(pair, s2s_of(pair->stream));
    pair->stream = NULL;
}

/* There is no stream any more, and perhaps something to say. */
static void go_on(struct pair *pair)
{
    bool is_over = pair->shard->drain_deadline_ms || pair->was_brief || chain_is_empty(&pair->queue);
    if (!is_over && connect_pair(pair))
        return;
    if (!chain_is_empty(&pair->queue))
        remote_failed(pair, ERROR_REMOTE_SERVER_TIMEOUT);
    else
        become_idle(pair);
}

void remote_stream_ended(struct pair *pair)
{
    struct shard *shard = pair->shard;
    struct stream *stream = pair->stream;
    struct s2s *s2s = s2s_of(stream);
    pair->was_brief = shard_now_ms(shard) - pair->ready_ms <= shard->policy->config->s2s_rest_min_ms;
    if (!pair->was_brief)
        pair->failures = 0;
    bool has_last_word = s2s->hears_late && !stream->has_footer && !stream->has_ended;
    if (has_last_word && ack_is_hearing(s2s) && !ack_is_clear(s2s)) {
        take_unsent(pair);
        pair->unsettled = s2s;
        s2s->unsettled = pair;
        pair->stream = NULL;
    } else {
        remote_stream_replaced(pair);
    }
    go_on(pair);
}

void remote_settle(struct pair *pair)
{
    take_from_unsettled(pair);
    if (chain_is_empty(&pair->queue))
        return;
    if (pair->state == PAIR_IDLE)
        go_on(pair);
    else if (pair->state == PAIR_RESTING)
        return_waiting(pair);
}

void remote_end_rest(struct shard *shard, struct span domain)
{
    const struct remote *remote = table_find(&shard->remotes, domain);
    for (struct pair *pair = remote ? remote->first : NULL; pair; pair = pair->next) {
        if (pair->state != PAIR_RESTING)
            continue;
        pair->failures = 0;
        become_idle(pair);
    }
}
