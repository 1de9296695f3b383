/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Access: which other domains are spoken to (s2s.allow, s2s.deny): a list has domains as they stand in addresses, and
 * "*.example.org", which is every domain below that one but not itself. Who is on s2s.deny is refused; when s2s.allow
 * has anybody, so is who is not on it.
 *
 * Thread:  any; the configuration does not change.
 * Bounds:  two lists of 256 items, compared one after the other: when a stream begins, not for every stanza on it.
 */
#include "core/base/span.h"

struct config;

/* Prepared domain. */
bool access_permits(const struct config *config, struct span domain);
