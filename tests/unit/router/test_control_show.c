/* SPDX-License-Identifier: MIT */
/* The control thread: what is shown of the process, of sessions, of other servers and of certificates, and the commands
 * that go to these. */
#include "core/base/log.h"
#include "tests/unit/router/control_probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- show ---- */

static void show_info__tells__facts_and_sums(void **state)
{
    (void)state;
    int fd = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
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
    int fd = probe_connect(&control_probe);
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
    control_probe.sessions = 4000;
    control_probe.scan = 300;
    int fd = probe_connect(&control_probe);
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
    control_probe.sessions = 3;
    control_probe.scan = 1000;
}

static void show_sessions__while_links_are_full__comes_later(void **state)
{
    (void)state;
    atomic_store(&control_probe.asks_are_refused, true);
    int fd = probe_connect(&control_probe);
    probe_send(fd, "show sessions\n");
    usleep(30000);
    atomic_store(&control_probe.asks_are_refused, false);
    char *text = probe_answer(fd);
    assert_non_null(strstr(text, "s1u00002"));
    free(text);
    close(fd);
}

static void show_sessions__of_client_that_leaves__is_let_go(void **state)
{
    (void)state;
    pthread_mutex_lock(&control_probe.lock);
    control_probe.is_held = true;
    pthread_mutex_unlock(&control_probe.lock);
    for (unsigned i = 0; i < 5; i++) {
        int fd = probe_connect(&control_probe);
        probe_send(fd, "show sessions\n");
        usleep(5000);
        shutdown(fd, SHUT_RDWR);
        close(fd);
    }
    probe_expect(&control_probe, "log level error", "OK\n\n"); /* others are served meanwhile */
    pthread_mutex_lock(&control_probe.lock);
    assert_true(control_probe.ask_count > 0);
    control_probe.is_held = false;
    pthread_cond_signal(&control_probe.asked);
    pthread_mutex_unlock(&control_probe.lock);
    int fd = probe_connect(&control_probe);
    char *text = probe_ask(fd, "show sessions");
    assert_non_null(strstr(text, "s1u00002"));
    free(text);
    close(fd);
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
    probe_expect(&control_probe, "show s2s", S2S_STREAM S2S_SLOW S2S_DOWN "OK\n\n");
    probe_expect(&control_probe, "show s2s 2", S2S_STREAM S2S_SLOW "OK\n\n");
    probe_expect(&control_probe, "show s2s 9 down", S2S_DOWN "OK\n\n");
    probe_expect(&control_probe, "show s2s nowhere.example", "OK\n\n");
    probe_expect(
        &control_probe, "json show s2s slow",
        "[{\"theirs\":\"slow.example\",\"ours\":\"localhost\",\"state\":\"connecting\",\"shard\":1,\"queued\":0,"
        "\"gives_up_s\":1}]\nOK\n\n");
    probe_expect(&control_probe, "show s2s a b", "ERROR the first word is not a number up to 1000000\n\n");
}

static void s2s_test__of_a_domain__tells_steps_and_verdict(void **state)
{
    (void)state;
    static const char good[] = "resolve ok=true text=\"2 by SRV\"\nconnect ok=true text=192.0.2.1:5269\nOK\n\n";
    probe_expect(&control_probe, "s2s test there.example", good);
    probe_expect(&control_probe, "s2s test There.example LOCALHOST", good);
    probe_expect(&control_probe, "s2s test down.example",
                 "resolve ok=true text=\"2 by SRV\"\nconnect ok=false text=192.0.2.1:5269\n"
                 "ERROR down.example was not reached\n\n");
    probe_expect(&control_probe, "json s2s test there.example",
                 "[{\"step\":\"resolve\",\"ok\":true,\"text\":\"2 by SRV\"},"
                 "{\"step\":\"connect\",\"ok\":true,\"text\":\"192.0.2.1:5269\"}]\nOK\n\n");
    probe_expect(&control_probe, "s2s test there.example other.example",
                 "ERROR FROM is none of the domains served here\n\n");
    probe_expect(&control_probe, "s2s test there.example a@b", "ERROR FROM is none of the domains served here\n\n");
    probe_expect(&control_probe, "s2s test localhost", "ERROR that domain is served here\n\n");
    probe_expect(&control_probe, "s2s test", "ERROR usage: s2s test DOMAIN [FROM]\n\n");
}

