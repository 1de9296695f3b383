/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Credential, as the engine makes it.
 *
 * Thread:  any; no state.
 */
#include "tls/anchors_priv.h"
#include "tls/credential.h"

/* The chain as it was sent, leaf first; what is kept of it is copied. Never NULL unless memory is refused. */
struct credential *credential_judge(const struct anchors *anchors, const struct span *sent, unsigned count,
                                    enum credential_role role, int64_t now);
