/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Link: the bounded single-producer single-consumer ring of variable-size records between two threads.
 *
 * The producer reserves room, fills it in place, and commits; nothing is visible before link_publish(), which makes
 * all commits since the last one visible with one release store. The consumer takes records in order and gives their
 * room back with one release store per batch. Each side caches the other's index on its own line and reads the shared
 * one only when the cache says full or empty (FastForward, Giacomoni et al. 2008; Lee et al. 2009).
 *
 * Thread:  reserve, commit, publish on the producer; take, release, is_crowded on the consumer.
 * Owns:    the ring; a record's bytes are the producer's until publish, the consumer's until release.
 * Bounds:  capacity bytes (a power of two), records up to capacity / 4 bytes, 8-byte aligned.
 * Fails:   link_reserve answers NULL when full: never blocks, never drops.
 */
#include "core/base/span.h"

#include <stdint.h>

struct link;

struct link *link_new(uint32_t capacity);
void link_free(struct link *link);

void *link_reserve(struct link *link, uint32_t size) __attribute__((warn_unused_result));
/* size may be smaller than what was reserved. */
void link_commit(struct link *link, uint32_t size);
/* True if something was published that was not before: the consumer may need a wake-up. */
bool link_publish(struct link *link);

/* The next record, or an empty span (ptr NULL). Valid until link_release(). */
struct span link_take(struct link *link);
/* Gives back the room of all records taken so far. */
void link_release(struct link *link);
/* True when more than three quarters of the room are taken up by what was published and not yet released. */
bool link_is_crowded(struct link *link);
