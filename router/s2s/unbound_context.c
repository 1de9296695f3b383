/* SPDX-License-Identifier: MIT */
#include "router/s2s/unbound_context_priv.h"

#include "core/base/log.h"

#include <stdlib.h>
#include <unbound.h>

/* 512 lookups in 10 s about nothing but silent zones leave 1,800 questions behind, since libunbound gives up after 17
 * s. */
#define QUESTIONS_MAX 4096u
#define CLASS_IN      1
#define TYPE_CNAME    5u
#define RCODE_OK      0
#define DATA_MAX      4096u /* records of one answer; a message of 64 KiB has room for 4,092 addresses of IPv4 */

/* A question in libunbound. */
struct query {
    struct query *next, **link;
    struct unbound_context *unbound;
    struct question *question; /* NULL: forgotten */
};

struct unbound_context {
    struct ub_ctx *ub;
    unbound_answer_fn answer;
    void *context;
    struct query *queries;
    unsigned count;
    struct span data[DATA_MAX]; /* of the answer being told */
};

/*
 * Settings.
 */

struct option {
    const char *name;
    const char *value;
};

static const struct option options[] = {
    /* libunbound's own 16 ports would let 16 questions out at a time. Each question has a random one (RFC 5452). */
    {"outgoing-range:", "512"},
    {"outgoing-num-tcp:", "32"},
    {"num-queries-per-thread:", "2048"},
    {"msg-cache-size:", "4m"},
    {"rrset-cache-size:", "8m"},
    {"key-cache-size:", "2m"},
    {"neg-cache-size:", "1m"},
    /* A name server that was down is asked again after a minute, not after 15. */
    {"infra-host-ttl:", "60"},
    {"infra-keep-probing:", "yes"},
    {"harden-dnssec-stripped:", "yes"},
    {"harden-glue:", "yes"},
    {"val-permissive-mode:", "no"},
};

/* With name servers of the operator's choosing: they may be on this machine, and may know what the public DNS does not
 * have (RFC 6761, RFC 8375). */
static const struct option forwarding_options[] = {
    {"do-not-query-localhost:", "no"},
    {"local-zone:", "test. nodefault"},
    {"local-zone:", "home.arpa. nodefault"},
};

static bool set_options(struct ub_ctx *ub, const struct option *list, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        int rc = ub_ctx_set_option(ub, list[i].name, list[i].value);
        if (rc != UB_NOERROR) {
            err_set(err, "libunbound %s does not take %s %s: %s", ub_version(), list[i].name, list[i].value,
                    ub_strerror(rc));
            return false;
        }
    }
    return true;
}

static bool set_nameservers(struct ub_ctx *ub, const struct resolver_settings *settings, struct err *err)
{
    for (unsigned i = 0; i < settings->nameserver_count; i++) {
        int rc = ub_ctx_set_fwd(ub, settings->nameservers[i]);
        if (rc != UB_NOERROR) {
            err_set(err, "\"%s\" is not a name server like 192.0.2.53 or 192.0.2.53@5353", settings->nameservers[i]);
            return false;
        }
    }
    if (settings->nameserver_count > 0 || settings->is_recursive)
        return true;
    int rc = ub_ctx_resolvconf(ub, NULL);
    if (rc != UB_NOERROR)
        err_set(err, "the name servers of /etc/resolv.conf cannot be had: %s", ub_strerror(rc));
    return rc == UB_NOERROR;
}

static bool configure(struct ub_ctx *ub, const struct resolver_settings *settings, struct err *err)
{
    (void)ub_ctx_debugout(ub, NULL);
    if (!set_options(ub, options, sizeof options / sizeof options[0], err))
        return false;
    bool is_forwarding = settings->nameserver_count > 0 || !settings->is_recursive;
    if (is_forwarding &&
        !set_options(ub, forwarding_options, sizeof forwarding_options / sizeof forwarding_options[0], err))
        return false;
    if (!set_nameservers(ub, settings, err))
        return false;
    if (settings->anchor_file != NULL && settings->anchor_file[0] != '\0') {
        int rc = ub_ctx_add_ta_file(ub, settings->anchor_file);
        if (rc != UB_NOERROR) {
            err_set(err, "the trust anchors in %s cannot be read: %s", settings->anchor_file, ub_strerror(rc));
            return false;
        }
    }
    /* In a thread, not in a child process. */
    if (ub_ctx_async(ub, 1) != UB_NOERROR)
        return false;
    /* Reads the anchors and sets everything up, which would else happen at the first question, too late for a reason.
     * The zone does not exist. */
    int rc = ub_ctx_zone_remove(ub, "nothing.invalid.");
    if (rc != UB_NOERROR)
        err_set(err, "libunbound cannot be set up%s%s: %s",
                settings->anchor_file != NULL ? " with the trust anchors of " : "",
                settings->anchor_file != NULL ? settings->anchor_file : "", ub_strerror(rc));
    return rc == UB_NOERROR;
}

/*
 * Answers.
 */

