/* SPDX-License-Identifier: MIT */
/* Twin of tokenize_avx2.c for processors that have no AVX2. */
#include "core/base/check.h"
#include "core/xml/scan_priv.h"

bool xml_avx2_is_here(void)
{
    return false;
}

void xml_tokenize_avx2(struct xml_scan *t, const char *end)
{
    SL_CHECK(t == NULL && end == NULL);
}
