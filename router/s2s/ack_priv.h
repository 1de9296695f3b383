/* SPDX-License-Identifier: MIT */
#pragma once
/* What acknowledgements cost a stream; unacked.c reads it when that is over, tests move the counts near their end. */
#include "core/base/chain.h"
#include "core/base/wheel.h"

struct s2s;

/* Stanzas are let go by marks, not one by one: what was sent between two <r/>. One is asked about, one grows; the
 * others are for a server that answers with less than it was asked about. */
#define ACK_MARKS 4u

struct ack_mark {
    uint32_t count; /* of the last stanza in it */
    uint32_t bytes;
    uint64_t wall_ms; /* when the first one was sent */
};

struct ack {
    struct timer timer;
    struct s2s *s2s;
    struct chain kept;
    struct ack_mark marks[ACK_MARKS]; /* of kept, oldest first */
    uint8_t mark_count;
    bool is_growing : 1;   /* the last mark */
    bool is_offered : 1;   /* in: <enable/> is waited for, with what we have to say */
    bool is_enabled : 1;   /* both sides have said so; before that we only count what we send */
    bool owes_enabled : 1; /* <enabled/>, with the next flush, in front of what counts */
    bool is_asked : 1;     /* an <r/> is under way */
    bool wants_ask : 1;    /* ... with the next flush */
    bool owes_answer : 1;  /* <a/>, with the next flush */
    bool has_moved : 1;    /* something was acknowledged at all */
    uint32_t heard;        /* all counts as on the wire: they wrap at 2^32 (s4) */
    uint32_t sent, acked;
    uint32_t released; /* stanzas in front of kept */
    uint32_t asked_at; /* what we had sent when the last <r/> went out */
    uint32_t waiting;  /* stanzas in out that count */
    uint32_t fault_h;
    size_t uncounted;  /* bytes in front of out from before the counting */
    uint64_t moved_ms; /* the last time that an acknowledgement came when it was due */
};

/* All that is kept, whatever becomes of it: nothing is under way then. */
void ack_let_go(struct s2s *s2s);
