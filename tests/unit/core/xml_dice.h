/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Xml dice: generated streams, valid ones and spoilt ones.
 */
#include "core/base/span.h"
#include "tests/unit/core/dice.h"

struct made {
    char *bytes;
    size_t size, room;
};

/* A whole stream: header, up to stanzas_max elements, footer. */
void made_stream(struct made *made, struct dice *dice, unsigned stanzas_max);
/* One element as it may stand in that stream (its prefixes p and stream are bound on the header). */
void made_stanza(struct made *made, struct dice *dice);
/* Changes a few bytes, or cuts, doubles and moves pieces. */
void made_spoil(struct made *made, struct dice *dice);
void made_add(struct made *made, struct span bytes);
void made_free(struct made *made);
