/* SPDX-License-Identifier: MIT */
/* Dialling: the answer always comes by callback, first dialled, then closed when it failed. */
#include "ring_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What the callbacks saw, as letters: d dialled, D dialled with an error, r received, c closed. */
struct story {
    char text[64];
    _Atomic unsigned size;
    _Atomic int error;
    bool is_closing_at_once; /* io_close() in the same turn as io_dial() */
    bool is_closing_in_dialled;
    bool is_staying; /* no io_close() when the echo comes */
    bool is_refused; /* io_dial() answered NULL */
    struct sockaddr_storage local, remote;
    bool has_local;
    struct io_conn *conn;
};

static void note(struct rig_shard *shard, char letter)
{
    struct story *story = shard->rig->user;
    story->text[story->size] = letter;
    story->size++;
}

static void dialled(void *context, struct io_conn *conn, int error)
{
    struct rig_shard *shard = context;
    struct story *story = shard->rig->user;
    note(shard, error == 0 ? 'd' : 'D');
    assert_ptr_equal(conn->owner, story);
    assert_int_equal(io_can_send(conn), error == 0);
    if (error == 0 && !story->is_closing_in_dialled) {
        struct chain bytes = {0};
        chain_append(&bytes, io_pool(shard->io), SPAN("ping"));
        io_send(shard->io, conn, &bytes);
    }
    if (story->is_closing_in_dialled)
        io_close(shard->io, conn);
}

static void received(void *context, struct io_conn *conn, struct span bytes)
{
    struct rig_shard *shard = context;
    if (conn->owner != shard->rig->user) {
        rig_received(context, conn, bytes); /* the accepted end echoes */
        return;
    }
    note(shard, 'r');
    assert_true(span_is(bytes, "ping"));
    if (!((struct story *)shard->rig->user)->is_staying)
        io_close(shard->io, conn);
}

static void sent(void *context, struct io_conn *conn)
{
    struct rig_shard *shard = context;
    if (conn->owner != shard->rig->user)
        rig_sent(context, conn);
}

static void ended(void *context, struct io_conn *conn)
{
    struct rig_shard *shard = context;
    if (conn->owner != shard->rig->user)
        rig_ended(context, conn);
}

static void closed(void *context, struct io_conn *conn, int error)
{
    struct rig_shard *shard = context;
    struct story *story = shard->rig->user;
    if (conn->owner != story) {
        rig_closed(context, conn, error);
        return;
    }
    story->error = error;
    note(shard, 'c');
}

static void dial(struct io *io, void *argument)
{
    struct story *story = argument;
    const struct sockaddr *local = story->has_local ? (const struct sockaddr *)&story->local : NULL;
    struct io_conn *conn = io_dial(io, local, (const struct sockaddr *)&story->remote, story);
    story->is_refused = conn == NULL;
    story->conn = conn;
    if (conn != NULL && story->is_closing_at_once)
        io_close(io, conn);
}

static void set_v4(struct sockaddr_storage *address, const char *text, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)address;
    *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
}

static void open_rig(struct rig *rig, struct story *story)
{
    rig_init(rig, 1);
    rig->user = story;
    rig->config.connection_max = 16;
    rig->handler.dialled = dialled;
    rig->handler.received = received;
    rig->handler.sent = sent;
    rig->handler.ended = ended;
    rig->handler.closed = closed;
    rig_start(rig);
    set_v4(&story->remote, "127.0.0.1", rig->port);
}

static void expect(const struct story *story, const char *text, int error)
{
    for (unsigned i = 0; i < 5000 && (story->size == 0 || story->text[story->size - 1] != 'c'); i++)
        rig_sleep_ms(1);
    assert_string_equal(story->text, text);
    assert_int_equal(story->error, error);
}

