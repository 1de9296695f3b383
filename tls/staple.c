/* SPDX-License-Identifier: MIT */
#include "tls/staple_priv.h"

#include "tls/context_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/error-ssl.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfssl_staple.h>

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
    if (shelf == NULL)
        return NULL;
    pthread_mutex_lock(&shelf->mutex);
    struct staple *staple = shelf->staple;
    if (staple != NULL)
        atomic_fetch_add_explicit(&staple->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&shelf->mutex);
    return staple;
}

/* ---- in handshakes ----------------------------------------------------------------------------------------------- */

static int has(WOLFSSL *library)
{
    struct staple *staple = staple_shelf_get(engine_shelf(wolfSSL_GetIOReadCtx(library)));
    staple_unref(staple);
    return staple != NULL;
}

/* Taken away since it was asked for: then there is none, which a server may say late (RFC 6066 s8). */
static int show(WOLFSSL *library, unsigned char **bytes, unsigned *size)
{
    struct staple *staple = staple_shelf_get(engine_shelf(wolfSSL_GetIOReadCtx(library)));
    *size = 0;
    *bytes = NULL;
    if (staple == NULL)
        return 0;
    *bytes = wolfSSL_Malloc(staple->size);
    if (*bytes != NULL) {
        memcpy(*bytes, staple->bytes, staple->size);
        *size = (unsigned)staple->size;
    }
    staple_unref(staple);
    return *bytes == NULL ? MEMORY_E : 0;
}

static int take(WOLFSSL *library, const unsigned char *bytes, unsigned size)
{
    engine_see_staple(wolfSSL_GetIOReadCtx(library), span_of(bytes, size));
    return 0;
}

void staple_start(void)
{
    wolfssl_staple = (struct wolfssl_staple){has, show, take};
}

static size_t number_at(struct span s, size_t i, unsigned width)
{
    size_t number = 0;
    for (unsigned k = 0; k < width; k++)
        number = number << 8 | (unsigned char)s.ptr[i + k];
    return number;
}

#define EXTENSION_STATUS_REQUEST 5u
#define EXTENSION_HEAD           4u /* type and size */
#define STATUS_HEAD              4u /* status_type, which the library has made sure is ocsp, and size */

struct span staple_behind(struct span certificate)
{
    struct span head = span_of(certificate.ptr + certificate.size, 2);
    struct span list = span_of(head.ptr + 2, number_at(head, 0, 2));
    while (list.size >= EXTENSION_HEAD) {
        size_t type = number_at(list, 0, 2), size = number_at(list, 2, 2);
        list = span_skip(list, EXTENSION_HEAD);
        if (size > list.size)
            break;
        if (type == EXTENSION_STATUS_REQUEST && size > STATUS_HEAD)
            return span_of(list.ptr + STATUS_HEAD, size - STATUS_HEAD);
        list = span_skip(list, size);
    }
    return SPAN_NONE;
}
