/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * S2s: a stream with another server (RFC 6120; XEP-0288, XEP-0220), in either direction: accepted (in) or dialled
 * (out). It is a stream with a tail; what it may carry is decided by the pairs of domains that were proven for it.
 *
 *   in:  their domain is proven to us -> they may speak from it to our domain. With <bidi/> we may speak back.
 *   out: we asked for a pair and were let in -> we may speak. With <bidi/> they may speak back, because their domain
 *        was proven when we checked their certificate or by dialback over DNS. What counts as proof, and of whom, is
 *        the operator's word (trust.h).
 *
 * Thread:  the stream's shard; once proven that is the owner of the remote domain.
 */
#include "core/base/counters.h"
#include "router/route/shard.h"
#include "router/s2s/trust.h"
#include "router/stream/nego.h"

struct ack;
struct contact;
struct pair;

enum s2s_offer { OFFERS_TLS = 1, OFFERS_BIDI = 2, OFFERS_DIALBACK = 4, OFFERS_EXTERNAL = 8, OFFERS_ACKS = 16 };

#define S2S_NAMES_MAX 100u /* pairs proven on one stream: multiplexing (XEP-0220 s2.5) is bounded */

/* They may speak from theirs to ours. Both prepared, in one piece: theirs first. */
struct s2s_name {
    struct s2s_name *next;
    uint8_t proof;
    uint16_t theirs_size;
    uint16_t ours_size;
    char bytes[];
};

/* What went over a stream in one direction, of pairs of domains: no negotiation, no pings of ours. */
struct s2s_traffic {
    uint64_t stanzas;
    uint64_t bytes; /* of XML */
};

struct s2s {
    struct stream stream;        /* first */
    struct s2s *next, *previous; /* of the shard's, newest first */
    uint64_t serial;             /* on this shard, rising */
    bool is_out : 1;
    bool is_bidi : 1;    /* asked for and granted */
    bool may_bidi : 1;   /* in: asked for; out: offered */
    bool is_mutual : 1;  /* may_bidi is, or will be, by EXTERNAL alone (s2s.mutual) */
    bool is_ready : 1;   /* in: at least one pair is proven; out: we were let in */
    bool is_counted : 1; /* in the gauges */
    bool hears_late : 1; /* closed by us in order: border_late() */
    uint8_t asks_late;   /* the same, and not let in yet: the state in which it waited; 0: no. s2s_out_late() */
    uint8_t proof;       /* out: enum proof, of them to us */
    uint8_t evidence;    /* out: enum evidence, once there is TLS */
    bool needs_tls;      /* out: there are TLSA records */
    uint8_t offers;      /* out: enum s2s_offer, of the last features */
    uint8_t disowned;    /* enum standing for which its certificate does not count; 0: none */
    uint8_t changed;     /* enum precedent_change: in what their certificate is another one than last time */
    uint8_t failure;     /* enum counter: why it will never be proven, as far as that is known; 0: unknown */
    uint16_t name_count;
    uint16_t checks;         /* in: dialback keys that are being verified */
    struct pair *pair;       /* we say its stanzas here */
    struct pair *unsettled;  /* we did, and our end is out: the other side's last <a/> tells what it has heard */
    struct ack *ack;         /* NULL: nothing is acknowledged here */
    struct contact *contact; /* out: whose attempt this is, until it is over */
    struct s2s_name *names;
    struct span remote; /* out: who was dialled (prepared), allocated */
    struct s2s_traffic heard, said;
    uint64_t used_ms; /* the last stanza of a user: idle.h */
    char *peer_id;    /* out: the id of their header, for dialback keys; allocated */
};

static inline struct s2s *s2s_of(struct stream *stream)
{
    return (struct s2s *)stream;
}

extern const struct nego_table s2s_in_table, s2s_out_table;
/* Of both tables. A stream error ends the stream, features are taken down. */
enum nego_event s2s_event_of(struct stream *stream, const struct xml_stanza *stanza);
/* A guard of both tables: it has TLS, or needs none. */
bool s2s_is_secure_enough(const struct stream *stream);

/* A stream that a contact has connected: sends the first header. NULL when memory is refused: conn is the caller's. */
struct stream *s2s_dialled(struct contact *contact, struct io_conn *conn, bool direct_tls);

