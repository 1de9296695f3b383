/* SPDX-License-Identifier: MIT */
/* The control thread: accounts one by one, and imported and exported by the thousand. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "router/store/account.h"
#include "tests/unit/router/control_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

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

/* ---- accounts ---- */

static void account__of_its_life__is_added_listed_and_deleted(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
    add_account(fd, "Romeo@LOCALHOST", "secret");
    assert_string_equal(control_probe.changed, "added romeo@localhost");
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
    assert_string_equal(control_probe.changed, "deleted romeo@localhost");
    answer = probe_ask(fd, "json account list");
    assert_string_equal(answer, "[]\nOK\n\n");
    free(answer);
    close(fd);
}

/* Disabled, it keeps its password; a new password keeps it disabled; the export tells, and an import takes it. */
static void account__disabled__stays_so_until_enabled(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
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
        assert_string_equal(control_probe.changed, steps[i].changed);
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
    int first = probe_connect(&control_probe), second = probe_connect(&control_probe);
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
    unsigned changes = atomic_load(&control_probe.changes);
    int fd = probe_connect(&control_probe);
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
    assert_int_equal(atomic_load(&control_probe.changes), changes + 2);
    probe_expect(&control_probe, "account del missing@localhost", "ERROR there is no such account\n\n");
    probe_expect(&control_probe, "account add a@elsewhere.example", "ERROR the domain is not served here\n\n");
    probe_expect(&control_probe, "account add localhost", "ERROR an account is named user@domain\n\n");
    probe_expect(&control_probe, "account add a@localhost/r", "ERROR an account is named user@domain\n\n");
    char line[700], expected[] = "ERROR the address is too long for the store\n\n";
    snprintf(line, sizeof(line), "account add %0500d@localhost", 1);
    probe_expect(&control_probe, line, expected);
    snprintf(line, sizeof(line), "account list %0500d", 1);
    probe_expect(&control_probe, line, "ERROR the prefix is too long\n\n");
}

/* A password never becomes a command, whatever came before it. */
static void account__refused_before_its_password__takes_no_line(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
    free(probe_ask(fd, "account import"));
    probe_send(fd, text);
    shutdown(fd, SHUT_WR);
    assert_null(probe_answer(fd));
    close(fd);
    free(text);
    int other = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(account__of_its_life__is_added_listed_and_deleted),
        cmocka_unit_test(account__disabled__stays_so_until_enabled),
        cmocka_unit_test(account__changed_from_two_consoles__keeps_both),
        cmocka_unit_test(account__that_cannot_be__is_refused),
        cmocka_unit_test(account__refused_before_its_password__takes_no_line),
        cmocka_unit_test(import__of_ten_thousand__takes_less_than_a_second),
        cmocka_unit_test(import__with_bad_lines__names_them),
        cmocka_unit_test(import__cut_off__ends_with_its_client),
        cmocka_unit_test(list__with_prefix__has_only_those),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("control: accounts", tests, probe_setup, probe_teardown);
}
