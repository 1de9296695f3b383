/* SPDX-License-Identifier: MIT */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "router/admin/command_priv.h"
#include "router/admin/control_priv.h"
#include "router/store/account.h"
#include "tests/unit/router/control_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

static struct probe probe;

static int start(void **state)
{
    (void)state;
    probe_start(&probe);
    return 0;
}

static int end(void **state)
{
    (void)state;
    probe_stop(&probe);
    return 0;
}

static void add_account(int fd, const char *jid, const char *password)
{
    char line[512];
    snprintf(line, sizeof(line), "account add %s", jid);
    char *answer = probe_ask(fd, line);
    assert_string_equal(answer, "MORE the password\n\n");
    free(answer);
    answer = probe_ask(fd, password);
    assert_string_equal(answer, "OK\n\n");
    free(answer);
}

/* ---- the protocol ---- */

static void command__that_is_unknown__is_an_error(void **state)
{
    (void)state;
    probe_expect(&probe, "dance", "ERROR unknown command \"dance\": see help\n\n");
    probe_expect(&probe, "show", "ERROR unknown command \"show\": see help\n\n");
    probe_expect(&probe, "show infos", "ERROR unknown command \"show\": see help\n\n");
    probe_expect(&probe, "json", "ERROR json stands before a command\n\n");
    probe_expect(&probe, "json json show info", "ERROR unknown command \"json\": see help\n\n");
    probe_expect(&probe, "help dance", "ERROR no such command\n\n");
    probe_expect(&probe, "\x01\x02", "ERROR unknown command \"??\": see help\n\n");
}

static void command__with_wrong_arguments__tells_its_usage(void **state)
{
    (void)state;
    probe_expect(&probe, "account add", "ERROR usage: account add JID\n\n");
    probe_expect(&probe, "account add a b", "ERROR usage: account add JID\n\n");
    probe_expect(&probe, "reload now", "ERROR usage: reload\n\n");
    probe_expect(&probe, "show sessions 1 2 3", "ERROR usage: show sessions [N] [PREFIX]\n\n");
    probe_expect(&probe, "show sessions x y", "ERROR the first word is not a number up to 1000000\n\n");
    probe_expect(&probe, "log level loud", "ERROR usage: log level error|warn|info|debug\n\n");
    probe_expect(&probe, "account import now", "ERROR usage: account import [replace]\n\n");
    probe_expect(&probe, "1 2 3 4 5 6 7 8 9", "ERROR a quote that is not closed, or more than 8 words\n\n");
    probe_expect(&probe, "account del \"a", "ERROR a quote that is not closed, or more than 8 words\n\n");
}

static void commands__sent_at_once__are_answered_in_order(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
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
    int fd = probe_connect(&probe);
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
    int fd = probe_connect(&probe);
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
    int fd = probe_connect(&probe);
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
    int fd = probe_connect(&probe);
    char *answer = probe_ask(fd, "quit");
    assert_string_equal(answer, "OK\n\n");
    free(answer);
    assert_null(probe_answer(fd));
    close(fd);
}

/* ---- show ---- */

static void show_info__tells__facts_and_sums(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    char *text = probe_ask(fd, "show info"), *json = probe_ask(fd, "json show info");
    assert_non_null(strstr(text, "version: 0.0-test\ntls: \"none at all\"\npid: "));
    assert_non_null(strstr(text, "\nconnections: 3\n"));
    assert_true(strncmp(json, "{\"version\":\"0.0-test\",\"tls\":\"none at all\",\"pid\":", 46) == 0);
    assert_non_null(strstr(json, "}\nOK\n\n"));
    free(text);
    free(json);
    close(fd);
}

static void show_stats__sums__the_shards(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    char *text = probe_ask(fd, "show stats"), *json = probe_ask(fd, "json show stats");
    assert_non_null(strstr(text, "connections_accepted total=30 shards=[10,20]\n"));
    assert_non_null(strstr(text, "\nconnections total=3 shards=[1,2]\n"));
    assert_non_null(strstr(json, "{\"name\":\"connections_accepted\",\"total\":30,\"shards\":[10,20]}"));
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        assert_non_null(strstr(text, counter_infos[i].name));
    free(text);
    free(json);
    text = probe_ask(fd, "show stats manual");
    assert_non_null(strstr(text, "connections kind=gauge text=\"Connections open on this shard now.\"\n"));
    free(text);
    text = probe_ask(fd, "show metrics");
    assert_non_null(strstr(text, "# TYPE sluice_connections_accepted_total counter\n"
                                 "sluice_connections_accepted_total{shard=\"0\"} 10\n"
                                 "sluice_connections_accepted_total{shard=\"1\"} 20\n"));
    assert_non_null(strstr(text, "sluice_connections{shard=\"1\"} 2\n"));
    free(text);
    text = probe_ask(fd, "show shards");
    assert_non_null(strstr(text, "1 connections=2 connections_accepted=20 handoffs_in=0 "));
    free(text);
    close(fd);
}

