/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/stream/scram.h"
#include "router/stream/verify.h"
#include "tls/engine.h"

#include <stdlib.h>

enum mechanism_kind { KIND_SCRAM, KIND_PLAIN, KIND_ANONYMOUS };

struct mechanism {
    const char *name;
    enum mechanism_kind kind;
    enum digest digest;
    bool is_plus;
};

static const struct mechanism mechanisms[] = {
    {"SCRAM-SHA-256-PLUS", KIND_SCRAM, DIGEST_SHA256, true},
    {"SCRAM-SHA-256", KIND_SCRAM, DIGEST_SHA256, false},
    {"SCRAM-SHA-1-PLUS", KIND_SCRAM, DIGEST_SHA1, true},
    {"SCRAM-SHA-1", KIND_SCRAM, DIGEST_SHA1, false},
    {"PLAIN", KIND_PLAIN, DIGEST_SHA256, false},
    {"ANONYMOUS", KIND_ANONYMOUS, DIGEST_SHA256, false},
};
#define MECHANISM_COUNT (sizeof mechanisms / sizeof mechanisms[0])

/* XEP-0440 s2: names as registered with IANA, in the order of preference. */
static const struct {
    const char *name;
    enum engine_binding kind;
} bindings[] = {
    {"tls-exporter", BINDING_EXPORTER},
    {"tls-unique", BINDING_UNIQUE},
    {"tls-server-end-point", BINDING_END_POINT},
};
#define BINDING_COUNT (sizeof bindings / sizeof bindings[0])

enum sasl_error {
#define SASL_ERROR(symbol, condition) SASL_##symbol,
#include "router/stream/sasl_errors.def"
#undef SASL_ERROR
};

static const char *const conditions[] = {
#define SASL_ERROR(symbol, condition) condition,
#include "router/stream/sasl_errors.def"
#undef SASL_ERROR
};

struct sasl {
    const struct mechanism *mechanism;
    struct scram scram;
    char binding_name[32]; /* of the channel binding the client chose; empty: none */
    struct span bare;      /* the account that wants in, allocated; empty before the first message */
    struct span password;  /* PLAIN: prepared, while the account is fetched; allocated, wiped */
    struct account account;
    struct verify *verify; /* PLAIN, while the password is judged */
    bool is_unknown;       /* there is no such account: the exchange runs to its end and fails */
    bool is_store_down;
};

static void span_free(struct span *bytes)
{
    char *room = (char *)(uintptr_t)bytes->ptr;
    if (room)
        digest_wipe(room, bytes->size);
    free(room);
    *bytes = SPAN_NONE;
}

void sasl_free(struct sasl *sasl)
{
    if (!sasl)
        return;
    if (sasl->mechanism->kind == KIND_SCRAM)
        scram_fini(&sasl->scram);
    span_free(&sasl->bare);
    span_free(&sasl->password);
    verify_free(sasl->verify);
    digest_wipe(sasl, sizeof *sasl);
    free(sasl);
}

const char *sasl_mechanism_name(unsigned mechanism)
{
    return mechanisms[mechanism].name;
}

static bool is_configured(const struct stream *stream, const char *name)
{
    const struct config *config = stream->shard->policy->config;
    for (unsigned i = 0; i < config->sasl_mechanisms.count; i++)
        if (strcmp(config->sasl_mechanisms.items[i], name) == 0)
            return true;
    return false;
}

/* TLS 1.2 without extended master secret and a certificate signed by Ed25519 leave nothing to bind to. */
static bool has_binding(const struct stream *stream)
{
    char data[ENGINE_BINDING_MAX];
    for (size_t i = 0; stream->tls && i < BINDING_COUNT; i++)
        if (engine_binding(stream->tls, bindings[i].kind, data))
            return true;
    return false;
}

static bool is_offered(const struct stream *stream, const struct mechanism *mechanism)
{
    switch (mechanism->kind) {
    case KIND_ANONYMOUS:
        return stream->shard->policy->config->sasl_anonymous;
    case KIND_PLAIN:
        return stream->tls && is_configured(stream, mechanism->name);
    case KIND_SCRAM:
        break;
    }
    return (!mechanism->is_plus || has_binding(stream)) && is_configured(stream, mechanism->name);
}

bool sasl_mechanism_is_offered(const struct stream *stream)
{
    return is_offered(stream, &mechanisms[stream->mechanism]);
}

