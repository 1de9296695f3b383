/* SPDX-License-Identifier: MIT */
/*
 * Careful: every byte that the hot path would not pass, a character at a time, with the verdict and its offset. All of
 * it can be cut at any byte; only a UTF-8 sequence is looked at again from its start (at most three bytes).
 */
#include "core/xml/chars_priv.h"
#include "core/xml/scan_priv.h"

#define NO_DIGITS UINT32_MAX

const char *xml_refuse(struct xml_scan *t, const char *p, enum xml_error error)
{
    t->at = (uint32_t)(p - t->bytes);
    t->error = (uint8_t)error;
    t->verdict = VERDICT_REFUSED;
    return NULL;
}

/* Bytes that begin no UTF-8 sequence are another encoding's; one that does is merely out of place. */
enum xml_error xml_byte_error(uint8_t byte)
{
    bool is_alien = byte >= 0x80 && (byte < 0xc2 || byte > 0xf4);
    return is_alien ? XML_ENCODING : XML_NOT_WELL_FORMED;
}

const char *xml_refuse_byte(struct xml_scan *t, const char *p)
{
    /* "<" NUL at the very start is UTF-16 or UTF-32 (XML appendix F). */
    if (*p == 0 && t->is_first && p == t->bytes + 1)
        return xml_refuse(t, p, XML_ENCODING);
    return xml_refuse(t, p, xml_byte_error((uint8_t)*p));
}

/* One character of a name: its size; 0: cut; -1: not UTF-8. */
static int name_char(const char *p, const char *end, bool *starts, bool *continues)
{
    uint8_t byte = (uint8_t)*p;
    if (byte < 0x80) {
        *starts = xml_class[byte] & CLASS_NAME_START;
        *continues = xml_class[byte] & CLASS_NAME;
        return 1;
    }
    uint32_t code = 0;
    int size = xml_utf8_take(p, end, &code);
    *starts = size > 0 && xml_is_name_start(code);
    *continues = size > 0 && xml_is_name(code);
    return size;
}

/* A name with a ':' too many is still one to XML: its element can be read on, unless it is the top-level element's own.
 * That of an entity is none of the five in any case. */
static bool is_spared(struct xml_scan *t, enum xml_state state)
{
    bool is_name_of_all = state == STATE_START_NAME && t->depth == 0;
    return state != STATE_REF_NAME && !is_name_of_all && xml_spare(t) == XML_OK;
}

const char *xml_careful_name(struct xml_scan *t, const char *p, const char *end, enum xml_state state)
{
    const char *start = t->bytes + t->token;
    while (p < end) {
        bool starts = false;
        bool continues = false;
        const char *local = t->colon ? start + t->colon + 1 : start;
        int size = name_char(p, end, &starts, &continues);
        if (size == UTF8_CUT)
            return xml_suspend(t, p, state);
        if (size == UTF8_BAD)
            return xml_refuse(t, p, XML_ENCODING);
        if (*p == ':') {
            /* A name has one ':', that of an entity none (Namespaces s4, s7). */
            bool is_fault = p == local || t->colon || state == STATE_REF_NAME;
            if (is_fault && !is_spared(t, state))
                return xml_refuse(t, p, XML_NAMESPACE);
            /* Of a spared name all before its first ':' is the prefix, nothing if it begins with it. */
            if (!t->colon)
                t->colon = (uint16_t)(p - start);
        } else if (!continues) {
            break;
        } else if (p == local && !starts) {
            if (!t->colon || !is_spared(t, state))
                return xml_refuse(t, p, t->colon ? XML_NAMESPACE : XML_NOT_WELL_FORMED);
        }
        p += size;
        if (p - start > t->limits->name_size_max)
            return xml_refuse(t, start + t->limits->name_size_max, XML_LIMIT_NAME);
    }
    if (p == end)
        return xml_suspend(t, p, state);
    if (p == start)
        return xml_refuse_byte(t, p);
    if (t->colon && p == start + t->colon + 1 && !is_spared(t, state))
        return xml_refuse(t, p, XML_NAMESPACE);
    return p;
}

/* A run of characters above U+007F. */
static const char *take_high(struct xml_scan *t, const char *p, const char *end, enum xml_state state)
{
    while (p < end && (uint8_t)*p >= 0x80) {
        uint32_t code = 0;
        int size = xml_utf8_take(p, end, &code);
        if (size == UTF8_CUT)
            return xml_suspend(t, p, state);
        if (size == UTF8_BAD)
            return xml_refuse(t, p, XML_ENCODING);
        if ((code & ~1u) == 0xfffe)
            return xml_refuse(t, p, XML_NOT_WELL_FORMED);
        p += size;
    }
    return p;
}

