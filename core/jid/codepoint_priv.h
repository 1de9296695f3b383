/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Codepoint: the derived properties of RFC 8264 s8 (PRECIS) and RFC 5892 s3 (IDNA2008), computed from libunistring's
 * Unicode data by the rules in the order that the RFCs give them.
 *
 * Thread:  any; no state.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum codepoint_property {
    CODEPOINT_PVALID,
    CODEPOINT_FREE_PVAL, /* allowed in the FreeformClass only; never an IDNA2008 property */
    CODEPOINT_CONTEXTJ,
    CODEPOINT_CONTEXTO,
    CODEPOINT_DISALLOWED,
    CODEPOINT_UNASSIGNED,
};

struct codepoint_class {
    enum codepoint_property property;
    const char *category; /* the rule that decided, for a person: "has_compat" */
};

struct codepoint_class codepoint_precis(uint32_t code_point);
struct codepoint_class codepoint_idna(uint32_t code_point);
bool codepoint_is_mark(uint32_t code_point);
bool codepoint_is_space(uint32_t code_point);
