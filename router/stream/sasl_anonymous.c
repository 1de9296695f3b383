/* SPDX-License-Identifier: MIT */
#include "router/stream/sasl_priv.h"

#include "io/io.h"
#include "router/route/shard.h"

/* RFC 4505: whatever trace the client gives is not kept. The localpart is chosen so that this shard owns it: nobody has
 * to move. */
enum nego_event sasl_anonymous_step(struct stream *stream, struct span message)
{
    (void)message;
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
        sasl_span_free(&stream->nego->sasl->bare);
        if (!sasl_take_name(stream, span_of(name, sizeof name)))
            return sasl_fail(stream, SASL_TEMPORARY_AUTH_FAILURE);
        if (router_owner(shard->router, stream->nego->sasl->bare) == shard->index)
            break;
    }
    return sasl_succeed(stream, SPAN(""));
}
