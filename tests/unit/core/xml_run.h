/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Xml run: a reader driven over bytes in any chunking, and what two reference parsers make of the same bytes.
 */
#include "core/xml/reader.h"

#include <stdio.h>

/* Growing bytes: what happened, in a form that can be compared with memcmp. */
struct record {
    uint8_t *bytes;
    size_t size, room;
    size_t text_end;    /* where the last text ended ... */
    uint32_t text_size; /* ... and how long it is by now */
};

void record_add(struct record *record, const void *bytes, size_t size);
void record_free(struct record *record);
bool record_is_equal(const struct record *a, const struct record *b);

enum run_end {
    RUN_OPEN,    /* the bytes ended inside the stream */
    RUN_ENDED,   /* the stream's end tag was the last */
    RUN_REFUSED, /* see error */
};

enum run_kind {
    RUN_TAPE,   /* records every number of every tape */
    RUN_EVENTS, /* records start tags, attributes, text and end tags by their values */
    RUN_QUIET,
};

struct run {
    enum run_end end;
    enum xml_error error;
    uint64_t offset;
    uint32_t stanzas;
    uint32_t misnamed;
    size_t memory_max; /* of the reader, seen after a call */
    struct record record;
};

/* Feeds bytes in pieces of chunk bytes, the first one of first bytes (0: as the others). Each piece is an allocation of
 * its own, so that a sanitizer sees every byte read beside it. */
struct run run_reader(struct span bytes, size_t first, size_t chunk, const struct xml_limits *limits,
                      enum run_kind kind);
void run_free(struct run *run);
/* The run's verdict and record equal another's. */
bool run_is_equal(const struct run *a, const struct run *b);

enum peer_end {
    PEER_OPEN,
    PEER_ENDED,
    PEER_REFUSED,
    PEER_RESTRICTED, /* comment, processing instruction, doctype, undefined entity */
};

struct peer {
    enum peer_end end;
    int code;
    struct record record; /* as RUN_EVENTS */
};

struct peer run_expat(struct span bytes);
struct peer run_libxml(struct span bytes);

/* Events as both sides record them. */
void record_start(struct record *record, struct span uri, struct span local);
void record_attribute(struct record *record, struct span uri, struct span local, struct span value);
void record_text(struct record *record, struct span text);
void record_end(struct record *record);
void record_print(const struct record *record, FILE *to);
