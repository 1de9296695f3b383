/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Nego: stream negotiation as a table (RFC 6120 s4.3, s5, s6, s7): the only place where protocol order lives.
 *
 * The interpreter finds the first row for (state, event) whose guard holds, runs its action, and writes the next state;
 * an action may answer with a follow-up event, or with EV_CLOSED when it ended the stream. No row: the stream is closed
 * with the error that fits the event (RFC 6120 s4.9.3.12 before authentication).
 *
 * Thread:  the stream's shard.
 * Memory:  struct nego per stream until a resource is bound.
 */
#include "core/jid/jid.h"
#include "router/stream/stream.h"

struct sasl;
struct store_reply;

enum nego_event {
    EV_NONE, /* nothing follows */
    EV_HEADER,
    EV_STARTTLS,
    EV_AUTH,
    EV_RESPONSE,
    EV_ABORT,
    EV_IQ_BIND,
    EV_STANZA,   /* message, presence, another iq */
    EV_BIDI,     /* s2s: XEP-0288 */
    EV_ACKS,     /* s2s in: XEP-0198, <enable/> or <resume/> */
    EV_DIALBACK, /* s2s: <db:result/>, <db:verify/> */
    EV_FEATURES, /* s2s out */
    EV_PROCEED,  /* s2s out */
    EV_OTHER,    /* any other top-level element */
    EV_TLS_READY,
    EV_ACCOUNT,   /* the store answered */
    EV_INSPECTED, /* something is known about the certificate, or the time to wait for it is over */
    EV_VERIFIED,  /* a password is judged */
    EV_CHALLENGE, /* raised by a SASL step: more to come */
    EV_SUCCESS,
    EV_FAILURE,
    EV_OTHER_FROM, /* the proof was right, of another than the stream header's 'from' */
    EV_ARRIVED,    /* the stream is on its owner shard */
    EV_TIMEOUT,
    EV_CLOSED, /* the action ended the stream */
    EV_COUNT
};

struct nego {
    char stream_id[33];        /* of our header: 128 random bits, hexadecimal */
    struct span domain;        /* set by the first header, by the first under TLS anew (then allocated); empty before */
    char version[12];          /* that our header tells (s4.7.5); empty: none, since theirs had none */
    char *lang;                /* xml:lang of the peer's header, allocated; NULL: none */
    char *from;                /* bare JID of the peer's header, allocated; NULL: none */
    struct sasl *sasl;         /* while an exchange runs: sasl.h */
    struct span jid;           /* authenticated bare JID, allocated; empty before */
    uint8_t attempts;          /* that failed or were discarded: to log in, then to bind */
    uint32_t withdrawn_serial; /* of the shard that it has left: session_was_closed() */
    bool has_begun;            /* has had a turn: newcomer.h */
    struct stream *next_newcomer; /* while it waits for one */
    struct stream **newcomer_link;
    uint64_t due_ms; /* from the first header on: when a session must be bound, whatever the phases take */
};

struct nego_row {
    enum stream_state state;
    enum nego_event event;
    bool (*guard)(const struct stream *stream); /* NULL: always */
    enum nego_event (*action)(struct stream *stream, const struct xml_stanza *stanza);
    enum stream_state next;
    const char *spec;
};

struct nego_table {
    const struct nego_row *rows;
    unsigned count;
    /* What a top-level element is to streams of this kind. EV_CLOSED: it ended the stream. */
    enum nego_event (*event_of)(struct stream *stream, const struct xml_stanza *stanza);
};
extern const struct nego_table nego_c2s_table;

/* Guards and actions that streams of every kind share. */
bool nego_is_home(const struct stream *stream); /* its authenticated domain or account is this shard's */
bool nego_has_failed_too_often(const struct stream *stream);
enum nego_event nego_nothing(struct stream *stream, const struct xml_stanza *stanza);
enum nego_event nego_start_tls(struct stream *stream, const struct xml_stanza *stanza);
enum nego_event nego_refuse_tls(struct stream *stream, const struct xml_stanza *stanza);
enum nego_event nego_tls_ready(struct stream *stream, const struct xml_stanza *stanza);
enum nego_event nego_give_up(struct stream *stream, const struct xml_stanza *stanza);
/* From the first header on a stream has timeouts.login to be bound. */
void nego_login_deadline(struct stream *stream);
/* For the phase that begins; all phases together end timeouts.login after the first header. */
void nego_phase_deadline(struct stream *stream, uint64_t ms);

bool nego_new(struct stream *stream);
void nego_free(struct stream *stream);
/* A header or a top-level element before the stream is bound. */
void nego_header(struct stream *stream, const struct xml_stanza *header);
void nego_element(struct stream *stream, const struct xml_stanza *stanza);
/* A top-level element that is not namespace-well-formed, of a stream that has authenticated. */
void nego_misnamed(struct stream *stream, const struct xml_stanza *stanza);
void nego_event(struct stream *stream, enum nego_event event, const struct xml_stanza *stanza);
/* <starttls/> where it has no place any more: <failure/> and the end (RFC 6120 s5.4.2.2). Also in a session. */
enum nego_event nego_refuse_tls(struct stream *stream, const struct xml_stanza *stanza);
