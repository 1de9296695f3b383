/* SPDX-License-Identifier: MIT */
/*
 * The LMDB store and its disk: reopening, folders it must refuse, full disks, I/O errors, damage, and how many commits
 * it takes. Failures come from the linker's --wrap around the calls that meet the disk.
 */
#include "core/base/check.h"
#include "router/store/store.h"
#include "tests/unit/router/dice.h"
#include "tests/unit/router/store_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* 0: the real call. Else the next commits (growths, maps) fail with this error. */
static _Atomic int commit_error, growth_error, map_error;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __real_posix_fallocate64(int fd, off_t offset, off_t size);
int __wrap_posix_fallocate64(int fd, off_t offset, off_t size);
int __real_mdb_env_set_mapsize(MDB_env *env, size_t size);
int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t size);

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    int error = atomic_load(&commit_error);
    if (error == 0)
        return __real_mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return error;
}

int __wrap_posix_fallocate64(int fd, off_t offset, off_t size)
{
    int error = atomic_load(&growth_error);
    return error != 0 ? error : __real_posix_fallocate64(fd, offset, size);
}

int __wrap_mdb_env_set_mapsize(MDB_env *env, size_t size)
{
    int error = atomic_load(&map_error);
    return error != 0 ? error : __real_mdb_env_set_mapsize(env, size);
}

/* LMDB's own call: a program's symbol goes before the C library's. It is counted, not made: a thousand syncs of a busy
 * disk take ten seconds, and nothing here pulls the plug. */
static _Atomic int sync_error;
static _Atomic unsigned sync_count;

int fdatasync(int fd)
{
    (void)fd;
    int error = atomic_load(&sync_error);
    atomic_fetch_add(&sync_count, 1);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

struct fixture {
    char path[256];
    struct store *store;
    struct rig rig;
};

static void fixture_start(struct fixture *f)
{
    struct err err = {""};
    f->store = store_open(f->path, 1, &err);
    assert_string_equal(err.text, "");
    assert_non_null(f->store);
    rig_init(&f->rig, f->store, 0);
}

static void fixture_stop(struct fixture *f)
{
    rig_fini(&f->rig);
    store_close(f->store);
}

static void fixture_open(struct fixture *f)
{
    rig_folder_make(f->path);
    fixture_start(f);
}

static void fixture_close(struct fixture *f)
{
    fixture_stop(f);
    rig_folder_remove(f->path);
}

static void file_name(const struct fixture *f, const char *name, char out[512])
{
    snprintf(out, 512, "%s/%s", f->path, name);
}

static void file_write(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void refuses(const char *path, const char *part)
{
    struct err err = {""};
    assert_null(store_open(path, 1, &err));
    if (strstr(err.text, part) == NULL)
        printf("\"%s\" does not say \"%s\"\n", err.text, part);
    assert_non_null(strstr(err.text, part));
}

static void open__again__everything_is_there(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (unsigned round = 0; round < 5; round++) {
        char key[16];
        for (unsigned i = 0; i < round * 100; i++) {
            struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "k%u", i));
            const struct rig_reply *reply = rig_ask(&f.rig, STORE_GET, name, SPAN_NONE);
            assert_int_equal(reply->status, STORE_FOUND);
            assert_true(span_equal(reply->value, name));
        }
        rig_forget(&f.rig);
        for (unsigned i = round * 100; i < round * 100 + 100; i++) {
            struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "k%u", i));
            assert_true(store_post(f.rig.client, STORE_CREATE, STORE_ACCOUNTS, i, name, name));
        }
        /* Neither flushed nor polled: closing carries it out. */
        fixture_stop(&f);
        fixture_start(&f);
    }
    fixture_close(&f);
}