static void show_config__has__keys_and_sources(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    char *text = probe_ask(fd, "show config"), *json = probe_ask(fd, "json show limits");
    assert_non_null(strstr(text, "\ntls.required value=false line=1\n"));
    assert_non_null(strstr(text, "\nsasl.iterations value=4096 from=--set\n"));
    assert_non_null(strstr(text, "domain value=xn--bcher-kva.example") != NULL ? text : strstr(text, "domain value="));
    assert_non_null(strstr(json, "{\"key\":\"limits.queue_hard\",\"value\":\"1MiB\",\"from\":\"default\"}"));
    assert_null(strstr(json, "sasl."));
    free(text);
    free(json);
    close(fd);
}

static void show_sessions__of_all_shards__in_pieces(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    char *text = probe_ask(fd, "show sessions");
    static const char first[] = "\"s0u00000@localhost/r \\\"0\\\"\" shard=0 address=127.0.0.1 tls=TLSv1.3 "
                                "mechanism=SCRAM-SHA-256-PLUS available=true priority=-1 age_s=61 queued=0\n";
    assert_memory_equal(text, first, sizeof(first) - 1);
    unsigned lines = 0;
    for (char *c = text; *c != 0; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 6 + 2);
    free(text);
    text = probe_ask(fd, "json show sessions 2 s1u");
    assert_true(text[0] == '[' && strstr(text, "s1u00000") != NULL && strstr(text, "s1u00001") != NULL);
    assert_null(strstr(text, "s1u00002"));
    assert_null(strstr(text, "s0u"));
    assert_non_null(strstr(text, "}]\nOK\n\n"));
    free(text);
    text = probe_ask(fd, "json show sessions nobody");
    assert_string_equal(text, "[]\nOK\n\n");
    free(text);
    text = probe_ask(fd, "show sessions 0");
    assert_string_equal(text, "OK\n\n");
    free(text);
    close(fd);
}

/* More rows than one ask has room for, and more than CONSOLE_OUT_HIGH: both bounds are passed many times. */
static void show_sessions__of_thousands__is_complete(void **state)
{
    (void)state;
    probe.sessions = 4000;
    probe.scan = 300;
    int fd = probe_connect(&probe);
    char *text = probe_ask(fd, "show sessions 100000");
    assert_non_null(text);
    const char *at = text;
    for (unsigned i = 0; i < 8000; i++) {
        char jid[64];
        snprintf(jid, sizeof(jid), "\"s%uu%05u@", i / 4000, i % 4000);
        assert_true(strncmp(at, jid, strlen(jid)) == 0);
        at = strchr(at, '\n') + 1;
    }
    assert_string_equal(at, "OK\n\n");
    free(text);
    close(fd);
    probe.sessions = 3;
    probe.scan = 1000;
}

static void show_sessions__while_links_are_full__comes_later(void **state)
{
    (void)state;
    atomic_store(&probe.asks_are_refused, true);
    int fd = probe_connect(&probe);
    probe_send(fd, "show sessions\n");
    usleep(30000);
    atomic_store(&probe.asks_are_refused, false);
    char *text = probe_answer(fd);
    assert_non_null(strstr(text, "s1u00002"));
    free(text);
    close(fd);
}

static void show_sessions__of_client_that_leaves__is_let_go(void **state)
{
    (void)state;
    pthread_mutex_lock(&probe.lock);
    probe.is_held = true;
    pthread_mutex_unlock(&probe.lock);
    for (unsigned i = 0; i < 5; i++) {
        int fd = probe_connect(&probe);
        probe_send(fd, "show sessions\n");
        usleep(5000);
        shutdown(fd, SHUT_RDWR);
        close(fd);
    }
    probe_expect(&probe, "log level error", "OK\n\n"); /* others are served meanwhile */
    pthread_mutex_lock(&probe.lock);
    assert_true(probe.ask_count > 0);
    probe.is_held = false;
    pthread_cond_signal(&probe.asked);
    pthread_mutex_unlock(&probe.lock);
    int fd = probe_connect(&probe);
    char *text = probe_ask(fd, "show sessions");
    assert_non_null(strstr(text, "s1u00002"));
    free(text);
    close(fd);
}

/* ---- the process ---- */

static void process__commands__reach_the_hooks(void **state)
{
    (void)state;
    unsigned reloads = atomic_load(&probe.reloads);
    probe_expect(&probe, "json reload", "{\"notice\":\"shards needs a restart\"}\nOK\n\n");
    assert_int_equal(atomic_load(&probe.reloads), reloads + 1);
    atomic_store(&probe.reload_fails, true);
    probe_expect(&probe, "reload", "ERROR sluice.conf:7: shards: \"x\" is not a number\n\n");
    atomic_store(&probe.reload_fails, false);
    probe_expect(&probe, "drain", "OK\n\n");
    assert_int_equal(atomic_load(&probe.drains), 1);
    probe_expect(&probe, "stop", "OK\n\n");
    assert_int_equal(atomic_load(&probe.stops), 1);
    probe_expect(&probe, "log reopen", "OK\n\n");
    probe_expect(&probe, "log level error", "OK\n\n");
}

/* ---- accounts ---- */

