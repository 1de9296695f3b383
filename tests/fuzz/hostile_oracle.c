/* SPDX-License-Identifier: MIT */
/* What must hold, judged from the bytes on the wires. */
#include "tests/fuzz/hostile.h"

#include <stdio.h>
#include <stdlib.h>

static void wrong(const char *what, unsigned line, struct span tag)
{
    fprintf(stderr, "hostile: %s: line %u, %.*s\n", what, line, SPAN_ARG(tag));
    abort();
}

static bool has(struct span bytes, const char *text)
{
    return bytes.size && memmem(bytes.ptr, bytes.size, text, strlen(text)) != NULL;
}

static struct span said_since(const struct line *line, size_t at)
{
    return at < line->said_size ? span_of(line->said + at, line->said_size - at) : SPAN("");
}

/* What was said in the clear is nothing under TLS. */
static struct span said(const struct line *line)
{
    return said_since(line, line->is_secure ? line->hello_at : 0);
}

/* The attribute's value as it stands in the tag; ptr NULL: none. */
static struct span attribute(struct span tag, const char *name)
{
    char start[20];
    int size = snprintf(start, sizeof start, " %s='", name);
    const char *at = memmem(tag.ptr, tag.size, start, (size_t)size);
    if (!at)
        return SPAN_NONE;
    struct span rest = span_skip(tag, (size_t)(at - tag.ptr) + (size_t)size);
    const char *end = memchr(rest.ptr, '\'', rest.size);
    return end ? span_of(rest.ptr, (size_t)(end - rest.ptr)) : SPAN_NONE;
}

static void keep(char *room, size_t size, struct span text)
{
    snprintf(room, size, "%.*s", SPAN_ARG(text));
}

/* ------------------------------------------------------------------------------------------------ evidence */

static bool is_of(const struct line *line, enum hostile_domain domain)
{
    return line->is_secure && hostile_certificates[line->certificate].domain == domain;
}

static bool has_answered(const struct hostile *bed, const struct asked_note *asked)
{
    const struct line *line = &bed->lines[asked->line];
    for (unsigned i = 0; i < bed->verified_count; i++) {
        const struct valid_note *note = &bed->verified[i];
        if (note->line == asked->line && note->theirs == asked->theirs && note->ours == asked->ours &&
            strcmp(note->id, asked->id) == 0)
            return true;
    }
    return line->is_rough && has(said(line), asked->id) && has(said(line), "valid'");
}

/* The id is that of this connection, and the TLS that was there then is there now. */
static bool is_id_of(const struct hostile *bed, unsigned number, const char *id)
{
    for (unsigned i = 0; i < bed->header_count; i++) {
        const struct header_note *note = &bed->headers[i];
        if (note->line == number && note->is_secure == bed->lines[number].is_secure && strcmp(note->id, id) == 0)
            return true;
    }
    return false;
}

static bool by_dialback(const struct hostile *bed, unsigned number, enum hostile_domain theirs,
                        enum hostile_domain ours)
{
    if (bed->is_pkix || (bed->requires_tls && !bed->lines[number].is_secure))
        return false;
    for (unsigned i = 0; i < bed->verify_count; i++) {
        const struct asked_note *asked = &bed->verifies[i];
        const struct line *judge = &bed->lines[asked->line];
        if (asked->theirs == theirs && asked->ours == ours && judge->is_out && judge->domain == theirs &&
            asked->line != number && is_id_of(bed, number, asked->id) && has_answered(bed, asked))
            return true;
    }
    return false;
}

/* We let it in there. */
static bool is_let_in(const struct hostile *bed, unsigned number, enum hostile_domain ours)
{
    const struct line *line = &bed->lines[number];
    bool is_asked = false;
    if (is_of(line, line->domain) && has(said(line), "<success"))
        return true;
    /* Under pkix too a server that its certificate has proven may want our key, to let us in. */
    if ((bed->is_pkix && !is_of(line, line->domain)) || (bed->requires_tls && !line->is_secure))
        return false;
    for (unsigned i = 0; i < bed->result_count; i++)
        is_asked |= bed->results[i].line == number && bed->results[i].ours == ours;
    for (unsigned i = 0; i < bed->let_in_count && is_asked; i++) {
        const struct valid_note *note = &bed->let_in[i];
        if (note->line == number && note->theirs == line->domain && note->ours == ours &&
            note->is_secure == line->is_secure)
            return true;
    }
    return is_asked && line->is_rough && has(said(line), "valid'");
}

/* May that domain of theirs speak there to that one of ours? */
static bool has_evidence(const struct hostile *bed, unsigned number, enum hostile_domain theirs,
                         enum hostile_domain ours)
{
    const struct line *line = &bed->lines[number];
    if (theirs == NOBODY || theirs == COM || theirs == ORG || (ours != COM && ours != ORG))
        return false;
    if (line->is_out)
        return line->domain == theirs && is_let_in(bed, number, ours) && has(said(line), "urn:xmpp:features:bidi");
    if (is_of(line, theirs) && line->was_admitted)
        return true;
    return by_dialback(bed, number, theirs, ours);
}

