/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Socket path: the address of a Unix socket whose path may be longer than the 107 bytes of sockaddr_un: then its folder
 * is opened and the address goes through /proc/self/fd.
 *
 * Thread:  any; no state.
 */
#include "core/base/err.h"

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

struct socket_path {
    struct sockaddr_un address;
    int folder; /* a descriptor to keep while the address is used; -1: none */
};

bool socket_path_open(struct socket_path *socket_path, const char *path, struct err *err);
void socket_path_close(struct socket_path *socket_path);
