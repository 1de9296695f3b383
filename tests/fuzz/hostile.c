/* SPDX-License-Identifier: MIT */
#include "tests/fuzz/hostile.h"

#include "core/base/base64.h"
#include "core/base/check.h"
#include "tests/sim/tap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct hostile_certificate hostile_certificates[HOSTILE_CERTIFICATES] = {
    {CREDENTIAL_NONE, IDENTIFIER_DNS, "", NOBODY},
    {CREDENTIAL_VALID, IDENTIFIER_DNS, "a.example", A},
    {CREDENTIAL_VALID, IDENTIFIER_SRV, "_xmpp-server.b.example", B},
    {CREDENTIAL_VALID, IDENTIFIER_DNS, "*.a.example", SUB},
    {CREDENTIAL_VALID, IDENTIFIER_SRV, "_imaps.a.example", NOBODY},
    {CREDENTIAL_EXPIRED, IDENTIFIER_DNS, "a.example", NOBODY},
    {CREDENTIAL_VALID, IDENTIFIER_DNS, "example.com", NOBODY}, /* ours: nobody proves that to us */
    {CREDENTIAL_VALID, IDENTIFIER_XMPP,
     "b\xc3\xbc"
     "cher.example",
     IDN},
};

const struct hostile_form hostile_forms[HOSTILE_FORMS] = {
    {"a.example", A},
    {"b.example", B},
    {"sub.a.example", SUB},
    {"xn--bcher-kva.example", IDN},
    {"evil.example", EVIL},
    {"example.com", COM},
    {"example.org", ORG},
    {"A.Example", A},
    {"a.example.", A},
    {"b\xc3\xbc"
     "cher.example",
     IDN},
    {"B\xc3\x9c"
     "CHER.example",
     IDN},
    {"a&#46;example", A},
    {"x@a.example", NOBODY},
    {"a.example/r", NOBODY},
    {"", NOBODY},
    {NULL, NOBODY},
};

/* One port for each domain that has a server: who is dialled there is known. */
static const enum hostile_domain servers[] = {A, B, SUB, IDN};
#define PORT 6001u
#define ROUTES                                                                                                         \
    "s2s.routes=a.example=127.0.0.3:6001 b.example=127.0.0.3:6002 sub.a.example=127.0.0.3:6003 "                       \
    "xn--bcher-kva.example=127.0.0.3:6004"

#define NS_ALL    "xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'"
#define NS_ERRORS "urn:ietf:params:xml:ns:xmpp-stanzas"

enum hostile_domain hostile_domain_of(struct span text)
{
    const char *at = text.size ? memchr(text.ptr, '@', text.size) : NULL;
    if (at)
        text = span_skip(text, (size_t)(at - text.ptr) + 1);
    const char *slash = text.size ? memchr(text.ptr, '/', text.size) : NULL;
    if (slash)
        text.size = (size_t)(slash - text.ptr);
    for (unsigned i = 0; text.size && i < HOSTILE_FORMS; i++)
        if (hostile_forms[i].text && span_is(text, hostile_forms[i].text))
            return hostile_forms[i].domain;
    return NOBODY;
}

/* ------------------------------------------------------------------------------------------------ the world */

/* What the words work on. */
struct player {
    struct hostile bed;
    const uint8_t *at, *end;
    struct line *line; /* the current one, or NULL */
    unsigned cut;      /* of the next word only so many sixteenths are said; 16: all */
    bool is_pipelined; /* the router does not run behind the next word */
    bool is_behind;    /* it did not behind the last one */
};

static char next_char(struct player *player)
{
    return player->at < player->end ? (char)*player->at++ : '\0';
}

static unsigned next(struct player *player)
{
    char c = next_char(player);
    if (c >= 'a' && c <= 'f')
        return (unsigned)(c - 'a') + 10;
    return (unsigned)c & 15;
}

static struct line *line_new(struct player *player, struct peer *peer, bool is_out)
{
    struct hostile *bed = &player->bed;
    if (bed->line_count == HOSTILE_LINES_MAX) {
        peer_free(peer);
        return NULL;
    }
    struct line *line = &bed->lines[bed->line_count++];
    *line = (struct line){.peer = peer, .is_out = is_out};
    return line;
}

