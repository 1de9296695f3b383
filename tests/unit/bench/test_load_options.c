/* SPDX-License-Identifier: MIT */
#include "bench/load_options.h"

#include "tests/unit/core/suite.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <netinet/in.h>

#define ARGUMENTS_MAX 16

/* words: up to a NULL. */
static enum load_parsed parse(struct load_options *options, const char *const *words, struct err *err)
{
    char storage[ARGUMENTS_MAX][64], *arguments[ARGUMENTS_MAX + 1] = {0};
    static char program[] = "sluice-load";
    static char kept[64];
    int count = 1;
    arguments[0] = program;
    for (; words[count - 1]; count++)
        arguments[count] = strncpy(storage[count], words[count - 1], sizeof storage[count] - 1);
    for (int i = 1; i < count; i++)
        storage[i][sizeof storage[i] - 1] = '\0';
    optind = 0; /* GNU: starts over */
    opterr = 0;
    enum load_parsed parsed = load_options_parse(options, count, arguments, err);
    if (parsed == LOAD_RUN) {
        memcpy(kept, options->servers[0].domain, strlen(options->servers[0].domain) + 1);
        options->servers[0].domain = kept;
    }
    return parsed;
}

#define PARSE(options, err, ...) parse(options, (const char *const[]){__VA_ARGS__, NULL}, err)

