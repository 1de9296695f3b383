/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Resolver: where the server of a remote domain is: an ordered list of candidates to connect to, or the exact reason
 * why there is none.
 *
 * Clients (one per shard) post domains and get answers, both over links, as with the store. One worker serves all: it
 * keeps one lookup for each domain however many ask for it, and what it found for as long as the DNS says. A lookup:
 *   1. a static route of the configuration, else an address literal, needs no SRV (RFC 6120 s3.2.3, s3.2)
 *   2. _xmpps-server._tcp and _xmpp-server._tcp, merged (RFC 6120 s3.2.1, XEP-0368); a target "." means none
 *   3. without records: the domain itself at 5269 (RFC 6120 s3.2.2). Not after a lookup that failed: RFC 7673 s3.1
 *   4. AAAA and A of each target, judged by the address policy and ordered by RFC 8305 s4
 *   5. TLSA of each target, when SRV and addresses are secure (RFC 7673 s3.3)
 * A target whose addresses or TLSA records are bogus, or whose TLSA lookup fails, is no candidate (RFC 7673 s3.2,
 * s3.4).
 *
 * Two implementations chosen at link time: resolver_unbound.c (a thread and libunbound) and resolver_script.c (the
 * client's own thread and DNS records from a script, for tests and simulation). Both run the same lookups and cache.
 *
 * Thread:  a client's calls on its own thread. resolver_open and resolver_close on the main thread.
 * Time:    milliseconds of the caller's monotonic clock. The real one has a clock of its own and does not look at it.
 * Owns:    the domain is copied by resolver_post; an answer is borrowed until the answer function returns.
 * Bounds:  RESOLVER_PENDING_MAX domains in flight per client; settings.lookups_max lookups; settings.timeout_ms each;
 *          the limits below for what one domain's DNS may hold.
 * Fails:   resolver_post returns false at the bound, or when memory is refused: try after the next answers.
 */
#include "core/base/err.h"
#include "core/base/span.h"
#include "router/s2s/address.h"
#include "router/s2s/dns.h"

#include <stdint.h>

#define RESOLVER_PENDING_MAX   1024u
#define RESOLVER_RECORDS_MAX   32u     /* SRV records of both services; more is RESOLVER_TOO_MANY */
#define RESOLVER_ADDRESSES_MAX 16u     /* of one family of a host; further ones are not used */
#define RESOLVER_TLSA_MAX      16u     /* of a target; more, and the target is no candidate */
#define RESOLVER_ALIASES_MAX   8u      /* CNAME and DNAME records one after the other */
#define RESOLVER_MEMORY_MAX    262144u /* bytes that one lookup keeps */
#define RESOLVER_PORT          5269u   /* RFC 6120 s14.7 */

enum resolver_status {
    RESOLVER_FOUND,
    RESOLVER_NO_DOMAIN,  /* there is no such name */
    RESOLVER_NO_SERVICE, /* the domain says it has no XMPP server (SRV target ".") */
    RESOLVER_NO_ADDRESS, /* the domain exists, but no host with an address comes of it */
    RESOLVER_BAD_NAME,   /* no DNS name can be made of it */
    RESOLVER_TIMEOUT,
    RESOLVER_FAILED,   /* name servers fail or answer what cannot be read */
    RESOLVER_BOGUS,    /* DNSSEC validation failed: somebody lies, or the zone is broken */
    RESOLVER_REFUSED,  /* all addresses are in ranges that the policy does not permit */
    RESOLVER_TOO_MANY, /* records or aliases beyond the limits above */
    RESOLVER_BUSY,     /* settings.lookups_max are under way, or memory is refused: ask later */
    RESOLVER_STATUS_COUNT
};

/* How the candidates were found. */
enum resolver_source { RESOLVER_BY_ROUTE, RESOLVER_BY_LITERAL, RESOLVER_BY_SRV, RESOLVER_BY_FALLBACK };

/* RFC 6698 s2.1; data is the certificate association data. */
struct resolver_tlsa {
    uint8_t usage;
    uint8_t selector;
    uint8_t matching;
    struct span data;
};

struct resolver_candidate {
    const char *host; /* A-labels in lower case without the last dot, or an address; a NUL behind it */
    uint16_t port;
    uint16_t priority;
    uint16_t weight;
    bool is_direct_tls; /* TLS at once with SNI and ALPN "xmpp-server" (XEP-0368 s3), else STARTTLS */
    /* The SRV records were validated: host is a reference identifier as good as the domain (RFC 7673 s4.1). */
    bool is_srv_secure;
    bool is_secure;                   /* that, and its addresses */
    const union address *addresses;   /* with the port, in the order of attempts */
    unsigned address_count;           /* at least 1 */
    const struct resolver_tlsa *tlsa; /* validated; none unless is_secure. TLS is a must where there are any */
    unsigned tlsa_count;
};

struct resolver_answer {
    uint64_t tag;       /* the request's */
    struct span domain; /* likewise */
    enum resolver_status status;
    enum resolver_source source;                 /* where RESOLVER_FOUND */
    const struct resolver_candidate *candidates; /* in the order of attempts, drawn anew for each answer */
    unsigned count;
    uint32_t ttl_s;  /* asked again before that, the answer is the same (but for the drawing) */
    bool is_cached;  /* it was known already */
    bool is_partial; /* some targets were left out because their name servers do not answer in time */
};

struct static_route;

/* One DNS answer of a lookup, for whoever wants to see the steps. */
struct resolver_step {
    struct span domain;
    const char *name;
    enum dns_type type;
    uint32_t elapsed_ms;
    const struct dns_answer *answer;
};

/* Borrowed until resolver_close(), all that they point to included. */
struct resolver_settings {
    const char *const *nameservers; /* "192.0.2.53", "192.0.2.53@5353": they resolve for us; none: see is_recursive */
    unsigned nameserver_count;
    bool is_recursive;       /* without name servers: begin at the root, else those of /etc/resolv.conf */
    const char *anchor_file; /* DS or DNSKEY records that are trusted; NULL: nothing is validated, nothing is secure */
    bool without_ipv4;
    bool without_ipv6;
    struct address_policy policy; /* of what the DNS says; a static route is the operator's word */
    const struct static_route *routes;
    unsigned route_count;
    uint32_t timeout_ms;         /* for one lookup */
    uint32_t patience_ms;        /* for the rest of its answers, once there is something to connect to */
    uint32_t ttl_max_s;          /* of what was found */
    uint32_t negative_ttl_max_s; /* of an absence (RFC 2308 s5) */
    uint32_t failure_ttl_s;      /* of a failure, and the least for an absence; RFC 2308 s7.1 allows 5 minutes */
    uint32_t cache_count;        /* domains remembered */
    uint32_t lookups_max;        /* under way at a time */
    uint64_t dice_seed;          /* 0: from the system's entropy */
    void (*trace)(void *context, const struct resolver_step *step); /* on the worker; or NULL */
    void *trace_context;
};
extern const struct resolver_settings resolver_settings_default;

struct resolver;
struct resolver_client;

typedef void (*resolver_answer_fn)(void *context, const struct resolver_answer *answer);
/* Called on the worker when a client has new answers: wakes the client's thread. */
typedef void (*resolver_wake_fn)(void *context);

/* All clients are made before the first request. */
struct resolver *resolver_open(const struct resolver_settings *settings, unsigned client_count, struct err *err);
/* What is under way is given up; no client's thread may use its client any more. */
void resolver_close(struct resolver *resolver);
struct resolver_client *resolver_client(struct resolver *resolver, unsigned index, resolver_wake_fn wake,
                                        void *wake_context);

/* domain: prepared by jid_prepare_domain(). */
bool resolver_post(struct resolver_client *client, uint64_t tag, struct span domain)
    __attribute__((warn_unused_result));
/* Publishes what was posted: once per turn. */
void resolver_flush(struct resolver_client *client, uint64_t now_ms);
/* Hands out the answers that are there; returns how many. The answer function may post and flush. */
unsigned resolver_poll(struct resolver_client *client, uint64_t now_ms, resolver_answer_fn answer, void *context);
/* When to poll next though nobody wakes the client: only the scripted one, which has no thread to wait on, ever says
 * less than UINT64_MAX. */
uint64_t resolver_deadline_ms(const struct resolver_client *client);
uint32_t resolver_pending(const struct resolver_client *client);

/* "no-such-domain": for logs and counters. */
const char *resolver_status_name(enum resolver_status status);
/* A sentence for a person. */
const char *resolver_status_text(enum resolver_status status);

/* What it did since it was opened. Any thread. */
struct resolver_stats {
    uint64_t requests;  /* answered */
    uint64_t hits;      /* of these, from the cache */
    uint64_t lookups;   /* begun */
    uint64_t questions; /* DNS questions asked */
    uint32_t running;   /* lookups under way */
    uint32_t cached;    /* domains remembered */
};
void resolver_stats(struct resolver *resolver, struct resolver_stats *stats);
