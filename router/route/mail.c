/* SPDX-License-Identifier: MIT */
#include "router/route/mail.h"

#include "core/base/check.h"
#include "core/base/link.h"
#include "router/route/deliver.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"

#include <stdlib.h>

/* Records taken from one link in one turn at most: a busy neighbour must not starve the others. */
#define DRAIN_MAX 1024u

enum record_kind { RECORD_LETTER, RECORD_NOTICE, RECORD_CONTROL };

struct record_letter {
    uint8_t record;
    uint8_t kind;
    uint8_t type;
    bool is_chain; /* the payload travels as chunks, not as bytes */
    bool is_remote;
    uint32_t payload_size;
    uint16_t to_parts[3];
    uint16_t from_parts[3];
    uint16_t id_size;
    uint16_t sender_shard;
    uint64_t sender_ref;
    struct chunk *head, *tail;
    char bytes[]; /* to, from, id, payload */
};

struct record_notice {
    uint8_t record;
    uint8_t notice;
    uint16_t stream_shard;
    uint64_t stream_ref;
};

struct record_control {
    uint8_t record;
    uint8_t notice;
    void *argument;
};

/* What found its link full, oldest first, one queue per target. */
struct overflow_node {
    struct overflow_node *next;
    struct stream_ref sender; /* held until this has moved on; ref 0: nobody */
    uint32_t size;            /* that it takes in the link */
    uint32_t used;            /* of it, with meaning */
    _Alignas(8) char record[];
};

struct overflow {
    struct overflow_node *first, *last;
    uint32_t count;
    /* The other direction is crowded: that shard has more to tell us than its link holds (errors, mostly: they are
     * larger than what they answer). Those who write to it wait until we have heard it out. */
    bool is_crowded;
    uint32_t waiting_count, waiting_room;
    struct stream_ref *waiting;
};

static uint32_t jid_size(const struct jid *jid)
{
    return (uint32_t)jid_full(jid).size;
}

static char *put(char *out, struct span bytes)
{
    if (bytes.size)
        memcpy(out, bytes.ptr, bytes.size);
    return out + bytes.size;
}

static void parts_put(uint16_t parts[3], const struct jid *jid)
{
    parts[0] = jid->local_size;
    parts[1] = jid->domain_size;
    parts[2] = jid->resource_size;
}

static struct jid parts_take(const uint16_t parts[3], const char **bytes)
{
    struct jid jid = {*bytes, parts[0], parts[1], parts[2]};
    *bytes += jid_full(&jid).size;
    return jid;
}

static uint32_t payload_size(const struct letter *letter)
{
    return (uint32_t)(letter->payload ? letter->payload->size : letter->payload_inline.size);
}

/* What the record holds. */
static uint32_t letter_record_used(const struct letter *letter, bool is_chain)
{
    uint32_t payload = is_chain ? 0 : payload_size(letter);
    return (uint32_t)sizeof(struct record_letter) + jid_size(&letter->to) + jid_size(&letter->from) +
           (uint32_t)letter->id.size + payload;
}

/* What it takes in the link: a payload that travels as chunks takes the room that its bytes would, untouched, so that
 * limits.link_size bounds what is under way in bytes, whatever its form. */
static uint32_t letter_record_size(const struct shard *shard, const struct letter *letter, bool is_chain)
{
    uint32_t largest = shard->router->link_size / 4; /* that a link takes in one record */
    uint32_t used = letter_record_used(letter, is_chain);
    uint32_t charged = used + (is_chain ? payload_size(letter) : 0);
    return charged < largest ? charged : used < largest ? largest : used;
}

