/* SPDX-License-Identifier: MIT */
#include "tls/credential_priv.h"

#include "core/base/check.h"
#include "core/base/hex.h"
#include "tls/credential_pool_priv.h"
#include "tls/digest.h"
#include "tls/path_priv.h"

#include <stdlib.h>

static const char *const texts[] = {
    [CREDENTIAL_NONE] = "no certificate",
    [CREDENTIAL_VALID] = "valid",
    [CREDENTIAL_MALFORMED] = "malformed",
    [CREDENTIAL_SELF_SIGNED] = "self-signed",
    [CREDENTIAL_UNKNOWN_ISSUER] = "unknown issuer",
    [CREDENTIAL_BAD_SIGNATURE] = "bad signature",
    [CREDENTIAL_ALGORITHM] = "weak or unknown algorithm",
    [CREDENTIAL_EXPIRED] = "expired",
    [CREDENTIAL_NOT_YET_VALID] = "not yet valid",
    [CREDENTIAL_NOT_AN_AUTHORITY] = "issuer is no authority",
    [CREDENTIAL_IS_AUTHORITY] = "leaf is an authority",
    [CREDENTIAL_USAGE] = "wrong usage",
    [CREDENTIAL_PATH_LENGTH] = "path too long for its authority",
    [CREDENTIAL_NAME_CONSTRAINTS] = "name outside of its authority's constraints",
    [CREDENTIAL_CRITICAL] = "unknown critical extension",
    [CREDENTIAL_TANGLED] = "chain too tangled",
    [CREDENTIAL_NO_MEMORY] = "out of memory",
};

const char *credential_text(enum credential_verdict verdict)
{
    return texts[verdict];
}

const char *credential_short(const struct credential *credential, char out[CREDENTIAL_SHORT_SIZE])
{
    SL_CHECK(credential->count > 0);
    hex_encode(span_of(credential->path[0].sha256, (CREDENTIAL_SHORT_SIZE - 1) / 2), out);
    out[CREDENTIAL_SHORT_SIZE - 1] = '\0';
    return out;
}

static struct credential *refuse(enum credential_verdict verdict, unsigned fault)
{
    struct credential *credential = calloc(1, sizeof(*credential));
    if (credential == NULL)
        return NULL;
    credential->verdict = verdict;
    credential->references = 1;
    credential->fault = fault;
    return credential;
}

static void credential_name(struct credential *credential)
{
    uint8_t hashes[CREDENTIAL_PATH_MAX * CREDENTIAL_SHA256];
    for (unsigned i = 0; i < credential->count; i++)
        memcpy(hashes + i * CREDENTIAL_SHA256, credential->path[i].sha256, CREDENTIAL_SHA256);
    digest_hash(DIGEST_SHA256, span_of(hashes, credential->count * CREDENTIAL_SHA256), credential->fingerprint);
}

/* One block of memory: the facts, then the bytes of all certificates. */
static struct credential *accept_path(const struct path *path)
{
    size_t size = sizeof(struct credential) + path->count * sizeof(struct credential_certificate) +
                  CREDENTIAL_ROLES * sizeof(_Atomic uint64_t);
    for (unsigned i = 0; i < path->count; i++)
        size += path->certificates[i]->der.size;
    struct credential *credential = calloc(1, size);
    if (credential == NULL)
        return NULL;
    char *bytes = (char *)(credential->path + path->count);
    credential->held = (void *)bytes;
    bytes += CREDENTIAL_ROLES * sizeof(_Atomic uint64_t);
    credential->verdict = CREDENTIAL_VALID;
    credential->references = 1;
    credential->count = path->count;
    credential->not_after = INT64_MAX;
    for (unsigned i = 0; i < path->count; i++) {
        const struct certificate *certificate = path->certificates[i];
        struct credential_certificate *kept = &credential->path[i];
        memcpy(bytes, certificate->der.ptr, certificate->der.size);
        kept->der = span_of(bytes, certificate->der.size);
        kept->not_before = certificate->not_before;
        kept->not_after = certificate->not_after;
        digest_hash(DIGEST_SHA256, kept->der, kept->sha256);
        if (kept->not_after < credential->not_after)
            credential->not_after = kept->not_after;
        bytes += certificate->der.size;
    }
    credential_name(credential);
    /* Names without end, or that break the syntax, are nobody's; the chain is none the worse. */
    (void)identity_read(credential->path[0].der, &credential->identity);
    return credential;
}

struct credential *credential_judge(const struct anchors *anchors, const struct span *sent, unsigned count,
                                    enum credential_role role, int64_t now)
{
    struct certificate certificates[CREDENTIAL_SENT_MAX];
    struct path path;
    unsigned read = 0;
    unsigned unread = 0; /* the first that was not understood; the leaf must be */
    SL_CHECK(count <= CREDENTIAL_SENT_MAX);
    for (unsigned i = 0; i < count; i++) {
        if (certificate_read(sent[i], &certificates[read]))
            read++;
        else if (i == 0)
            return refuse(CREDENTIAL_MALFORMED, 0);
        else if (unread == 0)
            unread = i;
    }
    if (count == 0)
        return refuse(CREDENTIAL_NONE, 0);
    enum credential_verdict verdict = path_find(anchors, certificates, read, role, now, &path);
    if (verdict == CREDENTIAL_VALID)
        return accept_path(&path);
    /* What was not understood may be what is missing. */
    if (verdict == CREDENTIAL_UNKNOWN_ISSUER && unread > 0)
        return refuse(CREDENTIAL_MALFORMED, unread);
    return refuse(verdict, path.fault);
}

void credential_free(struct credential *credential)
{
    if (credential == NULL || (credential->is_shared && !credential_pool_drop(credential)))
        return;
    identity_free(&credential->identity);
    free(credential);
}
