/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Verify: passwords (PLAIN) that wait to be judged. Deriving the keys takes milliseconds by design (RFC 5802 s5.1), so
 * a shard does it in slices of VERIFY_SLICE iterations, one a turn, first come first served: a storm of such logins
 * delays itself, not the sessions that are there.
 *
 * The stream is held meanwhile; EV_VERIFIED comes when its password is judged.
 *
 * Thread:  the shard's.
 * Memory:  about 1 KiB for each password in the queue; there is one for a stream at most.
 */
#include "router/store/account.h"

#define VERIFY_SLICE 500u /* iterations: about 0.1 ms */

struct shard;
struct stream;
struct verify;

/* Joins the queue and holds the stream. NULL when memory is refused: nothing is held then. */
struct verify *verify_begin(struct stream *stream, const struct account *account, struct span password);
/* Once EV_VERIFIED has come. */
bool verify_result(const struct verify *verify);
/* Leaves the queue, if it is still there; wipes. */
void verify_free(struct verify *verify);
/* The turn's part. True: there is more to do. */
bool verify_run(struct shard *shard);
