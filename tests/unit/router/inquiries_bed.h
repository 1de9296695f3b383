/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Inquiries bed: what the inspector does, by hand: each fetch is answered by the test, the time is the test's. The
 * certificates and answers are those of tests/chains/revocation.py; answers that count are good for twelve hours from
 * now.
 */
#include "router/certs/inquiries_priv.h"
#include "tests/chains/answers.h"
#include "tls/credential_pool_priv.h"
#include "tls/credential_priv.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#define FETCHES_MAX 8
#define TOLD_MAX    4096

struct stage {
    struct inquiries *inquiries;
    struct inspector_settings settings;
    struct anchors *anchors;
    int64_t now;
    int64_t made;
    struct {
        uint64_t number;
        char url[64];
        size_t body_size;
    } fetches[FETCHES_MAX];
    unsigned fetch_count;
    struct inspector_finding told[TOLD_MAX];
    unsigned told_count;
    uint32_t dice;
};

#define OCSP "http://ocsp.example/1"
#define LIST "http://crl.example/1"

void open_stage(struct stage *stage);
void close_stage(struct stage *stage);
struct credential *credential_of(struct stage *stage, const char *name);

/* The client is the tag modulo 7, which is looked at when something is told. */
void watch(struct stage *stage, const char *name, uint64_t tag);
void unwatch(struct stage *stage, uint64_t tag);
/* Answers the oldest fetch, which must be of that URL; NULL: it fails. */
void answer(struct stage *stage, const char *url, const char *name);
/* The next finding, which must be there. */
void expect(struct stage *stage, uint64_t tag, enum standing standing);
void expect_silence(const struct stage *stage);
/* Goes to when something is due; how long that was. */
int64_t pass(struct stage *stage);
