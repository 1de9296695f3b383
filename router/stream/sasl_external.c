/* SPDX-License-Identifier: MIT */
/* EXTERNAL (RFC 4422 appendix A) by the certificate that the client presented in its TLS handshake (XEP-0178 s2). */
#include "router/stream/sasl_priv.h"

#include "core/base/log.h"
#include "core/base/utf8.h"
#include "io/io.h"
#include "router/certs/precedents.h"
#include "router/route/shard.h"
#include "router/stream/bearer.h"
#include "tls/engine.h"

/* RFC 6120 s6.5.6: "incorrectly formatted". A bare JID (s6.3.8), in any spelling. */
static bool prepare_authzid(struct span authzid, struct jid_buffer *buffer, struct span *out)
{
    struct jid jid;
    if (jid_prepare(authzid, buffer, &jid) != JID_OK || !jid.local_size || jid.resource_size)
        return false;
    *out = jid_bare(&jid);
    return true;
}

static void say_why(const struct stream *stream, const char *reason)
{
    char text[BEARER_TEXT_SIZE], address[STREAM_ADDRESS_SIZE];
    log_event(LOG_INFO, "c2s.external", "certificate=%s reason=\"%s\" address=%s", bearer_text(stream, text), reason,
              stream_address(stream, address));
}

/* XEP-0178 s2, step 11; the stream stays open for another try, as RFC 6120 s6.4.5 wants it for all mechanisms. */
static enum nego_event refuse(struct stream *stream, enum bearer finding)
{
    static const struct {
        const char *reason;
        enum sasl_error error;
    } rows[] = {
        [BEARER_NOBODY] = {"is no account's", SASL_NOT_AUTHORIZED},
        [BEARER_SEVERAL] = {"is several accounts', and none was asked for", SASL_INVALID_AUTHZID},
        [BEARER_OTHER] = {"is not that account's", SASL_INVALID_AUTHZID},
    };
    say_why(stream, rows[finding].reason);
    return sasl_fail(stream, rows[finding].error);
}

enum nego_event sasl_external_step(struct stream *stream, struct span message)
{
    struct jid_buffer wanted_buffer, buffer;
    struct span wanted = SPAN_NONE, account;
    if (!utf8_is_valid(message) || (message.size && memchr(message.ptr, '\0', message.size)))
        return sasl_fail(stream, SASL_MALFORMED_REQUEST); /* RFC 4422 A.1: UTF8-char-no-nul */
    if (message.size && !prepare_authzid(message, &wanted_buffer, &wanted))
        return sasl_fail(stream, SASL_INVALID_AUTHZID);
    enum bearer finding = bearer_of(stream, stream->nego->domain, wanted, &buffer, &account);
    if (finding != BEARER_FOUND)
        return refuse(stream, finding);
    stream->nego->sasl->bare = span_copy(account);
    return stream->nego->sasl->bare.ptr ? sasl_inspected(stream, NULL) : sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
}

/* Where every client has to have a certificate it is good for nothing without it, whatever else it proves. */
static bool rests_on_certificate(const struct stream *stream)
{
    const struct config *config = stream->shard->policy->config;
    return stream->nego->sasl->mechanism->kind == MECHANISM_EXTERNAL ||
           config->tls_client_certificates == CLIENT_CERTIFICATES_REQUIRED;
}

enum nego_event sasl_inspected(struct stream *stream, const struct xml_stanza *stanza)
{
    enum standing standing;
    (void)stanza;
    switch (rests_on_certificate(stream) ? watch_admit(stream, &standing) : ADMISSION_GRANTED) {
    case ADMISSION_WAITS:
        return EV_NONE;
    case ADMISSION_REFUSED:
        say_why(stream, standing_text(standing));
        if (stream->nego->sasl->bare.size)
            precedents_refuse(stream, PRECEDENT_CLIENT, stream->nego->sasl->bare, standing);
        return sasl_fail(stream, SASL_NOT_AUTHORIZED); /* s6.5.10 */
    case ADMISSION_GRANTED:
        break;
    }
    bool has_account = stream->nego->sasl->mechanism->kind != MECHANISM_ANONYMOUS;
    return has_account ? sasl_fetch_account(stream) : sasl_anonymous_account(stream);
}

/* While the store was asked a reload may have taken the ground away. */
enum nego_event sasl_external_account(struct stream *stream)
{
    struct jid_buffer buffer;
    struct span account;
    const struct sasl *sasl = stream->nego->sasl;
    enum bearer finding = bearer_of(stream, stream->nego->domain, sasl->bare, &buffer, &account);
    if (finding != BEARER_FOUND)
        return refuse(stream, finding);
    if (sasl->is_unknown)
        return refuse(stream, BEARER_NOBODY);
    (void)precedents_meet(stream, PRECEDENT_CLIENT, account);
    return sasl_succeed(stream, SPAN(""));
}

/* s6.5.3 is for what has expired, s6.5.10 for all else that is wrong with credentials, revocation too; who presented
 * none asks for a mechanism that is not there for it. */
enum sasl_error sasl_external_refusal(const struct stream *stream)
{
    const struct credential *credential = stream->tls ? engine_credential(stream->tls) : NULL;
    if (!credential || credential->verdict == CREDENTIAL_NONE)
        return SASL_INVALID_MECHANISM;
    bool is_over =
        credential->verdict == CREDENTIAL_EXPIRED ||
        (credential->verdict == CREDENTIAL_VALID && credential->not_after < io_wall_ms(stream->shard->io) / 1000);
    enum credential_verdict verdict = is_over ? CREDENTIAL_EXPIRED : credential->verdict;
    say_why(stream, verdict == CREDENTIAL_VALID ? "is no account's" : credential_text(verdict));
    return is_over ? SASL_CREDENTIALS_EXPIRED : SASL_NOT_AUTHORIZED;
}
