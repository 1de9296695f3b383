/* SPDX-License-Identifier: MIT */
#include "tls/engine.h"

#include "core/base/check.h"
#include "tls/alert_priv.h"
#include "tls/digest.h"
#include "tls/engine_priv.h"
#include "tls/hello_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>

#include <stdlib.h>

#define RECORD_PLAIN_MAX 16384u /* RFC 8446 s5.1 */

/* Records that carry no application data cost a turn of the cipher, and a KeyUpdate two key derivations; a peer has no
 * reason to send many (its only ones are tickets, a KeyUpdate per 2^24 records, and close_notify). Each takes
 * IDLE_RECORD_COST, each record with data gives one back, and over IDLE_BUDGET is a flood: 32 in a row. */
#define IDLE_RECORD_COST 16u
#define IDLE_BUDGET      512u
/* A handshake with a long chain in small records stays below this. */
#define HANDSHAKE_RECORDS_MAX 128u

_Static_assert(HELLO_SIZE_MAX <= RECORD_PLAIN_MAX, "the hello is collected in plain_in");

/* Room for the plain bytes of one record on their way in, and out: two, since the plain function may write. No call
 * holds them when it returns. */
static _Thread_local char plain_in[RECORD_PLAIN_MAX];
static _Thread_local char plain_out[RECORD_PLAIN_MAX];

/* ---- what the library calls ----------------------------------------------------------------------------------- */

static void follow_records(struct engine *engine, const char *bytes, size_t size)
{
    while (size > 0) {
        if (engine->record_left > 0) {
            size_t step = size < engine->record_left ? size : engine->record_left;
            engine->record_left = (uint16_t)(engine->record_left - step);
            bytes += step;
            size -= step;
            continue;
        }
        engine->record_head[engine->record_head_size++] = (uint8_t)*bytes++;
        size--;
        if (engine->record_head_size < RECORD_HEAD)
            continue;
        engine->record_head_size = 0;
        engine->record_left = (uint16_t)(engine->record_head[3] << 8 | engine->record_head[4]);
        if (engine->records_read < UINT16_MAX)
            engine->records_read++;
    }
}

int engine_receive(WOLFSSL *library, char *buffer, int size, void *context)
{
    struct engine *engine = context;
    (void)library;
    if (engine->in.size == 0)
        return WOLFSSL_CBIO_ERR_WANT_READ;
    size_t count = engine->in.size < (size_t)size ? engine->in.size : (size_t)size;
    memcpy(buffer, engine->in.ptr, count);
    follow_records(engine, buffer, count);
    engine->in = span_skip(engine->in, count);
    return (int)count;
}

int engine_send(WOLFSSL *library, char *buffer, int size, void *context)
{
    struct engine *engine = context;
    (void)library;
    /* The library may only write while the caller has lent a chain. */
    SL_CHECK(engine->out != NULL);
    chain_append(engine->out, engine->pool, span_of(buffer, (size_t)size));
    return size;
}

int engine_see_certificate(void *context, struct span leaf)
{
    const struct engine *engine = context;
    counterpart_see_certificate(engine->remote, leaf);
    return 0;
}

struct WOLFSSL *engine_judge(void *context, const struct span *sent, unsigned count, bool is_leaf)
{
    const struct engine *engine = context;
    const struct context *shared = engine->context;
    engine->remote->is_unfinished = !is_leaf;
    if (engine->remote->credential != NULL)
        return engine->library;
    if (shared->role == CONTEXT_CLIENT && wolfSSL_version(engine->library) >= TLS1_3_VERSION)
        counterpart_see_staple(engine->remote, staple_behind(sent[0]));
    bool is_judged = counterpart_judge(engine->remote, shared->anchors, sent, count, shared->judged, shared->clock());
    return is_judged ? engine->library : NULL;
}

struct staple_shelf *engine_shelf(void *context)
{
    const struct engine *engine = context;
    return engine->context->role == CONTEXT_SERVER ? engine->party->staple : NULL;
}

void engine_see_staple(void *context, struct span staple)
{
    const struct engine *engine = context;
    counterpart_see_staple(engine->remote, staple);
}

