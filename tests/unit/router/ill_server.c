/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/ill_server.h"

#include "core/base/check.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTENERS   2u
#define HEARD_MAX   70000u
#define BLOCK_SIZE  65536u
#define SEND_BUFFER 65536
#define STEP_MS     20 /* how soon an end is seen */

struct talk {
    struct talk *next;
    struct ill_server *server;
    pthread_t thread;
    int socket;
};

struct ill_server {
    const struct ill_answer *answers;
    size_t count;
    int listeners[LISTENERS];
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    bool is_closing;
    struct talk *talks;
    unsigned connections;
    uint64_t sent;
    char heard[HEARD_MAX];
    char told[HEARD_MAX]; /* the test's copy */
};

static bool is_closing(struct ill_server *server)
{
    pthread_mutex_lock(&server->mutex);
    bool is = server->is_closing;
    pthread_mutex_unlock(&server->mutex);
    return is;
}

void ill_server_spell(const struct ill_server *server, const char *text, char *out, size_t size)
{
    size_t used = 0;
    while (*text) {
        bool is_port = strncmp(text, "$PORT", 5) == 0;
        used +=
            (size_t)snprintf(out + used, size - used, is_port ? "%u" : "%c", is_port ? server->port : (unsigned)*text);
        SL_CHECK(used < size);
        text += is_port ? 5 : 1;
    }
    out[used] = '\0';
}

/* ---- one connection ---------------------------------------------------------------------------------------------- */

/* The head, and the body if its size is told. False: it ended before. */
static bool hear(int socket, char *heard)
{
    size_t size = 0;
    for (;;) {
        ssize_t got = size < HEARD_MAX - 1 ? recv(socket, heard + size, HEARD_MAX - 1 - size, 0) : 0;
        if (got <= 0)
            return false;
        size += (size_t)got;
        heard[size] = '\0';
        const char *end = strstr(heard, "\r\n\r\n"), *length = strstr(heard, "Content-Length: ");
        if (!end)
            continue;
        size_t body = length && length < end ? (size_t)strtoul(length + 16, NULL, 10) : 0;
        if (size >= (size_t)(end + 4 - heard) + body)
            return true;
    }
}

static bool say(struct ill_server *server, int socket, const char *bytes, size_t size)
{
    while (size) {
        ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        size -= (size_t)sent;
        pthread_mutex_lock(&server->mutex);
        server->sent += (uint64_t)sent;
        pthread_mutex_unlock(&server->mutex);
    }
    return true;
}

/* True: the peer has closed, or all is over. */
static bool wait_ms(struct ill_server *server, int socket, unsigned ms)
{
    struct pollfd poll_fd = {.fd = socket, .events = POLLIN};
    char byte;
    if (is_closing(server))
        return true;
    if (poll(&poll_fd, 1, (int)ms) <= 0)
        return is_closing(server);
    return recv(socket, &byte, 1, 0) <= 0;
}

static void say_again(struct ill_server *server, int socket, const struct ill_answer *answer)
{
    size_t size = strlen(answer->again), block = BLOCK_SIZE / size * size;
    char *bytes = malloc(block);
    SL_CHECK(bytes);
    for (size_t i = 0; i < block; i += size)
        memcpy(bytes + i, answer->again, size);
    while (say(server, socket, bytes, answer->pause_ms ? size : block))
        if (answer->pause_ms && wait_ms(server, socket, answer->pause_ms))
            break;
    free(bytes);
}

static const struct ill_answer *find(const struct ill_server *server, const char *heard)
{
    const char *path = strchr(heard, ' ');
    for (size_t i = 0; path && i < server->count; i++) {
        size_t size = strlen(server->answers[i].path);
        if (strncmp(path + 1, server->answers[i].path, size) == 0 && path[1 + size] == ' ')
            return &server->answers[i];
    }
    return NULL;
}

