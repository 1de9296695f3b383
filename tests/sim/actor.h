/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Actor: a simulated client of a rig: connects, logs in with SCRAM-SHA-256, binds, and hands every stanza it reads to a
 * function. It answers nothing by itself.
 */
#include "bench/scram_client.h"
#include "core/xml/reader.h"
#include "tests/sim/rig.h"

enum actor_state {
    ACTOR_OFF,
    ACTOR_GREETING,
    ACTOR_LOGIN,
    ACTOR_PROOF,
    ACTOR_RESTART,
    ACTOR_BINDING,
    ACTOR_BOUND,
    ACTOR_ENDED
};

struct actor;
typedef void (*actor_stanza_fn)(struct actor *actor, const struct xml_stanza *stanza);

struct actor {
    struct rig *rig;
    struct peer *peer;
    unsigned number;    /* of its account */
    const char *domain; /* of its account; NULL: the rig's */
    unsigned login;     /* counts its connections */
    unsigned tapped;    /* the connection's number in the tap */
    enum actor_state state;
    char resource[32];    /* asked for; empty: none */
    const char *langs[2]; /* xml:lang of its headers, before and behind SASL; NULL: none */
    char jid[128];        /* full, once bound */
    char error[64];       /* the stream error's condition, if one came */
    struct xml_reader reader;
    struct xml_scratch *scratch;
    struct scram_client scram;
    actor_stanza_fn stanza;
    void *context;
};

void actor_init(struct actor *actor, struct rig *rig, unsigned number, actor_stanza_fn stanza, void *context);
void actor_fini(struct actor *actor);
void actor_connect(struct actor *actor, unsigned shard);
void actor_send(struct actor *actor, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads what is there; call after each step. */
void actor_poll(struct actor *actor);
void actor_reset(struct actor *actor);
void actor_leave(struct actor *actor); /* sends the end tag */
/* Runs the rig until the actor is bound; false if that does not come. */
bool actor_bind(struct actor *actor, unsigned shard);
/* The same by that resource, which must come to it. */
void actor_enter(struct actor *actor, const char *resource, unsigned shard);

#define ACTOR_CONDITION_SIZE 64u
/* The condition of a stanza of type error; false, and out as it was: it is none. */
bool actor_condition(const struct xml_stanza *stanza, char out[ACTOR_CONDITION_SIZE]);

/* The end of a test: they leave, the routers end what streams they have, and all is freed. guest: in the host's world;
 * NULL: there is none. */
void actor_close_all(struct actor *const *actors, unsigned count, struct rig *host, struct rig *guest);
