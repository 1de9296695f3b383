/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Part: the slow path, which decides for every text, ASCII or not, and says why it refuses one. jid.c turns what became
 * of a part into the status of that part.
 *
 * Thread:  any; no state. Up to 100 KiB of stack: texts are worked on as code points, 4 octets each.
 */
#include "core/jid/jid.h"

enum part_result { PART_OK, PART_BAD_UTF8, PART_EMPTY, PART_LONG, PART_FORBIDDEN, PART_RESULT_COUNT };

/* Records the code point and rule that speak against a part. */
static inline enum part_result part_forbidden(struct jid_reason *reason, uint32_t code_point, const char *rule)
{
    *reason = (struct jid_reason){.code_point = code_point, .rule = rule};
    return PART_FORBIDDEN;
}

/* out has room for JID_PART_MAX octets, or for out_size; the reason is set with PART_FORBIDDEN only. */
enum part_result part_prepare_local(struct span text, char *out, size_t *size, struct jid_reason *reason);
enum part_result part_prepare_domain(struct span text, char *out, size_t *size, struct jid_reason *reason);
enum part_result part_prepare_opaque(struct span text, char *out, size_t out_size, size_t *size,
                                     struct jid_reason *reason);

/* Reasons speak of the mapped text; this puts the code point that was written there in its stead, when one maps to it.
 */
void part_blame_original(struct span text, struct jid_reason *reason);
