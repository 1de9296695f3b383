/* SPDX-License-Identifier: MIT */
#include "tls/spares_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <stdbool.h>

void spares_init(struct spares *spares)
{
    pthread_mutex_init(&spares->mutex, NULL);
    spares->count = 0;
}

void spares_fini(struct spares *spares)
{
    for (unsigned i = 0; i < spares->count; i++)
        wolfSSL_CTX_free(spares->waiting[i]);
    pthread_mutex_destroy(&spares->mutex);
}

struct WOLFSSL_CTX *spares_take(struct spares *spares)
{
    struct WOLFSSL_CTX *library = NULL;
    pthread_mutex_lock(&spares->mutex);
    if (spares->count > 0)
        library = spares->waiting[--spares->count];
    pthread_mutex_unlock(&spares->mutex);
    return library;
}

void spares_give(struct spares *spares, struct WOLFSSL_CTX *library)
{
    bool is_kept = false;
    /* Before anyone else can take it: whatever the peer sent is forgotten. */
    if (wolfSSL_CTX_UnloadCAs(library) != WOLFSSL_SUCCESS) {
        wolfSSL_CTX_free(library);
        return;
    }
    pthread_mutex_lock(&spares->mutex);
    if (spares->count < SPARES_MAX) {
        spares->waiting[spares->count++] = library;
        is_kept = true;
    }
    pthread_mutex_unlock(&spares->mutex);
    if (!is_kept)
        wolfSSL_CTX_free(library);
}
