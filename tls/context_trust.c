/* SPDX-License-Identifier: MIT */
/* Context: whether what was judged before holds by the anchors of now. */
#include "tls/context_priv.h"

#include "core/base/check.h"
#include "tls/anchors_priv.h"
#include "tls/credential_pool_priv.h"
#include "tls/path_priv.h"

#include <stdlib.h>

/* Timers run to the end of the old path. */
static bool lasts_as_long(const void *credential, const struct path *path)
{
    for (unsigned i = 0; i < path->count; i++)
        if (path->certificates[i]->not_after < ((const struct credential *)credential)->not_after)
            return false;
    return true;
}

/* Whether names alone leave a way: without one no signature has to be verified, which is what an authority that was
 * taken away costs. */
static bool has_namesake(const struct anchors *anchors, const struct certificate *certificates, unsigned count)
{
    for (unsigned i = 0; i < anchors->count; i++)
        for (unsigned k = 0; k < count; k++)
            if (span_equal(anchors->certificates[i].subject, certificates[k].issuer))
                return true;
    return anchors_have(anchors, certificates[0].der);
}

/* The old anchor is left out: whether the peer presented it is not known, and it is trusted no more. A pinned leaf is
 * both. */
static bool finds_another_path(const struct context *context, const struct credential *credential)
{
    struct certificate certificates[CREDENTIAL_PATH_MAX];
    struct path path;
    unsigned count = credential->count > 1 ? credential->count - 1 : 1;
    for (unsigned i = 0; i < count; i++)
        SL_CHECK(certificate_read(credential->path[i].der, &certificates[i])); /* as it was for the old path */
    if (!has_namesake(context->anchors, certificates, count))
        return false;
    return path_find_wanted(context->anchors, certificates, count, context->judged, context->clock(), lasts_as_long,
                            credential, &path) == CREDENTIAL_VALID;
}

bool context_trusts(const struct context *context, const struct credential *credential)
{
    SL_CHECK(credential->verdict == CREDENTIAL_VALID);
    if (context->anchors == NULL)
        return false;
    /* The set of anchors, and the verdict in the lowest bit. Relaxed: nothing else is read by it, and who finds another
     * set's judges for itself. */
    _Atomic uint64_t *held = &credential->held[context->judged];
    uint64_t known = atomic_load_explicit(held, memory_order_relaxed);
    if ((known & ~UINT64_C(1)) == context->anchors->content)
        return known & 1;
    bool is_good = anchors_have(context->anchors, credential->path[credential->count - 1].der) ||
                   finds_another_path(context, credential);
    atomic_store_explicit(held, context->anchors->content | is_good, memory_order_relaxed);
    return is_good;
}

void context_review(const struct context *context)
{
    struct credential **list;
    uint32_t count = credential_pool_list(&list);
    for (uint32_t i = 0; i < count; i++) {
        (void)context_trusts(context, list[i]);
        credential_free(list[i]);
    }
    free(list);
}

bool context_has_same_anchors(const struct context *a, const struct context *b)
{
    uint64_t of_a = a != NULL && a->anchors != NULL ? a->anchors->content : 0;
    uint64_t of_b = b != NULL && b->anchors != NULL ? b->anchors->content : 0;
    return of_a == of_b;
}
