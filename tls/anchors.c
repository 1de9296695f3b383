/* SPDX-License-Identifier: MIT */
#include "tls/anchors_priv.h"

#include "tls/digest.h"

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FILE_SIZE_MAX  (4u << 20) /* the largest bundles have 300 KB */
#define FILE_COUNT_MAX 4096u

#define DIGEST_SHA256_SIZE 32u

static const char *const system_paths[] = {
    "/etc/ssl/certs/ca-certificates.crt",     /* Debian, Ubuntu, Alpine, Arch */
    "/etc/pki/tls/certs/ca-bundle.crt",       /* Fedora, Red Hat */
    "/var/lib/ca-certificates/ca-bundle.pem", /* SUSE */
    "/etc/ssl/cert.pem",
    "/etc/ssl/certs",
};

bool anchors_have(const struct anchors *anchors, struct span der)
{
    for (unsigned i = 0; i < anchors->count; i++) {
        if (span_equal(anchors->certificates[i].der, der))
            return true;
    }
    return false;
}

/* False: memory was refused. A certificate that is not understood here cannot anchor anything: it is passed over. */
static bool add_certificate(struct anchors *anchors, struct span pem)
{
    struct certificate certificate;
    unsigned char *der = malloc(pem.size);
    if (der == NULL)
        return false;
    int size = wc_CertPemToDer((const unsigned char *)pem.ptr, (int)pem.size, der, (int)pem.size, CERT_TYPE);
    struct span bytes = span_of(der, size > 0 ? (size_t)size : 0);
    if (anchors->count >= ANCHORS_COUNT_MAX || !certificate_read(bytes, &certificate) || anchors_have(anchors, bytes)) {
        free(der);
        return true;
    }
    struct certificate *grown = realloc(anchors->certificates, (anchors->count + 1) * sizeof(anchors->certificates[0]));
    if (grown == NULL) {
        free(der);
        return false;
    }
    anchors->certificates = grown;
    anchors->certificates[anchors->count++] = certificate;
    return true;
}

/* Each block of its own, so that one that the library does not like stops nothing. */
static bool add_pem(struct anchors *anchors, struct span pem)
{
    struct span block;
    while ((block = certificate_next_pem(&pem)).ptr != NULL)
        if (!add_certificate(anchors, block))
            return false;
    return true;
}

static bool add_file(struct anchors *anchors, const char *path, struct err *err)
{
    FILE *stream = fopen(path, "re");
    if (stream == NULL) {
        err_set(err, "%s: %s", path, strerror(errno));
        return false;
    }
    char *bytes = malloc(FILE_SIZE_MAX);
    size_t size = bytes == NULL ? 0 : fread(bytes, 1, FILE_SIZE_MAX, stream);
    bool is_good = false;
    if (bytes == NULL)
        err_set(err, "out of memory");
    else if (ferror(stream))
        err_set(err, "%s: %s", path, strerror(errno));
    else if (size >= FILE_SIZE_MAX)
        err_set(err, "%s: is too large", path);
    else if (!(is_good = add_pem(anchors, span_of(bytes, size))))
        err_set(err, "out of memory");
    fclose(stream);
    free(bytes);
    return is_good;
}

/* A file in the folder that cannot be read is passed over: links of a store may dangle. */
static bool add_folder(struct anchors *anchors, const char *path, struct err *err)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        err_set(err, "%s: %s", path, strerror(errno));
        return false;
    }
    unsigned count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL && count < FILE_COUNT_MAX; entry = readdir(folder)) {
        char name[4096];
        struct stat status;
        int size = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (entry->d_name[0] == '.' || size < 0 || (size_t)size >= sizeof(name))
            continue;
        if (stat(name, &status) != 0 || !S_ISREG(status.st_mode))
            continue;
        count++;
        struct err ignored;
        (void)add_file(anchors, name, &ignored);
    }
    closedir(folder);
    return true;
}

static int compare_hashes(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SHA256_SIZE);
}

/* The operator chooses what is in it, and no peer: 62 bits tell two sets apart. A folder has no order. */
static bool name_content(struct anchors *anchors)
{
    uint8_t(*hashes)[DIGEST_SHA256_SIZE] = calloc(anchors->count, sizeof(*hashes));
    uint8_t hash[DIGEST_SHA256_SIZE];
    if (hashes == NULL)
        return false;
    for (unsigned i = 0; i < anchors->count; i++)
        digest_hash(DIGEST_SHA256, anchors->certificates[i].der, hashes[i]);
    qsort(hashes, anchors->count, sizeof(*hashes), compare_hashes);
    digest_hash(DIGEST_SHA256, span_of(hashes, anchors->count * sizeof(*hashes)), hash);
    free(hashes);
    memcpy(&anchors->content, hash, sizeof(anchors->content));
    anchors->content = (anchors->content & ~UINT64_C(3)) | 2;
    return true;
}

static bool load(struct anchors *anchors, const char *path, struct err *err)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        err_set(err, "%s: %s", path, strerror(errno));
        return false;
    }
    if (!(S_ISDIR(status.st_mode) ? add_folder(anchors, path, err) : add_file(anchors, path, err)))
        return false;
    if (anchors->count > 0 && name_content(anchors))
        return true;
    if (anchors->count > 0)
        err_set(err, "out of memory");
    else
        err_set(err, "%s: no certificates in PEM", path);
    return false;
}

static bool load_system(struct anchors *anchors, struct err *err)
{
    for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++) {
        if (load(anchors, system_paths[i], err))
            return true;
    }
    err_set(err, "the system has no store of trusted authorities (install ca-certificates, or name a file)");
    return false;
}

struct anchors *anchors_new(const char *path, struct err *err)
{
    struct anchors *anchors = calloc(1, sizeof(*anchors));
    if (anchors == NULL) {
        err_set(err, "out of memory");
        return NULL;
    }
    atomic_init(&anchors->references, 1);
    if (path == NULL ? load_system(anchors, err) : load(anchors, path, err))
        return anchors;
    anchors_unref(anchors);
    return NULL;
}

struct anchors *anchors_ref(struct anchors *anchors)
{
    atomic_fetch_add_explicit(&anchors->references, 1, memory_order_relaxed);
    return anchors;
}

void anchors_unref(struct anchors *anchors)
{
    if (anchors == NULL)
        return;
    /* Release: what this holder did happens before the free; acquire: the last one sees it all. */
    if (atomic_fetch_sub_explicit(&anchors->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < anchors->count; i++)
        free((void *)(uintptr_t)anchors->certificates[i].der.ptr);
    free(anchors->certificates);
    free(anchors);
}

unsigned anchors_count(const struct anchors *anchors)
{
    return anchors->count;
}
