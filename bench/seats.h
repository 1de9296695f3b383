/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Seats: which account each session logs in to, where that matters: who sits together is known to somebody else.
 */
#include "core/base/err.h"

#include <stdint.h>

/* The numbers in a file, between white space, at least count of them; the caller frees them. NULL: err says why. */
uint32_t *seats_read(const char *path, uint32_t count, struct err *err);
