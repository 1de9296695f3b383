/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Control: the thread that talks to people: the Unix admin socket with its commands (docs/ADMIN.md), signals, accounts.
 *
 * It runs on the thread that calls control_run(), usually the main one, beside the shards and never in their way: it
 * reads their counters, and asks them questions that they answer in bounded pieces between two turns. It knows the
 * router only through struct control_config.
 *
 * Signals: SIGTERM and SIGINT drain (a second one stops at once), SIGHUP reloads, SIGUSR1 reopens the log.
 *
 * Thread:  control_block_signals, control_new and control_free on the main thread, before and after all others;
 *          control_answered and control_quit on any; hooks are called on the thread of control_run.
 * Bounds:  CONTROL_CONSOLES connections; a line, the waiting output and the asks of each are bounded; one that does not
 *          read its answer is closed.
 */
#include "core/base/counters.h"
#include "core/base/err.h"
#include "core/base/span.h"

#include <sys/types.h>

struct config;
struct control;
struct store;

#define CONTROL_CONSOLES 32u
#define CONTROL_ASK_ROOM 16384u /* bytes of rows in one answer */
#define CONTROL_ASK_SCAN 2000u  /* sessions that a shard looks at for one ask: about 100 us */

/* A question to a shard, owned by control; the shard's from hooks.ask() to control_answered(). */
enum control_ask_kind {
    ASK_SESSIONS, /* walk the sessions from position on: control_ask_session() for each, CONTROL_ASK_SCAN at most */
    ASK_S2S, /* the same with streams to and from other servers, and with pairs that have none: control_ask_s2s() */
    ASK_S2S_TEST,  /* reach domain from ours: control_ask_step() for each step, answered when it is over; count: 1 if
                      good */
    ASK_S2S_CLOSE, /* close all streams with domain, and let nobody rest from it: count is how many */
};

struct control_ask {
    enum control_ask_kind kind;
    unsigned shard;
    /* Kept by the shard from one ask to the next of the same question: where it is in its table. Starts at 0. Sessions
     * that come or go in between may be missed or listed twice. */
    uint64_t position;
    bool is_done;       /* the shard sets it: nothing is left behind position */
    struct span domain; /* ASK_S2S_CLOSE, ASK_S2S_TEST: theirs, prepared */
    struct span ours;   /* ASK_S2S_TEST: likewise */
    uint64_t count;
    struct control_ask_private *private;
};

/* One session as a shard describes it. Empty strings and NULL are left out of the answer. */
struct control_session {
    struct span jid;
    const char *address;
    const char *tls; /* "TLSv1.3" */
    const char *cipher;
    const char *mechanism;   /* SASL */
    const char *certificate; /* that counts, of its client: the beginning of its fingerprint */
    bool is_available;       /* has sent initial presence */
    int priority;
    uint64_t age_ms;
    uint64_t queued; /* bytes that wait for it */
};

enum control_s2s_state { S2S_NEGOTIATING, S2S_READY, S2S_CONNECTING, S2S_RESTING };

/* A stream with another server; or, CONNECTING and RESTING, a pair of domains that has none. Empty strings, NULL and -1
 * are left out of the answer. */
struct control_s2s {
    struct span theirs, ours;
    enum control_s2s_state state;
    bool is_stream;
    bool is_out;
    bool is_bidi;
    const char *address;
    const char *tls;
    const char *cipher;
    const char *proof;       /* "pkix", "dane", ..: how they proved their domain (trust.h) */
    const char *certificate; /* "valid", or what is wrong with theirs */
    const char *standing;    /* "good", "unanswered", ..: what its issuers say now; NULL: nobody is asked */
    const char *answer;      /* why it is not good; NULL: it is */
    const char *changed;     /* "key,names": in what it is another one than last time; empty: in nothing */
    int64_t expires;         /* it does: seconds since 1970; 0: none was judged */
    unsigned pairs;          /* proven on this stream */
    uint64_t stanzas_in, bytes_in, stanzas_out, bytes_out;
    uint64_t queued; /* bytes */
    int64_t age_ms;
    const char *error; /* RESTING: what every stanza is answered */
    unsigned failures; /* in a row */
    int64_t left_ms;   /* CONNECTING: until it is given up; RESTING: until the next attempt is allowed */
};

/* On the shard: adds the session if the question wants it. False when the answer is full: the session was not added,
 * so position must stay at it, and the shard answers now. */
bool control_ask_session(struct control_ask *ask, const struct control_session *session);
/* The same, of domains that begin as the question wants. */
bool control_ask_s2s(struct control_ask *ask, const struct control_s2s *s2s);
/* What does not fit is left out. */
void control_ask_step(struct control_ask *ask, const char *what, bool is_good, const char *text);
/* Any thread: the ask is control's again. */
void control_answered(struct control *control, struct control_ask *ask);

enum control_account_change { ACCOUNT_ADDED, ACCOUNT_DELETED, ACCOUNT_PASSWORD, ACCOUNT_DISABLED, ACCOUNT_ENABLED };

