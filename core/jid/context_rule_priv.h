/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Context rule: the contextual rules of RFC 5892 appendix A, which PRECIS and IDNA2008 share. What some of them ask of
 * the whole text is gathered once at init, so that a text of a thousand digits costs a thousand steps, not a million.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct context_rule {
    const uint32_t *at;
    size_t count;
    bool has_kana_or_han, has_arabic_digit, has_extended_digit;
};

void context_rule_init(struct context_rule *context, const uint32_t *at, size_t count);
/* Whether the CONTEXTJ or CONTEXTO code point at this index stands where its rule allows it. */
bool context_rule_allows(const struct context_rule *context, size_t index);