/* Writes the record and empties the letter's chain. */
static void letter_put(struct shard *shard, const struct letter *letter, bool is_chain, void *room)
{
    struct record_letter *record = room;
    *record = (struct record_letter){
        .record = RECORD_LETTER,
        .kind = (uint8_t)letter->kind,
        .type = (uint8_t)letter->type,
        .is_chain = is_chain,
        .is_remote = letter->is_remote,
        .payload_size = payload_size(letter),
        .id_size = (uint16_t)letter->id.size,
        .sender_shard = (uint16_t)letter->sender.shard,
        .sender_ref = letter->sender.ref,
    };
    parts_put(record->to_parts, &letter->to);
    parts_put(record->from_parts, &letter->from);
    char *out = put(record->bytes, jid_full(&letter->to));
    out = put(out, jid_full(&letter->from));
    out = put(out, letter->id);
    if (is_chain) {
        chain_release(letter->payload, shard->pool);
        record->head = letter->payload->head;
        record->tail = letter->payload->tail;
        *letter->payload = (struct chain){0};
        return;
    }
    if (!letter->payload) {
        put(out, letter->payload_inline);
        return;
    }
    for (struct chunk *chunk = letter->payload->head; chunk; chunk = chunk->next)
        out = put(out, span_of(chunk->bytes + chunk->start, chunk->end - chunk->start));
    chain_clear(letter->payload, shard->pool);
}

static void wake_later(struct shard *shard, unsigned to)
{
    shard->wake_mask[to / 64] |= UINT64_C(1) << (to % 64);
}

/* Room in the link, or in a new overflow node when the link is full or others wait already. */
static void *room_for(struct shard *shard, unsigned to, uint32_t size, uint32_t used, struct stream_ref sender,
                      bool *in_link)
{
    struct overflow *overflow = &shard->overflow[to];
    *in_link = false;
    if (!overflow->first) {
        void *room = link_reserve(router_link(shard->router, shard->index, to), size);
        *in_link = room != NULL;
        if (room)
            return room;
    }
    struct overflow_node *node = malloc(sizeof *node + used);
    if (!node)
        return NULL;
    node->next = NULL;
    node->sender = sender;
    node->size = size;
    node->used = used;
    if (overflow->last)
        overflow->last->next = node;
    else
        overflow->first = node;
    overflow->last = node;
    overflow->count++;
    return node->record;
}

static void posted(struct shard *shard, unsigned to, uint32_t size, bool in_link)
{
    if (in_link)
        link_commit(router_link(shard->router, shard->index, to), size);
    else
        shard_count(shard, COUNTER_LINK_FULL, 1);
    wake_later(shard, to);
}

/* The sender of a letter to a shard that we do not keep up with. Without memory it goes on. */
static void wait_for_answers(struct shard *shard, struct overflow *overflow, struct stream_ref sender)
{
    struct stream *stream = stream_find(shard, sender);
    if (!stream)
        return;
    if (overflow->waiting_count == overflow->waiting_room) {
        uint32_t room = overflow->waiting_room ? 2 * overflow->waiting_room : 16;
        struct stream_ref *larger = realloc(overflow->waiting, room * sizeof *larger);
        if (!larger)
            return;
        overflow->waiting = larger;
        overflow->waiting_room = room;
    }
    overflow->waiting[overflow->waiting_count++] = sender;
    stream_hold(stream);
}

/* Before a turn takes what that shard has to tell. */
static void heard_out(struct shard *shard, unsigned from, bool is_crowded)
{
    struct overflow *overflow = &shard->overflow[from];
    overflow->is_crowded = is_crowded;
    if (is_crowded || !overflow->waiting_count)
        return;
    for (uint32_t i = 0; i < overflow->waiting_count; i++) {
        struct stream *stream = stream_find(shard, overflow->waiting[i]);
        if (stream)
            stream_release(stream);
    }
    free(overflow->waiting);
    overflow->waiting = NULL;
    overflow->waiting_count = overflow->waiting_room = 0;
}

