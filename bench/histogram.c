/* SPDX-License-Identifier: MIT */
#include "bench/histogram.h"

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)
#define VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* Values below 2 * SUB_COUNT have a cell each; above, the leading bit and the HISTOGRAM_SUB_BITS behind it choose. */
static uint32_t cell_of(uint64_t value)
{
    if (value < SUB_COUNT)
        return (uint32_t)value;
    uint32_t shift = 63u - HISTOGRAM_SUB_BITS - (uint32_t)__builtin_clzll(value);
    return (shift << HISTOGRAM_SUB_BITS) + (uint32_t)(value >> shift);
}

/* The largest value of a cell. */
static uint64_t cell_end(uint32_t cell)
{
    if (cell < 2 * SUB_COUNT)
        return cell;
    uint32_t shift = (cell >> HISTOGRAM_SUB_BITS) - 1;
    uint64_t lead = (cell & (SUB_COUNT - 1)) + SUB_COUNT;
    return ((lead + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t ns)
{
    if (ns > VALUE_MAX)
        ns = VALUE_MAX;
    histogram->cells[cell_of(ns)]++;
    histogram->count++;
    histogram->sum += ns;
    if (ns > histogram->max)
        histogram->max = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_CELLS; i++)
        into->cells[i] += from->cells[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HISTOGRAM_CELLS && histogram->count > 0; i++) {
        seen += histogram->cells[i];
        if (seen == 0 || (double)seen < wanted)
            continue;
        uint64_t end = cell_end(i);
        return end < histogram->max ? end : histogram->max;
    }
    return histogram->max;
}
