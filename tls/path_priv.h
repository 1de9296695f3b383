/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Path: from a leaf over the certificates that were sent to a trusted one, by RFC 5280 s6.1 without policies.
 *
 * Every path is tried, so that a cross-signed authority, an anchor that expired, or certificates out of order or beside
 * the point do no harm; the first that holds is taken. The verdict on none is that on the first path which reaches an
 * anchor, else the one on the longest that does not.
 *
 * Thread:  any; no state.
 * Bounds:  PATH_SIGNATURES_MAX signatures are verified, whatever was sent.
 */
#include "tls/anchors_priv.h"
#include "tls/credential.h"

/* A path of ten takes nine; the rest is for dead ends. P-384, the slowest, takes 0.3 ms. */
#define PATH_SIGNATURES_MAX 32u

struct path {
    unsigned count;
    unsigned fault;                                              /* when it is refused */
    const struct certificate *certificates[CREDENTIAL_PATH_MAX]; /* leaf first, anchor last */
};

/* sent[0] is the leaf. */
enum credential_verdict path_find(const struct anchors *anchors, const struct certificate *sent, unsigned count,
                                  enum credential_role role, int64_t now, struct path *out);

/* Is the path, which holds, one of those that are wanted? */
typedef bool (*path_wanted_fn)(const void *context, const struct path *path);
/* Valid only for a path that is wanted: the search goes on for others, and where an anchor is not the end of the line
 * beyond it (RFC 7671 s5.4). Any other verdict says no more than that there is none. */
enum credential_verdict path_find_wanted(const struct anchors *anchors, const struct certificate *sent, unsigned count,
                                         enum credential_role role, int64_t now, path_wanted_fn wanted,
                                         const void *context, struct path *out);