static void account__of_its_life__is_added_listed_and_deleted(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    add_account(fd, "Romeo@LOCALHOST", "secret");
    assert_string_equal(probe.changed, "password romeo@localhost");
    char *answer = probe_ask(fd, "account list 10 romeo@");
    assert_string_equal(answer, "romeo@localhost iterations=4096 sha1=true sha256=true disabled=false\nOK\n\n");
    free(answer);
    /* The keys are those of the password: the exported line says so. */
    answer = probe_ask(fd, "account export romeo@");
    struct span line = span_of(answer, strcspn(answer, "\n")), jid;
    struct account account;
    const char *why = NULL;
    assert_true(account_from_line(line, &jid, &account, &why));
    assert_true(span_is(jid, "romeo@localhost"));
    assert_true(account_verify(&account, SPAN("secret")));
    assert_false(account_verify(&account, SPAN("Secret")));
    free(answer);
    free(probe_ask(fd, "account passwd romeo@localhost"));
    answer = probe_ask(fd, "another \xc2\xa0one");
    assert_string_equal(answer, "OK\n\n");
    free(answer);
    answer = probe_ask(fd, "account export romeo@");
    assert_true(account_from_line(span_of(answer, strcspn(answer, "\n")), &jid, &account, &why));
    assert_true(account_verify(&account, SPAN("another  one"))); /* RFC 8265 s4.2.2: blanks become ASCII */
    free(answer);
    answer = probe_ask(fd, "account del romeo@localhost");
    assert_string_equal(answer, "OK\n\n");
    free(answer);
    assert_string_equal(probe.changed, "deleted romeo@localhost");
    answer = probe_ask(fd, "json account list");
    assert_string_equal(answer, "[]\nOK\n\n");
    free(answer);
    close(fd);
}

/* Disabled, it keeps its password; a new password keeps it disabled; the export tells, and an import takes it. */
static void account__disabled__stays_so_until_enabled(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    add_account(fd, "off@localhost", "secret");
    static const struct {
        const char *command, *changed, *listed;
    } steps[] = {
        {"account disable off@localhost", "disabled off@localhost", "disabled=true"},
        {"account disable off@localhost", "disabled off@localhost", "disabled=true"},
        {"account passwd off@localhost", "password off@localhost", "disabled=true"},
        {"account enable off@localhost", "enabled off@localhost", "disabled=false"},
        {"account passwd off@localhost", "password off@localhost", "disabled=false"},
        {"account disable off@localhost", "disabled off@localhost", "disabled=true"},
    };
    for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char *answer = probe_ask(fd, steps[i].command);
        if (strstr(steps[i].command, "passwd")) {
            free(answer);
            answer = probe_ask(fd, "other");
        }
        assert_string_equal(answer, "OK\n\n");
        free(answer);
        assert_string_equal(probe.changed, steps[i].changed);
        answer = probe_ask(fd, "account list off@");
        assert_non_null(strstr(answer, steps[i].listed));
        free(answer);
    }
    char *line = probe_ask(fd, "account export off@");
    struct span jid;
    struct account account;
    const char *why = NULL;
    *strchr(line, '\n') = '\0';
    assert_true(account_from_line(span_str(line), &jid, &account, &why));
    assert_true(account.is_disabled && account_verify(&account, SPAN("other")));
    free(probe_ask(fd, "account del off@localhost"));
    free(probe_ask(fd, "account import"));
    char text[ACCOUNT_LINE_MAX + 4];
    snprintf(text, sizeof text, "%s\n.", line);
    free(probe_ask(fd, text));
    free(line);
    char *answer = probe_ask(fd, "account list off@");
    assert_non_null(strstr(answer, "disabled=true"));
    free(answer);
    free(probe_ask(fd, "account del off@localhost"));
    answer = probe_ask(fd, "account disable off@localhost");
    assert_string_equal(answer, "ERROR there is no such account\n\n");
    free(answer);
    close(fd);
}

/* Two consoles at the same account: whatever the order, neither change is lost. */
static void account__changed_from_two_consoles__keeps_both(void **state)
{
    (void)state;
    int first = probe_connect(&probe), second = probe_connect(&probe);
    add_account(first, "both@localhost", "old");
    for (unsigned i = 0; i < 20; i++) {
        bool disables = i % 2 == 0;
        char text[32];
        struct span jid;
        struct account account;
        const char *why = NULL;
        snprintf(text, sizeof text, "new%u\n", i);
        const char *command = disables ? "account disable both@localhost\n" : "account enable both@localhost\n";
        free(probe_ask(first, "account passwd both@localhost"));
        probe_send(second, command);
        probe_send(first, text);
        char *answer = probe_answer(first);
        assert_string_equal(answer, "OK\n\n");
        free(answer);
        answer = probe_answer(second);
        assert_string_equal(answer, "OK\n\n");
        free(answer);
        char *line = probe_ask(first, "account export both@");
        assert_true(account_from_line(span_of(line, strcspn(line, "\n")), &jid, &account, &why));
        free(line);
        assert_int_equal(account.is_disabled, disables);
        text[strlen(text) - 1] = '\0';
        assert_true(account_verify(&account, span_str(text)));
    }
    free(probe_ask(first, "account del both@localhost"));
    close(first);
    close(second);
}

