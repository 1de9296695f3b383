/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl_priv.h"

#include "core/base/utf8.h"
#include "router/stream/verify.h"

#include <stdlib.h>

struct plain {
    struct span authzid; /* empty: none */
    struct span authcid;
    struct span password;
};

/* RFC 4616 s2: [authzid] UTF8NUL authcid UTF8NUL passwd, each of one UTF-8 character or more, none of them NUL. */
static bool plain_read(struct span message, struct plain *out)
{
    const char *end = message.ptr + message.size;
    const char *first = memchr(message.ptr, '\0', message.size);
    const char *second = first ? memchr(first + 1, '\0', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '\0', (size_t)(end - second - 1)))
        return false;
    out->authzid = span_of(message.ptr, (size_t)(first - message.ptr));
    out->authcid = span_of(first + 1, (size_t)(second - first - 1));
    out->password = span_of(second + 1, (size_t)(end - second - 1));
    return out->authcid.size && out->password.size && utf8_is_valid(message);
}

enum nego_event sasl_plain_step(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    struct plain plain;
    if (!plain_read(message, &plain))
        return sasl_fail(stream, SASL_MALFORMED_REQUEST);
    if (!sasl_take_name(stream, plain.authcid))
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    if (!sasl_authzid_is_own(sasl, plain.authzid))
        return sasl_fail(stream, SASL_INVALID_AUTHZID);
    size_t room_size = 3 * plain.password.size + 1, size;
    char *room = malloc(room_size);
    if (!room)
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    sasl->password = span_of(room, room_size);
    if (jid_prepare_password(plain.password, room, room_size, &size) != JID_OK)
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    sasl->password.size = size;
    return sasl_inspected(stream, NULL);
}

enum nego_event sasl_plain_account(struct stream *stream)
{
    struct sasl *sasl = stream->nego->sasl;
    /* The same work for an unknown account as for a known one. */
    sasl->verify = verify_begin(stream, &sasl->account, sasl->password);
    return sasl->verify ? EV_NONE : sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
}
