/* SPDX-License-Identifier: MIT */
#include "tls/path_priv.h"

#include "tls/constraints_priv.h"
#include "tls/signature_priv.h"

/* ---- one path ---------------------------------------------------------------------------------------------------- */

struct inspection {
    const struct path *path;
    enum credential_role role;
    int64_t now;
};

static bool has_purpose(const struct certificate *certificate, enum credential_role role)
{
    static const unsigned accepted[] = {
        [CREDENTIAL_SERVER] = PURPOSE_SERVER | PURPOSE_ANY | PURPOSE_XMPP,
        [CREDENTIAL_CLIENT] = PURPOSE_SERVER | PURPOSE_CLIENT | PURPOSE_ANY | PURPOSE_XMPP,
        [CREDENTIAL_USER] = PURPOSE_CLIENT | PURPOSE_ANY | PURPOSE_XMPP,
    };
    return !certificate->has_purposes || (certificate->purposes & accepted[role]) != 0;
}

static bool has_usage(const struct certificate *certificate, unsigned usage)
{
    return !certificate->has_key_usage || (certificate->key_usage & usage) != 0;
}

/* Authorities between this one and the leaf, those not counted that an authority issued to itself (RFC 5280
 * s4.2.1.9). */
static unsigned count_below(const struct path *path, unsigned index)
{
    unsigned count = 0;
    for (unsigned i = 1; i < index; i++)
        count += !certificate_is_self_issued(path->certificates[i]);
    return count;
}

/* RFC 5280 s6.1.4 (k) to (n). An anchor of version 1 has no extensions to be asked: being an anchor makes it one. */
static enum credential_verdict inspect_authority(const struct inspection *inspection, unsigned index)
{
    const struct path *path = inspection->path;
    const struct certificate *certificate = path->certificates[index];
    bool is_old_anchor = index + 1 == path->count && certificate->version < 3;
    if (!certificate->is_authority && !is_old_anchor)
        return CREDENTIAL_NOT_AN_AUTHORITY;
    if (!has_usage(certificate, KEY_USAGE_KEY_CERT_SIGN) || !has_purpose(certificate, inspection->role))
        return CREDENTIAL_USAGE;
    if (certificate->path_length_max != PATH_LENGTH_NONE && count_below(path, index) > certificate->path_length_max)
        return CREDENTIAL_PATH_LENGTH;
    return CREDENTIAL_VALID;
}

/* RFC 6120 s13.7.1.1; TLS takes version 3 only (RFC 8446 s4.4.2.2). */
static enum credential_verdict inspect_leaf(const struct inspection *inspection)
{
    const struct certificate *certificate = inspection->path->certificates[0];
    if (certificate->version != 3)
        return CREDENTIAL_MALFORMED;
    if (certificate->is_authority)
        return CREDENTIAL_IS_AUTHORITY;
    if (!has_usage(certificate, KEY_USAGE_DIGITAL_SIGNATURE) || !has_purpose(certificate, inspection->role))
        return CREDENTIAL_USAGE;
    return CREDENTIAL_VALID;
}

static enum credential_verdict inspect_certificate(const struct inspection *inspection, unsigned index)
{
    const struct certificate *certificate = inspection->path->certificates[index];
    if (!signature_is_key_accepted(certificate->key))
        return CREDENTIAL_ALGORITHM;
    if (inspection->now < certificate->not_before)
        return CREDENTIAL_NOT_YET_VALID;
    if (inspection->now > certificate->not_after)
        return CREDENTIAL_EXPIRED;
    if (certificate->has_unknown_critical)
        return CREDENTIAL_CRITICAL;
    return index == 0 ? inspect_leaf(inspection) : inspect_authority(inspection, index);
}

static enum credential_verdict inspect_constraints(const struct path *path, unsigned index, unsigned *steps)
{
    const struct certificate *certificate = path->certificates[index];
    /* What an authority issued to itself is not held to them, unless it is the leaf (RFC 5280 s6.1.3 (b)). */
    if (index > 0 && certificate_is_self_issued(certificate))
        return CREDENTIAL_VALID;
    for (unsigned i = index + 1; i < path->count; i++) {
        if (!constraints_allow(path->certificates[i], certificate, steps))
            return *steps > CONSTRAINTS_STEPS_MAX ? CREDENTIAL_TANGLED : CREDENTIAL_NAME_CONSTRAINTS;
    }
    return CREDENTIAL_VALID;
}

/* From the anchor to the leaf, as RFC 5280 s6.1 goes. */
static enum credential_verdict inspect(const struct inspection *inspection, unsigned *fault)
{
    unsigned steps = 0;
    for (unsigned i = inspection->path->count; i-- > 0;) {
        *fault = i;
        enum credential_verdict verdict = inspect_certificate(inspection, i);
        if (verdict == CREDENTIAL_VALID)
            verdict = inspect_constraints(inspection->path, i, &steps);
        if (verdict != CREDENTIAL_VALID)
            return verdict;
    }
    return CREDENTIAL_VALID;
}

/* ---- the search ----------------------------------------------------------------------------------------------------
 */

