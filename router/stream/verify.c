/* SPDX-License-Identifier: MIT */
#include "router/stream/verify.h"

#include "router/route/shard.h"
#include "router/stream/nego.h"

#include <stdlib.h>

struct verify {
    struct verify *next, **link; /* link is NULL once it is out of the queue */
    struct stream *stream;
    struct shard *shard;
    struct account_check *check;
};

struct verify *verify_begin(struct stream *stream, const struct account *account, struct span password)
{
    struct shard *shard = stream->shard;
    struct verify *verify = calloc(1, sizeof *verify);
    struct account_check *check = verify ? account_check_new(account, password) : NULL;
    if (!check) {
        free(verify);
        return NULL;
    }
    verify->stream = stream;
    verify->shard = shard;
    verify->check = check;
    verify->link = shard->verify_end;
    *shard->verify_end = verify;
    shard->verify_end = &verify->next;
    stream_hold(stream);
    return verify;
}

static void leave(struct verify *verify)
{
    if (!verify->link)
        return;
    *verify->link = verify->next;
    if (verify->next)
        verify->next->link = verify->link;
    else
        verify->shard->verify_end = verify->link;
    verify->link = NULL;
}

bool verify_result(const struct verify *verify)
{
    return account_check_result(verify->check);
}

void verify_free(struct verify *verify)
{
    if (!verify)
        return;
    leave(verify);
    account_check_free(verify->check);
    free(verify);
}

bool verify_run(struct shard *shard)
{
    struct verify *verify = shard->verify_first;
    if (!verify)
        return false;
    if (account_check_run(verify->check, VERIFY_SLICE)) {
        struct stream *stream = verify->stream;
        leave(verify);
        nego_event(stream, EV_VERIFIED, NULL);
        stream_release(stream);
    }
    return shard->verify_first != NULL;
}