static void account__that_cannot_be__is_refused(void **state)
{
    (void)state;
    unsigned changes = atomic_load(&probe.changes);
    int fd = probe_connect(&probe);
    add_account(fd, "taken@localhost", "x");
    free(probe_ask(fd, "account add taken@localhost"));
    char *answer = probe_ask(fd, "y");
    assert_string_equal(answer, "ERROR the account exists already\n\n");
    free(answer);
    free(probe_ask(fd, "account passwd missing@localhost"));
    answer = probe_ask(fd, "y");
    assert_string_equal(answer, "ERROR there is no such account\n\n");
    free(answer);
    free(probe_ask(fd, "account add empty@localhost"));
    answer = probe_ask(fd, "");
    assert_string_equal(answer, "ERROR the password is empty\n\n");
    free(answer);
    free(probe_ask(fd, "account add control@localhost"));
    answer = probe_ask(fd, "a\tb");
    assert_string_equal(answer, "ERROR the password has characters that are not allowed (RFC 8265 s4.2)\n\n");
    free(answer);
    free(probe_ask(fd, "account del taken@localhost"));
    close(fd);
    assert_int_equal(atomic_load(&probe.changes), changes + 2);
    probe_expect(&probe, "account del missing@localhost", "ERROR there is no such account\n\n");
    probe_expect(&probe, "account add a@elsewhere.example", "ERROR the domain is not served here\n\n");
    probe_expect(&probe, "account add localhost", "ERROR an account is named user@domain\n\n");
    probe_expect(&probe, "account add a@localhost/r", "ERROR an account is named user@domain\n\n");
    char line[700], expected[] = "ERROR the address is too long for the store\n\n";
    snprintf(line, sizeof(line), "account add %0500d@localhost", 1);
    probe_expect(&probe, line, expected);
    snprintf(line, sizeof(line), "account list %0500d", 1);
    probe_expect(&probe, line, "ERROR the prefix is too long\n\n");
}

/* A password never becomes a command, whatever came before it. */
static void account__refused_before_its_password__takes_no_line(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    char *answer = probe_ask(fd, "account add a@b@c");
    assert_true(strncmp(answer, "ERROR ", 6) == 0);
    free(answer);
    close(fd);
}

static struct account shared_account;

static char *export_lines(unsigned count, const char *name)
{
    char *text = malloc(count * 300u), *at = text;
    char jid[64], line[ACCOUNT_LINE_MAX];
    assert_non_null(text);
    for (unsigned i = 0; i < count; i++) {
        int size = snprintf(jid, sizeof(jid), "%s%05u@localhost", name, i);
        size_t line_size = account_to_line(span_of(jid, (size_t)size), &shared_account, line);
        assert_true(line_size < 299);
        memcpy(at, line, line_size);
        at += line_size;
        *at++ = '\n';
    }
    *at = 0;
    return text;
}

static void import__of_ten_thousand__takes_less_than_a_second(void **state)
{
    (void)state;
    account_derive(&shared_account, SPAN("secret"), SPAN("salt"), 4096);
    char *text = export_lines(10000, "user");
    int fd = probe_connect(&probe);
    char *answer = probe_ask(fd, "account import");
    assert_string_equal(answer, "MORE accounts, then a dot\n\n");
    free(answer);
    uint64_t start_ms = clock_mono_ms();
    probe_send(fd, text);
    answer = probe_ask(fd, ".");
    uint64_t spent_ms = clock_mono_ms() - start_ms;
    assert_string_equal(answer, "summary imported=10000 refused=0\nOK\n\n");
    free(answer);
    print_message("10,000 accounts imported in %llu ms\n", (unsigned long long)spent_ms);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(spent_ms < 1000);
#endif
    /* What went in comes out, in the order of the names. */
    answer = probe_ask(fd, "account export user");
    assert_non_null(answer);
    size_t size = strlen(text);
    assert_int_equal(strlen(answer), size + 4);
    assert_memory_equal(answer, text, size);
    free(answer);
    /* And a second time nothing does, unless told to replace. */
    free(probe_ask(fd, "account import"));
    probe_send(fd, text);
    answer = probe_ask(fd, ".");
    assert_non_null(strstr(answer, "refused jid=user00019@localhost reason=\"the account exists already\"\n"
                                   "summary imported=0 refused=10000\nERROR 10000 of 10000 lines were refused\n\n"));
    free(answer);
    free(probe_ask(fd, "json account import replace"));
    probe_send(fd, text);
    answer = probe_ask(fd, ".");
    assert_string_equal(answer, "[{\"result\":\"summary\",\"imported\":10000,\"refused\":0}]\nOK\n\n");
    free(answer);
    close(fd);
    free(text);
}

static void import__with_bad_lines__names_them(void **state)
{
    (void)state;
    char *text = export_lines(1, "single");
    int fd = probe_connect(&probe);
    free(probe_ask(fd, "account import"));
    probe_send(fd, "# a comment\n\n");
    probe_send(fd, "nonsense\n");
    probe_send(fd, text);
    char *at = strchr(text, '@');
    probe_send(fd, "single@elsewhere");
    probe_send(fd, strchr(at, '\t'));
    char *answer = probe_ask(fd, ".");
    assert_true(strncmp(answer, "refused line=1 jid=", 19) == 0);
    assert_non_null(strstr(answer, "\nrefused line=3 jid=single@elsewhere reason=\"the domain is not served here\"\n"
                                   "summary imported=1 refused=2\nERROR 2 of 3 lines were refused\n\n"));
    free(answer);
    free(text);
    close(fd);
}

