/* SPDX-License-Identifier: MIT */
/*
 * TLS puppet: what stands in for tls/engine.c and tls/context.c in a fuzz target, so that a handshake costs two bytes
 * and the input says whose certificate it shows.
 *
 *   hello   0x16 NUMBER       either side's; NUMBER says what the other one's certificate is: hostile_certificates
 *   end     0x15              close_notify
 *   else    plain bytes, once both hellos are said
 *
 * When the router learns to call another function of engine.h or context.h it is given here too; the linker then says
 * that functions are defined twice.
 */
#include "tests/fuzz/hostile.h"
#include "tls/engine.h"

#include <stdlib.h>

#define HELLO '\x16'
#define END   '\x15'

struct engine {
    bool is_client, is_ready, is_over, wants_number;
    struct credential *credential;
    struct dane *dane;
};

struct context {
    unsigned references;
};

/* ------------------------------------------------------------------------------------------------ contexts */

struct context *context_new(const struct context_config *config, struct err *err, struct err *warning)
{
    (void)config;
    (void)err;
    (void)warning;
    struct context *context = calloc(1, sizeof *context);
    if (context)
        context->references = 1;
    return context;
}

struct context *context_ref(struct context *context)
{
    context->references++;
    return context;
}

void context_unref(struct context *context)
{
    if (context && --context->references == 0)
        free(context);
}

bool context_set_staple(struct context *context, unsigned index, struct span response)
{
    (void)context;
    (void)index;
    (void)response;
    return true;
}

struct span context_staple(const struct context *context, unsigned index)
{
    (void)context;
    (void)index;
    return SPAN_NONE;
}

void context_bind_tickets(struct context *context, uint32_t era)
{
    (void)context;
    (void)era;
}

bool context_is_renewal(const struct context *before, const struct context *after, struct span domain)
{
    (void)before;
    (void)after;
    (void)domain;
    return true;
}

bool context_trusts(const struct context *context, const struct credential *credential)
{
    return context && credential->verdict == CREDENTIAL_VALID;
}

void context_review(const struct context *context)
{
    (void)context;
}

bool context_has_same_anchors(const struct context *a, const struct context *b)
{
    (void)a;
    (void)b;
    return true;
}

/* Linked in place of anchors_new() and anchors_unref(): reading the system's takes longer than a whole input. */
struct anchors *__wrap_anchors_new(const char *file, struct err *err);
void __wrap_anchors_unref(struct anchors *anchors);

struct anchors *__wrap_anchors_new(const char *file, struct err *err)
{
    static char nobody;
    (void)file;
    (void)err;
    return (struct anchors *)(void *)&nobody;
}

void __wrap_anchors_unref(struct anchors *anchors)
{
    (void)anchors;
}

/* ------------------------------------------------------------------------------------------------ engines */

struct engine *engine_new(struct context *context, struct span name)
{
    (void)context;
    (void)name;
    return calloc(1, sizeof(struct engine));
}

struct engine *engine_new_client(struct context *context, struct span server, struct span own)
{
    struct engine *engine = engine_new(context, server);
    (void)own;
    if (engine)
        engine->is_client = true;
    return engine;
}

void engine_free(struct engine *engine)
{
    if (engine->credential)
        free(engine->credential->identity.identifiers);
    free(engine->credential);
    dane_free(engine->dane);
    free(engine);
}

enum engine_status engine_start(struct engine *engine, struct chain *wire_out, struct chunk_pool *pool)
{
    if (engine->is_client)
        chain_append(wire_out, pool, SPAN("\x16\x01"));
    return ENGINE_OK;
}

static struct credential *credential_of(uint8_t number)
{
    const struct hostile_certificate *certificate = &hostile_certificates[number % HOSTILE_CERTIFICATES];
    struct credential *credential = calloc(1, sizeof *credential);
    struct identifier *identifier = calloc(1, sizeof *identifier);
    if (!credential || !identifier)
        abort();
    credential->verdict = certificate->verdict;
    credential->not_after = INT64_MAX / 2;
    identifier->kind = certificate->kind;
    identifier->name = span_str(certificate->name);
    credential->identity.identifiers = identifier;
    credential->identity.count = certificate->name[0] ? 1 : 0;
    return credential;
}

