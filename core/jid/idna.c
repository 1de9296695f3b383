/* SPDX-License-Identifier: MIT */
#include "core/jid/idna_priv.h"

#include "core/base/check.h"
#include "core/jid/ascii_priv.h"
#include "core/jid/bidi_rule_priv.h"
#include "core/jid/codepoint_priv.h"
#include "core/jid/context_rule_priv.h"

#include <idn2.h>

#define ACE_PREFIX      "xn--"
#define ACE_PREFIX_SIZE 4u

#define IDEOGRAPHIC_FULL_STOP 0x3002

/* As many labels as 253 octets can hold, each of one octet and a dot. */
#define LABELS_MAX 127u

/* A prepared name while it grows, and what it would be in A-labels, which is what DNS limits. */
struct name {
    char *out;
    size_t size;
    size_t ace_size;
    struct points u_form;
};

/* RFC 5895 s2, applied until stable: lower-casing after NFC could in principle have something left to do. */
static enum part_result map_name(struct points *points, struct jid_reason *reason)
{
    struct points before;
    for (int i = 0; i < 4; i++) {
        before.count = points->count;
        memcpy(before.at, points->at, points->count * sizeof points->at[0]);
        if (!points_map_lower_each(points))
            return PART_LONG;
        points_map_width(points);
        if (!points_map_nfc(points))
            return PART_LONG;
        for (size_t j = 0; j < points->count; j++) {
            if (points->at[j] == IDEOGRAPHIC_FULL_STOP)
                points->at[j] = '.';
        }
        if (points_equal(&before, points))
            return PART_OK;
    }
    return part_forbidden(reason, JID_NO_CODE_POINT, "the mappings of RFC 5895 do not settle on one form");
}

static const char *rule_of(struct codepoint_class class)
{
    switch (class.property) {
    case CODEPOINT_UNASSIGNED:
        return "is unassigned in the Unicode version in use (RFC 5892 s2.10)";
    case CODEPOINT_CONTEXTJ:
    case CODEPOINT_CONTEXTO:
        return "stands where its contextual rule (RFC 5892 appendix A) does not allow it";
    case CODEPOINT_PVALID:
    case CODEPOINT_FREE_PVAL:
    case CODEPOINT_DISALLOWED:
        break;
    }
    return "is DISALLOWED in domain names by IDNA2008 (RFC 5892 s3)";
}

/* RFC 5891 s4.2.3 without the Bidi rule, which looks at all labels together. */
static enum part_result check_u_label(const uint32_t *at, size_t count, struct jid_reason *reason)
{
    if (at[0] == '-' || at[count - 1] == '-')
        return part_forbidden(reason, '-', "begins or ends a label (RFC 5891 s4.2.3.1)");
    if (count >= 4 && at[2] == '-' && at[3] == '-')
        return part_forbidden(reason, '-', "stands third and fourth in a label (RFC 5891 s4.2.3.1)");
    if (codepoint_is_mark(at[0]))
        return part_forbidden(reason, at[0], "is a combining mark and begins a label (RFC 5891 s4.2.3.2)");
    struct context_rule context;
    context_rule_init(&context, at, count);
    for (size_t i = 0; i < count; i++) {
        struct codepoint_class class = codepoint_idna(at[i]);
        if (class.property == CODEPOINT_PVALID)
            continue;
        bool is_contextual = class.property == CODEPOINT_CONTEXTJ || class.property == CODEPOINT_CONTEXTO;
        if (!is_contextual || !context_rule_allows(&context, i))
            return part_forbidden(reason, at[i], rule_of(class));
    }
    return PART_OK;
}

/* idn2_strerror() would translate into the language of a locale, under a lock. */
static const char *rule_of_libidn2(int rc)
{
    if (rc == IDN2_NOT_NFC)
        return "a label is not in Normalization Form C (RFC 5891 s4.2.1)";
    if (rc == IDN2_UNASSIGNED)
        return "a label holds a character that is newer than libidn2's Unicode version (RFC 5892 s2.10)";
    return "libidn2 finds a label invalid (RFC 5891 s4.2)";
}

