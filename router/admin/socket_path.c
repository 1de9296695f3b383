/* SPDX-License-Identifier: MIT */
#include "router/admin/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool socket_path_open(struct socket_path *socket_path, const char *path, struct err *err)
{
    size_t size = strlen(path);
    *socket_path = (struct socket_path){.address = {.sun_family = AF_UNIX}, .folder = -1};
    if (size > 0 && size < sizeof(socket_path->address.sun_path)) {
        memcpy(socket_path->address.sun_path, path, size + 1);
        return true;
    }
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    if (slash == NULL || slash == path || (size_t)(slash - path) >= sizeof(folder) || strlen(slash) > 64) {
        err_set(err, "%s: not usable as the path of a socket", path);
        return false;
    }
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = 0;
    socket_path->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (socket_path->folder < 0) {
        err_set(err, "%s: %s", folder, strerror(errno));
        return false;
    }
    snprintf(socket_path->address.sun_path, sizeof(socket_path->address.sun_path), "/proc/self/fd/%d%s",
             socket_path->folder, slash);
    return true;
}

void socket_path_close(struct socket_path *socket_path)
{
    if (socket_path->folder >= 0)
        close(socket_path->folder);
    socket_path->folder = -1;
}
