/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Store rig: one client of a store as a test uses it: it sleeps until the store wakes it, gathers replies with copies
 * of their bytes, and gives up after 30 s.
 */
#include "router/store/store.h"

#include <semaphore.h>

struct rig_reply {
    uint64_t tag;
    enum store_op op;
    enum store_status status;
    struct span key, value; /* copies */
};

struct rig {
    struct store_client *client;
    sem_t bell;
    uint64_t tag_next;
    uint64_t wakes;
    unsigned reply_count, reply_room;
    struct rig_reply *replies;
};

void rig_init(struct rig *rig, struct store *store, unsigned index);
void rig_fini(struct rig *rig);
/* Waits until nothing is pending. */
void rig_drain(struct rig *rig);
/* Forgets the replies gathered so far. */
void rig_forget(struct rig *rig);
/* Posts, flushes, waits; the reply is valid until the next call. */
const struct rig_reply *rig_ask(struct rig *rig, enum store_op op, struct span key, struct span value);
enum store_status rig_status(struct rig *rig, enum store_op op, struct span key, struct span value);

/* A fresh folder below TMPDIR, and its removal with what is in it (one level). */
void rig_folder_make(char path[256]);
void rig_folder_remove(const char *path);