static bool plus_is_offered(const struct stream *stream)
{
    for (size_t i = 0; i < MECHANISM_COUNT; i++)
        if (mechanisms[i].is_plus && is_offered(stream, &mechanisms[i]))
            return true;
    return false;
}

static void write_bindings(struct stream *stream, struct xml_writer *w)
{
    char data[ENGINE_BINDING_MAX];
    xml_open(w, "sasl-channel-binding");
    xml_namespace(w, "urn:xmpp:sasl-cb:0");
    for (size_t i = 0; i < BINDING_COUNT; i++) {
        if (!engine_binding(stream->tls, bindings[i].kind, data))
            continue;
        xml_open(w, "channel-binding");
        xml_write_attribute(w, "type", span_str(bindings[i].name));
        xml_close(w);
    }
    xml_close(w);
}

void sasl_write_features(struct stream *stream, struct xml_writer *w)
{
    bool has_any = false;
    for (size_t i = 0; i < MECHANISM_COUNT; i++)
        has_any |= is_offered(stream, &mechanisms[i]);
    if (!has_any)
        return;
    xml_open(w, "mechanisms");
    xml_namespace(w, "urn:ietf:params:xml:ns:xmpp-sasl");
    for (size_t i = 0; i < MECHANISM_COUNT; i++) {
        if (!is_offered(stream, &mechanisms[i]))
            continue;
        xml_open(w, "mechanism");
        xml_write_text(w, span_str(mechanisms[i].name));
        xml_close(w);
    }
    xml_close(w);
    if (plus_is_offered(stream))
        write_bindings(stream, w);
}

/* RFC 6120 s6.4.5. The stream may try again; the table counts how often. */
static enum nego_event fail(struct stream *stream, enum sasl_error error)
{
    struct nego *nego = stream->nego;
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, "failure");
    xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-sasl");
    xml_open(&w, conditions[error]);
    xml_close(&w);
    xml_close(&w);
    stream_touch(stream);
    char address[STREAM_ADDRESS_SIZE];
    log_event(LOG_INFO, "c2s.login_failed", "reason=%s jid=%s address=%s", conditions[error],
              log_quoted(nego->sasl ? nego->sasl->bare : SPAN("")).text, stream_address(stream, address));
    shard_count(stream->shard, COUNTER_LOGINS_FAILED, 1);
    sasl_free(nego->sasl);
    nego->sasl = NULL;
    nego->attempts++;
    return EV_FAILURE;
}

static void write_message(struct stream *stream, const char *name, struct span bytes)
{
    char text[BASE64_ENCODED_SIZE(SCRAM_MESSAGE_MAX)];
    SL_CHECK(bytes.size <= SCRAM_MESSAGE_MAX);
    struct xml_writer w = stream_writer(stream, stream->shard->pool);
    xml_open(&w, name);
    xml_namespace(&w, "urn:ietf:params:xml:ns:xmpp-sasl");
    if (bytes.size)
        xml_write_text(&w, span_of(text, base64_encode(bytes, text)));
    xml_close(&w);
    stream_touch(stream);
}

static enum nego_event succeed(struct stream *stream, struct span data)
{
    struct nego *nego = stream->nego;
    struct sasl *sasl = nego->sasl;
    write_message(stream, "success", data);
    stream->mechanism = (uint8_t)(sasl->mechanism - mechanisms);
    nego->jid = sasl->bare; /* the identity of this stream, from here on */
    sasl->bare = SPAN_NONE;
    sasl_free(sasl);
    nego->sasl = NULL;
    return EV_SUCCESS;
}

static enum nego_event challenge(struct stream *stream, struct span data)
{
    write_message(stream, "challenge", data);
    return EV_CHALLENGE;
}

/* The account's bare JID from the name that the client gave: the simple user name is the localpart (RFC 6120 s6.3.7).
 */
static bool take_name(struct stream *stream, struct span name)
{
    struct sasl *sasl = stream->nego->sasl;
    struct span domain = stream->nego->domain;
    char local[JID_PART_MAX];
    size_t size;
    if (jid_prepare_local(name, local, &size) != JID_OK)
        return false;
    char *bare = malloc(size + 1 + domain.size);
    if (!bare)
        return false;
    memcpy(bare, local, size);
    bare[size] = '@';
    memcpy(bare + size + 1, domain.ptr, domain.size);
    sasl->bare = span_of(bare, size + 1 + domain.size);
    return true;
}

