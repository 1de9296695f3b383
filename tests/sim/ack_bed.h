/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Ack bed: our router, home, whose user0 is romeo, and as the server of example.net either another router or the test
 * itself, which says and expects bytes. For tests of acknowledgements between servers (XEP-0198).
 */
#include "tests/sim/actor.h"

#define OPEN "s2s.enabled=true", "s2s.tls_required=false"
#define MANY 20000

/* What a user has heard: numbered messages, the first copy and those behind it. */
struct heard {
    unsigned copies[MANY]; /* of each number */
    int last;              /* of the first copies */
    bool is_jumbled;
    unsigned stamped, unstamped_again;
    unsigned errors;
    char error[64];
};

extern struct heard romeo_heard;

struct stage {
    struct rig *home, *away; /* away: NULL where the test plays it */
    struct actor romeo, juliet;
    struct peer *peer; /* the last connection that home has dialled, where the test plays away */
};

#define NET_HEADER                                                                                                     \
    "<stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' version='1.0' id='own' "                   \
    "from='example.net' to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>"
#define NET_FEATURES                                                                                                   \
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/>"            \
    "<sm xmlns='urn:xmpp:sm:3'/></stream:features>"
#define SM " xmlns='urn:xmpp:sm:3'"

/* Keeps in heard what it hears, from nothing on. */
void join(struct actor *actor, struct rig *rig, struct heard *heard, const char *resource, unsigned shard);
/* The test plays away. more: settings, NULL-terminated; NULL: none. */
void played_open(struct stage *stage, const char *const *more);
void stage_close(struct stage *stage);
void run(struct stage *stage, uint64_t ms);
/* Both routers end all their streams. */
void drain(struct stage *stage);
uint64_t home_count(const struct stage *stage, enum counter counter);

void say(struct stage *stage, struct peer *peer, const char *bytes);
void forget(struct peer *peer);
unsigned raw_count(const struct peer *peer, const char *text);
void expect(const struct peer *peer, const char *text);
void refuse(const struct peer *peer, const char *text);

/* Messages of romeo's, numbered from first to last - 1. */
void say_numbers(struct stage *stage, int first, int last);
/* Takes the router's next connection and lets it in. */
void let_in(struct stage *stage, const char *features);
/* played_open(), and five messages are out and counted: 0..4. */
void five(struct stage *stage, const char *const *more);
