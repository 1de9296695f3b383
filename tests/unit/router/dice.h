/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Dice: the random numbers of property tests (SplitMix64, Steele, Lea and Flood, 2014). The seed is SL_SEED, or the
 * clock, and is printed, so that a failure can be repeated.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t dice_seed(const char *test)
{
    struct timespec now;
    const char *text = getenv("SL_SEED");
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t seed =
        text != NULL ? strtoull(text, NULL, 10) : (uint64_t)now.tv_sec * 1000000007u + (uint64_t)now.tv_nsec;
    printf("%s: SL_SEED=%llu\n", test, (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

static inline uint64_t dice_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 to n - 1 */
static inline unsigned dice_below(uint64_t *state, unsigned n)
{
    return (unsigned)(dice_next(state) % n);
}
