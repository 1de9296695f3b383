/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Control, inside: what the commands may use of it.
 */
#include "router/admin/console_priv.h"
#include "router/store/store.h"

#include <stdatomic.h>

struct control {
    struct control_config config;
    char *socket_path;                  /* a copy; empty: none */
    int epoll, wake, signals, listener; /* descriptors; -1: none */
    dev_t socket_device;
    ino_t socket_inode; /* of our socket file: nobody else's is removed at the end */
    struct store_client *store;
    uint64_t account_writes; /* posted so far, by all consoles */
    uint64_t started_ms;     /* monotonic */
    uint64_t now_ms;
    uint64_t daily_ms;     /* when hooks.daily is called next */
    unsigned signal_count; /* SIGTERM and SIGINT: the second one is meant */
    bool is_deaf;          /* no descriptor was free: the listener is not watched until the next turn */
    unsigned console_count;
    struct control_ask_private *asks;               /* all that are out, and idle ones: freed at the end */
    _Atomic(struct control_ask_private *) answered; /* pushed by shards (release), taken by control (acquire) */
    atomic_bool is_over;
    struct console consoles[CONTROL_CONSOLES];
};

struct control_ask_private {
    struct control_ask ask;
    struct control_ask_private *next;          /* of control->asks */
    struct control_ask_private *next_answered; /* of control->answered */
    struct console *console;
    uint32_t generation; /* of that console when it asked */
    bool is_out;
    char prefix[1024]; /* or the domain */
    char ours[1024];
    size_t prefix_size;
    uint64_t count_max, count;
    struct answer rows;
};

/* Posts a question of this console to a shard, about the domain in state.key if there is one; false if it cannot be
 * taken now. */
bool control_ask(struct console *console, enum control_ask_kind kind, unsigned shard, uint64_t position,
                 struct span prefix, uint64_t count_max);
/* Posts for this console; its task's reply gets the answer. False if the store's queue is full for now. */
bool control_store(struct console *console, enum store_op op, struct span key, struct span value);
const struct config *control_configuration(struct control *control);
bool control_reload(struct control *control, struct err *notice, struct err *err);
void control_stop(struct control *control, bool drain);
/* Tells epoll what the console waits for. */
void control_watch(struct console *console, uint32_t events);
