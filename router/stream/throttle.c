/* SPDX-License-Identifier: MIT */
#include "router/stream/throttle.h"

#include "router/route/shard.h"
#include "router/stream/stream.h"

#include <stdlib.h>

/* Senders that wait for this stream's peer to read. */
struct throttled {
    unsigned count, room;
    struct stream_ref senders[];
};

void throttle_sender(struct stream *recipient, struct stream_ref sender)
{
    struct shard *shard = recipient->shard;
    struct throttled *list = recipient->throttled;
    for (unsigned i = 0; list && i < list->count; i++)
        if (list->senders[i].ref == sender.ref && list->senders[i].shard == sender.shard)
            return;
    if (!list || list->count == list->room) {
        unsigned room = list ? 2 * list->room : 4;
        struct throttled *larger = realloc(list, sizeof *list + room * sizeof(struct stream_ref));
        if (!larger)
            return; /* this sender goes on until the hard limit refuses what it sends */
        if (!list) {
            larger->count = 0;
            stream_set_deadline(recipient, shard->policy->config->timeouts_slow_reader_ms);
        }
        larger->room = room;
        recipient->throttled = list = larger;
    }
    list->senders[list->count++] = sender;
    shard_count(shard, COUNTER_THROTTLED, 1);
    struct stream *local = stream_find(shard, sender);
    if (local)
        stream_hold(local);
    else if (sender.shard != shard->index)
        mail_post_notice(shard, sender.shard, NOTICE_THROTTLE, sender);
}

void throttle_release_all(struct stream *stream)
{
    struct shard *shard = stream->shard;
    struct throttled *list = stream->throttled;
    if (!list)
        return;
    stream->throttled = NULL;
    if (stream->state == STREAM_BOUND)
        stream_set_deadline(stream, shard->policy->config->timeouts_idle_ms);
    for (unsigned i = 0; i < list->count; i++) {
        struct stream *local = stream_find(shard, list->senders[i]);
        if (local)
            stream_release(local);
        else if (list->senders[i].shard != shard->index)
            mail_post_notice(shard, list->senders[i].shard, NOTICE_RELEASE, list->senders[i]);
    }
    free(list);
}
