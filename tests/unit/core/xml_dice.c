/* SPDX-License-Identifier: MIT */
#include "tests/unit/core/xml_dice.h"

#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const char *const names[] = {"message",
                                    "body",
                                    "a",
                                    "iq",
                                    "p:x",
                                    "stream:y",
                                    "xml:z",
                                    "größe",
                                    "q:long-name.1",
                                    "presence-with-a-rather-long-name-beyond-a-block",
                                    "n_1",
                                    "x·"};
static const char *const attribute_names[] = {
    "from", "to", "id",   "type", "xml:lang", "p:k",
    "q:k",  "k",  "ключ", "v",    "w",        "an-attribute-with-a-name-longer-than-thirty-two-bytes"};
static const char *const uris[] = {"jabber:client",
                                   "urn:xmpp:ping",
                                   "u",
                                   "v",
                                   "jabber:se&#114;ver",
                                   "u\tv",
                                   "u|v",
                                   "",
                                   "http://jabber.org/protocol/chatstates",
                                   "urn:x:&amp;:&#x79;",
                                   "http://u"};
static const char *const texts[] = {"a",
                                    " ",
                                    "hello world ",
                                    "\n",
                                    "\r\n",
                                    "\t",
                                    "&amp;",
                                    "&lt;",
                                    "&gt;",
                                    "&quot;",
                                    "&apos;",
                                    "&#65;",
                                    "&#x1F600;",
                                    "&#0000000000000000010;",
                                    "ж",
                                    "漢字",
                                    "😀",
                                    "]",
                                    "]]",
                                    ">",
                                    "\xef\xbf\xbd",
                                    "0123456789012345678901234567890123456789",
                                    "\x7f",
                                    "\xc2\x85",
                                    "й й й й й й й й й й й й й й й й й й"};
static const char *const cdata[] = {"", "x", "<a>", "&b;", "]]", "]", ">", "\r\n", "\n", "]]>]]<![CDATA["};

void made_add(struct made *made, struct span bytes)
{
    if (made->size + bytes.size + 1 > made->room) {
        made->room = 2 * (made->size + bytes.size + 1);
        made->bytes = realloc(made->bytes, made->room);
    }
    memcpy(made->bytes + made->size, bytes.ptr, bytes.size);
    made->size += bytes.size;
}

void made_free(struct made *made)
{
    free(made->bytes);
    *made = (struct made){0};
}

static void add(struct made *made, const char *text)
{
    made_add(made, span_str(text));
}

#define PICK(dice, list) ((list)[dice_below(dice, (uint32_t)COUNT(list))])

static void add_space(struct made *made, struct dice *dice)
{
    static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t \r\n"};
    add(made, PICK(dice, spaces));
}

static void add_value(struct made *made, struct dice *dice, const char *fixed)
{
    bool is_single = dice_below(dice, 2) != 0;
    add_space(made, dice);
    add(made, "=");
    add_space(made, dice);
    add(made, is_single ? "'" : "\"");
    if (fixed)
        add(made, fixed);
    for (uint32_t i = fixed ? 0 : dice_below(dice, 5); i > 0; i--)
        add(made, PICK(dice, texts));
    if (!fixed && dice_below(dice, 8) == 0)
        add(made, is_single ? "\"" : "'");
    add(made, is_single ? "'" : "\"");
}

/* Mostly different names; a few tags have a duplicate, so that verdict is compared too. */
static void add_attributes(struct made *made, struct dice *dice)
{
    uint32_t at = dice_below(dice, COUNT(attribute_names));
    uint32_t count = dice_below(dice, 20) == 0 ? dice_below(dice, 40) : dice_below(dice, 5);
    for (uint32_t i = 0; i < count; i++) {
        add(made, dice_below(dice, 10) ? " " : "\n  ");
        if (i < COUNT(attribute_names)) {
            add(made, attribute_names[(at + i) % COUNT(attribute_names)]);
        } else {
            char name[32];
            snprintf(name, sizeof name, "k%u", (unsigned)(i * 7 % 41));
            add(made, name);
        }
        add_value(made, dice, NULL);
    }
    if (dice_below(dice, 40) == 0) {
        add(made, " ");
        add(made, PICK(dice, attribute_names));
        add_value(made, dice, NULL);
    }
}

static void add_declarations(struct made *made, struct dice *dice)
{
    static const char *const prefixes[] = {"xmlns", "xmlns:p", "xmlns:q", "xmlns:größe"};
    uint32_t at = dice_below(dice, COUNT(prefixes));
    for (uint32_t i = dice_below(dice, 3); i > 0; i--) {
        const char *name = prefixes[(at + i) % COUNT(prefixes)];
        const char *uri = PICK(dice, uris);
        if (*uri == 0 && strcmp(name, "xmlns") != 0)
            uri = "w";
        add(made, " ");
        add(made, name);
        add_value(made, dice, uri);
    }
}

