/* SPDX-License-Identifier: MIT */
/*
 * A record is an 8-byte checksum, then the value. The checksum is over key and value, so a flipped bit, or a value
 * that turned up under another key, is reported instead of served (RELIABILITY 5).
 *
 * A new file is made under another name, made durable with its schema, and renamed: a power cut leaves a whole store
 * or none, never a file that no later start would recognise.
 */
#include "router/store/store_file_priv.h"

#include "core/base/check.h"
#include "core/base/hash.h"
#include "core/base/log.h"
#include "router/store/store_folder_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA        "sluice-store 1"
#define SCHEMA_PREFIX "sluice-store "

/* In pages of the machine, which are LMDB's. */
#define PAGES_FIRST 64u /* with 4 KiB pages a new store fits a disk of 1 MiB */
#define GROWTH_MIN  16u
#define GROWTH_MAX  16384u
/* Allocated behind the map and given to it only for deletions: LMDB changes by copying, so it needs a few free pages
 * even to remove a record, and an operator must be able to remove accounts on a full disk. A deletion dirties about 8
 * pages and frees as many. */
#define PAGES_RESERVE 16u
#define CHECKSUM_SIZE 8u
#define DATABASES_MAX (STORE_BUCKET_COUNT + 1u)

static const char *const bucket_names[] = {[STORE_ACCOUNTS] = "accounts"};
_Static_assert(sizeof bucket_names / sizeof bucket_names[0] == STORE_BUCKET_COUNT, "each bucket has a name");

struct store_file {
    MDB_env *env;
    MDB_txn *reader; /* kept between reads, renewed for each */
    MDB_txn *txn;    /* the one that is open: reader, or a writer */
    MDB_dbi buckets[STORE_BUCKET_COUNT];
    size_t size;      /* of the map */
    size_t allocated; /* of the file: PAGES_RESERVE pages more than the map, unless a full disk made us use that */
    int lock_fd;
    int rc;       /* of the last failure */
    bool is_lost; /* the map could not be put back after growing: nothing can be read any more */
    char record[CHECKSUM_SIZE + STORE_VALUE_MAX];
};

static size_t pages(size_t count)
{
    return count * (size_t)sysconf(_SC_PAGESIZE);
}

/* Fixed keys: this is a checksum of our own disk, not a table that a peer could flood. */
static uint64_t record_checksum(struct span key, struct span value)
{
    struct hash_key outer = {0x736c756963652d73u, hash_siphash13(&(struct hash_key){0x746f7265u, 1}, key)};
    return hash_siphash13(&outer, value);
}

static MDB_val val_of(struct span bytes)
{
    return (MDB_val){bytes.size, (void *)(uintptr_t)bytes.ptr};
}

static struct span span_of_val(const MDB_val *val)
{
    return span_of(val->mv_data, val->mv_size);
}

static enum file_status classify(struct store_file *file, int rc)
{
    if (rc == 0)
        return FILE_OK;
    file->rc = rc;
    switch (rc) {
    case MDB_MAP_FULL:
        return FILE_NEEDS_ROOM;
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
        return FILE_FULL;
    default:
        return FILE_BROKEN;
    }
}

/*
 * Opening.
 */

