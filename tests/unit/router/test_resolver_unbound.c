/* SPDX-License-Identifier: MIT */
/* The real resolver and libunbound, asking a name server on loopback that is honest, slow, silent, or lies. */
#include "core/base/clock.h"
#include "router/s2s/resolver.h"
#include "tests/unit/core/suite.h"
#include "tests/unit/router/nameserver.h"
#include "tests/unit/router/resolver_rig.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZONE "signed.example"

/* One name server for all tests, since nothing of it changes. */
static struct nameserver *server;
static const char *server_address;
static char anchor_path[] = "/tmp/sluice-anchor-XXXXXX";

static const struct {
    const char *name, *type, *text;
    enum nameserver_mode mode;
    unsigned delay_ms;
} records[] = {
    {"h.example", "A", "192.0.2.1", NS_HONEST, 0},
    {"h.example", "AAAA", "2001:db8::1", NS_HONEST, 0},
    {"_xmpp-server._tcp.plain.example", "SRV", "10 0 5269 h.example", NS_HONEST, 0},
    {"_xmpps-server._tcp.plain.example", "SRV", "5 0 5270 h.example", NS_HONEST, 0},
    {"_xmpp-server._tcp.declined.example", "SRV", "0 0 0 .", NS_HONEST, 0},
    {"declined.example", "A", "192.0.2.1", NS_HONEST, 0},
    {"fallback.example", "A", "192.0.2.5", NS_HONEST, 0},
    {"fallback.example", "A", "192.0.2.6", NS_HONEST, 0},
    {"inside.example", "A", "127.0.0.1", NS_HONEST, 0},
    {"_xmpp-server._tcp.silent.example", "*", NULL, NS_SILENT, 0},
    {"_xmpps-server._tcp.silent.example", "*", NULL, NS_SILENT, 0},
    {"_xmpp-server._tcp.half.example", "SRV", "0 0 5269 half.example", NS_HONEST, 0},
    {"half.example", "A", "192.0.2.8", NS_HONEST, 0},
    {"half.example", "AAAA", NULL, NS_SILENT, 0},
    {"_xmpp-server._tcp.slow.example", "SRV", "0 0 5269 h.example", NS_HONEST, 120},
    {"_xmpp-server._tcp.failing.example", "*", NULL, NS_SERVFAIL, 0},
    {"_xmpps-server._tcp.failing.example", "*", NULL, NS_SERVFAIL, 0},
    {"_xmpp-server._tcp.cut.example", "SRV", "0 0 5269 h.example", NS_TRUNCATED, 0},
    {"forged-id.example", "A", "192.0.2.11", NS_FORGED_ID, 0},
    {"forged-name.example", "A", "192.0.2.12", NS_FORGED_NAME, 0},
    {"c1.example", "CNAME", "c2.example", NS_HONEST, 0},
    {"c2.example", "CNAME", "c3.example", NS_HONEST, 0},
    {"c3.example", "A", "192.0.2.13", NS_HONEST, 0},
    {"d0.example", "CNAME", "d1.example", NS_HONEST, 0},
    {"d1.example", "CNAME", "d2.example", NS_HONEST, 0},
    {"d2.example", "CNAME", "d3.example", NS_HONEST, 0},
    {"d3.example", "CNAME", "d4.example", NS_HONEST, 0},
    {"d4.example", "CNAME", "d5.example", NS_HONEST, 0},
    {"d5.example", "CNAME", "d6.example", NS_HONEST, 0},
    {"d6.example", "CNAME", "d7.example", NS_HONEST, 0},
    {"d7.example", "CNAME", "d8.example", NS_HONEST, 0},
    {"d8.example", "CNAME", "c3.example", NS_HONEST, 0},
    {"loop.example", "CNAME", "pool.example", NS_HONEST, 0},
    {"pool.example", "CNAME", "loop.example", NS_HONEST, 0},
    /* The signed zone: whole, and in each way broken. */
    {"_xmpp-server._tcp." ZONE, "SRV", "0 0 5269 h." ZONE, NS_HONEST, 0},
    {"h." ZONE, "A", "192.0.2.20", NS_HONEST, 0},
    {"_5269._tcp.h." ZONE, "TLSA", "3 1 1 0011223344556677", NS_HONEST, 0},
    {"fallback." ZONE, "A", "192.0.2.21", NS_HONEST, 0},
    {"_xmpp-server._tcp.out." ZONE, "SRV", "0 0 5269 h.example", NS_HONEST, 0},
    {"_xmpp-server._tcp.bad." ZONE, "SRV", "0 0 5269 h." ZONE, NS_BAD_SIGNATURE, 0},
    {"_xmpp-server._tcp.old." ZONE, "SRV", "0 0 5269 h." ZONE, NS_EXPIRED, 0},
    {"_xmpp-server._tcp.bare." ZONE, "SRV", "0 0 5269 h." ZONE, NS_STRIPPED, 0},
    {"_xmpp-server._tcp.badtlsa." ZONE, "SRV", "0 0 5269 badtlsa." ZONE, NS_HONEST, 0},
    {"badtlsa." ZONE, "A", "192.0.2.22", NS_HONEST, 0},
    {"_5269._tcp.badtlsa." ZONE, "TLSA", "3 1 1 00", NS_BAD_SIGNATURE, 0},
    {"_xmpp-server._tcp.badhost." ZONE, "SRV", "0 0 5269 badhost." ZONE, NS_HONEST, 0},
    {"badhost." ZONE, "A", "192.0.2.23", NS_BAD_SIGNATURE, 0},
    {"alias." ZONE, "CNAME", "h." ZONE, NS_HONEST, 0},
};

