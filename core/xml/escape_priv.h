/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Escape: bytes as they must stand in a position, so that any parser reads back the same value.
 */
#include "core/base/chain.h"

enum xml_position {
    XML_IN_TEXT,      /* < & > and CR are escaped */
    XML_IN_ATTRIBUTE, /* also both quotes, tab and LF (XML s3.3.3 would turn them into spaces) */
    XML_IN_CDATA,     /* text that stood in a CDATA section: ']' too, so that no "]]>" can arise with what follows;
                         line ends become LF, as the section's parser had them */
};

/* What is no valid UTF-8 or no XML Char is written as U+FFFD. */
void xml_escape(struct chain *chain, struct chunk_pool *pool, enum xml_position position, struct span bytes);