static void talk(struct ill_server *server, int socket)
{
    static _Thread_local char heard[HEARD_MAX], first[4096];
    if (!hear(socket, heard))
        return;
    pthread_mutex_lock(&server->mutex);
    memcpy(server->heard, heard, sizeof heard);
    pthread_mutex_unlock(&server->mutex);
    const struct ill_answer *answer = find(server, heard);
    if (!answer)
        return;
    for (unsigned waited = 0; waited < answer->delay_ms; waited += STEP_MS)
        if (wait_ms(server, socket, STEP_MS))
            return;
    ill_server_spell(server, answer->first, first, sizeof first);
    if (!say(server, socket, first, strlen(first)))
        return;
    if (answer->is_endless) {
        say_again(server, socket, answer);
        return;
    }
    if (!answer->is_held)
        shutdown(socket, SHUT_WR);
    while (!wait_ms(server, socket, STEP_MS)) { /* closed now, it could lose what was said */
    }
}

static void *talk_run(void *argument)
{
    struct talk *self = argument;
    talk(self->server, self->socket);
    shutdown(self->socket, SHUT_RDWR);
    return NULL;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static void take(struct ill_server *server, int socket)
{
    const int size = SEND_BUFFER;
    struct talk *talk = calloc(1, sizeof *talk);
    SL_CHECK(talk);
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    pthread_mutex_lock(&server->mutex);
    *talk = (struct talk){.next = server->talks, .server = server, .socket = socket};
    SL_CHECK(pthread_create(&talk->thread, NULL, talk_run, talk) == 0);
    server->talks = talk;
    server->connections++;
    pthread_mutex_unlock(&server->mutex);
}

static void *listen_run(void *argument)
{
    struct ill_server *server = argument;
    struct pollfd fds[LISTENERS];
    for (unsigned i = 0; i < LISTENERS; i++)
        fds[i] = (struct pollfd){.fd = server->listeners[i], .events = POLLIN};
    while (!is_closing(server)) {
        if (poll(fds, LISTENERS, STEP_MS) <= 0)
            continue;
        for (unsigned i = 0; i < LISTENERS; i++) {
            int socket = fds[i].revents ? accept(server->listeners[i], NULL, NULL) : -1;
            if (socket >= 0)
                take(server, socket);
        }
    }
    return NULL;
}

/* On 127.0.0.1 and up, all on one port; the first chooses it. */
static bool open_listeners(struct ill_server *server)
{
    for (unsigned i = 0; i < LISTENERS; i++) {
        struct sockaddr_in at = {
            .sin_family = AF_INET, .sin_port = htons(server->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i)};
        socklen_t size = sizeof at;
        server->listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (server->listeners[i] < 0 || bind(server->listeners[i], (const struct sockaddr *)&at, sizeof at) ||
            listen(server->listeners[i], 128) || getsockname(server->listeners[i], (struct sockaddr *)&at, &size))
            return false;
        server->port = ntohs(at.sin_port);
    }
    return true;
}

struct ill_server *ill_server_new(const struct ill_answer *answers, size_t count)
{
    struct ill_server *server = calloc(1, sizeof *server);
    SL_CHECK(server);
    server->answers = answers;
    server->count = count;
    pthread_mutex_init(&server->mutex, NULL);
    if (open_listeners(server) && pthread_create(&server->thread, NULL, listen_run, server) == 0)
        return server;
    free(server);
    return NULL;
}

void ill_server_free(struct ill_server *server)
{
    pthread_mutex_lock(&server->mutex);
    server->is_closing = true;
    pthread_mutex_unlock(&server->mutex);
    pthread_join(server->thread, NULL);
    while (server->talks) {
        struct talk *talk = server->talks;
        server->talks = talk->next;
        shutdown(talk->socket, SHUT_RDWR);
        pthread_join(talk->thread, NULL);
        close(talk->socket);
        free(talk);
    }
    for (unsigned i = 0; i < LISTENERS; i++)
        close(server->listeners[i]);
    pthread_mutex_destroy(&server->mutex);
    free(server);
}

const char *ill_server_heard(struct ill_server *server)
{
    pthread_mutex_lock(&server->mutex);
    memcpy(server->told, server->heard, sizeof server->told);
    pthread_mutex_unlock(&server->mutex);
    return server->told;
}

unsigned ill_server_connections(struct ill_server *server)
{
    pthread_mutex_lock(&server->mutex);
    unsigned count = server->connections;
    pthread_mutex_unlock(&server->mutex);
    return count;
}

uint64_t ill_server_sent(struct ill_server *server)
{
    pthread_mutex_lock(&server->mutex);
    uint64_t sent = server->sent;
    pthread_mutex_unlock(&server->mutex);
    return sent;
}