static void open__new_folder__for_the_owner_only(void **state)
{
    (void)state;
    struct fixture f;
    struct stat status;
    char base[256];
    rig_folder_make(base);
    snprintf(f.path, sizeof f.path, "%.240s/new", base);
    mode_t old = umask(0);
    fixture_start(&f);
    umask(old);
    assert_int_equal(stat(f.path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    static const char *const names[] = {"store.mdb", "store.mdb-lock", "router.lock"};
    for (unsigned i = 0; i < 3; i++) {
        char name[512];
        file_name(&f, names[i], name);
        assert_int_equal(stat(name, &status), 0);
        assert_int_equal(status.st_mode & 07777, 0600);
    }
    fixture_close(&f);
    rig_folder_remove(base);
}

static void open__folder_in_use__refused_with_the_process(void **state)
{
    (void)state;
    struct fixture f;
    char pid[64];
    fixture_open(&f);
    snprintf(pid, sizeof pid, "in use by another router (process %ld)", (long)getpid());
    refuses(f.path, pid);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("v")), STORE_DONE);
    fixture_stop(&f);
    fixture_start(&f); /* free again */
    fixture_close(&f);
}

static void open__no_such_place__refused_in_words(void **state)
{
    (void)state;
    char path[256], name[512];
    refuses("/proc/sluice-store", "cannot make the folder");
    refuses("/nowhere/at/all", "cannot make the folder");
    refuses("/proc/self", "cannot write in the folder");
    rig_folder_make(path);
    snprintf(name, sizeof name, "%s/file", path);
    file_write(name, "x", 1);
    refuses(name, "is not one");
    rig_folder_remove(path);
}

static void open__foreign_file__refused_and_untouched(void **state)
{
    (void)state;
    struct fixture f;
    char name[512], text[8192], again[8192];
    memset(text, 'x', sizeof text);
    for (size_t size = 0; size <= sizeof text; size += 4096) {
        rig_folder_make(f.path);
        file_name(&f, "store.mdb", name);
        file_write(name, text, size);
        refuses(f.path, "is not a store of Sluice");
        FILE *file = fopen(name, "r");
        assert_non_null(file);
        assert_int_equal(fread(again, 1, sizeof again, file), size);
        fclose(file);
        assert_memory_equal(text, again, size);
        rig_folder_remove(f.path);
    }
}

/* Writes one record into a file of LMDB, as another program or another version would. */
static void lmdb_put(const char *name, const char *database, const char *key, const char *value)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    MDB_val k = {strlen(key), (void *)(uintptr_t)key}, v = {strlen(value), (void *)(uintptr_t)value};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, name, MDB_NOSUBDIR, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, MDB_CREATE, &dbi), 0);
    assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void open__lmdb_file_of_another_program__refused(void **state)
{
    (void)state;
    struct fixture f;
    char name[512];
    rig_folder_make(f.path);
    file_name(&f, "store.mdb", name);
    lmdb_put(name, "other", "schema", "other 7");
    refuses(f.path, "another program");
    lmdb_put(name, "meta", "schema", "other 7");
    refuses(f.path, "another program");
    rig_folder_remove(f.path);
}

static void open__newer_schema__refused(void **state)
{
    (void)state;
    struct fixture f;
    char name[512];
    fixture_open(&f);
    fixture_stop(&f);
    file_name(&f, "store.mdb", name);
    lmdb_put(name, "meta", "schema", "sluice-store 2");
    refuses(f.path, "schema \"sluice-store 2\"");
    lmdb_put(name, "meta", "schema", "sluice-store 1");
    fixture_start(&f);
    fixture_close(&f);
}