static int begin(void **state)
{
    (void)state;
    server = nameserver_new();
    nameserver_sign(server, ZONE);
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
        nameserver_add(server, records[i].name, records[i].type, records[i].text, records[i].mode, records[i].delay_ms);
    for (unsigned i = 0; i < 200; i++) {
        char text[64];
        snprintf(text, sizeof text, "%u 0 5269 h.example", i);
        nameserver_add(server, "_xmpp-server._tcp.lots.example", "SRV", text, NS_HONEST, 0);
    }
    server_address = nameserver_start(server);
    int fd = mkstemp(anchor_path);
    size_t size = strlen(nameserver_anchor(server));
    return fd < 0 || write(fd, nameserver_anchor(server), size) != (ssize_t)size || close(fd) != 0;
}

static int end(void **state)
{
    (void)state;
    nameserver_stop(server);
    return unlink(anchor_path);
}

/*
 * A resolver with one client.
 */

struct bed {
    struct resolver_settings settings;
    struct resolver *resolver;
    struct resolver_client *client;
    sem_t news;
    bool is_cached;
    char text[RIG_TEXT_MAX];
};

static void wake(void *context)
{
    sem_post(context);
}

static void bed_open(struct bed *bed, bool is_validating)
{
    struct err err = {""};
    memset(bed, 0, sizeof *bed);
    bed->settings = resolver_settings_default;
    bed->settings.nameservers = &server_address;
    bed->settings.nameserver_count = 1;
    bed->settings.policy.allow_private = true;
    bed->settings.anchor_file = is_validating ? anchor_path : NULL;
    sem_init(&bed->news, 0, 0);
    bed->resolver = resolver_open(&bed->settings, 1, &err);
    if (bed->resolver == NULL)
        fail_msg("%s", err.text);
    bed->client = resolver_client(bed->resolver, 0, wake, &bed->news);
}

static void bed_close(struct bed *bed)
{
    resolver_close(bed->resolver);
    sem_destroy(&bed->news);
}

static void keep(void *context, const struct resolver_answer *answer)
{
    struct bed *bed = context;
    bed->is_cached = answer->is_cached;
    rig_describe(answer, bed->text);
}

