/* SPDX-License-Identifier: MIT */
/* The control thread: its protocol, its clients, its socket, its time-outs and its signals. What the commands show and
 * do: test_control_show.c, test_control_account.c. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "router/admin/command_priv.h"
#include "router/admin/control_priv.h"
#include "tests/unit/router/control_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the protocol ---- */

static void command__that_is_unknown__is_an_error(void **state)
{
    (void)state;
    probe_expect(&control_probe, "dance", "ERROR unknown command \"dance\": see help\n\n");
    probe_expect(&control_probe, "show", "ERROR unknown command \"show\": see help\n\n");
    probe_expect(&control_probe, "show infos", "ERROR unknown command \"show\": see help\n\n");
    probe_expect(&control_probe, "json", "ERROR json stands before a command\n\n");
    probe_expect(&control_probe, "json json show info", "ERROR unknown command \"json\": see help\n\n");
    probe_expect(&control_probe, "help dance", "ERROR no such command\n\n");
    probe_expect(&control_probe, "\x01\x02", "ERROR unknown command \"??\": see help\n\n");
}

static void command__with_wrong_arguments__tells_its_usage(void **state)
{
    (void)state;
    probe_expect(&control_probe, "account add", "ERROR usage: account add JID\n\n");
    probe_expect(&control_probe, "account add a b", "ERROR usage: account add JID\n\n");
    probe_expect(&control_probe, "reload now", "ERROR usage: reload\n\n");
    probe_expect(&control_probe, "show sessions 1 2 3", "ERROR usage: show sessions [N] [PREFIX]\n\n");
    probe_expect(&control_probe, "show sessions x y", "ERROR the first word is not a number up to 1000000\n\n");
    probe_expect(&control_probe, "log level loud", "ERROR usage: log level error|warn|info|debug\n\n");
    probe_expect(&control_probe, "account import now", "ERROR usage: account import [replace]\n\n");
    probe_expect(&control_probe, "1 2 3 4 5 6 7 8 9", "ERROR a quote that is not closed, or more than 8 words\n\n");
    probe_expect(&control_probe, "account del \"a", "ERROR a quote that is not closed, or more than 8 words\n\n");
}

static void commands__sent_at_once__are_answered_in_order(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
    probe_send(fd, "\n\nreload\r\nnonsense\nlog level error\n");
    char *first = probe_answer(fd), *second = probe_answer(fd), *third = probe_answer(fd);
    assert_string_equal(first, "notice: \"shards needs a restart\"\nOK\n\n");
    assert_string_equal(second, "ERROR unknown command \"nonsense\": see help\n\n");
    assert_string_equal(third, "OK\n\n");
    free(first);
    free(second);
    free(third);
    close(fd);
}

static void line__cut_anywhere__is_put_together(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
    static const char text[] = "show sessions 1\nreload\n";
    for (const char *c = text; *c != 0; c++) {
        char one[2] = {*c, 0};
        probe_send(fd, one);
        usleep(200);
    }
    char *first = probe_answer(fd), *second = probe_answer(fd);
    assert_non_null(strstr(first, "s0u00000@localhost"));
    assert_non_null(strstr(second, "OK\n"));
    free(first);
    free(second);
    close(fd);
}

static void line__beyond_the_bound__closes_the_connection(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
    char text[9001];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 0;
    probe_send(fd, text);
    char *answer = probe_answer(fd);
    assert_string_equal(answer, "ERROR the line is longer than 8192 bytes\n\n");
    free(answer);
    assert_null(probe_answer(fd));
    close(fd);
}

static void help__lists__every_command(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
    char *answer = probe_ask(fd, "help"), *json = probe_ask(fd, "json help"), *some = probe_ask(fd, "help account");
    for (unsigned i = 0; i < command_count; i++) {
        assert_non_null(strstr(answer, commands[i].name));
        assert_non_null(strstr(answer, commands[i].text));
        assert_non_null(strstr(json, commands[i].text));
        assert_int_equal(strstr(some, commands[i].text) != NULL, strncmp(commands[i].name, "account", 7) == 0);
    }
    free(answer);
    free(json);
    free(some);
    close(fd);
}