static void post__many_clients__few_commits(void **state)
{
    (void)state;
    enum { CLIENTS = 8, EACH = 500 };
    struct fixture f;
    struct rig rigs[CLIENTS];
    struct err err = {""};
    struct store_stats stats;
    rig_folder_make(f.path);
    f.store = store_open(f.path, CLIENTS, &err);
    assert_non_null(f.store);
    for (unsigned c = 0; c < CLIENTS; c++) {
        rig_init(&rigs[c], f.store, c);
        for (unsigned i = 0; i < EACH; i++) {
            char key[32];
            struct span name = span_of(key, (size_t)snprintf(key, sizeof key, "c%u-%u", c, i));
            assert_true(store_post(rigs[c].client, STORE_CREATE, STORE_ACCOUNTS, i, name, name));
        }
    }
    for (unsigned c = 0; c < CLIENTS; c++)
        store_flush(rigs[c].client);
    for (unsigned c = 0; c < CLIENTS; c++) {
        rig_drain(&rigs[c]);
        assert_int_equal(rigs[c].reply_count, EACH);
        for (unsigned i = 0; i < EACH; i++) {
            assert_int_equal(rigs[c].replies[i].tag, i);
            assert_int_equal(rigs[c].replies[i].status, STORE_DONE);
        }
        /* One wake-up for each commit at most, and the one that found nothing new. */
        assert_true(rigs[c].wakes <= CLIENTS + 1);
        rig_fini(&rigs[c]);
    }
    store_stats(f.store, &stats);
    printf("%u writes of %u clients in %llu commits\n", CLIENTS * EACH, CLIENTS, (unsigned long long)stats.commits);
    assert_int_equal(stats.writes, CLIENTS * EACH);
    assert_true(stats.commits <= CLIENTS); /* at most one for each flush */
    store_close(f.store);
    rig_folder_remove(f.path);
}

static void put__more_than_the_first_map__grows(void **state)
{
    (void)state;
    struct fixture f;
    struct store_stats before, after;
    static char value[STORE_VALUE_MAX];
    fixture_open(&f);
    store_stats(f.store, &before);
    for (unsigned i = 0; i < 200; i++) {
        memset(value, (int)i, sizeof value);
        assert_int_equal(rig_status(&f.rig, STORE_PUT, span_of(&i, sizeof i), span_of(value, sizeof value)),
                         STORE_DONE);
    }
    store_stats(f.store, &after);
    assert_true(before.size <= 1u << 20); /* fits the disk of 1 MiB of the test below */
    assert_true(after.size >= 200 * STORE_VALUE_MAX);
    fixture_stop(&f);
    fixture_start(&f);
    for (unsigned i = 0; i < 200; i++) {
        memset(value, (int)i, sizeof value);
        assert_true(span_equal(rig_ask(&f.rig, STORE_GET, span_of(&i, sizeof i), SPAN_NONE)->value,
                               span_of(value, sizeof value)));
    }
    fixture_close(&f);
}

/* Puts records of 4,000 bytes until one is refused; returns how many were taken. */
static unsigned fill(struct fixture *f, unsigned first, unsigned count_max)
{
    char value[4000];
    for (unsigned i = first; i < first + count_max; i++) {
        memset(value, (int)i, sizeof value);
        enum store_status status =
            rig_status(&f->rig, STORE_CREATE, span_of(&i, sizeof i), span_of(value, sizeof value));
        if (status == STORE_FULL)
            return i - first;
        assert_int_equal(status, STORE_DONE);
    }
    return count_max;
}

static void filled_check(struct fixture *f, unsigned count)
{
    char value[4000];
    for (unsigned i = 0; i < count; i++) {
        memset(value, (int)i, sizeof value);
        assert_true(span_equal(rig_ask(&f->rig, STORE_GET, span_of(&i, sizeof i), SPAN_NONE)->value,
                               span_of(value, sizeof value)));
    }
    if (count > 0)
        assert_int_equal(rig_status(&f->rig, STORE_GET, span_of(&count, sizeof count), SPAN_NONE), STORE_MISSING);
}

/* On a full disk: records can be removed one by one, as many as there are but ten; then new ones fit again, and the
 * last room is kept for removing. Returns how many there are. */
