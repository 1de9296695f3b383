/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Inspector: asks for as long as a certificate is in use whether its issuer took it back (RFC 6120 s13.7.2.3). One
 * thread of its own fetches and judges; shards tell what they watch and hear what its standing is, whenever that
 * changes.
 *
 * For each certificate of a path but its anchor: a stapled answer, one that is remembered, OCSP (RFC 6960), CRLs (RFC
 * 5280), in this order, the first that answers counts. It is asked again near nextUpdate and at least every interval;
 * who does not answer is asked again after a pause that grows. What was learned outlives a restart.
 *
 * For our own certificates it fetches what is stapled to them.
 *
 * Thread:  a client belongs to its thread (a shard's); open, close, rouse, hush, distrust, check, list, own,
 *          staple and exchange_files are the control thread's.
 * Owns:    a reference to each credential that is watched.
 * Bounds:  fetches_max at a time, each by REVOCATION_OCSP_MAX or REVOCATION_CRL_MAX bytes and timeout_ms.
 */
#include "core/base/err.h"
#include "router/s2s/address.h"
#include "tls/credential.h"
#include "tls/revocation.h"

enum standing {
    STANDING_PENDING,    /* nothing is known yet */
    STANDING_GOOD,       /* all of the path that can be asked for */
    STANDING_UNCHECKED,  /* some certificate names no source, the others are good */
    STANDING_UNANSWERED, /* no source of some certificate has answered so that it counts */
    STANDING_REVOKED,
    STANDING_DISTRUSTED, /* by the operator */
    STANDING_UNSTAPLED,  /* a stream's alone, never found: the leaf came without the answer that it has to come with */
};

/* A chain that streams were authenticated by, while the function that is told of it runs. */
struct inspector_chain {
    const struct credential *credential;
    struct span serial; /* of the leaf, the octets as they stand in it */
    uint32_t streams;   /* of all shards */
    enum standing standing;
    enum revocation_status status; /* the last answer about the certificate that is worst off */
    bool has_ocsp, has_crl;        /* some certificate of the chain names such sources */
    bool is_stapled;               /* what is known of the leaf came in a handshake */
    struct span source;            /* the address of the first one */
    const char *file;              /* of certs.crl_files, with a list by the issuer of one of them; NULL: none */
    int64_t checked;               /* when an asking has ended last; 0: none has */
    int64_t due;                   /* the next one; 0: none */
    bool is_asking;                /* one is under way */
};
typedef void (*inspector_chain_fn)(void *context, const struct inspector_chain *chain);
/* Of a certificate: its SHA-256, or its serial number, which is shorter. */
typedef void (*inspector_name_fn)(void *context, struct span name);

#define INSPECTOR_CLOCK_TAG 0u /* of no watch: the wall clock was set, and deadlines by it are to be counted anew */
/* Of no watch, and to one client only: about a certificate of ours, to be counted. */
#define INSPECTOR_OWN_TAG UINT64_MAX

struct inspector_finding {
    uint64_t tag; /* of the watch; not 0 */
    enum standing standing;
    unsigned fault;                /* of which certificate, counted from the leaf, when it is not good */
    enum revocation_status status; /* the last answer about that one */
    uint8_t reason;                /* CRLReason of a revoked one */
    bool rests_on_file;            /* good or revoked by a list of certs.crl_files */
};

struct inspector_settings {
    int64_t interval_s;  /* asked again after that at the latest; 24 h */
    int64_t retry_min_s; /* after the first failure; doubled by each further one */
    int64_t retry_max_s;
    uint32_t timeout_ms; /* of one fetch */
    unsigned fetches_max;
    struct address_policy addresses; /* where it may fetch from */
    const char *cache_file;          /* NULL: nothing is remembered over a restart; copied */
    uint64_t dice_seed;              /* 0: from the system's entropy */
};
extern const struct inspector_settings inspector_settings_default;

/* What the issuer of one of our own certificates says of it, and what of that is stapled to handshakes (RFC 6066 s8).
 */
enum staple_state {
    STAPLE_NONE,       /* the certificate names no OCSP responder */
    STAPLE_NO_ISSUER,  /* it does, but without its issuer's certificate nobody can be asked */
    STAPLE_PENDING,    /* nobody has answered yet */
    STAPLE_GOOD,       /* a good answer is stapled */
    STAPLE_UNANSWERED, /* nothing is: no answer came, or none but the last one, which is over */
    STAPLE_REVOKED,    /* nothing is */
};
struct inspector_staple {
    enum staple_state state;
    enum revocation_status status; /* the last answer */
    int64_t made, until;           /* thisUpdate and nextUpdate of what is stapled; 0: nothing is */
    int64_t failing;               /* since when askings have failed; 0: the last one has not */
    int64_t revoked;               /* since when it is, by its issuer; 0: it is not */
    int64_t checked, due;          /* the last asking and the next one; 0: none */
    struct span url;               /* the first responder; valid until the next inspector_own() */
};

struct anchors;
struct context;
struct crl_files;
struct inspector;
struct inspector_client;

typedef void (*inspector_finding_fn)(void *context, const struct inspector_finding *finding);
/* Called on the worker when a client has new findings: wakes the client's thread. */
typedef void (*inspector_wake_fn)(void *context);

/* All clients are made before the first watch. Nobody is woken before inspector_rouse() and after inspector_hush():
 * while the clients' threads are not there yet, or not any more. */
struct inspector *inspector_open(const struct inspector_settings *settings, unsigned client_count, struct err *err);
/* No client's thread may use its client any more. */
void inspector_close(struct inspector *inspector);
struct inspector_client *inspector_client(struct inspector *inspector, unsigned index, inspector_wake_fn wake,
                                          void *wake_context);

void inspector_rouse(struct inspector *inspector);
void inspector_hush(struct inspector *inspector);

/* A certificate by its serial number (the octets as they stand in it) or its SHA-256: not trusted from now on, with
 * a cache_file also after a restart. Returns how many credentials in use contain it. */
unsigned inspector_distrust(struct inspector *inspector, struct span name);
/* Takes that back; false: there was nothing to take back. */
bool inspector_trust(struct inspector *inspector, struct span name);
/* Tells of each that is distrusted, in no order; the inspector rests meanwhile. */
void inspector_list_distrusted(struct inspector *inspector, inspector_name_fn fn, void *context);
/* Is what is distrusted written down? If not, it ends with the process. */
bool inspector_is_lasting(const struct inspector *inspector);
/* The lists of certs.crl_files count from now on, instead of those before; a reference is taken over. All chains in use
 * are judged by them before it returns: the shards hear of those that stand otherwise. */
void inspector_exchange_files(struct inspector *inspector, struct crl_files *files);
/* Asks now for all certificates of credentials in use that are the domain's, and for our own of that name; how many
 * credentials and certificates of ours. */
unsigned inspector_check(struct inspector *inspector, struct span domain);
/* Tells of each chain that streams use, in no order; of those of a domain and of people there, unless it is empty.
 * Meanwhile the inspector rests. */
void inspector_list(struct inspector *inspector, struct span domain, inspector_chain_fn fn, void *context);

/* Our own certificates: from now on those of these contexts, which are kept, and of no others; one that is NULL is
 * passed over. What is known of them is stapled when this returns, the rest when it is known. others: where issuers are
 * looked for that the contexts do not have; may be NULL. Other threads use the contexts meanwhile as they like. */
void inspector_own(struct inspector *inspector, struct context *const *contexts, unsigned count,
                   const struct anchors *others);
/* Of our own certificate with this SHA-256; false: it is not among them. */
bool inspector_staple(struct inspector *inspector, const uint8_t sha256[CREDENTIAL_SHA256],
                      struct inspector_staple *out);

/* From now on findings about the credential, which is valid and shared, come with this tag, one at least. staple: the
 * OCSP answer that came in its handshake, or empty; copied. False: no memory or room; ask again later. */
bool inspector_watch(struct inspector_client *client, uint64_t tag, struct credential *credential, struct span staple)
    __attribute__((warn_unused_result));
/* A later handshake with the credential of that tag has brought this answer. The same. */
bool inspector_shown(struct inspector_client *client, uint64_t tag, struct span staple)
    __attribute__((warn_unused_result));
/* A finding that is under way may still come. False: no room; again later. */
bool inspector_unwatch(struct inspector_client *client, uint64_t tag) __attribute__((warn_unused_result));
/* Publishes what was posted: once per turn. */
void inspector_flush(struct inspector_client *client);
/* Hands out the findings that are there; the function may watch and unwatch. */
void inspector_poll(struct inspector_client *client, inspector_finding_fn finding, void *context);

/* "unanswered"; for people, logs and metrics. */
const char *standing_text(enum standing standing);
const char *staple_text(enum staple_state state);
