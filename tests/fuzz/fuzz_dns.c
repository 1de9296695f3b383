/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what name servers say of one domain, in any order and of any bytes, at any time. The lookup must end in
 * its time with an outcome, ask a bounded number of questions, each once at a time, and name only candidates that may
 * be connected to: no address of this machine or its networks, written down here once more in the plainest form, no
 * port 0, and nothing that is secure unless all that led to it was.
 *
 * Built by clang with -fsanitize=fuzzer it searches; with replay.c it runs its corpus as a normal test.
 */
#include "router/s2s/lookup_priv.h"

#include <stdio.h>
#include <stdlib.h>

#define QUESTIONS_MAX 98u /* router/s2s/README.md */
#define OPEN_MAX      16u
#define RECORDS_MAX   40u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "fuzz_dns: %s\n", what);
    abort();
}

struct server {
    struct question *open[OPEN_MAX];
    unsigned open_count, asked;
    bool was_insecure; /* an answer was not validated */
    const uint8_t *at, *end;
};

static bool ask(void *context, struct question *question)
{
    struct server *server = context;
    for (unsigned i = 0; i < server->open_count; i++)
        check(server->open[i] != question, "asked again while it is open");
    if (server->open_count == OPEN_MAX || (server->at < server->end && *server->at == 0xee))
        return false;
    check(dns_name_is_valid(span_str(question->name)), "a name that is none");
    server->open[server->open_count++] = question;
    server->asked++;
    return true;
}

static void forget(void *context, struct question *question)
{
    struct server *server = context;
    unsigned i = 0;
    while (i < server->open_count && server->open[i] != question)
        i++;
    check(i < server->open_count, "forgets what is not open");
    server->open[i] = server->open[--server->open_count];
}

static uint8_t next(struct server *server)
{
    return server->at < server->end ? *server->at++ : 0;
}

/* Up to count records, each behind its size; they are of their exact size, so that a sanitizer sees a read beside them.
 */
static unsigned records_read(struct server *server, unsigned count, struct span *records)
{
    unsigned read = 0;
    while (read < count && server->at < server->end) {
        size_t size = next(server);
        if (size > (size_t)(server->end - server->at))
            size = (size_t)(server->end - server->at);
        char *copy = malloc(size ? size : 1);
        check(copy != NULL, "memory");
        memcpy(copy, server->at, size);
        server->at += size;
        records[read++] = span_of(copy, size);
    }
    return read;
}

static void answer_one(struct server *server, struct lookup *lookup, unsigned number, uint64_t now_ms)
{
    struct span records[RECORDS_MAX];
    struct question *question = server->open[number % server->open_count];
    uint8_t kind = next(server);
    unsigned count = (kind & 7) == 0 ? records_read(server, next(server) % RECORDS_MAX, records) : 0;
    struct dns_answer answer = {.result = count ? DNS_DATA : (enum dns_result)(1 + (kind & 7) % DNS_TOO_MANY),
                                .is_secure = (kind & 8) != 0,
                                .ttl_s = kind & 16 ? 0 : 300,
                                .aliases = kind >> 5,
                                .data = records,
                                .count = count};
    server->was_insecure = server->was_insecure || !answer.is_secure;
    forget(server, question);
    question->is_open = false;
    lookup_answered(lookup, question, &answer, now_ms);
    for (unsigned i = 0; i < count; i++)
        free((void *)(uintptr_t)records[i].ptr);
}

/* RFC 6890, what matters most of it. */
static bool is_inside_v4(const uint8_t *a)
{
    return a[0] == 0 || a[0] == 10 || a[0] == 127 || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
           (a[0] == 100 && (a[1] & 0xc0) == 64) || a[0] >= 224;
}

