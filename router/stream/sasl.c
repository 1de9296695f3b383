/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl_priv.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "core/base/log.h"
#include "io/io.h"
#include "router/route/shard.h"
#include "router/stream/bearer.h"
#include "router/stream/crowd.h"
#include "router/stream/verify.h"

#include <stdlib.h>

_Static_assert(SASL_MESSAGE_MAX == SCRAM_MESSAGE_MAX, "SCRAM has the longest messages");

static const char *const conditions[] = {
#define SASL_ERROR(symbol, condition) condition,
#include "router/stream/sasl_errors.def"
#undef SASL_ERROR
};

void sasl_span_free(struct span *bytes)
{
    if (bytes->ptr)
        digest_wipe((char *)(uintptr_t)bytes->ptr, bytes->size);
    span_free(bytes);
}

void sasl_free(struct sasl *sasl)
{
    if (!sasl)
        return;
    if (sasl->mechanism->kind == MECHANISM_SCRAM)
        scram_fini(&sasl->scram);
    sasl_span_free(&sasl->bare);
    sasl_span_free(&sasl->password);
    verify_free(sasl->verify);
    digest_wipe(sasl, sizeof *sasl);
    free(sasl);
}

/* RFC 6120 s6.4.5. The stream may try again; the table counts how often. */
enum nego_event sasl_fail(struct stream *stream, enum sasl_error error)
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
    if (error == SASL_NOT_AUTHORIZED)
        crowd_login_failed(stream);
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

/* RFC 6120 s6.4.6: 'from' of a header that came under TLS is who authenticates; of one in plain text anybody could have
 * written it. An anonymous client cannot know its address before this. */
static bool is_who_it_said(const struct stream *stream)
{
    const struct sasl *sasl = stream->nego->sasl;
    const char *from = stream->nego->from;
    bool is_known = from && stream->tls && sasl->mechanism->kind != MECHANISM_ANONYMOUS;
    return !is_known || span_equal(span_str(from), sasl->bare);
}

enum nego_event sasl_succeed(struct stream *stream, struct span data)
{
    struct nego *nego = stream->nego;
    struct sasl *sasl = nego->sasl;
    if (!is_who_it_said(stream)) {
        (void)sasl_fail(stream, SASL_NOT_AUTHORIZED);
        return EV_OTHER_FROM;
    }
    if (sasl->is_disabled) /* s6.5.2: told to nobody who does not know the password */
        return sasl_fail(stream, SASL_ACCOUNT_DISABLED);
    write_message(stream, "success", data);
    stream->mechanism = (uint8_t)mechanism_number(sasl->mechanism);
    if (sasl->mechanism->kind == MECHANISM_EXTERNAL)
        shard_count(stream->shard, COUNTER_LOGINS_EXTERNAL, 1);
    else
        bearer_forget(stream);
    nego->jid = sasl->bare; /* the identity of this stream, from here on */
    sasl->bare = SPAN_NONE;
    sasl_free(sasl);
    nego->sasl = NULL;
    return EV_SUCCESS;
}

enum nego_event sasl_challenge(struct stream *stream, struct span data)
{
    write_message(stream, "challenge", data);
    return EV_CHALLENGE;
}

/* The account's bare JID from the name that the client gave: the simple user name is the localpart (RFC 6120 s6.3.7).
 */
bool sasl_take_name(struct stream *stream, struct span name)
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
bool sasl_authzid_is_own(const struct sasl *sasl, struct span authzid)
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

/* There is, without keys for this hash: the made-up ones go with its own salt and work, since another salt here than
 * under the hash that it has keys for would say that there is an account. */
static void pretend_keys(struct stream *stream)
{
    struct account *account = &stream->nego->sasl->account;
    const struct account own = *account;
    pretend(stream);
    account->iterations = own.iterations;
    account->salt_size = own.salt_size;
    memcpy(account->salt, own.salt, sizeof own.salt);
}

