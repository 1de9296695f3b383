/* SPDX-License-Identifier: MIT */
#include "core/base/check.h"

#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *expression, const char *file, int line)
{
    /* dprintf keeps no buffer and takes no lock of stdio: it works from any thread in any state. */
    dprintf(2, "%s:%d: check failed: %s\n", file, line, expression);
    abort();
}

void check_memory_refused(size_t size)
{
    dprintf(2, "out of memory: %zu bytes refused\n", size);
    abort();
}
