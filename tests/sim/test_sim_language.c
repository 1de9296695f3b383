/* SPDX-License-Identifier: MIT */
/*
 * xml:lang (RFC 6120 s4.7.4, s8.1.5): what the header of a stream says is the language of its stanzas that say nothing,
 * wherever they go; a stanza's own is never touched; and what is no language tag is said to nobody. On one shard and on
 * three, where most streams are handed off between the header and the first stanza.
 */
#include "tests/sim/actor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define SENDERS_MAX 3u
#define TAG_63      "de-12345678-12345678-12345678-12345678-12345678-12345678-123456" /* bytes, the most that is kept */

struct stage {
    struct rig *rig;
    struct actor sender, recipient;
    unsigned count;
    char last[256]; /* "kind lang", each xml:lang of the stanza itself; "-": none */
};

static void keep(struct actor *actor, const struct xml_stanza *stanza)
{
    struct stage *stage = actor->context;
    unsigned langs = 0;
    for (uint32_t i = 0; i < stanza->elements[0].attributes; i++)
        langs += stanza->attributes[i].ns == NS_XML;
    assert_true(langs <= 1);
    const struct xml_attribute *lang = xml_attribute(stanza, 0, NS_XML, "lang");
    char room[128];
    stage->count++;
    snprintf(stage->last, sizeof stage->last, "%.*s %.*s", SPAN_ARG(xml_name(stanza, 0)),
             SPAN_ARG(lang ? xml_value(stanza, lang, room, sizeof room) : SPAN("-")));
}

static void run(struct stage *stage)
{
    rig_run(stage->rig, 20);
    actor_poll(&stage->sender);
    actor_poll(&stage->recipient);
}

static void raise_stage(struct stage *stage, unsigned shards, unsigned number, const char *first, const char *second)
{
    memset(stage, 0, sizeof *stage);
    stage->rig = rig_new(13, shards, NULL, SENDERS_MAX + 1, NULL);
    actor_init(&stage->recipient, stage->rig, 0, keep, stage);
    actor_enter(&stage->recipient, "a", 0);
    actor_init(&stage->sender, stage->rig, number, NULL, stage);
    strcpy(stage->sender.resource, "a");
    stage->sender.langs[0] = first;
    stage->sender.langs[1] = second;
    assert_true(actor_bind(&stage->sender, 0));
    run(stage);
    stage->count = 0;
}

static void strike_stage(struct stage *stage)
{
    actor_leave(&stage->sender);
    actor_leave(&stage->recipient);
    for (unsigned i = 0; i < 10; i++)
        run(stage);
    assert_int_equal(rig_balance(stage->rig), 0);
    actor_fini(&stage->sender);
    actor_fini(&stage->recipient);
    rig_run(stage->rig, 20);
    rig_free(stage->rig);
}

static void expect(struct stage *stage, const char *stanza, const char *line)
{
    stage->count = 0;
    peer_send(stage->sender.peer, span_str(stanza));
    run(stage);
    assert_int_equal(stage->count, 1);
    assert_string_equal(stage->last, line);
}

#define TO "to='user0@example.com/a'"

/* Holds 6120:4.7.4/5 6120:4.7.4/6 6120:8.1.5/3. */
static void header__with_a_language__is_that_of_stanzas_without(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2 * SENDERS_MAX; i++) {
        struct stage stage;
        raise_stage(&stage, i < SENDERS_MAX ? 1 : 3, 1 + i % SENDERS_MAX, NULL, "de-CH");
        expect(&stage, "<message " TO "><body>x</body></message>", "message de-CH");
        expect(&stage, "<iq type='get' id='1' " TO "><q xmlns='u'/></iq>", "iq de-CH");
        expect(&stage, "<message " TO " lang='fr' xmlns:p='u' p:lang='it'/>", "message de-CH");
        expect(&stage, "<message " TO "><body xml:lang='fr'>x</body></message>", "message de-CH");
        expect(&stage, "<presence " TO "/>", "presence de-CH");
        /* Its own: unchanged, even if it is none or no tag. */
        expect(&stage, "<message " TO " xml:lang='fr'/>", "message fr");
        expect(&stage, "<message xml:lang='' " TO "/>", "message ");
        expect(&stage, "<message xml:lang='no tag' " TO "/>", "message no tag");
        expect(&stage, "<message xml:lang='f&#114;' " TO "/>", "message fr");
        expect(&stage, "<presence xml:lang='fr' " TO " type='unavailable'/>", "presence fr");
        /* Between two that had their own nothing is left over. */
        expect(&stage, "<message " TO "/>", "message de-CH");
        strike_stage(&stage);
    }
}

