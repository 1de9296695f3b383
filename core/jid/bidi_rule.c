/* SPDX-License-Identifier: MIT */
#include "core/jid/bidi_rule_priv.h"

#include "core/base/check.h"

#include <unictype.h>

static unsigned bit_of(uint32_t code_point)
{
    return 1u << uc_bidi_category(code_point);
}

enum {
    BIT_STRONG_RTL = 1u << UC_BIDI_R | 1u << UC_BIDI_AL,
    BIT_RTL = BIT_STRONG_RTL | 1u << UC_BIDI_AN,
    BITS_WEAK = 1u << UC_BIDI_EN | 1u << UC_BIDI_ES | 1u << UC_BIDI_CS | 1u << UC_BIDI_ET | 1u << UC_BIDI_ON |
                1u << UC_BIDI_BN | 1u << UC_BIDI_NSM,
    BITS_IN_RTL = BIT_RTL | BITS_WEAK,
    BITS_IN_LTR = 1u << UC_BIDI_L | BITS_WEAK,
    BITS_END_RTL = BIT_RTL | 1u << UC_BIDI_EN,
    BITS_END_LTR = 1u << UC_BIDI_L | 1u << UC_BIDI_EN,
    BITS_BOTH_DIGITS = 1u << UC_BIDI_EN | 1u << UC_BIDI_AN,
};

bool bidi_rule_applies(const uint32_t *at, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (at[i] >= 0x0590 && (bit_of(at[i]) & BIT_RTL))
            return true;
    }
    return false;
}

unsigned bidi_rule_broken(const uint32_t *at, size_t count)
{
    SL_CHECK(count > 0);
    unsigned first = bit_of(at[0]);
    bool is_rtl = (first & BIT_STRONG_RTL) != 0;
    if (!is_rtl && first != 1u << UC_BIDI_L)
        return 1;
    unsigned seen = 0;
    unsigned last = 0; /* the last that is no NSM */
    for (size_t i = 0; i < count; i++) {
        unsigned bit = bit_of(at[i]);
        seen |= bit;
        if (bit != 1u << UC_BIDI_NSM)
            last = bit;
    }
    if (is_rtl) {
        if (seen & ~(unsigned)BITS_IN_RTL)
            return 2;
        if ((last & BITS_END_RTL) == 0)
            return 3;
        return (seen & BITS_BOTH_DIGITS) == BITS_BOTH_DIGITS ? 4 : 0;
    }
    if (seen & ~(unsigned)BITS_IN_LTR)
        return 5;
    return (last & BITS_END_LTR) == 0 ? 6 : 0;
}