uint8_t *engine_ticket_generation(void *context)
{
    struct engine *engine = context;
    return &engine->ticket_generation;
}

/* ---- failing --------------------------------------------------------------------------------------------------- */

static enum engine_status fail(struct engine *engine, const char *text)
{
    engine->phase = PHASE_FAILED;
    engine->error = text;
    return ENGINE_FAILED;
}

static enum engine_status fail_library(struct engine *engine, int code)
{
    WOLFSSL_ALERT_HISTORY alerts;
    bool is_alert = code == FATAL_ERROR || code == WOLFSSL_ERROR_SSL;
    if (is_alert && wolfSSL_get_alert_history(engine->library, &alerts) == WOLFSSL_SUCCESS && alerts.last_rx.code > 0)
        return fail(engine, alert_text(alerts.last_rx.code));
    return fail(engine, wolfSSL_ERR_reason_error_string((unsigned long)code));
}

/* ---- making ---------------------------------------------------------------------------------------------------- */

static bool open_library(struct engine *engine)
{
    if (engine->context->anchors != NULL || engine->context->role == CONTEXT_CLIENT) {
        engine->remote = calloc(1, sizeof(*engine->remote));
        if (engine->remote == NULL)
            return false;
    }
    WOLFSSL *library = wolfSSL_new(engine->party->library);
    if (library == NULL)
        return false;
    engine->library = library;
    wolfSSL_SetIOReadCtx(library, engine);
    wolfSSL_SetIOWriteCtx(library, engine);
    wolfSSL_SetCertCbCtx(library, engine);
    /* Until the exporter has been read, 0.8 KiB. */
    wolfSSL_KeepArrays(library);
    return true;
}

static bool offer_protocols(struct engine *engine)
{
    char *alpn = engine->context->alpn;
    if (alpn == NULL)
        return true;
    return wolfSSL_UseALPN(engine->library, alpn, (unsigned)strlen(alpn), WOLFSSL_ALPN_FAILED_ON_MISMATCH) ==
           WOLFSSL_SUCCESS;
}

static bool use_server_name(struct engine *engine, struct span name)
{
    return wolfSSL_UseSNI(engine->library, WOLFSSL_SNI_HOST_NAME, name.ptr, (word16)name.size) == WOLFSSL_SUCCESS;
}

/* Without a nonce (RFC 6960 s4.4.1), which no server's answer that lies ready could have. Where nobody judges the
 * peer's certificate it is not asked for. */
static bool ask_for_staple(struct engine *engine)
{
    return engine->context->anchors == NULL ||
           wolfSSL_UseOCSPStapling(engine->library, WOLFSSL_CSR_OCSP, 0) == WOLFSSL_SUCCESS;
}

static bool open_client(struct engine *engine, struct span name)
{
    if (!open_library(engine) || !offer_protocols(engine) || !ask_for_staple(engine))
        return false;
    char *a_label = identity_a_label(name);
    bool is_good = a_label == NULL || use_server_name(engine, span_str(a_label));
    free(a_label);
    return is_good;
}

static struct engine *make(struct context *context, struct span own_name)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        return NULL;
    engine->context = context_ref(context);
    engine->party = context_party(context, own_name);
    return engine;
}

struct engine *engine_new_client(struct context *context, struct span server, struct span own)
{
    SL_CHECK(context->role == CONTEXT_CLIENT);
    struct engine *engine = make(context, own);
    if (engine == NULL || open_client(engine, server))
        return engine;
    engine_free(engine);
    return NULL;
}

struct engine *engine_new(struct context *context, struct span name)
{
    return context->role == CONTEXT_CLIENT ? engine_new_client(context, name, SPAN_NONE) : make(context, name);
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    /* Nothing may be written any more: the library would only send an alert here if it were asked to. */
    if (engine->library != NULL)
        wolfSSL_free(engine->library);
    counterpart_free(engine->remote);
    context_unref(engine->context);
    free(engine->early);
    digest_wipe(engine, sizeof(*engine));
    free(engine);
}

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