/* s6.3.8: an authorization identity, if there is one, is the account itself. */
static bool authzid_is_own(const struct sasl *sasl, struct span authzid)
{
    struct jid_buffer buffer;
    struct jid jid;
    if (!authzid.size)
        return true;
    return jid_prepare(authzid, &buffer, &jid) == JID_OK && span_equal(jid_full(&jid), sasl->bare);
}

/* There is no such account: the exchange goes on with made-up keys, and with the work of accounts made now. */
static void pretend(struct stream *stream)
{
    const struct shard *shard = stream->shard;
    struct sasl *sasl = stream->nego->sasl;
    sasl->is_unknown = true;
    account_fake(&sasl->account, sasl->bare, span_of(shard->router->fake_secret, sizeof shard->router->fake_secret));
    sasl->account.iterations = shard->policy->config->sasl_iterations;
}

/* The stream waits, held, until the store answers. */
static enum nego_event fetch_account(struct stream *stream)
{
    struct sasl *sasl = stream->nego->sasl;
    if (sasl->bare.size > STORE_KEY_MAX) { /* a bare JID may have 2 KiB, a key of the store not: nobody has this name */
        pretend(stream);
        return EV_ACCOUNT;
    }
    if (!store_post(stream->shard->store, STORE_GET, STORE_ACCOUNTS, io_ref(stream->conn), sasl->bare, SPAN("")))
        return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    stream_hold(stream);
    return EV_NONE;
}

static enum nego_event scram_step_first(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    char name[SCRAM_NAME_MAX], authzid[SCRAM_NAME_MAX];
    size_t name_size, authzid_size;
    struct span binding;
    switch (scram_first(&sasl->scram, message, name, &name_size, authzid, &authzid_size, &binding)) {
    case SCRAM_OK:
        break;
    case SCRAM_BAD_BINDING:
    case SCRAM_BAD_PROOF:
        return fail(stream, SASL_NOT_AUTHORIZED);
    case SCRAM_BAD_AUTHZID:
        return fail(stream, SASL_INVALID_AUTHZID);
    case SCRAM_MALFORMED:
    case SCRAM_BAD_NAME:
    case SCRAM_UNKNOWN_EXTENSION:
        return fail(stream, SASL_MALFORMED_REQUEST);
    case SCRAM_NO_MEMORY:
        return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    }
    if (binding.size >= sizeof sasl->binding_name)
        return fail(stream, SASL_NOT_AUTHORIZED);
    memcpy(sasl->binding_name, binding.ptr ? binding.ptr : "", binding.size);
    if (!take_name(stream, span_of(name, name_size)))
        return fail(stream, SASL_NOT_AUTHORIZED);
    if (!authzid_is_own(sasl, span_of(authzid, authzid_size)))
        return fail(stream, SASL_INVALID_AUTHZID);
    return fetch_account(stream);
}

/* The data of the binding that the client named; none for a name we do not know. */
static size_t binding_data(struct stream *stream, const char *name, char out[ENGINE_BINDING_MAX])
{
    for (size_t i = 0; stream->tls && i < BINDING_COUNT; i++)
        if (strcmp(bindings[i].name, name) == 0)
            return engine_binding(stream->tls, bindings[i].kind, out);
    return 0;
}

static enum nego_event scram_step_final(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    char binding[ENGINE_BINDING_MAX], out[SCRAM_MESSAGE_MAX];
    size_t out_size;
    size_t binding_size = binding_data(stream, sasl->binding_name, binding);
    if (sasl->binding_name[0] && !binding_size)
        return fail(stream, SASL_NOT_AUTHORIZED);
    switch (scram_final(&sasl->scram, message, span_of(binding, binding_size), out, &out_size)) {
    case SCRAM_OK:
        break;
    case SCRAM_MALFORMED:
    case SCRAM_UNKNOWN_EXTENSION:
        return fail(stream, SASL_MALFORMED_REQUEST);
    case SCRAM_NO_MEMORY:
        return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    case SCRAM_BAD_BINDING:
    case SCRAM_BAD_PROOF:
    case SCRAM_BAD_NAME:
    case SCRAM_BAD_AUTHZID:
        return fail(stream, SASL_NOT_AUTHORIZED);
    }
    if (sasl->is_unknown)
        return fail(stream, SASL_NOT_AUTHORIZED);
    return succeed(stream, span_of(out, out_size));
}

