/* SPDX-License-Identifier: MIT */
#include "router/admin/control.h"

#include "core/base/check.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "router/admin/command_priv.h"
#include "router/admin/config.h"
#include "router/admin/control_priv.h"
#include "router/admin/socket_path.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS    1000 /* deadlines of consoles are looked at this often */
#define DAY_MS     86400000u
#define RETRY_MS   5 /* while an ask could not be posted */
#define EVENTS_MAX 16
#define ASKS_MAX   (2u * CONTROL_CONSOLES) /* a closed console's ask may still be out */

/* What an epoll event is about: an index of consoles, or one of these. */
enum watched { WATCH_WAKE = CONTROL_CONSOLES, WATCH_SIGNALS, WATCH_LISTENER };

static void control_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
}

void control_block_signals(void)
{
    sigset_t set;
    control_signals(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void wake(struct control *control)
{
    uint64_t one = 1;
    ssize_t size = write(control->wake, &one, sizeof(one));
    (void)size; /* EAGAIN: the counter is full, so it is awake */
}

static void wake_from_store(void *context)
{
    wake(context);
}

static bool watch(struct control *control, int fd, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    return fd < 0 || epoll_ctl(control->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void control_watch(struct console *console, uint32_t events)
{
    if (console->events == events)
        return;
    struct control *control = console->control;
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(console - control->consoles)};
    console->events = events;
    /* The descriptor was added when it was accepted and lives until console_close(). */
    SL_CHECK(epoll_ctl(control->epoll, EPOLL_CTL_MOD, console->fd, &event) == 0);
}

/* Removes a socket file that nobody listens on any more. */
static bool remove_stale(const struct socket_path *path, const char *name, struct err *err)
{
    struct stat status;
    if (lstat(path->address.sun_path, &status) != 0)
        return true;
    if (!S_ISSOCK(status.st_mode)) {
        err_set(err, "admin.socket: %s exists and is not a socket", name);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_set(err, "admin.socket: %s", strerror(errno));
        return false;
    }
    bool is_refused =
        connect(fd, (const struct sockaddr *)&path->address, sizeof(path->address)) != 0 && errno == ECONNREFUSED;
    close(fd);
    if (!is_refused) {
        err_set(err, "admin.socket: another process listens on %s", name);
        return false;
    }
    unlink(path->address.sun_path);
    return true;
}

static void tell_trouble(const char *name, int error, struct err *err)
{
    if (error == ENOENT)
        err_set(err, "admin.socket: %s: its folder does not exist: make it, writable for the router's user", name);
    else
        err_set(err, "admin.socket: %s: %s", name, strerror(error));
}

static bool listen_at(struct control *control, const struct socket_path *path, struct err *err)
{
    const char *name = control->socket_path;
    struct stat status;
    if (!remove_stale(path, name, err))
        return false;
    control->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The file must never be open to more people than in the end, so it is born with no rights at all. */
    mode_t mask = umask(0777);
    bool ok = control->listener >= 0 &&
              bind(control->listener, (const struct sockaddr *)&path->address, sizeof(path->address)) == 0;
    int error = errno;
    umask(mask);
    if (ok) {
        ok = chmod(path->address.sun_path, control->config.socket_mode) == 0 &&
             lstat(path->address.sun_path, &status) == 0 && listen(control->listener, 16) == 0;
        error = errno;
    }
    if (!ok) {
        tell_trouble(name, error, err);
        return false;
    }
    control->socket_device = status.st_dev;
    control->socket_inode = status.st_ino;
    return true;
}

static bool open_socket(struct control *control, struct err *err)
{
    if (control->socket_path[0] == 0)
        return true;
    struct socket_path path;
    if (!socket_path_open(&path, control->socket_path, err)) {
        err_prefix(err, "admin.socket");
        return false;
    }
    bool ok = listen_at(control, &path, err);
    socket_path_close(&path);
    return ok;
}

static void remove_socket(struct control *control)
{
    struct socket_path path;
    struct stat status;
    struct err err;
    if (control->socket_inode == 0 || !socket_path_open(&path, control->socket_path, &err))
        return;
    if (lstat(path.address.sun_path, &status) == 0 && status.st_dev == control->socket_device &&
        status.st_ino == control->socket_inode)
        unlink(path.address.sun_path);
    socket_path_close(&path);
}

static bool open_descriptors(struct control *control, struct err *err)
{
    sigset_t set;
    control_signals(&set);
    control->epoll = epoll_create1(EPOLL_CLOEXEC);
    control->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (control->config.takes_signals)
        control->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (control->epoll < 0 || control->wake < 0 || (control->config.takes_signals && control->signals < 0)) {
        err_set(err, "control: %s", strerror(errno));
        return false;
    }
    if (!open_socket(control, err))
        return false;
    if (watch(control, control->wake, WATCH_WAKE) && watch(control, control->signals, WATCH_SIGNALS) &&
        watch(control, control->listener, WATCH_LISTENER))
        return true;
    err_set(err, "control: epoll: %s", strerror(errno));
    return false;
}

struct control *control_new(const struct control_config *config, struct err *err)
{
    struct control *control = calloc(1, sizeof(*control));
    if (control == NULL) {
        err_set(err, "control: no memory");
        return NULL;
    }
    control->config = *config;
    /* The configuration that this path came from may be gone by the end, after a reload. */
    control->socket_path = strdup(config->socket_path == NULL ? "" : config->socket_path);
    SL_CHECK(control->socket_path != NULL);
    control->epoll = control->wake = control->signals = control->listener = -1;
    control->now_ms = control->started_ms = clock_mono_ms();
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++)
        control->consoles[i].fd = -1;
    if (!open_descriptors(control, err)) {
        control_free(control);
        return NULL;
    }
    if (config->store != NULL)
        control->store = store_client(config->store, config->store_client, wake_from_store, control);
    return control;
}

static void close_descriptor(int fd)
{
    if (fd >= 0)
        close(fd);
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++) {
        if (control->consoles[i].fd >= 0)
            console_close(&control->consoles[i]);
    }
    while (control->asks != NULL) {
        struct control_ask_private *ask = control->asks;
        control->asks = ask->next;
        answer_fini(&ask->rows);
        free(ask);
    }
    remove_socket(control);
    close_descriptor(control->listener);
    close_descriptor(control->signals);
    close_descriptor(control->wake);
    close_descriptor(control->epoll);
    free(control->socket_path);
    free(control);
}

/* ---- questions to shards ---- */

static struct control_ask_private *take_ask(struct control *control)
{
    unsigned count = 0;
    for (struct control_ask_private *ask = control->asks; ask != NULL; ask = ask->next, count++) {
        if (!ask->is_out)
            return ask;
    }
    struct control_ask_private *ask = count < ASKS_MAX ? calloc(1, sizeof(*ask)) : NULL;
    if (ask == NULL)
        return NULL;
    ask->ask.private = ask;
    ask->next = control->asks;
    control->asks = ask;
    return ask;
}

bool control_ask(struct console *console, enum control_ask_kind kind, unsigned shard, uint64_t position,
                 struct span prefix, uint64_t count_max)
{
    struct control *control = console->control;
    struct control_ask_private *ask = take_ask(control);
    if (ask == NULL)
        return false;
    ask->ask.kind = kind;
    ask->ask.shard = shard;
    ask->ask.position = position;
    ask->ask.is_done = false;
    ask->console = console;
    ask->generation = console->generation;
    ask->prefix_size = prefix.size < sizeof(ask->prefix) ? prefix.size : sizeof(ask->prefix);
    if (ask->prefix_size)
        memcpy(ask->prefix, prefix.ptr, ask->prefix_size);
    ask->ask.domain = span_of(ask->prefix, ask->prefix_size);
    ask->ask.count = 0;
    size_t ours_size = console->state.key_size < sizeof(ask->ours) ? console->state.key_size : 0;
    memcpy(ask->ours, console->state.key, ours_size);
    ask->ask.ours = span_of(ask->ours, ours_size);
    ask->count_max = count_max;
    ask->count = 0;
    answer_fini(&ask->rows);
    answer_init(&ask->rows, CONTROL_ASK_ROOM, console->out.is_json);
    ask->rows.has_row = console->out.has_row; /* the comma before the first row */
    ask->is_out = true;                       /* before the hook: the answer may come while it runs */
    if (control->config.hooks.ask(control->config.context, &ask->ask))
        return true;
    ask->is_out = false;
    return false;
}

static void describe_session(struct answer *rows, const struct control_ask *ask, const void *row)
{
    const struct control_session *session = row;
    answer_row(rows);
    answer_text(rows, "jid", session->jid);
    answer_number(rows, "shard", ask->shard);
    if (session->address != NULL && session->address[0] != 0)
        answer_string(rows, "address", session->address);
    if (session->tls != NULL && session->tls[0] != 0)
        answer_string(rows, "tls", session->tls);
    if (session->cipher != NULL && session->cipher[0] != 0)
        answer_string(rows, "cipher", session->cipher);
    if (session->mechanism != NULL && session->mechanism[0] != 0)
        answer_string(rows, "mechanism", session->mechanism);
    if (session->certificate != NULL && session->certificate[0] != 0)
        answer_string(rows, "certificate", session->certificate);
    answer_bool(rows, "available", session->is_available);
    answer_integer(rows, "priority", session->priority);
    answer_number(rows, "age_s", session->age_ms / 1000);
    answer_number(rows, "queued", session->queued);
    answer_row_end(rows);
}

static void describe_known(struct answer *rows, const char *name, const char *value)
{
    if (value != NULL && value[0] != 0)
        answer_string(rows, name, value);
}

static void describe_s2s_stream(struct answer *rows, const struct control_s2s *s2s)
{
    answer_string(rows, "direction", s2s->is_out ? "out" : "in");
    answer_bool(rows, "bidi", s2s->is_bidi);
    describe_known(rows, "address", s2s->address);
    describe_known(rows, "tls", s2s->tls);
    describe_known(rows, "cipher", s2s->cipher);
    describe_known(rows, "proof", s2s->proof);
    describe_known(rows, "certificate", s2s->certificate);
    answer_date(rows, "expires", s2s->expires);
    describe_known(rows, "standing", s2s->standing);
    describe_known(rows, "answer", s2s->answer);
    describe_known(rows, "changed", s2s->changed);
    answer_number(rows, "pairs", s2s->pairs);
    answer_number(rows, "stanzas_in", s2s->stanzas_in);
    answer_number(rows, "bytes_in", s2s->bytes_in);
    answer_number(rows, "stanzas_out", s2s->stanzas_out);
    answer_number(rows, "bytes_out", s2s->bytes_out);
}

static void describe_s2s(struct answer *rows, const struct control_ask *ask, const void *row)
{
    static const char *const states[] = {"negotiating", "ready", "connecting", "resting"};
    const struct control_s2s *s2s = row;
    answer_row(rows);
    answer_text(rows, "theirs", s2s->theirs);
    answer_text(rows, "ours", s2s->ours);
    answer_string(rows, "state", states[s2s->state]);
    answer_number(rows, "shard", ask->shard);
    if (s2s->is_stream)
        describe_s2s_stream(rows, s2s);
    answer_number(rows, "queued", s2s->queued);
    if (s2s->age_ms >= 0)
        answer_integer(rows, "age_s", s2s->age_ms / 1000);
    describe_known(rows, "error", s2s->error);
    if (s2s->failures > 0)
        answer_number(rows, "failures", s2s->failures);
    if (s2s->left_ms >= 0) /* up: 0 would be now */
        answer_integer(rows, s2s->state == S2S_RESTING ? "next_s" : "gives_up_s", (s2s->left_ms + 999) / 1000);
    answer_row_end(rows);
}

static bool add(struct control_ask *ask, struct span key, const void *row,
                void (*describe)(struct answer *rows, const struct control_ask *ask, const void *row))
{
    struct control_ask_private *private = ask->private;
    if (key.size < private->prefix_size || memcmp(key.ptr, private->prefix, private->prefix_size) != 0)
        return true;
    if (private->count == private->count_max)
        return false;
    struct answer *rows = &private->rows;
    size_t size = rows->size;
    bool has_row = rows->has_row;
    describe(rows, ask, row);
    if (!rows->is_full) {
        private->count++;
        return true;
    }
    rows->is_full = false;
    rows->size = size;
    rows->has_row = has_row;
    return false;
}

bool control_ask_session(struct control_ask *ask, const struct control_session *session)
{
    return add(ask, session->jid, session, describe_session);
}

bool control_ask_s2s(struct control_ask *ask, const struct control_s2s *s2s)
{
    return add(ask, s2s->theirs, s2s, describe_s2s);
}

struct step {
    const char *what;
    bool is_good;
    const char *text;
};

static void describe_step(struct answer *rows, const struct control_ask *ask, const void *row)
{
    const struct step *step = row;
    (void)ask;
    answer_row(rows);
    answer_string(rows, "step", step->what);
    answer_bool(rows, "ok", step->is_good);
    answer_string(rows, "text", step->text);
    answer_row_end(rows);
}

void control_ask_step(struct control_ask *ask, const char *what, bool is_good, const char *text)
{
    const struct step step = {what, is_good, text};
    (void)add(ask, ask->domain, &step, describe_step);
}

void control_answered(struct control *control, struct control_ask *ask)
{
    struct control_ask_private *private = ask->private;
    /* Release: the rows are written before the ask is seen by take_answers(). */
    private->next_answered = atomic_load_explicit(&control->answered, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&control->answered, &private->next_answered, private,
                                                  memory_order_release, memory_order_relaxed))
        ;
    wake(control);
}