/* The bindings are read while the library still holds what they are made of. */
static void read_exporter(struct engine *engine)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    bool is_unique = wolfSSL_version(engine->library) >= TLS1_3_VERSION || engine->has_extended_master_secret;
    /* Without extended master secret the exporter of TLS 1.2 is not bound to the connection (RFC 9266 s4.2). RFC 9266
     * s2 wants no context value, which is not the same as an empty one in TLS 1.2 (RFC 5705 s4). */
    engine->has_exporter =
        is_unique && wolfSSL_export_keying_material(engine->library, engine->exporter, EXPORTER_SIZE, label,
                                                    sizeof(label) - 1, NULL, 0, 0) == WOLFSSL_SUCCESS;
}

/* Nothing of what the library verifies may have been left switched off, and a server has a certificate. */
static bool is_judged(const struct engine *engine)
{
    const struct counterpart *remote = engine->remote;
    if (engine->context->anchors == NULL)
        return true;
    return !remote->is_unfinished && (engine->context->role == CONTEXT_SERVER || remote->credential != NULL);
}

static enum engine_status negotiate(struct engine *engine)
{
    int result = wolfSSL_negotiate(engine->library);
    if (result == WOLFSSL_SUCCESS) {
        if (!is_judged(engine))
            return fail(engine, "the peer's certificates were not seen to the end");
        if (engine->context->anchors != NULL && engine->context->role == CONTEXT_CLIENT)
            counterpart_judge_staple(engine->remote, engine->context->clock());
        engine->phase = PHASE_READY;
        engine->records_read = 0;
        read_exporter(engine);
        wolfSSL_FreeArrays(engine->library);
        return ENGINE_OK;
    }
    int code = wolfSSL_get_error(engine->library, result);
    if (code != WOLFSSL_ERROR_WANT_READ)
        return fail_library(engine, code);
    if (engine->records_read > HANDSHAKE_RECORDS_MAX)
        return fail(engine, "a handshake in too many records");
    return ENGINE_OK;
}

/* A name that is served chooses the certificate and is told to the library, which then refuses to have read another
 * one. A name that is not served gets the fallback's certificate, without an acknowledgement, and the client judges
 * (RFC 6066 s3: "continue the handshake"). */
static bool open_server(struct engine *engine, const struct hello *hello)
{
    const struct party *party = context_find(engine->context, hello->server_name);
    bool is_named = party != NULL && hello->server_name.size > 0;
    if (is_named)
        engine->party = party;
    return open_library(engine) && (!is_named || use_server_name(engine, hello->server_name)) &&
           (!hello->has_alpn || offer_protocols(engine));
}

static bool keep_early(struct engine *engine, struct span wire)
{
    if (wire.size == 0)
        return true;
    char *early = realloc(engine->early, engine->early_size + wire.size);
    if (early == NULL)
        return false;
    memcpy(early + engine->early_size, wire.ptr, wire.size);
    engine->early = early;
    engine->early_size += (uint32_t)wire.size;
    return true;
}

/* Reads the peer's hello, from the wire or from what was kept of it. On ENGINE_OK the phase tells whether it is over;
 * then *wire is all that came so far. */
static enum engine_status take_hello(struct engine *engine, struct span *wire)
{
    struct hello hello;
    /* Even at one byte a feed this is cheap: only record heads are looked at until the message is complete. */
    if (engine->early_size > 0) {
        if (!keep_early(engine, *wire))
            return fail(engine, "out of memory");
        *wire = span_of(engine->early, engine->early_size);
    }
    if (hello_read(*wire, plain_in, &hello) == HELLO_MORE) {
        if (engine->early_size == 0 && !keep_early(engine, *wire))
            return fail(engine, "out of memory");
        return ENGINE_OK;
    }
    engine->has_extended_master_secret = hello.has_extended_master_secret;
    if (engine->library == NULL && !open_server(engine, &hello))
        return fail(engine, "out of memory");
    engine->phase = PHASE_HANDSHAKE;
    return ENGINE_OK;
}

/* The library drops what is no TLS at all without a word. Whoever sent it (a browser, a client that speaks plain XMPP
 * to the port of direct TLS) shall know what it met: unexpected_message, or record_overflow for a length that cannot be
 * (RFC 8446 s5.1). */