/* The stream waits, held, until the store answers. */
enum nego_event sasl_fetch_account(struct stream *stream)
{
    struct sasl *sasl = stream->nego->sasl;
    if (sasl->bare.size > STORE_KEY_MAX) { /* a bare JID may have 2 KiB, a key of the store not: nobody has this name */
        pretend(stream);
        return EV_ACCOUNT;
    }
    if (!store_post(stream->shard->store, STORE_GET, STORE_ACCOUNTS, io_ref(stream->conn), sasl->bare, SPAN("")))
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    stream_hold(stream);
    return EV_NONE;
}

static enum nego_event step(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    if (sasl->mechanism->kind != MECHANISM_ANONYMOUS && !crowd_may_login(stream))
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE); /* before anything is known of the account */
    switch (sasl->mechanism->kind) {
    case MECHANISM_EXTERNAL:
        return sasl_external_step(stream, message);
    case MECHANISM_SCRAM:
        return sasl_scram_step(stream, message);
    case MECHANISM_PLAIN:
        return sasl_plain_step(stream, message);
    case MECHANISM_ANONYMOUS:
        break;
    }
    return sasl_anonymous_step(stream, message);
}

/* The content of <auth/> or <response/>, decoded. s6.3.5 wants base64 and nothing else (s6.5.5); an element inside,
 * which the schema does not have (A.4), and more than any mechanism takes, are malformed requests (s6.5.8). */
static bool content(const struct xml_stanza *stanza, char out[SCRAM_MESSAGE_MAX], struct span *message,
                    enum sasl_error *error)
{
    char room[BASE64_ENCODED_SIZE(SCRAM_MESSAGE_MAX)];
    struct span text = xml_text(stanza, 0, room, sizeof room);
    size_t size = 0;
    *error = SASL_MALFORMED_REQUEST;
    if (xml_child(stanza, 0) != XML_NOWHERE || !text.ptr || text.size > sizeof room)
        return false;
    *error = SASL_INCORRECT_ENCODING;
    if (!base64_decode(text, out, &size))
        return false;
    *message = span_of(out, size);
    return true;
}

/* s6.4.2: an initial response that is there but has no data is "=". */
static bool is_empty_response(const struct xml_stanza *stanza)
{
    char room[8];
    return xml_child(stanza, 0) == XML_NOWHERE && span_is(xml_text(stanza, 0, room, sizeof room), "=");
}

bool sasl_initial_response(const struct xml_stanza *stanza, char *out, struct span *message, enum sasl_error *error)
{
    *message = SPAN("");
    return is_empty_response(stanza) || content(stanza, out, message, error);
}

/* The mechanism that <auth/> names; NULL: what it is answered with is in *error. */
static const struct mechanism *requested(const struct stream *stream, const struct xml_stanza *stanza,
                                         enum sasl_error *error)
{
    char room[32];
    const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "mechanism");
    struct span name = attribute ? xml_value(stanza, attribute, room, sizeof room) : SPAN_NONE;
    const struct mechanism *mechanism = mechanism_find(name);
    if (mechanism && mechanism_is_offered(stream, mechanism))
        return mechanism;
    *error = SASL_INVALID_MECHANISM;
    if (mechanism && mechanism_is_too_weak(stream, mechanism)) /* TLS would not help */
        *error = SASL_MECHANISM_TOO_WEAK;
    else if (mechanism && mechanism_needs_tls(stream, mechanism))
        *error = SASL_ENCRYPTION_REQUIRED;
    else if (mechanism && mechanism->kind == MECHANISM_EXTERNAL && mechanism_is_configured(stream, mechanism))
        *error = sasl_external_refusal(stream);
    return NULL;
}