static void import__cut_off__ends_with_its_client(void **state)
{
    (void)state;
    char *text = export_lines(50, "cut");
    int fd = probe_connect(&probe);
    free(probe_ask(fd, "account import"));
    probe_send(fd, text);
    shutdown(fd, SHUT_WR);
    assert_null(probe_answer(fd));
    close(fd);
    free(text);
    int other = probe_connect(&probe);
    char *answer = probe_ask(other, "account list 100 cut");
    unsigned lines = 0;
    for (char *c = answer; *c != 0; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 50 + 2); /* what was whole is there */
    free(answer);
    close(other);
}

static void list__with_prefix__has_only_those(void **state)
{
    (void)state;
    int fd = probe_connect(&probe);
    add_account(fd, "m@localhost", "x");
    add_account(fd, "ma@localhost", "x");
    add_account(fd, "n@localhost", "x");
    char *answer = probe_ask(fd, "account list m");
    assert_string_equal(answer, "m@localhost iterations=4096 sha1=true sha256=true disabled=false\n"
                                "ma@localhost iterations=4096 sha1=true sha256=true disabled=false\nOK\n\n");
    free(answer);
    answer = probe_ask(fd, "account list 1 m");
    assert_string_equal(answer, "m@localhost iterations=4096 sha1=true sha256=true disabled=false\nOK\n\n");
    free(answer);
    answer = probe_ask(fd, "account list m@localhost");
    assert_string_equal(answer, "m@localhost iterations=4096 sha1=true sha256=true disabled=false\nOK\n\n");
    free(answer);
    answer = probe_ask(fd, "account list 0");
    assert_string_equal(answer, "OK\n\n");
    free(answer);
    close(fd);
}

/* ---- many and slow clients ---- */

static void clients__beyond_the_bound__are_told(void **state)
{
    (void)state;
    int fds[CONTROL_CONSOLES];
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++) {
        fds[i] = probe_connect(&probe);
        char *answer = probe_ask(fds[i], "log level error");
        assert_string_equal(answer, "OK\n\n");
        free(answer);
    }
    int one_more = probe_connect(&probe);
    char *answer = probe_answer(one_more);
    assert_string_equal(answer, "ERROR too many connections to this socket\n\n");
    free(answer);
    close(one_more);
    for (unsigned i = 0; i < CONTROL_CONSOLES; i++)
        close(fds[i]);
    usleep(50000);
    probe_expect(&probe, "log level error", "OK\n\n");
}

/* A client that reads nothing holds up itself only: its commands are not even taken, others are answered at once. */
static void client__that_does_not_read__holds_up_nobody(void **state)
{
    (void)state;
    int slow = probe_connect(&probe);
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
    probe_expect(&probe, "log level error", "OK\n\n");
    assert_true(clock_mono_ms() - start_ms < 500);
    close(slow);
}

/* ---- the socket's file ---- */

static struct control_config bare_config(const char *path)
{
    return (struct control_config){.socket_path = path, .socket_mode = 0640, .context = &probe};
}

static void socket__left_over__is_replaced(void **state)
{
    (void)state;
    char path[160];
    struct err err = {""};
    snprintf(path, sizeof(path), "%s/left.sock", probe.folder);
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
    struct control_config config = bare_config(probe.socket_path);
    assert_null(control_new(&config, &err));
    char expected[256];
    snprintf(expected, sizeof(expected), "admin.socket: another process listens on %s", probe.socket_path);
    assert_string_equal(err.text, expected);
    probe_expect(&probe, "log level error", "OK\n\n");
}

