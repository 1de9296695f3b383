/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Dice: the random numbers of property tests (SplitMix64). The seed is SL_TEST_SEED when that is set, else the one
 * given; it is printed, so that a failure can be run again.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct dice {
    uint64_t state;
};

static inline struct dice dice_seeded(const char *test, uint64_t seed)
{
    const char *wanted = getenv("SL_TEST_SEED");
    if (wanted != NULL)
        seed = strtoull(wanted, NULL, 0);
    printf("%s: SL_TEST_SEED=%llu\n", test, (unsigned long long)seed);
    return (struct dice){seed};
}

static inline uint64_t dice_throw(struct dice *dice)
{
    uint64_t z = dice->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* 0 to sides - 1. */
static inline uint32_t dice_below(struct dice *dice, uint32_t sides)
{
    return (uint32_t)(dice_throw(dice) % sides);
}