bool mail_post_letter(struct shard *shard, unsigned to, struct letter *letter)
{
    SL_CHECK(to != shard->index && to < shard->router->shard_count);
    bool is_chain = letter->payload && letter->payload->size > MAIL_INLINE_MAX;
    uint32_t size = letter_record_size(shard, letter, is_chain);
    bool in_link;
    void *room = room_for(shard, to, size, letter_record_used(letter, is_chain), letter->sender, &in_link);
    if (!room)
        return false;
    letter_put(shard, letter, is_chain, room);
    posted(shard, to, size, in_link);
    shard_count(shard, COUNTER_MAIL_OUT, 1);
    if (!in_link) {
        struct stream *sender = stream_find(shard, letter->sender);
        if (sender)
            stream_hold(sender);
        else
            ((struct overflow_node *)shard->overflow[to].last)->sender.ref = 0;
    } else if (shard->overflow[to].is_crowded) {
        wait_for_answers(shard, &shard->overflow[to], letter->sender);
    }
    return true;
}

void mail_post_notice(struct shard *shard, unsigned to, enum notice notice, struct stream_ref stream)
{
    bool in_link;
    const uint32_t size = sizeof(struct record_notice);
    struct record_notice *record = room_for(shard, to, size, size, (struct stream_ref){0}, &in_link);
    /* A notice that finds no memory is lost: a sender then stays throttled until its stream ends. Memory for 48 bytes
     * refused means the process is about to end anyway. */
    if (!record)
        return;
    *record = (struct record_notice){RECORD_NOTICE, (uint8_t)notice, (uint16_t)stream.shard, stream.ref};
    posted(shard, to, sizeof *record, in_link);
}

bool mail_post_control(struct link *link, enum notice notice, void *argument)
{
    struct record_control *record = link_reserve(link, sizeof *record);
    if (!record)
        return false;
    *record = (struct record_control){RECORD_CONTROL, (uint8_t)notice, argument};
    link_commit(link, sizeof *record);
    link_publish(link);
    return true;
}

static void take_letter(struct shard *shard, const struct record_letter *record)
{
    const char *bytes = record->bytes;
    struct letter letter = {
        .kind = (enum stanza_kind)record->kind,
        .type = (enum stanza_type)record->type,
        .is_remote = record->is_remote,
    };
    letter.to = parts_take(record->to_parts, &bytes);
    letter.from = parts_take(record->from_parts, &bytes);
    letter.id = span_of(bytes, record->id_size);
    letter.sender = (struct stream_ref){record->sender_ref, record->sender_shard};
    struct chain payload = {record->head, record->tail, record->payload_size};
    if (record->is_chain) {
        chain_adopt(&payload, shard->pool);
        letter.payload = &payload;
    } else {
        letter.payload_inline = span_of(bytes + record->id_size, record->payload_size);
    }
    shard_count(shard, COUNTER_MAIL_IN, 1);
    deliver(shard, &letter);
    if (record->is_chain)
        chain_clear(&payload, shard->pool);
}

static void take_notice(struct shard *shard, const struct record_notice *record)
{
    struct stream *stream = stream_find(shard, (struct stream_ref){record->stream_ref, record->stream_shard});
    if (!stream)
        return;
    if (record->notice == NOTICE_THROTTLE)
        stream_hold(stream);
    else
        stream_release(stream);
}

static void take_withdrawal(struct shard *shard, struct withdrawal *withdrawal, bool is_removed)
{
    session_close_user(shard, span_of(withdrawal->bare, withdrawal->bare_size), is_removed, withdrawal->serial);
    free(withdrawal);
}

static void take_control(struct shard *shard, const struct record_control *record)
{
    switch ((enum notice)record->notice) {
    case NOTICE_POLICY:
        shard_set_policy(shard, record->argument);
        break;
    case NOTICE_DRAIN:
        shard_drain(shard);
        break;
    case NOTICE_ASK:
        shard->answer(shard, record->argument);
        break;
    case NOTICE_REMOVED:
    case NOTICE_DISABLED:
        take_withdrawal(shard, record->argument, record->notice == NOTICE_REMOVED);
        break;
    case NOTICE_THROTTLE:
    case NOTICE_RELEASE:
        break;
    }
}