static void quit__closes__behind_its_answer(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
    char *answer = probe_ask(fd, "quit");
    assert_string_equal(answer, "OK\n\n");
    free(answer);
    assert_null(probe_answer(fd));
    close(fd);
}

/* ---- the process ---- */

static void process__commands__reach_the_hooks(void **state)
{
    (void)state;
    unsigned reloads = atomic_load(&control_probe.reloads);
    probe_expect(&control_probe, "json reload", "{\"notice\":\"shards needs a restart\"}\nOK\n\n");
    assert_int_equal(atomic_load(&control_probe.reloads), reloads + 1);
    atomic_store(&control_probe.reload_fails, true);
    probe_expect(&control_probe, "reload", "ERROR sluice.conf:7: shards: \"x\" is not a number\n\n");
    atomic_store(&control_probe.reload_fails, false);
    probe_expect(&control_probe, "drain", "OK\n\n");
    assert_int_equal(atomic_load(&control_probe.drains), 1);
    probe_expect(&control_probe, "stop", "OK\n\n");
    assert_int_equal(atomic_load(&control_probe.stops), 1);
    probe_expect(&control_probe, "log reopen", "OK\n\n");
    probe_expect(&control_probe, "log level error", "OK\n\n");
}

/* ---- many and slow clients ---- */

static void clients__beyond_the_bound__are_told(void **state)
{
    (void)state;
    int fds[CONTROL_CONSOLES];
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++) {
        fds[i] = probe_connect(&control_probe);
        char *answer = probe_ask(fds[i], "log level error");
        assert_string_equal(answer, "OK\n\n");
        free(answer);
    }
    int one_more = probe_connect(&control_probe);
    char *answer = probe_answer(one_more);
    assert_string_equal(answer, "ERROR too many connections to this socket\n\n");
    free(answer);
    close(one_more);
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++)
        close(fds[i]);
    usleep(50000);
    probe_expect(&control_probe, "log level error", "OK\n\n");
}

/* A client that reads nothing holds up itself only: its commands are not even taken, others are answered at once. */
static void client__that_does_not_read__holds_up_nobody(void **state)
{
    (void)state;
    int slow = probe_connect(&control_probe);
    fcntl(slow, F_SETFL, O_NONBLOCK);
    size_t sent = 0;
    for (unsigned i = 0; i < 20000; i++) {
        ssize_t size = send(slow, "show stats manual\n", 18, MSG_NOSIGNAL);
        if (size < 0 && errno == EAGAIN)
            break;
        assert_true(size > 0);
        sent += (size_t)size;
        if (i % 1000 == 0)
            usleep(1000);
    }
    assert_true(sent < 19000 * 18); /* it was stopped: the rest waits in its own buffers */
    uint64_t start_ms = clock_mono_ms();
    probe_expect(&control_probe, "log level error", "OK\n\n");
    assert_true(clock_mono_ms() - start_ms < 500);
    close(slow);
}

/* ---- the socket's file ---- */

static struct control_config bare_config(const char *path)
{
    return (struct control_config){.socket_path = path, .socket_mode = 0640, .context = &control_probe};
}