static bool env_open(MDB_env **env, const char *name, size_t size, struct err *err)
{
    int rc = mdb_env_create(env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(*env, DATABASES_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(*env, size);
    if (rc == 0)
        rc = mdb_env_open(*env, name, MDB_NOSUBDIR | MDB_NOTLS, 0600);
    if (rc == 0)
        return true;
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
        err_set(err, "%s is not a store of Sluice (%s): give the store a folder of its own", name, mdb_strerror(rc));
    else
        err_set(err, "cannot open the store %s: %s", name, mdb_strerror(rc));
    mdb_env_close(*env);
    *env = NULL;
    return false;
}

static int schema_write(MDB_env *env)
{
    MDB_txn *txn = NULL;
    MDB_dbi meta = 0;
    MDB_val key = val_of(SPAN("schema"));
    MDB_val value = val_of(SPAN(SCHEMA));
    int rc = mdb_txn_begin(env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &meta);
    if (rc == 0)
        rc = mdb_put(txn, meta, &key, &value, 0);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static bool file_make(const char *path, const char *name, struct err *err)
{
    char new_name[PATH_MAX];
    char new_lock[PATH_MAX];
    MDB_env *env = NULL;
    if (!store_folder_name(new_name, path, "store.mdb.new", err) ||
        !store_folder_name(new_lock, path, "store.mdb.new-lock", err))
        return false;
    (void)unlink(new_name); /* of a start that was cut short */
    if (!env_open(&env, new_name, pages(PAGES_FIRST), err))
        return false;
    int rc = schema_write(env);
    mdb_env_close(env);
    (void)unlink(new_lock);
    if (rc == 0 && rename(new_name, name) != 0)
        rc = errno;
    if (rc == 0)
        return store_folder_sync(path, err);
    err_set(err, "cannot make a new store in %s: %s", path, mdb_strerror(rc));
    (void)unlink(new_name);
    return false;
}

/* Refuses what LMDB would take for a new file and overwrite. */
static bool file_look(const char *name, size_t *size, bool *is_there, struct err *err)
{
    struct stat status;
    *is_there = stat(name, &status) == 0;
    if (!*is_there) {
        if (errno == ENOENT)
            return true;
        err_set(err, "cannot look at the store %s: %s", name, strerror(errno));
        return false;
    }
    if (!S_ISREG(status.st_mode) || status.st_size < 4096) {
        err_set(err, "%s is not a store of Sluice: give the store a folder of its own", name);
        return false;
    }
    *size = (size_t)status.st_size;
    return true;
}

static bool schema_check(MDB_txn *txn, const char *name, struct err *err)
{
    MDB_dbi meta = 0;
    MDB_val key = val_of(SPAN("schema"));
    MDB_val value;
    int rc = mdb_dbi_open(txn, "meta", 0, &meta);
    if (rc == 0)
        rc = mdb_get(txn, meta, &key, &value);
    if (rc == 0 && span_is(span_of_val(&value), SCHEMA))
        return true;
    size_t prefix_size = sizeof SCHEMA_PREFIX - 1;
    if (rc == 0 && value.mv_size > prefix_size && memcmp(value.mv_data, SCHEMA_PREFIX, prefix_size) == 0)
        err_set(err, "the store %s has schema \"%.*s\", this router knows \"%s\": use the router that wrote it", name,
                SPAN_ARG(span_of_val(&value)), SCHEMA);
    else
        err_set(err, "%s is an LMDB file of another program: give the store a folder of its own", name);
    return false;
}

/* Schema first, so that a foreign file is left untouched; then the buckets, made where this version added one. */
static bool databases_open(struct store_file *file, const char *name, struct err *err)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(file->env, NULL, 0, &txn);
    if (rc != 0) {
        err_set(err, "cannot read the store %s: %s", name, mdb_strerror(rc));
        return false;
    }
    if (!schema_check(txn, name, err)) {
        mdb_txn_abort(txn);
        return false;
    }
    for (unsigned i = 0; rc == 0 && i < STORE_BUCKET_COUNT; i++)
        rc = mdb_dbi_open(txn, bucket_names[i], MDB_CREATE, &file->buckets[i]);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    if (rc != 0)
        err_set(err, "cannot prepare the store %s: %s", name, mdb_strerror(rc));
    return rc == 0;
}

static bool file_open(struct store_file *file, const char *path, struct err *err)
{
    char name[PATH_MAX];
    size_t size = 0;
    bool is_there = false;
    if (!store_folder_make(path, err))
        return false;
    file->lock_fd = store_folder_lock(path, err);
    if (file->lock_fd < 0 || !store_folder_name(name, path, "store.mdb", err) ||
        !file_look(name, &size, &is_there, err))
        return false;
    if (!is_there && !(file_make(path, name, err) && file_look(name, &size, &is_there, err)))
        return false;
    /* A file smaller than that was made just now, or never came to be allocated. */
    file->allocated = size > pages(PAGES_FIRST + PAGES_RESERVE) ? size : pages(PAGES_FIRST + PAGES_RESERVE);
    if (!env_open(&file->env, name, file->allocated - pages(PAGES_RESERVE), err))
        return false;
    mdb_filehandle_t fd = -1;
    MDB_envinfo info;
    int rc = mdb_env_get_fd(file->env, &fd);
    if (rc == 0 && size < file->allocated)
        rc = posix_fallocate(fd, 0, (off_t)file->allocated);
    if (rc == 0)
        rc = mdb_env_info(file->env, &info);
    if (rc != 0) {
        err_set(err, "no room for the store %s: %s", name, strerror(rc));
        return false;
    }
    /* LMDB makes the map larger if pages of the reserve are in use. */
    file->size = info.me_mapsize;
    /* Slots of readers that were killed would keep their pages from being used again. */
    int dead = 0;
    (void)mdb_reader_check(file->env, &dead);
    return databases_open(file, name, err);
}

struct store_file *store_file_open(const char *path, struct err *err)
{
    struct store_file *file = calloc(1, sizeof *file);
    if (file == NULL) {
        err_set(err, "no memory for the store %s", path);
        return NULL;
    }
    file->lock_fd = -1;
    if (file_open(file, path, err))
        return file;
    store_file_close(file);
    return NULL;
}

void store_file_close(struct store_file *file)
{
    if (file->reader != NULL)
        mdb_txn_abort(file->reader);
    if (file->env != NULL)
        mdb_env_close(file->env);
    /* Last: the next router may come in from here on. */
    if (file->lock_fd >= 0)
        close(file->lock_fd);
    explicit_bzero(file->record, sizeof file->record);
    free(file);
}

/*
 * Transactions.
 */

enum file_status store_file_begin_read(struct store_file *file)
{
    SL_CHECK(file->txn == NULL);
    if (file->is_lost)
        return FILE_BROKEN;
    int rc =
        file->reader == NULL ? mdb_txn_begin(file->env, NULL, MDB_RDONLY, &file->reader) : mdb_txn_renew(file->reader);
    if (rc == 0)
        file->txn = file->reader;
    return classify(file, rc);
}

void store_file_end_read(struct store_file *file)
{
    SL_CHECK(file->txn != NULL && file->txn == file->reader);
    mdb_txn_reset(file->reader);
    file->txn = NULL;
}

static bool reserve_is_used(const struct store_file *file)
{
    return file->size + pages(PAGES_RESERVE) > file->allocated;
}

/* Whether the file itself has room to spare: pages never used, and freed ones, each record of LMDB's database 0 being a
 * list that begins with its length. LMDB shows that one to readers only. */
static enum file_status room_look(struct store_file *file, bool *has_room)
{
    MDB_envinfo info;
    MDB_cursor *cursor = NULL;
    MDB_val key;
    MDB_val list;
    enum file_status status = store_file_begin_read(file);
    if (status != FILE_OK)
        return status;
    int rc = mdb_env_info(file->env, &info);
    if (rc == 0)
        rc = mdb_cursor_open(file->txn, 0, &cursor);
    size_t count = rc == 0 ? file->size / pages(1) - (info.me_last_pgno + 1) : 0;
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &list, MDB_NEXT)) == 0) {
        size_t length = 0;
        memcpy(&length, list.mv_data, sizeof length);
        count += length;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    store_file_end_read(file);
    *has_room = count >= 2 * PAGES_RESERVE;
    return classify(file, rc == MDB_NOTFOUND ? 0 : rc);
}