static void take_answers(struct control *control)
{
    /* Acquire: pairs with the release in control_answered(). */
    struct control_ask_private *ask = atomic_exchange_explicit(&control->answered, NULL, memory_order_acquire);
    while (ask != NULL) {
        struct control_ask_private *next = ask->next_answered;
        struct console *console = ask->console;
        ask->is_out = false;
        if (console->generation == ask->generation && console->task != NULL && console->task->answered != NULL)
            console->task->answered(console, &ask->ask, &ask->rows);
        ask = next;
    }
}

/* ---- the store ---- */

bool control_store(struct console *console, enum store_op op, struct span key, struct span value)
{
    struct control *control = console->control;
    uint64_t tag = (uint64_t)console->generation << 8 | (uint64_t)(console - control->consoles);
    if (!store_post(control->store, op, STORE_ACCOUNTS, tag, key, value))
        return false;
    control->account_writes += op != STORE_GET && op != STORE_LIST;
    console->state.pending++;
    return true;
}

static void take_reply(void *context, const struct store_reply *reply)
{
    struct control *control = context;
    struct console *console = &control->consoles[reply->tag & 0xff];
    if (console->fd < 0 || console->generation != (uint32_t)(reply->tag >> 8))
        return; /* asked by somebody who is gone */
    console->state.pending--;
    if (console->task != NULL && console->task->reply != NULL)
        console->task->reply(console, reply);
}

