/* SPDX-License-Identifier: MIT */
#include "tls/counterpart_priv.h"

#include "tls/credential_pool_priv.h"
#include "tls/credential_priv.h"
#include "tls/dane_priv.h"
#include "tls/revocation.h"

#include <stdlib.h>

void counterpart_free(struct counterpart *remote)
{
    if (remote == NULL)
        return;
    credential_free(remote->credential);
    dane_free(remote->dane);
    staple_unref(remote->staple);
    free(remote);
}

void counterpart_see_certificate(struct counterpart *remote, struct span leaf)
{
    remote->end_point_size = (uint8_t)certificate_hash(leaf, remote->end_point);
}

bool counterpart_judge(struct counterpart *remote, const struct anchors *anchors, const struct span *sent,
                       unsigned count, enum credential_role role, int64_t now)
{
    counterpart_see_certificate(remote, sent[0]);
    remote->credential = credential_judge(anchors, sent, count, role, now);
    if (remote->credential == NULL)
        return false;
    if (remote->dane != NULL)
        remote->finding = dane_judge(remote->dane, anchors, remote->credential, sent, count, now);
    if (remote->credential->verdict == CREDENTIAL_VALID)
        remote->credential = credential_pool_share(remote->credential);
    return remote->credential != NULL;
}

void counterpart_see_staple(struct counterpart *remote, struct span staple)
{
    if (remote->staple == NULL && staple.size > 0 && staple.size <= REVOCATION_OCSP_MAX)
        remote->staple = staple_new(staple);
}

/* An answer is one that says good or revoked; what the latter means is the caller's. Who is an anchor itself has no
 * issuer that could answer. */
void counterpart_judge_staple(struct counterpart *remote, int64_t now)
{
    struct revocation_sources sources;
    const struct credential *credential = remote->credential;
    if (credential == NULL || credential->verdict != CREDENTIAL_VALID || credential->count < 2 ||
        !revocation_sources(credential->path[0].der, &sources) || !sources.must_staple)
        return;
    struct revocation_answer answer = {.status = REVOCATION_SILENCE};
    if (remote->staple != NULL)
        answer = ocsp_judge(staple_bytes(remote->staple), credential->path[0].der, credential->path[1].der, now);
    remote->is_unstapled = answer.status != REVOCATION_GOOD && answer.status != REVOCATION_REVOKED;
}
