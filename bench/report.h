/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Report: what a run of sluice-load found, as a summary for people or one line of JSON.
 *
 * A figure that the generator could not vouch for is not printed: when a thread of it was busy itself, or waited for a
 * CPU that others had (saturated), rates and latencies would be its own, not the server's.
 */
#include "bench/fleet.h"
#include "bench/proc.h"

enum moment {
    MOMENT_FRESH,   /* before the first login */
    MOMENT_SETTLED, /* everybody is bound, nothing happens */
    MOMENT_BEFORE,  /* the measurement */
    MOMENT_AFTER,
    MOMENT_COUNT
};

struct result {
    double seconds;               /* of the measurement */
    uint64_t events;              /* messages, answers or logins in it */
    uint64_t totals[TALLY_COUNT]; /* of the whole run, the phases aside */
    double login_seconds;         /* until everybody was bound */
    struct proc_sample servers[LOAD_SERVERS_MAX][MOMENT_COUNT];
    struct proc_sample own_before, own_after;   /* of the generator */
    struct histogram latency, lag, login, back; /* back: see fleet.h */
    uint64_t cut_ns, back_ns;                   /* CLOCK_MONOTONIC; 0: there was no storm */
    uint64_t first_reset_ns, last_reset_ns;     /* CLOCK_MONOTONIC; 0: there was none */
    const char *failure;                        /* why the run was given up; NULL: it was not */
    char first_error[256];
};

/* Lost, duplicated, reordered, corrupt, refused, failed, broken, given up: none of it. */
bool report_is_fine(const struct result *result);
bool report_is_saturated(const struct load_options *options, const struct result *result);
void report_print(const struct load_options *options, const struct result *result);