static const char *ask(struct bed *bed, const char *domain)
{
    assert_true(resolver_post(bed->client, 1, span_str(domain)));
    resolver_flush(bed->client, 0);
    while (resolver_pending(bed->client) > 0) {
        (void)sem_wait(&bed->news);
        (void)resolver_poll(bed->client, 0, keep, bed);
    }
    return bed->text;
}

/* The line but for its TTL, which may have lost a second. */
static void hold(struct bed *bed, const char *domain, const char *expected)
{
    const char *text = ask(bed, domain);
    size_t head = strcspn(expected, ":,");
    const char *rest = strchr(text, ':'), *expected_rest = strchr(expected, ':');
    bool is_same = strncmp(text, expected, head) == 0 && (text[head] == ':' || text[head] == ',') &&
                   (rest == NULL) == (expected_rest == NULL) && (rest == NULL || strcmp(rest, expected_rest) == 0);
    if (!is_same)
        fail_msg("%s:\n  %s\nexpected\n  %s", domain, text, expected);
}

/*
 * An honest server.
 */

static void plain__records__found(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, "plain.example",
         "found by srv: h.example:5270 tls [2001:db8::1 192.0.2.1] | h.example:5269 starttls [2001:db8::1 192.0.2.1]");
    hold(&bed, "declined.example", "no-service,");
    hold(&bed, "nowhere.example", "no-such-domain,");
    hold(&bed, "h.example", "found by fallback: h.example:5269 starttls [2001:db8::1 192.0.2.1]");
    hold(&bed, "c1.example", "found by fallback: c1.example:5269 starttls [192.0.2.13]");
    bed_close(&bed);
}

static void plain__asked_again__from_the_cache(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    (void)ask(&bed, "plain.example");
    assert_false(bed.is_cached);
    (void)ask(&bed, "nowhere.example");
    unsigned before = nameserver_heard(server, NULL);
    (void)ask(&bed, "plain.example");
    assert_true(bed.is_cached);
    (void)ask(&bed, "nowhere.example");
    assert_true(bed.is_cached);
    assert_int_equal(nameserver_heard(server, NULL), before);
    bed_close(&bed);
}

static void policy__loopback__refused_when_not_allowed(void **state)
{
    (void)state;
    struct bed bed;
    struct err err;
    bed_open(&bed, false);
    hold(&bed, "inside.example", "found by fallback: inside.example:5269 starttls [127.0.0.1]");
    resolver_close(bed.resolver);
    bed.settings.policy.allow_private = false;
    bed.resolver = resolver_open(&bed.settings, 1, &err);
    assert_non_null(bed.resolver);
    bed.client = resolver_client(bed.resolver, 0, wake, &bed.news);
    hold(&bed, "inside.example", "refused,");
    bed_close(&bed);
}

/*
 * Slow, silent, lying.
 */

static void silent__server__timeout_and_others_not_delayed(void **state)
{
    (void)state;
    struct bed bed;
    struct err err;
    bed_open(&bed, false);
    resolver_close(bed.resolver);
    bed.settings.timeout_ms = 400;
    bed.resolver = resolver_open(&bed.settings, 1, &err);
    assert_non_null(bed.resolver);
    bed.client = resolver_client(bed.resolver, 0, wake, &bed.news);
    assert_true(resolver_post(bed.client, 1, SPAN("silent.example")));
    resolver_flush(bed.client, 0);
    assert_true(resolver_post(bed.client, 2, SPAN("fallback.example")));
    resolver_flush(bed.client, 0);
    while (resolver_pending(bed.client) > 1) {
        (void)sem_wait(&bed.news);
        (void)resolver_poll(bed.client, 0, keep, &bed);
    }
    assert_non_null(strstr(bed.text, "found by fallback"));
    while (resolver_pending(bed.client) > 0) {
        (void)sem_wait(&bed.news);
        (void)resolver_poll(bed.client, 0, keep, &bed);
    }
    assert_non_null(strstr(bed.text, "timeout"));
    bed_close(&bed);
}