static void load_options__defaults__complete(void **state)
{
    (void)state;
    struct load_options options;
    struct err err = {0};
    assert_int_equal(PARSE(&options, &err, "chat", "--connect", "127.0.0.1:5223,[::1]:5224"), LOAD_RUN);
    assert_int_equal(options.mode, MODE_CHAT);
    assert_int_equal(options.tls, LOAD_TLS_DIRECT);
    assert_int_equal(options.mechanism, MECHANISM_SHA256);
    assert_int_equal(options.sessions, 100);
    assert_int_equal(options.users, 100);
    assert_int_equal(options.server_count, 1);
    assert_string_equal(options.servers[0].domain, "localhost");
    assert_int_equal(options.servers[0].address_count, 2);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&options.servers[0].addresses[0];
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&options.servers[0].addresses[1];
    assert_int_equal(v4->sin_family, AF_INET);
    assert_int_equal(ntohl(v4->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(ntohs(v4->sin_port), 5223);
    assert_int_equal(v6->sin6_family, AF_INET6);
    assert_int_equal(ntohs(v6->sin6_port), 5224);
}

static void load_options__everything_given__taken(void **state)
{
    (void)state;
    struct load_options options;
    struct err err = {0};
    assert_int_equal(PARSE(&options, &err, "rate", "--connect", "10.0.0.1:1", "--pairs", "7", "--rate", "2.5", "--tls",
                           "none", "--mechanism", "PLAIN", "--threads", "99999"),
                     LOAD_WRONG);
    assert_int_equal(PARSE(&options, &err, "rate", "--connect", "10.0.0.1:1", "--pairs", "7", "--rate", "2.5", "--tls",
                           "none", "--mechanism", "PLAIN", "--threads", "64"),
                     LOAD_RUN);
    assert_int_equal(options.sessions, 14);
    assert_int_equal(options.threads, 7); /* no more than pairs */
    assert_true(options.rate == 2.5);
    assert_int_equal(options.tls, LOAD_TLS_NONE);
    assert_int_equal(options.mechanism, MECHANISM_PLAIN);
}

static void load_options__two_servers__each_with_its_own(void **state)
{
    (void)state;
    struct load_options options;
    struct err err = {0};
    assert_int_equal(PARSE(&options, &err, "chat", "--connect", "127.0.0.1:1", "--pid", "11", "--peer-connect",
                           "127.0.0.2:2,127.0.0.3:2", "--peer-domain=b.example", "--peer-pid", "12", "--one-way"),
                     LOAD_RUN);
    assert_int_equal(options.server_count, 2);
    assert_int_equal(options.users, 50); /* of 100 sessions */
    assert_int_equal(options.servers[0].pid, 11);
    assert_int_equal(options.servers[1].pid, 12);
    assert_int_equal(options.servers[1].address_count, 2);
    assert_true(options.is_one_way);
}

static void load_options__certificates__of_whom_and_how_many(void **state)
{
    (void)state;
    struct load_options options;
    struct err err = {0};
    assert_int_equal(PARSE(&options, &err, "idle", "--connect", "127.0.0.1:1", "--mechanism", "EXTERNAL",
                           "--certificates", "folder", "--resets", "100"),
                     LOAD_RUN);
    assert_int_equal(options.mechanism, MECHANISM_EXTERNAL);
    assert_non_null(options.wallet);
    assert_int_equal(options.certificates, 1); /* all sessions the same one */
    assert_int_equal(options.first_certificate, 0);
    assert_int_equal(options.resets, options.sessions);
    assert_int_equal(PARSE(&options, &err, "rate", "--connect", "127.0.0.1:1", "--certificates", "folder",
                           "--certificate-count", "100000", "--first-certificate", "7", "--record", "file"),
                     LOAD_RUN);
    assert_int_equal(options.mechanism, MECHANISM_SHA256); /* presented, and not logged in by */
    assert_int_equal(options.certificates, 100000);
    assert_int_equal(options.first_certificate, 7);
    assert_non_null(options.record);
}

static void load_options__presence__all_sessions_of_one_account(void **state)
{
    (void)state;
    struct load_options options;
    struct err err = {0};
    assert_int_equal(PARSE(&options, &err, "presence", "--connect", "127.0.0.1:1", "--sessions", "201"), LOAD_RUN);
    assert_int_equal(options.mode, MODE_PRESENCE);
    assert_int_equal(options.users, 1);
    assert_true(options.has_presence);
    assert_int_equal(PARSE(&options, &err, "presence", "--connect", "127.0.0.1:1", "--users", "50", "--count", "3"),
                     LOAD_RUN);
    assert_int_equal(options.users, 50);
    assert_int_equal(PARSE(&options, &err, "chat", "--connect", "127.0.0.1:1", "--seats", "file"), LOAD_RUN);
    assert_non_null(options.seats);
}

static void load_options__wrong__said_why(void **state)
{
    (void)state;
    static const char *const lines[][10] = {
        {"chat"},
        {"--connect", "127.0.0.1:1"},
        {"chat", "idle", "--connect", "127.0.0.1:1"},
        {"talk", "--connect", "127.0.0.1:1"},
        {"chat", "--connect", "localhost:1"},
        {"chat", "--connect", "127.0.0.1"},
        {"chat", "--connect", "127.0.0.1:"},
        {"chat", "--connect", "127.0.0.1:0"},
        {"chat", "--connect", "127.0.0.1:65536"},
        {"chat", "--connect", "127.0.0.1:1,"},
        {"chat", "--connect", "127.0.0.1:1", "--sessions", "3"},
        {"chat", "--connect", "127.0.0.1:1", "--sessions", "0"},
        {"chat", "--connect", "127.0.0.1:1", "--window", "1.5"},
        {"chat", "--connect", "127.0.0.1:1", "--body", "23"},
        {"chat", "--connect", "127.0.0.1:1", "--body", "1e9"},
        {"chat", "--connect", "127.0.0.1:1", "--tls", "sometimes"},
        {"chat", "--connect", "127.0.0.1:1", "--mechanism", "DIGEST-MD5"},
        {"chat", "--connect", "127.0.0.1:1", "--relay", "--threads", "2"},
        {"idle", "--connect", "127.0.0.1:1", "--relay"},
        {"idle", "--connect", "127.0.0.1:1", "--count", "5"},
        {"chat", "--connect", "127.0.0.1:1", "--tls=none", "--mechanism", "SCRAM-SHA-256-PLUS"},
        {"chat", "--connect", "127.0.0.1:1", "--peer-connect", "127.0.0.2:1"},
        {"chat", "--connect", "127.0.0.1:1", "--peer-connect", "127.0.0.2", "--peer-domain", "b"},
        {"chat", "--connect", "127.0.0.1:1", "--peer-domain", "b"},
        {"chat", "--connect", "127.0.0.1:1", "--peer-pid", "7"},
        {"chat", "--peer-connect", "127.0.0.1:1", "--peer-domain", "b"},
        {"chat", "--connect", "127.0.0.1:1", "--peer-connect", "127.0.0.2:1", "--peer-domain", "b", "--relay"},
        {"idle", "--connect", "127.0.0.1:1", "--peer-connect", "127.0.0.2:1", "--peer-domain", "b"},
        {"iq", "--connect", "127.0.0.1:1", "--one-way"},
        {"idle", "--connect", "127.0.0.1:1", "--mechanism", "EXTERNAL"},
        {"idle", "--connect", "127.0.0.1:1", "--certificate-count", "5"},
        {"idle", "--connect", "127.0.0.1:1", "--first-certificate", "5"},
        {"idle", "--connect", "127.0.0.1:1", "--certificates", "f", "--certificate-count", "0"},
        {"idle", "--connect", "127.0.0.1:1", "--certificates", "f", "--certificate-count", "100001"},
        {"idle", "--connect", "127.0.0.1:1", "--certificates", "f", "--tls", "none"},
        {"idle", "--connect", "127.0.0.1:1", "--resets", "101"},
        {"chat", "--connect", "127.0.0.1:1", "--resets", "1"},
        {"chat", "--connect", "127.0.0.1:1", "--threads", "2", "--record", "f"},
        {"presence", "--connect", "127.0.0.1:1", "--sessions", "1"},
        {"presence", "--connect", "127.0.0.1:1", "--sessions", "9", "--users", "5"},
        {"presence", "--connect", "127.0.0.1:1", "--threads", "2"},
        {"presence", "--connect", "127.0.0.1:1", "--seats", "f"},
        {"rate", "--connect", "127.0.0.1:1", "--count", "5"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct load_options options;
        struct err err = {0};
        assert_int_equal(parse(&options, lines[i], &err), LOAD_WRONG);
        assert_true(err.text[0] != '\0');
    }
}

static void load_options__storm_and_flood__taken_and_kept_apart(void **state)
{
    (void)state;
    struct load_options options;
    struct err err = {0};
    assert_int_equal(PARSE(&options, &err, "storm", "--connect", "127.0.0.1:1"), LOAD_RUN);
    assert_int_equal(options.mode, MODE_STORM);
    assert_true(options.warmup_s == 0); /* it waits to be told */
    assert_int_equal(PARSE(&options, &err, "flood", "--connect", "127.0.0.1:1", "--flood-kind", "hello", "--source",
                           "127.0.1.1", "--source-count", "16"),
                     LOAD_RUN);
    assert_int_equal(options.flood, FLOOD_HELLO);
    assert_int_equal(options.source, 0x7f000101);
    assert_int_equal(options.source_count, 16);
    assert_int_equal(PARSE(&options, &err, "chat", "--connect", "127.0.0.1:1", "--read-rate", "0"), LOAD_RUN);
    assert_true(options.read_rate == 0);
    assert_int_equal(PARSE(&options, &err, "idle", "--connect", "127.0.0.1:1", "--read-rate", "1"), LOAD_WRONG);
    assert_int_equal(PARSE(&options, &err, "idle", "--connect", "127.0.0.1:1", "--flood-kind", "tls"), LOAD_WRONG);
    assert_int_equal(PARSE(&options, &err, "flood", "--connect", "127.0.0.1:1", "--flood-kind", "udp"), LOAD_WRONG);
    assert_int_equal(PARSE(&options, &err, "flood", "--connect", "127.0.0.1:1", "--flood-kind", "tls", "--tls", "none"),
                     LOAD_WRONG);
    assert_int_equal(PARSE(&options, &err, "flood", "--connect", "127.0.0.1:1", "--source", "::1"), LOAD_WRONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(load_options__defaults__complete),
        cmocka_unit_test(load_options__everything_given__taken),
        cmocka_unit_test(load_options__storm_and_flood__taken_and_kept_apart),
        cmocka_unit_test(load_options__two_servers__each_with_its_own),
        cmocka_unit_test(load_options__certificates__of_whom_and_how_many),
        cmocka_unit_test(load_options__presence__all_sessions_of_one_account),
        cmocka_unit_test(load_options__wrong__said_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
