/* SPDX-License-Identifier: MIT */
#include "tls/digest.h"

#include "core/base/check.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/pwdbased.h>

#include <stdlib.h>

static enum wc_HashType hash_type(enum digest digest)
{
    switch (digest) {
    case DIGEST_SHA1:
        return WC_HASH_TYPE_SHA;
    case DIGEST_SHA256:
        return WC_HASH_TYPE_SHA256;
    case DIGEST_SHA512:
        return WC_HASH_TYPE_SHA512;
    }
    SL_CHECK(digest <= DIGEST_SHA512);
    return WC_HASH_TYPE_NONE;
}

/* wolfCrypt takes 32-bit sizes; nothing that is hashed here comes near it, so a larger one is a bug of ours. */
static word32 size32(size_t size)
{
    SL_CHECK(size <= INT32_MAX);
    return (word32)size;
}

static const byte *bytes_of(struct span span)
{
    /* An empty span may have no address; wolfCrypt refuses NULL. */
    return span.size == 0 ? (const byte *)"" : (const byte *)span.ptr;
}

size_t digest_size(enum digest digest)
{
    return (size_t)wc_HashGetDigestSize(hash_type(digest));
}

void digest_hash(enum digest digest, struct span bytes, uint8_t *out)
{
    int error = wc_Hash(hash_type(digest), bytes_of(bytes), size32(bytes.size), out, size32(digest_size(digest)));
    SL_CHECK(error == 0);
}

void digest_hmac(enum digest digest, struct span key, struct span bytes, uint8_t *out)
{
    Hmac hmac;
    int error = wc_HmacInit(&hmac, NULL, INVALID_DEVID);
    if (error == 0)
        error = wc_HmacSetKey(&hmac, (int)hash_type(digest), bytes_of(key), size32(key.size));
    if (error == 0)
        error = wc_HmacUpdate(&hmac, bytes_of(bytes), size32(bytes.size));
    if (error == 0)
        error = wc_HmacFinal(&hmac, out);
    wc_HmacFree(&hmac);
    SL_CHECK(error == 0);
}

void digest_pbkdf2(enum digest digest, struct span password, struct span salt, uint32_t iterations, uint8_t *out)
{
    SL_CHECK(iterations >= 1 && iterations <= INT32_MAX);
    int error = wc_PBKDF2(out, bytes_of(password), (int)size32(password.size), bytes_of(salt), (int)size32(salt.size),
                          (int)iterations, (int)digest_size(digest), (int)hash_type(digest));
    SL_CHECK(error == 0);
}

/* F(P, S, c, 1) of RFC 8018 s5.2: u runs through U_1 to U_c, result gathers their exclusive or. */
struct digest_pbkdf2 {
    Hmac hmac; /* keyed once; each final leaves it ready for the next message */
    enum digest digest;
    uint32_t left;
    uint8_t u[DIGEST_SIZE_MAX];
    uint8_t result[DIGEST_SIZE_MAX];
};

static void next_u(struct digest_pbkdf2 *pbkdf2, const uint8_t *bytes, size_t size)
{
    int error = wc_HmacUpdate(&pbkdf2->hmac, bytes, size32(size));
    if (error == 0)
        error = wc_HmacFinal(&pbkdf2->hmac, pbkdf2->u);
    SL_CHECK(error == 0);
    pbkdf2->left--;
    for (size_t i = 0; i < digest_size(pbkdf2->digest); i++)
        pbkdf2->result[i] ^= pbkdf2->u[i];
}

struct digest_pbkdf2 *digest_pbkdf2_new(enum digest digest, struct span password, struct span salt,
                                        uint32_t iterations)
{
    static const uint8_t block_index[] = {0, 0, 0, 1};
    SL_CHECK(iterations >= 1);
    struct digest_pbkdf2 *pbkdf2 = calloc(1, sizeof(*pbkdf2));
    if (pbkdf2 == NULL)
        return NULL;
    pbkdf2->digest = digest;
    pbkdf2->left = iterations;
    int error = wc_HmacInit(&pbkdf2->hmac, NULL, INVALID_DEVID);
    if (error == 0)
        error = wc_HmacSetKey(&pbkdf2->hmac, (int)hash_type(digest), bytes_of(password), size32(password.size));
    if (error == 0)
        error = wc_HmacUpdate(&pbkdf2->hmac, bytes_of(salt), size32(salt.size));
    SL_CHECK(error == 0);
    next_u(pbkdf2, block_index, sizeof(block_index));
    return pbkdf2;
}

bool digest_pbkdf2_run(struct digest_pbkdf2 *pbkdf2, uint32_t iterations_max)
{
    for (; pbkdf2->left > 0 && iterations_max > 0; iterations_max--)
        next_u(pbkdf2, pbkdf2->u, digest_size(pbkdf2->digest));
    return pbkdf2->left == 0;
}

void digest_pbkdf2_result(const struct digest_pbkdf2 *pbkdf2, uint8_t *out)
{
    SL_CHECK(pbkdf2->left == 0);
    memcpy(out, pbkdf2->result, digest_size(pbkdf2->digest));
}

void digest_pbkdf2_free(struct digest_pbkdf2 *pbkdf2)
{
    if (pbkdf2 == NULL)
        return;
    wc_HmacFree(&pbkdf2->hmac);
    digest_wipe(pbkdf2, sizeof(*pbkdf2));
    free(pbkdf2);
}

bool digest_equal(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *left = a;
    const volatile uint8_t *right = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < size; i++)
        difference = (uint8_t)(difference | (left[i] ^ right[i]));
    return difference == 0;
}

void digest_wipe(void *bytes, size_t size)
{
    explicit_bzero(bytes, size);
}
