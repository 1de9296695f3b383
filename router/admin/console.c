/* SPDX-License-Identifier: MIT */
#include "router/admin/console_priv.h"

#include "core/base/check.h"
#include "router/admin/command_priv.h"
#include "router/admin/control_priv.h"
#include "tls/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void console_open(struct console *console, struct control *control, int fd)
{
    uint32_t generation = console->generation + 1;
    *console = (struct console){.control = control, .fd = fd, .generation = generation, .active_ms = control->now_ms};
    console->in = malloc(CONSOLE_IN_SIZE);
    answer_init(&console->out, CONSOLE_OUT_MAX, false);
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        console->uid = peer.uid;
    control->console_count++;
    if (console->in == NULL)
        console_close(console);
}

void console_close(struct console *console)
{
    close(console->fd); /* leaves the epoll set by itself: the descriptor is not shared */
    console->fd = -1;
    console->generation++; /* what is still asked for it is stale from now on */
    console->task = NULL;
    if (console->in != NULL)
        digest_wipe(console->in, CONSOLE_IN_SIZE); /* passwords went through it */
    free(console->in);
    console->in = NULL;
    answer_fini(&console->out);
    console->control->console_count--;
}

size_t console_waiting(const struct console *console)
{
    return console->out.size - console->out_sent;
}

void console_finish(struct console *console)
{
    console->task = NULL;
    answer_append(&console->out, SPAN("OK\n\n"));
}

void console_more(struct console *console, const char *what)
{
    answer_format(&console->out, "MORE %s\n\n", what);
}

void console_fail(struct console *console, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(console->error, sizeof(console->error), format, args);
    va_end(args);
    /* One line, whatever a file name or an address in it holds. */
    for (char *c = console->error; *c != 0; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    console->task = NULL;
    answer_format(&console->out, "ERROR %s\n\n", console->error);
}

static void receive(struct console *console)
{
    if (console->in_start > 0) {
        memmove(console->in, console->in + console->in_start, console->in_size - console->in_start);
        console->in_size -= console->in_start;
        console->in_start = 0;
    }
    size_t room = CONSOLE_IN_SIZE - console->in_size;
    if (room == 0)
        return;
    ssize_t size = recv(console->fd, console->in + console->in_size, room, MSG_DONTWAIT);
    if (size > 0) {
        console->in_size += (size_t)size;
        console->active_ms = console->control->now_ms;
    } else if (size == 0) {
        console->has_ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        console->has_ended = console->is_closing = true;
        console->out_sent = console->out.size; /* nobody is there to read it */
    }
}

static void transmit(struct console *console)
{
    while (console_waiting(console) > 0) {
        ssize_t size = send(console->fd, console->out.bytes + console->out_sent, console_waiting(console),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0) {
            if (errno == EAGAIN || errno == EINTR)
                return;
            console->has_ended = console->is_closing = true;
            console->out_sent = console->out.size;
            return;
        }
        console->out_sent += (size_t)size;
        console->active_ms = console->control->now_ms;
    }
    console->out.size = console->out_sent = 0;
}

/* Takes the sent part away, so that a long listing stays within the room it had when it began. */
static void compact(struct console *console)
{
    if (console->out_sent < CONSOLE_OUT_HIGH)
        return;
    memmove(console->out.bytes, console->out.bytes + console->out_sent, console_waiting(console));
    console->out.size -= console->out_sent;
    console->out_sent = 0;
}

/* The next whole line, or one with ptr NULL. */
static struct span peek_line(const struct console *console, size_t *taken)
{
    const char *start = console->in + console->in_start;
    size_t size = console->in_size - console->in_start;
    const char *newline = size == 0 ? NULL : memchr(start, '\n', size);
    if (newline == NULL)
        return SPAN_NONE;
    size_t line = (size_t)(newline - start);
    *taken = line + 1;
    return span_of(start, line > 0 && start[line - 1] == '\r' ? line - 1 : line);
}

static void refuse_long_line(struct console *console)
{
    console_fail(console, "the line is longer than %u bytes", CONSOLE_LINE_MAX);
    console->is_closing = true;
}

/* One line, if there is one and it may be taken now; false: nothing was done. */
static bool take_line(struct console *console)
{
    if (console->is_closing || (console->task != NULL && console->task->line == NULL))
        return false;
    size_t taken = 0;
    struct span line = peek_line(console, &taken);
    if (line.ptr == NULL) {
        if (console->in_size - console->in_start > CONSOLE_LINE_MAX)
            refuse_long_line(console);
        return false;
    }
    if (line.size > CONSOLE_LINE_MAX) {
        refuse_long_line(console);
        return false;
    }
    if (console->task != NULL) {
        if (console->task->line(console, line) == LINE_LATER)
            return false;
    } else if (line.size > 0) {
        command_run(console, line);
    }
    console->in_start += taken;
    return true;
}

static void watch(struct console *console)
{
    uint32_t events = 0;
    bool has_room = console->in_size - console->in_start < CONSOLE_IN_SIZE / 2;
    if (!console->has_ended && !console->is_closing && has_room)
        events |= EPOLLIN;
    if (console_waiting(console) > 0)
        events |= EPOLLOUT;
    control_watch(console, events);
}

void console_ready(struct console *console, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        receive(console);
    if (events & EPOLLOUT)
        transmit(console);
}

static bool is_over(const struct console *console, uint64_t now_ms)
{
    uint64_t quiet_ms = now_ms - console->active_ms;
    if (console->out.is_full)
        return true; /* an answer beyond every bound: what is there is cut, so nobody may take it for whole */
    if (console_waiting(console) > 0)
        return quiet_ms >= CONSOLE_STALL_MS;
    if (console->is_closing || (console->has_ended && console->task == NULL))
        return true;
    /* The rest of an import or a password will not come any more. */
    if (console->has_ended && console->task->line != NULL && console->state.pending == 0)
        return true;
    return quiet_ms >= CONSOLE_IDLE_MS;
}

void console_turn(struct console *console, uint64_t now_ms)
{
    if (console->task != NULL && console->task->drained != NULL && console_waiting(console) < CONSOLE_OUT_HIGH)
        console->task->drained(console);
    /* A client that sends commands and reads no answers does not get further than CONSOLE_OUT_HIGH. */
    while (console_waiting(console) < CONSOLE_OUT_HIGH && take_line(console))
        ;
    transmit(console);
    compact(console);
    if (is_over(console, now_ms))
        console_close(console);
    else
        watch(console);
}
