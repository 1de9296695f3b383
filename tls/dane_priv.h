/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Dane, as the engine asks it.
 *
 * Thread:  any; no state.
 */
#include "tls/anchors_priv.h"
#include "tls/dane.h"

/* sent: the server's chain, leaf first, not empty. credential: what came of it by the anchors. Nothing is kept. */
struct dane_finding dane_judge(const struct dane *dane, const struct anchors *anchors,
                               const struct credential *credential, const struct span *sent, unsigned count,
                               int64_t now);