static void socket__left_over__is_replaced(void **state)
{
    (void)state;
    char path[160];
    struct err err = {""};
    snprintf(path, sizeof(path), "%s/left.sock", control_probe.folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
    struct control_config config = bare_config(path);
    struct control *control = control_new(&config, &err);
    if (control == NULL)
        fail_msg("%s", err.text);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
    control_free(control);
    assert_int_not_equal(stat(path, &status), 0);
}

static void socket__in_use__is_left_alone(void **state)
{
    (void)state;
    struct err err = {""};
    struct control_config config = bare_config(control_probe.socket_path);
    assert_null(control_new(&config, &err));
    char expected[256];
    snprintf(expected, sizeof(expected), "admin.socket: another process listens on %s", control_probe.socket_path);
    assert_string_equal(err.text, expected);
    probe_expect(&control_probe, "log level error", "OK\n\n");
}

static void socket__where_a_file_is__is_refused(void **state)
{
    (void)state;
    char path[160], expected[256];
    struct err err = {""};
    snprintf(path, sizeof(path), "%s/file", control_probe.folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    struct control_config config = bare_config(path);
    assert_null(control_new(&config, &err));
    snprintf(expected, sizeof(expected), "admin.socket: %s exists and is not a socket", path);
    assert_string_equal(err.text, expected);
    unlink(path);
    config.socket_path = "/nonexistent/x.sock";
    assert_null(control_new(&config, &err));
    assert_string_equal(err.text,
                        "admin.socket: /nonexistent/x.sock: its folder does not exist: make it, writable for the "
                        "router's user");
}

static void socket__of_long_path__works(void **state)
{
    (void)state;
    char folder[300], path[320];
    struct err err = {""};
    snprintf(folder, sizeof(folder), "%s/%0200d", control_probe.folder, 1);
    assert_int_equal(mkdir(folder, 0700), 0);
    snprintf(path, sizeof(path), "%s/stats.sock", folder);
    struct control_config config = bare_config(path);
    struct control *control = control_new(&config, &err);
    if (control == NULL)
        fail_msg("%s", err.text);
    assert_int_equal(access(path, F_OK), 0);
    control_free(control);
    assert_int_not_equal(access(path, F_OK), 0);
    rmdir(folder);
}

/* ---- time-outs: one console without a thread, its clock in the test's hand ---- */

struct lone {
    struct control *control;
    struct console *console;
    int fd;
};

static void lone_start(struct lone *lone)
{
    struct err err;
    int pair[2];
    struct control_config config = {.context = &control_probe};
    lone->control = control_new(&config, &err);
    assert_non_null(lone->control);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct epoll_event event = {.events = EPOLLIN};
    assert_int_equal(epoll_ctl(lone->control->epoll, EPOLL_CTL_ADD, pair[0], &event), 0);
    lone->control->now_ms = 1000000;
    lone->console = &lone->control->consoles[0];
    console_open(lone->console, lone->control, pair[0]);
    lone->fd = pair[1];
}

static void lone_say(struct lone *lone, const char *text)
{
    probe_send(lone->fd, text);
    console_ready(lone->console, EPOLLIN);
    console_turn(lone->console, lone->control->now_ms);
}

static void lone_end(struct lone *lone)
{
    control_free(lone->control);
    close(lone->fd);
}

static void console__that_says_nothing__is_closed_in_its_time(void **state)
{
    (void)state;
    struct lone lone;
    lone_start(&lone);
    lone_say(&lone, "log level error\n");
    free(probe_answer(lone.fd));
    console_turn(lone.console, lone.control->now_ms + CONSOLE_IDLE_MS - 1);
    assert_true(lone.console->fd >= 0);
    console_turn(lone.console, lone.control->now_ms + CONSOLE_IDLE_MS);
    assert_int_equal(lone.console->fd, -1);
    assert_null(probe_answer(lone.fd));
    lone_end(&lone);
}

static void console__whose_answer_nobody_reads__is_closed_in_its_time(void **state)
{
    (void)state;
    struct lone lone;
    lone_start(&lone);
    for (unsigned i = 0; i < 2000 && console_waiting(lone.console) == 0; i++)
        lone_say(&lone, "show stats manual\nshow stats manual\n");
    assert_true(console_waiting(lone.console) > 0);
    console_turn(lone.console, lone.control->now_ms + CONSOLE_STALL_MS - 1);
    assert_true(lone.console->fd >= 0);
    console_turn(lone.console, lone.control->now_ms + CONSOLE_STALL_MS);
    assert_int_equal(lone.console->fd, -1);
    lone_end(&lone);
}

static void certificates__without_an_inspector__are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"show certs peers\n", "show certs distrusted\n", "certs check a.example\n",
                                        "certs distrust 0f\n", "certs trust 0f\n"};
    struct lone lone;
    lone_start(&lone);
    for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        lone_say(&lone, lines[i]);
        char *answer = probe_answer(lone.fd);
        assert_string_equal(answer, "ERROR this router was started without the part that checks certificates\n\n");
        free(answer);
    }
    lone_end(&lone);
}

static void accounts__without_a_store__are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {"account add a@localhost\n", "account del a@localhost\n", "account list\n",
                                        "account export\n", "account import\n"};
    struct lone lone;
    lone_start(&lone);
    for (unsigned i = 0; i < 5; i++) {
        lone_say(&lone, lines[i]);
        char *answer = probe_answer(lone.fd);
        assert_string_equal(answer, "ERROR there is no store\n\n");
        free(answer);
    }
    lone_end(&lone);
}