static void take_dialled(struct player *player)
{
    struct peer *peer;
    while ((peer = world_accept(player->bed.rig->world))) {
        const struct sockaddr_in *address = (const struct sockaddr_in *)(const void *)peer_address(peer);
        unsigned server = ntohs(address->sin_port) - PORT;
        SL_CHECK(server < sizeof servers / sizeof servers[0]);
        struct line *line = line_new(player, peer, true);
        if (line)
            line->domain = servers[server];
    }
}

static void settle(struct player *player)
{
    world_settle(player->bed.rig->world, 100000);
    take_dialled(player);
    oracle_look(&player->bed);
}

static void wait(struct player *player, uint64_t ms)
{
    rig_run(player->bed.rig, ms);
    take_dialled(player);
    oracle_look(&player->bed);
}

static void user_says(struct player *player, const char *text)
{
    if (player->bed.is_loud)
        fprintf(stderr, "user: %s\n", text);
    peer_send(player->bed.user, span_str(text));
    settle(player);
}

#define USER_HEADER                                                                                                    \
    "<stream:stream xmlns='jabber:client' to='example.com' version='1.0' "                                             \
    "xmlns:stream='http://etherx.jabber.org/streams'>"

static void user_open(struct player *player)
{
    struct hostile *bed = &player->bed;
    bed->user = peer_connect_to(bed->rig->group, 0, LISTEN_C2S);
    tap_open();
    user_says(player, USER_HEADER);
    user_says(player, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
    user_says(player, USER_HEADER);
    user_says(player, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource>"
                      "</bind></iq><presence/>");
    struct span got = peer_received(bed->user);
    const char *jid = got.size ? memmem(got.ptr, got.size, "<jid>", 5) : NULL;
    SL_CHECK(jid && sscanf(jid, "<jid>%127[^<]", bed->user_jid) == 1);
    bed->user_scanned = got.size;
}

static void bed_open(struct player *player, enum hostile_kind kind, unsigned settings, unsigned seed)
{
    static const struct world_chaos chaos = {
        .cut_receives = true, .cut_sends = true, .delay = true, .handoff_fail_one_in = 5};
    struct hostile *bed = &player->bed;
    const char *overrides[16] = {"s2s.enabled=true", ROUTES, "rig.also=example.org", "s2s.timeout=20s"};
    unsigned count = 4;
    bool has_tls = kind == TARGET_S2S;
    bed->is_pkix = has_tls && (settings & 8);
    bed->requires_tls = has_tls && (settings & 4);
    bed->is_loud = getenv("SL_TRACE") != NULL;
    overrides[count++] = has_tls ? "rig.certificate=/nowhere/puppet" : "rig.domain=example.com";
    overrides[count++] = bed->requires_tls ? "s2s.tls_required=true" : "s2s.tls_required=false";
    if (settings & 2)
        overrides[count++] = "s2s.bidi=false";
    if (bed->is_pkix)
        overrides[count++] = "s2s.policy=pkix";
    if (seed & 1)
        overrides[count++] = "xml.namespace_errors=stanza";
    bed->rig = rig_new(seed, 1 + (settings & 1), seed & 8 ? &chaos : NULL, 0, overrides);
    world_set_far(bed->rig->world, 0, FAR_ACCEPTS);
    player->cut = 16;
    user_open(player);
}

static void bed_close(struct player *player)
{
    struct hostile *bed = &player->bed;
    peer_free(bed->user);
    for (unsigned i = 0; i < bed->line_count; i++) {
        peer_free(bed->lines[i].peer);
        free(bed->lines[i].said);
    }
    world_set_far(bed->rig->world, 0, FAR_REFUSES);
    for (struct peer *peer; (peer = world_accept(bed->rig->world));)
        peer_free(peer);
    rig_drain(bed->rig);
    rig_run(bed->rig, 60000);
    rig_free(bed->rig);
}

/* ------------------------------------------------------------------------------------------------ saying */

static void say_bytes(struct player *player, struct span bytes)
{
    struct line *line = player->line;
    if (!line || line->said_size + bytes.size > 60000)
        return;
    if (player->cut < 16) {
        bytes.size = bytes.size * player->cut / 16;
        line->is_rough = true;
    }
    player->cut = 16;
    line->said = realloc(line->said, line->said_size + bytes.size + 1);
    SL_CHECK(line->said);
    if (bytes.size)
        memcpy(line->said + line->said_size, bytes.ptr, bytes.size);
    line->said_size += bytes.size;
    if (player->bed.is_loud)
        fprintf(stderr, "%u <- %.*s\n", (unsigned)(line - player->bed.lines), SPAN_ARG(bytes));
    peer_send(line->peer, bytes);
    if (!player->is_pipelined)
        settle(player);
    player->is_behind = player->is_pipelined;
    player->is_pipelined = false;
}

static void say(struct player *player, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct player *player, const char *format, ...)
{
    char text[2048];
    va_list list;
    va_start(list, format);
    int size = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    SL_CHECK(size >= 0 && (size_t)size < sizeof text);
    say_bytes(player, span_of(text, (size_t)size));
}

/* " from='a.example'", in one of eight rooms that are used in turn; nothing for the form that is none. */
static const char *attribute(const char *name, const char *value)
{
    static char rooms[8][400];
    static unsigned turn;
    char *room = rooms[turn++ % 8];
    if (value)
        snprintf(room, sizeof rooms[0], " %s='%s'", name, value);
    else
        room[0] = '\0';
    return room;
}

static const struct hostile_form *next_form(struct player *player)
{
    return &hostile_forms[next(player)];
}

/* ------------------------------------------------------------------------------------------------ words */

static const char *const our_ids[] = {"i0", "i1", "a.example i2", ""};

static void word_header(struct player *player)
{
    const struct hostile_form *from = next_form(player), *to = next_form(player);
    unsigned kind = next(player);
    struct line *line = player->line;
    if (!line)
        return;
    const char *id = line->is_out || (kind & 8) ? our_ids[kind & 3] : NULL;
    if (line->is_out && player->cut == 16)
        snprintf(line->id, sizeof line->id, "%s", id);
    say(player, "%s<stream:stream " NS_ALL "%s%s%s%s>", kind & 4 ? "<?xml version='1.0'?>" : "",
        attribute("from", from->text), attribute("to", to->text), attribute("id", id),
        kind == 15 ? "" : " version='1.0'");
}

static void word_features(struct player *player)
{
    unsigned mask = next(player);
    say(player, "<stream:features>%s%s%s%s</stream:features>",
        mask & 1 ? "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" : "",
        mask & 2 ? "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>" : "",
        mask & 4 ? "<bidi xmlns='urn:xmpp:features:bidi'/>" : "",
        mask & 8 ? "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
                 : "");
}

static void word_hello(struct player *player)
{
    unsigned certificate = next(player) % HOSTILE_CERTIFICATES;
    char hello[2] = {'\x16', (char)certificate};
    struct line *line = player->line;
    if (!line)
        return;
    player->cut = 16;      /* the rest of a number would be any byte */
    if (!line->hello_at) { /* whatever comes of it: a second one is none */
        line->certificate = certificate;
        line->hello_at = line->said_size + 1;
        line->is_secure = line->is_out && line->has_greeted;
    }
    say_bytes(player, span_of(hello, sizeof hello));
}

static void word_auth(struct player *player)
{
    unsigned kind = next(player);
    const char *name = hostile_forms[kind].text;
    char text[300];
    size_t size = name && name[0] ? base64_encode(span_str(name), text) : 0;
    say(player, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%.*s</auth>",
        kind == 13 ? "PLAIN" : "EXTERNAL", size ? (int)size : kind == 15, size ? text : "=");
}

/* The k-th last key that the router made, or one that nobody did. */
static const char *key_of(const struct player *player, unsigned k)
{
    const struct hostile *bed = &player->bed;
    if (k < 8 && k < bed->result_count)
        return bed->results[bed->result_count - 1 - k].key;
    return k == 9 ? "" : "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
}

static const char *id_of(const struct player *player, unsigned k)
{
    const struct hostile *bed = &player->bed;
    if (k < 6 && k < bed->verify_count)
        return bed->verifies[bed->verify_count - 1 - k].id;
    if (k >= 6 && k < 12 && k - 6 < bed->header_count)
        return bed->headers[bed->header_count - 1 - (k - 6)].id;
    return k == 15 ? NULL : our_ids[k & 3];
}

static const char *const types[] = {NULL, "valid", "invalid", "error"};

static void say_dialback(struct player *player, const char *name, const struct hostile_form *from,
                         const struct hostile_form *to, unsigned type, const char *id, const char *key)
{
    static const char error[] = "<error type='cancel'><item-not-found xmlns='" NS_ERRORS "'/></error>";
    const char *content = types[type] ? (type == 3 ? error : "") : key;
    say(player, "<db:%s%s%s%s%s>%s</db:%s>", name, attribute("from", from->text), attribute("to", to->text),
        attribute("id", id), attribute("type", types[type]), content, name);
}

static bool was_asked(const struct player *player, const char *id)
{
    const struct hostile *bed = &player->bed;
    for (unsigned i = 0; i < bed->verify_count; i++)
        if (&bed->lines[bed->verifies[i].line] == player->line && id && strcmp(bed->verifies[i].id, id) == 0)
            return true;
    return player->is_behind || player->is_pipelined; /* the question may be on its way */
}

/* Noted before it is said: the router acts on it at once. */
static void note_valid(struct player *player, struct valid_note *notes, unsigned *count,
                       const struct hostile_form *from, const struct hostile_form *to, const char *id)
{
    struct line *line = player->line;
    if (!line || !line->is_out || player->cut < 16 || *count == HOSTILE_NOTES_MAX)
        return;
    struct valid_note *note = &notes[(*count)++];
    *note = (struct valid_note){.line = (unsigned)(line - player->bed.lines),
                                .theirs = from->domain,
                                .ours = to->domain,
                                .is_secure = line->is_secure};
    snprintf(note->id, sizeof note->id, "%s", id ? id : "");
}

static void word_result(struct player *player)
{
    const struct hostile_form *from = next_form(player), *to = next_form(player);
    unsigned type = next(player) & 3, key = next(player);
    if (type == 1)
        note_valid(player, player->bed.let_in, &player->bed.let_in_count, from, to, "");
    say_dialback(player, "result", from, to, type, NULL, key_of(player, key));
}

static void word_verify(struct player *player)
{
    const struct hostile_form *from = next_form(player), *to = next_form(player);
    unsigned type = next(player) & 3;
    const char *id = id_of(player, next(player)), *key = key_of(player, next(player));
    if (type == 1 && was_asked(player, id))
        note_valid(player, player->bed.verified, &player->bed.verified_count, from, to, id);
    say_dialback(player, "verify", from, to, type, id, key);
}

static void word_stanza(struct player *player)
{
    static const char *const kinds[] = {"message", "iq", "presence", "message"};
    static const char *const contents[] = {"",
                                           "<body>x</body>",
                                           "<ping xmlns='urn:xmpp:ping'/>",
                                           "<error type='cancel'><gone xmlns='" NS_ERRORS "'/></error>",
                                           "<x:y/>",
                                           "<x xmlns='jabber:client'/>",
                                           "<z xmlns:a='jabber:client' a:k='1' k='2'/>",
                                           "<db:result/>"};
    static const char *const stanza_types[] = {NULL,     "chat",  "get",      "set",
                                               "result", "error", "headline", "unavailable"};
    unsigned kind = next(player), content = next(player);
    const struct hostile_form *from = next_form(player);
    unsigned to = next(player);
    struct hostile *bed = &player->bed;
    char sender[300], receiver[300];
    if (!player->line)
        return;
    /* Who says it stands in its address: the oracle looks there. */
    if (from->text && from->domain != NOBODY)
        snprintf(sender, sizeof sender, "zz%u@%s/r", (unsigned)(player->line - bed->lines), from->text);
    else
        snprintf(sender, sizeof sender, "%s", from->text ? from->text : "");
    if (to == 0)
        snprintf(receiver, sizeof receiver, "%s", bed->user_jid);
    else
        snprintf(receiver, sizeof receiver, "%s%s", to & 1 ? "x@" : "",
                 hostile_forms[to].text ? hostile_forms[to].text : "");
    say(player, "<%s%s%s%s id='s%u'>%s</%s>", kinds[kind & 3], attribute("from", from->text ? sender : NULL),
        attribute("to", hostile_forms[to].text || !to ? receiver : NULL),
        attribute("type", stanza_types[(kind >> 2) + (content & 8 ? 4 : 0)]), bed->serial++, contents[content & 7],
        kinds[kind & 3]);
}

static void word_error(struct player *player)
{
    static const char *const conditions[] = {"conflict",
                                             "host-unknown",
                                             "not-authorized",
                                             "reset",
                                             "undefined-condition",
                                             "system-shutdown",
                                             "policy-violation",
                                             "x"};
    say(player, "<stream:error><%s xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        conditions[next(player) & 7]);
}

static void word_user(struct player *player)
{
    unsigned form = next(player), kind = next(player);
    const char *to = hostile_forms[form].text;
    char text[400];
    if (!to)
        return;
    snprintf(text, sizeof text,
             kind & 1 ? "<iq type='get' to='juliet@%s/r' id='u%u'><ping xmlns='urn:xmpp:ping'/></iq>"
                      : "<message to='juliet@%s' id='u%u'><body>x</body></message>",
             to, player->bed.serial++);
    user_says(player, text);
}

static void word_raw(struct player *player)
{
    unsigned size = next(player);
    if (size > (size_t)(player->end - player->at))
        size = (unsigned)(player->end - player->at);
    struct span bytes = span_of((const char *)player->at, size);
    player->at += size;
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.ptr[i] >= 0x14 && bytes.ptr[i] <= 0x17)
            return; /* it might be a hello */
    if (player->line)
        player->line->is_rough = true;
    say_bytes(player, bytes);
}

static void word_wait(struct player *player)
{
    static const uint16_t times[] = {1, 10, 100, 1000, 2100, 5000, 10100, 20100, 31000, 60000};
    wait(player, times[next(player) % (sizeof times / sizeof times[0])]);
}

static void word_connect(struct player *player)
{
    unsigned kind = next(player);
    const struct rig *rig = player->bed.rig;
    unsigned tag = kind & 8 && rig->policy->tls_server ? LISTEN_S2S_TLS : LISTEN_S2S;
    if (player->bed.line_count == HOSTILE_LINES_MAX)
        return;
    player->line = line_new(player, peer_connect_to(rig->group, kind % rig->shard_count, tag), false);
    settle(player);
}

/* The newest one that was dialled, the newest that was not, or any. */
static void word_select(struct player *player, char letter)
{
    struct hostile *bed = &player->bed;
    unsigned number = letter == '=' ? next(player) : 0;
    if (letter == '=') {
        player->line = number < bed->line_count ? &bed->lines[number] : player->line;
        return;
    }
    for (unsigned i = bed->line_count; i--;) {
        if (bed->lines[i].is_out == (letter == 'O')) {
            player->line = &bed->lines[i];
            return;
        }
    }
}

static void word_end(struct player *player, char letter)
{
    struct line *line = player->line;
    if (!line)
        return;
    if (letter == 'X')
        peer_end(line->peer);
    else
        peer_reset(line->peer);
    settle(player);
}

static void play_word(struct player *player, char letter)
{
    switch (letter) {
    case 'N':
        word_connect(player);
        break; /* N KIND: connects */
    case 'O':  /* the newest line that the router dialled */
    case 'I':  /* ... that it did not */
    case '=':
        word_select(player, letter);
        break; /* = LINE */
    case 'H':
        word_header(player);
        break; /* H FROM TO KIND */
    case 'F':
        word_features(player);
        break; /* F MASK */
    case 'T':
        say(player, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        break;
    case 'P':
        say(player, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        break;
    case 'L':
        word_hello(player);
        break; /* L CERTIFICATE */
    case 'A':
        word_auth(player);
        break; /* A NAME */
    case 'U':
        say(player, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        break;
    case 'W':
        say(player, "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>");
        break;
    case 'R':
        word_result(player);
        break; /* R FROM TO TYPE KEY */
    case 'V':
        word_verify(player);
        break; /* V FROM TO TYPE ID KEY */
    case 'M':
        word_stanza(player);
        break; /* M KIND CONTENT FROM TO */
    case 'B':
        say(player, "<bidi xmlns='urn:xmpp:bidi'/>");
        break;
    case 'C':
        say(player, "</stream:stream>");
        break;
    case 'E':
        word_error(player);
        break; /* E CONDITION */
    case 'X':  /* FIN */
    case 'Z':
        word_end(player, letter);
        break; /* RST */
    case 'u':
        word_user(player);
        break; /* u TO KIND: our user says something */
    case 'w':
        word_wait(player);
        break; /* w TIME */
    case 'r':
        word_raw(player);
        break; /* r SIZE BYTES */
    case 'k':
        player->cut = next(player);
        break; /* k SIXTEENTHS: the next word is cut */
    case 'p':
        player->is_pipelined = true;
        break; /* the next word goes with the one behind it */
    default:
        break;
    }
}

void hostile_play(enum hostile_kind kind, const uint8_t *data, size_t size)
{
    struct player player = {.at = data, .end = data + size};
    unsigned settings = next(&player), seed = next(&player);
    bed_open(&player, kind, settings, seed);
    while (player.at < player.end)
        play_word(&player, next_char(&player));
    settle(&player);
    bed_close(&player);
}
