/* SPDX-License-Identifier: MIT */
#include "tls/traits.h"

#include "core/base/check.h"
#include "tls/certificate_priv.h"
#include "tls/digest.h"

#include <stdlib.h>

#define NAME_MAX_SIZE (2 * IDENTITY_XMPP_MAX + 1) /* localpart, '@', domainpart */

static void hash(struct span bytes, uint8_t out[CREDENTIAL_SHA256])
{
    digest_hash(DIGEST_SHA256, bytes, out);
}

/* Its kind and its letters in lower case; one that is longer than a name can be stands for itself. */
static void hash_name(const struct identifier *identifier, uint8_t out[CREDENTIAL_SHA256])
{
    char bytes[1 + NAME_MAX_SIZE];
    struct span name = identifier->name;
    if (name.size > NAME_MAX_SIZE) {
        hash(name, out);
        return;
    }
    bytes[0] = (char)identifier->kind;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.ptr[i];
        bytes[1 + i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    hash(span_of(bytes, 1 + name.size), out);
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, CREDENTIAL_SHA256);
}

/* Hashes instead of names are sorted: they are of one size, and all of them fit here (16 KiB). */
static void hash_names(const struct identity *identity, uint8_t out[CREDENTIAL_SHA256])
{
    uint8_t hashes[IDENTITY_COUNT_MAX][CREDENTIAL_SHA256];
    SL_CHECK(identity->count <= IDENTITY_COUNT_MAX);
    for (uint32_t i = 0; i < identity->count; i++)
        hash_name(&identity->identifiers[i], hashes[i]);
    qsort(hashes, identity->count, sizeof hashes[0], compare);
    hash(span_of(hashes, identity->count * sizeof hashes[0]), out);
}

/* An authority that renews its own certificate stays the same issuer; one of the same name with another key is another
 * one. Who stands alone (pinned, or itself an anchor) has no issuer but in name: its key counts once. */
static void hash_issuer(const struct credential *credential, const struct certificate *leaf,
                        uint8_t out[CREDENTIAL_SHA256])
{
    struct certificate issuer;
    uint8_t both[2][CREDENTIAL_SHA256];
    hash(leaf->issuer, out);
    if (credential->count < 2 || !certificate_read(credential->path[1].der, &issuer))
        return;
    memcpy(both[0], out, sizeof both[0]);
    hash(issuer.key, both[1]);
    hash(span_of(both, sizeof both), out);
}

void traits_read(const struct credential *credential, struct traits *out)
{
    struct certificate leaf;
    SL_CHECK(credential->verdict == CREDENTIAL_VALID && credential->count > 0);
    bool is_read = certificate_read(credential->path[0].der, &leaf);
    SL_CHECK(is_read); /* it was, when it was judged */
    hash(leaf.key, out->key);
    hash_issuer(credential, &leaf, out->issuer);
    hash_names(&credential->identity, out->names);
}