/* RFC 4616 s2: [authzid] NUL authcid NUL passwd. */
static enum nego_event plain_step(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    const char *first = memchr(message.ptr, '\0', message.size);
    const char *end = message.ptr + message.size;
    const char *second = first ? memchr(first + 1, '\0', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '\0', (size_t)(end - second - 1)))
        return fail(stream, SASL_MALFORMED_REQUEST);
    struct span given = span_of(second + 1, (size_t)(end - second - 1));
    if (!take_name(stream, span_of(first + 1, (size_t)(second - first - 1))))
        return fail(stream, SASL_NOT_AUTHORIZED);
    if (!authzid_is_own(sasl, span_of(message.ptr, (size_t)(first - message.ptr))))
        return fail(stream, SASL_INVALID_AUTHZID);
    size_t room_size = 3 * given.size + 1, size;
    char *room = malloc(room_size);
    if (!room)
        return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    sasl->password = span_of(room, room_size);
    if (jid_prepare_password(given, room, room_size, &size) != JID_OK)
        return fail(stream, SASL_NOT_AUTHORIZED);
    sasl->password.size = size;
    return fetch_account(stream);
}

/* RFC 4505: whatever trace the client gives is not kept. The localpart is chosen so that this shard owns it: nobody has
 * to move. */
static enum nego_event anonymous_step(struct stream *stream)
{
    static const char digits[] = "0123456789abcdef";
    struct shard *shard = stream->shard;
    char name[32];
    uint8_t random[16];
    for (unsigned attempt = 0; attempt < 64 * shard->router->shard_count; attempt++) {
        io_random(shard->io, random, sizeof random);
        for (size_t i = 0; i < sizeof random; i++) {
            name[2 * i] = digits[random[i] >> 4];
            name[2 * i + 1] = digits[random[i] & 15];
        }
        span_free(&stream->nego->sasl->bare);
        if (!take_name(stream, span_of(name, sizeof name)))
            return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
        if (router_owner(shard->router, stream->nego->sasl->bare) == shard->index)
            break;
    }
    return succeed(stream, SPAN(""));
}

static enum nego_event step(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    switch (sasl->mechanism->kind) {
    case KIND_SCRAM:
        return sasl->bare.ptr ? scram_step_final(stream, message) : scram_step_first(stream, message);
    case KIND_PLAIN:
        return plain_step(stream, message);
    case KIND_ANONYMOUS:
        break;
    }
    return anonymous_step(stream);
}

/* The content of <auth/> or <response/>: base64, "=" for an empty message (s6.4.2). */
static bool content(const struct xml_stanza *stanza, char out[SCRAM_MESSAGE_MAX], struct span *message, bool *is_there)
{
    char room[BASE64_ENCODED_SIZE(SCRAM_MESSAGE_MAX)];
    struct span text = xml_text(stanza, 0, room, sizeof room);
    size_t size = 0;
    *is_there = text.size != 0;
    *message = SPAN("");
    if (!text.ptr || text.size > sizeof room)
        return false;
    if (text.size == 0 || span_is(text, "="))
        return true;
    if (!base64_decode(text, out, &size))
        return false;
    *message = span_of(out, size);
    return true;
}

static const struct mechanism *mechanism_find(const struct stream *stream, const struct xml_stanza *stanza)
{
    char room[32];
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "mechanism");
    struct span name = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    for (size_t i = 0; name.ptr && i < MECHANISM_COUNT; i++)
        if (span_is(name, mechanisms[i].name) && is_offered(stream, &mechanisms[i]))
            return &mechanisms[i];
    return NULL;
}

enum nego_event sasl_begin(struct stream *stream, const struct xml_stanza *stanza)
{
    char room[SCRAM_MESSAGE_MAX];
    struct span message;
    bool is_there;
    const struct mechanism *mechanism = mechanism_find(stream, stanza);
    sasl_free(stream->nego->sasl); /* a handshake that was under way is discarded (s6.4.2) */
    stream->nego->sasl = NULL;
    if (!mechanism)
        return fail(stream, SASL_INVALID_MECHANISM);
    struct sasl *sasl = calloc(1, sizeof *sasl);
    if (!sasl)
        return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    sasl->mechanism = mechanism;
    if (mechanism->kind == KIND_SCRAM)
        scram_init(&sasl->scram, mechanism->digest, mechanism->is_plus, plus_is_offered(stream));
    stream->nego->sasl = sasl;
    if (!content(stanza, room, &message, &is_there))
        return fail(stream, SASL_INCORRECT_ENCODING);
    /* No initial response: the client waits for an empty challenge (s6.4.2; RFC 5802 s5 and RFC 4616 s2 start with the
     * client's message). */
    if (!is_there && mechanism->kind != KIND_ANONYMOUS)
        return challenge(stream, SPAN(""));
    enum nego_event event = step(stream, message);
    digest_wipe(room, sizeof room);
    return event;
}

