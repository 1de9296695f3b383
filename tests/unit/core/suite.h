/* SPDX-License-Identifier: MIT */
#pragma once
/* What cmocka needs before it can be included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
