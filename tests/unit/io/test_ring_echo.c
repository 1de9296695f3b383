/* SPDX-License-Identifier: MIT */
/* The real io over loopback TCP: bytes come back, in order, on every number of shards. */
#include "ring_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLIENTS 16u
#define BYTES   300000u

struct client {
    const struct rig *rig;
    unsigned seed;
    bool is_half_closing;
    bool is_good;
};

struct writer {
    int fd;
    unsigned seed;
    bool is_half_closing;
};

/* Cannot use fail_msg(): cmocka jumps, and only the test's thread may. */
static void *write_all(void *argument)
{
    struct writer *writer = argument;
    unsigned char bytes[20000];
    unsigned state = writer->seed * 2654435761u + 1;
    for (size_t done = 0; done < BYTES;) {
        state = state * 1664525u + 1013904223u;
        size_t size = 1 + (state >> 8) % ((state >> 28) == 0 ? sizeof bytes : 700);
        if (size > BYTES - done)
            size = BYTES - done;
        rig_pattern(bytes, size, writer->seed, done);
        for (size_t at = 0; at < size;) {
            ssize_t n = send(writer->fd, bytes + at, size - at, MSG_NOSIGNAL);
            if (n <= 0)
                return NULL;
            at += (size_t)n;
        }
        done += size;
    }
    if (writer->is_half_closing)
        shutdown(writer->fd, SHUT_WR);
    return NULL;
}

static bool read_all(int fd, unsigned seed)
{
    unsigned char got[65536], want[65536];
    for (size_t done = 0; done < BYTES;) {
        ssize_t n = recv(fd, got, sizeof got, 0);
        if (n <= 0)
            return false;
        rig_pattern(want, (size_t)n, seed, done);
        if (memcmp(got, want, (size_t)n) != 0)
            return false;
        done += (size_t)n;
    }
    return true;
}

static void *client_main(void *argument)
{
    struct client *client = argument;
    int fd = rig_connect(client->rig);
    struct writer writer = {.fd = fd, .seed = client->seed, .is_half_closing = client->is_half_closing};
    pthread_t thread;
    pthread_create(&thread, NULL, write_all, &writer);
    client->is_good = read_all(fd, client->seed);
    if (client->is_good && client->is_half_closing) {
        char byte;
        client->is_good = recv(fd, &byte, 1, 0) == 0; /* the echo's own end, after everything */
    }
    pthread_join(thread, NULL);
    close(fd);
    return NULL;
}

static void run(unsigned shard_count, const char *address, bool is_half_closing)
{
    struct rig rig;
    rig_init(&rig, shard_count);
    rig.address = address;
    rig_start(&rig);
    pthread_t threads[CLIENTS];
    struct client clients[CLIENTS];
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.rig = &rig, .seed = 1000 + i, .is_half_closing = is_half_closing};
        pthread_create(&threads[i], NULL, client_main, &clients[i]);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(clients[i].is_good);
    }
    rig_await(&rig, COUNTER_CLOSED, CLIENTS);
    assert_int_equal(rig_counter(&rig, COUNTER_ACCEPTED), CLIENTS);
    assert_int_equal(rig_counter(&rig, COUNTER_BYTES_IN), CLIENTS * BYTES);
    assert_int_equal(rig_counter(&rig, COUNTER_BYTES_OUT), CLIENTS * BYTES);
    rig_stop(&rig);
}

static void echo__one_shard__bytes_come_back(void **state)
{
    (void)state;
    run(1, "127.0.0.1", false);
}

static void echo__two_shards__bytes_come_back(void **state)
{
    (void)state;
    run(2, "127.0.0.1", false);
}

static void echo__four_shards_ipv6__bytes_come_back(void **state)
{
    (void)state;
    run(4, "::1", false);
}

static void half_close__bytes_under_way__all_come_back_then_fin(void **state)
{
    (void)state;
    run(2, "127.0.0.1", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo__one_shard__bytes_come_back),
        cmocka_unit_test(echo__two_shards__bytes_come_back),
        cmocka_unit_test(echo__four_shards_ipv6__bytes_come_back),
        cmocka_unit_test(half_close__bytes_under_way__all_come_back_then_fin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