struct headers {
    const char *first, *second; /* before and behind SASL */
    const char *line;
};

/* Holds 6120:4.7.4/1 6120:8.1.5/2. */
static void header__of_the_present_stream__counts(void **state)
{
    (void)state;
    static const struct headers list[] = {
        {NULL, NULL, "message -"},
        {"de", "fr", "message fr"}, /* the restart begins a new stream: nothing of the old one is left */
        {"de", NULL, "message -"},
        {"de", "", "message -"},
        {"de", "no tag", "message -"},
        {NULL, "x-probe", "message x-probe"},
        {NULL, "zh-Hant-TW", "message zh-Hant-TW"},
        {NULL, "d&#101;", "message de"},
        {NULL, "-de", "message -"},
        {NULL, "de-", "message -"},
        {NULL, "de--CH", "message -"},
        {NULL, "de_CH", "message -"},
        {NULL, "1de", "message -"},
        {NULL, "de-123456789", "message -"},
        {NULL, "\xc3\xa4", "message -"},
        {NULL, "&lt;", "message -"},
        {NULL, TAG_63, "message " TAG_63},
        {NULL, TAG_63 "7", "message -"},
    };
    assert_int_equal(sizeof TAG_63 - 1, 63);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct stage stage;
        raise_stage(&stage, 3, 1, list[i].first, list[i].second);
        expect(&stage, "<message " TO "/>", list[i].line);
        strike_stage(&stage);
    }
}

/* What is kept for those who come later has it too, and once. */
static void presence__that_is_broadcast__has_the_language(void **state)
{
    (void)state;
    for (unsigned shards = 1; shards <= 3; shards += 2) {
        struct stage stage;
        raise_stage(&stage, shards, 0, NULL, "de"); /* takes user0/a over */
        assert_string_equal(stage.recipient.error, "conflict");
        actor_reset(&stage.recipient);
        run(&stage);
        actor_enter(&stage.recipient, "b", 0);
        actor_send(&stage.recipient, "<presence/>");
        run(&stage);
        expect(&stage, "<presence/>", "presence de");
        expect(&stage, "<presence xml:lang='fr'/>", "presence fr");
        expect(&stage, "<presence/>", "presence de");
        strike_stage(&stage);
    }
}

/* --- other servers ------------------------------------------------------------------------------------------------ */

#define NS       " xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'"
#define STREAM   "<stream:stream" NS " version='1.0' from='example.net' to='example.com'"
#define FEATURES "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
#define BIDI                                                                                                           \
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'/><bidi xmlns='urn:xmpp:features:bidi'/>"            \
    "</stream:features>"

static void raise_beside_servers(struct stage *stage, unsigned shards)
{
    static const char *const overrides[] = {"s2s.enabled=true", "s2s.tls_required=false", "rig.domain=example.com",
                                            "s2s.routes=example.net=127.0.0.3:6000", NULL};
    memset(stage, 0, sizeof *stage);
    stage->rig = rig_new(13, shards, NULL, 1, overrides);
    world_set_far(stage->rig->world, 6000, FAR_ACCEPTS);
    actor_init(&stage->recipient, stage->rig, 0, keep, stage);
    actor_enter(&stage->recipient, "a", 0);
}

static void strike_beside_servers(struct stage *stage)
{
    struct actor *const actors[] = {&stage->recipient};
    actor_close_all(actors, 1, stage->rig, NULL);
}

