/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Alert: the peer's alerts by name, for people and for the log.
 *
 * Thread:  any; no state.
 */
const char *alert_text(int code);
