/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Ack: acknowledgements on one stream between servers (XEP-0198 s3, s4, s6), both directions of it. No resumption: the
 * next stream of a pair is opened anew in any case, and takes along what this one had not brought over.
 *
 *   we dialled:   <enable/> when we are let in -> we count what we send; <enabled/> -> we count what we hear
 *   we were dialled:  <enable/> comes -> <enabled/>, and we count both. What we have to say ourselves waits for it,
 *                     until something else comes first, or ACK_OFFER_MS: else it would not be counted
 *
 *   out ──ack_flush()──> kept ──<a h=''/>──> routed
 *                          └──the stream's end──> the next stream of the pair (unacked.h), or an error
 *
 * What is sent stays here in the chunks in which it was to be sent, until it is acknowledged; they are not copied but
 * for crumbs, which would each hold a chunk. <r/> goes out behind ACK_STANZAS stanzas or an eighth of the window, or
 * ACK_MS after the first one that was not asked about; one is under way at a time. <a/> goes out with the next flush,
 * one for all <r/> that were read in the turn, in front of what waits: two full windows cannot wait for each other.
 *
 * Bounds:  while s2s.ack_window bytes are kept for a stream, or s2s.ack_windows for a shard and any for the stream,
 *          nothing more is sent; a flush takes all of out. What is not sent stays in out, which is bounded as for every
 *          stream and slows its senders down.
 *          Nothing acknowledged for timeouts.answer ends the stream.
 * Books:   a stanza is in COUNTER_S2S_WAITING until it is acknowledged, then it is routed.
 * Thread:  the stream's shard.
 */
#include <stdbool.h>
#include <stdint.h>

struct s2s;
struct xml_stanza;
struct xml_writer;

#define ACK_STANZAS  64u
#define ACK_MS       200u
#define ACK_OFFER_MS 1000u

/* out: the other side offers it and we were let in: <enable/>. Nothing happens where s2s.acks is off or memory is
 * refused. */
void ack_enable(struct s2s *s2s);
/* in: it was offered, and the pair's stanzas come next. */
void ack_offered(struct s2s *s2s);
/* in, not proven yet: <enable/> and <resume/> are answered <failed/> (s3, s6). */
void ack_refuse_early(struct s2s *s2s);
/* An element of urn:xmpp:sm:3 on a proven stream. */
void ack_element(struct s2s *s2s, const struct xml_stanza *element);
/* ... behind our own end: what it acknowledges is not said again. */
void ack_late(struct s2s *s2s, const struct xml_stanza *element);
/* A stanza was read whole: it is ours to answer for. */
void ack_heard(struct s2s *s2s);
/* count stanzas were appended to out; they are in COUNTER_S2S_WAITING. */
void ack_wrote(struct s2s *s2s, uint32_t count);

/* The way out of a stream with is_acked, in place of stream_flush()'s own: from out to wire. False: TLS has failed. */
bool ack_flush(struct s2s *s2s);
/* There is something to flush though out is empty. */
bool ack_is_pending(const struct s2s *s2s);
/* Asks with the next flush, whatever was said: the ping to a silent server. False: not acknowledged here. */
bool ack_ask(struct s2s *s2s);
/* Both sides count what we hear: what is not acknowledged will come again. */
bool ack_is_hearing(const struct s2s *s2s);
/* Nothing is under way. */
bool ack_is_clear(const struct s2s *s2s);

/* The stream ends: the last <a/> to the end of out (s4), and no timer fires any more. */
void ack_say_last(struct s2s *s2s);
void ack_stop(struct s2s *s2s);
/* <handled-count-too-high/>, inside a stream error (s6). */
void ack_write_fault(const struct s2s *s2s, struct xml_writer *w);

/* Something was acknowledged at all. */
bool ack_has_moved(const struct s2s *s2s);
/* Stanzas in out that count: they are said to be in out no more. */
uint32_t ack_take_waiting(struct s2s *s2s);
void ack_free(struct s2s *s2s);
