/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Stream header, theirs and ours (RFC 6120 s4.7, s4.8), and the limits we tell (XEP-0478).
 *
 * Thread:  the stream's shard.
 */
#include "router/stream/nego.h"

/* Checks the peer's header and keeps what it says: domain (fixed by the first one of plain text, and again by the first
 * under TLS), version, from, language. */
enum stream_error stream_header_take(struct stream *stream, const struct xml_stanza *header);
/* Behind TLS nothing that came before it is known (RFC 6120 s5.4.3.3). */
void stream_header_forget(struct nego *nego);
/* Ours, once per (re)start: also before theirs came, for an error (RFC 6120 s4.9.1.2). */
void stream_header_write(struct stream *stream);
void stream_header_write_limits(const struct stream *stream, struct xml_writer *w);
