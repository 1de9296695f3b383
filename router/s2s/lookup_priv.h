/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Lookup: the way from one domain to its candidates, as a machine without I/O: it asks DNS questions through two
 * functions, is told their answers and the time, and ends with a status. What it found stays in it, as the cache.
 *
 * Thread:  the owner's. No function of lookup_env is called back from inside itself: ask() never answers at once.
 */
#include "core/base/arena.h"
#include "core/base/wheel.h"
#include "router/s2s/resolver_request_priv.h"
#include "router/s2s/srv.h"

struct lookup;
struct host;
struct endpoint;

enum question_role { QUESTION_SRV_TLS, QUESTION_SRV, QUESTION_AAAA, QUESTION_A, QUESTION_TLSA };

struct question {
    struct lookup *lookup;
    enum question_role role;
    bool is_open;
    const char *name;
    enum dns_type type;
    uint64_t asked_ms;
    struct host *host;         /* of an address question */
    struct endpoint *endpoint; /* of a TLSA question */
    void *handle;              /* whoever answers may keep something here while it is open */
};

struct lookup_env {
    const struct resolver_settings *settings;
    void *context;
    /* False: it cannot be asked now, and counts as failed. */
    bool (*ask)(void *context, struct question *question);
    /* An open question whose answer is no longer wanted: it must not be given any more. */
    void (*forget)(void *context, struct question *question);
};

/* What came of one SRV question. */
struct service {
    struct question question;
    enum dns_result result;
    bool is_declined; /* one record, with the target "." */
};

/* The addresses of one family that the policy permits. */
struct family {
    struct question question;
    enum dns_result result;
    bool is_secure;
    bool has_refused; /* there were addresses that are not permitted */
    unsigned count;
    union address *addresses;
};

struct host {
    struct host *next;
    const char *name;
    bool is_begun; /* its addresses were asked for, or given up */
    struct family v6;
    struct family v4;
    /* Both, in the order of attempts, when the lookup is done. */
    union address *addresses;
    unsigned count;
};

/* One SRV record, route or fallback. */
struct endpoint {
    struct endpoint *next;
    struct host *host;
    uint16_t priority;
    uint16_t weight;
    uint16_t port;
    bool is_direct_tls;
    bool is_srv_secure;
    bool is_tlsa_asked;
    bool has_excess_tlsa;
    enum dns_result tlsa_result;
    struct question tlsa_question;
    struct resolver_tlsa *tlsa;
    unsigned tlsa_count;
};

enum lookup_phase { LOOKUP_SRV, LOOKUP_HOSTS, LOOKUP_DONE };

struct lookup {
    /* The machine's. */
    const struct lookup_env *env;
    enum lookup_phase phase;
    enum resolver_status status; /* when done */
    enum resolver_source source;
    bool is_partial;
    bool is_out_of_memory;
    uint32_t ttl_s; /* the least of all answers so far */
    uint32_t question_count;
    uint64_t deadline_ms;        /* of the whole */
    uint64_t patience_ms;        /* when to do without what is missing; UINT64_MAX: it is needed */
    char name[DNS_NAME_MAX + 1]; /* the domain in A-labels */
    struct service services[2];  /* _xmpps-server, _xmpp-server */
    unsigned record_count;
    struct endpoint *endpoints;
    struct host *hosts;
    struct arena arena; /* of all that was found */

    /* The finder's. */
    struct timer timer;
    struct request_queue waiting;
    uint64_t expires_ms; /* when done */
    struct lookup *newer, *older;
    uint16_t domain_size;
    char domain[];
};

/* Asks its first questions; it may be done at once. The memory is zeroed but for domain. */
void lookup_start(struct lookup *lookup, const struct lookup_env *env, uint64_t now_ms);
/* The question is no longer open when this is called. */
void lookup_answered(struct lookup *lookup, struct question *question, const struct dns_answer *answer,
                     uint64_t now_ms);
/* Gives up what has not come by now. */
void lookup_expire(struct lookup *lookup, uint64_t now_ms);
/* When to call lookup_expire(), while it is not done. */
uint64_t lookup_deadline_ms(const struct lookup *lookup);
/* Forgets all open questions and gives the memory back. */
void lookup_fini(struct lookup *lookup);
/* Of a lookup that is done: fills the request's answer, candidates drawn with the dice. */
void lookup_answer(const struct lookup *lookup, struct resolver_request *request, uint64_t *dice);

/* In lookup_take.c: keeps what an answer holds. False: the data cannot be read, or memory is refused. */
bool lookup_take_srv(struct lookup *lookup, struct service *service, const struct dns_answer *answer);
bool lookup_take_addresses(struct lookup *lookup, struct family *family, const struct dns_answer *answer);
bool lookup_take_tlsa(struct lookup *lookup, struct endpoint *endpoint, const struct dns_answer *answer);
struct host *lookup_add_host(struct lookup *lookup, const char *name);
struct endpoint *lookup_add_endpoint(struct lookup *lookup, const char *host, uint16_t port);
/* The outcome of one endpoint: RESOLVER_FOUND when it can be connected to, else why not. */
enum resolver_status lookup_judge(const struct endpoint *endpoint);
