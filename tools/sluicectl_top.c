/* SPDX-License-Identifier: MIT */
/*
 * Top: asks for all counters once a period and shows their sums and rates, in all and by shard.
 */
#include "tools/sluicectl_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define ROWS_MAX   256u
#define SHARDS_MAX 16u /* columns; the sum has all shards in it */

struct sample {
    char name[64];
    uint64_t total;
    uint64_t shards[SHARDS_MAX];
    unsigned shard_count;
};

struct samples {
    struct sample rows[ROWS_MAX];
    unsigned count;
    double time_s;
};

/* name total=N shards=[a,b] */
static void take_line(void *context, const char *line)
{
    struct samples *samples = context;
    struct sample *row = &samples->rows[samples->count];
    const char *shards = strstr(line, " shards=[");
    if (samples->count == ROWS_MAX || shards == NULL ||
        sscanf(line, "%63s total=%" SCNu64, row->name, &row->total) != 2)
        return;
    shards += strlen(" shards=[");
    row->shard_count = 0;
    while (*shards != ']' && *shards != 0 && row->shard_count < SHARDS_MAX) {
        char *end;
        row->shards[row->shard_count++] = strtoull(shards, &end, 10);
        shards = *end == ',' ? end + 1 : end;
    }
    samples->count++;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static unsigned screen_rows(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 5)
        return ROWS_MAX;
    return size.ws_row - 3u;
}

/* A total that went down cannot be: its gauge did, or the router was started anew. */
static double rate(uint64_t before, uint64_t after, double seconds)
{
    return ((double)after - (double)before) / seconds;
}

static void show(const struct samples *before, const struct samples *after)
{
    double seconds = after->time_s - before->time_s;
    unsigned room = screen_rows();
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    printf("%-32s %16s %14s", "counter", "total", "per second");
    for (unsigned s = 0; after->count > 0 && s < after->rows[0].shard_count; s++)
        printf("     shard %-3u", s);
    putchar('\n');
    for (unsigned i = 0; i < after->count && i < before->count; i++) {
        const struct sample *a = &before->rows[i], *b = &after->rows[i];
        if (b->total == 0 || room == 0)
            continue; /* what never happened takes no line */
        room--;
        printf("%-32s %16" PRIu64 " %14.1f", b->name, b->total, rate(a->total, b->total, seconds));
        for (unsigned s = 0; s < b->shard_count; s++)
            printf(" %13.1f", rate(a->shards[s], b->shards[s], seconds));
        putchar('\n');
    }
    putchar('\n');
    fflush(stdout);
}

static bool take(struct ctl *ctl, struct samples *samples)
{
    samples->count = 0;
    if (!ctl_send(ctl, "show stats") || ctl_answer(ctl, take_line, samples) != CTL_OK)
        return false;
    samples->time_s = now_s();
    return true;
}

int top(struct ctl *ctl, unsigned seconds, unsigned count)
{
    struct samples *samples = calloc(2, sizeof(*samples));
    if (samples == NULL)
        return 1;
    bool ok = take(ctl, &samples[0]);
    for (unsigned i = 0; ok && (count == 0 || i < count); i++) {
        sleep(seconds);
        ok = take(ctl, &samples[(i + 1) % 2]);
        if (ok)
            show(&samples[i % 2], &samples[(i + 1) % 2]);
    }
    free(samples);
    if (!ok)
        fputs("sluicectl: the connection ended\n", stderr);
    return ok ? 0 : 3;
}
