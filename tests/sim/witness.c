/* SPDX-License-Identifier: MIT */
#include "tests/sim/witness.h"

#include "core/base/check.h"
#include "io/sim/world.h"
#include "router/route/shard.h"
#include "tests/sim/wiretap.h"

#include <stdlib.h>

/* Where one direction of one end of a wire is in its XML. What routers write has no comments, sections or '>' in an
 * attribute, so tags are all there is to see. */
struct scanner {
    bool is_in_tag;
    char first, last; /* of the tag */
    uint8_t digits;   /* of a token under way: 0 none, 1 after '#' */
    unsigned value;
    unsigned token; /* of the element at the top, 1 more than its number */
    int depth;
};

struct end {
    const struct stream *stream;
    struct scanner said, read;
};

static struct end *ends;
static size_t count, room;
static uint64_t *cuts;
static size_t cut_count, cut_room;
static witness_fn passed;
static void *passed_context;
static uint64_t said_count, read_count;

static struct end *end_of(const struct stream *stream)
{
    for (size_t i = 0; i < count; i++)
        if (ends[i].stream == stream)
            return &ends[i];
    if (count == room) {
        room = room ? 2 * room : 16;
        ends = realloc(ends, room * sizeof *ends);
        SL_CHECK(ends);
    }
    ends[count] = (struct end){.stream = stream};
    return &ends[count++];
}

static void spell(struct scanner *scanner, char c)
{
    if (c == '#' && scanner->digits == 9 && !scanner->token)
        scanner->token = scanner->value + 1;
    if (c == '#') {
        scanner->digits = 1;
        scanner->value = 0;
    } else if (scanner->digits && scanner->digits < 9 && c >= '0' && c <= '9') {
        scanner->digits++;
        scanner->value = scanner->value * 10 + (unsigned)(c - '0');
    } else {
        scanner->digits = 0;
    }
}

/* A tag has ended. True: and with it an element at the top. */
static bool close_tag(struct scanner *scanner)
{
    if (scanner->first == '?') {
        scanner->depth = 0; /* a stream begins anew */
        scanner->token = 0;
        return false;
    }
    if (scanner->first == '/')
        scanner->depth--;
    else if (scanner->last != '/')
        scanner->depth++;
    return scanner->depth == 1 && (scanner->first == '/' || scanner->last == '/');
}

static void scan(struct scanner *scanner, const struct stream *stream, struct span bytes, bool is_read)
{
    for (size_t i = 0; i < bytes.size; i++) {
        char c = bytes.ptr[i];
        spell(scanner, c);
        if (c == '<') {
            scanner->is_in_tag = true;
            scanner->first = scanner->last = 0;
            continue;
        }
        if (!scanner->is_in_tag)
            continue;
        if (c != '>') {
            scanner->first = scanner->first ? scanner->first : c;
            scanner->last = c;
            continue;
        }
        scanner->is_in_tag = false;
        if (!close_tag(scanner))
            continue;
        if (scanner->token && passed)
            passed(passed_context, stream->shard->router, world_wire(stream->conn), scanner->token - 1, is_read);
        if (scanner->token)
            *(is_read ? &read_count : &said_count) += 1;
        scanner->token = 0;
    }
}

static void said(void *context, const struct stream *stream, struct span bytes)
{
    (void)context;
    scan(&end_of(stream)->said, stream, bytes, false);
}

static void heard(void *context, const struct stream *stream, struct span bytes)
{
    (void)context;
    scan(&end_of(stream)->read, stream, bytes, true);
}

static void closed(void *context, const struct stream *stream)
{
    (void)context;
    struct end *end = end_of(stream);
    *end = ends[--count];
}

static const struct wiretap_watcher watcher = {.said = said, .read = heard, .closed = closed};

void witness_begin(witness_fn tell, void *context)
{
    passed = tell;
    passed_context = context;
    count = cut_count = 0;
    said_count = read_count = 0;
    wiretap_watch(&watcher);
}

void witness_end(void)
{
    wiretap_watch(NULL);
    free(ends);
    free(cuts);
    ends = NULL;
    cuts = NULL;
    count = room = cut_count = cut_room = 0;
}

void witness_note_cut(uint64_t wire)
{
    if (cut_count == cut_room) {
        cut_room = cut_room ? 2 * cut_room : 16;
        cuts = realloc(cuts, cut_room * sizeof *cuts);
        SL_CHECK(cuts);
    }
    cuts[cut_count++] = wire;
}

bool witness_is_cut(uint64_t wire)
{
    for (size_t i = 0; i < cut_count; i++)
        if (cuts[i] == wire)
            return true;
    return false;
}

uint64_t witness_said(void)
{
    return said_count;
}

uint64_t witness_read(void)
{
    return read_count;
}
