/* SPDX-License-Identifier: MIT */
#include "core/jid/precis_priv.h"

#include "core/base/check.h"
#include "core/jid/bidi_rule_priv.h"
#include "core/jid/codepoint_priv.h"
#include "core/jid/context_rule_priv.h"

enum class { CLASS_IDENTIFIER, CLASS_FREEFORM };

static const char *const context_rule = "stands where its contextual rule (RFC 5892 appendix A) does not allow it";

/* What a person reads about a code point outside the class; the categories are those of RFC 8264 s9. */
static const char *rule_of(struct codepoint_class class)
{
    static const struct {
        const char *category, *rule;
    } rules[] = {
        {"exceptions", "is disallowed by name (Exceptions, RFC 8264 s9.6)"},
        {"unassigned", "is unassigned in the Unicode version in use (RFC 8264 s9.10)"},
        {"old_hangul_jamo", "is a conjoining Hangul Jamo (OldHangulJamo, RFC 8264 s9.9)"},
        {"precis_ignorable_properties", "is ignorable (PrecisIgnorableProperties, RFC 8264 s9.13)"},
        {"controls", "is a control character (Controls, RFC 8264 s9.12)"},
        {"has_compat", "has a compatibility equivalent (HasCompat, RFC 8264 s9.17)"},
        {"other_letter_digits", "is no traditional letter or digit (OtherLetterDigits, RFC 8264 s9.18)"},
        {"spaces", "is a space (Spaces, RFC 8264 s9.14)"},
        {"symbols", "is a symbol (Symbols, RFC 8264 s9.15)"},
        {"punctuation", "is punctuation (Punctuation, RFC 8264 s9.16)"},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (strcmp(rules[i].category, class.category) == 0)
            return rules[i].rule;
    }
    return "is private, a format character or a surrogate (DISALLOWED, RFC 8264 s8)";
}

static enum part_result check_class(const struct points *points, enum class class, struct jid_reason *reason)
{
    struct context_rule context;
    bool has_context = false;
    for (size_t i = 0; i < points->count; i++) {
        uint32_t code_point = points->at[i];
        struct codepoint_class is = codepoint_precis(code_point);
        if (is.property == CODEPOINT_PVALID || (is.property == CODEPOINT_FREE_PVAL && class == CLASS_FREEFORM))
            continue;
        if (is.property != CODEPOINT_CONTEXTJ && is.property != CODEPOINT_CONTEXTO)
            return part_forbidden(reason, code_point, rule_of(is));
        if (!has_context)
            context_rule_init(&context, points->at, points->count);
        has_context = true;
        if (!context_rule_allows(&context, i))
            return part_forbidden(reason, code_point, context_rule);
    }
    return PART_OK;
}

static const char *const bidi_rules[] = {
    [1] = "the text begins with neither a left-to-right nor a right-to-left letter (Bidi Rule 1, RFC 5893 s2)",
    [2] = "right-to-left text holds a character that is not allowed in it (Bidi Rule 2, RFC 5893 s2)",
    [3] = "right-to-left text ends in neither a right-to-left letter nor a digit (Bidi Rule 3, RFC 5893 s2)",
    [4] = "right-to-left text mixes European and Arabic digits (Bidi Rule 4, RFC 5893 s2)",
    [5] = "left-to-right text holds a character that is not allowed in it (Bidi Rule 5, RFC 5893 s2)",
    [6] = "left-to-right text ends in neither a left-to-right letter nor a digit (Bidi Rule 6, RFC 5893 s2)",
};

/*
 * The order is that of RFC 8264 s7, with the class asked last. RFC 8265 s3.3.2 asks it as well before the case and the
 * normal form are mapped; then U+212B, A-RING's other code point, would be refused where U+00C5 is taken, though the
 * two are canonically equivalent. Both published sets of vectors ask once, at the end, and so do we.
 */
static enum part_result username_pass(struct points *points, struct jid_reason *reason)
{
    points_map_width(points);
    if (!points_map_lower(points) || !points_map_nfc(points))
        return PART_LONG;
    enum part_result result = check_class(points, CLASS_IDENTIFIER, reason);
    if (result != PART_OK || !bidi_rule_applies(points->at, points->count))
        return result;
    unsigned condition = bidi_rule_broken(points->at, points->count);
    return condition == 0 ? PART_OK : part_forbidden(reason, JID_NO_CODE_POINT, bidi_rules[condition]);
}

/* RFC 8265 s4.2.2, in the same order: neither width nor case is touched, every space becomes U+0020. */
static enum part_result opaque_pass(struct points *points, struct jid_reason *reason)
{
    for (size_t i = 0; i < points->count; i++) {
        if (codepoint_is_space(points->at[i]))
            points->at[i] = ' ';
    }
    return points_map_nfc(points) ? check_class(points, CLASS_FREEFORM, reason) : PART_LONG;
}

typedef enum part_result (*pass_fn)(struct points *points, struct jid_reason *reason);

static enum part_result apply_until_stable(struct points *points, struct jid_reason *reason, pass_fn pass)
{
    struct points before;
    for (int i = 0; i < PRECIS_PASSES_MAX; i++) {
        before.count = points->count;
        memcpy(before.at, points->at, points->count * sizeof points->at[0]);
        enum part_result result = pass(points, reason);
        if (result != PART_OK)
            return result;
        if (points_equal(&before, points))
            return PART_OK;
    }
    return part_forbidden(reason, JID_NO_CODE_POINT, "the rules do not settle on one form (RFC 8264 s7)");
}

enum part_result precis_username(struct points *points, struct jid_reason *reason)
{
    return apply_until_stable(points, reason, username_pass);
}

enum part_result precis_opaque(struct points *points, struct jid_reason *reason)
{
    return apply_until_stable(points, reason, opaque_pass);
}