const char *xml_careful_char(struct xml_scan *t, const char *p, const char *end, enum xml_state state)
{
    if ((uint8_t)*p >= 0x80)
        return take_high(t, p, end, state);
    /* "]]>" is forbidden in text (XML s2.4). Two brackets before '>' are always of the same run: what precedes a run is
     * '>' or ';'. */
    if (*p == '>' && state == STATE_CONTENT) {
        bool is_end = p[-1] == ']' && p[-2] == ']';
        return is_end ? xml_refuse(t, p, XML_NOT_WELL_FORMED) : p + 1;
    }
    if (xml_is_space(*p) && state == STATE_VALUE) {
        t->arrays.attributes[t->attribute_count].flags |= XML_ATTR_SPACE;
        return p + 1;
    }
    return xml_refuse_byte(t, p);
}

/* --- references ----------------------------------------------------------------------------------------------------
 */

static const char *reference_done(struct xml_scan *t, const char *p)
{
    t->flags |= XML_HAS_REFERENCE;
    t->state = t->back;
    return p;
}

static const char *take_number(struct xml_scan *t, const char *p, const char *end, enum xml_state state)
{
    uint32_t base = state == STATE_REF_HEX ? 16 : 10;
    for (; p < end && *p != ';'; p++) {
        uint32_t digit = (uint32_t)(*p - '0');
        if (base == 16 && ((*p >= 'a' && *p <= 'f') || (*p >= 'A' && *p <= 'F')))
            digit = (uint32_t)((*p | 0x20) - 'a') + 10;
        else if (digit > 9)
            return xml_refuse_byte(t, p);
        uint32_t number = t->number == NO_DIGITS ? 0 : t->number;
        /* Stays beyond the last character once it is there, so no number of digits can wrap it. */
        t->number = number > 0x10ffff ? number : number * base + digit;
    }
    if (p == end)
        return xml_suspend(t, p, state);
    if (t->number == NO_DIGITS || !xml_is_char(t->number))
        return xml_refuse(t, p, XML_NOT_WELL_FORMED);
    return reference_done(t, p + 1);
}

static const char *take_entity(struct xml_scan *t, const char *p, const char *end)
{
    p = xml_careful_name(t, p, end, STATE_REF_NAME);
    if (!p)
        return NULL;
    if (*p != ';')
        return xml_refuse_byte(t, p);
    struct span name = span_of(t->bytes + t->token, (size_t)(p - t->bytes) - t->token);
    if (!span_is(name, "lt") && !span_is(name, "gt") && !span_is(name, "amp") && !span_is(name, "apos") &&
        !span_is(name, "quot"))
        return xml_refuse(t, p, XML_RESTRICTED);
    return reference_done(t, p + 1);
}

const char *xml_careful_reference(struct xml_scan *t, const char *p, const char *end, enum xml_state state)
{
    if (state == STATE_REF) {
        if (p == end)
            return xml_suspend(t, p, STATE_REF);
        t->token = (uint32_t)(p - t->bytes);
        t->colon = 0;
        state = *p == '#' ? STATE_REF_NUMBER : STATE_REF_NAME;
        p += *p == '#';
    }
    if (state == STATE_REF_NUMBER) {
        if (p == end)
            return xml_suspend(t, p, STATE_REF_NUMBER);
        t->number = NO_DIGITS;
        state = *p == 'x' ? STATE_REF_HEX : STATE_REF_DECIMAL;
        p += *p == 'x';
    }
    if (state == STATE_REF_NAME)
        return take_entity(t, p, end);
    return take_number(t, p, end, state);
}

/* --- <! and <? -----------------------------------------------------------------------------------------------------
 */

static const char *const keywords[] = {"[CDATA[", "--", "DOCTYPE"};