static void silent__one_family__the_other_taken(void **state)
{
    (void)state;
    struct bed bed;
    struct err err;
    bed_open(&bed, false);
    resolver_close(bed.resolver);
    bed.settings.patience_ms = 200;
    bed.resolver = resolver_open(&bed.settings, 1, &err);
    assert_non_null(bed.resolver);
    bed.client = resolver_client(bed.resolver, 0, wake, &bed.news);
    hold(&bed, "half.example", "found by srv: half.example:5269 starttls [192.0.2.8]");
    assert_non_null(strstr(bed.text, "partial"));
    bed_close(&bed);
}

static void slow__server__waited_for(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, "slow.example", "found by srv: h.example:5269 starttls [2001:db8::1 192.0.2.1]");
    bed_close(&bed);
}

static void failing__server__failed_without_fallback(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, "failing.example", "failed,");
    bed_close(&bed);
}

static void cut__answer__fetched_by_tcp(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, "cut.example", "found by srv: h.example:5269 starttls [2001:db8::1 192.0.2.1]");
    hold(&bed, "lots.example", "too-many,");
    bed_close(&bed);
}

static void forged__answers__not_taken(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, "forged-id.example", "found by fallback: forged-id.example:5269 starttls [192.0.2.11]");
    /* A lie with the right id, which only somebody on the path can tell, may make the lookup fail. */
    const char *text = ask(&bed, "forged-name.example");
    assert_true(strncmp(text, "failed", 6) == 0 || strstr(text, "[192.0.2.12]") != NULL);
    bed_close(&bed);
}

static void chain__of_aliases__followed_to_its_limit(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, "d1.example", "found by fallback: d1.example:5269 starttls [192.0.2.13]");
    hold(&bed, "d0.example", "too-many,");
    bed_close(&bed);
}

static void loop__of_aliases__ends(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    const char *text = ask(&bed, "loop.example");
    assert_true(strstr(text, "failed") != NULL || strstr(text, "too-many") != NULL);
    bed_close(&bed);
}

/*
 * DNSSEC.
 */

static void secure__zone__tlsa_told(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, true);
    hold(&bed, ZONE, "found by srv: h." ZONE ":5269 starttls [192.0.2.20] secure tlsa 3 1 1 (8)");
    hold(&bed, "fallback." ZONE, "found by fallback: fallback." ZONE ":5269 starttls [192.0.2.21]");
    hold(&bed, "alias." ZONE, "found by fallback: alias." ZONE ":5269 starttls [192.0.2.20]");
    hold(&bed, "plain.example",
         "found by srv: h.example:5270 tls [2001:db8::1 192.0.2.1] | h.example:5269 starttls [2001:db8::1 192.0.2.1]");
    bed_close(&bed);
}

static void secure__target_in_an_unsigned_zone__srv_secure_alone(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, true);
    hold(&bed, "out." ZONE, "found by srv: h.example:5269 starttls [2001:db8::1 192.0.2.1] srv-secure");
    bed_close(&bed);
}

static void secure__without_an_anchor__nothing_is(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    hold(&bed, ZONE, "found by srv: h." ZONE ":5269 starttls [192.0.2.20]");
    hold(&bed, "bad." ZONE, "found by srv: h." ZONE ":5269 starttls [192.0.2.20]");
    bed_close(&bed);
}

static void bogus__records__refused(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, true);
    hold(&bed, "bad." ZONE, "bogus,");
    hold(&bed, "old." ZONE, "bogus,");
    hold(&bed, "bare." ZONE, "bogus,");
    hold(&bed, "badtlsa." ZONE, "bogus,");
    hold(&bed, "badhost." ZONE, "bogus,");
    bed_close(&bed);
}

/*
 * Threads, and the end.
 */

#define THREADS 3u
#define ASKED   60u

