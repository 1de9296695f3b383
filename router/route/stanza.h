/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Stanza: the head of a message, presence or iq (RFC 6120 s8.1, s8.2), read from the tape once.
 *
 * A head borrows: the raw stanza's bytes, and the room below for what had to be prepared or decoded. It is valid as
 * long as the tape and the head itself are.
 */
#include "core/jid/jid.h"
#include "core/xml/tape.h"

enum stanza_kind { STANZA_MESSAGE, STANZA_PRESENCE, STANZA_IQ, STANZA_NONE };

enum stanza_type {
    /* message (RFC 6121 s5.2.2) */
    TYPE_NORMAL,
    TYPE_CHAT,
    TYPE_GROUPCHAT,
    TYPE_HEADLINE,
    /* presence (RFC 6121 s4.7.1) */
    TYPE_AVAILABLE,
    TYPE_UNAVAILABLE,
    TYPE_PROBE,
    TYPE_SUBSCRIPTION, /* subscribe, subscribed, unsubscribe, unsubscribed */
    /* iq (RFC 6120 s8.2.3) */
    TYPE_GET,
    TYPE_SET,
    TYPE_RESULT,
    /* all three */
    TYPE_ERROR,
};

#define STANZA_ID_MAX 1024u /* decoded bytes of an id that is kept for answers; longer ones are refused */

enum stanza_fault {
    STANZA_FINE,
    STANZA_BAD_TO,     /* <jid-malformed/> (RFC 6120 s8.3.3.8) */
    STANZA_BAD_FROM,   /* not a JID at all: <invalid-from/> closes the stream (RFC 6120 s4.9.3.9) */
    STANZA_BAD_TYPE,   /* an iq without a defined type: <bad-request/> (RFC 6120 s8.2.3) */
    STANZA_NO_ID,      /* an iq without id: <bad-request/> (s8.1.3, s8.2.3) */
    STANZA_BAD_ID,     /* longer than STANZA_ID_MAX: no answer could carry it; <policy-violation/> ends the stream */
    STANZA_BAD_PAYLOAD /* an iq get or set without exactly one child, a result with more than one (s8.2.3) */
};

struct stanza_head {
    enum stanza_kind kind;
    enum stanza_type type;
    bool has_to;
    bool has_from;
    bool has_lang;
    struct jid to;
    struct jid from;
    struct span id; /* decoded; ptr NULL when absent */
    struct jid_buffer to_room;
    struct jid_buffer from_room;
    char id_room[STANZA_ID_MAX];
};

/* message, presence or iq in the content namespace; STANZA_NONE otherwise. */
enum stanza_kind stanza_kind_of(const struct xml_stanza *stanza, enum xml_ns content);
/* The stanza must be of a kind other than STANZA_NONE. Reads as far as it can even when it finds a fault, so that the
 * answer can carry id and type. */
enum stanza_fault stanza_head_read(const struct xml_stanza *stanza, enum stanza_kind kind, struct stanza_head *head);
const char *stanza_kind_name(enum stanza_kind kind);