static void alert_stranger(struct engine *engine, struct span wire)
{
    bool is_long = wire.size >= RECORD_HEAD && wire.ptr[0] == 22;
    const char alert[] = {21, 3, 3, 0, 2, 2, is_long ? 22 : 10};
    chain_append(engine->out, engine->pool, span_of(alert, sizeof(alert)));
}

static void lend(struct engine *engine, struct chain *out, struct chunk_pool *pool)
{
    engine->out = out;
    engine->pool = pool;
}

enum engine_status engine_start(struct engine *engine, struct chain *wire_out, struct chunk_pool *pool)
{
    if (engine->context->role == CONTEXT_SERVER)
        return ENGINE_OK;
    lend(engine, wire_out, pool);
    int result = wolfSSL_negotiate(engine->library);
    int code = wolfSSL_get_error(engine->library, result);
    lend(engine, NULL, NULL);
    if (result != WOLFSSL_SUCCESS && code == WOLFSSL_ERROR_WANT_READ)
        return ENGINE_OK;
    return fail_library(engine, code);
}

/* ---- records ------------------------------------------------------------------------------------------------------
 */

/* Charges the records since the last plain bytes, of which data is one that carried some. */
static bool charge_idle_records(struct engine *engine, unsigned data)
{
    unsigned idle = engine->records_read > data ? engine->records_read - data : 0;
    unsigned cost = engine->idle_cost + idle * IDLE_RECORD_COST;
    engine->records_read = 0;
    cost -= cost > data ? data : cost;
    engine->idle_cost = (uint16_t)(cost > UINT16_MAX ? UINT16_MAX : cost);
    return cost <= IDLE_BUDGET;
}

static enum engine_status read_records(struct engine *engine, engine_plain_fn plain, void *plain_context)
{
    for (;;) {
        int count = wolfSSL_read(engine->library, plain_in, RECORD_PLAIN_MAX);
        if (count > 0) {
            if (!charge_idle_records(engine, 1))
                return fail(engine, "too many records without data");
            plain(plain_context, span_of(plain_in, (size_t)count));
            if (engine->phase != PHASE_READY)
                return engine->phase == PHASE_FAILED ? ENGINE_FAILED : ENGINE_CLOSED;
            continue;
        }
        int code = wolfSSL_get_error(engine->library, count);
        switch (code) {
        case WOLFSSL_ERROR_WANT_READ:
            /* The head of a record whose rest is still to come is not charged yet. */
            if (engine->record_left == 0 && engine->record_head_size == 0 && !charge_idle_records(engine, 0))
                return fail(engine, "too many records without data");
            return ENGINE_OK;
        case WOLFSSL_ERROR_ZERO_RETURN:
            engine->phase = PHASE_CLOSED;
            return ENGINE_CLOSED;
        default:
            return fail_library(engine, code);
        }
    }
}

static enum engine_status feed(struct engine *engine, struct span wire, engine_plain_fn plain, void *plain_context)
{
    enum engine_status status = ENGINE_OK;
    bool is_first = engine->phase == PHASE_HELLO && engine->context->role == CONTEXT_SERVER;
    size_t answered = engine->out->size;
    if (engine->phase == PHASE_HELLO)
        status = take_hello(engine, &wire);
    if (status != ENGINE_OK || engine->phase == PHASE_HELLO)
        return status;
    engine->in = wire;
    if (engine->phase == PHASE_HANDSHAKE)
        status = negotiate(engine);
    if (status == ENGINE_OK && engine->phase == PHASE_READY)
        status = read_records(engine, plain, plain_context);
    if (status == ENGINE_FAILED && is_first && engine->out->size == answered)
        alert_stranger(engine, wire);
    engine->in = SPAN_NONE;
    free(engine->early);
    engine->early = NULL;
    engine->early_size = 0;
    return status;
}

enum engine_status engine_feed(struct engine *engine, struct span wire, struct chain *wire_out, struct chunk_pool *pool,
                               engine_plain_fn plain, void *plain_context)
{
    if (engine->phase == PHASE_FAILED)
        return ENGINE_FAILED;
    /* Whatever follows the closure alert is ignored (RFC 8446 s6.1). */
    if (engine->phase == PHASE_CLOSED)
        return ENGINE_CLOSED;
    SL_CHECK(engine->out == NULL); /* not from inside the plain function */
    lend(engine, wire_out, pool);
    enum engine_status status = feed(engine, wire, plain, plain_context);
    lend(engine, NULL, NULL);
    return status;
}

