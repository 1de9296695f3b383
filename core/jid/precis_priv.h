/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Precis: the profiles UsernameCaseMapped (RFC 8265 s3.3) and OpaqueString (RFC 8265 s4.2), applied until the text is
 * stable (RFC 8264 s7), so that what comes out is always its own preparation.
 *
 * Bounds:  PRECIS_PASSES_MAX applications; a text that has not settled by then is refused.
 */
#include "core/jid/points_priv.h"

#define PRECIS_PASSES_MAX 4 /* once, and three additional times: RFC 8264 s7 */

/* On PART_OK the points are the prepared text; else the reason is set when a code point or rule is to blame. */
enum part_result precis_username(struct points *points, struct jid_reason *reason);
enum part_result precis_opaque(struct points *points, struct jid_reason *reason);
