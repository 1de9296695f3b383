/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Mechanism: the SASL mechanisms there are, which of them a stream is offered, and the channel bindings that go with
 * them (RFC 6120 s6.3.3, s6.3.4; XEP-0440).
 *
 * Thread:  any for the table; the stream's shard for what a stream is offered.
 */
#include "core/base/span.h"
#include "router/admin/config.h"
#include "tls/digest.h"
#include "tls/engine.h"

struct stream;
struct xml_writer;

enum mechanism_kind { MECHANISM_EXTERNAL, MECHANISM_SCRAM, MECHANISM_PLAIN, MECHANISM_ANONYMOUS };

struct mechanism {
    const char *name;
    enum mechanism_kind kind;
    enum config_strength strength; /* of those that prove a password or a key */
    enum digest digest;
    bool is_plus;
};

/* By its registered name (capitals, RFC 4422 s3.1); NULL: there is none. */
const struct mechanism *mechanism_find(struct span name);
/* The number that struct stream keeps of it, and back to the name. */
unsigned mechanism_number(const struct mechanism *mechanism);
const char *mechanism_name(unsigned number);
/* Nothing was proved by it: the account lasts as long as its session (XEP-0175). */
bool mechanism_is_anonymous(unsigned number);

/* Named in sasl.mechanisms. */
bool mechanism_is_configured(const struct stream *stream, const struct mechanism *mechanism);
bool mechanism_is_offered(const struct stream *stream, const struct mechanism *mechanism);
/* One that this router has, but weaker than it accepts for the stream's domain (RFC 6120 s6.5.9). */
bool mechanism_is_too_weak(const struct stream *stream, const struct mechanism *mechanism);
/* One that this router has, but for protected streams only (RFC 6120 s6.5.4); the stream is none. */
bool mechanism_needs_tls(const struct stream *stream, const struct mechanism *mechanism);
/* Would the mechanism that authenticated this stream still be offered to it? */
bool mechanism_is_still_offered(const struct stream *stream);
bool mechanism_plus_is_offered(const struct stream *stream);
bool mechanism_is_any_offered(const struct stream *stream);

/* The <mechanisms/> feature, with the channel bindings (XEP-0440); nothing when no mechanism may be offered. */
void mechanism_write_features(struct stream *stream, struct xml_writer *w);
/* XEP-0474 s6.1: both lists of this stream's features as text; bytes written to out. */
#define MECHANISM_LIST_MAX 512u
size_t mechanism_list(struct stream *stream, char out[MECHANISM_LIST_MAX]);

/* The data of the binding that the client named; 0 bytes for a name we do not know, or without TLS. */
size_t mechanism_binding(struct stream *stream, const char *name, char out[ENGINE_BINDING_MAX]);
