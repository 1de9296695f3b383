/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Session: a bound c2s stream, a full JID; and the user (bare JID) it belongs to. Both live on the user's owner shard,
 * so everything about one account is single-threaded.
 *
 * A user exists while it has a session. Sessions of a user are few (bind.sessions_max): a list.
 *
 * Thread:  the owner shard's.
 */
#include "core/jid/jid.h"

#include <stdint.h>

struct shard;
struct stream;
struct session;

struct user {
    struct session *first; /* newest first */
    uint16_t count;
    uint16_t bare_size;
    char bare[];
};

/* Addresses to which a session has sent directed presence (RFC 6121 s4.6). */
struct directed {
    struct directed *next;
    uint16_t parts[3];
    char bytes[];
};

#define SESSION_DIRECTED_MAX 1000u

struct session {
    struct session *next;
    struct user *user;
    struct stream *stream;
    struct directed *directed;
    char *presence; /* the last available presence as others see it, allocated; NULL while unavailable */
    uint32_t presence_size;
    uint16_t directed_count;
    int8_t priority;
    bool is_available;
    char *lang;        /* the stream's default language (RFC 6120 s4.7.4), allocated; NULL: none */
    uint16_t parts[3]; /* sizes of local, domain, resource */
    char full[];
};

static inline struct jid session_jid(const struct session *session)
{
    return (struct jid){session->full, session->parts[0], session->parts[1], session->parts[2]};
}

struct user *session_user(const struct shard *shard, struct span bare);
struct session *session_find(const struct user *user, struct span resource);
/* A new session of stream; no session of that full JID may exist. NULL when memory is refused. */
struct session *session_new(struct shard *shard, struct stream *stream, struct span bare, struct span resource);
/* Ends it: its resource is free, and the user's other resources and those who got directed presence see it go (RFC 6121
 * s4.5, s4.6.3). What is left is the address that its stream's last stanzas are stamped with: user is NULL. */
void session_leave(struct shard *shard, struct session *session);
/* The rest of one that has left. */
void session_free(struct session *session);
/* Both without telling anybody, when the whole shard ends. */
void session_discard(struct shard *shard, struct session *session);
/* The account was removed, or disabled: its sessions end with <not-authorized/>, logins that run will fail. serial
 * counts these events, from 1; each shard hears of each, in order, but not at the same time. */
void session_close_user(struct shard *shard, struct span bare, bool is_removed, uint32_t serial);
/* It was, behind the event that shard->withdrawn_serial said on the shard that a stream has come from: that one had it
 * no more, and this one not yet. */
bool session_was_closed(const struct shard *shard, struct span bare, uint32_t since);
/* Highest non-negative priority among the available sessions; -1 if there is none. */
int session_priority_max(const struct user *user);
bool session_any_available(const struct user *user);
