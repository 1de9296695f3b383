/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl_priv.h"

#include "router/stream/verify.h"

#include <stdlib.h>

/* RFC 4616 s2: [authzid] NUL authcid NUL passwd. */
enum nego_event sasl_plain_step(struct stream *stream, struct span message)
{
    struct sasl *sasl = stream->nego->sasl;
    const char *first = memchr(message.ptr, '\0', message.size);
    const char *end = message.ptr + message.size;
    const char *second = first ? memchr(first + 1, '\0', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '\0', (size_t)(end - second - 1)))
        return sasl_fail(stream, SASL_MALFORMED_REQUEST);
    struct span given = span_of(second + 1, (size_t)(end - second - 1));
    if (!sasl_take_name(stream, span_of(first + 1, (size_t)(second - first - 1))))
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    if (!sasl_authzid_is_own(sasl, span_of(message.ptr, (size_t)(first - message.ptr))))
        return sasl_fail(stream, SASL_INVALID_AUTHZID);
    size_t room_size = 3 * given.size + 1, size;
    char *room = malloc(room_size);
    if (!room)
        return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
    sasl->password = span_of(room, room_size);
    if (jid_prepare_password(given, room, room_size, &size) != JID_OK)
        return sasl_fail(stream, SASL_NOT_AUTHORIZED);
    sasl->password.size = size;
    return sasl_fetch_account(stream);
}

enum nego_event sasl_plain_account(struct stream *stream)
{
    struct sasl *sasl = stream->nego->sasl;
    /* The same work for an unknown account as for a known one. */
    sasl->verify = verify_begin(stream, &sasl->account, sasl->password);
    return sasl->verify ? EV_NONE : sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
}
