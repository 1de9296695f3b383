/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Err: what a person reads when the environment is at fault (port in use, bad file, missing kernel feature): it names
 * the thing and what to do. Functions that take one return false or NULL and fill it.
 */
struct err {
    char text[512];
};

void err_set(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "prefix: " before the text already there. */
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
