/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Crowd: how many connections of a shard come from one address (IPv6: one /64, which is what one subscriber gets).
 *
 * Thread:  the shard's.
 * Memory:  one small entry for each address that has a connection, only while limits.connections_per_address is set.
 */
#include <stdbool.h>

struct shard;
struct stream;

/* The stream came to this shard. False: its address has its share already (nothing was counted). */
bool crowd_enter(struct shard *shard, struct stream *stream);
/* The stream goes; counted or not. */
void crowd_leave(struct shard *shard, struct stream *stream);
void crowd_init(struct shard *shard);
void crowd_fini(struct shard *shard);