/* While the reserve is in use, all but deletions must bring room: from the disk, or what deletions made in the file. */
static enum file_status reserve_guard(struct store_file *file)
{
    bool has_room = false;
    enum file_status status = store_file_grow(file, false);
    if (status != FILE_FULL)
        return status;
    status = room_look(file, &has_room);
    return status != FILE_OK || has_room ? status : classify(file, ENOSPC);
}

enum file_status store_file_begin_write(struct store_file *file, bool is_deletion)
{
    SL_CHECK(file->txn == NULL);
    if (file->is_lost)
        return FILE_BROKEN;
    if (!is_deletion && reserve_is_used(file)) {
        enum file_status status = reserve_guard(file);
        if (status != FILE_OK)
            return status;
    }
    return classify(file, mdb_txn_begin(file->env, NULL, 0, &file->txn));
}

enum file_status store_file_commit(struct store_file *file)
{
    SL_CHECK(file->txn != NULL && file->txn != file->reader);
    MDB_txn *txn = file->txn;
    file->txn = NULL;
    return classify(file, mdb_txn_commit(txn));
}

void store_file_abort(struct store_file *file)
{
    SL_CHECK(file->txn != NULL && file->txn != file->reader);
    mdb_txn_abort(file->txn);
    file->txn = NULL;
}

