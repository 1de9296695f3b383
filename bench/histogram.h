/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Histogram: latencies in nanoseconds, counted in logarithmic cells: 64 for each power of two, so any value told is
 * within 1.6 % of one recorded. Recording is one increment, and histograms of several threads add up.
 *
 * Bounds:  values up to 2^40 ns (18 minutes); larger ones count as that.
 * Memory:  17.9 KB.
 */
#include <stdint.h>

#define HISTOGRAM_SUB_BITS   6u
#define HISTOGRAM_VALUE_BITS 40u
#define HISTOGRAM_CELLS      ((HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;
    uint64_t sum;
    uint64_t max;
    uint64_t cells[HISTOGRAM_CELLS];
};

void histogram_record(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value that a share (0..1) of all values does not exceed: the upper end of its cell, and never above the largest
 * value recorded. 0 when nothing was. */
uint64_t histogram_at(const struct histogram *histogram, double share);
