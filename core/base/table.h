/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Table: a hash table of pointers to objects of the caller, found by bytes. Open addressing, power-of-two slots,
 * grows at 3/4 full in one step; shrinks, when something is added while less than 1/8 is taken, never below its first
 * size. An empty new table holds no memory.
 *
 * The caller's object holds its own key; key_of() reads it. An object must not change its key while it is in.
 *
 * Thread:  the owner's.
 * Owns:    the slots; never the objects.
 * Fails:   table_add returns false when memory for growth is refused; nothing changed then.
 */
#include "core/base/hash.h"

typedef struct span (*table_key_fn)(const void *object);

struct table {
    struct table_slot *slots;
    uint32_t slot_count;
    uint32_t count;
    uint32_t used; /* count plus tombstones, if the implementation leaves any */
    table_key_fn key_of;
    struct hash_key key;
};

void table_init(struct table *table, const struct hash_key *key, table_key_fn key_of);
void table_fini(struct table *table);
void *table_find(const struct table *table, struct span key);
/* The key must not be in. */
bool table_add(struct table *table, void *object) __attribute__((warn_unused_result));
/* The object must be in. */
void table_remove(struct table *table, const void *object);
/* Walks all objects in no order: start with *position = 0; NULL at the end. Adding or removing meanwhile is not
 * allowed, except removing the object just returned. */
void *table_next(const struct table *table, uint32_t *position);