/* ------------------------------------------------------------------------------------------------ what the router says
 */

static void see_header(struct hostile *bed, unsigned number, struct span tag)
{
    struct span id = attribute(tag, "id");
    if (bed->lines[number].is_out || !id.ptr || bed->header_count == HOSTILE_NOTES_MAX)
        return;
    struct header_note *note = &bed->headers[bed->header_count++];
    note->line = number;
    note->is_secure = bed->lines[number].is_secure;
    keep(note->id, sizeof note->id, id);
    keep(bed->lines[number].id, HOSTILE_ID_SIZE, id);
}

static bool was_made(const struct hostile *bed, const struct asked_note *question)
{
    for (unsigned i = 0; i < bed->result_count; i++) {
        const struct asked_note *made = &bed->results[i];
        if (made->theirs == question->theirs && made->ours == question->ours && strcmp(made->id, question->id) == 0 &&
            has(said(&bed->lines[question->line]), made->key))
            return true;
    }
    return bed->result_count == HOSTILE_NOTES_MAX;
}

/* <db:result/> or <db:verify/> with a type: the router's verdict. */
static void see_verdict(struct hostile *bed, unsigned number, struct span tag, bool is_result)
{
    struct asked_note note = {.line = number,
                              .ours = hostile_domain_of(attribute(tag, "from")),
                              .theirs = hostile_domain_of(attribute(tag, "to"))};
    struct span id = attribute(tag, "id");
    if (!has(tag, " type='valid'"))
        return;
    keep(note.id, sizeof note.id, id.ptr ? id : SPAN(""));
    if (is_result && !has_evidence(bed, number, note.theirs, note.ours))
        wrong("says valid without evidence", number, tag);
    if (!is_result && !was_made(bed, &note))
        wrong("calls a key valid that it has not made", number, tag);
}

static void see_question(struct hostile *bed, unsigned number, struct span tag, struct span rest, bool is_result)
{
    const struct line *line = &bed->lines[number];
    unsigned *count = is_result ? &bed->result_count : &bed->verify_count;
    struct asked_note *notes = is_result ? bed->results : bed->verifies;
    struct asked_note note = {.line = number,
                              .ours = hostile_domain_of(attribute(tag, "from")),
                              .theirs = hostile_domain_of(attribute(tag, "to"))};
    struct span id = attribute(tag, "id");
    const char *end = rest.size ? memchr(rest.ptr, '<', rest.size) : NULL;
    keep(note.id, sizeof note.id, is_result ? span_str(line->id) : id.ptr ? id : SPAN(""));
    keep(note.key, sizeof note.key, span_of(rest.ptr, end ? (size_t)(end - rest.ptr) : 0));
    if (!line->is_out || line->domain != note.theirs)
        wrong("asks who is not that domain's server", number, tag);
    if (note.ours != COM && note.ours != ORG)
        wrong("asks for a domain that is not its own", number, tag);
    if (bed->is_pkix && !(is_result && is_of(line, line->domain)))
        wrong("dialback under policy pkix", number, tag);
    if (*count < HOSTILE_NOTES_MAX)
        notes[(*count)++] = note;
}

static void see_dialback(struct hostile *bed, unsigned number, struct span tag, struct span rest)
{
    bool is_result = tag.size > 10 && memcmp(tag.ptr, "<db:result", 10) == 0;
    if (bed->requires_tls && !bed->lines[number].is_secure && !has(tag, " type='error'"))
        wrong("dialback in plain text", number, tag);
    if (attribute(tag, "type").ptr)
        see_verdict(bed, number, tag, is_result);
    else
        see_question(bed, number, tag, rest, is_result);
}

static void see_stanza(struct hostile *bed, unsigned number, struct span tag)
{
    const struct line *line = &bed->lines[number];
    enum hostile_domain ours = hostile_domain_of(attribute(tag, "from")),
                        theirs = hostile_domain_of(attribute(tag, "to"));
    if (ours != COM && ours != ORG)
        wrong("speaks for a domain that is not its own", number, tag);
    if (line->is_out && (theirs != line->domain || !is_let_in(bed, number, ours)))
        wrong("speaks where it was not let in", number, tag);
    if (!line->is_out && !(has_evidence(bed, number, theirs, ours) && has(said(line), "urn:xmpp:bidi")))
        wrong("speaks to who has not proven itself", number, tag);
}

static void see_features(const struct hostile *bed, unsigned number, struct span rest)
{
    const char *end = rest.size ? memmem(rest.ptr, rest.size, "</stream:features>", 18) : NULL;
    struct span inner = span_of(rest.ptr, end ? (size_t)(end - rest.ptr) : 0);
    bool is_plain = bed->requires_tls && !bed->lines[number].is_secure;
    if (is_plain && (has(inner, "mechanisms") || has(inner, "dialback") || has(inner, "bidi")))
        wrong("offers more than STARTTLS in plain text", number, inner);
}