/* ---- signals: a process of its own, since they are the process's ---- */

static bool reload_and_wait(void *context, struct err *notice, struct err *err)
{
    (void)notice;
    (void)err;
    atomic_fetch_add(&((struct probe *)context)->reloads, 1);
    kill(getpid(), SIGTERM);
    return true;
}

static void stop_by_signal(void *context, bool drain)
{
    struct probe *own = context;
    atomic_fetch_add(drain ? &own->drains : &own->stops, 1);
    if (drain)
        kill(getpid(), SIGINT);
    else
        control_quit(own->control);
}

static void signals__in_order__reload_drain_and_stop(void **state)
{
    (void)state;
    struct probe own = {0};
    struct err err = {""};
    sigset_t before;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    control_block_signals();
    struct control_config config = {
        .takes_signals = true, .hooks = {.reload = reload_and_wait, .stop = stop_by_signal}, .context = &own};
    own.control = control_new(&config, &err);
    assert_non_null(own.control);
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGHUP);
    control_run(own.control);
    control_free(own.control);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(atomic_load(&own.reloads), 1);
    assert_int_equal(atomic_load(&own.drains), 1);
    assert_int_equal(atomic_load(&own.stops), 1);
}

/* ---- documentation ---- */

static void admin_page__of_docs__names_every_command(void **state)
{
    (void)state;
    char name[512];
    snprintf(name, sizeof(name), "%s/docs/ADMIN.md", getenv("SL_SOURCE_ROOT"));
    FILE *file = fopen(name, "r");
    assert_non_null(file);
    char *text = calloc(1, 1 << 18);
    assert_true(fread(text, 1, (1 << 18) - 1, file) > 0);
    fclose(file);
    for (unsigned i = 0; i < command_count; i++) {
        snprintf(name, sizeof(name), "| `%s%s%s` | %s |", commands[i].name, commands[i].args[0] != 0 ? " " : "",
                 commands[i].args, commands[i].text);
        /* A bar ends a cell of a table. */
        char escaped[1024], *to = escaped;
        for (const char *c = name + 2; *c != 0; c++) {
            if (*c == '|' && c[1] != ' ' && c[1] != 0)
                *to++ = '\\';
            *to++ = *c;
        }
        *to = 0;
        if (strstr(text, escaped) == NULL)
            fail_msg("docs/ADMIN.md lacks: | %s", escaped);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(signals__in_order__reload_drain_and_stop),
        cmocka_unit_test(console__that_says_nothing__is_closed_in_its_time),
        cmocka_unit_test(console__whose_answer_nobody_reads__is_closed_in_its_time),
        cmocka_unit_test(accounts__without_a_store__are_refused),
        cmocka_unit_test(certificates__without_an_inspector__are_refused),
        cmocka_unit_test(admin_page__of_docs__names_every_command),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command__that_is_unknown__is_an_error),
        cmocka_unit_test(command__with_wrong_arguments__tells_its_usage),
        cmocka_unit_test(commands__sent_at_once__are_answered_in_order),
        cmocka_unit_test(line__cut_anywhere__is_put_together),
        cmocka_unit_test(line__beyond_the_bound__closes_the_connection),
        cmocka_unit_test(help__lists__every_command),
        cmocka_unit_test(quit__closes__behind_its_answer),
        cmocka_unit_test(process__commands__reach_the_hooks),
        cmocka_unit_test(clients__beyond_the_bound__are_told),
        cmocka_unit_test(client__that_does_not_read__holds_up_nobody),
        cmocka_unit_test(socket__left_over__is_replaced),
        cmocka_unit_test(socket__in_use__is_left_alone),
        cmocka_unit_test(socket__where_a_file_is__is_refused),
        cmocka_unit_test(socket__of_long_path__works),
    };
    log_set_level(LOG_ERROR);
    int failed = cmocka_run_group_tests_name("control, alone", alone, NULL, NULL);
    return failed + cmocka_run_group_tests_name("control", tests, probe_setup, probe_teardown);
}
