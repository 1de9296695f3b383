/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Part: what became of one part of an address. The modules below jid.c speak of parts; jid.c alone knows which one.
 */
#include "core/jid/jid.h"

enum part_result { PART_OK, PART_BAD_UTF8, PART_EMPTY, PART_LONG, PART_FORBIDDEN, PART_RESULT_COUNT };

/* Records the code point and rule that speak against a part. */
static inline enum part_result part_forbidden(struct jid_reason *reason, uint32_t code_point, const char *rule)
{
    *reason = (struct jid_reason){.code_point = code_point, .rule = rule};
    return PART_FORBIDDEN;
}
