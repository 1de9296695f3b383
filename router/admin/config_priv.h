/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Config, inside: the table of keys as data, the entries of a file, and values by type. Stays in this folder.
 */
#include "core/base/arena.h"
#include "router/admin/config.h"

#include <stdatomic.h>

#define CONFIG_FILE_MAX   (1u << 20)  /* bytes of a configuration file */
#define CONFIG_MEMORY_MAX (16u << 20) /* bytes of one snapshot, its entries included */
#define CONFIG_DOMAIN_MAX 4096u
#define CONFIG_ITEM_MAX   256u /* items of one list */
#define CONFIG_LINE_NONE  0u   /* the default */

enum config_type {
    CONFIG_BOOL,
    CONFIG_COUNT,
    CONFIG_SIZE,
    CONFIG_TIME,
    CONFIG_STRING,
    CONFIG_PATH,
    CONFIG_CHOICE,
    CONFIG_LIST,
    CONFIG_PATHS,
    CONFIG_ADDRESSES,
};

enum config_apply { CONFIG_RELOAD, CONFIG_RESTART };

struct config_key {
    const char *name;
    enum config_type type;
    enum config_apply apply;
    const char *initial;
    uint64_t min, max;
    const char *choices;
    const char *text;
    size_t offset; /* of the field in struct config (or struct config_domain) */
};

enum config_key_index {
#define CONFIG_KEY(field, name, type, initial, min, max, choices, apply, text) CONFIG_KEY_##field,
#include "router/admin/config_keys.def"
#undef CONFIG_KEY
    CONFIG_KEY_COUNT
};

extern const struct config_key config_keys[CONFIG_KEY_COUNT];

#define CONFIG_DOMAIN_KEY_COUNT 3u
extern const struct config_key config_domain_keys[CONFIG_DOMAIN_KEY_COUNT];

const struct config_key *config_key_find(const char *name);
const struct config_key *config_domain_key_find(const char *name);
/* The known key that was probably meant, or NULL. */
const char *config_key_nearest(const char *name);

/* What stands behind a key, not yet judged. */
struct config_text {
    const char *const *items;
    unsigned count;
    bool is_list; /* was in brackets */
};

/* One "key = value" of a file, or the opening of a section with a name. */
struct config_entry {
    struct config_entry *next;
    const char *key;    /* dotted, with the names of the sections around it */
    const char *title;  /* of the section around it ("example.com" of domain), or NULL */
    unsigned line;      /* of the key, from 1 */
    bool opens_section; /* no value: the named section itself */
    struct config_text text;
};

/* Takes a text apart. name is the file's, for messages. NULL with err set; an empty text gives an entry list of NULL
 * and true. */
bool config_reader_read(struct span text, const char *name, struct arena *arena, struct config_entry **first,
                        struct err *err) __attribute__((warn_unused_result));

/* Judges a text by its key and writes the field. The message has neither file nor key. */
bool config_value_parse(const struct config_key *key, const struct config_text *text, const char *folder,
                        struct arena *arena, void *field, struct err *err) __attribute__((warn_unused_result));
/* A text as one string: lists by comma, "[a, b]" too (overrides and defaults). */
bool config_value_split(const struct config_key *key, const char *value, struct arena *arena, struct config_text *text,
                        struct err *err) __attribute__((warn_unused_result));
/* As it would stand in a file. */
void config_value_print(const struct config_key *key, const void *field, FILE *out);
bool config_value_equal(const struct config_key *key, const void *a, const void *b);
/* The choice of that index, as a span into choices; empty when there is none. */
struct span config_value_choice(const char *choices, unsigned index);

/* What a snapshot needs beside its values. */
struct config_private {
    struct arena arena;
    atomic_uint references;
    unsigned lines[CONFIG_KEY_COUNT]; /* where the value came from: CONFIG_LINE_NONE, a line, CONFIG_LINE_OVERRIDE */
};
#define CONFIG_LINE_OVERRIDE 0xffffffffu
