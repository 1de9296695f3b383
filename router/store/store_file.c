/* SPDX-License-Identifier: MIT */
/*
 * The folder holds:
 *   store.mdb       one LMDB file: the sub-database "meta" (key "schema") and one for each bucket
 *   store.mdb-lock  LMDB's own table of readers: mdb_copy and mdb_dump may read a live store
 *   router.lock     flock()ed while a router uses the folder, since LMDB itself would let two of them share it
 *
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

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA        "sluice-store 1"
#define SCHEMA_PREFIX "sluice-store "

#define SIZE_FIRST    ((size_t)256 << 10) /* a new store fits a disk of 1 MiB */
#define GROWTH_MIN    ((size_t)64 << 10)
#define GROWTH_MAX    ((size_t)64 << 20)
#define CHECKSUM_SIZE 8u
#define DATABASES_MAX (STORE_BUCKET_COUNT + 1u)

static const char *const bucket_names[] = {[STORE_ACCOUNTS] = "accounts"};
_Static_assert(sizeof bucket_names / sizeof bucket_names[0] == STORE_BUCKET_COUNT, "each bucket has a name");

struct store_file {
    MDB_env *env;
    MDB_txn *reader; /* kept between reads, renewed for each */
    MDB_txn *txn;    /* the one that is open: reader, or a writer */
    MDB_dbi buckets[STORE_BUCKET_COUNT];
    size_t size; /* of the map, and allocated in the file */
    int lock_fd;
    int rc;       /* of the last failure */
    bool is_lost; /* the map could not be put back after growing: nothing can be read any more */
    char record[CHECKSUM_SIZE + STORE_VALUE_MAX];
};

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

static bool folder_make(const char *path, struct err *err)
{
    struct stat status;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        err_set(err, "cannot make the folder of the store, %s: %s", path, strerror(errno));
        return false;
    }
    if (stat(path, &status) != 0) {
        err_set(err, "cannot look at the folder of the store, %s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISDIR(status.st_mode)) {
        err_set(err, "the store needs a folder, but %s is not one", path);
        return false;
    }
    return true;
}

static bool name_join(char out[PATH_MAX], const char *path, const char *name, struct err *err)
{
    int size = snprintf(out, PATH_MAX, "%s/%s", path, name);
    if (size > 0 && size < PATH_MAX)
        return true;
    err_set(err, "the path of the store is too long: %s", path);
    return false;
}

static void lock_explain(int fd, const char *path, struct err *err)
{
    char pid[24] = "";
    ssize_t size = pread(fd, pid, sizeof pid - 1, 0);
    pid[size > 0 ? size : 0] = '\0';
    pid[strcspn(pid, "\n")] = '\0';
    err_set(err,
            "the store %s is in use by another router (process %s): stop it first, or give this one another folder",
            path, pid[0] != '\0' ? pid : "unknown");
}

static int lock_take(const char *path, struct err *err)
{
    char name[PATH_MAX];
    if (!name_join(name, path, "router.lock", err))
        return -1;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        err_set(err, "cannot write in the folder of the store, %s: %s: it must belong to the user the router runs as",
                path, strerror(errno));
        return -1;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            lock_explain(fd, path, err);
        else
            err_set(err, "cannot lock %s: %s", name, strerror(errno));
        close(fd);
        return -1;
    }
    /* Only for the message above; on a full disk the lock holds without it. */
    char pid[24];
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)size, 0) != size)
        log_event(LOG_WARN, "store.lock", "pid=unwritten error=\"%s\"", strerror(errno));
    return fd;
}

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

static bool folder_sync(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (!is_synced)
        err_set(err, "cannot make the folder of the store durable, %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return is_synced;
}

static bool file_make(const char *path, const char *name, struct err *err)
{
    char new_name[PATH_MAX];
    char new_lock[PATH_MAX];
    MDB_env *env = NULL;
    if (!name_join(new_name, path, "store.mdb.new", err) || !name_join(new_lock, path, "store.mdb.new-lock", err))
        return false;
    (void)unlink(new_name); /* of a start that was cut short */
    if (!env_open(&env, new_name, SIZE_FIRST, err))
        return false;
    int rc = schema_write(env);
    mdb_env_close(env);
    (void)unlink(new_lock);
    if (rc == 0 && rename(new_name, name) != 0)
        rc = errno;
    if (rc == 0)
        return folder_sync(path, err);
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
    if (!folder_make(path, err))
        return false;
    file->lock_fd = lock_take(path, err);
    if (file->lock_fd < 0 || !name_join(name, path, "store.mdb", err) || !file_look(name, &size, &is_there, err))
        return false;
    if (!is_there && !(file_make(path, name, err) && file_look(name, &size, &is_there, err)))
        return false;
    /* A file smaller than SIZE_FIRST was made just now, or never came to be allocated. */
    file->size = size > SIZE_FIRST ? size : SIZE_FIRST;
    if (!env_open(&file->env, name, file->size, err))
        return false;
    mdb_filehandle_t fd = -1;
    int rc = mdb_env_get_fd(file->env, &fd);
    if (rc == 0 && size < file->size)
        rc = posix_fallocate(fd, 0, (off_t)file->size);
    if (rc != 0) {
        err_set(err, "no room for the store %s: %s", name, strerror(rc));
        return false;
    }
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

enum file_status store_file_begin_write(struct store_file *file)
{
    SL_CHECK(file->txn == NULL);
    if (file->is_lost)
        return FILE_BROKEN;
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

enum file_status store_file_grow(struct store_file *file)
{
    SL_CHECK(file->txn == NULL);
    mdb_filehandle_t fd = -1;
    size_t step = file->size / 2 < GROWTH_MAX ? file->size / 2 : GROWTH_MAX;
    int rc = mdb_env_get_fd(file->env, &fd);
    if (rc != 0)
        return classify(file, rc);
    /* The last room of a disk is used in smaller and smaller steps. */
    for (;;) {
        rc = posix_fallocate(fd, (off_t)file->size, (off_t)step);
        if (rc != ENOSPC && rc != EDQUOT)
            break;
        if (step / 2 < GROWTH_MIN)
            break;
        step = step / 2 & ~(size_t)4095;
    }
    if (rc != 0)
        return classify(file, rc);
    /* No transaction may know the old map, not even one that is only kept for later. */
    if (file->reader != NULL)
        mdb_txn_abort(file->reader);
    file->reader = NULL;
    rc = mdb_env_set_mapsize(file->env, file->size + step);
    if (rc != 0) {
        /* LMDB has let go of the old map by now and says so to nobody: touching it would end the process. */
        file->is_lost = true;
        file->rc = rc;
        return FILE_BROKEN;
    }
    file->size += step;
    return FILE_OK;
}

uint64_t store_file_size(const struct store_file *file)
{
    return file->size;
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
