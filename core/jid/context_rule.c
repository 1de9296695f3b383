/* SPDX-License-Identifier: MIT */
#include "core/jid/context_rule_priv.h"

#include <string.h>
#include <uninorm.h>
#include <unictype.h>

#define COMBINING_CLASS_VIRAMA 9

static bool has_script(uint32_t code_point, const char *name)
{
    const uc_script_t *script = uc_script(code_point);
    return script && strcmp(script->name, name) == 0;
}

static bool is_arabic_digit(uint32_t code_point)
{
    return code_point >= 0x0660 && code_point <= 0x0669;
}

static bool is_extended_digit(uint32_t code_point)
{
    return code_point >= 0x06F0 && code_point <= 0x06F9;
}

void context_rule_init(struct context_rule *context, const uint32_t *at, size_t count)
{
    *context = (struct context_rule){.at = at, .count = count};
    for (size_t i = 0; i < count; i++) {
        context->has_arabic_digit |= is_arabic_digit(at[i]);
        context->has_extended_digit |= is_extended_digit(at[i]);
        /* Nothing below U+2E80 is of one of the three scripts; asking libunistring costs some 10 ns a character. */
        if (at[i] >= 0x2E80 && !context->has_kana_or_han)
            context->has_kana_or_han =
                has_script(at[i], "Hiragana") || has_script(at[i], "Katakana") || has_script(at[i], "Han");
    }
}

static bool follows_virama(const struct context_rule *context, size_t index)
{
    return index > 0 && uc_combining_class(context->at[index - 1]) == COMBINING_CLASS_VIRAMA;
}

/* (Joining_Type:{L,D})(Joining_Type:T)* before and (Joining_Type:T)*(Joining_Type:{R,D}) behind. Each walk ends at the
 * next joiner, which is not transparent, so the walks of all joiners together pass each code point twice at most. */
static bool breaks_a_joining(const struct context_rule *context, size_t index)
{
    size_t before = index;
    do {
        if (before == 0)
            return false;
        before--;
    } while (uc_joining_type(context->at[before]) == UC_JOINING_TYPE_T);
    size_t behind = index;
    do {
        behind++;
        if (behind == context->count)
            return false;
    } while (uc_joining_type(context->at[behind]) == UC_JOINING_TYPE_T);
    int left = uc_joining_type(context->at[before]);
    int right = uc_joining_type(context->at[behind]);
    return (left == UC_JOINING_TYPE_L || left == UC_JOINING_TYPE_D) &&
           (right == UC_JOINING_TYPE_R || right == UC_JOINING_TYPE_D);
}

bool context_rule_allows(const struct context_rule *context, size_t index)
{
    const uint32_t *at = context->at;
    bool has_before = index > 0;
    bool has_behind = index + 1 < context->count;
    switch (at[index]) {
    case 0x200C: /* A.1 ZERO WIDTH NON-JOINER */
        return follows_virama(context, index) || breaks_a_joining(context, index);
    case 0x200D: /* A.2 ZERO WIDTH JOINER */
        return follows_virama(context, index);
    case 0x00B7: /* A.3 MIDDLE DOT, between two l of Catalan */
        return has_before && has_behind && at[index - 1] == 'l' && at[index + 1] == 'l';
    case 0x0375: /* A.4 GREEK LOWER NUMERAL SIGN */
        return has_behind && has_script(at[index + 1], "Greek");
    case 0x05F3: /* A.5, A.6 HEBREW PUNCTUATION GERESH, GERSHAYIM */
    case 0x05F4:
        return has_before && has_script(at[index - 1], "Hebrew");
    case 0x30FB: /* A.7 KATAKANA MIDDLE DOT */
        return context->has_kana_or_han;
    default: /* A.8, A.9: the two rows of digits are not mixed */
        if (is_arabic_digit(at[index]))
            return !context->has_extended_digit;
        return is_extended_digit(at[index]) && !context->has_arabic_digit;
    }
}
