/* SPDX-License-Identifier: MIT */
#include "router/s2s/ack.h"

#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/s2s/ack_priv.h"
#include "router/s2s/remote.h"
#include "router/s2s/s2s.h"
#include "router/stream/throttle.h"
#include "tls/engine.h"

#include <stdlib.h>

#define SM "urn:xmpp:sm:3"

/* Below this a flush is copied to the end of kept: a chunk of its own would hold up to forty times its bytes. */
#define MOVE_MIN 2048u

/* ------------------------------------------------------------------------------------------------ said and kept */

static struct chunk_pool *pool_of(const struct s2s *s2s)
{
    return s2s->stream.shard->pool;
}

static bool ack_new(struct s2s *s2s)
{
    s2s->ack = calloc(1, sizeof *s2s->ack);
    if (s2s->ack)
        s2s->ack->s2s = s2s;
    return s2s->ack != NULL;
}

/* All that is written from now on. */
static void count_on(struct s2s *s2s)
{
    s2s->ack->uncounted = s2s->stream.out.size;
    s2s->stream.is_acked = true;
    stream_touch(&s2s->stream);
}

static void let_go(struct s2s *s2s, size_t bytes)
{
    struct ack *ack = s2s->ack;
    chain_consume(&ack->kept, pool_of(s2s), bytes);
    s2s->stream.shard->ack_bytes -= bytes;
}

void ack_let_go(struct s2s *s2s)
{
    let_go(s2s, s2s->ack->kept.size);
    s2s->ack->mark_count = 0;
    s2s->ack->is_growing = false;
    s2s->ack->released = s2s->ack->acked;
}

void ack_free(struct s2s *s2s)
{
    if (!s2s->ack)
        return;
    ack_stop(s2s);
    ack_let_go(s2s);
    free(s2s->ack);
    s2s->ack = NULL;
}

void ack_stop(struct s2s *s2s)
{
    if (s2s->ack)
        wheel_cancel(s2s->stream.shard->wheel, &s2s->ack->timer);
}

/* Encrypts all of bytes, if there is TLS; they are gone. */
static bool say(struct stream *stream, struct chain *bytes, size_t size)
{
    struct chunk_pool *pool = stream->shard->pool;
    if (stream->tls)
        return engine_write(stream->tls, bytes, size, &stream->wire, pool) != ENGINE_FAILED;
    if (size >= bytes->size) {
        chain_splice(&stream->wire, bytes);
        return true;
    }
    while (size) {
        struct span front = chain_front(bytes);
        if (front.size > size)
            front.size = size;
        chain_append(&stream->wire, pool, front);
        chain_consume(bytes, pool, front.size);
        size -= front.size;
    }
    return true;
}

static void copy_chain(struct chain *to, struct chunk_pool *pool, const struct chain *from)
{
    for (const struct chunk *chunk = from->head; chunk; chunk = chunk->next)
        chain_append(to, pool, span_of(chunk->bytes + chunk->start, chunk->end - chunk->start));
}

static void mark_grow(struct ack *ack, size_t bytes)
{
    if (!ack->is_growing && ack->mark_count < ACK_MARKS) {
        ack->is_growing = true;
        ack->marks[ack->mark_count++] = (struct ack_mark){.wall_ms = (uint64_t)io_wall_ms(ack->s2s->stream.shard->io)};
    }
    struct ack_mark *last = &ack->marks[ack->mark_count - 1];
    last->bytes += (uint32_t)bytes;
    last->count = ack->sent;
}

/* All of out, which is kept. */
static bool say_kept(struct s2s *s2s)
{
    struct ack *ack = s2s->ack;
    struct stream *stream = &s2s->stream;
    struct chain *out = &stream->out;
    if (stream->tls && engine_write_kept(stream->tls, out, &stream->wire, pool_of(s2s)) == ENGINE_FAILED)
        return false;
    if (!stream->tls) /* the io gives what it has sent back to the pool */
        copy_chain(&stream->wire, pool_of(s2s), out);
    if (ack->sent == ack->acked)
        ack->moved_ms = shard_now_ms(stream->shard);
    ack->sent += ack->waiting;
    ack->waiting = 0;
    stream->shard->ack_bytes += out->size;
    mark_grow(ack, out->size);
    if (out->size >= MOVE_MIN) {
        chain_splice(&ack->kept, out);
    } else {
        copy_chain(&ack->kept, pool_of(s2s), out);
        chain_clear(out, pool_of(s2s));
    }
    return true;
}

static bool has_room(const struct s2s *s2s)
{
    const struct shard *shard = s2s->stream.shard;
    const struct config *config = shard->policy->config;
    if (s2s->ack->is_offered)
        return false;
    size_t kept = s2s->ack->kept.size;
    return !kept || (kept < config->s2s_ack_window && shard->ack_bytes < config->s2s_ack_windows);
}

