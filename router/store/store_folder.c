/* SPDX-License-Identifier: MIT */
#include "router/store/store_folder_priv.h"

#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool store_folder_make(const char *path, struct err *err)
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

bool store_folder_name(char out[PATH_MAX], const char *path, const char *name, struct err *err)
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

int store_folder_lock(const char *path, struct err *err)
{
    char name[PATH_MAX];
    if (!store_folder_name(name, path, "router.lock", err))
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

bool store_folder_sync(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (!is_synced)
        err_set(err, "cannot make the folder of the store durable, %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return is_synced;
}