static void take(struct shard *shard, struct span record)
{
    /* The casts are sound: the link aligns every record to 8 bytes. */
    const void *bytes = record.ptr;
    switch ((enum record_kind)record.ptr[0]) {
    case RECORD_LETTER:
        take_letter(shard, bytes);
        break;
    case RECORD_NOTICE:
        take_notice(shard, bytes);
        break;
    case RECORD_CONTROL:
        take_control(shard, bytes);
        break;
    }
}

bool mail_drain(struct shard *shard)
{
    bool more = false;
    for (unsigned from = 0; from <= shard->router->shard_count; from++) {
        if (from == shard->index)
            continue;
        struct link *link = router_link(shard->router, from, shard->index);
        unsigned count = 0;
        if (from < shard->router->shard_count)
            heard_out(shard, from, link_is_crowded(link));
        for (; count < DRAIN_MAX; count++) {
            struct span record = link_take(link);
            if (!record.ptr)
                break;
            take(shard, record);
        }
        if (count)
            link_release(link);
        more |= count == DRAIN_MAX;
    }
    return more;
}

/* Gives back the chunks that a record carries, if it carries any. */
static void record_discard(struct shard *shard, const void *bytes)
{
    const struct record_letter *record = bytes;
    if (record->record != RECORD_LETTER || !record->is_chain)
        return;
    struct chain payload = {record->head, record->tail, record->payload_size};
    chain_adopt(&payload, shard->pool);
    chain_clear(&payload, shard->pool);
}

void mail_discard(struct shard *shard)
{
    for (unsigned from = 0; from <= shard->router->shard_count; from++) {
        struct link *link = from == shard->index ? NULL : router_link(shard->router, from, shard->index);
        for (struct span bytes; link && (bytes = link_take(link)).ptr;)
            record_discard(shard, bytes.ptr);
    }
}

static void overflow_pop(struct overflow *overflow)
{
    struct overflow_node *node = overflow->first;
    overflow->first = node->next;
    if (!overflow->first)
        overflow->last = NULL;
    overflow->count--;
    free(node);
}

bool mail_retry(struct shard *shard)
{
    bool waiting = false;
    for (unsigned to = 0; to < shard->router->shard_count; to++) {
        struct overflow *overflow = &shard->overflow[to];
        struct link *link = router_link(shard->router, shard->index, to);
        while (overflow->first) {
            struct overflow_node *node = overflow->first;
            void *room = link_reserve(link, node->size);
            if (!room)
                break;
            memcpy(room, node->record, node->used);
            link_commit(link, node->size);
            wake_later(shard, to);
            struct stream_ref sender = node->sender;
            overflow_pop(overflow);
            struct stream *stream = stream_find(shard, sender);
            if (stream)
                stream_release(stream);
        }
        waiting |= overflow->first != NULL;
    }
    return waiting;
}

void mail_publish(struct shard *shard)
{
    unsigned words = (shard->router->shard_count + 63) / 64;
    for (unsigned word = 0; word < words; word++) {
        while (shard->wake_mask[word]) {
            unsigned to = word * 64 + (unsigned)__builtin_ctzll(shard->wake_mask[word]);
            shard->wake_mask[word] &= shard->wake_mask[word] - 1;
            if (link_publish(router_link(shard->router, shard->index, to)))
                io_wake(shard->io, to);
        }
    }
}

uint32_t mail_waiting(const struct shard *shard)
{
    uint32_t count = 0;
    for (unsigned to = 0; to < shard->router->shard_count; to++)
        count += shard->overflow[to].count;
    return count;
}

struct overflow *mail_overflow_new(unsigned shard_count)
{
    return calloc(shard_count, sizeof(struct overflow));
}

void mail_overflow_free(struct shard *shard)
{
    for (unsigned to = 0; shard->overflow && to < shard->router->shard_count; to++)
        while (shard->overflow[to].first) {
            record_discard(shard, shard->overflow[to].first->record);
            overflow_pop(&shard->overflow[to]);
        }
    for (unsigned to = 0; shard->overflow && to < shard->router->shard_count; to++)
        free(shard->overflow[to].waiting);
    free(shard->overflow);
    shard->overflow = NULL;
}
