/* SPDX-License-Identifier: MIT */
#include "core/base/table.h"

#include "core/base/check.h"

#include <stdlib.h>

/*
 * Linear probing over 16-byte slots that keep the whole hash: a probe touches an object only when all 64 bits agree,
 * and growth never calls key_of(). At most 3/4 of the slots are used (objects and tombstones), so an unsuccessful
 * probe looks at 8.5 slots on average, two to three cache lines; the key is secret, so a peer cannot choose worse.
 *
 * Removal leaves a tombstone only where a probe may have to pass: it turns the tombstones before an empty slot back
 * into empty ones. Moving objects back instead would break walks that remove what they were just given.
 */
struct table_slot {
    uint64_t hash;
    void *object; /* NULL: never used since the last rebuild */
};

enum { SLOT_COUNT_MIN = 16 };

static char tombstone;

static inline bool slot_is_live(const struct table_slot *slot)
{
    return slot->object != NULL && slot->object != &tombstone;
}

void table_init(struct table *table, const struct hash_key *key, table_key_fn key_of)
{
    *table = (struct table){.key_of = key_of, .key = *key};
}

void table_fini(struct table *table)
{
    free(table->slots);
    table->slots = NULL;
    table->slot_count = 0;
    table->count = 0;
    table->used = 0;
}

/* The slot of the key, or NULL. */
static struct table_slot *table_probe(const struct table *table, uint64_t hash, struct span key)
{
    uint32_t mask = table->slot_count - 1;
    for (uint32_t i = (uint32_t)hash & mask;; i = (i + 1) & mask) {
        struct table_slot *slot = &table->slots[i];
        if (slot->object == NULL)
            return NULL;
        if (slot->hash == hash && slot->object != &tombstone && span_equal(table->key_of(slot->object), key))
            return slot;
    }
}

void *table_find(const struct table *table, struct span key)
{
    if (table->count == 0)
        return NULL;
    const struct table_slot *slot = table_probe(table, hash_siphash13(&table->key, key), key);
    return slot != NULL ? slot->object : NULL;
}

/* The first slot on the hash's way that holds no object. */
static struct table_slot *slots_vacant(struct table_slot *slots, uint32_t slot_count, uint64_t hash)
{
    uint32_t mask = slot_count - 1;
    uint32_t i = (uint32_t)hash & mask;
    while (slot_is_live(&slots[i]))
        i = (i + 1) & mask;
    return &slots[i];
}

/* Slots for twice the objects there are: grows a full table, shrinks one that lost most of its
 * objects, and clears one that is full of tombstones. The next rebuild is at least count / 2 additions away. */
static bool table_rebuild(struct table *table)
{
    uint64_t slot_count = SLOT_COUNT_MIN;
    while (slot_count < 2 * ((uint64_t)table->count + 1))
        slot_count *= 2;
    if (slot_count > (uint32_t)1 << 31)
        return false;
    struct table_slot *slots = calloc(slot_count, sizeof *slots);
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < table->slot_count; i++) {
        if (slot_is_live(&table->slots[i]))
            *slots_vacant(slots, (uint32_t)slot_count, table->slots[i].hash) = table->slots[i];
    }
    free(table->slots);
    table->slots = slots;
    table->slot_count = (uint32_t)slot_count;
    table->used = table->count;
    return true;
}

bool table_add(struct table *table, void *object)
{
    SL_CHECK(object != NULL);
    /* It shrinks here and not in table_remove(), which may be called in the middle of a walk. */
    bool is_full = ((uint64_t)table->used + 1) * 4 > (uint64_t)table->slot_count * 3;
    bool is_sparse = table->slot_count > SLOT_COUNT_MIN && ((uint64_t)table->count + 1) * 8 < table->slot_count;
    if ((is_full || is_sparse) && !table_rebuild(table) && is_full)
        return false;
    struct span key = table->key_of(object);
    uint64_t hash = hash_siphash13(&table->key, key);
    /* The probe for a double costs what the search for a vacant slot costs, and finds the bug at its source. */
    SL_CHECK(table_probe(table, hash, key) == NULL);
    struct table_slot *slot = slots_vacant(table->slots, table->slot_count, hash);
    if (slot->object == NULL)
        table->used++;
    *slot = (struct table_slot){.hash = hash, .object = object};
    table->count++;
    return true;
}

void table_remove(struct table *table, const void *object)
{
    SL_CHECK(table->count > 0);
    struct span key = table->key_of(object);
    struct table_slot *slot = table_probe(table, hash_siphash13(&table->key, key), key);
    SL_CHECK(slot != NULL && slot->object == object);
    table->count--;
    slot->object = &tombstone;

    uint32_t mask = table->slot_count - 1;
    uint32_t i = (uint32_t)(slot - table->slots);
    if (table->slots[(i + 1) & mask].object != NULL)
        return;
    for (; table->slots[i].object == &tombstone; i = (i - 1) & mask) {
        table->slots[i].object = NULL;
        table->used--;
    }
}

void *table_next(const struct table *table, uint32_t *position)
{
    while (*position < table->slot_count) {
        const struct table_slot *slot = &table->slots[(*position)++];
        if (slot_is_live(slot))
            return slot->object;
    }
    return NULL;
}