/* What the issuer of a leaf of ours says of it. */
struct control_staple {
    const char *state;  /* "good", "off", .. */
    const char *answer; /* why no better one came, and since failing */
    struct span url;    /* of the responder */
    int64_t made;       /* what is stapled */
    int64_t until;      /* the same */
    int64_t age;        /* of what is stapled, in seconds */
    int64_t failing;
    int64_t revoked; /* since when */
    int64_t checked;
    int64_t next;
    const char *demanded; /* by the certificate: "met" or "unmet"; NULL: not */
};

/* A certificate that we show for a domain. Empty spans, NULL and dates of 0 are left out. */
struct control_own {
    const char *domain;
    const char *use; /* "c2s" or "s2s"; NULL: both */
    unsigned depth;  /* 0: the leaf; others stand behind it in its file */
    struct span names;
    struct span subject; /* of those that are no leaf */
    struct span issuer;
    const char *sha256;
    const char *serial;
    int64_t expires;
    int64_t days_left;            /* whole ones; below 0: it is over */
    int64_t chain_expires;        /* of a leaf: the first of all that are shown */
    struct control_staple staple; /* of a leaf */
};
typedef void (*control_own_fn)(void *listing, const struct control_own *own);

struct control_hooks {
    /* Posts the ask to its shard; false when that is not possible now (a full link): it is tried again soon. */
    bool (*ask)(void *context, struct control_ask *ask);
    /* Loads the file again and exchanges it whole, or changes nothing. notice: what a person should know all the same,
     * like keys that need a restart; empty if nothing. */
    bool (*reload)(void *context, struct err *notice, struct err *err);
    /* drain: end all streams in order, then end. Otherwise at once. May come twice. control_quit() when all is over. */
    void (*stop)(void *context, bool drain);
    /* A durable change was made to that account (prepared bare JID). May be NULL. */
    void (*account_changed)(void *context, struct span jid, enum control_account_change change);
    /* The configuration in force; valid until the next call of reload. */
    const struct config *(*config)(void *context);
    /* Our certificates in force, one for each domain that has one. May be NULL. */
    void (*own)(void *context, control_own_fn tell, void *listing);
    /* When control_run() begins, and then every day. May be NULL. */
    void (*daily)(void *context);
};

/* A chain of certificates that streams were authenticated by. Empty strings, NULL and dates of 0 are left out of the
 * answer. */
struct control_chain {
    const char *certificate; /* the leaf: the beginning of its SHA-256, as elsewhere */
    const char *sha256;
    const char *serial; /* in hex, as is the last */
    struct span names;  /* apart by commas; those that do not fit are left out */
    uint32_t streams;
    int64_t expires;
    const char *source; /* "ocsp", "crl", "both"; "file" where there is nothing else than the next; "none" */
    const char *file;   /* of certs.crl_files, with a list by an issuer of theirs; NULL: none */
    struct span url;    /* the first */
    const char *standing;
    const char *answer; /* the last one */
    bool is_stapled;    /* the leaf's, by a handshake */
    int64_t checked;
    int64_t next;
    bool is_asking;
};
typedef void (*control_chain_fn)(void *listing, const struct control_chain *chain);

typedef void (*control_distrusted_fn)(void *listing, const char *name, bool is_sha256);

/* What is known of other people's certificates (survey_certs.h); called on control's thread. */
struct control_certs {
    void *context;
    /* Those of a domain, or all when it is empty. */
    void (*list)(void *context, struct span domain, control_chain_fn tell, void *listing);
    /* Their issuers are asked now; how many chains. */
    unsigned (*check)(void *context, struct span domain);
    /* By a SHA-256, or the octets of a serial number as it stands in certificates; in how many chains. */
    unsigned (*distrust)(void *context, struct span name);
    /* Taken back; false: it was not distrusted by that name. */
    bool (*trust)(void *context, struct span name);
    /* Each such name, as hex. */
    void (*distrusted)(void *context, control_distrusted_fn tell, void *listing);
    /* Does that outlive the process? */
    bool (*is_lasting)(void *context);
};

/* A line of `show info` that the router knows: version, listeners. */
struct control_fact {
    const char *name;
    const char *value;
};

struct control_config {
    const char *socket_path; /* copied; NULL or empty: no socket, signals only */
    mode_t socket_mode;
    unsigned shard_count;
    struct counters *const *counters; /* one per shard */
    struct store *store;              /* NULL: no account commands */
    unsigned store_client;            /* the index of control's client */
    const struct control_fact *facts;
    unsigned fact_count;
    struct control_certs certs; /* NULLs: nobody watches over certificates */
    bool takes_signals;         /* control_block_signals() was called */
    struct control_hooks hooks;
    void *context;
};

/* Before any thread: the signals above come to control only, SIGPIPE to nobody. */
void control_block_signals(void);
/* Opens the socket. A socket file left over is removed only if nobody listens on it. */
struct control *control_new(const struct control_config *config, struct err *err);
/* Until control_quit(). */
void control_run(struct control *control);
void control_quit(struct control *control);
/* After the shards have ended. */
void control_free(struct control *control);
