/* SPDX-License-Identifier: MIT */
#include "core/jid/codepoint_priv.h"

#include "core/base/check.h"

#include <unicase.h>
#include <uninorm.h>
#include <unictype.h>

/* Exceptions (F) of RFC 5892 s2.6, in order of code points. */
struct exception {
    uint32_t first, last;
    enum codepoint_property property;
};

static const struct exception exceptions[] = {
    {0x00B7, 0x00B7, CODEPOINT_CONTEXTO},   /* MIDDLE DOT */
    {0x00DF, 0x00DF, CODEPOINT_PVALID},     /* LATIN SMALL LETTER SHARP S */
    {0x0375, 0x0375, CODEPOINT_CONTEXTO},   /* GREEK LOWER NUMERAL SIGN */
    {0x03C2, 0x03C2, CODEPOINT_PVALID},     /* GREEK SMALL LETTER FINAL SIGMA */
    {0x05F3, 0x05F4, CODEPOINT_CONTEXTO},   /* HEBREW PUNCTUATION GERESH, GERSHAYIM */
    {0x0640, 0x0640, CODEPOINT_DISALLOWED}, /* ARABIC TATWEEL */
    {0x0660, 0x0669, CODEPOINT_CONTEXTO},   /* ARABIC-INDIC DIGITS */
    {0x06F0, 0x06F9, CODEPOINT_CONTEXTO},   /* EXTENDED ARABIC-INDIC DIGITS */
    {0x06FD, 0x06FE, CODEPOINT_PVALID},     /* ARABIC SIGN SINDHI AMPERSAND, POSTPOSITION MEN */
    {0x07FA, 0x07FA, CODEPOINT_DISALLOWED}, /* NKO LAJANYALAN */
    {0x0F0B, 0x0F0B, CODEPOINT_PVALID},     /* TIBETAN MARK INTERSYLLABIC TSHEG */
    {0x3007, 0x3007, CODEPOINT_PVALID},     /* IDEOGRAPHIC NUMBER ZERO */
    {0x302E, 0x302F, CODEPOINT_DISALLOWED}, /* HANGUL SINGLE, DOUBLE DOT TONE MARK */
    {0x3031, 0x3035, CODEPOINT_DISALLOWED}, /* VERTICAL KANA REPEAT MARKS */
    {0x303B, 0x303B, CODEPOINT_DISALLOWED}, /* VERTICAL IDEOGRAPHIC ITERATION MARK */
    {0x30FB, 0x30FB, CODEPOINT_CONTEXTO},   /* KATAKANA MIDDLE DOT */
};

static const struct exception *exception_find(uint32_t code_point)
{
    if (code_point < 0x00B7 || code_point > 0x30FB)
        return NULL;
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        if (code_point >= exceptions[i].first && code_point <= exceptions[i].last)
            return &exceptions[i];
    }
    return NULL;
}

static bool is_in(uint32_t code_point, uint32_t mask)
{
    return uc_is_general_category_withtable(code_point, mask);
}

/* RFC 5892 s2.10: designated as nothing, and not one of the noncharacters, which are disallowed for ever. */
static bool is_unassigned(uint32_t code_point)
{
    return is_in(code_point, UC_CATEGORY_MASK_Cn) && !uc_is_property_not_a_character(code_point);
}

/* Hangul_Syllable_Type L, V or T (RFC 5892 s2.9): the blocks are full or their gaps are unassigned, asked before. */
static bool is_old_hangul_jamo(uint32_t code_point)
{
    return (code_point >= 0x1100 && code_point <= 0x11FF) || (code_point >= 0xA960 && code_point <= 0xA97C) ||
           (code_point >= 0xD7B0 && code_point <= 0xD7FB);
}

static bool is_join_control(uint32_t code_point)
{
    return code_point == 0x200C || code_point == 0x200D;
}

static bool is_ignorable(uint32_t code_point)
{
    return uc_is_property_default_ignorable_code_point(code_point) || uc_is_property_not_a_character(code_point);
}

/* LetterDigits (A) of RFC 5892 s2.1. */
static bool is_letter_or_digit(uint32_t code_point)
{
    return is_in(code_point, UC_CATEGORY_MASK_Ll | UC_CATEGORY_MASK_Lu | UC_CATEGORY_MASK_Lo | UC_CATEGORY_MASK_Nd |
                                 UC_CATEGORY_MASK_Lm | UC_CATEGORY_MASK_Mn | UC_CATEGORY_MASK_Mc);
}

/* One code point becomes 18 at most under NFKC (U+FDFA) and three times as many under case folding. */
#define EXPANSION_MAX 64u

static size_t nfkc(const uint32_t *at, size_t count, uint32_t out[EXPANSION_MAX])
{
    size_t size = EXPANSION_MAX;
    SL_CHECK(u32_normalize(UNINORM_NFKC, at, count, out, &size) == out);
    return size;
}

static bool is_hangul_syllable(uint32_t code_point)
{
    return code_point >= 0xAC00 && code_point <= 0xD7A3;
}

/*
 * HasCompat (Q) of RFC 8264 s9.17: toNFKC(cp) != cp. Normalizing one code point costs 150 ns; this asks the same of its
 * decomposition in 30: a compatibility mapping and a singleton never come back, a canonical pair comes back when it
 * composes to this code point and its own halves do. The test compares all 1,112,064 code points.
 */
