/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Clock: the system's clocks, for threads that have no reactor (control, store workers, tools). A shard asks its io.
 */
#include <stdint.h>

uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
