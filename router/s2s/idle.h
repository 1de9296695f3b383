/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Idle: a stream between servers on which nothing happens.
 *
 *   unused        who dialled closes it when no stanza of a user went over it for s2s.idle; the next one dials again
 *   broken        where acknowledgements are given, silence of timeouts.idle is asked about by <r/> (ack.h); else,
 * where both directions are on one connection, silence of timeouts.idle is asked about by a ping from our domain to
 * theirs (XEP-0199 s4.5), and no answer within timeouts.answer ends the stream one direction its answer would come on
 * another connection: a blank goes out instead, for the system to find out
 *
 * Thread:  the stream's shard.
 */
struct s2s;
struct stream;

/* The stream has been proven. */
void idle_begin(struct s2s *s2s);
/* A stanza of a user goes over it. */
void idle_used(struct s2s *s2s);
/* The deadline of a proven stream has come. */
void idle_check(struct stream *stream);