static bool has_compat(uint32_t code_point)
{
    uint32_t parts[UC_DECOMPOSITION_MAX_LENGTH];
    int tag = 0;
    if (is_hangul_syllable(code_point))
        return false;
    int count = uc_decomposition(code_point, &tag, parts);
    if (count < 0)
        return false;
    if (tag != UC_DECOMP_CANONICAL || count != 2 || uc_composition(parts[0], parts[1]) != code_point)
        return true;
    return has_compat(parts[0]) || has_compat(parts[1]);
}

/* Unstable (B) of RFC 5892 s2.2: toNFKC(toCaseFold(toNFKC(cp))) != cp. */
static bool is_unstable(uint32_t code_point)
{
    uint32_t composed[EXPANSION_MAX], folded[EXPANSION_MAX];
    size_t count = nfkc(&code_point, 1, composed);
    size_t folded_count = EXPANSION_MAX;
    SL_CHECK(u32_casefold(composed, count, NULL, NULL, folded, &folded_count) == folded);
    return nfkc(folded, folded_count, composed) != 1 || composed[0] != code_point;
}

static struct codepoint_class class_of(enum codepoint_property property, const char *category)
{
    return (struct codepoint_class){property, category};
}

/* The order of the questions is RFC 8264 s8's and must not change. BackwardCompatible (G) is the empty set. */
struct codepoint_class codepoint_precis(uint32_t code_point)
{
    const struct exception *exception = exception_find(code_point);
    if (exception)
        return class_of(exception->property, "exceptions");
    if (is_unassigned(code_point))
        return class_of(CODEPOINT_UNASSIGNED, "unassigned");
    if (code_point >= 0x21 && code_point <= 0x7E)
        return class_of(CODEPOINT_PVALID, "ascii7");
    if (is_join_control(code_point))
        return class_of(CODEPOINT_CONTEXTJ, "join_control");
    if (is_old_hangul_jamo(code_point))
        return class_of(CODEPOINT_DISALLOWED, "old_hangul_jamo");
    if (is_ignorable(code_point))
        return class_of(CODEPOINT_DISALLOWED, "precis_ignorable_properties");
    if (is_in(code_point, UC_CATEGORY_MASK_Cc))
        return class_of(CODEPOINT_DISALLOWED, "controls");
    if (has_compat(code_point))
        return class_of(CODEPOINT_FREE_PVAL, "has_compat");
    if (is_letter_or_digit(code_point))
        return class_of(CODEPOINT_PVALID, "letter_digits");
    if (is_in(code_point, UC_CATEGORY_MASK_Lt | UC_CATEGORY_MASK_Nl | UC_CATEGORY_MASK_No | UC_CATEGORY_MASK_Me))
        return class_of(CODEPOINT_FREE_PVAL, "other_letter_digits");
    if (codepoint_is_space(code_point))
        return class_of(CODEPOINT_FREE_PVAL, "spaces");
    if (is_in(code_point, UC_CATEGORY_MASK_S))
        return class_of(CODEPOINT_FREE_PVAL, "symbols");
    if (is_in(code_point, UC_CATEGORY_MASK_P))
        return class_of(CODEPOINT_FREE_PVAL, "punctuation");
    return class_of(CODEPOINT_DISALLOWED, "other");
}

/* IgnorableBlocks (D) of RFC 5892 s2.4: combining marks for symbols, musical symbols, ancient Greek musical notation.
 */
static bool is_in_ignorable_block(uint32_t code_point)
{
    return (code_point >= 0x20D0 && code_point <= 0x20FF) || (code_point >= 0x1D100 && code_point <= 0x1D24F);
}

/* The order of the questions is RFC 5892 s3's and must not change. BackwardCompatible (G) is the empty set. */
struct codepoint_class codepoint_idna(uint32_t code_point)
{
    const struct exception *exception = exception_find(code_point);
    if (exception)
        return class_of(exception->property, "exceptions");
    if (is_unassigned(code_point))
        return class_of(CODEPOINT_UNASSIGNED, "unassigned");
    if (code_point == '-' || (code_point >= '0' && code_point <= '9') || (code_point >= 'a' && code_point <= 'z'))
        return class_of(CODEPOINT_PVALID, "ldh");
    if (is_join_control(code_point))
        return class_of(CODEPOINT_CONTEXTJ, "join_control");
    if (is_unstable(code_point))
        return class_of(CODEPOINT_DISALLOWED, "unstable");
    if (is_ignorable(code_point) || uc_is_property_white_space(code_point))
        return class_of(CODEPOINT_DISALLOWED, "ignorable_properties");
    if (is_in_ignorable_block(code_point))
        return class_of(CODEPOINT_DISALLOWED, "ignorable_blocks");
    if (is_old_hangul_jamo(code_point))
        return class_of(CODEPOINT_DISALLOWED, "old_hangul_jamo");
    if (is_letter_or_digit(code_point))
        return class_of(CODEPOINT_PVALID, "letter_digits");
    return class_of(CODEPOINT_DISALLOWED, "other");
}

bool codepoint_is_mark(uint32_t code_point)
{
    return is_in(code_point, UC_CATEGORY_MASK_M);
}

bool codepoint_is_space(uint32_t code_point)
{
    return is_in(code_point, UC_CATEGORY_MASK_Zs);
}