/* Writes the A-label of a U-label, at most ASCII_LABEL_MAX octets; libidn2 judges the label anew meanwhile. */
static enum part_result to_a_label(struct span u_label, char *a_label, size_t *size, struct jid_reason *reason)
{
    char text[4 * ASCII_LABEL_MAX + 1];
    uint8_t *result = NULL;
    SL_CHECK(u_label.size < sizeof text);
    memcpy(text, u_label.ptr, u_label.size);
    text[u_label.size] = '\0';
    int rc = idn2_lookup_u8((const uint8_t *)text, &result, IDN2_NO_TR46);
    SL_CHECK(rc != IDN2_MALLOC);
    if (rc == IDN2_TOO_BIG_LABEL || rc == IDN2_TOO_BIG_DOMAIN || rc == IDN2_PUNYCODE_BIG_OUTPUT)
        return PART_LONG;
    if (rc != IDN2_OK)
        return part_forbidden(reason, JID_NO_CODE_POINT, rule_of_libidn2(rc));
    *size = strlen((const char *)result);
    bool fits = *size <= ASCII_LABEL_MAX;
    if (fits)
        memcpy(a_label, result, *size);
    idn2_free(result);
    return fits ? PART_OK : PART_LONG;
}

/* Takes an A-label apart; that it is the one A-label of what it decodes to is asked afterwards. */
static enum part_result from_a_label(struct span a_label, struct points *points, struct jid_reason *reason)
{
    char text[ASCII_LABEL_MAX + 1];
    uint32_t *result = NULL;
    SL_CHECK(a_label.size <= ASCII_LABEL_MAX);
    memcpy(text, a_label.ptr, a_label.size);
    text[a_label.size] = '\0';
    int rc = idn2_to_unicode_8z4z(text, &result, IDN2_NO_TR46);
    SL_CHECK(rc != IDN2_MALLOC);
    if (rc != IDN2_OK)
        return part_forbidden(reason, JID_NO_CODE_POINT,
                              "a label beginning with \"xn--\" is no A-label (RFC 5890 s2.3.2.1)");
    points->count = 0;
    while (result[points->count] != 0 && points->count < ASCII_LABEL_MAX) {
        points->at[points->count] = result[points->count];
        points->count++;
    }
    idn2_free(result);
    return PART_OK;
}

static enum part_result append(struct name *name, const uint32_t *at, size_t count, struct span octets, size_t ace_size)
{
    if (octets.size > JID_PART_MAX - name->size)
        return PART_LONG;
    memcpy(name->out + name->size, octets.ptr, octets.size);
    name->size += octets.size;
    name->ace_size += ace_size;
    SL_CHECK(count <= POINTS_MAX - name->u_form.count);
    memcpy(name->u_form.at + name->u_form.count, at, count * sizeof at[0]);
    name->u_form.count += count;
    return PART_OK;
}

/* A label with characters outside ASCII. given is the A-label that it was decoded from, if any. */
static enum part_result add_u_label(struct name *name, const uint32_t *at, size_t count, struct span given,
                                    struct jid_reason *reason)
{
    /* Punycode spends at least an octet on each code point. */
    if (count > ASCII_LABEL_MAX - ACE_PREFIX_SIZE)
        return PART_LONG;
    enum part_result result = check_u_label(at, count, reason);
    if (result != PART_OK)
        return result;
    char octets[4 * ASCII_LABEL_MAX], a_label[ASCII_LABEL_MAX];
    size_t size = 0, a_size = 0;
    result = points_encode(at, count, octets, sizeof octets, &size);
    SL_CHECK(result == PART_OK);
    result = to_a_label(span_of(octets, size), a_label, &a_size, reason);
    if (result != PART_OK)
        return result;
    if (given.size > 0 && !span_equal(given, span_of(a_label, a_size)))
        return part_forbidden(reason, JID_NO_CODE_POINT,
                              "an A-label is not the one of its U-label (RFC 5890 s2.3.2.1)");
    return append(name, at, count, span_of(octets, size), a_size);
}

static bool is_ascii(const uint32_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (at[i] > 0x7F)
            return false;
    }
    return true;
}

static enum part_result add_ascii_label(struct name *name, const uint32_t *at, size_t count, struct jid_reason *reason)
{
    char octets[ASCII_LABEL_MAX];
    if (count > ASCII_LABEL_MAX)
        return PART_LONG;
    for (size_t i = 0; i < count; i++)
        octets[i] = (char)at[i];
    struct span label = span_of(octets, count);
    if (ascii_is_host_label(label))
        return append(name, at, count, label, count);
    if (count <= ACE_PREFIX_SIZE || memcmp(octets, ACE_PREFIX, ACE_PREFIX_SIZE) != 0) {
        for (size_t i = 0; i < count; i++) {
            if (!ascii_is_host_label(span_of(&octets[i], 1)) && octets[i] != '-')
                return part_forbidden(reason, at[i], "is neither letter, digit nor hyphen (RFC 5890 s2.3.1)");
        }
        return part_forbidden(reason, '-', "begins or ends a label, or stands third and fourth (RFC 5891 s4.2.3.1)");
    }
    struct points decoded;
    enum part_result result = from_a_label(label, &decoded, reason);
    if (result != PART_OK)
        return result;
    if (decoded.count == 0 || is_ascii(decoded.at, decoded.count))
        return part_forbidden(reason, JID_NO_CODE_POINT, "an A-label decodes to plain ASCII (RFC 5890 s2.3.2.1)");
    return add_u_label(name, decoded.at, decoded.count, label, reason);
}

