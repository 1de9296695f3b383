/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Evidence: what was learned and is worth remembering: OCSP answers by certificate, CRLs by address, and what the
 * operator distrusts. Bytes, not verdicts: whoever uses them judges them.
 *
 * Thread:  the inspector's.
 * Bounds:  EVIDENCE_COUNT_MAX pieces; a new one takes the place of those that are stale, or is not kept. What is
 *          distrusted is, always.
 */
#include "core/base/table.h"

#include <stdint.h>

#define EVIDENCE_COUNT_MAX 200000u

enum evidence_kind { EVIDENCE_ANSWER = 'a', EVIDENCE_LIST = 'l', EVIDENCE_DISTRUST = 'd' };

struct evidence_piece {
    struct span content; /* owned */
    int64_t until;       /* of no use after that */
    uint32_t name_size;
    char name[]; /* the kind, then a key, an address, a serial number or a hash */
};

struct evidence {
    struct table pieces;
    uint64_t version; /* rises with each change that is worth writing down */
};

void evidence_init(struct evidence *evidence, const struct hash_key *key);
void evidence_fini(struct evidence *evidence);
/* In the place of what was there; false: no memory, or no room. content is copied. */
bool evidence_put(struct evidence *evidence, enum evidence_kind kind, struct span name, struct span content,
                  int64_t until, int64_t now);
/* False: there was none. */
bool evidence_remove(struct evidence *evidence, enum evidence_kind kind, struct span name);
/* SPAN_NONE: there is none that is still of use. */
struct span evidence_find(const struct evidence *evidence, enum evidence_kind kind, struct span name, int64_t now);
