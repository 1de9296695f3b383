/* SPDX-License-Identifier: MIT */
#include "router/im/presence.h"

#include "router/route/deliver.h"
#include "router/route/session.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"

#include <stdlib.h>

/* RFC 6121 s4.7.2.3: an integer between -128 and +127; what is none of them counts as 0. */
static int8_t priority_of(const struct xml_stanza *stanza)
{
    uint32_t child = xml_child_named(stanza, 0, NS_CLIENT, "priority");
    if (child == XML_NOWHERE)
        return 0;
    char room[16], number[8];
    struct span text = xml_text(stanza, child, room, sizeof room);
    if (!text.ptr || text.size == 0 || text.size >= sizeof number)
        return 0;
    memcpy(number, text.ptr, text.size);
    number[text.size] = '\0';
    char *end;
    long value = strtol(number, &end, 10);
    return *end || value < -128 || value > 127 ? 0 : (int8_t)value;
}

/* To all of the user's available resources: s4.2.2, s4.4.2, s4.5.2. */
static void tell_resources(struct shard *shard, struct user *user, struct span payload)
{
    for (struct session *session = user->first; session; session = session->next)
        if (session->is_available)
            deliver_copy(shard, session, payload);
}

/* The bytes of the chain in one piece, allocated; the chain is empty afterwards. NULL: memory was refused. */
static char *flatten(struct shard *shard, struct chain *chain, uint32_t *size)
{
    char *bytes = malloc(chain->size + 1);
    size_t used = 0;
    for (struct chunk *chunk = chain->head; bytes && chunk; chunk = chunk->next) {
        memcpy(bytes + used, chunk->bytes + chunk->start, chunk->end - chunk->start);
        used += chunk->end - chunk->start;
    }
    chain_clear(chain, shard->pool);
    *size = (uint32_t)used;
    return bytes;
}

static struct span stamped(struct stream *stream, const struct xml_stanza *stanza, char **allocated, uint32_t *size)
{
    struct shard *shard = stream->shard;
    struct jid jid = session_jid(stream->session);
    struct xml_forward forward = {.from = jid_full(&jid)};
    if (stream->session->lang)
        forward.lang = span_str(stream->session->lang);
    xml_forward(&shard->work, shard->pool, stanza, &stream->reader, &forward);
    *allocated = flatten(shard, &shard->work, size);
    return span_of(*allocated, *allocated ? *size : 0);
}

/* s4.2.2: the new resource is told about the user's others, as if it had probed them. */
static void tell_newcomer(struct shard *shard, struct session *newcomer)
{
    for (struct session *session = newcomer->user->first; session; session = session->next)
        if (session != newcomer && session->is_available && session->presence)
            deliver_copy(shard, newcomer, span_of(session->presence, session->presence_size));
}

static void forget_presence(struct session *session)
{
    free(session->presence);
    session->presence = NULL;
    session->presence_size = 0;
    session->is_available = false;
}

static void directed_unavailable(struct shard *shard, struct session *session, const struct xml_stanza *said);

void presence_broadcast(struct stream *stream, const struct xml_stanza *stanza, const struct stanza_head *head)
{
    struct shard *shard = stream->shard;
    struct session *session = stream->session;
    char *bytes;
    uint32_t size;
    struct span payload = stamped(stream, stanza, &bytes, &size);
    shard_count(shard, COUNTER_ANSWERED, 1);
    if (!bytes)
        return; /* memory was refused: the presence is not announced, and the session stays as it was */
    if (head->type == TYPE_UNAVAILABLE) {
        if (session->is_available) {
            tell_resources(shard, session->user, payload); /* itself, too */
            forget_presence(session);
        }
        directed_unavailable(shard, session, stanza);
        free(bytes);
        return;
    }
    bool is_initial = !session->is_available;
    free(session->presence);
    session->presence = bytes;
    session->presence_size = size;
    session->priority = priority_of(stanza);
    session->is_available = true;
    if (is_initial)
        tell_newcomer(shard, session);
    tell_resources(shard, session->user, payload);
}

static struct jid directed_jid(const struct directed *directed)
{
    return (struct jid){directed->bytes, directed->parts[0], directed->parts[1], directed->parts[2]};
}

/* What points to it; to NULL if there is none. */
static struct directed **directed_find(struct session *session, struct span address)
{
    struct directed **link = &session->directed;
    for (; *link; link = &(*link)->next) {
        struct jid jid = directed_jid(*link);
        if (span_equal(jid_full(&jid), address))
            break;
    }
    return link;
}

void presence_forget(struct session *session, struct span address)
{
    struct directed **link = directed_find(session, address), *gone = *link;
    if (!gone)
        return;
    *link = gone->next;
    session->directed_count--;
    free(gone);
}