/* The next bytes for one record, from offset bytes behind chunk's first unread one: where they lie when one chunk holds
 * them all, else gathered. The copy of 16 KiB takes less than the three records that it saves. */
static struct span next_plain(const struct chunk *chunk, size_t offset, size_t size)
{
    if (size > RECORD_PLAIN_MAX)
        size = RECORD_PLAIN_MAX;
    while (chunk->end - chunk->start <= offset) {
        offset -= chunk->end - chunk->start;
        chunk = chunk->next;
    }
    if (chunk->end - chunk->start - offset >= size)
        return span_of(chunk->bytes + chunk->start + offset, size);
    size_t filled = 0;
    for (; filled < size; chunk = chunk->next, offset = 0) {
        size_t step = chunk->end - chunk->start - offset;
        if (step > size - filled)
            step = size - filled;
        memcpy(plain_out + filled, chunk->bytes + chunk->start + offset, step);
        filled += step;
    }
    return span_of(plain_out, filled);
}

/* Bytes written, or -1. */
static int write_record(struct engine *engine, struct span record, enum engine_status *status)
{
    int count = wolfSSL_write(engine->library, record.ptr, (int)record.size);
    if (count > 0)
        return count;
    *status = fail_library(engine, wolfSSL_get_error(engine->library, count));
    return -1;
}

enum engine_status engine_write(struct engine *engine, struct chain *plain, size_t size_max, struct chain *wire_out,
                                struct chunk_pool *pool)
{
    if (engine->phase == PHASE_FAILED)
        return ENGINE_FAILED;
    SL_CHECK(engine_is_ready(engine) && !engine->has_closed);
    /* The plain function may write back while a feed has lent its own chain. */
    struct chain *outer_out = engine->out;
    struct chunk_pool *outer_pool = engine->pool;
    enum engine_status status = engine->phase == PHASE_CLOSED ? ENGINE_CLOSED : ENGINE_OK;
    lend(engine, wire_out, pool);
    while (size_max > 0 && !chain_is_empty(plain)) {
        size_t size = plain->size < size_max ? plain->size : size_max;
        int count = write_record(engine, next_plain(plain->head, 0, size), &status);
        if (count < 0)
            break;
        chain_consume(plain, pool, (size_t)count);
        size_max -= (size_t)count;
    }
    lend(engine, outer_out, outer_pool);
    return status;
}

enum engine_status engine_write_kept(struct engine *engine, const struct chain *plain, struct chain *wire_out,
                                     struct chunk_pool *pool)
{
    if (engine->phase == PHASE_FAILED)
        return ENGINE_FAILED;
    SL_CHECK(engine_is_ready(engine) && !engine->has_closed);
    struct chain *outer_out = engine->out;
    struct chunk_pool *outer_pool = engine->pool;
    enum engine_status status = engine->phase == PHASE_CLOSED ? ENGINE_CLOSED : ENGINE_OK;
    const struct chunk *chunk = plain->head;
    size_t left = plain->size, offset = 0;
    lend(engine, wire_out, pool);
    while (left > 0) {
        int count = write_record(engine, next_plain(chunk, offset, left), &status);
        if (count < 0)
            break;
        left -= (size_t)count;
        offset += (size_t)count;
        while (chunk != NULL && offset >= chunk->end - chunk->start) {
            offset -= chunk->end - chunk->start;
            chunk = chunk->next;
        }
    }
    lend(engine, outer_out, outer_pool);
    return status;
}

void engine_close(struct engine *engine, struct chain *wire_out, struct chunk_pool *pool)
{
    if (engine->has_closed || !engine_is_ready(engine))
        return;
    struct chain *outer_out = engine->out;
    struct chunk_pool *outer_pool = engine->pool;
    engine->has_closed = true;
    lend(engine, wire_out, pool);
    (void)wolfSSL_shutdown(engine->library);
    lend(engine, outer_out, outer_pool);
}