enum nego_event sasl_response(struct stream *stream, const struct xml_stanza *stanza)
{
    char room[SCRAM_MESSAGE_MAX];
    struct span message;
    bool is_there;
    if (!content(stanza, room, &message, &is_there))
        return fail(stream, SASL_INCORRECT_ENCODING);
    enum nego_event event = step(stream, message);
    digest_wipe(room, sizeof room);
    return event;
}

enum nego_event sasl_abort(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    return fail(stream, SASL_ABORTED);
}

/* Names sorted by octets (i;octet, RFC 4790 s9.3) and joined. */
static size_t join_sorted(const char **names, size_t count, char *out)
{
    size_t used = 0;
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j && strcmp(names[j - 1], names[j]) > 0; j--) {
            const char *name = names[j];
            names[j] = names[j - 1];
            names[j - 1] = name;
        }
    for (size_t i = 0; i < count; i++) {
        if (i)
            out[used++] = '\x1e';
        memcpy(out + used, names[i], strlen(names[i]));
        used += strlen(names[i]);
    }
    return used;
}

/* XEP-0474 s6.1: the lists as this stream's features had them. */
static void tell_offer(struct stream *stream)
{
    char text[512], data[ENGINE_BINDING_MAX];
    const char *names[MECHANISM_COUNT + BINDING_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < MECHANISM_COUNT; i++)
        if (is_offered(stream, &mechanisms[i]))
            names[count++] = mechanisms[i].name;
    size_t size = join_sorted(names, count, text);
    if (plus_is_offered(stream)) {
        text[size++] = '\x1f';
        count = 0;
        for (size_t i = 0; i < BINDING_COUNT; i++)
            if (engine_binding(stream->tls, bindings[i].kind, data))
                names[count++] = bindings[i].name;
        size += join_sorted(names, count, text + size);
    }
    scram_offer(&stream->nego->sasl->scram, span_of(text, size));
}

static enum nego_event scram_account(struct stream *stream)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct sasl *sasl = stream->nego->sasl;
    char nonce[SCRAM_NONCE_SIZE], out[SCRAM_MESSAGE_MAX];
    io_random(stream->shard->io, nonce, sizeof nonce);
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = alphabet[(unsigned char)nonce[i] & 63];
    tell_offer(stream);
    size_t size = scram_challenge(&sasl->scram, &sasl->account, nonce, out);
    return challenge(stream, span_of(out, size));
}

enum nego_event sasl_account(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct sasl *sasl = stream->nego->sasl;
    if (sasl->is_store_down)
        return fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    if (sasl->mechanism->kind == KIND_SCRAM)
        return scram_account(stream);
    /* The same work for an unknown account as for a known one. */
    sasl->verify = verify_begin(stream, &sasl->account, sasl->password);
    return sasl->verify ? EV_NONE : fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
}

enum nego_event sasl_verified(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct sasl *sasl = stream->nego->sasl;
    bool is_right = verify_result(sasl->verify) && !sasl->is_unknown;
    return is_right ? succeed(stream, SPAN("")) : fail(stream, SASL_NOT_AUTHORIZED);
}

void sasl_store_reply(struct stream *stream, const struct store_reply *reply)
{
    struct sasl *sasl = stream->nego ? stream->nego->sasl : NULL;
    if (stream->state != STREAM_LOOKUP || !sasl)
        return;
    sasl->is_store_down = reply->status == STORE_FAILED || reply->status == STORE_FULL;
    bool is_found = reply->status == STORE_FOUND && account_decode(reply->value, &sasl->account);
    bool has_key = sasl->mechanism->digest == DIGEST_SHA1 ? sasl->account.has_sha1 : sasl->account.has_sha256;
    sasl->is_unknown = !is_found || (sasl->mechanism->kind == KIND_SCRAM && !has_key);
    if (sasl->is_unknown)
        pretend(stream);
    nego_event(stream, EV_ACCOUNT, NULL);
    stream_release(stream);
}
