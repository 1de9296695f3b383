/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Rate: how often each address prefix has done one thing lately (failed to log in, begun a handshake), for all shards,
 * in constant memory.
 *
 * A prefix may do it `burst` times at once; each time is forgotten after window / burst, all of them after the window
 * (GCRA, ITU-T I.371 annex A: one number a record, and nothing runs while nobody asks). What was refused is not added,
 * so that nobody is held for longer because others go on.
 *
 * Bounds:  RATE_RECORDS prefixes, in sets of RATE_WAYS by a keyed hash. In a full set the record with the smallest debt
 *          gives way to a newcomer, which begins with its own debt and inherits none. So a flood of millions of
 *          prefixes wears out one place of each set and holds no innocent prefix off; and whoever wants his own record
 *          gone, at its limit, needs RATE_WAYS - 1 other prefixes at theirs in a set whose number he cannot compute:
 *          about RATE_RECORDS prefixes, each of which has the same allowance as the one he wants back.
 * Thread:  any; a lock for each 64th of the sets, held for some 50 ns. Nothing here is on the path of a stanza.
 * Fails:   rate_new NULL when memory is refused; nothing else can.
 */
#include "core/base/hash.h"
#include "router/stream/prefix.h"

#define RATE_WAYS    8u
#define RATE_RECORDS 32768u /* 24 bytes each: 768 KiB, touched as it is used */

struct rate;

/* What the operator allows. burst 0: everything. */
struct rate_limit {
    uint32_t burst;
    uint32_t window_ms;
};

enum rate_verdict {
    RATE_FREE, /* added; the prefix may go on */
    RATE_LAST, /* added; the next one is held */
    RATE_HELD, /* not added: the prefix has used up its share */
};

struct rate *rate_new(const struct hash_key *key);
void rate_free(struct rate *rate);
enum rate_verdict rate_take(struct rate *rate, struct rate_limit limit, const struct prefix *prefix, uint64_t now_ms);
/* Would rate_take() say RATE_HELD? */
bool rate_is_held(struct rate *rate, struct rate_limit limit, const struct prefix *prefix, uint64_t now_ms);