struct search {
    const struct anchors *anchors;
    const struct certificate *sent;
    unsigned sent_count;
    struct inspection inspection;
    path_wanted_fn wanted; /* NULL: any */
    const void *wanted_context;
    struct path *path;
    unsigned signatures;
    /* The verdict so far. */
    enum credential_verdict verdict;
    unsigned fault;
    bool has_reached; /* an anchor */
};

/* The path has come to an anchor: does it hold? */
static bool finish(struct search *search)
{
    unsigned fault;
    enum credential_verdict verdict = inspect(&search->inspection, &fault);
    if (verdict == CREDENTIAL_VALID && search->wanted != NULL && !search->wanted(search->wanted_context, search->path))
        verdict = CREDENTIAL_UNKNOWN_ISSUER;
    if (verdict == CREDENTIAL_VALID || !search->has_reached) {
        search->verdict = verdict;
        search->fault = fault;
        search->has_reached = true;
    }
    return verdict == CREDENTIAL_VALID;
}

static void note_dead_end(struct search *search, enum credential_verdict verdict)
{
    unsigned fault = search->path->count - 1;
    if (search->has_reached || (search->verdict != CREDENTIAL_NONE && fault <= search->fault))
        return;
    search->verdict = verdict;
    search->fault = fault;
}

static bool is_on_path(const struct path *path, const struct certificate *certificate)
{
    for (unsigned i = 0; i < path->count; i++) {
        /* The same authority twice, be it by another certificate, leads nowhere new. */
        if (span_equal(path->certificates[i]->key, certificate->key) &&
            span_equal(path->certificates[i]->subject, certificate->subject))
            return true;
    }
    return false;
}

static bool search_on(struct search *search, unsigned depth);

/* An anchor ends the path. Of a path that is not wanted it may be in the middle. */
static bool go_through(struct search *search, const struct certificate *anchor, unsigned depth)
{
    if (finish(search))
        return true;
    return search->wanted != NULL && !certificate_is_self_issued(anchor) && search_on(search, depth);
}

/* Is the last of the path signed by this candidate? If so the path goes on through it. What comes of it when it is not
 * is told in *dead_end. */
static bool try_issuer(struct search *search, const struct certificate *issuer, bool is_anchor,
                       enum credential_verdict *dead_end)
{
    struct path *path = search->path;
    const struct certificate *last = path->certificates[path->count - 1];
    unsigned depth = path->count;
    bool is_found = false;
    if (!span_equal(issuer->subject, last->issuer) || is_on_path(path, issuer))
        return false;
    if (search->signatures++ >= PATH_SIGNATURES_MAX) {
        *dead_end = CREDENTIAL_TANGLED;
        return false;
    }
    const struct signature signature = signature_of(last);
    switch (signature_verify(&signature, issuer->key)) {
    case SIGNATURE_BAD:
        if (*dead_end != CREDENTIAL_ALGORITHM)
            *dead_end = CREDENTIAL_BAD_SIGNATURE;
        return false;
    case SIGNATURE_FOREIGN:
        *dead_end = CREDENTIAL_ALGORITHM;
        return false;
    case SIGNATURE_GOOD:
        break;
    }
    path->certificates[path->count++] = issuer;
    is_found = is_anchor ? go_through(search, issuer, depth + 1) : search_on(search, depth + 1);
    if (!is_found)
        path->count = depth;
    return is_found;
}

/* Depth is bounded by the array of the path. */
static bool search_on(struct search *search, unsigned depth)
{
    struct path *path = search->path;
    const struct certificate *last = path->certificates[depth - 1];
    bool is_own = certificate_is_self_issued(last);
    enum credential_verdict dead_end = is_own && depth == 1 ? CREDENTIAL_SELF_SIGNED : CREDENTIAL_UNKNOWN_ISSUER;
    if (depth >= CREDENTIAL_PATH_MAX)
        return false;
    for (unsigned i = 0; i < search->anchors->count; i++) {
        if (try_issuer(search, &search->anchors->certificates[i], true, &dead_end))
            return true;
    }
    for (unsigned i = 1; i < search->sent_count; i++) {
        if (try_issuer(search, &search->sent[i], false, &dead_end))
            return true;
    }
    note_dead_end(search, dead_end);
    return false;
}

enum credential_verdict path_find_wanted(const struct anchors *anchors, const struct certificate *sent, unsigned count,
                                         enum credential_role role, int64_t now, path_wanted_fn wanted,
                                         const void *context, struct path *out)
{
    struct search search = {
        .anchors = anchors,
        .sent = sent,
        .sent_count = count,
        .inspection = {out, role, now},
        .wanted = wanted,
        .wanted_context = context,
        .path = out,
        .verdict = CREDENTIAL_NONE,
    };
    out->count = 1;
    out->certificates[0] = &sent[0];
    bool is_found = anchors_have(anchors, sent[0].der) ? finish(&search) : search_on(&search, 1);
    out->fault = search.fault;
    return is_found ? CREDENTIAL_VALID : search.verdict;
}

enum credential_verdict path_find(const struct anchors *anchors, const struct certificate *sent, unsigned count,
                                  enum credential_role role, int64_t now, struct path *out)
{
    return path_find_wanted(anchors, sent, count, role, now, NULL, NULL, out);
}
