/* SPDX-License-Identifier: MIT */
#include "core/base/counters.h"

const struct counter_info counter_infos[COUNTER_COUNT] = {
#define COUNTER(symbol, name, kind, text) [COUNTER_##symbol] = {name, kind, text},
#include "core/base/counters.def"
#undef COUNTER
};
