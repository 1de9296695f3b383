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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header__with_a_language__is_that_of_stanzas_without),
        cmocka_unit_test(header__of_the_present_stream__counts),
        cmocka_unit_test(presence__that_is_broadcast__has_the_language),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
