/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Features: what registry.c lists; one file each.
 */
#include "router/xep/feature.h"

extern const struct feature feature_ping;
extern const struct feature feature_disco;
extern const struct feature feature_session;
extern const struct feature feature_second_bind;
extern const struct feature feature_version;
extern const struct feature feature_time;
