/* SPDX-License-Identifier: MIT */
/*
 * Sluicectl: passes a command to a running router over its admin socket and prints the answer.
 *
 * Exit status: 0 done, 1 the router refused it, 2 wrong use, 3 no connection.
 */
#include "tools/sluicectl_priv.h"

#include "router/admin/socket_path.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define SOCKET_DEFAULT "/run/sluice/sluice.sock"
#define COMMAND_MAX    8000u
#define PASSWORD_MAX   1024u

enum exit_status { EXIT_DONE, EXIT_REFUSED, EXIT_USAGE, EXIT_LOST };

static const char usage_text[] =
    "usage: sluicectl [--socket PATH] [--json] COMMAND...\n"
    "       sluicectl [--socket PATH] top [SECONDS [COUNT]]\n"
    "\n"
    "Passes COMMAND to a running router and prints its answer; \"sluicectl help\" lists the commands.\n"
    "\n"
    "  --socket PATH   the router's admin.socket; else $SLUICE_SOCKET, else " SOCKET_DEFAULT "\n"
    "  --json          the answer as one line of JSON\n"
    "\n"
    "account add and account passwd ask for the password, or read one line of standard input if that is no terminal.\n"
    "account import reads standard input. top shows the counters and their rates.\n"
    "\n"
    "Exit status: 0 done, 1 the router refused it, 2 wrong use, 3 no connection.\n";

bool ctl_send(struct ctl *ctl, const char *line)
{
    return fprintf(ctl->out, "%s\n", line) >= 0 && fflush(ctl->out) == 0;
}

static enum ctl_status status_of(struct ctl *ctl, const char *line)
{
    const char *blank = strchr(line, ' ');
    snprintf(ctl->reason, sizeof(ctl->reason), "%s", blank == NULL ? line : blank + 1);
    if (strcmp(line, "OK") == 0)
        return CTL_OK;
    return strncmp(line, "MORE ", 5) == 0 ? CTL_MORE : CTL_ERROR;
}

/* The status line is the last one before the empty line, so each line is held back until the next one is there. */
enum ctl_status ctl_answer(struct ctl *ctl, ctl_line_fn line, void *context)
{
    char *held = NULL;
    size_t held_room = 0;
    bool has_held = false;
    enum ctl_status status = CTL_LOST;
    ssize_t size;
    while ((size = getline(&ctl->line, &ctl->line_room, ctl->in)) > 0) {
        if (ctl->line[size - 1] == '\n')
            ctl->line[size - 1] = 0;
        if (ctl->line[0] == 0 && has_held) {
            status = status_of(ctl, held);
            break;
        }
        if (has_held)
            line(context, held);
        char *swap = held;
        size_t swap_room = held_room;
        held = ctl->line;
        held_room = ctl->line_room;
        ctl->line = swap;
        ctl->line_room = swap_room;
        has_held = true;
    }
    free(held);
    return status;
}

static void print_line(void *context, const char *line)
{
    (void)context;
    puts(line);
}

static bool ctl_open(struct ctl *ctl, const char *path)
{
    struct socket_path socket_path;
    struct err err;
    if (!socket_path_open(&socket_path, path, &err)) {
        fprintf(stderr, "sluicectl: %s\n", err.text);
        return false;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&socket_path.address, sizeof(socket_path.address)) == 0;
    int error = errno;
    socket_path_close(&socket_path);
    if (!ok) {
        fprintf(stderr, "sluicectl: %s: %s%s\n", path, strerror(error),
                error == ENOENT || error == ECONNREFUSED ? " (is the router running?)" : "");
        return false;
    }
    ctl->in = fdopen(fd, "r");
    ctl->out = fdopen(dup(fd), "w");
    return ctl->in != NULL && ctl->out != NULL;
}

/* Asks on the terminal without echo. False at its end. */
static bool ask_terminal(const char *prompt, char out[PASSWORD_MAX])
{
    struct termios before, silent;
    fputs(prompt, stderr);
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    bool ok = fgets(out, PASSWORD_MAX, stdin) != NULL;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return ok;
}

/* One line into out, without its newline; twice from a terminal. */
static bool read_password(char out[PASSWORD_MAX])
{
    char again[PASSWORD_MAX];
    bool ok;
    if (isatty(STDIN_FILENO)) {
        ok = ask_terminal("Password: ", out) && ask_terminal("Again: ", again);
        if (ok && strcmp(out, again) != 0) {
            fputs("sluicectl: the two passwords differ; nothing was changed\n", stderr);
            ok = false;
        }
        explicit_bzero(again, sizeof(again));
    } else {
        ok = fgets(out, PASSWORD_MAX, stdin) != NULL;
        if (!ok)
            fputs("sluicectl: no password on standard input\n", stderr);
    }
    size_t size = ok ? strlen(out) : 0;
    if (size == PASSWORD_MAX - 1 && out[size - 1] != '\n') {
        fprintf(stderr, "sluicectl: the password has more than %u bytes\n", PASSWORD_MAX - 2);
        return false;
    }
    if (size > 0 && out[size - 1] == '\n')
        out[size - 1] = 0;
    return ok;
}

