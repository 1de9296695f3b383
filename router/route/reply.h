/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Reply: stanzas that the router writes itself: errors (RFC 6120 s8.3) and the frame of iq results.
 *
 * Thread:  the shard's whose chain and pool are given.
 */
#include "core/xml/writer.h"
#include "router/route/stanza.h"

enum stanza_error {
#define STANZA_ERROR(symbol, condition, type) ERROR_##symbol,
#include "router/route/stanza_errors.def"
#undef STANZA_ERROR
    STANZA_ERROR_COUNT,
    NO_STANZA_ERROR = STANZA_ERROR_COUNT
};

/* "item-not-found". */
const char *reply_error_name(enum stanza_error error);
/* from and to with ptr NULL are left out, an empty id too; text may be NULL. */
void reply_error(struct chain *chain, struct chunk_pool *pool, enum stanza_kind kind, struct span from, struct span to,
                 struct span id, enum stanza_error error, const char *text);
/* <iq type='result' ...>, left open for the payload: xml_close() ends it. */
struct xml_writer reply_result(struct chain *chain, struct chunk_pool *pool, struct span from, struct span to,
                               struct span id);