static void tell(struct stage *stage, struct peer *peer, const char *text)
{
    peer_send(peer, span_str(text));
    rig_run(stage->rig, 50);
    actor_poll(&stage->recipient);
}

/* A server that has proven its domain, by dialback. */
static struct peer *proven(struct stage *stage, const char *header)
{
    struct peer *peer = peer_connect_to(stage->rig->group, 0, LISTEN_S2S);
    char text[300];
    tell(stage, peer, header);
    tell(stage, peer, "<db:result from='example.net' to='example.com'>k</db:result>");
    struct peer *own = world_accept(stage->rig->world);
    assert_non_null(own);
    tell(stage, own, STREAM " id='i'>" FEATURES);
    struct span got = peer_received(own);
    const char *verify = memmem(got.ptr, got.size, "<db:verify ", 11);
    assert_non_null(verify);
    snprintf(text, sizeof text, "<db:verify from='example.net' to='example.com' id='%.32s' type='valid'/>",
             strstr(verify, "id='") + 4);
    tell(stage, own, text);
    assert_true(peer_has(peer, "type='valid'"));
    peer_free(own);
    return peer;
}

static void expect_of(struct stage *stage, struct peer *peer, const char *stanza, const char *line)
{
    stage->count = 0;
    tell(stage, peer, stanza);
    assert_int_equal(stage->count, 1);
    assert_string_equal(stage->last, line);
}

#define FROM_NET "from='juliet@example.net' " TO

/* RFC 6120 s4.7.4. */
static void header__of_another_server__is_that_of_its_stanzas(void **state)
{
    (void)state;
    static const struct {
        const char *header, *line;
    } list[] = {
        {STREAM " xml:lang='de-CH'>", "message de-CH"}, {STREAM ">", "message -"},
        {STREAM " xml:lang=''>", "message -"},          {STREAM " xml:lang='no tag'>", "message -"},
        {STREAM " xml:lang='d&#101;'>", "message de"},  {STREAM " xml:lang='" TAG_63 "'>", "message " TAG_63},
    };
    for (unsigned i = 0; i < 2 * sizeof list / sizeof list[0]; i++) {
        struct stage stage;
        raise_beside_servers(&stage, i % 2 ? 3 : 1);
        struct peer *peer = proven(&stage, list[i / 2].header);
        expect_of(&stage, peer, "<message " FROM_NET "><body>x</body></message>", list[i / 2].line);
        expect_of(&stage, peer, "<message " FROM_NET " xml:lang='fr'/>", "message fr");
        expect_of(&stage, peer, "<message " FROM_NET " xml:lang=''/>", "message ");
        expect_of(&stage, peer, "<message " FROM_NET "/>", list[i / 2].line);
        if (i < 2)
            expect_of(&stage, peer, "<presence " FROM_NET "/>", "presence de-CH");
        peer_free(peer);
        strike_beside_servers(&stage);
    }
}

/* What an answering server says is the language that it was asked for, or of its own texts: not of its users. */
static void header__of_a_server_that_answers__is_not(void **state)
{
    (void)state;
    struct stage stage;
    raise_beside_servers(&stage, 1);
    actor_send(&stage.recipient, "<message to='juliet@example.net' id='1'/>");
    rig_run(stage.rig, 50);
    struct peer *peer = world_accept(stage.rig->world);
    assert_non_null(peer);
    tell(&stage, peer, STREAM " id='i' xml:lang='de'>" BIDI);
    tell(&stage, peer, "<db:result from='example.net' to='example.com' type='valid'/>");
    expect_of(&stage, peer, "<message " FROM_NET "/>", "message -");
    expect_of(&stage, peer, "<message " FROM_NET " xml:lang='fr'/>", "message fr");
    peer_free(peer);
    strike_beside_servers(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header__with_a_language__is_that_of_stanzas_without),
        cmocka_unit_test(header__of_the_present_stream__counts),
        cmocka_unit_test(presence__that_is_broadcast__has_the_language),
        cmocka_unit_test(header__of_another_server__is_that_of_its_stanzas),
        cmocka_unit_test(header__of_a_server_that_answers__is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
