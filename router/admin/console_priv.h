/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Console: one connection to the admin socket: lines in, answers out, one command at a time.
 *
 *   answer := body line* , status line, empty line
 *   status := "OK" | "ERROR reason" | "MORE what"
 *
 * After MORE the command waits for lines (a password, accounts) and then answers once more. A client that waits for it
 * can never have such a line taken for a command, and so written to the log, because the command was refused.
 *
 * A command that cannot end at once leaves a task: it gets the lines that follow, the store's replies, the shards'
 * answers, and a call when the output has drained.
 *
 * Bounds:  CONSOLE_LINE_MAX bytes a line; while CONSOLE_OUT_HIGH bytes wait to be read nothing new is begun, and a
 *          single answer is CONSOLE_OUT_MAX at most.
 * Thread:  control's.
 */
#include "router/admin/answer_priv.h"
#include "router/admin/control.h"
#include "router/store/account.h"

#include <stdint.h>

#define CONSOLE_IN_SIZE  65536u
#define CONSOLE_LINE_MAX 8192u
#define CONSOLE_OUT_HIGH 65536u
#define CONSOLE_OUT_MAX  (4u << 20)
#define CONSOLE_IDLE_MS  600000u /* without a command */
#define CONSOLE_STALL_MS 30000u  /* with output that nobody reads */

struct store_reply;
struct console;

enum console_taken { LINE_TAKEN, LINE_LATER };

/* What a running command does when something comes; NULL where it awaits nothing of that kind. */
struct console_task {
    enum console_taken (*line)(struct console *console, struct span line);
    void (*reply)(struct console *console, const struct store_reply *reply);
    void (*answered)(struct console *console, struct control_ask *ask, const struct answer *rows);
    void (*drained)(struct console *console); /* less than CONSOLE_OUT_HIGH waits, or time has passed: go on */
};

/* The state of a running command: one at a time. */
struct console_state {
    char jid[1024 + 1024 + 1]; /* a bare JID, or a prefix */
    size_t jid_size;
    uint64_t count_max;
    uint64_t count;                     /* rows written, accounts imported */
    uint64_t refused;                   /* lines refused by an import */
    uint64_t line;                      /* lines seen by an import */
    uint32_t pending;                   /* store requests not yet answered */
    enum control_ask_kind kind;         /* of what the shards are asked */
    unsigned shard;                     /* asked now */
    uint64_t position;                  /* in that shard's table */
    bool replaces;                      /* import over existing accounts */
    struct account account;             /* as it is to be written; wiped when it was */
    enum control_account_change change; /* of passwd, disable, enable */
    bool is_known;                      /* what is to be changed: a password is there, or none is needed */
    bool has_read;                      /* the record that is changed */
    uint64_t writes;                    /* of all consoles when it was asked for */
    bool has_all;                       /* the last line of an import was seen, the last row was read */
    bool exports;
    bool is_waiting;           /* an ask or a step could not be posted: again at the next tick */
    char key[1024 + 1024 + 1]; /* the last account listed */
    size_t key_size;
};

struct console {
    struct control *control;
    int fd; /* -1: free */
    uint32_t generation;
    uint32_t uid; /* of the peer, for the log */
    char *in;     /* CONSOLE_IN_SIZE */
    size_t in_start, in_size;
    struct answer out;
    size_t out_sent;
    const struct console_task *task; /* NULL: between commands */
    struct console_state state;
    char error[512];    /* the reason of ERROR */
    uint64_t active_ms; /* the last byte that moved */
    uint32_t events;    /* registered with epoll */
    bool has_ended;     /* the peer sends nothing more */
    bool is_closing;    /* once the output is out */
};

void console_open(struct console *console, struct control *control, int fd);
void console_close(struct console *console);
/* Readiness from epoll. */
void console_ready(struct console *console, uint32_t events);
/* Goes on with lines that wait and output that drained; closes what is over. */
void console_turn(struct console *console, uint64_t now_ms);
/* Bytes not yet taken by the peer. */
size_t console_waiting(const struct console *console);

/* The command is over: its status line. A NULL task before means it was over at once. */
void console_finish(struct console *console);
/* The command's task takes the lines that follow. */
void console_more(struct console *console, const char *what);
void console_fail(struct console *console, const char *format, ...) __attribute__((format(printf, 2, 3)));