static void s2s_close__of_a_domain__asks_every_shard(void **state)
{
    (void)state;
    probe_expect(&control_probe, "s2s close there.example", "closed: 3\nOK\n\n");
    probe_expect(&control_probe, "s2s close THERE.Example", "closed: 3\nOK\n\n"); /* as it stands in addresses */
    probe_expect(&control_probe, "json s2s close other.example", "{\"closed\":0}\nOK\n\n");
    probe_expect(&control_probe, "s2s close", "ERROR usage: s2s close DOMAIN\n\n");
    int fd = probe_connect(&control_probe);
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
    probe_expect(&control_probe, "show certs peers", CHAIN_FIRST CHAIN_SECOND "OK\n\n");
    probe_expect(&control_probe, "show certs peers 1", CHAIN_FIRST "OK\n\n");
    probe_expect(&control_probe, "show certs peers 0", "OK\n\n");
    probe_expect(&control_probe, "show certs peers 9 There.Example", CHAIN_FIRST "OK\n\n");
    probe_expect(&control_probe, "show certs peers there.example", CHAIN_FIRST "OK\n\n");
    probe_expect(&control_probe, "show certs peers a b", "ERROR the first word is not a number up to 4000\n\n");
    probe_expect(
        &control_probe, "json show certs peers",
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
    probe_expect(&control_probe, "show certs",
                 "localhost depth=0 names=localhost issuer=\"An authority\" sha256=aa00 serial=0f "
                 "expires=2030-01-01T00:00:00Z days_left=-1 staple=good must_staple=met "
                 "staple_made=2020-01-01T00:00:00Z staple_until=2020-01-01T00:00:30Z failing=2020-01-01T00:00:10Z "
                 "answer=\"no answer\" url=http://ocsp.example checked=2020-01-01T00:00:10Z "
                 "next=2020-01-01T00:00:20Z\n"
                 "localhost depth=1 subject=\"An authority\" issuer=Root sha256=cc00 serial=01 "
                 "expires=2020-01-01T00:00:30Z days_left=3\n"
                 "broken.example use=s2s depth=0 sha256=bb00 serial=\"\" staple=off must_staple=unmet\nOK\n\n");
    probe_expect(&control_probe, "json show certs",
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
    int fd = probe_connect(&control_probe);
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
    assert_int_equal(atomic_load(&control_probe.days), 1); /* at the start; not again today */
}

static void certs_check__of_a_domain__tells_how_many_chains(void **state)
{
    (void)state;
    probe_expect(&control_probe, "certs check There.Example", "chains: 2\nOK\n\n");
    probe_expect(&control_probe, "json certs check other.example", "{\"chains\":0}\nOK\n\n");
    probe_expect(&control_probe, "certs check", "ERROR usage: certs check DOMAIN\n\n");
    int fd = probe_connect(&control_probe);
    char *answer = probe_ask(fd, "certs check a@b");
    assert_memory_equal(answer, "ERROR not a domain: ", 20);
    free(answer);
    close(fd);
}

#define DIGITS_62 "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcd"
#define NEITHER   "ERROR neither a serial number of up to 20 octets nor a SHA-256, in pairs of hex digits\n\n"

static void expect_distrusted(const char *line, const void *octets, size_t size)
{
    atomic_store(&control_probe.is_lasting, true);
    probe_expect(&control_probe, line, "chains: 3\nlasts: \"over restarts\"\nOK\n\n");
    assert_int_equal(control_probe.distrusted_size, size);
    assert_memory_equal(control_probe.distrusted, octets, size);
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
    atomic_store(&control_probe.is_lasting, false);
    probe_expect(&control_probe, "json certs distrust 0f",
                 "{\"chains\":3,\"lasts\":\"until the process ends, for certs.cache_file is not set\"}\nOK\n\n");
}

static void certs_trust__of_hex__tells_whether_it_was_distrusted(void **state)
{
    (void)state;
    probe_expect(&control_probe, "certs trust 0F", "was_distrusted: true\nOK\n\n");
    assert_int_equal(control_probe.distrusted_size, 1);
    assert_memory_equal(control_probe.distrusted, "\x0f", 1);
    probe_expect(&control_probe, "json certs trust ff", "{\"was_distrusted\":false}\nOK\n\n");
    assert_memory_equal(control_probe.distrusted, "\x00\xff", 2);
    probe_expect(&control_probe, "show certs distrusted", "00ff kind=serial\naabb kind=sha256\nOK\n\n");
    probe_expect(&control_probe, "json show certs distrusted",
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
    control_probe.distrusted_size = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        char line[128];
        snprintf(line, sizeof(line), "certs distrust %s", words[i]);
        probe_expect(&control_probe, line, NEITHER);
    }
    probe_expect(&control_probe, "certs distrust \"\"", NEITHER);
    probe_expect(&control_probe, "certs trust 0g", NEITHER);
    probe_expect(&control_probe, "certs trust", "ERROR usage: certs trust SERIAL|SHA256\n\n");
    probe_expect(&control_probe, "certs distrust", "ERROR usage: certs distrust SERIAL|SHA256\n\n");
    assert_int_equal(control_probe.distrusted_size, 0);
}

int main(void)
{
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
        cmocka_unit_test(show_info__tells__facts_and_sums),
        cmocka_unit_test(show_stats__sums__the_shards),
        cmocka_unit_test(show_config__has__keys_and_sources),
        cmocka_unit_test(show_sessions__of_all_shards__in_pieces),
        cmocka_unit_test(show_sessions__of_thousands__is_complete),
        cmocka_unit_test(show_sessions__while_links_are_full__comes_later),
        cmocka_unit_test(show_sessions__of_client_that_leaves__is_let_go),
    };
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests_name("control: show", tests, probe_setup, probe_teardown);
}