/* Allocates at least a little more of the disk behind the file. */
static int file_extend(struct store_file *file)
{
    mdb_filehandle_t fd = -1;
    size_t count = file->size / pages(1) / 2 < GROWTH_MAX ? file->size / pages(1) / 2 : GROWTH_MAX;
    int rc = mdb_env_get_fd(file->env, &fd);
    if (rc != 0)
        return rc;
    /* The last room of a disk is used in smaller and smaller steps. */
    for (;;) {
        rc = posix_fallocate(fd, (off_t)file->allocated, (off_t)pages(count));
        if (rc == 0)
            file->allocated += pages(count);
        if ((rc != ENOSPC && rc != EDQUOT) || count / 2 < GROWTH_MIN)
            return rc;
        count /= 2;
    }
}

enum file_status store_file_grow(struct store_file *file, bool is_deletion)
{
    SL_CHECK(file->txn == NULL);
    int rc = file_extend(file);
    size_t size = file->allocated - pages(PAGES_RESERVE);
    if ((rc == ENOSPC || rc == EDQUOT) && is_deletion && !reserve_is_used(file)) {
        rc = 0;
        size = file->allocated;
    }
    if (rc != 0)
        return classify(file, rc);
    if (size <= file->size)
        return FILE_OK; /* the reserve is whole again, or nearer to it */
    /* No transaction may know the old map, not even one that is only kept for later. */
    if (file->reader != NULL)
        mdb_txn_abort(file->reader);
    file->reader = NULL;
    rc = mdb_env_set_mapsize(file->env, size);
    if (rc != 0) {
        /* LMDB has let go of the old map by now and says so to nobody: touching it would end the process. */
        file->is_lost = true;
        file->rc = rc;
        return FILE_BROKEN;
    }
    file->size = size;
    return FILE_OK;
}

uint64_t store_file_size(const struct store_file *file)
{
    return file->allocated;
}

const char *store_file_reason(const struct store_file *file)
{
    return mdb_strerror(file->rc);
}

/*
 * Requests.
 */

/* A damaged record is answered STORE_FAILED with its key, so that a listing can go on behind it. */
static void record_answer(struct store_request *request, const MDB_val *key, const MDB_val *record)
{
    struct span name = span_of_val(key);
    struct span bytes = span_of_val(record);
    uint64_t checksum = 0;
    if (bytes.size >= CHECKSUM_SIZE) {
        memcpy(&checksum, bytes.ptr, CHECKSUM_SIZE);
        struct span value = span_skip(bytes, CHECKSUM_SIZE);
        if (value.size <= STORE_VALUE_MAX && checksum == record_checksum(name, value)) {
            store_request_answer(request, name, value);
            return;
        }
    }
    log_event(LOG_ERROR, "store.damaged", "bucket=%s key=%s", bucket_names[request->bucket], log_quoted(name).text);
    store_request_answer(request, name, SPAN_NONE);
    request->status = STORE_FAILED;
}