static void dial__listening_port__connected_and_both_ways(void **state)
{
    (void)state;
    struct story story = {0};
    struct rig rig;
    open_rig(&rig, &story);
    rig_call(&rig, 0, dial, &story);
    expect(&story, "drc", 0);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void dial__local_address__is_the_source(void **state)
{
    (void)state;
    struct story story = {.has_local = true};
    struct rig rig;
    open_rig(&rig, &story);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_storage here;
    socklen_t size = sizeof here;
    set_v4(&here, "127.0.0.1", 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof(struct sockaddr_in)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &size), 0);
    set_v4(&story.local, "127.0.0.77", 0);
    story.remote = here;
    rig_call(&rig, 0, dial, &story);
    struct sockaddr_in peer;
    size = sizeof peer;
    int accepted = accept(fd, (struct sockaddr *)&peer, &size);
    assert_true(accepted >= 0);
    assert_int_equal(ntohl(peer.sin_addr.s_addr), 0x7f00004d);
    char bytes[4];
    rig_recv_all(accepted, bytes, 4);
    rig_send_all(accepted, bytes, 4);
    expect(&story, "drc", 0);
    close(accepted);
    close(fd);
    rig_stop(&rig);
}

/* How many ends of established connections with that port have the kernel's keepalive timer running with from least to
 * most seconds to go, and (all) how many there are: the columns of /proc/net/tcp, in hexadecimal, time in 1/100 s. */
static unsigned count_asked(uint16_t port, unsigned least_s, unsigned most_s, unsigned *all)
{
    FILE *file = fopen("/proc/net/tcp", "re");
    char line[256];
    unsigned found = 0;
    *all = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned local, remote, state, timer, left;
        if (sscanf(line, " %*u: %*8x:%x %*8x:%x %x %*8x:%*8x %x:%x", &local, &remote, &state, &timer, &left) != 5 ||
            state != 1 || (local != port && remote != port))
            continue;
        ++*all;
        found += timer == 2 && left > least_s * 100 && left <= most_s * 100;
    }
    fclose(file);
    return found;
}

static void hang_up(struct io *io, void *argument)
{
    io_close(io, ((struct story *)argument)->conn);
}

/* What is asked is in /proc/net/tcp once everything is acknowledged; for a moment somebody else may have our port
 * number for the near end of a connection. */
static void keepalive(uint32_t idle_s, unsigned asked)
{
    struct story story = {.is_staying = true};
    struct rig rig;
    rig_init(&rig, 1);
    io_group_keepalive(rig.group, idle_s);
    rig.user = &story;
    rig.handler.dialled = dialled;
    rig.handler.received = received;
    rig.handler.sent = sent;
    rig.handler.ended = ended;
    rig.handler.closed = closed;
    rig_start(&rig);
    set_v4(&story.remote, "127.0.0.1", rig.port);
    rig_call(&rig, 0, dial, &story);
    unsigned all = 0, found = asked + 1;
    for (unsigned i = 0; i < 5000 && (story.size < 2 || found != asked || all != 2); i++) {
        rig_sleep_ms(1);
        found = count_asked(rig.port, idle_s / 2, idle_s, &all);
    }
    assert_string_equal(story.text, "dr");
    assert_int_equal(all, 2);
    assert_int_equal(found, asked);
    rig_call(&rig, 0, hang_up, &story);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void keepalive__a_time__both_ends_ask_after_it(void **state)
{
    (void)state;
    keepalive(1000, 2);
}

static void keepalive__zero__nobody_asks(void **state)
{
    (void)state;
    keepalive(0, 0);
}

static _Atomic unsigned timeout_count; /* sockets that were given one */
static _Atomic int timeout_ms;

/* A direct descriptor cannot be asked for it. */
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT) {
        timeout_count++;
        timeout_ms = *(const int *)value;
    }
    return __real_setsockopt(fd, level, name, value, size);
}