static void add_content(struct made *made, struct dice *dice)
{
    for (uint32_t i = dice_below(dice, 4); i > 0; i--) {
        size_t before = made->size;
        add(made, PICK(dice, texts));
        /* "]]>" must not arise */
        if (before >= 2 && made->bytes[before] == '>' && made->bytes[before - 1] == ']')
            made->bytes[before] = '.';
    }
    if (dice_below(dice, 10) == 0) {
        add(made, "<![CDATA[");
        add(made, PICK(dice, cdata));
        add(made, "]]>");
    }
}

void made_stanza(struct made *made, struct dice *dice)
{
    const char *open[8];
    unsigned depth = 0;
    unsigned budget = 1 + dice_below(dice, 8);
    do {
        const char *name = PICK(dice, names);
        add(made, "<");
        add(made, name);
        /* q is bound where it is used for an element */
        if (strncmp(name, "q:", 2) == 0)
            add(made, " xmlns:q='urn:q' ");
        else if (dice_below(dice, 2))
            add_declarations(made, dice);
        add_attributes(made, dice);
        add_space(made, dice);
        budget--;
        if (dice_below(dice, 3) == 0) {
            add(made, "/>");
        } else {
            add(made, ">");
            open[depth++] = name;
            add_content(made, dice);
        }
        while (depth && (depth == COUNT(open) || budget == 0 || dice_below(dice, 3) == 0)) {
            add(made, "</");
            add(made, open[--depth]);
            add_space(made, dice);
            add(made, ">");
            if (depth)
                add_content(made, dice);
        }
    } while (depth);
}

void made_stream(struct made *made, struct dice *dice, unsigned stanzas_max)
{
    static const char *const headers[] = {
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:p='urn:p'>",
        "<stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" xmlns=\"jabber:server\" xmlns:q='v'>",
        "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:p='u' xmlns:stream='u' version='1.0'>",
        "<stream xmlns='urn:&#x64;ynamic' xmlns:p='urn:dynamic' xmlns:stream='u&amp;v' xmlns:q='u'>",
    };
    static const char *const footers[] = {"</stream:stream>", "</stream:stream >", "</s:stream>", "</stream>"};
    uint32_t which = dice_below(dice, COUNT(headers));
    if (dice_below(dice, 2))
        add(made, "<?xml version='1.0'?>");
    add(made, headers[which]);
    for (uint32_t i = dice_below(dice, stanzas_max + 1); i > 0; i--) {
        add_space(made, dice);
        made_stanza(made, dice);
    }
    add(made, footers[which]);
}

/* --- spoiling -------------------------------------------------------------------------------------------------------
 */

static const char *const bits[] = {"<",
                                   ">",
                                   "&",
                                   "'",
                                   "\"",
                                   "/",
                                   "]]>",
                                   "<!--",
                                   "-->",
                                   "<?x ?>",
                                   "<![CDATA[",
                                   "]]>",
                                   ":",
                                   "=",
                                   " ",
                                   "xmlns",
                                   "xmlns:p=''",
                                   "\xff",
                                   "\xc0\xbc",
                                   "\xe2\x82",
                                   "\xed\xa0\x80",
                                   "\xef\xbf\xbe",
                                   "\x01",
                                   "\x80",
                                   "&#0;",
                                   "&#x110000;",
                                   "&#xD800;",
                                   "&nbsp;",
                                   "&#;",
                                   "&#x;",
                                   "&lt",
                                   "<!DOCTYPE a>",
                                   "\xcc\x80",
                                   "1",
                                   "p:",
                                   "</",
                                   "/>",
                                   "a='1'",
                                   " a='1' a='2'",
                                   "xml:",
                                   "xmlns:xml='u'",
                                   "<a",
                                   "&#65;",
                                   "\xf0\x9f\x98\x80"};

static void replace(struct made *made, size_t at, size_t size, struct span with)
{
    struct made out = {0};
    made_add(&out, span_of(made->bytes, at));
    made_add(&out, with);
    made_add(&out, span_of(made->bytes + at + size, made->size - at - size));
    made_free(made);
    *made = out;
}

void made_spoil(struct made *made, struct dice *dice)
{
    for (uint32_t i = 1 + dice_below(dice, 3); i > 0 && made->size > 1; i--) {
        size_t at = dice_below(dice, (uint32_t)made->size);
        size_t left = made->size - at;
        size_t size = dice_below(dice, (uint32_t)(left < 12 ? left : 12));
        switch (dice_below(dice, 4)) {
        case 0:
            made->bytes[at] = (char)dice_below(dice, 256);
            break;
        case 1:
            replace(made, at, 0, span_str(PICK(dice, bits)));
            break;
        case 2:
            replace(made, at, size, SPAN(""));
            break;
        default:
            replace(made, at, size, span_str(PICK(dice, bits)));
        }
    }
}
