/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Joint: one of our engines and OpenSSL's libssl joined over memory BIOs, for tests.
 */
#include "pair.h"

#include <openssl/ssl.h>

struct joint {
    struct chunk_pool pool;
    struct side side;
    SSL_CTX *factory;
    SSL *ssl;
    bool is_broken; /* the peer's library met an error */
};

/* The last session that a peer was given a ticket for. */
extern SSL_SESSION *last_session;
void forget_session(void);

/* The peer has one version alone; as a server it is b.example, as a client it trusts ca.pem. */
void joint_open(struct joint *joint, struct context *context, bool is_server, int version);
void joint_close(struct joint *joint);
/* Until nothing moves; what the peer reads goes to out, which may be NULL. */
void joint_run(struct joint *joint, char *out, size_t *out_size);
/* The same, but that engine_start was said already. */
void joint_go_on(struct joint *joint, char *out, size_t *out_size);
/* Fails the test when it does not come to an end. */
void joint_shake(struct joint *joint);
/* In one piece, or piece by piece; false: there was nothing. */
bool carry_to_engine(struct joint *joint);
bool carry_to_peer(struct joint *joint);
/* Once the peer reads all that it has. */
void peer_turn(struct joint *joint, char *out, size_t *out_size);

/* The macros of the library's header cast const away; these do it where no warning looks. */
void send_name(SSL *ssl, const char *name);
int offer_groups(SSL *ssl, const char *groups);

/* A peer that shows that chain, whatever it is worth, over memory BIOs; NULL: the library does not take it. */
SSL *peer_showing(const char *pem, const char *key, bool is_server, int version);
/* A handshake of the two, until nothing moves; side->status tells what came of it. */
void peer_shake(SSL *ssl, struct side *side, struct chunk_pool *pool);
