/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl_priv.h"

#include "core/base/hex.h"
#include "core/base/utf8.h"
#include "io/io.h"
#include "router/route/shard.h"

#define TOKEN_MAX 255u /* characters of a token: RFC 4505 s2 */

/* RFC 4505 s2: no message, an address, or a token, which has no '@'. Of the address only what all have is asked. */
static bool is_trace(struct span message)
{
    const char *at = memrchr(message.ptr, '@', message.size);
    if (!utf8_is_valid(message))
        return false;
    if (at)
        return at > message.ptr && at + 1 < message.ptr + message.size;
    size_t count = 0;
    for (size_t i = 0; i < message.size; i++)
        count += ((unsigned char)message.ptr[i] & 0xC0) != 0x80; /* the first octet of a character */
    return count <= TOKEN_MAX;
}

/* RFC 4505: whatever trace the client gives is not kept. */
enum nego_event sasl_anonymous_step(struct stream *stream, struct span message)
{
    if (!is_trace(message))
        return sasl_fail(stream, SASL_MALFORMED_REQUEST); /* RFC 6120 s6.5.8 */
    return sasl_inspected(stream, NULL);
}

/* The localpart is chosen so that this shard owns it: nobody has to move. */
enum nego_event sasl_anonymous_account(struct stream *stream)
{
    struct shard *shard = stream->shard;
    char name[32];
    uint8_t random[16];
    for (unsigned attempt = 0; attempt < 64 * shard->router->shard_count; attempt++) {
        io_random(shard->io, random, sizeof random);
        hex_encode(span_of(random, sizeof random), name);
        sasl_span_free(&stream->nego->sasl->bare);
        if (!sasl_take_name(stream, span_of(name, sizeof name)))
            return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
        if (router_owner(shard->router, stream->nego->sasl->bare) == shard->index)
            break;
    }
    return sasl_succeed(stream, SPAN(""));
}