static unsigned read_u16(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

/* The place behind a name, or size when the message ends before that. */
static size_t skip_name(const unsigned char *message, size_t size, size_t at)
{
    while (at < size && message[at] != 0) {
        if (message[at] >= 0xc0) /* a pointer is a name's last part: RFC 1035 s4.1.4 */
            return at + 2 < size ? at + 2 : size;
        at += 1u + message[at];
    }
    return at < size ? at + 1 : size;
}

/* Aliases in the answer section, which libunbound follows but does not count for us. */
static unsigned count_aliases(const unsigned char *message, size_t size)
{
    if (message == NULL || size < 12)
        return 0;
    unsigned questions = read_u16(message + 4), answers = read_u16(message + 6), aliases = 0;
    size_t at = 12;
    for (unsigned i = 0; i < questions; i++)
        at = skip_name(message, size, at) + 4;
    for (unsigned i = 0; i < answers && at < size; i++) {
        at = skip_name(message, size, at);
        if (size < at + 10 || at >= size)
            break;
        aliases += read_u16(message + at) == TYPE_CNAME;
        at += 10 + read_u16(message + at + 8);
    }
    return aliases;
}

static enum dns_result result_of(const struct ub_result *result)
{
    if (result->bogus)
        return DNS_BOGUS;
    if (result->nxdomain)
        return DNS_NO_NAME;
    if (result->rcode != RCODE_OK)
        return DNS_FAILED;
    return result->havedata ? DNS_DATA : DNS_NO_DATA;
}

static void tell(struct unbound_context *unbound, struct question *question, const struct ub_result *result)
{
    struct dns_answer answer = {
        .result = result_of(result),
        .is_secure = result->secure,
        .ttl_s = result->ttl > 0 ? (uint32_t)result->ttl : 0,
        .aliases = count_aliases(result->answer_packet, (size_t)result->answer_len),
        .reason = result->why_bogus,
        .data = unbound->data,
    };
    if (answer.result == DNS_DATA) {
        while (answer.count < DATA_MAX && result->data[answer.count] != NULL) {
            unbound->data[answer.count] = span_of(result->data[answer.count], (size_t)result->len[answer.count]);
            answer.count++;
        }
    }
    unbound->answer(unbound->context, question, &answer);
}

static void query_free(struct query *query)
{
    *query->link = query->next;
    if (query->next != NULL)
        query->next->link = query->link;
    query->unbound->count--;
    free(query);
}

/* Takes the result of a question that has ended in libunbound; its type is libunbound's. */
static void query_done(void *argument, int error, struct ub_result *result)
{
    static const struct dns_answer failed = {.result = DNS_FAILED};
    struct query *query = argument;
    struct unbound_context *unbound = query->unbound;
    struct question *question = query->question;
    query_free(query);
    if (question != NULL && error == UB_NOERROR && result != NULL)
        tell(unbound, question, result);
    else if (question != NULL)
        unbound->answer(unbound->context, question, &failed);
    ub_resolve_free(result);
}

/*
 * The contract.
 */

struct unbound_context *unbound_context_new(const struct resolver_settings *settings, unbound_answer_fn answer,
                                            void *context, struct err *err)
{
    struct unbound_context *unbound = calloc(1, sizeof *unbound);
    if (unbound != NULL)
        unbound->ub = ub_ctx_create();
    if (unbound == NULL || unbound->ub == NULL) {
        err_set(err, "libunbound cannot be set up: no memory or no descriptors are left");
        free(unbound);
        return NULL;
    }
    err_set(err, "libunbound has no threads");
    if (!configure(unbound->ub, settings, err)) {
        unbound_context_free(unbound);
        return NULL;
    }
    unbound->answer = answer;
    unbound->context = context;
    return unbound;
}

void unbound_context_free(struct unbound_context *unbound)
{
    ub_ctx_delete(unbound->ub);
    while (unbound->queries != NULL)
        query_free(unbound->queries);
    free(unbound);
}

int unbound_context_descriptor(const struct unbound_context *unbound)
{
    return ub_fd(unbound->ub);
}

bool unbound_context_process(struct unbound_context *unbound)
{
    int rc = ub_process(unbound->ub);
    if (rc != UB_NOERROR)
        log_event(LOG_ERROR, "resolver.broken",
                  "error=\"%s\" effect=\"the DNS is not asked any more: restart the router\"", ub_strerror(rc));
    return rc == UB_NOERROR;
}

bool unbound_context_ask(struct unbound_context *unbound, struct question *question)
{
    if (unbound->count == QUESTIONS_MAX)
        return false;
    struct query *query = malloc(sizeof *query);
    if (query == NULL)
        return false;
    *query =
        (struct query){.unbound = unbound, .question = question, .next = unbound->queries, .link = &unbound->queries};
    if (query->next != NULL)
        query->next->link = &query->next;
    unbound->queries = query;
    unbound->count++;
    question->handle = query;
    int rc = ub_resolve_async(unbound->ub, question->name, (int)question->type, CLASS_IN, query, query_done, NULL);
    if (rc == UB_NOERROR)
        return true;
    log_event(LOG_WARN, "resolver.refused", "name=%s error=\"%s\"", log_quoted(span_str(question->name)).text,
              ub_strerror(rc));
    query_free(query);
    return false;
}

void unbound_context_forget(struct question *question)
{
    struct query *query = question->handle;
    query->question = NULL;
}
