/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Unacked: what a stream between servers leaves when it is over: the stanzas that it has sent and the other side has
 * not acknowledged (ack.h), for the next stream of the pair, or to be answered.
 *
 * Thread:  the stream's shard.
 */
#include "core/base/chain.h"

struct s2s;

/* To the end of stanzas, messages with a stamp of when and by whom, our domain (XEP-0203); they are gone from the
 * stream. The number of stanzas. */
uint32_t unacked_collect(struct s2s *s2s, struct span domain, struct chain *stanzas);
