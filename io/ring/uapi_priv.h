/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Uapi: io_uring's constants that the kernel has and the header of liburing 2.3 lacks. The only place where they are
 * spelled; each is used only where the running kernel was seen to accept it.
 * Source: include/uapi/linux/io_uring.h of Linux 6.6 and later.
 */
#include <liburing.h>

/* Linux 6.6: submission entries are taken in ring order, without the indirection array. */
#define UAPI_SETUP_NO_SQARRAY (1U << 16)