struct asker {
    struct resolver *resolver;
    unsigned index;
    unsigned found, missing, other;
    pthread_t thread;
};

static void count(void *context, const struct resolver_answer *answer)
{
    struct asker *asker = context;
    if (answer->status == RESOLVER_FOUND)
        asker->found++;
    else if (answer->status == RESOLVER_NO_DOMAIN)
        asker->missing++;
    else
        asker->other++;
}

static void *ask_many(void *argument)
{
    struct asker *asker = argument;
    sem_t news;
    sem_init(&news, 0, 0);
    struct resolver_client *client = resolver_client(asker->resolver, asker->index, wake, &news);
    for (unsigned i = 0; i < ASKED; i++) {
        char domain[64];
        snprintf(domain, sizeof domain, i % 2 == 0 ? "plain.example" : "made-up-%u.example",
                 i + 1000 * (asker->index % 2));
        while (!resolver_post(client, i, span_str(domain)))
            (void)resolver_poll(client, 0, count, asker);
        if (i % 7 == 0)
            resolver_flush(client, 0);
        (void)resolver_poll(client, 0, count, asker);
    }
    resolver_flush(client, 0);
    while (resolver_pending(client) > 0) {
        (void)sem_wait(&news);
        (void)resolver_poll(client, 0, count, asker);
    }
    sem_destroy(&news);
    return NULL;
}

static void clients__on_threads__each_gets_its_answers(void **state)
{
    (void)state;
    struct bed bed;
    struct err err;
    struct asker askers[THREADS];
    struct resolver_stats stats;
    bed_open(&bed, false);
    resolver_close(bed.resolver);
    bed.resolver = resolver_open(&bed.settings, THREADS, &err);
    assert_non_null(bed.resolver);
    for (unsigned i = 0; i < THREADS; i++) {
        askers[i] = (struct asker){.resolver = bed.resolver, .index = i};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask_many, &askers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(askers[i].thread, NULL);
        assert_int_equal(askers[i].found, ASKED / 2);
        assert_int_equal(askers[i].missing, ASKED / 2);
        assert_int_equal(askers[i].other, 0);
    }
    resolver_stats(bed.resolver, &stats);
    assert_int_equal(stats.requests, THREADS * ASKED);
    assert_int_equal(stats.lookups, ASKED + 1); /* the half that two of the threads share, once */
    assert_int_equal(stats.running, 0);
    bed_close(&bed);
}

static void close__with_lookups_under_way__ends(void **state)
{
    (void)state;
    struct bed bed;
    bed_open(&bed, false);
    unsigned before = nameserver_heard(server, "_xmpp-server._tcp.silent.example");
    assert_true(resolver_post(bed.client, 1, SPAN("silent.example")));
    assert_true(resolver_post(bed.client, 2, SPAN("silent.example")));
    resolver_flush(bed.client, 0);
    while (nameserver_heard(server, "_xmpp-server._tcp.silent.example") == before)
        usleep(1000);
    assert_true(resolver_post(bed.client, 3, SPAN("plain.example"))); /* never flushed */
    bed_close(&bed);
}

static void open__bad_settings__reason(void **state)
{
    (void)state;
    struct err err = {""};
    struct resolver_settings settings = resolver_settings_default;
    const char *bad = "no address";
    settings.nameservers = &bad;
    settings.nameserver_count = 1;
    assert_null(resolver_open(&settings, 1, &err));
    assert_non_null(strstr(err.text, "no address"));
    settings.nameservers = &server_address;
    settings.anchor_file = "/nonexistent/anchor";
    assert_null(resolver_open(&settings, 1, &err));
    assert_non_null(strstr(err.text, "/nonexistent/anchor"));
}

/*
 * tools/s2sresolve, with the same server.
 */

