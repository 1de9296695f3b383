/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Answers: what revocation.py has made, which stands in the folder SL_TEST_ANSWERS. A file that is not there ends the
 * program with its name: without it nothing is tested.
 */
#include "tls/revocation.h"

#include <stdio.h>

#define ANSWERS_PATH_SIZE 512u

/* out, for one line. */
const char *answers_path(const char *name, char out[ANSWERS_PATH_SIZE]);
/* Its bytes, to be freed. */
struct span answers_read(const char *name);
/* When they were made, in seconds since 1970: they are good for some hours. */
int64_t answers_time(void);

/* One that is about a certificate, and what has to be found in it. */
struct answers_case {
    char name[64];
    bool is_crl;
    enum revocation_status expected;
    struct span answer, certificate, issuer; /* owned */
};

/* The table of all, to be closed. */
FILE *answers_table(void);
/* False: there is no other one. */
bool answers_next(FILE *table, struct answers_case *out);
void answers_case_free(struct answers_case *one);
/* As the judge of its kind has it, at that time. */
struct revocation_answer answers_judge(const struct answers_case *one, struct span answer, int64_t now);
