/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Der edit: what is signed with keys that are made anew for each build cannot stand in a corpus. A program of four
 * octets a step can, which changes it: bytes as they are, or whole elements of DER, the lengths above put right.
 *
 * Thread:  any; no state.
 */
#include "core/base/span.h"

#include <stdint.h>

#define DER_EDIT_MAX (1u << 16) /* bytes of what is edited */

/* Edits original; others are what donor holds. Allocated, of its exact size. */
struct span der_edit(struct span original, struct span donor, struct span program);

/* The next element of a series: all of it, and its content. False: there is none, or it is cut. */
bool der_edit_next(struct span *rest, uint8_t *tag, struct span *whole, struct span *content);
/* The element that the path leads to, "003" for the fourth of the first of the first; SPAN_NONE: nowhere. */
struct span der_edit_find(struct span der, const char *path);
bool der_edit_holds(struct span whole, struct span part);