static bool say_enabled(struct s2s *s2s)
{
    struct chain chain = {0};
    struct xml_writer w = xml_writer_on(&chain, pool_of(s2s));
    s2s->ack->owes_enabled = false;
    xml_empty(&w, "enabled", SM);
    bool is_said = say(&s2s->stream, &chain, SIZE_MAX);
    chain_clear(&chain, pool_of(s2s));
    return is_said;
}

static void write_heard(const struct s2s *s2s, struct xml_writer w)
{
    xml_open(&w, "a");
    xml_namespace(&w, SM);
    xml_write_attribute_f(&w, "h", "%u", s2s->ack->heard);
    xml_close(&w);
}

static bool say_heard(struct s2s *s2s)
{
    struct chain chain = {0};
    s2s->ack->owes_answer = false;
    write_heard(s2s, xml_writer_on(&chain, pool_of(s2s)));
    bool is_said = say(&s2s->stream, &chain, SIZE_MAX);
    chain_clear(&chain, pool_of(s2s));
    return is_said;
}

/* Nobody is asked again about the same but by the timer. */
static bool must_ask(const struct s2s *s2s)
{
    const struct ack *ack = s2s->ack;
    if (!ack->is_enabled || ack->is_asked)
        return false;
    if (ack->wants_ask)
        return true;
    uint32_t unasked = ack->sent - ack->asked_at;
    bool is_much = unasked >= ACK_STANZAS || ack->kept.size >= s2s->stream.shard->policy->config->s2s_ack_window / 8;
    return unasked && (is_much || !chain_is_empty(&s2s->stream.out));
}

static bool say_ask(struct s2s *s2s)
{
    struct ack *ack = s2s->ack;
    struct chain chain = {0};
    struct xml_writer w = xml_writer_on(&chain, pool_of(s2s));
    xml_empty(&w, "r", SM);
    ack->wants_ask = false;
    ack->is_asked = true;
    ack->is_growing = ack->mark_count == ACK_MARKS; /* the next flush begins another mark, if there is one left */
    ack->asked_at = ack->sent;
    shard_count(s2s->stream.shard, COUNTER_S2S_ACKS_ASKED, 1);
    bool is_said = say(&s2s->stream, &chain, SIZE_MAX);
    chain_clear(&chain, pool_of(s2s));
    return is_said;
}

/* ------------------------------------------------------------------------------------------------ time */

static void look(void *context, struct timer *timer);

/* It goes on as if it had not been offered. */
static void count_no_more(struct s2s *s2s)
{
    struct ack *ack = s2s->ack;
    struct shard *shard = s2s->stream.shard;
    uint32_t count = ack->sent - ack->acked + ack->waiting;
    counter_sub(shard->counters, COUNTER_S2S_WAITING, count);
    shard_count(shard, COUNTER_DELIVERED, count);
    s2s->stream.is_acked = false;
    ack_free(s2s);
    stream_touch(&s2s->stream);
}

static void look_in(struct ack *ack, uint64_t ms)
{
    struct shard *shard = ack->s2s->stream.shard;
    ack->timer.fire = look;
    wheel_set(shard->wheel, &ack->timer, shard_now_ms(shard) + ms);
}

/* Something has been under way for a while. */
static void look(void *context, struct timer *timer)
{
    (void)context;
    struct ack *ack = (struct ack *)((char *)timer - offsetof(struct ack, timer));
    struct stream *stream = &ack->s2s->stream;
    struct shard *shard = stream->shard;
    uint64_t now = shard_now_ms(shard), answer = shard->policy->config->timeouts_answer_ms;
    if (ack->is_offered) {
        count_no_more(ack->s2s);
        return;
    }
    if (ack->sent == ack->acked || stream->state != STREAM_BOUND)
        return;
    if (stream->is_paused) /* it is we who do not read */
        ack->moved_ms = now;
    uint64_t still = now - ack->moved_ms;
    if (answer && still >= answer) {
        shard_count(shard, COUNTER_SILENT, 1);
        stream_close(stream, STREAM_CONNECTION_TIMEOUT_ERROR, "nothing was acknowledged");
        return;
    }
    if (!ack->is_asked) {
        ack->wants_ask = true;
        stream_touch(stream);
    }
    /* Who says again and again that nothing is done is asked less and less. */
    uint64_t next = still > ACK_MS ? still : ACK_MS;
    look_in(ack, answer && next > answer - still ? answer - still : next);
}