static void read_end(struct store_file *file, struct store_request *request, int rc, const MDB_val *key,
                     const MDB_val *record)
{
    if (rc == 0) {
        record_answer(request, key, record);
        return;
    }
    request->status = rc == MDB_NOTFOUND ? STORE_MISSING : STORE_FAILED;
    if (rc != MDB_NOTFOUND) {
        file->rc = rc;
        log_event(LOG_ERROR, "store.read", "bucket=%s error=\"%s\"", bucket_names[request->bucket], mdb_strerror(rc));
    }
}

static void carry_out_get(struct store_file *file, struct store_request *request)
{
    MDB_val key = val_of(store_request_key(request));
    MDB_val record = {0};
    int rc = mdb_get(file->txn, file->buckets[request->bucket], &key, &record);
    read_end(file, request, rc, &key, &record);
}

static void carry_out_list(struct store_file *file, struct store_request *request)
{
    MDB_cursor *cursor = NULL;
    struct span after = store_request_key(request);
    MDB_val key = val_of(after);
    MDB_val record = {0};
    int rc = mdb_cursor_open(file->txn, file->buckets[request->bucket], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &record, after.size == 0 ? MDB_FIRST : MDB_SET_RANGE);
        if (rc == 0 && span_equal(span_of_val(&key), after))
            rc = mdb_cursor_get(cursor, &key, &record, MDB_NEXT);
        mdb_cursor_close(cursor);
    }
    read_end(file, request, rc, &key, &record);
}

static enum file_status record_put(struct store_file *file, struct store_request *request, unsigned flags)
{
    MDB_dbi bucket = file->buckets[request->bucket];
    struct span value = store_request_value(request);
    uint64_t checksum = record_checksum(store_request_key(request), value);
    memcpy(file->record, &checksum, CHECKSUM_SIZE);
    if (value.size > 0)
        memcpy(file->record + CHECKSUM_SIZE, value.ptr, value.size);
    MDB_val key = val_of(store_request_key(request));
    MDB_val record = {CHECKSUM_SIZE + value.size, file->record};
    int rc = mdb_put(file->txn, bucket, &key, &record, flags);
    request->status = rc == MDB_KEYEXIST ? STORE_EXISTS : STORE_DONE;
    return classify(file, rc == MDB_KEYEXIST ? 0 : rc);
}

static enum file_status carry_out_update(struct store_file *file, struct store_request *request)
{
    MDB_val key = val_of(store_request_key(request));
    MDB_val record = {0};
    int rc = mdb_get(file->txn, file->buckets[request->bucket], &key, &record);
    if (rc == 0)
        return record_put(file, request, 0);
    request->status = STORE_MISSING;
    return classify(file, rc == MDB_NOTFOUND ? 0 : rc);
}

static enum file_status carry_out_delete(struct store_file *file, struct store_request *request)
{
    MDB_val key = val_of(store_request_key(request));
    int rc = mdb_del(file->txn, file->buckets[request->bucket], &key, NULL);
    request->status = rc == MDB_NOTFOUND ? STORE_MISSING : STORE_DONE;
    return classify(file, rc == MDB_NOTFOUND ? 0 : rc);
}

enum file_status store_file_carry_out(struct store_file *file, struct store_request *request)
{
    SL_CHECK(file->txn != NULL);
    SL_CHECK(file->txn != file->reader || !store_request_is_write(request));
    switch (request->op) {
    case STORE_GET:
        carry_out_get(file, request);
        return FILE_OK;
    case STORE_LIST:
        carry_out_list(file, request);
        return FILE_OK;
    case STORE_CREATE:
        return record_put(file, request, MDB_NOOVERWRITE);
    case STORE_UPDATE:
        return carry_out_update(file, request);
    case STORE_PUT:
        return record_put(file, request, 0);
    case STORE_DELETE:
        return carry_out_delete(file, request);
    }
    return FILE_OK;
}
