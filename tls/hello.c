/* SPDX-License-Identifier: MIT */
#include "tls/hello_priv.h"

enum {
    RECORD_HEAD = 5,
    RECORD_HANDSHAKE = 22,
    MESSAGE_HEAD = 4,
    MESSAGE_CLIENT_HELLO = 1,
    MESSAGE_SERVER_HELLO = 2,
    EXTENSION_SERVER_NAME = 0,
    EXTENSION_ALPN = 16,
    EXTENSION_EXTENDED_MASTER_SECRET = 23,
    NAME_HOST = 0,
};

static unsigned byte_at(struct span s, size_t i)
{
    return (unsigned char)s.ptr[i];
}

static size_t number_at(struct span s, size_t i, unsigned size)
{
    size_t number = 0;
    for (unsigned k = 0; k < size; k++)
        number = number << 8 | byte_at(s, i + k);
    return number;
}

/* Takes size bytes off the front of s. */
static bool take(struct span *s, size_t size, struct span *out)
{
    if (s->size < size)
        return false;
    *out = span_of(s->ptr, size);
    *s = span_skip(*s, size);
    return true;
}

/* Takes a vector with a length of the given width off the front of s (RFC 8446 s3.4). */
static bool take_vector(struct span *s, unsigned width, struct span *out)
{
    struct span head;
    return take(s, width, &head) && take(s, number_at(head, 0, width), out);
}

/* RFC 6066 s3: a list of names, of which host_name is the only type there is. */
static bool read_server_name(struct span body, struct hello *out)
{
    struct span list;
    struct span type;
    struct span name;
    if (!take_vector(&body, 2, &list) || !take(&list, 1, &type) || !take_vector(&list, 2, &name))
        return false;
    if (byte_at(type, 0) == NAME_HOST)
        out->server_name = name;
    return true;
}

static bool read_extensions(struct span extensions, bool is_client, struct hello *out)
{
    while (extensions.size > 0) {
        struct span type;
        struct span body;
        if (!take(&extensions, 2, &type) || !take_vector(&extensions, 2, &body))
            return false;
        switch (number_at(type, 0, 2)) {
        case EXTENSION_SERVER_NAME:
            /* A server's answer is empty (RFC 6066 s3). */
            if (is_client && !read_server_name(body, out))
                return false;
            break;
        case EXTENSION_ALPN:
            out->has_alpn = true;
            break;
        case EXTENSION_EXTENDED_MASTER_SECRET:
            out->has_extended_master_secret = true;
            break;
        default:
            break;
        }
    }
    return true;
}

/* RFC 8446 s4.1.2, s4.1.3; the same layout in RFC 5246 s7.4.1. */
static bool read_message(unsigned type, struct span body, struct hello *out)
{
    struct span skipped;
    struct span extensions;
    bool is_client = type == MESSAGE_CLIENT_HELLO;
    if (!take(&body, 2 + 32, &skipped) || !take_vector(&body, 1, &skipped))
        return false;
    if (is_client) {
        if (!take_vector(&body, 2, &skipped) || !take_vector(&body, 1, &skipped))
            return false;
    } else if (!take(&body, 2 + 1, &skipped)) {
        return false;
    }
    /* TLS 1.2 may go without any extension. */
    if (body.size == 0)
        return true;
    return take_vector(&body, 2, &extensions) && body.size == 0 && read_extensions(extensions, is_client, out);
}

/* Collects the first handshake message from one or more records: a span over its head and body as far as they came. */
static enum hello_status read_records(struct span wire, char *scratch, struct span *message)
{
    struct span whole = SPAN_NONE;
    for (unsigned count = 0; count < HELLO_RECORDS_MAX; count++) {
        if (wire.size > 0 && byte_at(wire, 0) != RECORD_HANDSHAKE)
            return HELLO_FOREIGN;
        if (wire.size < RECORD_HEAD)
            return HELLO_MORE;
        size_t size = number_at(wire, 3, 2);
        if (byte_at(wire, 1) != 3 || size == 0 || whole.size + size > HELLO_SIZE_MAX)
            return HELLO_FOREIGN;
        wire = span_skip(wire, RECORD_HEAD);
        struct span part = span_of(wire.ptr, size < wire.size ? size : wire.size);
        if (count == 0) {
            whole = part;
        } else {
            if (count == 1)
                memcpy(scratch, whole.ptr, whole.size);
            memcpy(scratch + whole.size, part.ptr, part.size);
            whole = span_of(scratch, whole.size + part.size);
        }
        unsigned type = whole.size > 0 ? byte_at(whole, 0) : MESSAGE_CLIENT_HELLO;
        if (type != MESSAGE_CLIENT_HELLO && type != MESSAGE_SERVER_HELLO)
            return HELLO_FOREIGN;
        if (whole.size >= MESSAGE_HEAD) {
            size_t needed = MESSAGE_HEAD + number_at(whole, 1, 3);
            if (needed > HELLO_SIZE_MAX)
                return HELLO_FOREIGN;
            *message = span_of(whole.ptr, needed);
            if (whole.size >= needed)
                return HELLO_READ;
        }
        if (part.size < size)
            return HELLO_MORE;
        wire = span_skip(wire, size);
    }
    return HELLO_FOREIGN;
}

enum hello_status hello_read(struct span wire, char *scratch, struct hello *out)
{
    struct span message = SPAN_NONE;
    memset(out, 0, sizeof(*out));
    enum hello_status status = read_records(wire, scratch, &message);
    if (status != HELLO_READ)
        return status;
    if (read_message(byte_at(message, 0), span_skip(message, MESSAGE_HEAD), out))
        return HELLO_READ;
    memset(out, 0, sizeof(*out));
    return HELLO_FOREIGN;
}
