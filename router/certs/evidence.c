/* SPDX-License-Identifier: MIT */
#include "router/certs/evidence_priv.h"

#include <stdlib.h>

/* Room for a kind and an address: longer ones are not remembered. */
#define NAME_MAX_SIZE 1024u

static struct span key_of(const void *object)
{
    const struct evidence_piece *piece = object;
    return span_of(piece->name, piece->name_size);
}

void evidence_init(struct evidence *evidence, const struct hash_key *key)
{
    evidence->version = 0;
    table_init(&evidence->pieces, key, key_of);
}

static void piece_free(struct evidence_piece *piece)
{
    span_free(&piece->content);
    free(piece);
}

void evidence_fini(struct evidence *evidence)
{
    struct evidence_piece *piece;
    uint32_t position = 0;
    while ((piece = table_next(&evidence->pieces, &position))) {
        table_remove(&evidence->pieces, piece);
        piece_free(piece);
    }
    table_fini(&evidence->pieces);
}

static struct span full_name(enum evidence_kind kind, struct span name, char room[NAME_MAX_SIZE])
{
    if (name.size > NAME_MAX_SIZE - 1)
        return SPAN_NONE;
    room[0] = (char)kind;
    memcpy(room + 1, name.ptr, name.size);
    return span_of(room, name.size + 1);
}

/* Whatever is of no use any more goes; rarely called, so a walk will do. */
static void sweep(struct evidence *evidence, int64_t now)
{
    struct evidence_piece *piece;
    uint32_t position = 0;
    while ((piece = table_next(&evidence->pieces, &position))) {
        if (piece->until > now)
            continue;
        table_remove(&evidence->pieces, piece);
        piece_free(piece);
    }
}

bool evidence_put(struct evidence *evidence, enum evidence_kind kind, struct span name, struct span content,
                  int64_t until, int64_t now)
{
    char room[NAME_MAX_SIZE];
    struct span full = full_name(kind, name, room), copy = span_copy(content);
    struct evidence_piece *piece = full.ptr ? table_find(&evidence->pieces, full) : NULL;
    if (!full.ptr || !copy.ptr) {
        span_free(&copy);
        return false;
    }
    evidence->version++;
    if (piece) {
        span_free(&piece->content);
        piece->content = copy;
        piece->until = until;
        return true;
    }
    if (evidence->pieces.count >= EVIDENCE_COUNT_MAX)
        sweep(evidence, now);
    bool has_room = evidence->pieces.count < EVIDENCE_COUNT_MAX || kind == EVIDENCE_DISTRUST;
    piece = has_room ? malloc(sizeof *piece + full.size) : NULL;
    if (piece) {
        *piece = (struct evidence_piece){.content = copy, .until = until, .name_size = (uint32_t)full.size};
        memcpy(piece->name, full.ptr, full.size);
    }
    if (piece && table_add(&evidence->pieces, piece))
        return true;
    span_free(&copy);
    free(piece);
    return false;
}

bool evidence_remove(struct evidence *evidence, enum evidence_kind kind, struct span name)
{
    char room[NAME_MAX_SIZE];
    struct span full = full_name(kind, name, room);
    struct evidence_piece *piece = full.ptr ? table_find(&evidence->pieces, full) : NULL;
    if (!piece)
        return false;
    evidence->version++;
    table_remove(&evidence->pieces, piece);
    piece_free(piece);
    return true;
}

struct span evidence_find(const struct evidence *evidence, enum evidence_kind kind, struct span name, int64_t now)
{
    char room[NAME_MAX_SIZE];
    struct span full = full_name(kind, name, room);
    const struct evidence_piece *piece = full.ptr ? table_find(&evidence->pieces, full) : NULL;
    return piece && piece->until > now ? piece->content : SPAN_NONE;
}
