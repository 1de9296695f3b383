/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Anchors: the certificates of authorities that are trusted (RFC 5280 s6.1.1 (d)), read once per process and shared by
 * all contexts. Immutable.
 *
 * Thread:  any; ref and unref by an atomic count.
 * Bounds:  ANCHORS_COUNT_MAX certificates; files of 4 MiB, folders of 4,096 files.
 */
#include "core/base/err.h"

#define ANCHORS_COUNT_MAX 2048u

struct anchors;

/* A file of certificates in PEM, or a folder of such files (links of c_rehash and duplicates are read once). NULL: the
 * system's own store. What is no certificate is passed over; none at all is an error. Each certificate is trusted as it
 * stands, a server's own among them: that is how a self-signed one is pinned. */
struct anchors *anchors_new(const char *path, struct err *err);
struct anchors *anchors_ref(struct anchors *anchors);
void anchors_unref(struct anchors *anchors);
unsigned anchors_count(const struct anchors *anchors);
