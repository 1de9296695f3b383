/* SPDX-License-Identifier: MIT */
/*
 * Model: what a client may say in which order, against a model written from RFC 6120, not from the router's table
 * (RELIABILITY s3.3). All sequences of elements up to a length, the longer ones from where a session is near: after
 * each element the answer must be the model's, name by name, and a bystander's session hears only what a bound stream
 * said.
 *
 * Once without TLS, and once with tls.required: then there is no way but <starttls/>.
 *
 * SL_LONG=1 goes to length 6 from the start; SL_SEED=n repeats one of the random walks.
 */
#include "tests/sim/caller.h"

#include "core/base/check.h"
#include "core/xml/reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SASL_NS    "urn:ietf:params:xml:ns:xmpp-sasl"
#define DEPTH_MAX  12u
#define ANSWER_MAX 512u

enum element {
    HEADER,
    STARTTLS,
    AUTH,          /* SCRAM-SHA-256 with the first message */
    AUTH_UNKNOWN,  /* a mechanism that nobody offers */
    AUTH_PLAIN,    /* not offered without TLS */
    PROOF,         /* the right answer to the last challenge, or to none */
    RESPONSE_BAD,  /* no base64 */
    RESPONSE_JUNK, /* base64 of nothing that makes sense */
    ABORT,
    COMPRESS,
    BIND,
    BIND_GET,  /* a binding of type get */
    BIND_AWAY, /* a binding asked of somebody else */
    SESSION,
    ENABLE,
    RESUME,
    MESSAGE,      /* to nobody: the own account */
    MESSAGE_AWAY, /* to the bystander */
    PRESENCE,
    PING,
    FOOTER,
    GARBAGE,
    ELEMENT_COUNT
};

