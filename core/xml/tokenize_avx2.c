/* SPDX-License-Identifier: MIT */
#include "core/xml/scan_avx2_priv.h"
#include "core/xml/scan_priv.h"

bool xml_avx2_is_here(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

#define TOKENIZE xml_tokenize_avx2
#include "core/xml/tokenize_priv.h"
