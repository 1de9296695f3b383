/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"
#include "tls/digest.h"
#include "tls/ticket_keys_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/random.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

struct ticket_key {
    uint8_t name[TICKET_KEY_NAME_SIZE];
    uint8_t secret[32];
    uint64_t born_s;
    bool is_set;
};

struct ticket_keys {
    pthread_mutex_t mutex;
    struct ticket_key keys[TICKET_KEY_COUNT];
    unsigned newest;
    uint64_t skew_s; /* ticket_keys_age */
};

/* Keys must not come from a generator that a fork could repeat, so they come from the kernel. */
static void fill_random(void *out, size_t size)
{
    ssize_t count;
    do
        count = getrandom(out, size, 0);
    while (count < 0 && errno == EINTR);
    /* Up to 256 bytes are never cut short (getrandom(2)). */
    SL_CHECK(count == (ssize_t)size);
}

static uint64_t now_s(const struct ticket_keys *keys)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec + keys->skew_s;
}

static void make_key(struct ticket_key *key, uint64_t now)
{
    fill_random(key->name, sizeof(key->name));
    fill_random(key->secret, sizeof(key->secret));
    key->born_s = now;
    key->is_set = true;
}

struct ticket_keys *ticket_keys_new(void)
{
    struct ticket_keys *keys = calloc(1, sizeof(*keys));
    if (keys == NULL)
        return NULL;
    pthread_mutex_init(&keys->mutex, NULL);
    make_key(&keys->keys[0], now_s(keys));
    return keys;
}

void ticket_keys_free(struct ticket_keys *keys)
{
    if (keys == NULL)
        return;
    pthread_mutex_destroy(&keys->mutex);
    digest_wipe(keys, sizeof(*keys));
    free(keys);
}

void ticket_keys_forget(struct ticket_keys *keys)
{
    pthread_mutex_lock(&keys->mutex);
    digest_wipe(keys->keys, sizeof(keys->keys));
    keys->newest = 0;
    make_key(&keys->keys[0], now_s(keys));
    pthread_mutex_unlock(&keys->mutex);
}

void ticket_keys_age(struct ticket_keys *keys, uint32_t seconds)
{
    pthread_mutex_lock(&keys->mutex);
    keys->skew_s += seconds;
    pthread_mutex_unlock(&keys->mutex);
}

static void copy_sealing_key(struct ticket_keys *keys, struct ticket_key *out)
{
    pthread_mutex_lock(&keys->mutex);
    uint64_t now = now_s(keys);
    if (now - keys->keys[keys->newest].born_s >= TICKET_KEY_SEAL_S) {
        keys->newest = (keys->newest + 1) % TICKET_KEY_COUNT;
        make_key(&keys->keys[keys->newest], now);
    }
    *out = keys->keys[keys->newest];
    pthread_mutex_unlock(&keys->mutex);
}

static bool copy_named_key(struct ticket_keys *keys, const uint8_t *name, struct ticket_key *out)
{
    bool is_found = false;
    pthread_mutex_lock(&keys->mutex);
    uint64_t now = now_s(keys);
    for (unsigned i = 0; i < TICKET_KEY_COUNT && !is_found; i++) {
        const struct ticket_key *key = &keys->keys[i];
        is_found =
            key->is_set && now - key->born_s < TICKET_KEY_LIFE_S && memcmp(key->name, name, sizeof(key->name)) == 0;
        if (is_found)
            *out = *key;
    }
    pthread_mutex_unlock(&keys->mutex);
    return is_found;
}

#define DOMAIN_SIZE_MAX 1023u /* RFC 7622 s3.2 */
#define BOUND_SIZE      (1 + sizeof(uint32_t))

/* The generation, the era and the domain are the additional data: GCM authenticates them together with the ticket. */
static int crypt_ticket(bool is_sealing, const struct ticket_key *key, struct span domain, struct ticket_frame frame,
                        uint8_t *bytes, size_t size)
{
    Aes aes;
    uint8_t bound[BOUND_SIZE + DOMAIN_SIZE_MAX];
    SL_CHECK(domain.size <= DOMAIN_SIZE_MAX);
    bound[0] = *frame.generation;
    memcpy(bound + 1, &frame.era, sizeof frame.era);
    if (domain.size > 0)
        memcpy(bound + BOUND_SIZE, domain.ptr, domain.size);
    int error = wc_AesInit(&aes, NULL, INVALID_DEVID);
    if (error != 0)
        return error;
    error = wc_AesGcmSetKey(&aes, key->secret, sizeof(key->secret));
    if (error == 0 && is_sealing)
        error = wc_AesGcmEncrypt(&aes, bytes, bytes, (word32)size, frame.iv, TICKET_KEY_IV_SIZE, frame.tag,
                                 TICKET_KEY_TAG_SIZE, bound, (word32)(BOUND_SIZE + domain.size));
    else if (error == 0)
        error = wc_AesGcmDecrypt(&aes, bytes, bytes, (word32)size, frame.iv, TICKET_KEY_IV_SIZE, frame.tag,
                                 TICKET_KEY_TAG_SIZE, bound, (word32)(BOUND_SIZE + domain.size));
    wc_AesFree(&aes);
    digest_wipe(&aes, sizeof(aes));
    return error;
}

enum ticket_status ticket_keys_seal(struct ticket_keys *keys, struct span domain, struct ticket_frame frame,
                                    uint8_t *bytes, size_t size)
{
    struct ticket_key key;
    copy_sealing_key(keys, &key);
    memcpy(frame.name, key.name, TICKET_KEY_NAME_SIZE);
    /* Random nonces are safe for 2^32 tickets a key (NIST SP 800-38D s8.3): 300,000 a second until the key changes. */
    fill_random(frame.iv, TICKET_KEY_IV_SIZE);
    int error = crypt_ticket(true, &key, domain, frame, bytes, size);
    digest_wipe(&key, sizeof(key));
    return error == 0 ? TICKET_OK : TICKET_ERROR;
}

enum ticket_status ticket_keys_open(struct ticket_keys *keys, struct span domain, struct ticket_frame frame,
                                    uint8_t *bytes, size_t size)
{
    struct ticket_key key;
    if (*frame.generation >= TICKET_GENERATION_MAX)
        return TICKET_REFUSED;
    if (!copy_named_key(keys, frame.name, &key))
        return TICKET_REFUSED;
    int error = crypt_ticket(false, &key, domain, frame, bytes, size);
    digest_wipe(&key, sizeof(key));
    return error == 0 ? TICKET_OK : TICKET_REFUSED;
}