static bool send_password(struct ctl *ctl)
{
    char password[PASSWORD_MAX];
    setvbuf(stdin, NULL, _IONBF, 0); /* no copy of it stays in a buffer */
    setvbuf(ctl->out, NULL, _IONBF, 0);
    bool ok = read_password(password) && ctl_send(ctl, password);
    explicit_bzero(password, sizeof(password));
    return ok;
}

static bool send_input(struct ctl *ctl)
{
    ssize_t size;
    while ((size = getline(&ctl->line, &ctl->line_room, stdin)) > 0) {
        if (ctl->line[size - 1] == '\n')
            ctl->line[size - 1] = 0;
        if (strcmp(ctl->line, ".") != 0 && fprintf(ctl->out, "%s\n", ctl->line) < 0)
            return false;
    }
    return ctl_send(ctl, ".");
}

/* The words as one line; one with blanks goes in quotes. */
static bool join(int count, char **words, bool is_json, char out[COMMAND_MAX])
{
    size_t size = (size_t)snprintf(out, COMMAND_MAX, "%s", is_json ? "json" : "");
    for (int i = 0; i < count; i++) {
        bool has_blank = strpbrk(words[i], " \t") != NULL || words[i][0] == 0;
        if (strpbrk(words[i], "\"\n\r") != NULL || strlen(words[i]) + size + 4 > COMMAND_MAX) {
            fprintf(stderr, "sluicectl: \"%s\" cannot be part of a command\n", words[i]);
            return false;
        }
        size += (size_t)snprintf(out + size, COMMAND_MAX - size, "%s%s%s%s", size > 0 ? " " : "", has_blank ? "\"" : "",
                                 words[i], has_blank ? "\"" : "");
    }
    return true;
}

static int run(struct ctl *ctl, const char *command, bool takes_password)
{
    if (!ctl_send(ctl, command))
        return EXIT_LOST;
    enum ctl_status status = ctl_answer(ctl, print_line, NULL);
    if (status == CTL_MORE) {
        if (!(takes_password ? send_password(ctl) : send_input(ctl)))
            return takes_password ? EXIT_USAGE : EXIT_LOST;
        status = ctl_answer(ctl, print_line, NULL);
    }
    if (status == CTL_LOST) {
        fputs("sluicectl: the connection ended before the answer\n", stderr);
        return EXIT_LOST;
    }
    if (status != CTL_OK)
        fprintf(stderr, "sluicectl: %s\n", ctl->reason);
    return status == CTL_OK ? EXIT_DONE : EXIT_REFUSED;
}

static int run_top(struct ctl *ctl, int count, char **words)
{
    int seconds = count > 1 ? atoi(words[1]) : 1;
    int times = count > 2 ? atoi(words[2]) : 0;
    if (seconds < 1 || times < 0 || count > 3) {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    return top(ctl, (unsigned)seconds, (unsigned)times);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"socket", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = getenv("SLUICE_SOCKET");
    bool is_json = false;
    int option;
    while ((option = getopt_long(argc, argv, "+s:jh", options, NULL)) != -1) {
        if (option == 's') {
            path = optarg;
        } else if (option == 'j') {
            is_json = true;
        } else {
            fputs(usage_text, option == 'h' ? stdout : stderr);
            return option == 'h' ? EXIT_DONE : EXIT_USAGE;
        }
    }
    int count = argc - optind;
    char **words = argv + optind;
    char command[COMMAND_MAX];
    if (count == 0) {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    if (!join(count, words, is_json, command))
        return EXIT_USAGE;
    struct ctl ctl = {0};
    if (!ctl_open(&ctl, path == NULL || path[0] == 0 ? SOCKET_DEFAULT : path))
        return EXIT_LOST;
    bool takes_password = count > 1 && strcmp(words[0], "account") == 0 && strcmp(words[1], "import") != 0;
    int status = strcmp(words[0], "top") == 0 ? run_top(&ctl, count, words) : run(&ctl, command, takes_password);
    fclose(ctl.in);
    fclose(ctl.out);
    free(ctl.line);
    return status;
}
