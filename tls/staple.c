/* SPDX-License-Identifier: MIT */
#include "tls/staple_priv.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct staple {
    atomic_uint references;
    size_t size;
    char bytes[];
};

struct staple_shelf {
    pthread_mutex_t mutex;
    struct staple *staple; /* NULL: none */
};

struct staple *staple_new(struct span bytes)
{
    struct staple *staple = malloc(sizeof(*staple) + bytes.size);
    if (staple == NULL)
        return NULL;
    atomic_init(&staple->references, 1);
    staple->size = bytes.size;
    memcpy(staple->bytes, bytes.ptr, bytes.size);
    return staple;
}

void staple_unref(struct staple *staple)
{
    /* Release and acquire: whoever frees it does so after all others have read it. */
    if (staple != NULL && atomic_fetch_sub_explicit(&staple->references, 1, memory_order_acq_rel) == 1)
        free(staple);
}

struct span staple_bytes(const struct staple *staple)
{
    return span_of(staple->bytes, staple->size);
}

/* ---- shelves ----------------------------------------------------------------------------------------------------- */

struct staple_shelf *staple_shelf_new(void)
{
    struct staple_shelf *shelf = calloc(1, sizeof(*shelf));
    if (shelf != NULL)
        pthread_mutex_init(&shelf->mutex, NULL);
    return shelf;
}

void staple_shelf_free(struct staple_shelf *shelf)
{
    if (shelf == NULL)
        return;
    staple_unref(shelf->staple);
    pthread_mutex_destroy(&shelf->mutex);
    free(shelf);
}

void staple_shelf_put(struct staple_shelf *shelf, struct staple *staple)
{
    pthread_mutex_lock(&shelf->mutex);
    struct staple *old = shelf->staple;
    shelf->staple = staple;
    pthread_mutex_unlock(&shelf->mutex);
    staple_unref(old);
}

struct staple *staple_shelf_get(struct staple_shelf *shelf)
{
    pthread_mutex_lock(&shelf->mutex);
    struct staple *staple = shelf->staple;
    if (staple != NULL)
        atomic_fetch_add_explicit(&staple->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&shelf->mutex);
    return staple;
}