/* A server that is gone is given up as a client is. */
static void dial__as_accepted__has_a_user_timeout(void **state)
{
    (void)state;
    struct story story = {0};
    struct rig rig;
    open_rig(&rig, &story);
    timeout_count = 0;
    timeout_ms = 0;
    rig_call(&rig, 0, dial, &story);
    expect(&story, "drc", 0);
    assert_int_equal(timeout_count, 1);
    assert_int_equal(timeout_ms, 60000);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void dial__closed_port__refused_then_closed(void **state)
{
    (void)state;
    struct story story = {0};
    struct rig rig;
    open_rig(&rig, &story);
    set_v4(&story.remote, "127.0.0.1", 1); /* nobody listens on tcpmux */
    rig_call(&rig, 0, dial, &story);
    expect(&story, "Dc", ECONNREFUSED);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void dial__close_in_failed_dialled__closed_once(void **state)
{
    (void)state;
    struct story story = {.is_closing_in_dialled = true};
    struct rig rig;
    open_rig(&rig, &story);
    set_v4(&story.remote, "127.0.0.1", 1);
    rig_call(&rig, 0, dial, &story);
    expect(&story, "Dc", ECONNREFUSED);
    rig_stop(&rig);
}

static void dial__foreign_local_address__error_by_callback(void **state)
{
    (void)state;
    struct story story = {.has_local = true};
    struct rig rig;
    open_rig(&rig, &story);
    set_v4(&story.local, "192.0.2.1", 0); /* RFC 5737: nobody's */
    rig_call(&rig, 0, dial, &story);
    expect(&story, "Dc", EADDRNOTAVAIL);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

static void dial__closed_at_once__only_closed(void **state)
{
    (void)state;
    struct story story = {.is_closing_at_once = true};
    struct rig rig;
    open_rig(&rig, &story);
    rig_call(&rig, 0, dial, &story);
    expect(&story, "c", 0);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    rig_stop(&rig);
}

struct lookup {
    struct io_conn *conn;
    struct story *story;
};

static void close_dialling(struct io *io, void *argument)
{
    struct lookup *lookup = argument;
    assert_non_null(lookup->conn);
    io_close(io, lookup->conn);
}

static void dial_and_keep(struct io *io, void *argument)
{
    struct lookup *lookup = argument;
    lookup->conn = io_dial(io, NULL, (const struct sockaddr *)&lookup->story->remote, lookup->story);
}

static void dial__closed_while_connecting__only_closed(void **state)
{
    (void)state;
    struct story story = {0};
    struct rig rig;
    open_rig(&rig, &story);
    /* A full queue: connections to it stay in SYN_SENT. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fillers[4];
    struct sockaddr_storage here;
    socklen_t size = sizeof here;
    set_v4(&here, "127.0.0.1", 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&here, sizeof(struct sockaddr_in)), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&here, &size), 0);
    for (unsigned i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (struct sockaddr *)&here, sizeof(struct sockaddr_in));
    }
    story.remote = here;
    struct lookup lookup = {.story = &story};
    rig_call(&rig, 0, dial_and_keep, &lookup);
    rig_sleep_ms(30);
    assert_int_equal(story.size, 0); /* still connecting */
    rig_call(&rig, 0, close_dialling, &lookup);
    expect(&story, "c", 0);
    for (unsigned i = 0; i < 4; i++)
        close(fillers[i]);
    close(fd);
    rig_stop(&rig);
}

static void dial__no_slot__null(void **state)
{
    (void)state;
    struct story story = {0};
    struct rig rig;
    open_rig(&rig, &story);
    int fds[16];
    for (unsigned i = 0; i < 16; i++)
        fds[i] = rig_connect(&rig);
    rig_await(&rig, COUNTER_ACCEPTED, 16);
    rig_call(&rig, 0, dial, &story);
    assert_true(story.is_refused);
    for (unsigned i = 0; i < 16; i++)
        close(fds[i]);
    rig_await(&rig, COUNTER_CONNECTIONS, 0);
    assert_int_equal(story.size, 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dial__listening_port__connected_and_both_ways),
        cmocka_unit_test(dial__local_address__is_the_source),
        cmocka_unit_test(keepalive__a_time__both_ends_ask_after_it),
        cmocka_unit_test(keepalive__zero__nobody_asks),
        cmocka_unit_test(dial__as_accepted__has_a_user_timeout),
        cmocka_unit_test(dial__closed_port__refused_then_closed),
        cmocka_unit_test(dial__close_in_failed_dialled__closed_once),
        cmocka_unit_test(dial__foreign_local_address__error_by_callback),
        cmocka_unit_test(dial__closed_at_once__only_closed),
        cmocka_unit_test(dial__closed_while_connecting__only_closed),
        cmocka_unit_test(dial__no_slot__null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