/* ---- the process ---- */

const struct config *control_configuration(struct control *control)
{
    return control->config.hooks.config(control->config.context);
}

bool control_reload(struct control *control, struct err *notice, struct err *err)
{
    notice->text[0] = 0;
    if (!control->config.hooks.reload(control->config.context, notice, err)) {
        log_event(LOG_ERROR, "config.refused", "reason=%s", log_quoted(span_str(err->text)).text);
        return false;
    }
    return true;
}

void control_stop(struct control *control, bool drain)
{
    control->config.hooks.stop(control->config.context, drain);
}

static void take_signals(struct control *control)
{
    struct signalfd_siginfo info;
    struct err notice, err;
    while (read(control->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        log_event(LOG_INFO, "control.signal", "signal=%u sender=%u", info.ssi_signo, info.ssi_pid);
        if (info.ssi_signo == SIGHUP)
            control_reload(control, &notice, &err);
        else if (info.ssi_signo == SIGUSR1)
            log_reopen();
        else
            control_stop(control, control->signal_count++ == 0);
    }
}

static void watch_listener(struct control *control, bool is_deaf)
{
    struct epoll_event event = {.events = is_deaf ? 0 : EPOLLIN, .data.u32 = WATCH_LISTENER};
    if (control->is_deaf != is_deaf && epoll_ctl(control->epoll, EPOLL_CTL_MOD, control->listener, &event) == 0)
        control->is_deaf = is_deaf;
}

static void accept_consoles(struct control *control)
{
    int fd;
    while ((fd = accept4(control->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        unsigned index = 0;
        while (index < CONTROL_CONSOLES && control->consoles[index].fd >= 0)
            index++;
        if (index == CONTROL_CONSOLES) {
            struct span text = SPAN("ERROR too many connections to this socket\n\n");
            ssize_t size = send(fd, text.ptr, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
            (void)size; /* it is closed either way */
            close(fd);
            continue;
        }
        console_open(&control->consoles[index], control, fd);
        if (control->consoles[index].fd >= 0 && !watch(control, fd, index))
            console_close(&control->consoles[index]);
        else
            control->consoles[index].events = EPOLLIN;
    }
    /* Out of descriptors: the listener stays readable, so without this the thread would spin. */
    watch_listener(control, errno == EMFILE || errno == ENFILE);
}

static void take_event(struct control *control, const struct epoll_event *event)
{
    uint64_t count;
    uint32_t index = event->data.u32;
    if (index == WATCH_LISTENER) {
        accept_consoles(control);
    } else if (index == WATCH_SIGNALS) {
        take_signals(control);
    } else if (index == WATCH_WAKE) {
        ssize_t size = read(control->wake, &count, sizeof(count));
        (void)size; /* its being read is all that matters */
    } else if (control->consoles[index].fd >= 0) {
        console_ready(&control->consoles[index], event->events);
    }
}

/* Everything that may have something to do now; true if an ask has to be tried again soon. */
static bool turn(struct control *control)
{
    bool again = false;
    take_answers(control);
    if (control->store != NULL)
        store_poll(control->store, take_reply, control);
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++) {
        struct console *console = &control->consoles[i];
        if (console->fd < 0)
            continue;
        console_turn(console, control->now_ms);
        again = again || (console->fd >= 0 && console->task != NULL && console->state.is_waiting);
    }
    if (control->store != NULL)
        store_flush(control->store);
    return again;
}

static int until_daily(struct control *control)
{
    if (control->config.hooks.daily == NULL)
        return -1;
    if (control->now_ms >= control->daily_ms) {
        control->config.hooks.daily(control->config.context);
        control->daily_ms = control->now_ms + DAY_MS;
    }
    return (int)(control->daily_ms - control->now_ms);
}

void control_run(struct control *control)
{
    struct epoll_event events[EVENTS_MAX];
    int wait_ms = 0;
    while (!atomic_load_explicit(&control->is_over, memory_order_acquire)) {
        int count = epoll_wait(control->epoll, events, EVENTS_MAX, wait_ms);
        SL_CHECK(count >= 0 || errno == EINTR);
        control->now_ms = clock_mono_ms();
        for (int i = 0; i < count; i++)
            take_event(control, &events[i]);
        if (count == 0 && control->is_deaf)
            watch_listener(control, false);
        int daily_ms = until_daily(control);
        wait_ms = turn(control) ? RETRY_MS : control->console_count > 0 || control->is_deaf ? TICK_MS : daily_ms;
    }
}

void control_quit(struct control *control)
{
    atomic_store_explicit(&control->is_over, true, memory_order_release);
    wake(control);
}
