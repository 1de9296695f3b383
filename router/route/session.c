/* SPDX-License-Identifier: MIT */
#include "router/route/session.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "router/im/presence.h"
#include "router/route/shard.h"
#include "router/stream/nego.h"
#include "router/stream/sasl.h"

#include <stdlib.h>

struct user *session_user(const struct shard *shard, struct span bare)
{
    return table_find(&shard->users, bare);
}

struct session *session_find(const struct user *user, struct span resource)
{
    for (struct session *session = user ? user->first : NULL; session; session = session->next) {
        struct jid jid = session_jid(session);
        if (span_equal(jid_resource(&jid), resource))
            return session;
    }
    return NULL;
}

static struct user *user_get(struct shard *shard, struct span bare)
{
    struct user *user = session_user(shard, bare);
    if (user)
        return user;
    user = malloc(sizeof *user + bare.size);
    if (!user)
        return NULL;
    *user = (struct user){.bare_size = (uint16_t)bare.size};
    memcpy(user->bare, bare.ptr, bare.size);
    if (table_add(&shard->users, user))
        return user;
    free(user);
    return NULL;
}

static void user_put(struct shard *shard, struct user *user)
{
    if (user->count)
        return;
    table_remove(&shard->users, user);
    free(user);
}

struct session *session_new(struct shard *shard, struct stream *stream, struct span bare, struct span resource)
{
    struct user *user = user_get(shard, bare);
    if (!user)
        return NULL;
    SL_CHECK(!session_find(user, resource));
    struct session *session = malloc(sizeof *session + bare.size + 1 + resource.size);
    if (!session) {
        user_put(shard, user);
        return NULL;
    }
    struct jid jid = jid_of_prepared(bare);
    *session = (struct session){.next = user->first, .user = user, .stream = stream};
    session->parts[0] = jid.local_size;
    session->parts[1] = jid.domain_size;
    session->parts[2] = (uint16_t)resource.size;
    memcpy(session->full, bare.ptr, bare.size);
    session->full[bare.size] = '/';
    memcpy(session->full + bare.size + 1, resource.ptr, resource.size);
    user->first = session;
    user->count++;
    shard_count(shard, COUNTER_SESSIONS, 1);
    return session;
}

static void list_remove(struct session *session)
{
    struct session **link = &session->user->first;
    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    session->user->count--;
}

static void leave_user(struct shard *shard, struct session *session)
{
    user_put(shard, session->user);
    session->user = NULL;
    counter_sub(shard->counters, COUNTER_SESSIONS, 1);
}

void session_leave(struct shard *shard, struct session *session)
{
    list_remove(session);
    /* It is out of the list already: what presence_gone() sends reaches the others only. */
    presence_gone(shard, session);
    leave_user(shard, session);
}

void session_free(struct session *session)
{
    while (session->directed) {
        struct directed *next = session->directed->next;
        free(session->directed);
        session->directed = next;
    }
    free(session->presence);
    free(session->lang);
    free(session);
}

void session_discard(struct shard *shard, struct session *session)
{
    if (session->user) {
        list_remove(session);
        leave_user(shard, session);
    }
    session_free(session);
}

static uint64_t hash_of(const struct shard *shard, struct span bare)
{
    return hash_siphash13(&shard->router->owner_key, bare);
}

bool session_was_closed(const struct shard *shard, struct span bare, uint32_t since)
{
    uint64_t hash = hash_of(shard, bare);
    for (unsigned i = 0; i < SHARD_WITHDRAWN_MAX; i++)
        if (shard->withdrawn[i].hash == hash && (int32_t)(shard->withdrawn[i].serial - since) > 0)
            return true;
    return false;
}

void session_close_user(struct shard *shard, struct span bare, bool is_removed, uint32_t serial)
{
    shard->withdrawn[serial % SHARD_WITHDRAWN_MAX] = (struct withdrawn){hash_of(shard, bare), serial};
    shard->withdrawn_serial = serial;
    const char *text = is_removed ? "the account was removed" : "the account is disabled";
    /* stream_close() ends the session and with the last one frees the user, so it is looked up anew each time. */
    for (struct user *user; (user = session_user(shard, bare));)
        stream_close(user->first->stream, STREAM_NOT_AUTHORIZED_ERROR, text);
    /* Those who have logged in and not yet bound a resource, or are about to; rare enough to look at every stream. */
    for (struct stream *stream = shard->streams; stream; stream = stream->next) {
        sasl_withdraw(stream, bare, is_removed);
        if (stream->nego && span_equal(stream->nego->jid, bare))
            stream_close(stream, STREAM_NOT_AUTHORIZED_ERROR, text);
    }
}

int session_priority_max(const struct user *user)
{
    int max = -1;
    for (const struct session *session = user->first; session; session = session->next)
        if (session->is_available && session->priority > max)
            max = session->priority;
    return max;
}

bool session_any_available(const struct user *user)
{
    for (const struct session *session = user->first; session; session = session->next)
        if (session->is_available)
            return true;
    return false;
}
