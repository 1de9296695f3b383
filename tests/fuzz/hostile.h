/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Hostile: a whole router in a simulated world, all of whose other servers are played by the bytes of an input: those
 * that connect to it, those that it dials, and those that it asks about dialback keys, several of each at a time.
 *
 * An input is text: two characters of settings, then words, each a letter with its parameters (hostile.c, "words"); a
 * parameter is a character, '0'..'9' and 'a'..'f' for 0 to 15. What is no word is skipped, so every input is one.
 *
 * What must hold is judged by hostile_oracle.c from the bytes on the wires alone, in words of its own:
 *   - who is trusted: a domain speaks to one of ours on a connection only if that showed a valid certificate with its
 *     name, or if a key that was said on it was called valid by the very connection that the router had opened to that
 *     domain's server and on which it had asked, with the id of this connection;
 *   - who is spoken to: a stanza for a domain is written only to a connection that was opened to its server and let us
 *     in, or that proved to be that domain's and asked for both directions;
 *   - keys: the router calls a key valid only if it made it, for these two domains and that id;
 *   - nothing but STARTTLS happens in plain text where TLS is required; dialback proves nothing under policy pkix;
 *   - the books balance, and nothing is left over (rig_free).
 */
#include "tests/sim/rig.h"
#include "tls/credential.h"

#include <stdint.h>

#define HOSTILE_CERTIFICATES 8u
#define HOSTILE_LINES_MAX    12u
#define HOSTILE_NOTES_MAX    64u
#define HOSTILE_ID_SIZE      40u
#define HOSTILE_KEY_SIZE     80u

enum hostile_domain { NOBODY, A, B, SUB, IDN, EVIL, COM, ORG };

struct hostile_certificate {
    enum credential_verdict verdict;
    enum identifier_kind kind;
    const char *name;
    enum hostile_domain domain; /* whom it proves; NOBODY: none */
};

extern const struct hostile_certificate hostile_certificates[HOSTILE_CERTIFICATES];

/* Spellings of domains, those that are none, and NULL: no attribute. */
struct hostile_form {
    const char *text;
    enum hostile_domain domain;
};

#define HOSTILE_FORMS 16u
extern const struct hostile_form hostile_forms[HOSTILE_FORMS];

enum hostile_kind { TARGET_DIALBACK, TARGET_S2S };

/* A connection. Its number is its place in the bed. */
struct line {
    struct peer *peer;
    bool is_out;                /* the router has dialled it */
    enum hostile_domain domain; /* out: whose server it is */
    unsigned certificate;
    bool is_secure;    /* both hellos were said */
    bool has_greeted;  /* out: the router's hello was */
    bool is_rough;     /* cut or raw words were said: what was said is only known as bytes */
    size_t hello_at;   /* in said */
    size_t scanned;    /* of what the router said */
    bool was_admitted; /* in: <success/>, since the hello */
    char *said;
    size_t said_size;
    char id[HOSTILE_ID_SIZE]; /* of the last header: in: the router's; out: ours */
};

/* The router said on that line that this is the id of its stream. */
struct header_note {
    unsigned line;
    bool is_secure;
    char id[HOSTILE_ID_SIZE];
};

/* The router asked: about a key (verify) or to be let in (result), which then is of its own making. */
struct asked_note {
    unsigned line;
    enum hostile_domain theirs, ours;
    char id[HOSTILE_ID_SIZE]; /* result: that of our header */
    char key[HOSTILE_KEY_SIZE];
};

/* We said valid, as a whole word. */
struct valid_note {
    unsigned line;
    enum hostile_domain theirs, ours;
    char id[HOSTILE_ID_SIZE]; /* verify only */
    bool is_secure;
};

struct hostile {
    struct rig *rig;
    struct peer *user;
    char user_jid[128];
    size_t user_scanned;
    bool requires_tls, is_pkix, is_loud;
    struct line lines[HOSTILE_LINES_MAX];
    unsigned line_count, serial;
    struct header_note headers[HOSTILE_NOTES_MAX];
    struct asked_note verifies[HOSTILE_NOTES_MAX], results[HOSTILE_NOTES_MAX];
    struct valid_note verified[HOSTILE_NOTES_MAX], let_in[HOSTILE_NOTES_MAX];
    unsigned header_count, verify_count, result_count, verified_count, let_in_count;
};

/* Plays the whole input. */
void hostile_play(enum hostile_kind kind, const uint8_t *data, size_t size);

/* The oracle: reads what the router has said since the last time, and what the user was told; aborts on what must not
 * be. */
void oracle_look(struct hostile *bed);
/* Of a domain, or of an address: "x@a.example/r" is A here. */
enum hostile_domain hostile_domain_of(struct span text);