const char *xml_careful_bang(struct xml_scan *t, const char *p, const char *end)
{
    for (; p < end; p++) {
        /* number: which keyword; its first byte tells. */
        if (t->matched == 0)
            t->number = *p == '[' ? 0 : *p == '-' ? 1 : 2;
        const char *keyword = keywords[t->number];
        if (*p != keyword[t->matched])
            return xml_refuse_byte(t, p);
        t->matched++;
        if (keyword[t->matched] != 0)
            continue;
        if (t->number != 0)
            return xml_refuse(t, p, XML_RESTRICTED);
        if (t->depth == 0)
            return xml_refuse(t, p, t->header ? XML_STRAY_TEXT : XML_NOT_WELL_FORMED);
        t->flags |= XML_HAS_CDATA;
        return p + 1;
    }
    return xml_suspend(t, p, STATE_BANG);
}

/* Only "<?xml " as the very first bytes is no processing instruction. */
const char *xml_careful_pi(struct xml_scan *t, const char *p, const char *end)
{
    static const char declaration[] = "<?xml";
    size_t taken = (size_t)(p - t->bytes) - t->tag;
    if (!t->is_first || t->tag != 0) {
        if (p == end)
            return xml_suspend(t, p, STATE_PI);
        bool starts = false;
        bool continues = false;
        int size = name_char(p, end, &starts, &continues);
        if (size == UTF8_CUT)
            return xml_suspend(t, p, STATE_PI);
        if (size == UTF8_BAD)
            return xml_refuse(t, p, XML_ENCODING);
        if (starts || *p == ':')
            return xml_refuse(t, p, XML_RESTRICTED);
        return xml_refuse_byte(t, p);
    }
    for (; p < end && taken < sizeof declaration - 1; p++, taken++) {
        if (*p == declaration[taken])
            continue;
        bool starts = false;
        bool continues = false;
        int size = name_char(p, end, &starts, &continues);
        if (size == UTF8_CUT)
            return xml_suspend(t, p, STATE_PI);
        if (size == UTF8_BAD)
            return xml_refuse(t, p, XML_ENCODING);
        bool is_target =
            starts || *p == ':' || (taken > 2 && continues) || (taken > 2 && (xml_is_space(*p) || *p == '?'));
        return is_target ? xml_refuse(t, p, XML_RESTRICTED) : xml_refuse_byte(t, p);
    }
    if (p == end)
        return xml_suspend(t, p, STATE_PI);
    if (xml_is_space(*p))
        return xml_careful_declaration(t, p + 1, end);
    bool starts = false;
    bool continues = false;
    int size = name_char(p, end, &starts, &continues);
    if (size == UTF8_CUT)
        return xml_suspend(t, p, STATE_PI);
    if (size == UTF8_BAD)
        return xml_refuse(t, p, XML_ENCODING);
    return continues || *p == ':' ? xml_refuse(t, p, XML_RESTRICTED) : xml_refuse_byte(t, p);
}

/* To its '>'; header.c reads it then. Nothing in it is '<', a control or not ASCII (XML s2.8, s4.3.3, s2.9). */
const char *xml_careful_declaration(struct xml_scan *t, const char *p, const char *end)
{
    for (; p < end; p++) {
        if (*p == '>')
            return xml_done(t, p + 1, VERDICT_DECLARATION);
        if (*p == '<' || ((signed char)*p < 0x20 && !xml_is_space(*p)))
            return xml_refuse_byte(t, p);
    }
    return xml_suspend(t, p, STATE_DECLARATION);
}

/* --- end tags ------------------------------------------------------------------------------------------------------
 */

const char *xml_careful_close_end(struct xml_scan *t, const char *p, const char *end)
{
    while (p < end && xml_is_space(*p))
        p++;
    if (p == end)
        return xml_suspend(t, p, STATE_CLOSE_END);
    if (*p != '>')
        return xml_refuse_byte(t, p);
    return t->depth == 0 ? xml_done(t, p + 1, VERDICT_FOOTER) : p + 1;
}

const char *xml_careful_close(struct xml_scan *t, const char *p, const char *end)
{
    struct span name;
    if (t->depth > 0) {
        const struct xml_open *open = &t->arrays.open[t->depth - 1];
        name = span_of(t->bytes + open->start + 1, open->name_size);
    } else if (t->header) {
        name = t->header->name;
    } else {
        return xml_refuse(t, p - 1, XML_NOT_WELL_FORMED);
    }
    size_t taken = (size_t)(p - t->bytes) - t->tag - 2;
    for (; taken < name.size && p < end; taken++, p++) {
        if (*p != name.ptr[taken])
            return xml_refuse_byte(t, p);
    }
    if (taken < name.size)
        return xml_suspend(t, p, STATE_CLOSE_NAME);
    return xml_careful_close_end(t, p, end);
}
