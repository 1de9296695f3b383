/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Throttle: back-pressure from a recipient that does not read to the streams that write to it, on whatever shard they
 * are (DESIGN s9: the sender is no longer read before anything is refused).
 *
 * Thread:  the recipient's shard.
 */
#include "router/route/mail.h"

/* The recipient's queue is long: this sender waits, once however often it is named, until half of it is gone or the
 * recipient ends. The recipient has timeouts.slow_reader to read. */
void throttle_sender(struct stream *recipient, struct stream_ref sender);
/* The queue is short again, or the recipient ends. */
void throttle_release_all(struct stream *recipient);
