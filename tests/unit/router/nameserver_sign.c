/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/nameserver_sign.h"

#include "core/base/check.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ALGORITHM 13u

struct zone_key {
    EVP_PKEY *key;
    struct rdata data;
    unsigned tag;
    char zone[256];
};

/* RFC 4034 appendix B. */
static unsigned key_tag(const struct rdata *data)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < data->size; i++)
        sum += i % 2 == 0 ? (uint32_t)data->bytes[i] << 8 : data->bytes[i];
    return (sum + (sum >> 16)) & 0xffff;
}

struct zone_key *zone_key_new(const char *zone)
{
    struct zone_key *key = calloc(1, sizeof *key);
    SL_CHECK(key != NULL);
    memcpy(key->zone, zone, strlen(zone) + 1);
    key->key = EVP_EC_gen("P-256");
    SL_CHECK(key->key != NULL);
    unsigned char point[65];
    size_t size = 0;
    SL_CHECK(EVP_PKEY_get_octet_string_param(key->key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &size) == 1);
    SL_CHECK(size == 65 && point[0] == 4);
    key->data = (struct rdata){.size = 68, .bytes = {1, 1, 3, ALGORITHM}};
    memcpy(key->data.bytes + 4, point + 1, 64);
    key->tag = key_tag(&key->data);
    return key;
}

void zone_key_free(struct zone_key *key)
{
    EVP_PKEY_free(key->key);
    free(key);
}

const struct rdata *zone_key_data(const struct zone_key *key)
{
    return &key->data;
}

static int compare(const void *a, const void *b)
{
    const struct rdata *one = a, *other = b;
    int order = memcmp(one->bytes, other->bytes, one->size < other->size ? one->size : other->size);
    return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

static unsigned char *put(unsigned char *at, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        at[i] = (unsigned char)(value >> 8 * (size - 1 - i));
    return at + size;
}

static void sign(const struct zone_key *key, const unsigned char *bytes, size_t size, unsigned char out[64])
{
    unsigned char der[128];
    size_t der_size = sizeof der;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    SL_CHECK(context != NULL && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key->key) == 1);
    SL_CHECK(EVP_DigestSign(context, der, &der_size, bytes, size) == 1);
    EVP_MD_CTX_free(context);
    const unsigned char *at = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der_size);
    SL_CHECK(signature != NULL);
    SL_CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, 32) == 32);
    SL_CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + 32, 32) == 32);
    ECDSA_SIG_free(signature);
}

static unsigned label_count(const char *name)
{
    unsigned count = name[0] != '\0';
    for (; *name != '\0'; name++)
        count += *name == '.';
    return count;
}

void zone_key_sign(const struct zone_key *key, const char *name, unsigned type, uint32_t ttl_s, struct rdata *set,
                   unsigned count, bool is_expired, struct rdata *out)
{
    uint32_t now = (uint32_t)time(NULL);
    uint32_t begin = is_expired ? now - 20 * 86400 : now - 86400;
    unsigned char wire[256];
    size_t wire_size = wire_name(name, wire);
    unsigned char *at = out->bytes;
    at = put(at, type, 2);
    at = put(at, ALGORITHM, 1);
    at = put(at, label_count(name), 1);
    at = put(at, ttl_s, 4);
    at = put(at, begin + 8 * 86400, 4);
    at = put(at, begin, 4);
    at = put(at, key->tag, 2);
    at += wire_name(key->zone, at);
    size_t head = (size_t)(at - out->bytes);

    qsort(set, count, sizeof *set, compare);
    unsigned char *bytes = malloc(head + count * (wire_size + 10 + sizeof set->bytes));
    SL_CHECK(bytes != NULL);
    memcpy(bytes, out->bytes, head);
    at = bytes + head;
    for (unsigned i = 0; i < count; i++) {
        memcpy(at, wire, wire_size);
        at = put(at + wire_size, type, 2);
        at = put(at, 1, 2);
        at = put(at, ttl_s, 4);
        at = put(at, (uint32_t)set[i].size, 2);
        memcpy(at, set[i].bytes, set[i].size);
        at += set[i].size;
    }
    sign(key, bytes, (size_t)(at - bytes), out->bytes + head);
    out->size = head + 64;
    free(bytes);
}