static unsigned delete_and_fill(struct fixture *f, unsigned count)
{
    unsigned full = count;
    for (unsigned round = 0; round < 2; round++) {
        for (; count > 10; count--) {
            unsigned last = count - 1;
            assert_int_equal(rig_status(&f->rig, STORE_DELETE, span_of(&last, sizeof last), SPAN_NONE), STORE_DONE);
            filled_check(f, count - 1 < 12 ? count - 1 : 0);
        }
        filled_check(f, count);
        count += fill(f, count, 10000);
        assert_true(count >= full - 40 && count <= full + 20);
        filled_check(f, count);
    }
    return count;
}

static void full_disk_try(struct fixture *f, int error)
{
    struct store_stats stats;
    fixture_open(f);
    atomic_store(&growth_error, error);
    unsigned count = fill(f, 0, 10000);
    assert_true(count > 10 && count < 100);
    filled_check(f, count);
    /* Reads that follow a refused write in one batch see what was there before it. */
    rig_forget(&f->rig);
    static char value[STORE_VALUE_MAX];
    assert_true(store_post(f->rig.client, STORE_PUT, STORE_ACCOUNTS, 1, SPAN("big"), span_of(value, sizeof value)));
    assert_true(store_post(f->rig.client, STORE_GET, STORE_ACCOUNTS, 2, SPAN("big"), SPAN_NONE));
    store_flush(f->rig.client);
    rig_drain(&f->rig);
    assert_int_equal(f->rig.replies[0].status, STORE_FULL);
    assert_int_equal(f->rig.replies[1].status, STORE_MISSING);
    store_stats(f->store, &stats);
    assert_true(stats.full >= 2 && !stats.is_failed);
    count = delete_and_fill(f, count);
    fixture_stop(f);
    fixture_start(f); /* the pages of the reserve are in use; it must not be taken for whole */
    filled_check(f, count);
    count = delete_and_fill(f, count);
    /* Room comes back: no restart is needed. */
    atomic_store(&growth_error, 0);
    assert_int_equal(fill(f, count, 100), 100);
    filled_check(f, count + 100);
    fixture_stop(f);
    fixture_start(f);
    filled_check(f, count + 100);
    fixture_close(f);
}

static void put__no_room_to_grow__full_and_nothing_changed(void **state)
{
    (void)state;
    struct fixture f;
    full_disk_try(&f, ENOSPC);
    full_disk_try(&f, EDQUOT);
}

static void put__commit_finds_the_disk_full__full_and_nothing_changed(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("1")), STORE_DONE);
    atomic_store(&commit_error, ENOSPC);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("2")), STORE_FULL);
    assert_int_equal(rig_status(&f.rig, STORE_DELETE, SPAN("k"), SPAN_NONE), STORE_FULL);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "1"));
    atomic_store(&commit_error, 0);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("3")), STORE_DONE);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "3"));
    fixture_close(&f);
}

static void put__io_error__refused_from_then_on(void **state)
{
    (void)state;
    struct fixture f;
    struct store_stats stats;
    fixture_open(&f);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("1")), STORE_DONE);
    atomic_store(&commit_error, EIO);
    rig_forget(&f.rig);
    assert_true(store_post(f.rig.client, STORE_PUT, STORE_ACCOUNTS, 1, SPAN("k"), SPAN("2")));
    assert_true(store_post(f.rig.client, STORE_GET, STORE_ACCOUNTS, 2, SPAN("k"), SPAN_NONE));
    store_flush(f.rig.client);
    rig_drain(&f.rig);
    assert_int_equal(f.rig.replies[0].status, STORE_FAILED);
    assert_int_equal(f.rig.replies[1].status, STORE_FOUND);
    assert_true(span_is(f.rig.replies[1].value, "1"));
    /* The error goes away; the store does not try again, since what the disk holds is no longer known. */
    atomic_store(&commit_error, 0);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("3")), STORE_FAILED);
    assert_int_equal(rig_status(&f.rig, STORE_CREATE, SPAN("l"), SPAN("3")), STORE_FAILED);
    assert_int_equal(rig_status(&f.rig, STORE_DELETE, SPAN("k"), SPAN_NONE), STORE_FAILED);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "1"));
    store_stats(f.store, &stats);
    assert_true(stats.is_failed);
    fixture_stop(&f);
    fixture_start(&f);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "1"));
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("3")), STORE_DONE);
    fixture_close(&f);
}