/* One label of right-to-left text makes it a Bidi domain name, and then every label must satisfy the rule: RFC 5893 s2.
 */
static enum part_result check_bidi(const struct points *name, struct jid_reason *reason)
{
    if (!bidi_rule_applies(name->at, name->count))
        return PART_OK;
    size_t start = 0;
    for (size_t i = 0; i <= name->count; i++) {
        if (i < name->count && name->at[i] != '.')
            continue;
        if (bidi_rule_broken(name->at + start, i - start) != 0)
            return part_forbidden(reason, JID_NO_CODE_POINT,
                                  "a label of a right-to-left name breaks the Bidi Rule (RFC 5893 s2)");
        start = i + 1;
    }
    return PART_OK;
}

static enum part_result add_labels(struct name *name, const struct points *points, struct jid_reason *reason)
{
    size_t start = 0, labels = 0;
    for (size_t i = 0; i <= points->count; i++) {
        if (i < points->count && points->at[i] != '.')
            continue;
        size_t count = i - start;
        const uint32_t *label = points->at + start;
        start = i + 1;
        if (count == 0)
            return part_forbidden(reason, '.', "ends an empty label (RFC 1034 s3.1)");
        if (++labels > LABELS_MAX)
            return PART_LONG;
        enum part_result result = PART_OK;
        if (labels > 1) {
            const uint32_t dot = '.';
            result = append(name, &dot, 1, SPAN("."), 1);
        }
        if (result == PART_OK)
            result = is_ascii(label, count) ? add_ascii_label(name, label, count, reason)
                                            : add_u_label(name, label, count, SPAN_NONE, reason);
        if (result != PART_OK)
            return result;
    }
    return name->ace_size > ASCII_DOMAIN_MAX ? PART_LONG : PART_OK;
}

enum part_result idna_prepare(struct span text, char *out, size_t *size, struct jid_reason *reason)
{
    *size = 0;
    if (text.size > 0 && text.ptr[0] == '[') {
        /* RFC 7622 s3.2: a final dot goes before anything else is looked at. */
        if (text.ptr[text.size - 1] == '.')
            text.size--;
        return ip_literal_prepare(text, out, size, reason);
    }
    struct points points;
    enum part_result result = points_decode(text, &points);
    if (result != PART_OK)
        return result;
    result = map_name(&points, reason);
    if (result != PART_OK)
        return result;
    /* One dot only, and after the mapping, so that a fullwidth dot is treated as a dot; a second is an empty label. */
    if (points.at[points.count - 1] == '.')
        points.count--;
    if (points.count == 0)
        return PART_EMPTY;
    struct name name = {.out = out};
    result = add_labels(&name, &points, reason);
    if (result != PART_OK)
        return result;
    *size = name.size;
    return check_bidi(&name.u_form, reason);
}

static bool is_ascii_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

/* One label; 0: it has no ASCII form of at most ASCII_LABEL_MAX octets. */
static size_t label_to_ascii(struct span label, char out[ASCII_LABEL_MAX])
{
    struct jid_reason reason;
    size_t size = 0;
    if (is_ascii_text(label)) {
        if (label.size > ASCII_LABEL_MAX)
            return 0;
        memcpy(out, label.ptr, label.size);
        return label.size;
    }
    if (label.size > 4 * ASCII_LABEL_MAX || to_a_label(label, out, &size, &reason) != PART_OK)
        return 0;
    return size;
}

bool idna_to_ascii(struct span name, char *out)
{
    size_t total = 0;
    while (name.size > 0) {
        const char *dot = memchr(name.ptr, '.', name.size);
        struct span label = span_of(name.ptr, dot ? (size_t)(dot - name.ptr) : name.size);
        char ascii[ASCII_LABEL_MAX];
        size_t size = label_to_ascii(label, ascii);
        if (size == 0 || total + (total > 0) + size > ASCII_DOMAIN_MAX)
            return false;
        if (total > 0)
            out[total++] = '.';
        memcpy(out + total, ascii, size);
        total += size;
        name = span_skip(name, dot ? label.size + 1 : label.size);
    }
    out[total] = '\0';
    return total > 0;
}
