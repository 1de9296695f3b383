/* SPDX-License-Identifier: MIT */
#include "router/certs/crl_files.h"

#include "core/base/base64.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "tls/digest.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define HASH_SIZE 32u
/* Keys of one name that are remembered for a list; of more the signature is verified each time. */
#define ISSUERS_MAX 8u

/* Is it signed by this one? */
struct voucher {
    uint8_t issuer[HASH_SIZE]; /* SHA-256 of the certificate */
    enum revocation_status status;
};

struct entry {
    struct span serial; /* in the list, as is the next */
    struct span whole;
};

struct list {
    struct span der;       /* owned */
    struct entry *entries; /* by serial number; owned */
    uint32_t entry_count;
    struct crl_facts facts;
    const char *path;
    unsigned number; /* in its file, from 1 */
    bool is_stale_told;
    unsigned voucher_count;
    struct voucher vouchers[ISSUERS_MAX];
};

struct crl_files {
    atomic_uint references;
    unsigned count;
    unsigned path_count;
    char **paths;
    struct list *lists;
};

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static struct span read_file(const char *path, struct err *err)
{
    FILE *file = fopen(path, "rbe");
    struct stat status;
    if (!file || fstat(fileno(file), &status) != 0) {
        err_set(err, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        err_set(err, "%s: is not a file", path);
    } else if (status.st_size > (off_t)CRL_FILES_SIZE_MAX) {
        err_set(err, "%s: is too large: more than %u MiB", path, CRL_FILES_SIZE_MAX >> 20);
    } else {
        size_t size = (size_t)status.st_size;
        char *bytes = malloc(size + 1);
        size_t got = bytes ? fread(bytes, 1, size, file) : 0;
        if (bytes && got == size) {
            fclose(file);
            return span_of(bytes, size);
        }
        err_set(err, "%s: %s", path,
                !bytes         ? "no memory"
                : ferror(file) ? strerror(errno)
                               : "changes while it is read");
        free(bytes);
    }
    if (file)
        fclose(file);
    return SPAN_NONE;
}

static int compare_serials(struct span a, struct span b)
{
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size ? memcmp(a.ptr, b.ptr, a.size) : 0;
}

static int compare_entries(const void *a, const void *b)
{
    return compare_serials(((const struct entry *)a)->serial, ((const struct entry *)b)->serial);
}

/* Lists of large authorities have many entries, and each certificate that is watched is looked for: with 30,000 of them
 * and 1,000 certificates a walk for each took 3.8 s, sorted once 4.6 ms. Of two with one serial number, which no
 * authority should write, either counts. */
static bool sort_entries(struct list *list)
{
    struct span rest = list->facts.entries;
    struct entry entry;
    uint32_t count = 0;
    while (crl_next_entry(&rest, &entry.whole, &entry.serial))
        count++;
    list->entries = rest.size ? NULL : calloc((size_t)count + 1, sizeof *list->entries);
    if (!list->entries)
        return false;
    rest = list->facts.entries;
    while (crl_next_entry(&rest, &entry.whole, &entry.serial))
        list->entries[list->entry_count++] = entry;
    qsort(list->entries, list->entry_count, sizeof *list->entries, compare_entries);
    return true;
}

static struct span find_entry(const struct list *list, struct span certificate)
{
    const struct entry wanted = {.serial = revocation_serial(certificate)};
    const struct entry *found =
        bsearch(&wanted, list->entries, list->entry_count, sizeof *list->entries, compare_entries);
    return found ? found->whole : SPAN("");
}

/* Takes the bytes. */
static bool add_list(struct crl_files *files, const char *path, unsigned number, struct span der, struct err *err)
{
    struct list list = {.der = der, .path = path, .number = number};
    struct list *grown = NULL;
    if (der.size > REVOCATION_CRL_MAX)
        err_set(err, "%s: list %u is larger than %u MiB", path, number, REVOCATION_CRL_MAX >> 20);
    else if (!crl_read(der, &list.facts) || !sort_entries(&list))
        err_set(err, "%s: list %u breaks the syntax of CRLs (RFC 5280 s5)", path, number);
    else if (files->count == CRL_FILES_LISTS_MAX)
        err_set(err, "%s: more than %u lists in all files", path, CRL_FILES_LISTS_MAX);
    else if (!(grown = realloc(files->lists, (files->count + 1) * sizeof *grown)))
        err_set(err, "%s: no memory", path);
    if (!grown) {
        free(list.entries);
        span_free(&der);
        return false;
    }
    files->lists = grown;
    files->lists[files->count++] = list;
    return true;
}

/* The base64 between two lines of PEM, in lines of whatever length (RFC 7468 s2). */
static struct span decode(struct span text)
{
    char *packed = malloc(text.size + 1), *bytes = malloc(text.size + 1);
    size_t size = 0, used = 0;
    for (size_t i = 0; packed && i < text.size; i++)
        if (!text.ptr[i] || !strchr(" \t\r\n\v\f", text.ptr[i]))
            packed[size++] = text.ptr[i];
    bool is_good = packed && bytes && base64_decode(span_of(packed, size), bytes, &used);
    free(packed);
    if (is_good)
        return span_of(bytes, used);
    free(bytes);
    return SPAN_NONE;
}

static const char pem_head[] = "-----BEGIN X509 CRL-----", pem_foot[] = "-----END X509 CRL-----";

static bool add_pem(struct crl_files *files, const char *path, struct span text, struct err *err)
{
    for (unsigned number = 1;; number++) {
        const char *start = memmem(text.ptr, text.size, pem_head, sizeof pem_head - 1);
        if (!start)
            return true;
        text = span_skip(text, (size_t)(start - text.ptr) + sizeof pem_head - 1);
        const char *end = memmem(text.ptr, text.size, pem_foot, sizeof pem_foot - 1);
        struct span der = end ? decode(span_of(text.ptr, (size_t)(end - text.ptr))) : SPAN_NONE;
        if (!der.ptr) {
            err_set(err, "%s: list %u is broken PEM%s", path, number, end ? "" : ": it has no end");
            return false;
        }
        if (!add_list(files, path, number, der, err))
            return false;
        text = span_skip(text, (size_t)(end - text.ptr) + sizeof pem_foot - 1);
    }
}

static bool add_file(struct crl_files *files, const char *path, struct err *err)
{
    struct span bytes = read_file(path, err);
    if (!bytes.ptr)
        return false;
    if (bytes.size > 0 && bytes.ptr[0] == 0x30) /* SEQUENCE: DER, and no letter of PEM */
        return add_list(files, path, 1, bytes, err);
    unsigned before = files->count;
    bool is_good = add_pem(files, path, bytes, err);
    span_free(&bytes);
    if (is_good && files->count == before)
        err_set(err, "%s: has no list of revoked certificates (CRL), neither in PEM nor in DER", path);
    return is_good && files->count > before;
}

/* When the router is asked about it, and once each. */
static void tell_stale(struct list *list)
{
    if (list->is_stale_told)
        return;
    list->is_stale_told = true;
    char until[CLOCK_TEXT_SIZE];
    clock_text(list->facts.next_update, until);
    log_event(LOG_WARN, "certs.crl_stale", "file=%s list=%u issuer=%s until=%s", log_quoted(span_str(list->path)).text,
              list->number, log_quoted(list->facts.issuer_text).text, until);
}

struct crl_files *crl_files_read(const char *const *paths, unsigned count, int64_t now, struct err *err)
{
    struct crl_files *files = calloc(1, sizeof *files);
    char **copies = calloc(count + 1, sizeof *copies);
    if (!files || !copies) {
        err_set(err, "no memory");
        free(files);
        free(copies);
        return NULL;
    }
    atomic_init(&files->references, 1);
    files->paths = copies;
    for (unsigned i = 0; i < count; i++) {
        copies[files->path_count] = strdup(paths[i]);
        if (!copies[files->path_count])
            err_set(err, "no memory");
        if (!copies[files->path_count++] || !add_file(files, copies[i], err)) {
            crl_files_unref(files);
            return NULL;
        }
    }
    for (unsigned i = 0; i < files->count; i++)
        if (files->lists[i].facts.next_update <= now)
            tell_stale(&files->lists[i]);
    return files;
}

struct crl_files *crl_files_ref(struct crl_files *files)
{
    atomic_fetch_add_explicit(&files->references, 1, memory_order_relaxed);
    return files;
}

void crl_files_unref(struct crl_files *files)
{
    /* Release: what this holder did happens before the free; acquire: the last one sees it all. */
    if (!files || atomic_fetch_sub_explicit(&files->references, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < files->count; i++) {
        free(files->lists[i].entries);
        span_free(&files->lists[i].der);
    }
    for (unsigned i = 0; i < files->path_count; i++)
        free(files->paths[i]);
    free(files->lists);
    free(files->paths);
    free(files);
}

unsigned crl_files_count(const struct crl_files *files)
{
    return files->count;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static enum revocation_status vouch(struct list *list, struct span issuer, const uint8_t hash[HASH_SIZE])
{
    for (unsigned i = 0; i < list->voucher_count; i++)
        if (memcmp(list->vouchers[i].issuer, hash, HASH_SIZE) == 0)
            return list->vouchers[i].status;
    enum revocation_status status = crl_vouch(list->der, issuer);
    if (list->voucher_count == ISSUERS_MAX)
        return status;
    struct voucher *voucher = &list->vouchers[list->voucher_count++];
    memcpy(voucher->issuer, hash, HASH_SIZE);
    voucher->status = status;
    if (status != REVOCATION_GOOD)
        log_event(LOG_WARN, "certs.crl_unusable", "file=%s list=%u issuer=%s reason=\"%s\"",
                  log_quoted(span_str(list->path)).text, list->number, log_quoted(list->facts.issuer_text).text,
                  revocation_text(status));
    return status;
}

static bool is_better(const struct revocation_answer *one, const struct revocation_answer *than)
{
    if (one->status == REVOCATION_REVOKED || than->status == REVOCATION_REVOKED)
        return than->status != REVOCATION_REVOKED;
    if (than->status == REVOCATION_GOOD)
        return one->status == REVOCATION_GOOD && one->next_update > than->next_update;
    return true;
}

struct revocation_answer crl_files_judge(struct crl_files *files, struct span certificate, struct span issuer,
                                         int64_t now, const char **path)
{
    struct revocation_answer best = {.status = REVOCATION_SILENCE};
    uint8_t hash[HASH_SIZE];
    *path = NULL;
    if (files->count == 0)
        return best;
    struct span name = revocation_issuer(certificate);
    digest_hash(DIGEST_SHA256, issuer, hash);
    for (unsigned i = 0; i < files->count; i++) {
        struct list *list = &files->lists[i];
        if (!span_equal(list->facts.issuer, name))
            continue;
        struct revocation_answer answer = {.status = vouch(list, issuer, hash)};
        if (answer.status == REVOCATION_GOOD)
            answer = crl_look_up(list->der, find_entry(list, certificate), certificate, issuer, now);
        if (answer.status == REVOCATION_STALE)
            tell_stale(list);
        if (*path && !is_better(&answer, &best))
            continue;
        best = answer;
        *path = list->path;
    }
    return best;
}