static const struct {
    const char *name, *text;
} elements[ELEMENT_COUNT] = {
    [HEADER] = {"header", CALLER_HEADER},
    [STARTTLS] = {"starttls", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"},
    [AUTH] = {"auth", NULL},
    [AUTH_UNKNOWN] = {"auth-unknown", "<auth xmlns='" SASL_NS "' mechanism='DIGEST-MD5'/>"},
    [AUTH_PLAIN] = {"auth-plain", "<auth xmlns='" SASL_NS "' mechanism='PLAIN'>AHVzZXIwAHNlY3JldA==</auth>"},
    [PROOF] = {"proof", NULL},
    [RESPONSE_BAD] = {"response-bad", "<response xmlns='" SASL_NS "'>*no base64*</response>"},
    [RESPONSE_JUNK] = {"response-junk", "<response xmlns='" SASL_NS "'>anVuaw==</response>"},
    [ABORT] = {"abort", "<abort xmlns='" SASL_NS "'/>"},
    [COMPRESS] = {"compress", "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"},
    [BIND] = {"bind", "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"},
    [BIND_GET] = {"bind-get", "<iq type='get' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"},
    [BIND_AWAY] = {"bind-away", "<iq type='set' id='b' to='user1@example.com/w'>"
                                "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"},
    [SESSION] = {"session", "<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"},
    [ENABLE] = {"enable", "<enable xmlns='urn:xmpp:sm:3' resume='true'/>"},
    [RESUME] = {"resume", "<resume xmlns='urn:xmpp:sm:3' h='0' previd='guess'/>"},
    [MESSAGE] = {"message", "<message type='chat' id='m'><body>to myself</body></message>"},
    [MESSAGE_AWAY] = {"message-away", "<message to='user1@example.com/w' id='w'><body>to you</body></message>"},
    [PRESENCE] = {"presence", "<presence/>"},
    [PING] = {"ping", "<iq type='get' id='p' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>"},
    [FOOTER] = {"footer", "</stream:stream>"},
    [GARBAGE] = {"garbage", "<a b=c>"},
};

/* --- the model ---------------------------------------------------------------------------------------------------- */

enum model_state {
    BEFORE,    /* no stream yet (s4.2) */
    OPENED,    /* features are known, nobody is authenticated */
    EXCHANGE,  /* a challenge is to be answered (s6.4.3) */
    PROVEN,    /* success: a new stream is due (s6.4.6) */
    BINDING,   /* the new stream; a resource is due (s7.1) */
    BOUND,     /* stanzas */
    HANDSHAKE, /* what comes is TLS (s5.4.3) */
    CLOSED,
};

struct model {
    bool tls_required;
    enum model_state state;
    unsigned nested;   /* headers inside the stream are elements that wait for their end tag */
    unsigned failures; /* s6.4.5 */
    unsigned bindings; /* that failed: s7.7.3 */
    bool is_available;
    unsigned away;  /* messages that the bystander is to get */
    unsigned asked; /* and requests */
    char answer[ANSWER_MAX];
};

static void answers(struct model *model, enum model_state next, const char *answer)
{
    model->state = next;
    snprintf(model->answer, sizeof model->answer, "%s", answer);
}

static void dies(struct model *model, const char *condition)
{
    bool has_header = model->state != BEFORE && model->state != PROVEN;
    char answer[ANSWER_MAX];
    snprintf(answer, sizeof answer, "%serror(%s) end ", has_header ? "" : "header ", condition);
    answers(model, CLOSED, answer);
}

/* s4.8.1, s4.9.3.10: what opens a stream is an element of the streams namespace. An end tag that ends nothing is no
 * XML. */
static void says_first(struct model *model, enum element element)
{
    if (element == GARBAGE || element == FOOTER)
        dies(model, "not-well-formed");
    else if (element != HEADER)
        dies(model, "invalid-namespace");
    else if (model->state == PROVEN)
        answers(model, BINDING, "header features[bind,session] ");
    else if (model->tls_required)
        answers(model, OPENED, "header features[starttls] ");
    else
        answers(model, OPENED, "header features[mechanisms] ");
}

/* s6.4.5: the stream stays open for a few attempts: sasl.attempts_max is 5. */
static void fails(struct model *model, const char *condition)
{
    char answer[ANSWER_MAX];
    bool is_last = ++model->failures == 5;
    snprintf(answer, sizeof answer, "failure(%s) %s", condition, is_last ? "error(policy-violation) end " : "");
    answers(model, is_last ? CLOSED : OPENED, answer);
}

/* The mechanism is looked at first: one that the router does not have at all is invalid (s6.5.7), one that it has but
 * not for a stream in plain text wants encryption (s6.5.4). What belongs to a handshake is answered as such although
 * there is none. */
static void says_unauthenticated(struct model *model, enum element element)
{
    if (element == STARTTLS && model->tls_required)
        answers(model, HANDSHAKE, "proceed ");
    else if (element == STARTTLS)
        answers(model, CLOSED, "failure(tls) end "); /* s5.4.2.2: not offered */
    else if (element == AUTH && !model->tls_required)
        answers(model, EXCHANGE, "challenge ");
    else if (element == AUTH || element == AUTH_PLAIN)
        fails(model, "encryption-required");
    else if (element == AUTH_UNKNOWN)
        fails(model, "invalid-mechanism");
    else if (element == ABORT)
        fails(model, "aborted"); /* s6.4.4 */
    else if (element == PROOF || element == RESPONSE_BAD || element == RESPONSE_JUNK)
        fails(model, "malformed-request"); /* s6.5.8 */
    else
        dies(model, "not-authorized"); /* s4.9.3.12 */
}

static void says_in_exchange(struct model *model, enum element element)
{
    /* s6.4.2: another <auth/> discards the handshake under way, which then is an attempt that failed. */
    bool discards = element == AUTH || element == AUTH_UNKNOWN || element == AUTH_PLAIN;
    if (discards && ++model->failures == 5)
        dies(model, "policy-violation");
    else if (element == PROOF)
        answers(model, PROVEN, "success ");
    else if (element == RESPONSE_BAD)
        fails(model, "incorrect-encoding"); /* s6.5.5 */
    else if (element == RESPONSE_JUNK)
        fails(model, "malformed-request"); /* s6.5.8 */
    else if (element == ABORT)
        fails(model, "aborted"); /* s6.5.1 */
    else if (element == AUTH)
        answers(model, EXCHANGE, "challenge ");
    else if (element == AUTH_UNKNOWN)
        fails(model, "invalid-mechanism");
    else if (element == AUTH_PLAIN)
        fails(model, "encryption-required");
    else if (element == STARTTLS)
        answers(model, CLOSED, "failure(tls) end "); /* s5.3.4 */
    else
        dies(model, "not-authorized");
}

/* s7.1: nothing but binding. What is asked of another ends the stream; what is no request to bind may be tried again
 * (s7.6.1, s7.7.3). */
static void says_in_binding(struct model *model, enum element element)
{
    if (element == BIND)
        answers(model, BOUND, "iq:result ");
    else if (element == BIND_GET && ++model->bindings < 10) /* bind.attempts_max is 10 */
        answers(model, BINDING, "iq:error(bad-request) ");
    else if (element == BIND_GET)
        answers(model, CLOSED, "iq:error(bad-request) error(policy-violation) end ");
    else if (element == STARTTLS)
        answers(model, CLOSED, "failure(tls) end "); /* s5.4.2.2 */
    else
        dies(model, "not-authorized");
}

static void says_bound(struct model *model, enum element element)
{
    if (element == BIND)
        answers(model, BOUND, "iq:error(not-allowed) "); /* one resource a stream (s7.1, s7.6.2.2) */
    else if (element == BIND_GET)
        answers(model, BOUND, "iq:error(service-unavailable) "); /* s8.4: there is no such request */
    else if (element == BIND_AWAY)                               /* an iq as any other: whoever it is to answers */
        answers(model, BOUND, ""), model->asked++;
    else if (element == SESSION || element == PING)
        answers(model, BOUND, "iq:result ");
    else if (element == MESSAGE) /* RFC 6121 s8.5.2: the account, if somebody is there */
        answers(model, BOUND, model->is_available ? "message:chat " : "message:error(service-unavailable) ");
    else if (element == MESSAGE_AWAY)
        answers(model, BOUND, ""), model->away++;
    else if (element == PRESENCE) /* RFC 6121 s4.2.2: to the available resources, which this one is by now */
        answers(model, BOUND, "presence "), model->is_available = true;
    else if (element == STARTTLS)
        answers(model, CLOSED, "failure(tls) end "); /* s5.4.2.1: one of two answers, always */
    else
        dies(model, "unsupported-stanza-type"); /* s4.9.3.24 */
}

/* Inside a header that was sent within a stream: all is its content, until its end tag comes. */
static void says_nested(struct model *model, enum element element)
{
    answers(model, model->state, "");
    if (element == HEADER)
        model->nested++;
    else if (element == GARBAGE)
        dies(model, "not-well-formed");
    else if (element == FOOTER && --model->nested == 0)
        dies(model, model->state == BOUND ? "unsupported-stanza-type" : "bad-format"); /* s4.9.3.24, s4.9.3.1 */
}

static void says(struct model *model, enum element element)
{
    bool is_streaming =
        model->state == OPENED || model->state == EXCHANGE || model->state == BINDING || model->state == BOUND;
    if (model->nested) {
        says_nested(model, element);
        return;
    }
    if (is_streaming && element == HEADER) {
        answers(model, model->state, "");
        model->nested = 1;
        return;
    }
    if (is_streaming && element == FOOTER) {
        answers(model, CLOSED, "end "); /* s4.4 */
        return;
    }
    if (is_streaming && element == GARBAGE) {
        dies(model, "not-well-formed");
        return;
    }
    switch (model->state) {
    case BEFORE:
    case PROVEN:
        says_first(model, element);
        break;
    case OPENED:
        says_unauthenticated(model, element);
        break;
    case EXCHANGE:
        says_in_exchange(model, element);
        break;
    case BINDING:
        says_in_binding(model, element);
        break;
    case BOUND:
        says_bound(model, element);
        break;
    case HANDSHAKE: /* plain text is no TLS: the connection ends without another word of XML */
    case CLOSED:
        answers(model, CLOSED, "");
        break;
    }
}

/* --- what the router says ----------------------------------------------------------------------------------------- */

struct ear {
    struct xml_reader reader;
    char answer[ANSWER_MAX];
};

static struct xml_scratch *scratch;

static void note(struct ear *ear, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct ear *ear, const char *format, ...)
{
    size_t size = strlen(ear->answer);
    va_list list;
    va_start(list, format);
    vsnprintf(ear->answer + size, sizeof ear->answer - size, format, list);
    va_end(list);
}

static void note_features(struct ear *ear, const struct xml_stanza *stanza)
{
    note(ear, "features[");
    for (uint32_t child = xml_child(stanza, 0); child != XML_NOWHERE;) {
        struct span name = xml_name(stanza, child);
        child = xml_sibling(stanza, child);
        note(ear, "%.*s%s", SPAN_ARG(name), child == XML_NOWHERE ? "" : ",");
    }
    note(ear, "] ");
}

static struct span first_child(const struct xml_stanza *stanza, uint32_t element)
{
    uint32_t child = xml_child(stanza, element);
    return child == XML_NOWHERE ? SPAN("") : xml_name(stanza, child);
}

static void note_element(struct ear *ear, const struct xml_stanza *stanza)
{
    struct span name = xml_name(stanza, 0);
    if (xml_is(stanza, 0, NS_STREAM, "features")) {
        note_features(ear, stanza);
    } else if (xml_is(stanza, 0, NS_STREAM, "error") || xml_is(stanza, 0, NS_SASL, "failure")) {
        note(ear, "%.*s(%.*s) ", SPAN_ARG(name), SPAN_ARG(first_child(stanza, 0)));
    } else if (xml_is(stanza, 0, NS_TLS, "failure")) {
        note(ear, "failure(tls) ");
    } else if (stanza->elements[0].ns == NS_CLIENT) {
        const struct xml_attribute *attribute = xml_attribute(stanza, 0, NS_NONE, "type");
        uint32_t error = xml_child_named(stanza, 0, NS_CLIENT, "error");
        note(ear, "%.*s", SPAN_ARG(name));
        if (attribute)
            note(ear, ":%.*s", SPAN_ARG(xml_raw_value(stanza, attribute)));
        if (error != XML_NOWHERE)
            note(ear, "(%.*s)", SPAN_ARG(first_child(stanza, error)));
        note(ear, " ");
    } else {
        note(ear, "%.*s ", SPAN_ARG(name));
    }
}

static void listen_to(struct ear *ear, const struct caller *caller)
{
    struct span bytes = span_of(caller->heard, caller->size);
    struct xml_stanza stanza;
    ear->answer[0] = '\0';
    for (;;) {
        switch (xml_reader_next(&ear->reader, scratch, &bytes, &stanza)) {
        case XML_MORE:
            return;
        case XML_HEADER:
            note(ear, "header ");
            break;
        case XML_STANZA:
            note_element(ear, &stanza);
            if (xml_is(&stanza, 0, NS_SASL, "success"))
                xml_reader_restart(&ear->reader);
            break;
        case XML_FOOTER:
            note(ear, "end ");
            return;
        case XML_MISNAMED: /* its limits spare nothing */
        case XML_REFUSED:
            note(ear, "(no XML: %s)", xml_error_text((enum xml_error)ear->reader.error));
            return;
        }
    }
}

/* --- both ----------------------------------------------------------------------------------------------------------
 */

struct play {
    struct rig *rig;
    struct caller *bystander; /* NULL: none can log in */
    struct caller client;
    struct ear ear;
    struct model model;
    enum element said[DEPTH_MAX];
    unsigned count;
    unsigned sequences, elements, sessions;
};

static void broken(const struct play *play, const char *what, const char *wanted, const char *got)
{
    fprintf(stderr, "%s:", what);
    for (unsigned i = 0; i < play->count; i++)
        fprintf(stderr, " %s", elements[play->said[i]].name);
    fprintf(stderr, "\n  the model: %s\n  the router: %s\n", wanted, got);
    abort();
}

static void speak(struct play *play, enum element element)
{
    static char challenge[4096]; /* the last one; what is heard is forgotten with each element */
    struct caller *client = &play->client;
    bool is_asked = play->model.state == EXCHANGE && !play->model.nested;
    if (strstr(client->heard, "<challenge"))
        snprintf(challenge, sizeof challenge, "%s", client->heard);
    caller_forget(client);
    if (element == AUTH) {
        caller_auth(client, 0);
    } else if (element == PROOF && is_asked) {
        SL_CHECK(strlen(challenge) < client->room);
        strcpy(client->heard, challenge);
        caller_prove(client);
        caller_forget(client);
    } else {
        caller_say_text(client, elements[element == PROOF ? RESPONSE_JUNK : element].text);
    }
    caller_run(client);
}

static void step(struct play *play, enum element element)
{
    speak(play, element);
    bool is_xml = play->model.state != HANDSHAKE;
    says(&play->model, element);
    play->elements++;
    if (is_xml) {
        listen_to(&play->ear, &play->client);
        if (strcmp(play->ear.answer, play->model.answer) != 0)
            broken(play, "another answer", play->model.answer, play->ear.answer);
    }
    if ((play->model.state == CLOSED) != caller_is_over(&play->client))
        broken(play, "open or closed", play->model.state == CLOSED ? "closed" : "open", "not so");
}

static void begin(struct play *play, bool tls_required)
{
    caller_open(&play->client, play->rig, 0);
    xml_reader_init(&play->ear.reader, &xml_limits_default);
    play->model = (struct model){.tls_required = tls_required};
    play->sequences++;
}

/* A stream that is over stays over, whatever comes; the bystander has heard what the model says; nothing is left. */
static void end(struct play *play)
{
    if (play->model.state == CLOSED && !peer_is_closed(play->client.peer)) {
        caller_forget(&play->client);
        for (unsigned i = 0; i < ELEMENT_COUNT; i++)
            if (elements[i].text)
                caller_say_text(&play->client, elements[i].text);
        caller_run(&play->client);
        if (play->client.size)
            broken(play, "said behind the end", "nothing", play->client.heard);
    }
    play->sessions += play->model.state == BOUND;
    caller_close(&play->client);
    xml_reader_fini(&play->ear.reader);
    unsigned heard = 0, asked = 0;
    if (play->bystander) {
        caller_run(play->bystander);
        for (const char *at = play->bystander->heard; (at = strstr(at, "<message")); at++)
            heard++;
        for (const char *at = play->bystander->heard; (at = strstr(at, "<iq")); at++)
            asked++;
        if (heard != play->model.away || asked != play->model.asked)
            broken(play, "the bystander", play->model.away ? "messages" : "none", play->bystander->heard);
        caller_forget(play->bystander);
    } else {
        rig_run(play->rig, 1);
    }
    SL_CHECK(rig_counter(play->rig, COUNTER_SESSIONS) == (play->bystander != NULL));
    SL_CHECK(rig_balance(play->rig) == 0);
}

/* Plays said[0..count), then again with each element behind it, as long as the stream is open and depth allows. */
static void explore(struct play *play, unsigned depth, bool tls_required)
{
    begin(play, tls_required);
    for (unsigned i = 0; i < play->count; i++)
        step(play, play->said[i]);
    struct model reached = play->model;
    end(play);
    if (reached.state == CLOSED || play->count == depth)
        return;
    for (unsigned element = 0; element < ELEMENT_COUNT; element++) {
        play->said[play->count++] = (enum element)element;
        explore(play, depth, tls_required);
        play->count--;
    }
}

static void explore_from(struct play *play, const enum element *prefix, unsigned count, unsigned more)
{
    memcpy(play->said, prefix, count * sizeof *prefix);
    play->count = count;
    explore(play, count + more, false);
}

/* A long walk that leads through the whole negotiation more often than not. */
static void walk(struct play *play, uint64_t seed)
{
    static const enum element way[] = {[BEFORE] = HEADER, [OPENED] = AUTH,    [EXCHANGE] = PROOF,    [PROVEN] = HEADER,
                                       [BINDING] = BIND,  [BOUND] = PRESENCE, [HANDSHAKE] = GARBAGE, [CLOSED] = FOOTER};
    uint64_t dice = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    begin(play, false);
    for (play->count = 0; play->count < DEPTH_MAX && play->model.state != CLOSED;) {
        dice ^= dice >> 12, dice ^= dice << 25, dice ^= dice >> 27; /* xorshift64*: Vigna 2016 */
        uint64_t throw = dice * UINT64_C(2685821657736338717) >> 33;
        bool strays = throw % 4 == 0 || play->model.state == BOUND;
        enum element element = strays ? (enum element)(throw / 4 % ELEMENT_COUNT) : way[play->model.state];
        play->said[play->count++] = element;
        step(play, element);
    }
    end(play);
}

static void play_plain(unsigned shards, unsigned depth, uint64_t walks)
{
    static const enum element prefix[] = {HEADER, AUTH, PROOF, HEADER, BIND, PRESENCE};
    static const enum element failing[] = {HEADER, AUTH_UNKNOWN, AUTH_PLAIN, AUTH_UNKNOWN, AUTH_PLAIN};
    struct play *play = calloc(1, sizeof *play);
    struct caller bystander;
    const char *seed = getenv("SL_SEED");
    SL_CHECK(play);
    play->rig = rig_new(1, shards, NULL, 2, (const char *const[]){"sasl.anonymous=false", NULL});
    caller_open(&bystander, play->rig, 0);
    SL_CHECK(caller_login(&bystander, 1) && caller_bind(&bystander, "w"));
    caller_say_text(&bystander, "<presence/>");
    caller_run(&bystander);
    caller_forget(&bystander);
    play->bystander = &bystander;
    if (!seed) {
        explore(play, depth, false);
        for (unsigned count = 2; count <= sizeof prefix / sizeof prefix[0]; count++)
            explore_from(play, prefix, count, 3);
        explore_from(play, failing, sizeof failing / sizeof failing[0], 2);
    }
    for (uint64_t i = seed ? strtoull(seed, NULL, 10) : 1; i <= walks; i++) {
        walk(play, i);
        if (seed)
            break;
    }
    SL_CHECK(play->sessions || seed);
    printf("%u shards: %u sequences, %u elements, %u ended in a session\n", shards, play->sequences, play->elements,
           play->sessions);
    caller_close(&bystander);
    rig_run(play->rig, 100000);
    rig_free(play->rig);
    free(play);
}

static void play_tls_required(unsigned depth)
{
    struct play *play = calloc(1, sizeof *play);
    SL_CHECK(play);
    play->rig = rig_new(2, 1, NULL, 2, caller_tls_overrides());
    explore(play, depth, true);
    SL_CHECK(rig_counter(play->rig, COUNTER_LOGINS) == 0);
    SL_CHECK(rig_counter(play->rig, COUNTER_STANZAS_IN) == 0 && play->sessions == 0);
    printf("TLS required: %u sequences, %u elements, no login, no session\n", play->sequences, play->elements);
    rig_run(play->rig, 100000);
    rig_free(play->rig);
    free(play);
}

int main(void)
{
    struct err err;
    bool is_long = getenv("SL_LONG") != NULL;
    SL_CHECK(tls_start(&err));
    scratch = xml_scratch_new(&xml_limits_default);
    play_plain(1, is_long ? 6 : 4, 3000);
    play_plain(3, is_long ? 5 : 3, 500);
    play_tls_required(is_long ? 6 : 4);
    xml_scratch_free(scratch);
    tls_stop();
    return 0;
}
