/* SPDX-License-Identifier: MIT */
/* Engine: what is known of its connection, and of the peer. */
#include "core/base/check.h"
#include "tls/engine_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

bool engine_is_ready(const struct engine *engine)
{
    return engine->phase == PHASE_READY || engine->phase == PHASE_CLOSED;
}

const char *engine_error(const struct engine *engine)
{
    return engine->error == NULL ? "no error" : engine->error;
}

const char *engine_version(const struct engine *engine)
{
    return engine_is_ready(engine) ? wolfSSL_get_version(engine->library) : "";
}

const char *engine_cipher(const struct engine *engine)
{
    return engine_is_ready(engine) ? wolfSSL_get_cipher(engine->library) : "";
}

struct span engine_alpn(const struct engine *engine)
{
    char *name = NULL;
    word16 size = 0;
    if (!engine_is_ready(engine) || wolfSSL_ALPN_GetProtocol(engine->library, &name, &size) != WOLFSSL_SUCCESS)
        return SPAN_NONE;
    return span_of(name, size);
}

struct span engine_server_name(const struct engine *engine)
{
    if (engine->context->role == CONTEXT_SERVER)
        return span_str(engine->party->name);
    return SPAN_NONE;
}

bool engine_is_resumed(const struct engine *engine)
{
    return engine_is_ready(engine) && wolfSSL_session_reused(engine->library) != 0;
}

const struct credential *engine_credential(const struct engine *engine)
{
    static const struct credential none = {.verdict = CREDENTIAL_NONE};
    if (!engine_is_ready(engine) || engine->context->anchors == NULL)
        return NULL;
    return engine->remote->credential == NULL ? &none : engine->remote->credential;
}

struct credential *engine_shared_credential(const struct engine *engine)
{
    struct credential *credential = engine_credential(engine) == NULL ? NULL : engine->remote->credential;
    return credential != NULL && credential->is_shared ? credential : NULL;
}

struct credential *engine_take_credential(struct engine *engine)
{
    if (engine_credential(engine) == NULL)
        return NULL;
    struct credential *credential = engine->remote->credential;
    engine->remote->credential = NULL;
    return credential;
}

struct span engine_staple(const struct engine *engine)
{
    bool has_one = engine_is_ready(engine) && engine->remote != NULL && engine->remote->staple != NULL;
    return has_one ? staple_bytes(engine->remote->staple) : SPAN_NONE;
}

bool engine_is_unstapled(const struct engine *engine)
{
    return engine_is_ready(engine) && engine->remote != NULL && engine->remote->is_unstapled;
}

void engine_drop_staple(struct engine *engine)
{
    if (engine->remote == NULL)
        return;
    staple_unref(engine->remote->staple);
    engine->remote->staple = NULL;
}

void engine_expect(struct engine *engine, struct dane *dane)
{
    SL_CHECK(engine->context->role == CONTEXT_CLIENT && engine->context->anchors != NULL);
    SL_CHECK(engine->phase < PHASE_READY && engine->remote->credential == NULL);
    dane_free(engine->remote->dane);
    engine->remote->dane = dane;
}

const struct dane *engine_expected(const struct engine *engine)
{
    return engine->remote == NULL ? NULL : engine->remote->dane;
}

const struct dane_finding *engine_finding(const struct engine *engine)
{
    bool is_judged = engine_is_ready(engine) && engine_expected(engine) != NULL;
    return is_judged ? &engine->remote->finding : NULL;
}

/* The first Finished message: the client's, but the server's in an abbreviated handshake (RFC 5929 s3.1). */
static size_t read_unique(struct engine *engine, char *out)
{
    if (wolfSSL_version(engine->library) >= TLS1_3_VERSION || !engine->has_extended_master_secret)
        return 0;
    bool is_server = engine->context->role == CONTEXT_SERVER;
    bool is_ours = is_server == engine_is_resumed(engine);
    return is_ours ? wolfSSL_get_finished(engine->library, out, ENGINE_BINDING_MAX)
                   : wolfSSL_get_peer_finished(engine->library, out, ENGINE_BINDING_MAX);
}

static size_t copy_binding(const uint8_t *bytes, size_t size, char *out)
{
    if (size > 0)
        memcpy(out, bytes, size);
    return size;
}

size_t engine_binding(struct engine *engine, enum engine_binding kind, char out[ENGINE_BINDING_MAX])
{
    if (!engine_is_ready(engine))
        return 0;
    switch (kind) {
    case BINDING_EXPORTER:
        return copy_binding(engine->exporter, engine->has_exporter ? EXPORTER_SIZE : 0, out);
    case BINDING_UNIQUE:
        return read_unique(engine, out);
    case BINDING_END_POINT:
        if (engine->context->role == CONTEXT_SERVER)
            return copy_binding(engine->party->end_point, engine->party->end_point_size, out);
        return copy_binding(engine->remote->end_point, engine->remote->end_point_size, out);
    }
    return 0;
}
