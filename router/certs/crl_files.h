/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * CRL files: the lists of revoked certificates that the operator has on disk (certs.crl_files), read once for a
 * configuration. Whether one is signed by its issuer is seen when a certificate of that name comes up, once for each
 * issuer's key, and logged if it is not.
 *
 * Thread:  read by the control thread; judged by one thread at a time, the inspector's; ref and unref on any.
 * Bounds:  CRL_FILES_LISTS_MAX lists, each of REVOCATION_CRL_MAX bytes; files of CRL_FILES_SIZE_MAX.
 */
#include "core/base/err.h"
#include "tls/revocation.h"

#define CRL_FILES_LISTS_MAX 1024u
#define CRL_FILES_SIZE_MAX  (64u << 20)

struct crl_files;

/* NULL: err names the file and the reason. now: seconds since 1970; stale ones are logged, for they are of no use but
 * for what they revoke. count may be 0. */
struct crl_files *crl_files_read(const char *const *paths, unsigned count, int64_t now, struct err *err);
struct crl_files *crl_files_ref(struct crl_files *files);
void crl_files_unref(struct crl_files *files);
/* Of lists. */
unsigned crl_files_count(const struct crl_files *files);

/* What the lists by this issuer say of the certificate: revoked if one does; else good if one is fresh, as long as the
 * freshest; else why the last one of them is no answer; SILENCE: there is none. *path: the file, while they live; NULL
 * with SILENCE. */
struct revocation_answer crl_files_judge(struct crl_files *files, struct span certificate, struct span issuer,
                                         int64_t now, const char **path);
