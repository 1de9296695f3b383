/* SPDX-License-Identifier: MIT */
/*
 * Dialling: an ordinary socket is made and bound (which no operation of Linux 6.1 can do), put into the table of direct
 * descriptors by the kernel's choice of slot, and connected there.
 */
#include "io/ring/ring_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct dial {
    int fd; /* the kernel puts the slot in its place */
    int copy;
    socklen_t remote_size;
    struct sockaddr_storage remote;
};

static socklen_t address_size(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

/* Returns a descriptor or -errno. */
static int open_socket(const struct io_group *group, const struct sockaddr *local, const struct sockaddr *remote)
{
    int fd = socket(remote->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)group_set_options(group, fd);
    if (local != NULL) {
        const int on = 1;
        /* The port is chosen at connect, when the remote address is known: all ports serve each remote address. */
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, local, address_size(local)) != 0) {
            int error = errno;
            (void)close(fd);
            return -error;
        }
    }
    return fd;
}

struct io_conn *io_dial(struct io *io, const struct sockaddr *local, const struct sockaddr *remote, void *owner)
{
    struct dial *dial = malloc(sizeof *dial);
    struct conn *conn =
        dial == NULL || slab_count(io->conns) >= io->config.connection_max ? NULL : conn_new(io, SLOT_NONE);
    if (conn == NULL) {
        free(dial);
        return NULL;
    }
    conn->head.owner = owner;
    conn->flags = CONN_DIALLING;
    conn->dial = dial;
    dial->remote_size = address_size(remote);
    memcpy(&dial->remote, remote, dial->remote_size);
    dial->fd = dial->copy = open_socket(io->group, local, remote);
    struct io_uring_sqe *sqe = ring_sqe(io);
    /* A socket that could not be had goes the same way, with an operation that does nothing: the answer comes later. */
    if (dial->fd < 0)
        io_uring_prep_nop(sqe);
    else
        io_uring_prep_files_update(sqe, &dial->fd, 1, (int)IORING_FILE_INDEX_ALLOC);
    ring_own_conn(sqe, conn, OP_REGISTER);
    return &conn->head;
}

void dial_forget(struct conn *conn)
{
    if ((conn->flags & CONN_DIALLING) == 0)
        return;
    free(conn->dial);
    conn->dial = NULL;
    conn->flags = (uint16_t)(conn->flags & ~CONN_DIALLING);
}

static void fail(struct io *io, struct conn *conn, int error)
{
    if ((conn->flags & CONN_CLOSING) != 0)
        return;
    conn_break(io, conn, error);
    io->handler->dialled(io->context, &conn->head, error);
}

void dial_registered(struct io *io, struct conn *conn, int result)
{
    struct dial *dial = conn->dial;
    if (dial->copy < 0) {
        fail(io, conn, -dial->copy);
        return;
    }
    if (result == 1)
        conn->slot = (uint32_t)dial->fd;
    (void)close(dial->copy); /* the table holds the socket now */
    if (result != 1) {
        fail(io, conn, result < 0 ? -result : ENFILE);
        return;
    }
    if ((conn->flags & CONN_CLOSING) != 0)
        return;
    struct io_uring_sqe *sqe = ring_sqe(io);
    io_uring_prep_connect(sqe, (int)conn->slot, (const struct sockaddr *)&dial->remote, dial->remote_size);
    sqe->flags = IOSQE_FIXED_FILE;
    ring_own_conn(sqe, conn, OP_CONNECT);
}

void dial_connected(struct io *io, struct conn *conn, int result)
{
    if (result != 0) {
        fail(io, conn, -result);
        return;
    }
    if ((conn->flags & CONN_CLOSING) != 0)
        return;
    dial_forget(conn);
    io->handler->dialled(io->context, &conn->head, 0);
}
