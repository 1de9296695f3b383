/* SPDX-License-Identifier: MIT */
#include "router/admin/config_priv.h"

#include <stdlib.h>

#define CONFIG_KEY(field, name, type, initial, min, max, choices, apply, text)                                         \
    {name, CONFIG_##type, CONFIG_##apply, initial, min, max, choices, text, offsetof(struct config, field)},
const struct config_key config_keys[CONFIG_KEY_COUNT] = {
#include "router/admin/config_keys.def"
};
#undef CONFIG_KEY

/* All numbers are 32 bits wide in struct config: a row with a larger bound must not compile. */
#define CONFIG_KEY(field, name, type, initial, min, max, choices, apply, text)                                         \
    _Static_assert((int64_t)(max) <= (int64_t)UINT32_MAX && (int64_t)(min) <= (int64_t)(max), name);
#include "router/admin/config_keys.def"
#undef CONFIG_KEY

const struct config_key config_domain_keys[CONFIG_DOMAIN_KEY_COUNT] = {
    {"certificate", CONFIG_PATH, CONFIG_RELOAD, "", 0, 0, "",
     "PEM file: the domain's certificate first, then the intermediates.", offsetof(struct config_domain, certificate)},
    {"key", CONFIG_PATH, CONFIG_RELOAD, "", 0, 0, "", "PEM file of the private key.",
     offsetof(struct config_domain, key)},
    {"mechanism_min", CONFIG_CHOICE, CONFIG_RELOAD, "global", 0, 0,
     "global|PLAIN|SCRAM-SHA-1|SCRAM-SHA-1-PLUS|SCRAM-SHA-256|SCRAM-SHA-256-PLUS|EXTERNAL",
     "The weakest SASL mechanism accepted for accounts of this domain; global: what sasl.mechanism_min says.",
     offsetof(struct config_domain, mechanism_min)},
};

const struct config_key *config_key_find(const char *name)
{
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_keys[i].name, name) == 0)
            return &config_keys[i];
    }
    return NULL;
}

const struct config_key *config_domain_key_find(const char *name)
{
    for (unsigned i = 0; i < CONFIG_DOMAIN_KEY_COUNT; i++) {
        if (strcmp(config_domain_keys[i].name, name) == 0)
            return &config_domain_keys[i];
    }
    return NULL;
}

#define NAME_MAX_COMPARED 63u

/* Levenshtein's distance by one row; names beyond the room are too long to be a typing mistake. */
static unsigned edit_distance(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b);
    unsigned row[NAME_MAX_COMPARED + 1];
    if (a_size > NAME_MAX_COMPARED || b_size > NAME_MAX_COMPARED)
        return NAME_MAX_COMPARED;
    for (unsigned j = 0; j <= b_size; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            unsigned change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            unsigned step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < step ? change : step;
        }
    }
    return row[b_size];
}

/* "stanza_size" without its section, or in the wrong one, is meant as "limits.stanza_size". */
static bool has_last_part(const char *name, const char *known)
{
    const char *last = strrchr(name, '.');
    const char *known_last = strrchr(known, '.');
    return known_last != NULL && strcmp(last == NULL ? name : last + 1, known_last + 1) == 0;
}

const char *config_key_nearest(const char *name)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)strlen(name) / 3 + 1; /* further away is another word, not a mistake */
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        unsigned distance = edit_distance(name, config_keys[i].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = config_keys[i].name;
        }
    }
    for (unsigned i = 0; best == NULL && i < CONFIG_KEY_COUNT; i++) {
        if (has_last_part(name, config_keys[i].name))
            best = config_keys[i].name;
    }
    return best;
}