static bool is_tag(struct span tag, const char *name)
{
    size_t size = strlen(name);
    return tag.size > size && memcmp(tag.ptr, name, size) == 0 &&
           (tag.ptr[size] == ' ' || tag.ptr[size] == '>' || tag.ptr[size] == '/');
}

static void see_tag(struct hostile *bed, unsigned number, struct span tag, struct span rest)
{
    struct line *line = &bed->lines[number];
    if (is_tag(tag, "<stream:stream"))
        see_header(bed, number, tag);
    else if (is_tag(tag, "<stream:features"))
        see_features(bed, number, rest);
    else if (is_tag(tag, "<db:result") || is_tag(tag, "<db:verify"))
        see_dialback(bed, number, tag, rest);
    else if (is_tag(tag, "<message") || is_tag(tag, "<iq") || is_tag(tag, "<presence"))
        see_stanza(bed, number, tag);
    else if (is_tag(tag, "<success"))
        line->was_admitted = true;
}

/* The router's hello: that of a server ends the handshake, that of a client begins it. */
static void see_hello(struct line *line, char kind)
{
    line->has_greeted = true;
    if (kind == 2 && line->hello_at) {
        line->is_secure = true;
        line->was_admitted = false;
    }
}

static void look_at_line(struct hostile *bed, unsigned number)
{
    struct line *line = &bed->lines[number];
    struct span got = peer_received(line->peer);
    if (bed->is_loud && got.size > line->scanned)
        fprintf(stderr, "%u -> %.*s\n", number, (int)(got.size - line->scanned), got.ptr + line->scanned);
    while (line->scanned < got.size) {
        struct span rest = span_skip(got, line->scanned);
        if (rest.ptr[0] == '\x16' && rest.size > 1)
            see_hello(line, rest.ptr[1]);
        if (rest.ptr[0] != '<') {
            line->scanned++;
            continue;
        }
        const char *end = memchr(rest.ptr, '>', rest.size);
        if (!end)
            return; /* it will come */
        struct span tag = span_of(rest.ptr, (size_t)(end - rest.ptr) + 1);
        line->scanned += tag.size;
        see_tag(bed, number, tag, span_skip(rest, tag.size));
    }
}

/* ------------------------------------------------------------------------------------------------ what the user hears
 */

static bool is_any_evidence(const struct hostile *bed, enum hostile_domain theirs)
{
    for (unsigned i = 0; i < bed->line_count; i++)
        if (has_evidence(bed, i, theirs, COM))
            return true;
    return false;
}

static void hear(const struct hostile *bed, struct span tag)
{
    struct span from = attribute(tag, "from"), id = attribute(tag, "id"), type = attribute(tag, "type");
    enum hostile_domain theirs = from.ptr ? hostile_domain_of(from) : COM;
    unsigned number;
    if (!from.ptr || theirs == COM || theirs == ORG) {
        if (from.size && sscanf(from.ptr, "zz%u@", &number) == 1)
            wrong("one of our own domains is spoken for", number, tag);
        return;
    }
    bool is_ours = id.size && id.ptr[0] == 'u' && span_is(type, "error");
    if (sscanf(from.ptr, "zz%u@", &number) == 1 && number < bed->line_count) {
        if (!has_evidence(bed, number, theirs, COM))
            wrong("the user hears who has not proven itself", number, tag);
    } else if (!is_ours && !is_any_evidence(bed, theirs)) {
        wrong("the user hears whom nobody has proven", 0, tag);
    }
}

static void look_at_user(struct hostile *bed)
{
    struct span got = peer_received(bed->user);
    if (bed->is_loud && got.size > bed->user_scanned)
        fprintf(stderr, "user hears: %.*s\n", (int)(got.size - bed->user_scanned), got.ptr + bed->user_scanned);
    while (bed->user_scanned < got.size) {
        struct span rest = span_skip(got, bed->user_scanned);
        const char *end = memchr(rest.ptr, '>', rest.size);
        if (rest.ptr[0] == '<' && !end)
            return;
        bed->user_scanned += rest.ptr[0] == '<' ? (size_t)(end - rest.ptr) + 1 : 1;
        struct span tag = span_of(rest.ptr, end ? (size_t)(end - rest.ptr) + 1 : 0);
        if (is_tag(tag, "<message") || is_tag(tag, "<iq") || is_tag(tag, "<presence"))
            hear(bed, tag);
    }
}

void oracle_look(struct hostile *bed)
{
    for (unsigned i = 0; i < bed->line_count; i++)
        look_at_line(bed, i);
    if (bed->user_jid[0])
        look_at_user(bed);
}
