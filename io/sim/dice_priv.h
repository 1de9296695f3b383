/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Dice: the only chance in a simulation, splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
 * generators", 2014). Equal seeds throw equal sequences on every machine.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline uint64_t dice_throw(struct dice *dice)
{
    dice->state += 0x9e3779b97f4a7c15u;
    return dice_mix(dice->state);
}

/* 0 .. count - 1; count must not be 0. The bias of the modulus is below 2^-32 for every count used here. */
static inline uint64_t dice_below(struct dice *dice, uint64_t count)
{
    return dice_throw(dice) % count;
}

static inline bool dice_one_in(struct dice *dice, uint64_t count)
{
    return dice_below(dice, count) == 0;
}
