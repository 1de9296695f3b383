/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Caller: a simulated client that says exactly what a test tells it to say, in plain or behind TLS, and keeps all that
 * it hears as text. It knows nothing of XMPP but how to log in; for clients that behave see actor.h.
 */
#include "bench/scram_client.h"
#include "tests/sim/rig.h"

#define CALLER_HEADER                                                                                                  \
    "<stream:stream xmlns='jabber:client' to='example.com' version='1.0' "                                             \
    "xmlns:stream='http://etherx.jabber.org/streams'>"

struct engine;
struct context;

struct caller {
    struct rig *rig;
    struct peer *peer;
    unsigned tapped; /* the connection's number in the tap */
    struct engine *tls;
    struct context *context;
    const char *person; /* the client certificate that it presents: a path without .pem and .key; NULL: none */
    uint16_t version_max; /* of TLS; 0: 1.3 */
    struct chunk_pool pool;
    struct scram_client scram;
    char *heard; /* since the last caller_forget(), as text */
    size_t size, room;
    bool is_deaf;      /* reads nothing from its peer */
    bool was_notified; /* the router's TLS close_notify has come */
};

void caller_open(struct caller *caller, struct rig *rig, unsigned shard);
/* From that address ("192.0.2.1", "2001:db8::1") instead of one of its own; on the port for direct TLS, too. */
void caller_open_from(struct caller *caller, struct rig *rig, unsigned shard, unsigned tag, const char *address);
void caller_close(struct caller *caller);
void caller_say(struct caller *caller, struct span bytes);
void caller_say_text(struct caller *caller, const char *text);
/* Lets the router do all it can do now, without the clock, and hears it. */
void caller_run(struct caller *caller);
/* Advances the clock by ms in steps of the router's timers, hearing all the while. */
void caller_wait(struct caller *caller, uint64_t ms);
bool caller_has_heard(const struct caller *caller, const char *text);
void caller_forget(struct caller *caller);
/* The router has ended or cut the connection. */
bool caller_is_over(const struct caller *caller);

/* The handshake, behind <proceed/> or on a direct TLS port. False when it does not come to its end. */
bool caller_start_tls(struct caller *caller);
/* Our close_notify. */
void caller_notify(struct caller *caller);
/* <auth/> with SCRAM-SHA-256 for userN; the challenge must be heard before caller_prove(). */
void caller_auth(struct caller *caller, unsigned number);
void caller_prove(struct caller *caller);
/* Header, SCRAM, header; then resource binding. True when the router said so. */
bool caller_login(struct caller *caller, unsigned number);
bool caller_bind(struct caller *caller, const char *resource);

/* "KEY=VALUE" lists for rig_new() with TLS required, on the certificates of SL_TEST_CERTS; static. */
const char *const *caller_tls_overrides(void);