/* False: it is no hello. */
static bool take_hello(struct engine *engine, char byte, struct chain *wire_out, struct chunk_pool *pool)
{
    if (!engine->wants_number) {
        engine->wants_number = true;
        return byte == HELLO;
    }
    engine->credential = credential_of((uint8_t)byte);
    engine->is_ready = true;
    if (!engine->is_client)
        chain_append(wire_out, pool, SPAN("\x16\x02"));
    return true;
}

enum engine_status engine_feed(struct engine *engine, struct span wire, struct chain *wire_out, struct chunk_pool *pool,
                               engine_plain_fn plain, void *plain_context)
{
    while (wire.size && !engine->is_ready) {
        if (!take_hello(engine, wire.ptr[0], wire_out, pool))
            return ENGINE_FAILED;
        wire = span_skip(wire, 1);
    }
    const char *end = wire.size ? memchr(wire.ptr, END, wire.size) : NULL;
    size_t size = end ? (size_t)(end - wire.ptr) : wire.size;
    if (size && !engine->is_over)
        plain(plain_context, span_of(wire.ptr, size));
    engine->is_over = engine->is_over || end;
    return engine->is_over ? ENGINE_CLOSED : ENGINE_OK;
}

enum engine_status engine_write(struct engine *engine, struct chain *plain, size_t size_max, struct chain *wire_out,
                                struct chunk_pool *pool)
{
    size_t size = plain->size < size_max ? plain->size : size_max;
    while (size) {
        struct span front = chain_front(plain);
        if (front.size > size)
            front.size = size;
        size -= front.size;
        chain_append(wire_out, pool, front);
        chain_consume(plain, pool, front.size);
    }
    return engine->is_over ? ENGINE_CLOSED : ENGINE_OK;
}

enum engine_status engine_write_kept(struct engine *engine, const struct chain *plain, struct chain *wire_out,
                                     struct chunk_pool *pool)
{
    for (const struct chunk *chunk = plain->head; chunk; chunk = chunk->next)
        chain_append(wire_out, pool, span_of(chunk->bytes + chunk->start, chunk->end - chunk->start));
    return engine->is_over ? ENGINE_CLOSED : ENGINE_OK;
}

void engine_close(struct engine *engine, struct chain *wire_out, struct chunk_pool *pool)
{
    if (engine->is_ready)
        chain_append(wire_out, pool, SPAN("\x15"));
}

bool engine_is_ready(const struct engine *engine)
{
    return engine->is_ready;
}

const char *engine_error(const struct engine *engine)
{
    (void)engine;
    return "no hello";
}

const char *engine_version(const struct engine *engine)
{
    (void)engine;
    return "TLSv1.3";
}

const char *engine_cipher(const struct engine *engine)
{
    (void)engine;
    return "none";
}

struct span engine_alpn(const struct engine *engine)
{
    (void)engine;
    return SPAN("");
}

struct span engine_server_name(const struct engine *engine)
{
    (void)engine;
    return SPAN("");
}

bool engine_is_resumed(const struct engine *engine)
{
    (void)engine;
    return false;
}

const struct credential *engine_credential(const struct engine *engine)
{
    return engine->credential;
}

struct credential *engine_shared_credential(const struct engine *engine)
{
    (void)engine; /* a puppet's is nobody's to watch */
    return NULL;
}

struct credential *engine_take_credential(struct engine *engine)
{
    struct credential *credential = engine->credential;
    engine->credential = NULL;
    return credential;
}

struct span engine_staple(const struct engine *engine)
{
    (void)engine;
    return SPAN_NONE;
}

void engine_drop_staple(struct engine *engine)
{
    (void)engine;
}

bool engine_is_unstapled(const struct engine *engine)
{
    (void)engine;
    return false;
}

void engine_expect(struct engine *engine, struct dane *dane)
{
    dane_free(engine->dane);
    engine->dane = dane;
}

const struct dane *engine_expected(const struct engine *engine)
{
    return engine->dane;
}

const struct dane_finding *engine_finding(const struct engine *engine)
{
    (void)engine;
    return NULL; /* no zone is signed here */
}

size_t engine_binding(struct engine *engine, enum engine_binding kind, char out[ENGINE_BINDING_MAX])
{
    (void)engine;
    (void)kind;
    (void)out;
    return 0;
}
