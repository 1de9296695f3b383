/* SPDX-License-Identifier: MIT */
#include "tests/unit/router/scram_vectors.h"

#include "core/base/check.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static struct span line_take(struct span *text)
{
    const char *end = memchr(text->ptr, '\n', text->size);
    size_t size = end == NULL ? text->size : (size_t)(end - text->ptr);
    struct span line = {text->ptr, size};
    *text = span_skip(*text, end == NULL ? size : size + 1);
    return line;
}

static bool starts_with(struct span line, const char *prefix)
{
    return line.size >= strlen(prefix) && memcmp(line.ptr, prefix, strlen(prefix)) == 0;
}

static void field_set(struct scram_vector *vector, struct span line)
{
    const struct {
        const char *name;
        struct span *field;
    } fields[] = {
        {"mechanism: ", &vector->mechanism},       {"user: ", &vector->user},
        {"password: ", &vector->password},         {"salt: ", &vector->salt},
        {"iterations: ", &vector->iterations},     {"cb-data-hex: ", &vector->binding_hex},
        {"StoredKey: ", &vector->stored_key},      {"ServerKey: ", &vector->server_key},
        {"client-first: ", &vector->client_first}, {"server-first: ", &vector->server_first},
        {"client-final: ", &vector->client_final}, {"server-final: ", &vector->server_final},
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (starts_with(line, fields[i].name))
            *fields[i].field = span_skip(line, strlen(fields[i].name));
    }
}

static void refusal_set(struct scram_refusal *refusal, struct span line)
{
    refusal->is_final = starts_with(line, "refuse-final\t");
    struct span rest = span_skip(line, sizeof "refuse-first\t" - 1);
    const char *tab = memchr(rest.ptr, '\t', rest.size);
    size_t size = tab == NULL ? 0 : (size_t)(tab - rest.ptr);
    refusal->message = (struct span){rest.ptr, size};
    refusal->reason = tab == NULL ? rest : span_skip(rest, size + 1);
}

void scram_vectors_read(struct scram_vectors *vectors)
{
    char path[PATH_MAX];
    const char *folder = getenv("SL_TEST_DATA");
    SL_CHECK(folder != NULL);
    snprintf(path, sizeof path, "%s/scram-vectors.txt", folder);
    FILE *file = fopen(path, "r");
    SL_CHECK(file != NULL);
    *vectors = (struct scram_vectors){.text = malloc(65536)};
    SL_CHECK(vectors->text != NULL);
    struct span text = {vectors->text, fread(vectors->text, 1, 65536, file)};
    fclose(file);
    SL_CHECK(text.size > 0 && text.size < 65536);
    struct scram_vector *vector = NULL;
    while (text.size > 0) {
        struct span line = line_take(&text);
        if (starts_with(line, "[")) {
            SL_CHECK(vectors->vector_count < VECTORS_MAX);
            vector = &vectors->vectors[vectors->vector_count++];
            vector->title = line;
        } else if (starts_with(line, "refuse-")) {
            refusal_set(&vectors->refusals[vectors->refusal_count++], line);
        } else if (vector != NULL && !starts_with(line, "#")) {
            field_set(vector, line);
        }
    }
}

void scram_vectors_free(struct scram_vectors *vectors)
{
    free(vectors->text);
}

bool scram_vector_digest(const struct scram_vector *vector, enum digest *digest, bool *is_plus)
{
    const char *plus = "-PLUS";
    struct span name = vector->mechanism;
    *is_plus = name.size > 5 && memcmp(name.ptr + name.size - 5, plus, 5) == 0;
    *digest = starts_with(name, "SCRAM-SHA-1") ? DIGEST_SHA1 : DIGEST_SHA256;
    return !starts_with(name, "SCRAM-SHA-512");
}