bool ack_flush(struct s2s *s2s)
{
    struct ack *ack = s2s->ack;
    struct stream *stream = &s2s->stream;
    size_t before = ack->uncounted;
    ack->uncounted = 0;
    if (before && !say(stream, &stream->out, before))
        return false;
    if (ack->owes_enabled && !say_enabled(s2s))
        return false;
    if (ack->owes_answer && !say_heard(s2s))
        return false;
    if (!ack->waiting) {
        if (!chain_is_empty(&stream->out) && !say(stream, &stream->out, SIZE_MAX))
            return false;
    } else if (has_room(s2s) && !say_kept(s2s)) {
        return false;
    }
    if (must_ask(s2s) && !say_ask(s2s))
        return false;
    if (ack->sent != ack->acked && !timer_is_set(&ack->timer))
        look_in(ack, ACK_MS);
    return true;
}

bool ack_is_pending(const struct s2s *s2s)
{
    return s2s->ack && (s2s->ack->owes_answer || s2s->ack->wants_ask || s2s->ack->owes_enabled);
}

bool ack_ask(struct s2s *s2s)
{
    if (!ack_is_hearing(s2s))
        return false;
    if (!s2s->ack->is_asked) {
        s2s->ack->wants_ask = true;
        stream_touch(&s2s->stream);
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------ counts */

bool ack_is_hearing(const struct s2s *s2s)
{
    return s2s->ack && s2s->ack->is_enabled;
}

bool ack_is_clear(const struct s2s *s2s)
{
    return !s2s->ack || s2s->ack->sent == s2s->ack->acked;
}

void ack_heard(struct s2s *s2s)
{
    if (ack_is_hearing(s2s))
        s2s->ack->heard++;
    else if (s2s->ack && s2s->ack->is_offered)
        count_no_more(s2s);
}

void ack_wrote(struct s2s *s2s, uint32_t count)
{
    s2s->ack->waiting += count;
}

uint32_t ack_take_waiting(struct s2s *s2s)
{
    uint32_t waiting = s2s->ack ? s2s->ack->waiting : 0;
    if (s2s->ack)
        s2s->ack->waiting = 0;
    return waiting;
}

/* The other side answers for all up to h; some that we have sent are new among them. */
static void take_count(struct s2s *s2s, uint32_t h)
{
    struct ack *ack = s2s->ack;
    struct shard *shard = s2s->stream.shard;
    uint32_t more = h - ack->acked;
    ack->acked = h;
    counter_sub(shard->counters, COUNTER_S2S_WAITING, more);
    shard_count(shard, COUNTER_ROUTED, more);
    if (more) {
        ack->has_moved = true;
        ack->moved_ms = shard_now_ms(shard);
        wheel_cancel(shard->wheel, &ack->timer); /* the next flush sets it, if anything is left */
    }
    unsigned done = 0;
    while (done < ack->mark_count && ack->acked - ack->marks[done].count < UINT32_C(1) << 31) {
        let_go(s2s, ack->marks[done].bytes);
        ack->released = ack->marks[done++].count;
    }
    if (done == ack->mark_count)
        ack->is_growing = false;
    ack->mark_count -= (uint8_t)done;
    memmove(ack->marks, ack->marks + done, ack->mark_count * sizeof ack->marks[0]);
}

/* xs:unsignedInt. False: it is none. */
static bool read_count(const struct xml_stanza *element, uint32_t *count)
{
    char room[64];
    const struct xml_attribute *attribute = xml_attribute(element, 0, NS_NONE, "h");
    struct span text = attribute ? xml_value(element, attribute, room, sizeof room) : SPAN_NONE;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = 10 * value + (uint64_t)(text.ptr[i] - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *count = (uint32_t)value;
    return text.size != 0;
}

void ack_late(struct s2s *s2s, const struct xml_stanza *element)
{
    uint32_t h;
    if (ack_is_hearing(s2s) && xml_is(element, 0, NS_SM, "a") && read_count(element, &h) &&
        h - s2s->ack->acked <= s2s->ack->sent - s2s->ack->acked)
        take_count(s2s, h);
}

/* ------------------------------------------------------------------------------------------------ what they say */

static void not_understood(struct s2s *s2s)
{
    stream_close(&s2s->stream, STREAM_UNSUPPORTED_STANZA_TYPE_ERROR, NULL);
}

static void say_failed(struct s2s *s2s, const char *condition)
{
    struct stream *stream = &s2s->stream;
    struct xml_writer w = stream_writer(stream, pool_of(s2s));
    xml_open(&w, "failed");
    xml_namespace(&w, SM);
    xml_empty(&w, condition, "urn:ietf:params:xml:ns:xmpp-stanzas");
    xml_close(&w);
    stream_touch(stream);
    if (stream->out.size > stream->shard->policy->config->limits_queue_soft) /* who asks much reads its answers */
        throttle_sender(stream, stream_ref(stream));
}

void ack_refuse_early(struct s2s *s2s)
{
    say_failed(s2s, "unexpected-request");
}

static void take_enable(struct s2s *s2s, const struct xml_stanza *element)
{
    (void)element;
    struct stream *stream = &s2s->stream;
    if (s2s->is_out) {
        not_understood(s2s);
    } else if (s2s->ack && s2s->ack->is_offered) {
        ack_stop(s2s);
        s2s->ack->is_offered = false;
        s2s->ack->is_enabled = s2s->ack->owes_enabled = true;
        stream_touch(stream);
    } else if (s2s->ack) { /* s3: once */
        say_failed(s2s, "unexpected-request");
        stream_close(stream, STREAM_POLICY_VIOLATION_ERROR, "stream management is enabled already");
    } else if (!stream->shard->policy->config->s2s_acks) {
        say_failed(s2s, "feature-not-implemented");
    } else if (!ack_new(s2s)) {
        say_failed(s2s, "resource-constraint");
    } else {
        s2s->ack->is_enabled = s2s->ack->owes_enabled = true;
        count_on(s2s);
    }
}

/* s5: nothing is resumed here. */
static void take_resume(struct s2s *s2s, const struct xml_stanza *element)
{
    (void)element;
    if (s2s->is_out)
        not_understood(s2s);
    else
        say_failed(s2s, "feature-not-implemented");
}

static void take_enabled(struct s2s *s2s, const struct xml_stanza *element)
{
    (void)element;
    if (!s2s->is_out || !s2s->ack || s2s->ack->is_enabled)
        not_understood(s2s);
    else
        s2s->ack->is_enabled = true;
}

/* s6: recoverable. */
static void take_failed(struct s2s *s2s, const struct xml_stanza *element)
{
    (void)element;
    if (!s2s->is_out || !s2s->ack || s2s->ack->is_enabled)
        not_understood(s2s);
    else
        count_no_more(s2s);
}

static void take_request(struct s2s *s2s, const struct xml_stanza *element)
{
    (void)element;
    if (!ack_is_hearing(s2s)) {
        not_understood(s2s);
        return;
    }
    s2s->ack->owes_answer = true;
    stream_touch(&s2s->stream);
}

static void take_answer(struct s2s *s2s, const struct xml_stanza *element)
{
    struct ack *ack = s2s->ack;
    uint32_t h;
    if (!ack_is_hearing(s2s)) {
        not_understood(s2s);
    } else if (!read_count(element, &h)) {
        stream_close(&s2s->stream, STREAM_BAD_FORMAT_ERROR, "<a/> needs an 'h' that is a number below 2^32");
    } else if (h - ack->acked <= ack->sent - ack->acked) {
        ack->is_asked = false;
        take_count(s2s, h);
        stream_touch(&s2s->stream);
    } else if (h < ack->acked) {
        stream_close(&s2s->stream, STREAM_POLICY_VIOLATION_ERROR, "fewer stanzas are acknowledged than before");
    } else {
        ack->fault_h = h;
        stream_close(&s2s->stream, STREAM_UNDEFINED_CONDITION_ERROR, NULL);
    }
}

void ack_write_fault(const struct s2s *s2s, struct xml_writer *w)
{
    if (!s2s->ack)
        return;
    xml_open(w, "handled-count-too-high");
    xml_namespace(w, SM);
    xml_write_attribute_f(w, "h", "%u", s2s->ack->fault_h);
    xml_write_attribute_f(w, "send-count", "%u", s2s->ack->sent);
    xml_close(w);
}

void ack_element(struct s2s *s2s, const struct xml_stanza *element)
{
    static const struct {
        const char *name;
        void (*take)(struct s2s *s2s, const struct xml_stanza *element);
    } known[] = {
        {"r", take_request},     {"a", take_answer},        {"enable", take_enable},
        {"resume", take_resume}, {"enabled", take_enabled}, {"failed", take_failed},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (span_is(xml_name(element, 0), known[i].name)) {
            known[i].take(s2s, element);
            return;
        }
    }
    not_understood(s2s);
}

void ack_enable(struct s2s *s2s)
{
    bool is_wanted = (s2s->offers & OFFERS_ACKS) && s2s->stream.shard->policy->config->s2s_acks;
    if (!is_wanted || !ack_new(s2s))
        return;
    struct xml_writer w = stream_writer(&s2s->stream, pool_of(s2s));
    xml_empty(&w, "enable", SM);
    count_on(s2s);
}

void ack_offered(struct s2s *s2s)
{
    if (!s2s->stream.shard->policy->config->s2s_acks || !ack_new(s2s))
        return;
    s2s->ack->is_offered = true;
    count_on(s2s);
    look_in(s2s->ack, ACK_OFFER_MS);
}

/* ------------------------------------------------------------------------------------------------ the end */

void ack_say_last(struct s2s *s2s)
{
    if (ack_is_hearing(s2s))
        write_heard(s2s, stream_writer(&s2s->stream, pool_of(s2s)));
}

bool ack_has_moved(const struct s2s *s2s)
{
    return s2s->ack && s2s->ack->has_moved;
}