static void put__each_acknowledged__was_synced(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    for (unsigned i = 0; i < 20; i++) {
        unsigned before = atomic_load(&sync_count);
        assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), span_of(&i, sizeof i)), STORE_DONE);
        assert_true(atomic_load(&sync_count) > before);
    }
    /* What changes nothing costs no sync. */
    unsigned before = atomic_load(&sync_count);
    assert_int_equal(rig_status(&f.rig, STORE_CREATE, SPAN("k"), SPAN("v")), STORE_EXISTS);
    assert_int_equal(rig_status(&f.rig, STORE_DELETE, SPAN("l"), SPAN_NONE), STORE_MISSING);
    assert_int_equal(rig_status(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE), STORE_FOUND);
    assert_int_equal(atomic_load(&sync_count), before);
    fixture_close(&f);
}

static void put__sync_fails__never_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    struct store_stats stats;
    fixture_open(&f);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("1")), STORE_DONE);
    atomic_store(&sync_error, EIO);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("2")), STORE_FAILED);
    atomic_store(&sync_error, 0);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("3")), STORE_FAILED);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "1"));
    store_stats(f.store, &stats);
    assert_true(stats.is_failed);
    fixture_stop(&f);
    fixture_start(&f);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "1"));
    fixture_close(&f);
}

static void put__map_cannot_be_put_back__fails_without_touching_it(void **state)
{
    (void)state;
    struct fixture f;
    static char value[STORE_VALUE_MAX];
    fixture_open(&f);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("1")), STORE_DONE);
    atomic_store(&map_error, ENOMEM);
    enum store_status status = STORE_DONE;
    for (unsigned i = 0; i < 20 && status == STORE_DONE; i++)
        status = rig_status(&f.rig, STORE_PUT, span_of(&i, sizeof i), span_of(value, sizeof value));
    assert_int_equal(status, STORE_FAILED);
    assert_int_equal(rig_status(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE), STORE_FAILED);
    assert_int_equal(rig_status(&f.rig, STORE_LIST, SPAN_NONE, SPAN_NONE), STORE_FAILED);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("k"), SPAN("2")), STORE_FAILED);
    atomic_store(&map_error, 0);
    fixture_stop(&f);
    fixture_start(&f);
    assert_true(span_is(rig_ask(&f.rig, STORE_GET, SPAN("k"), SPAN_NONE)->value, "1"));
    fixture_close(&f);
}

static void put__on_a_small_real_disk__full_then_recovers(void **state)
{
    (void)state;
    struct fixture f;
    rig_folder_make(f.path);
    /* In a mount namespace of our own, so that a test that fails leaves nothing mounted on the machine. */
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", f.path, "tmpfs", 0, "size=1m") != 0) {
        printf("not run: no permission to mount a small tmpfs (%s)\n", strerror(errno));
        rmdir(f.path);
        skip();
    }
    fixture_start(&f);
    unsigned count = fill(&f, 0, 10000);
    printf("%u records of 4,000 bytes on a disk of 1 MiB\n", count);
    assert_true(count > 100 && count < 262);
    filled_check(&f, count);
    fixture_stop(&f);
    fixture_start(&f); /* opens on the full disk */
    filled_check(&f, count);
    count = delete_and_fill(&f, count);
    assert_int_equal(mount("none", f.path, "tmpfs", MS_REMOUNT, "size=4m"), 0);
    assert_int_equal(fill(&f, count, 300), 300);
    filled_check(&f, count + 300);
    fixture_stop(&f);
    assert_int_equal(umount(f.path), 0);
    rmdir(f.path);
}

