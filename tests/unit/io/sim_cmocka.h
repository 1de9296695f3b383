/* SPDX-License-Identifier: MIT */
#pragma once
/* cmocka.h with what it needs before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
