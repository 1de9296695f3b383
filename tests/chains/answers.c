/* SPDX-License-Identifier: MIT */
#include "tests/chains/answers.h"

#include <stdlib.h>

static void check(bool is_right, const char *what)
{
    if (is_right)
        return;
    fprintf(stderr, "answers: %s\n", what);
    abort();
}

const char *answers_path(const char *name, char out[ANSWERS_PATH_SIZE])
{
    const char *folder = getenv("SL_TEST_ANSWERS");
    check(folder != NULL, "SL_TEST_ANSWERS is not set");
    int size = snprintf(out, ANSWERS_PATH_SIZE, "%s/%s", folder, name);
    check(size > 0 && (unsigned)size < ANSWERS_PATH_SIZE, "a path that is too long");
    return out;
}

static FILE *open_file(const char *name)
{
    char path[ANSWERS_PATH_SIZE];
    FILE *file = fopen(answers_path(name, path), "rb");
    check(file != NULL, path);
    return file;
}

struct span answers_read(const char *name)
{
    FILE *file = open_file(name);
    char *bytes = malloc(REVOCATION_OCSP_MAX);
    check(bytes != NULL, "no memory");
    size_t size = fread(bytes, 1, REVOCATION_OCSP_MAX, file);
    fclose(file);
    struct span copy = span_copy(span_of(bytes, size));
    check(copy.ptr != NULL, "no memory");
    free(bytes);
    return copy;
}

int64_t answers_time(void)
{
    struct span text = answers_read("now");
    int64_t now = strtoll(text.ptr, NULL, 10);
    check(now > 0, "no time in the file \"now\"");
    span_free(&text);
    return now;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

static enum revocation_status status_of(const char *text)
{
    static const char *const texts[] = {
        [REVOCATION_GOOD] = "good",
        [REVOCATION_REVOKED] = "revoked",
        [REVOCATION_UNKNOWN] = "unknown",
        [REVOCATION_REFUSED] = "refused",
        [REVOCATION_MALFORMED] = "malformed",
        [REVOCATION_OTHER] = "other",
        [REVOCATION_UNAUTHORISED] = "unauthorised",
        [REVOCATION_FORGED] = "forged",
        [REVOCATION_EARLY] = "early",
        [REVOCATION_STALE] = "stale",
        [REVOCATION_UNSUPPORTED] = "unsupported",
    };
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(texts[i], text) == 0)
            return (enum revocation_status)i;
    check(false, text);
    return REVOCATION_SILENCE;
}

static struct span read_ending(const char *name, const char *ending)
{
    char file[ANSWERS_PATH_SIZE];
    snprintf(file, sizeof file, "%s%s", name, ending);
    return answers_read(file);
}

FILE *answers_table(void)
{
    return open_file("answers.txt");
}

bool answers_next(FILE *table, struct answers_case *out)
{
    char kind[16], expected[32];
    if (fscanf(table, "%63s %15s %31s", out->name, kind, expected) != 3)
        return false;
    out->is_crl = strcmp(kind, "crl") == 0;
    out->expected = status_of(expected);
    out->answer = read_ending(out->name, ".answer");
    out->certificate = read_ending(out->name, ".leaf");
    out->issuer = read_ending(out->name, ".issuer");
    return true;
}

void answers_case_free(struct answers_case *one)
{
    span_free(&one->answer);
    span_free(&one->certificate);
    span_free(&one->issuer);
}

struct revocation_answer answers_judge(const struct answers_case *one, struct span answer, int64_t now)
{
    return (one->is_crl ? crl_judge : ocsp_judge)(answer, one->certificate, one->issuer, now);
}