bool presence_was_directed(struct session *session, const struct jid *jid)
{
    return *directed_find(session, jid_full(jid)) || *directed_find(session, jid_bare(jid));
}

bool presence_directed(struct session *session, const struct stanza_head *head)
{
    struct span full = jid_full(&head->to);
    if (head->type == TYPE_UNAVAILABLE)
        presence_forget(session, full);
    if (head->type != TYPE_AVAILABLE || *directed_find(session, full))
        return true;
    struct directed *directed = NULL;
    if (session->directed_count < SESSION_DIRECTED_MAX)
        directed = malloc(sizeof *directed + full.size);
    if (!directed)
        return false;
    *directed = (struct directed){.parts = {head->to.local_size, head->to.domain_size, head->to.resource_size}};
    memcpy(directed->bytes, full.ptr, full.size);
    directed->next = session->directed;
    session->directed = directed;
    session->directed_count++;
    return true;
}

/* Mere presence: without what the client has to say about it. */
static void write_mere(struct chain *chain, struct chunk_pool *pool, const struct session *session, bool is_available,
                       struct span to, struct span id)
{
    struct jid jid = session_jid(session);
    struct xml_writer w = xml_writer_on(chain, pool);
    xml_open(&w, "presence");
    if (!is_available)
        xml_write_attribute(&w, "type", SPAN("unavailable"));
    xml_write_attribute(&w, "from", jid_full(&jid));
    if (to.ptr)
        xml_write_attribute(&w, "to", to);
    if (id.size)
        xml_write_attribute(&w, "id", id);
    xml_close(&w);
}

void presence_answer_probe(struct shard *shard, const struct session *session, const struct letter *probe)
{
    struct chain chain = {0};
    struct letter letter = {
        .kind = STANZA_PRESENCE,
        .type = TYPE_AVAILABLE,
        .is_remote = !policy_has_domain(shard->policy, jid_domain(&probe->from)),
        .to = probe->from,
        .from = session_jid(session),
        .id = probe->id,
        .payload = &chain,
    };
    write_mere(&chain, shard->pool, session, true, jid_full(&letter.to), letter.id);
    shard_count(shard, COUNTER_ANSWERED, 1);
    shard_count(shard, COUNTER_BORN, 1);
    deliver_anywhere(shard, &letter);
    chain_clear(&chain, shard->pool);
}

static void forward_to(struct shard *shard, struct session *session, const struct xml_stanza *said,
                       const struct letter *letter)
{
    struct jid from = session_jid(session);
    struct xml_forward forward = {.from = jid_full(&from), .to = jid_full(&letter->to)};
    if (session->lang)
        forward.lang = span_str(session->lang);
    if (letter->is_remote) {
        forward.content_from = NS_CLIENT;
        forward.content_to = NS_SERVER;
    }
    xml_forward(letter->payload, shard->pool, said, &session->stream->reader, &forward);
}

/* s4.6.3, s4.5.2: those who got directed presence hear that it ended. said is what the client said then, NULL if it
 * just went: it is forwarded unless that is, for all of them, more than a queue should hold. */
static void directed_unavailable(struct shard *shard, struct session *session, const struct xml_stanza *said)
{
    if (said && (size_t)said->size * session->directed_count > shard->policy->config->limits_queue_soft)
        said = NULL;
    bool is_swappable = said && !xml_swap_collides(said, NS_CLIENT, NS_SERVER);
    while (session->directed) {
        struct directed *directed = session->directed;
        session->directed = directed->next;
        struct chain chain = {0};
        struct jid to = directed_jid(directed);
        struct letter letter = {
            .kind = STANZA_PRESENCE,
            .type = TYPE_UNAVAILABLE,
            .is_remote = !policy_has_domain(shard->policy, jid_domain(&to)),
            .to = to,
            .from = session_jid(session),
            .payload = &chain,
        };
        if (said && (is_swappable || !letter.is_remote))
            forward_to(shard, session, said, &letter);
        else
            write_mere(&chain, shard->pool, session, false, jid_full(&letter.to), SPAN_NONE);
        shard_count(shard, COUNTER_BORN, 1);
        deliver_anywhere(shard, &letter);
        chain_clear(&chain, shard->pool);
        free(directed);
    }
    session->directed_count = 0;
}

void presence_gone(struct shard *shard, struct session *session)
{
    if (session->is_available && session->user->count) {
        struct chain chain = {0};
        uint32_t size;
        write_mere(&chain, shard->pool, session, false, SPAN_NONE, SPAN_NONE);
        char *bytes = flatten(shard, &chain, &size);
        if (bytes)
            tell_resources(shard, session->user, span_of(bytes, size));
        free(bytes);
    }
    directed_unavailable(shard, session, NULL);
}
