/* SPDX-License-Identifier: MIT */
#include "tests/sim/tap.h"

#include "core/base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static unsigned connections; /* of this program; the simulation is one thread */

unsigned tap_open(void)
{
    return ++connections;
}

unsigned tap_count(void)
{
    return connections;
}

void tap_write(unsigned number, struct span bytes)
{
    const char *folder = getenv("SL_TAP");
    char path[1024];
    if (!folder || !bytes.size)
        return;
    int size =
        snprintf(path, sizeof path, "%s/%s-%d-%u.xml", folder, program_invocation_short_name, (int)getpid(), number);
    SL_CHECK(size > 0 && (size_t)size < sizeof path);
    FILE *file = fopen(path, "ab"); /* thousands of connections, so none stays open */
    SL_CHECK(file && fwrite(bytes.ptr, bytes.size, 1, file) == 1 && fclose(file) == 0);
}
