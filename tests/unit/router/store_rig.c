/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/store_rig.h"

#include "core/base/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void rig_wake(void *context)
{
    struct rig *rig = context;
    sem_post(&rig->bell);
}

void rig_init(struct rig *rig, struct store *store, unsigned index)
{
    *rig = (struct rig){0};
    SL_CHECK(sem_init(&rig->bell, 0, 0) == 0);
    rig->client = store_client(store, index, rig_wake, rig);
}

static struct span copy(struct span bytes)
{
    char *out = malloc(bytes.size + 1);
    SL_CHECK(out != NULL);
    if (bytes.size > 0)
        memcpy(out, bytes.ptr, bytes.size);
    return span_of(out, bytes.size);
}

static void rig_gather(void *context, const struct store_reply *reply)
{
    struct rig *rig = context;
    if (rig->reply_count == rig->reply_room) {
        rig->reply_room = rig->reply_room == 0 ? 64 : rig->reply_room * 2;
        rig->replies = realloc(rig->replies, rig->reply_room * sizeof rig->replies[0]);
        SL_CHECK(rig->replies != NULL);
    }
    rig->replies[rig->reply_count++] = (struct rig_reply){
        .tag = reply->tag,
        .op = reply->op,
        .status = reply->status,
        .key = copy(reply->key),
        .value = copy(reply->value),
    };
}

void rig_forget(struct rig *rig)
{
    for (unsigned i = 0; i < rig->reply_count; i++) {
        free((char *)(uintptr_t)rig->replies[i].key.ptr);
        free((char *)(uintptr_t)rig->replies[i].value.ptr);
    }
    rig->reply_count = 0;
}

void rig_fini(struct rig *rig)
{
    rig_forget(rig);
    free(rig->replies);
    sem_destroy(&rig->bell);
}

void rig_drain(struct rig *rig)
{
    while (store_pending(rig->client) > 0) {
        if (store_poll(rig->client, rig_gather, rig) > 0)
            continue;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += 30;
        int result = 0;
        do {
            result = sem_timedwait(&rig->bell, &until);
        } while (result != 0 && errno == EINTR);
        SL_CHECK(result == 0); /* the store forgot to wake us */
        rig->wakes++;
    }
}

const struct rig_reply *rig_ask(struct rig *rig, enum store_op op, struct span key, struct span value)
{
    rig_forget(rig);
    SL_CHECK(store_post(rig->client, op, STORE_ACCOUNTS, rig->tag_next++, key, value));
    store_flush(rig->client);
    rig_drain(rig);
    SL_CHECK(rig->reply_count == 1 && rig->replies[0].tag == rig->tag_next - 1 && rig->replies[0].op == op);
    return &rig->replies[0];
}

enum store_status rig_status(struct rig *rig, enum store_op op, struct span key, struct span value)
{
    return rig_ask(rig, op, key, value)->status;
}

void rig_folder_make(char path[256])
{
    const char *base = getenv("TMPDIR");
    snprintf(path, 256, "%s/sluice-store-XXXXXX", base != NULL ? base : "/tmp");
    SL_CHECK(mkdtemp(path) != NULL);
}

void rig_folder_remove(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    (void)rmdir(path);
}