/* Flips one bit of a record where it lies in the closed file. */
static void bit_flip(const struct fixture *f, const char *needle)
{
    char name[512];
    struct stat status;
    file_name(f, "store.mdb", name);
    int fd = open(name, O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    char *bytes = malloc((size_t)status.st_size);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
    unsigned found = 0;
    /* The old page of an earlier commit may hold it as well. */
    for (size_t i = 0; i + strlen(needle) <= (size_t)status.st_size; i++) {
        if (memcmp(bytes + i, needle, strlen(needle)) != 0)
            continue;
        char flipped = (char)(bytes[i] ^ 4);
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
        found++;
    }
    assert_true(found > 0);
    free(bytes);
    close(fd);
}

static void get__flipped_bit__reported_and_neighbours_served(void **state)
{
    (void)state;
    struct fixture f;
    fixture_open(&f);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("a"), SPAN("value of a")), STORE_DONE);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("b"), SPAN("value of b")), STORE_DONE);
    assert_int_equal(rig_status(&f.rig, STORE_PUT, SPAN("c"), SPAN("value of c")), STORE_DONE);
    fixture_stop(&f);
    bit_flip(&f, "value of b");
    fixture_start(&f);
    assert_int_equal(rig_status(&f.rig, STORE_GET, SPAN("a"), SPAN_NONE), STORE_FOUND);
    assert_int_equal(rig_status(&f.rig, STORE_GET, SPAN("c"), SPAN_NONE), STORE_FOUND);
    const struct rig_reply *reply = rig_ask(&f.rig, STORE_GET, SPAN("b"), SPAN_NONE);
    assert_int_equal(reply->status, STORE_FAILED);
    assert_int_equal(reply->value.size, 0);
    /* A listing goes on behind it. */
    reply = rig_ask(&f.rig, STORE_LIST, SPAN("a"), SPAN_NONE);
    assert_int_equal(reply->status, STORE_FAILED);
    assert_true(span_is(reply->key, "b"));
    reply = rig_ask(&f.rig, STORE_LIST, SPAN("b"), SPAN_NONE);
    assert_int_equal(reply->status, STORE_FOUND);
    assert_true(span_is(reply->value, "value of c"));
    /* And writing it anew heals it. */
    assert_int_equal(rig_status(&f.rig, STORE_UPDATE, SPAN("b"), SPAN("new")), STORE_DONE);
    assert_int_equal(rig_status(&f.rig, STORE_GET, SPAN("b"), SPAN_NONE), STORE_FOUND);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open__again__everything_is_there),
        cmocka_unit_test(open__new_folder__for_the_owner_only),
        cmocka_unit_test(open__folder_in_use__refused_with_the_process),
        cmocka_unit_test(open__no_such_place__refused_in_words),
        cmocka_unit_test(open__foreign_file__refused_and_untouched),
        cmocka_unit_test(open__lmdb_file_of_another_program__refused),
        cmocka_unit_test(open__newer_schema__refused),
        cmocka_unit_test(post__many_clients__few_commits),
        cmocka_unit_test(put__more_than_the_first_map__grows),
        cmocka_unit_test(put__no_room_to_grow__full_and_nothing_changed),
        cmocka_unit_test(put__commit_finds_the_disk_full__full_and_nothing_changed),
        cmocka_unit_test(put__io_error__refused_from_then_on),
        cmocka_unit_test(put__each_acknowledged__was_synced),
        cmocka_unit_test(put__sync_fails__never_acknowledged),
        cmocka_unit_test(put__map_cannot_be_put_back__fails_without_touching_it),
        cmocka_unit_test(put__on_a_small_real_disk__full_then_recovers),
        cmocka_unit_test(get__flipped_bit__reported_and_neighbours_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
