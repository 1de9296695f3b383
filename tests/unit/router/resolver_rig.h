/* SPDX-License-Identifier: MIT */
#pragma once
/* Resolver rig: an answer as one line of text, so that a test says what it expects in one line too. */
#include "router/s2s/resolver.h"

#define RIG_TEXT_MAX 4096u

/* "found by srv, ttl 60: a.example:5269 starttls [2001:db8::1 192.0.2.1] secure tlsa 1 | b.example:5270 tls [...]", or
 * the status's name and its ttl. */
void rig_describe(const struct resolver_answer *answer, char out[RIG_TEXT_MAX]);
