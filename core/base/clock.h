/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Clock: the system's clocks, for threads that have no reactor (control, store workers, tools). A shard asks its io.
 */
#include <stdbool.h>
#include <stdint.h>

uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);
int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */

#define CLOCK_TEXT_SIZE 32
/* Seconds since 1970-01-01 UTC as "2026-11-23T17:34:00Z" (XEP-0082 s3.2). Beyond the calendar: false, and "unknown". */
bool clock_text(int64_t seconds, char out[CLOCK_TEXT_SIZE]);