enum nego_event sasl_begin(struct stream *stream, const struct xml_stanza *stanza)
{
    char room[SCRAM_MESSAGE_MAX];
    struct span message;
    enum sasl_error error;
    const struct mechanism *mechanism = requested(stream, stanza, &error);
    /* A handshake that was under way is discarded (s6.4.2): an attempt too, or one stream would ask for any number of
     * names, whose challenges it never answers. */
    if (stream->nego->sasl)
        stream->nego->attempts++;
    sasl_free(stream->nego->sasl);
    stream->nego->sasl = NULL;
    if (!mechanism)
        return sasl_fail(stream, error);
    struct sasl *sasl = calloc(1, sizeof *sasl);
    if (!sasl)
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    sasl->mechanism = mechanism;
    if (mechanism->kind == MECHANISM_SCRAM)
        scram_init(&sasl->scram, mechanism->digest, mechanism->is_plus, mechanism_plus_is_offered(stream));
    stream->nego->sasl = sasl;
    /* No initial response: the client waits for an empty challenge (s6.4.2; RFC 5802 s5 and RFC 4616 s2 start with the
     * client's message). */
    if (xml_inner(stanza, 0).size == 0 && mechanism->kind != MECHANISM_ANONYMOUS)
        return sasl_challenge(stream, SPAN(""));
    bool is_right = sasl_initial_response(stanza, room, &message, &error);
    enum nego_event event = is_right ? step(stream, message) : sasl_fail(stream, error);
    digest_wipe(room, sizeof room);
    return event;
}

/* Nothing is authenticated in plain text where TLS is required, whatever the client sent with it. */
enum nego_event sasl_refuse_plain(struct stream *stream, const struct xml_stanza *stanza)
{
    enum sasl_error error = SASL_ENCRYPTION_REQUIRED;
    (void)requested(stream, stanza, &error);
    return sasl_fail(stream, error);
}

/* s6.5.8: there is nothing that it could be the response to. */
enum nego_event sasl_refuse_response(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    return sasl_fail(stream, SASL_MALFORMED_REQUEST);
}

enum nego_event sasl_response(struct stream *stream, const struct xml_stanza *stanza)
{
    char room[SCRAM_MESSAGE_MAX];
    struct span message;
    enum sasl_error error;
    bool is_right = content(stanza, room, &message, &error);
    enum nego_event event = is_right ? step(stream, message) : sasl_fail(stream, error);
    digest_wipe(room, sizeof room);
    return event;
}

enum nego_event sasl_abort(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    return sasl_fail(stream, SASL_ABORTED);
}

enum nego_event sasl_account(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct sasl *sasl = stream->nego->sasl;
    if (sasl->is_store_down)
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    if (sasl->mechanism->kind == MECHANISM_EXTERNAL)
        return sasl_external_account(stream);
    return sasl->mechanism->kind == MECHANISM_SCRAM ? sasl_scram_account(stream) : sasl_plain_account(stream);
}

enum nego_event sasl_verified(struct stream *stream, const struct xml_stanza *stanza)
{
    (void)stanza;
    struct sasl *sasl = stream->nego->sasl;
    if (!crowd_may_login(stream)) /* others from there have failed while this one waited */
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    bool is_right = verify_result(sasl->verify) && !sasl->is_unknown;
    return is_right ? sasl_succeed(stream, SPAN("")) : sasl_fail(stream, SASL_NOT_AUTHORIZED);
}

void sasl_store_reply(struct stream *stream, const struct store_reply *reply)
{
    struct sasl *sasl = stream->nego ? stream->nego->sasl : NULL;
    if (stream->state != STREAM_LOOKUP || !sasl)
        return;
    sasl->is_store_down = reply->status == STORE_FAILED || reply->status == STORE_FULL;
    bool is_found = reply->status == STORE_FOUND && account_decode(reply->value, &sasl->account);
    bool has_key = sasl->mechanism->digest == DIGEST_SHA1 ? sasl->account.has_sha1 : sasl->account.has_sha256;
    sasl->is_disabled |= is_found && sasl->account.is_disabled;
    if (!is_found || sasl->is_unknown)
        pretend(stream);
    else if (sasl->mechanism->kind == MECHANISM_SCRAM && !has_key)
        pretend_keys(stream);
    nego_event(stream, EV_ACCOUNT, NULL);
    stream_release(stream);
}

void sasl_withdraw(struct stream *stream, struct span bare, bool is_removed)
{
    struct sasl *sasl = stream->nego ? stream->nego->sasl : NULL;
    if (!sasl || !span_equal(sasl->bare, bare))
        return;
    sasl->is_unknown |= is_removed;
    sasl->is_disabled |= !is_removed;
}