static bool is_inside(const union address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, loopback[16] = {[15] = 1};
    if (address->head.sa_family == AF_INET)
        return is_inside_v4((const uint8_t *)&address->v4.sin_addr);
    const uint8_t *a = address->v6.sin6_addr.s6_addr;
    if (memcmp(a, mapped, sizeof mapped) == 0)
        return is_inside_v4(a + 12);
    return memcmp(a, loopback, sizeof loopback) == 0 || (a[0] & 0xfe) == 0xfc ||
           (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || a[0] == 0xff ||
           (a[0] == 0x20 && a[1] == 2 && is_inside_v4(a + 2));
}

static void check_candidate(const struct resolver_candidate *candidate, const struct server *server,
                            const struct resolver_settings *settings)
{
    check(candidate->port != 0, "port 0");
    check(candidate->address_count >= 1 && candidate->address_count <= 2 * RESOLVER_ADDRESSES_MAX, "addresses");
    check(candidate->tlsa_count <= RESOLVER_TLSA_MAX, "TLSA records");
    check(candidate->is_secure || !candidate->tlsa_count, "TLSA where not all is secure");
    check(candidate->is_srv_secure || !candidate->is_secure, "secure, and its SRV records are not");
    check(server->asked || !candidate->is_secure, "secure, and nobody was asked");
    union address literal; /* an address by its text is used whatever its family */
    bool is_named = !address_parse(candidate->host, &literal);
    for (unsigned i = 0; i < candidate->address_count; i++) {
        const union address *address = &candidate->addresses[i];
        check(settings->policy.allow_private || !is_inside(address), "an address inside");
        bool is_off = address->head.sa_family == AF_INET ? settings->without_ipv4 : settings->without_ipv6;
        check(!is_named || !is_off, "a family");
    }
}

static void check_outcome(struct lookup *lookup, const struct server *server, struct span domain)
{
    uint64_t dice = 1;
    struct resolver_request *request = resolver_request_new(0, 1, domain);
    check(request != NULL, "memory");
    lookup_answer(lookup, request, &dice);
    const struct resolver_answer *answer = &request->answer;
    check(answer->status < RESOLVER_STATUS_COUNT, "no outcome");
    check((answer->status == RESOLVER_FOUND) == (answer->count > 0), "found, and nothing is there");
    check(answer->count <= RESOLVER_RECORDS_MAX, "candidates");
    for (unsigned i = 0; i < answer->count; i++)
        check_candidate(&answer->candidates[i], server, lookup->env->settings);
    resolver_request_free(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const domains[] = {
        "a.example", "b\303\274cher.example", "192.0.2.1", "[2001:db8::1]", "127.0.0.1",
        "[::1]",     "xn--bcher-kva.example", "_.example"};
    if (size < 2 || size > 8192)
        return 0;
    struct resolver_settings settings = resolver_settings_default;
    settings.without_ipv4 = (data[0] & 3) == 1;
    settings.without_ipv6 = (data[0] & 3) == 2;
    settings.policy.allow_private = (data[0] & 12) == 12;
    struct span domain = span_str(domains[data[1] % 8]);
    struct server server = {.at = data + 2, .end = data + size};
    struct lookup_env env = {.settings = &settings, .context = &server, .ask = ask, .forget = forget};
    struct lookup *lookup = calloc(1, sizeof *lookup + domain.size);
    check(lookup != NULL, "memory");
    memcpy(lookup->domain, domain.ptr, domain.size);
    lookup->domain_size = (uint16_t)domain.size;
    uint64_t now_ms = 1000, end_ms = now_ms + settings.timeout_ms;
    lookup_start(lookup, &env, now_ms);
    while (lookup->phase != LOOKUP_DONE && server.at < server.end) {
        uint8_t word = next(&server);
        if (word >= 0xf0)
            lookup_expire(lookup, now_ms += 100u * (word & 15));
        else if (server.open_count)
            answer_one(&server, lookup, word, now_ms);
    }
    while (lookup->phase != LOOKUP_DONE && now_ms <= end_ms)
        lookup_expire(lookup, now_ms = lookup_deadline_ms(lookup) > now_ms ? lookup_deadline_ms(lookup) : now_ms + 1);
    check(lookup->phase == LOOKUP_DONE, "not done in its time");
    check(server.open_count == 0, "done, and still asks");
    check(lookup->question_count <= QUESTIONS_MAX, "too many questions");
    check_outcome(lookup, &server, domain);
    lookup_fini(lookup);
    free(lookup);
    return 0;
}
