/* SPDX-License-Identifier: MIT */
#pragma once
/* Script bed: one scripted resolver with two clients, the first of which asks on a virtual clock. */
#include "router/s2s/resolver_script.h"
#include "tests/unit/router/resolver_rig.h"

struct script_bed {
    struct resolver *resolver;
    struct resolver_client *client;
    uint64_t now_ms;
    unsigned answers;
    uint64_t tag;
    bool is_cached;
    char text[RIG_TEXT_MAX];
};

/* Seeded dice, and the documentation ranges permitted. */
struct resolver_settings script_bed_settings(void);
void script_bed_open(struct script_bed *bed, const struct resolver_settings *settings, const char *script);
void script_bed_close(struct script_bed *bed);
/* Lets time go from deadline to deadline until the answer is there; returns how long that took. */
uint64_t script_bed_ask(struct script_bed *bed, const char *domain);
/* One domain, one script, one line expected. settings NULL: those of script_bed_settings(). */
void script_bed_hold(const struct resolver_settings *settings, const char *script, const char *domain,
                     const char *expected);

#define HOSTS                                                                                                          \
    "a.example A 192.0.2.1\n"                                                                                          \
    "a.example AAAA 2001:db8::1\n"                                                                                     \
    "b.example A 192.0.2.2\n"
