/* SPDX-License-Identifier: MIT */
#include "tests/sim/wiretap.h"

#include "core/base/check.h"
#include "router/route/shard.h"
#include "router/stream/stream.h"
#include "tests/sim/tap.h"
#include "tls/engine.h"

#include <stdlib.h>

/* A stream keeps its struct when it moves to another shard, so that is what tells it. */
struct ear {
    const struct stream *stream;
    unsigned number;
};

static struct ear *ears; /* of this program; the simulation is one thread */
static size_t count, room;
static unsigned dialled_count;
static const struct wiretap_watcher *watching;

void wiretap_watch(const struct wiretap_watcher *watcher)
{
    watching = watcher;
}

static struct ear *ear_of(const struct stream *stream)
{
    for (size_t i = 0; stream && i < count; i++)
        if (ears[i].stream == stream)
            return &ears[i];
    return NULL;
}

static void listen_to(const struct stream *stream, unsigned number)
{
    struct ear *ear = ear_of(stream); /* one that ended with its shard, if any */
    if (!ear && count == room) {
        room = room ? 2 * room : 16;
        ears = realloc(ears, room * sizeof *ears);
        SL_CHECK(ears);
    }
    if (!ear)
        ear = &ears[count++];
    *ear = (struct ear){.stream = stream, .number = number};
}

static void accepted(void *context, struct io_conn *conn, unsigned tag, const struct sockaddr *peer)
{
    shard_io_handler.accepted(context, conn, tag, peer);
    const struct stream *stream = conn->owner;
    if (tag != LISTEN_S2S && tag != LISTEN_S2S_TLS)
        return;
    unsigned number = tap_open();
    if (stream)
        listen_to(stream, number);
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    shard_io_handler.dialled(context, conn, error);
    if (error || !conn->owner)
        return;
    dialled_count++;
    listen_to(conn->owner, tap_open());
}

static void forget(const struct io_conn *conn)
{
    struct ear *ear = ear_of(conn->owner);
    if (ear)
        *ear = ears[--count];
}

static void read_by(const struct stream *stream, struct span bytes)
{
    if (watching && stream && stream->is_s2s && bytes.size)
        watching->read(watching->context, stream, bytes);
}

/* Under TLS it is engine_feed() that gives words. */
static void received(void *context, struct io_conn *conn, struct span bytes)
{
    const struct stream *stream = conn->owner;
    if (stream && !stream->tls)
        read_by(stream, bytes);
    shard_io_handler.received(context, conn, bytes);
}

static void closed(void *context, struct io_conn *conn, int error)
{
    const struct stream *stream = conn->owner;
    if (watching && stream && stream->is_s2s)
        watching->closed(watching->context, stream);
    forget(conn);
    shard_io_handler.closed(context, conn, error);
}

const struct io_handler *wiretap_handler(void)
{
    static struct io_handler handler;
    handler = shard_io_handler;
    handler.accepted = accepted;
    handler.dialled = dialled;
    handler.received = received;
    handler.closed = closed;
    return &handler;
}

unsigned wiretap_dialled(void)
{
    return dialled_count;
}

static bool is_record(char c)
{
    return c >= 0x14 && c <= 0x17; /* RFC 8446 s5.1; no XML begins with it, or has it anywhere */
}

/* Up to size bytes, and none of TLS. */
static void hear(const struct stream *stream, const struct chain *chain, size_t size)
{
    const struct ear *ear = stream && stream->is_s2s ? ear_of(stream) : NULL;
    for (const struct chunk *chunk = chain->head; ear && chunk && size; chunk = chunk->next) {
        struct span bytes = span_of(chunk->bytes + chunk->start, chunk->end - chunk->start);
        size_t plain = 0;
        if (bytes.size > size)
            bytes.size = size;
        while (plain < bytes.size && !is_record(bytes.ptr[plain]))
            plain++;
        tap_write(ear->number, span_of(bytes.ptr, plain));
        if (watching && plain)
            watching->said(watching->context, stream, span_of(bytes.ptr, plain));
        size = plain == bytes.size ? size - plain : 0;
    }
}

static const struct stream *stream_under(const struct engine *engine)
{
    for (size_t i = 0; i < count; i++)
        if (ears[i].stream->tls == engine)
            return ears[i].stream;
    return NULL;
}

/* What stands in for the functions of the same name when test programs are linked. */
enum engine_status __real_engine_write(struct engine *engine, struct chain *plain, size_t size_max,
                                       struct chain *wire_out, struct chunk_pool *pool);
enum engine_status __wrap_engine_write(struct engine *engine, struct chain *plain, size_t size_max,
                                       struct chain *wire_out, struct chunk_pool *pool);
enum engine_status __real_engine_write_kept(struct engine *engine, const struct chain *plain, struct chain *wire_out,
                                            struct chunk_pool *pool);
enum engine_status __wrap_engine_write_kept(struct engine *engine, const struct chain *plain, struct chain *wire_out,
                                            struct chunk_pool *pool);
enum engine_status __real_engine_feed(struct engine *engine, struct span wire, struct chain *wire_out,
                                      struct chunk_pool *pool, engine_plain_fn take, void *context);
enum engine_status __wrap_engine_feed(struct engine *engine, struct span wire, struct chain *wire_out,
                                      struct chunk_pool *pool, engine_plain_fn take, void *context);
void __real_io_send(struct io *io, struct io_conn *conn, struct chain *bytes);
void __wrap_io_send(struct io *io, struct io_conn *conn, struct chain *bytes);

enum engine_status __wrap_engine_write(struct engine *engine, struct chain *plain, size_t size_max,
                                       struct chain *wire_out, struct chunk_pool *pool)
{
    hear(stream_under(engine), plain, size_max);
    return __real_engine_write(engine, plain, size_max, wire_out, pool);
}

enum engine_status __wrap_engine_write_kept(struct engine *engine, const struct chain *plain, struct chain *wire_out,
                                            struct chunk_pool *pool)
{
    hear(stream_under(engine), plain, SIZE_MAX);
    return __real_engine_write_kept(engine, plain, wire_out, pool);
}

struct listener_in {
    engine_plain_fn take;
    void *context;
    const struct stream *stream;
};

static void take_plain(void *context, struct span bytes)
{
    const struct listener_in *in = context;
    read_by(in->stream, bytes);
    in->take(in->context, bytes);
}

enum engine_status __wrap_engine_feed(struct engine *engine, struct span wire, struct chain *wire_out,
                                      struct chunk_pool *pool, engine_plain_fn take, void *context)
{
    struct listener_in in = {take, context, stream_under(engine)};
    return __real_engine_feed(engine, wire, wire_out, pool, take_plain, &in);
}

/* Under TLS these are records, but for what was said before the handshake, which goes out in front of it. */
void __wrap_io_send(struct io *io, struct io_conn *conn, struct chain *bytes)
{
    hear(conn->owner, bytes, SIZE_MAX);
    __real_io_send(io, conn, bytes);
}
