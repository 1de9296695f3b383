/* SPDX-License-Identifier: MIT */
#include "tls/credential_pool_priv.h"

#include "core/base/check.h"
#include "core/base/table.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct table table; /* by fingerprint; set up by the first */
static bool is_ready;

static struct span key_of(const void *object)
{
    const struct credential *credential = object;
    return span_of(credential->fingerprint, sizeof(credential->fingerprint));
}

/* Peers choose their certificates, so the table's key is not to be known to them. */
static void set_up(void)
{
    struct hash_key key;
    SL_CHECK(getrandom(&key, sizeof(key), 0) == (ssize_t)sizeof(key));
    table_init(&table, &key, key_of);
    is_ready = true;
}

struct credential *credential_pool_share(struct credential *credential)
{
    SL_CHECK(credential->verdict == CREDENTIAL_VALID && !credential->is_shared && credential->references == 1);
    pthread_mutex_lock(&mutex);
    if (!is_ready)
        set_up();
    struct credential *older = table_find(&table, key_of(credential));
    if (older != NULL)
        older->references++;
    else
        credential->is_shared = table_add(&table, credential);
    pthread_mutex_unlock(&mutex);
    if (credential->is_shared)
        return credential;
    credential_free(credential);
    return older;
}

bool credential_pool_drop(struct credential *credential)
{
    pthread_mutex_lock(&mutex);
    bool is_last = --credential->references == 0;
    if (is_last)
        table_remove(&table, credential);
    if (table.count == 0) {
        table_fini(&table);
        is_ready = false;
    }
    pthread_mutex_unlock(&mutex);
    return is_last;
}

void credential_ref(struct credential *credential)
{
    SL_CHECK(credential->is_shared);
    pthread_mutex_lock(&mutex);
    credential->references++;
    pthread_mutex_unlock(&mutex);
}

uint32_t credential_pool_list(struct credential ***out)
{
    uint32_t position = 0, count = 0;
    pthread_mutex_lock(&mutex);
    uint32_t size = is_ready ? table.count : 0;
    struct credential **list = size > 0 ? calloc(size, sizeof(struct credential *)) : NULL;
    while (list != NULL && count < size) {
        list[count] = table_next(&table, &position);
        list[count++]->references++;
    }
    pthread_mutex_unlock(&mutex);
    *out = list;
    return count;
}
