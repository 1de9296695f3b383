/* SPDX-License-Identifier: MIT */
/* The twin of insitu.cc where there is no RapidXML, or no C++ for it. */
#include "bench/insitu.h"

#include <stdlib.h>

const bool insitu_is_here = false;

struct insitu *insitu_new(void)
{
    return NULL;
}

void insitu_free(struct insitu *insitu)
{
    (void)insitu;
}

void insitu_parse(struct insitu *insitu, char *text)
{
    (void)insitu;
    (void)text;
    abort();
}

uint64_t insitu_count(const struct insitu *insitu)
{
    (void)insitu;
    abort();
}