static void run_tool(const char *arguments, int status, const char *const *lines, unsigned count_of_lines)
{
    char command[1024], output[16384];
    const char *tool = getenv("S2SRESOLVE");
    if (tool == NULL)
        fail_msg("S2SRESOLVE names the program");
    snprintf(command, sizeof command, "%s --nameserver %s --anchor %s %s 2>&1", tool, server_address, anchor_path,
             arguments);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t size = fread(output, 1, sizeof output - 1, pipe);
    output[size] = '\0';
    int code = pclose(pipe);
    if (!WIFEXITED(code) || WEXITSTATUS(code) != status)
        fail_msg("%s: exit %d:\n%s", arguments, WEXITSTATUS(code), output);
    for (unsigned i = 0; i < count_of_lines; i++) {
        if (strstr(output, lines[i]) == NULL)
            fail_msg("%s: printed\n%s\nwithout\n%s", arguments, output, lines[i]);
    }
}

static void tool__domains__steps_and_candidates(void **state)
{
    (void)state;
    const char *const secure[] = {
        "_xmpp-server._tcp.signed.example SRV: found, 1, ttl 300, secure",
        "      0 0 5269 h.signed.example\n",
        "192.0.2.20: an address for documentation",
        "signed.example: found by SRV records, holds for",
        "  1. h.signed.example port 5269, STARTTLS, secure\n       192.0.2.20:5269\n       TLSA 3 1 1 0011",
        "44556677\n",
    };
    run_tool("--allow-private signed.example", 0, secure, 5);
    const char *const refused[] = {"signed.example: refused: The domain's addresses are in ranges"};
    run_tool("signed.example", 1, refused, 1);
    const char *const bogus[] = {"SRV: bogus", "bad.signed.example: bogus: DNSSEC validation failed."};
    run_tool("--allow 192.0.2.0/24 bad.signed.example", 1, bogus, 2);
    const char *const route[] = {"a.example: found by a static route", "1. 127.0.0.1 port 5555, direct TLS"};
    run_tool("--quiet --route a.example=127.0.0.1:5555/tls a.example", 0, route, 2);
    const char *const mixed[] = {"nowhere.example: no-such-domain", "fallback.example: found without SRV records"};
    run_tool("--quiet --no-ipv6 --allow-private nowhere.example fallback.example", 1, mixed, 2);
}

static void tool__command_line_at_fault__usage(void **state)
{
    (void)state;
    const char *const option[] = {"--nothing"};
    run_tool("--nothing a.example", 2, option, 1);
    const char *const none[] = {"no domain is given"};
    run_tool("--quiet", 2, none, 1);
    const char *const prefix[] = {"not an address prefix"};
    run_tool("--allow x a.example", 2, prefix, 1);
    const char *const jid[] = {"refused"};
    run_tool("'a b'", 1, jid, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain__records__found),
        cmocka_unit_test(plain__asked_again__from_the_cache),
        cmocka_unit_test(policy__loopback__refused_when_not_allowed),
        cmocka_unit_test(silent__server__timeout_and_others_not_delayed),
        cmocka_unit_test(silent__one_family__the_other_taken),
        cmocka_unit_test(slow__server__waited_for),
        cmocka_unit_test(failing__server__failed_without_fallback),
        cmocka_unit_test(cut__answer__fetched_by_tcp),
        cmocka_unit_test(forged__answers__not_taken),
        cmocka_unit_test(chain__of_aliases__followed_to_its_limit),
        cmocka_unit_test(loop__of_aliases__ends),
        cmocka_unit_test(secure__zone__tlsa_told),
        cmocka_unit_test(secure__target_in_an_unsigned_zone__srv_secure_alone),
        cmocka_unit_test(secure__without_an_anchor__nothing_is),
        cmocka_unit_test(bogus__records__refused),
        cmocka_unit_test(clients__on_threads__each_gets_its_answers),
        cmocka_unit_test(close__with_lookups_under_way__ends),
        cmocka_unit_test(open__bad_settings__reason),
        cmocka_unit_test(tool__domains__steps_and_candidates),
        cmocka_unit_test(tool__command_line_at_fault__usage),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