static void socket__where_a_file_is__is_refused(void **state)
{
    (void)state;
    char path[160], expected[256];
    struct err err = {""};
    snprintf(path, sizeof(path), "%s/file", probe.folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    struct control_config config = bare_config(path);
    assert_null(control_new(&config, &err));
    snprintf(expected, sizeof(expected), "admin.socket: %s exists and is not a socket", path);
    assert_string_equal(err.text, expected);
    unlink(path);
    config.socket_path = "/nonexistent/x.sock";
    assert_null(control_new(&config, &err));
    assert_string_equal(err.text, "admin.socket: /nonexistent/x.sock: No such file or directory");
}

static void socket__of_long_path__works(void **state)
{
    (void)state;
    char folder[300], path[320];
    struct err err = {""};
    snprintf(folder, sizeof(folder), "%s/%0200d", probe.folder, 1);
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
    struct control_config config = {.context = &probe};
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
        assert_string_equal(answer, "ERROR nobody watches over certificates\n\n");
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

/* ---- other servers ---- */

#define S2S_STREAM                                                                                                     \
    "there.example ours=localhost state=ready shard=0 direction=out bidi=true address=192.0.2.1 tls=TLSv1.3 cipher=C " \
    "proof=pkix certificate=valid expires=2030-01-01T00:00:00Z pairs=1 stanzas_in=3 bytes_in=300 stanzas_out=4 "       \
    "bytes_out=400 queued=7 age_s=61\n"
#define S2S_SLOW "slow.example ours=localhost state=connecting shard=1 queued=0 gives_up_s=1\n"
#define S2S_DOWN                                                                                                       \
    "down.example ours=localhost state=resting shard=1 queued=0 error=remote-server-timeout failures=3 next_s=8\n"

static void show_s2s__of_streams_and_pairs__tells_each(void **state)
{
    (void)state;
    probe_expect(&probe, "show s2s", S2S_STREAM S2S_SLOW S2S_DOWN "OK\n\n");
    probe_expect(&probe, "show s2s 2", S2S_STREAM S2S_SLOW "OK\n\n");
    probe_expect(&probe, "show s2s 9 down", S2S_DOWN "OK\n\n");
    probe_expect(&probe, "show s2s nowhere.example", "OK\n\n");
    probe_expect(
        &probe, "json show s2s slow",
        "[{\"theirs\":\"slow.example\",\"ours\":\"localhost\",\"state\":\"connecting\",\"shard\":1,\"queued\":0,"
        "\"gives_up_s\":1}]\nOK\n\n");
    probe_expect(&probe, "show s2s a b", "ERROR the first word is not a number up to 1000000\n\n");
}

static void s2s_test__of_a_domain__tells_steps_and_verdict(void **state)
{
    (void)state;
    static const char good[] = "resolve ok=true text=\"2 by SRV\"\nconnect ok=true text=192.0.2.1:5269\nOK\n\n";
    probe_expect(&probe, "s2s test there.example", good);
    probe_expect(&probe, "s2s test There.example LOCALHOST", good);
    probe_expect(&probe, "s2s test down.example",
                 "resolve ok=true text=\"2 by SRV\"\nconnect ok=false text=192.0.2.1:5269\n"
                 "ERROR down.example was not reached\n\n");
    probe_expect(&probe, "json s2s test there.example",
                 "[{\"step\":\"resolve\",\"ok\":true,\"text\":\"2 by SRV\"},"
                 "{\"step\":\"connect\",\"ok\":true,\"text\":\"192.0.2.1:5269\"}]\nOK\n\n");
    probe_expect(&probe, "s2s test there.example other.example", "ERROR FROM is none of the domains served here\n\n");
    probe_expect(&probe, "s2s test there.example a@b", "ERROR FROM is none of the domains served here\n\n");
    probe_expect(&probe, "s2s test localhost", "ERROR that domain is served here\n\n");
    probe_expect(&probe, "s2s test", "ERROR usage: s2s test DOMAIN [FROM]\n\n");
}

static void s2s_close__of_a_domain__asks_every_shard(void **state)
{
    (void)state;
    probe_expect(&probe, "s2s close there.example", "closed: 3\nOK\n\n");
    probe_expect(&probe, "s2s close THERE.Example", "closed: 3\nOK\n\n"); /* as it stands in addresses */
    probe_expect(&probe, "json s2s close other.example", "{\"closed\":0}\nOK\n\n");
    probe_expect(&probe, "s2s close", "ERROR usage: s2s close DOMAIN\n\n");
    int fd = probe_connect(&probe);
    char *answer = probe_ask(fd, "s2s close a@b");
    assert_memory_equal(answer, "ERROR not a domain: ", 20);
    free(answer);
    close(fd);
}

/* ---- certificates of others ---- */

#define CHAIN_FIRST                                                                                                    \
    "aa00000000000000 sha256=aa00 serial=0f names=there.example,.. streams=5000 expires=2030-01-01T00:00:00Z "         \
    "source=both url=\"http://ocsp.example/ x\" standing=unanswered answer=\"stale answer\" "                          \
    "stapled=false checked=2020-01-01T00:00:00Z next=2020-01-01T00:00:30Z asking=true\n"
#define CHAIN_SECOND                                                                                                   \
    "bb sha256=bb00 serial=00ff streams=0 source=file file=\"/a list\" standing=unchecked stapled=false "              \
    "asking=false\n"

static void show_certs_peers__of_chains__tells_each(void **state)
{
    (void)state;
    probe_expect(&probe, "show certs peers", CHAIN_FIRST CHAIN_SECOND "OK\n\n");
    probe_expect(&probe, "show certs peers 1", CHAIN_FIRST "OK\n\n");
    probe_expect(&probe, "show certs peers 0", "OK\n\n");
    probe_expect(&probe, "show certs peers 9 There.Example", CHAIN_FIRST "OK\n\n");
    probe_expect(&probe, "show certs peers there.example", CHAIN_FIRST "OK\n\n");
    probe_expect(&probe, "show certs peers a b", "ERROR the first word is not a number up to 4000\n\n");
    probe_expect(
        &probe, "json show certs peers",
        "[{\"certificate\":\"aa00000000000000\",\"sha256\":\"aa00\",\"serial\":\"0f\",\"names\":\"there.example,..\","
        "\"streams\":5000,\"expires\":\"2030-01-01T00:00:00Z\",\"source\":\"both\",\"url\":\"http://ocsp.example/ x\","
        "\"standing\":\"unanswered\",\"answer\":\"stale "
        "answer\",\"stapled\":false,\"checked\":\"2020-01-01T00:00:00Z\","
        "\"next\":\"2020-01-01T00:00:30Z\",\"asking\":true},"
        "{\"certificate\":\"bb\",\"sha256\":\"bb00\",\"serial\":\"00ff\",\"streams\":0,\"source\":\"file\",\"file\":\"/"
        "a list\","
        "\"standing\":\"unchecked\",\"stapled\":false,\"asking\":false}]\nOK\n\n");
}

static void show_certs__of_ours__tells_each(void **state)
{
    (void)state;
    probe_expect(&probe, "show certs",
                 "localhost depth=0 names=localhost issuer=\"An authority\" sha256=aa00 serial=0f "
                 "expires=2030-01-01T00:00:00Z days_left=-1 staple=good must_staple=met "
                 "staple_made=2020-01-01T00:00:00Z staple_until=2020-01-01T00:00:30Z failing=2020-01-01T00:00:10Z "
                 "answer=\"no answer\" url=http://ocsp.example checked=2020-01-01T00:00:10Z "
                 "next=2020-01-01T00:00:20Z\n"
                 "localhost depth=1 subject=\"An authority\" issuer=Root sha256=cc00 serial=01 "
                 "expires=2020-01-01T00:00:30Z days_left=3\n"
                 "broken.example use=s2s depth=0 sha256=bb00 serial=\"\" staple=off must_staple=unmet\nOK\n\n");
    probe_expect(&probe, "json show certs",
                 "[{\"domain\":\"localhost\",\"depth\":0,\"names\":\"localhost\",\"issuer\":\"An authority\","
                 "\"sha256\":\"aa00\",\"serial\":\"0f\",\"expires\":\"2030-01-01T00:00:00Z\",\"days_left\":-1,"
                 "\"staple\":\"good\",\"must_staple\":\"met\",\"staple_made\":\"2020-01-01T00:00:00Z\","
                 "\"staple_until\":\"2020-01-01T00:00:30Z\",\"failing\":\"2020-01-01T00:00:10Z\","
                 "\"answer\":\"no answer\",\"url\":\"http://ocsp.example\","
                 "\"checked\":\"2020-01-01T00:00:10Z\",\"next\":\"2020-01-01T00:00:20Z\"},"
                 "{\"domain\":\"localhost\",\"depth\":1,\"subject\":\"An authority\",\"issuer\":\"Root\","
                 "\"sha256\":\"cc00\",\"serial\":\"01\",\"expires\":\"2020-01-01T00:00:30Z\",\"days_left\":3},"
                 "{\"domain\":\"broken.example\",\"use\":\"s2s\",\"depth\":0,\"sha256\":\"bb00\",\"serial\":\"\","
                 "\"staple\":\"off\",\"must_staple\":\"unmet\"}]\nOK\n\n");
    int fd = probe_connect(&probe);
    char *answer = probe_ask(fd, "show metrics");
    assert_non_null(strstr(answer, "# TYPE sluice_certificate_expires_seconds gauge\n"
                                   "sluice_certificate_expires_seconds{domain=\"localhost\"} 1893456000\n# HELP"));
    assert_non_null(strstr(answer,
                           "# TYPE sluice_certificate_chain_expires_seconds gauge\n"
                           "sluice_certificate_chain_expires_seconds{domain=\"localhost\"} 1577836830\n# HELP"));
    assert_non_null(strstr(answer,
                           "# TYPE sluice_certificate_staple_expires_seconds gauge\n"
                           "sluice_certificate_staple_expires_seconds{domain=\"localhost\"} 1577836830\n"
                           "sluice_certificate_staple_expires_seconds{domain=\"broken.example\",use=\"s2s\"} 0\n"));
    assert_non_null(strstr(answer, "# TYPE sluice_certificate_staple_age_seconds gauge\n"
                                   "sluice_certificate_staple_age_seconds{domain=\"localhost\"} 12\nOK\n"));
    free(answer);
    close(fd);
    assert_int_equal(atomic_load(&probe.days), 1); /* at the start; not again today */
}

static void certs_check__of_a_domain__tells_how_many_chains(void **state)
{
    (void)state;
    probe_expect(&probe, "certs check There.Example", "chains: 2\nOK\n\n");
    probe_expect(&probe, "json certs check other.example", "{\"chains\":0}\nOK\n\n");
    probe_expect(&probe, "certs check", "ERROR usage: certs check DOMAIN\n\n");
    int fd = probe_connect(&probe);
    char *answer = probe_ask(fd, "certs check a@b");
    assert_memory_equal(answer, "ERROR not a domain: ", 20);
    free(answer);
    close(fd);
}

#define DIGITS_62 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcd"
#define NEITHER   "ERROR neither a serial number of up to 20 octets nor a SHA-256, in pairs of hex digits\n\n"

static void expect_distrusted(const char *line, const void *octets, size_t size)
{
    atomic_store(&probe.is_lasting, true);
    probe_expect(&probe, line, "chains: 3\nlasts: \"over restarts\"\nOK\n\n");
    assert_int_equal(probe.distrusted_size, size);
    assert_memory_equal(probe.distrusted, octets, size);
}

static void certs_distrust__of_hex__hits_what_it_names(void **state)
{
    (void)state;
    expect_distrusted("certs distrust 0f", "\x0f", 1);
    expect_distrusted("certs distrust 12:34:Ab", "\x12\x34\xab", 3);
    expect_distrusted("certs distrust 00", "\x00", 1);
    expect_distrusted("certs distrust 00000f", "\x0f", 1);
    expect_distrusted("certs distrust 00ff", "\x00\xff", 2); /* as DER and show certs peers have it */
    expect_distrusted("certs distrust FF", "\x00\xff", 2);   /* as openssl prints it */
    expect_distrusted("certs distrust ff00112233445566778899aabbccddeeff001122",
                      "\x00\xff\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00\x11\x22", 21);
    expect_distrusted("certs distrust " DIGITS_62 "Ef",
                      "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"
                      "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef",
                      32);
}

static void certs_distrust__without_a_file__says_that_it_does_not_last(void **state)
{
    (void)state;
    atomic_store(&probe.is_lasting, false);
    probe_expect(&probe, "json certs distrust 0f",
                 "{\"chains\":3,\"lasts\":\"until the process ends, for certs.cache_file is not set\"}\nOK\n\n");
}

static void certs_trust__of_hex__tells_whether_it_was_distrusted(void **state)
{
    (void)state;
    probe_expect(&probe, "certs trust 0F", "was_distrusted: true\nOK\n\n");
    assert_int_equal(probe.distrusted_size, 1);
    assert_memory_equal(probe.distrusted, "\x0f", 1);
    probe_expect(&probe, "json certs trust ff", "{\"was_distrusted\":false}\nOK\n\n");
    assert_memory_equal(probe.distrusted, "\x00\xff", 2);
    probe_expect(&probe, "show certs distrusted", "00ff kind=serial\naabb kind=sha256\nOK\n\n");
    probe_expect(&probe, "json show certs distrusted",
                 "[{\"name\":\"00ff\",\"kind\":\"serial\"},{\"name\":\"aabb\",\"kind\":\"sha256\"}]\nOK\n\n");
}

static void certs_distrust__of_what_is_no_name__is_refused(void **state)
{
    static const char *const words[] = {"0",
                                        "123",
                                        "0g",
                                        "0x0f",
                                        ":0f",
                                        "0f:",
                                        "0f::0f",
                                        "there.example",
                                        DIGITS_62,
                                        DIGITS_62 "efef",
                                        "ff00112233445566778899aabbccddeeff00112233",
                                        "\"0f 0f\""};
    (void)state;
    probe.distrusted_size = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "certs distrust %s", words[i]);
        probe_expect(&probe, line, NEITHER);
    }
    probe_expect(&probe, "certs distrust \"\"", NEITHER);
    probe_expect(&probe, "certs trust 0g", NEITHER);
    probe_expect(&probe, "certs trust", "ERROR usage: certs trust SERIAL|SHA256\n\n");
    probe_expect(&probe, "certs distrust", "ERROR usage: certs distrust SERIAL|SHA256\n\n");
    assert_int_equal(probe.distrusted_size, 0);
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
        cmocka_unit_test(show_s2s__of_streams_and_pairs__tells_each),
        cmocka_unit_test(s2s_test__of_a_domain__tells_steps_and_verdict),
        cmocka_unit_test(s2s_close__of_a_domain__asks_every_shard),
        cmocka_unit_test(show_certs_peers__of_chains__tells_each),
        cmocka_unit_test(show_certs__of_ours__tells_each),
        cmocka_unit_test(certs_check__of_a_domain__tells_how_many_chains),
        cmocka_unit_test(certs_distrust__of_hex__hits_what_it_names),
        cmocka_unit_test(certs_distrust__without_a_file__says_that_it_does_not_last),
        cmocka_unit_test(certs_trust__of_hex__tells_whether_it_was_distrusted),
        cmocka_unit_test(certs_distrust__of_what_is_no_name__is_refused),
        cmocka_unit_test(command__that_is_unknown__is_an_error),
        cmocka_unit_test(command__with_wrong_arguments__tells_its_usage),
        cmocka_unit_test(commands__sent_at_once__are_answered_in_order),
        cmocka_unit_test(line__cut_anywhere__is_put_together),
        cmocka_unit_test(line__beyond_the_bound__closes_the_connection),
        cmocka_unit_test(help__lists__every_command),
        cmocka_unit_test(quit__closes__behind_its_answer),
        cmocka_unit_test(show_info__tells__facts_and_sums),
        cmocka_unit_test(show_stats__sums__the_shards),
        cmocka_unit_test(show_config__has__keys_and_sources),
        cmocka_unit_test(show_sessions__of_all_shards__in_pieces),
        cmocka_unit_test(show_sessions__of_thousands__is_complete),
        cmocka_unit_test(show_sessions__while_links_are_full__comes_later),
        cmocka_unit_test(show_sessions__of_client_that_leaves__is_let_go),
        cmocka_unit_test(process__commands__reach_the_hooks),
        cmocka_unit_test(account__of_its_life__is_added_listed_and_deleted),
        cmocka_unit_test(account__disabled__stays_so_until_enabled),
        cmocka_unit_test(account__changed_from_two_consoles__keeps_both),
        cmocka_unit_test(account__that_cannot_be__is_refused),
        cmocka_unit_test(account__refused_before_its_password__takes_no_line),
        cmocka_unit_test(import__of_ten_thousand__takes_less_than_a_second),
        cmocka_unit_test(import__with_bad_lines__names_them),
        cmocka_unit_test(import__cut_off__ends_with_its_client),
        cmocka_unit_test(list__with_prefix__has_only_those),
        cmocka_unit_test(clients__beyond_the_bound__are_told),
        cmocka_unit_test(client__that_does_not_read__holds_up_nobody),
        cmocka_unit_test(socket__left_over__is_replaced),
        cmocka_unit_test(socket__in_use__is_left_alone),
        cmocka_unit_test(socket__where_a_file_is__is_refused),
        cmocka_unit_test(socket__of_long_path__works),
    };
    log_set_level(LOG_ERROR);
    int failed = cmocka_run_group_tests_name("control, alone", alone, NULL, NULL);
    return failed + cmocka_run_group_tests_name("control", tests, start, end);
}