/* out: what the other side offers now. */
void s2s_take_features(struct s2s *s2s, const struct xml_stanza *features);

/* One of our own domains: nobody proves that to us. */
static inline bool s2s_is_ours(const struct stream *stream, struct span domain)
{
    return policy_has_domain(stream->shard->policy, domain);
}

/* May they speak so here? Prepared domains. */
bool s2s_may_hear(const struct s2s *s2s, struct span theirs, struct span ours);
/* Its certificate is valid by the authorities of now. */
bool s2s_is_certified(const struct s2s *s2s);
/* Some of what was proven on it was by a certificate that is not. */
bool s2s_is_forsaken(const struct s2s *s2s);
/* What was proven on it would be proof today; before it is ready: what would be has not changed since that
 * configuration.
 */
bool s2s_is_trusted(const struct s2s *s2s);
bool s2s_is_trust_changed(const struct s2s *s2s, const struct config *before);
/* s2s.allow and s2s.deny are not against any domain of theirs. */
bool s2s_is_permitted(const struct s2s *s2s);
bool s2s_has_name(const struct s2s *s2s, struct span theirs);
/* A pair was proven. False: too many, or memory is refused. */
bool s2s_prove(struct s2s *s2s, struct span theirs, struct span ours, enum proof proof);
/* The stream is on its shard, and leaves it. */
void s2s_enter(struct s2s *s2s);
void s2s_leave(struct s2s *s2s);
/* The other side will say no more: what it has not acknowledged goes another way. */
void s2s_settle(struct s2s *s2s);
/* Not proven yet, and never will be, for that reason: an enum counter. The first one said stays. */
void s2s_fails(struct s2s *s2s, enum counter failure);
/* Proven: it counts as a stream from now on, until s2s_ending(). */
void s2s_begin(struct s2s *s2s);
/* The tail's end: tells the pair and the contact. Before the stream's end is written; a second time it does nothing. */
void s2s_ending(struct s2s *s2s);
/* Of a stream that is about to be closed: will what they sent before they know count? in_order: nothing is wrong with
 * it. */
void s2s_closing(struct s2s *s2s, bool in_order);
/* out, closed by us in order while we waited to be let in: they may have let us in before they knew, and spoken behind
 * that (XEP-0288). An element that comes; hears_late from the one on that lets us in. */
void s2s_out_late(struct s2s *s2s, const struct xml_stanza *stanza);
void s2s_clear(struct s2s *s2s);
/* What becomes of their bidi stream. */
enum s2s_claim {
    CLAIM_GRANTED,  /* the pair speaks on it */
    CLAIM_SPARE,    /* it is heard, and the pair speaks on it if our own attempt comes to nothing */
    CLAIM_CONFLICT, /* the pair keeps what it has or is about to have: this one ends with <conflict/> */
};
/* in, bidi, on the owner shard. The other side comes to a verdict that fits: of two that dial at once the stream of the
 * smaller domain name stays. While ours still waits for dialback theirs is not ended: it may be the one on which they
 * verify our key (prosody does so), and then ours would never be let in. */
enum s2s_claim s2s_claim(const struct s2s *s2s, struct span ours, struct span theirs);
/* Their bidi stream is kept for the time when our attempt has failed. */
void s2s_spare(struct s2s *s2s, struct span ours, struct span theirs);
/* The pair's stanzas go out here from now on. */
void s2s_speak(struct s2s *s2s, struct span ours, struct span theirs);
/* What the other side's certificate lacks to be the domain's, for people: "expired"; "nothing". */
const char *s2s_certificate_fault(const struct stream *stream, struct span domain);
/* They speak on this stream from now on. Who opens another one, or takes ours, has lost the one before or ended it:
 * while we do not read that one (a recipient is slow) we could not know. It ends, and what it has left is heard before
 * anything of the new one (RFC 6120 s10.1). */
void s2s_end_elders(const struct s2s *s2s, struct span theirs, struct span ours);
/* Our stream error for them. */
void s2s_refuses(const struct s2s *s2s, const char *condition);
/* The 'from' of their header is another one than we dialled, or than they told before. */
void s2s_misnamed(const struct s2s *s2s, struct span from);
/* The other side's stream error. */
void s2s_take_error(struct s2s *s2s, const struct xml_stanza *error);
