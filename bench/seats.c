/* SPDX-License-Identifier: MIT */
#include "bench/seats.h"

#include "core/base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t *seats_read(const char *path, uint32_t count, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        err_set(err, "%s: %s", path, strerror(errno));
        return NULL;
    }
    uint32_t *seats = calloc(count, sizeof *seats), read = 0;
    SL_CHECK(seats);
    while (read < count && fscanf(file, "%9" SCNu32, &seats[read]) == 1)
        read++;
    fclose(file);
    if (read == count)
        return seats;
    err_set(err, "%s: %u numbers, where %u sessions want one each", path, read, count);
    free(seats);
    return NULL;
}
