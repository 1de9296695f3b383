/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Engine: one TLS connection without I/O: wire bytes in, plain bytes out, and the reverse (RFC 8446, RFC 5246).
 *
 * Wire bytes to send are appended to a chain of the caller's. Handshake memory is released as soon as it is over. An
 * engine may move between threads while no call is running; its context is shared and reference-counted.
 *
 * Bounds:  wire bytes per feed: any; one record is held at most (16 KiB and its head) while it is incomplete. A server
 *          holds nothing of the library before the ClientHello is complete (16 KiB at most). A handshake has 128
 * records at most. A peer that sends 32 records in a row without data (KeyUpdate, empty ones) has ENGINE_FAILED.
 */
#include "core/base/chain.h"
#include "tls/context.h"
#include "tls/credential.h"
#include "tls/dane.h"

struct engine;

enum engine_status {
    ENGINE_OK,     /* go on */
    ENGINE_CLOSED, /* the peer sent close_notify: nothing more will be read; writing still works until engine_close */
    ENGINE_FAILED, /* an alert for the peer may be in wire_out; only engine_free is left. See engine_error */
};

/* plain bytes, borrowed until return. May write to engines and close them; must not feed one, nor free this one. */
typedef void (*engine_plain_fn)(void *context, struct span plain);

/* Server: name is the fallback domain when the client sends no SNI (may be empty: the context's first). Client: name
 * is the server's, sent as SNI and checked by the caller's rules. NULL when memory is refused. */
struct engine *engine_new(struct context *context, struct span name);
/* Client: the same, with the own domain whose certificate is presented when the server asks for one; the context's
 * first when it is empty or unknown there. */
struct engine *engine_new_client(struct context *context, struct span server, struct span own);
void engine_free(struct engine *engine);

/* Client: writes the ClientHello. Server: nothing to do. */
enum engine_status engine_start(struct engine *engine, struct chain *wire_out, struct chunk_pool *pool);
/* Takes all of wire. Handshake answers go to wire_out; plain bytes to the function, in order. */
enum engine_status engine_feed(struct engine *engine, struct span wire, struct chain *wire_out, struct chunk_pool *pool,
                               engine_plain_fn plain, void *plain_context);
/* Encrypts and consumes up to size_max bytes of plain, in records filled as far as they go. Only when ready and before
 * engine_close. ENGINE_CLOSED after the peer's close_notify: written all the same. */
enum engine_status engine_write(struct engine *engine, struct chain *plain, size_t size_max, struct chain *wire_out,
                                struct chunk_pool *pool);
/* The same of all of plain, which stays as it is: the caller keeps what it may have to say again. */
enum engine_status engine_write_kept(struct engine *engine, const struct chain *plain, struct chain *wire_out,
                                     struct chunk_pool *pool);
/* close_notify; nothing if the handshake is not over. */
void engine_close(struct engine *engine, struct chain *wire_out, struct chunk_pool *pool);

bool engine_is_ready(const struct engine *engine); /* the handshake is over */
const char *engine_error(const struct engine *engine);
/* Facts, once ready. Strings live as long as the engine. */
const char *engine_version(const struct engine *engine); /* "TLSv1.3" */
const char *engine_cipher(const struct engine *engine);
struct span engine_alpn(const struct engine *engine);        /* empty: none negotiated; for tests alone */
struct span engine_server_name(const struct engine *engine); /* the domain whose certificate was used (server) */
bool engine_is_resumed(const struct engine *engine);

/* What came of the peer's certificates, once ready, in a context with anchors; NULL otherwise. The caller decides what
 * to offer or to end: nothing but the handshake itself has been refused so far. After a take, which gives it away with
 * its certificates (NULL: none were presented), it is as if none had been presented. */
const struct credential *engine_credential(const struct engine *engine);
/* The same, if it is valid: it may be kept by credential_ref(). */
struct credential *engine_shared_credential(const struct engine *engine);
struct credential *engine_take_credential(struct engine *engine);

/* Client, with anchors: a server is always asked for its issuer's OCSP answer about its leaf (RFC 6066 s8, RFC 8446
 * s4.4.2.1), and the handshake goes on whatever it shows. The answer as it came, once ready: bytes for ocsp_judge().
 * Empty: none, or one of more than REVOCATION_OCSP_MAX bytes, or it was dropped, as is right when it was made use of.
 */
struct span engine_staple(const struct engine *engine);
void engine_drop_staple(struct engine *engine);
/* Once ready: the valid leaf says that such an answer always comes with it (RFC 7633), but none did that says good or
 * revoked. Then it is not to be believed. Never where it was not asked for. */
bool engine_is_unstapled(const struct engine *engine);

/* Client, with anchors, before the server's certificates come: they are judged by these records too. Takes them. As
 * with the credential, whatever comes of it ends no handshake. */
void engine_expect(struct engine *engine, struct dane *dane);
const struct dane *engine_expected(const struct engine *engine); /* NULL: none were given */
/* What the records say, once ready; NULL: none were given. */
const struct dane_finding *engine_finding(const struct engine *engine);

/* Channel bindings (RFC 9266, RFC 5929). Size written to out, 0 if this connection has none of that kind: exporter
 * only with TLS 1.3, or 1.2 with extended master secret; unique only with TLS 1.2 and that; end point not when the
 * certificate's signature has no one hash function (Ed25519). */
enum engine_binding { BINDING_EXPORTER, BINDING_UNIQUE, BINDING_END_POINT };
#define ENGINE_BINDING_MAX 64
size_t engine_binding(struct engine *engine, enum engine_binding kind, char out[ENGINE_BINDING_MAX]);
