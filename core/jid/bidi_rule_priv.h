/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Bidi rule: RFC 5893 s2, for usernames (RFC 8265 s3.3.1) and for the labels of domain names.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the text has a right-to-left code point (R, AL or AN), so that the rule applies at all. */
bool bidi_rule_applies(const uint32_t *at, size_t count);
/* The label is not empty. 0 when it satisfies the rule, else the number of the condition that it breaks, 1 to 6. */
unsigned bidi_rule_broken(const uint32_t *at, size_t count);
