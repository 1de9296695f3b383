/* SPDX-License-Identifier: MIT */
#include "router/admin/config_priv.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit size_units[] = {{"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000}, {"min", 60000},
                                         {"s", 1000},     {"ms", 1},      {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum config_type type)
{
    return type == CONFIG_SIZE ? size_units : type == CONFIG_TIME ? time_units : no_units;
}

static void format_number(enum config_type type, uint64_t number, char out[32])
{
    const struct unit *unit = units_of(type);
    while (unit[1].name != NULL && (number == 0 || number % unit->factor != 0))
        unit++;
    if (number == 0 && type == CONFIG_TIME)
        unit--; /* "0s", not "0ms" */
    snprintf(out, 32, "%" PRIu64 "%s", number / unit->factor, unit->name);
}

static bool number_parse(const struct config_key *key, const char *value, uint32_t *out, struct err *err)
{
    char *rest = NULL;
    uint64_t number = strtoull(value, &rest, 10);
    if (value[0] < '0' || value[0] > '9') {
        err_set(err, "\"%s\" is not a number%s", value, key->type == CONFIG_TIME ? " with a unit" : "");
        return false;
    }
    uint64_t factor = 0;
    for (const struct unit *unit = units_of(key->type); unit->name != NULL; unit++) {
        if (strcmp(rest, unit->name) == 0)
            factor = unit->factor;
    }
    if (*rest == 0 && (key->type == CONFIG_SIZE || number == 0))
        factor = 1;
    if (factor == 0) {
        err_set(err, "\"%s\" %s", value,
                key->type == CONFIG_TIME   ? "needs a unit: ms, s, min, h or d"
                : key->type == CONFIG_SIZE ? "has an unknown unit; known are B, KiB, MiB and GiB"
                                           : "is not a whole number");
        return false;
    }
    if (number > UINT64_MAX / factor || number * factor < key->min || number * factor > key->max) {
        char min[32], max[32];
        format_number(key->type, key->min, min);
        format_number(key->type, key->max, max);
        err_set(err, "%s is out of range: %s to %s", value, min, max);
        return false;
    }
    *out = (uint32_t)(number * factor);
    return true;
}

static bool bool_parse(const char *value, bool *out, struct err *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (unsigned i = 0; i < 6; i++) {
        if (strcmp(value, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    err_set(err, "\"%s\" is neither true nor false", value);
    return false;
}

struct span config_value_choice(const char *choices, unsigned index)
{
    for (; index > 0 && *choices != 0; index--) {
        choices += strcspn(choices, "|");
        choices += *choices == '|';
    }
    return span_of(choices, strcspn(choices, "|"));
}

/* False with a message that lists what may stand there. */
static bool choice_parse(const char *choices, const char *value, unsigned *out, struct err *err)
{
    struct span choice;
    for (unsigned i = 0; (choice = config_value_choice(choices, i)).size > 0; i++) {
        if (span_is(choice, value)) {
            *out = i;
            return true;
        }
    }
    char text[256];
    size_t size = 0;
    for (unsigned i = 0; (choice = config_value_choice(choices, i)).size > 0 && size + choice.size + 3 < sizeof(text);
         i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%s%.*s", i > 0 ? ", " : "", SPAN_ARG(choice));
    err_set(err, "\"%s\" is not one of %s", value, text);
    return false;
}

static bool out_of_memory(struct err *err)
{
    err_set(err, "the configuration is too large");
    return false;
}

static bool path_parse(const char *value, const char *folder, struct arena *arena, const char **out, struct err *err)
{
    size_t folder_size = strlen(folder), size = strlen(value);
    if (size == 0 || value[0] == '/') {
        *out = arena_copy(arena, span_str(value));
        return *out != NULL || out_of_memory(err);
    }
    char *path = arena_take(arena, folder_size + size + 2);
    if (path == NULL)
        return out_of_memory(err);
    snprintf(path, folder_size + size + 2, "%s/%s", folder_size == 1 ? "" : folder, value);
    *out = path;
    return true;
}

/* "1.2.3.4:5222" or "[::]:5222": literals only, since a name would need the resolver before the router runs. */
static bool address_parse(const char *value, struct arena *arena, struct config_address *out, struct err *err)
{
    const char *colon = strrchr(value, ':');
    const char *host = value;
    size_t host_size = colon == NULL ? 0 : (size_t)(colon - value);
    bool is_v6 = host_size >= 2 && value[0] == '[' && value[host_size - 1] == ']';
    if (is_v6) {
        host++;
        host_size -= 2;
    }
    out->text = arena_copy(arena, span_str(value));
    out->host = arena_copy(arena, span_of(host, host_size));
    if (out->text == NULL || out->host == NULL)
        return out_of_memory(err);
    unsigned char bytes[sizeof(struct in6_addr)];
    char *rest = NULL;
    unsigned long port = colon == NULL ? 0 : strtoul(colon + 1, &rest, 10);
    if (colon == NULL || colon[1] < '0' || colon[1] > '9' || *rest != 0 || port > 65535 ||
        inet_pton(is_v6 ? AF_INET6 : AF_INET, out->host, bytes) != 1) {
        err_set(err, "\"%s\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222", value);
        return false;
    }
    out->port = (uint16_t)port;
    return true;
}

static bool addresses_parse(const struct config_text *text, struct arena *arena, struct config_addresses *out,
                            struct err *err)
{
    struct config_address *items = arena_take(arena, sizeof(*items) * (text->count + 1));
    if (items == NULL)
        return out_of_memory(err);
    for (unsigned i = 0; i < text->count; i++) {
        if (!address_parse(text->items[i], arena, &items[i], err))
            return false;
        for (unsigned j = 0; j < i; j++) {
            if (items[i].port != 0 && strcmp(items[i].text, items[j].text) == 0) {
                err_set(err, "\"%s\" stands twice in the list", items[i].text);
                return false;
            }
        }
    }
    *out = (struct config_addresses){items, text->count};
    return true;
}

static bool list_parse(const struct config_key *key, const struct config_text *text, struct arena *arena,
                       struct config_list *out, struct err *err)
{
    const char **items = arena_take(arena, sizeof(*items) * (text->count + 1));
    if (items == NULL)
        return out_of_memory(err);
    for (unsigned i = 0; i < text->count; i++) {
        unsigned index;
        if (key->choices[0] != 0 && !choice_parse(key->choices, text->items[i], &index, err))
            return false;
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(items[j], text->items[i]) == 0) {
                err_set(err, "\"%s\" stands twice in the list", text->items[i]);
                return false;
            }
        }
        items[i] = arena_copy(arena, span_str(text->items[i]));
        if (items[i] == NULL)
            return out_of_memory(err);
    }
    *out = (struct config_list){items, text->count};
    return true;
}

static bool paths_parse(const struct config_text *text, const char *folder, struct arena *arena,
                        struct config_list *out, struct err *err)
{
    const char **items = arena_take(arena, sizeof(*items) * (text->count + 1));
    if (items == NULL)
        return out_of_memory(err);
    for (unsigned i = 0; i < text->count; i++) {
        if (text->items[i][0] == 0) {
            err_set(err, "an empty path");
            return false;
        }
        if (!path_parse(text->items[i], folder, arena, &items[i], err))
            return false;
        for (unsigned j = 0; j < i; j++) {
            if (strcmp(items[j], items[i]) == 0) {
                err_set(err, "\"%s\" stands twice in the list", text->items[i]);
                return false;
            }
        }
    }
    *out = (struct config_list){items, text->count};
    return true;
}

bool config_value_parse(const struct config_key *key, const struct config_text *text, const char *folder,
                        struct arena *arena, void *field, struct err *err)
{
    if (key->type == CONFIG_LIST)
        return list_parse(key, text, arena, field, err);
    if (key->type == CONFIG_PATHS)
        return paths_parse(text, folder, arena, field, err);
    if (key->type == CONFIG_ADDRESSES)
        return addresses_parse(text, arena, field, err);
    if (text->is_list || text->count != 1) {
        err_set(err, "takes one value, not a list");
        return false;
    }
    const char *value = text->items[0];
    const char **string = field;
    switch (key->type) {
    case CONFIG_BOOL:
        return bool_parse(value, field, err);
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_TIME:
        return number_parse(key, value, field, err);
    case CONFIG_CHOICE:
        return choice_parse(key->choices, value, field, err);
    case CONFIG_PATH:
        return path_parse(value, folder, arena, string, err);
    case CONFIG_STRING:
    case CONFIG_LIST:
    case CONFIG_PATHS:
    case CONFIG_ADDRESSES:
        break;
    }
    *string = arena_copy(arena, span_str(value));
    return *string != NULL || out_of_memory(err);
}

static struct span trim(struct span text)
{
    while (text.size > 0 && strchr(" \t", text.ptr[0]) != NULL)
        text = span_skip(text, 1);
    while (text.size > 0 && strchr(" \t", text.ptr[text.size - 1]) != NULL)
        text.size--;
    return text;
}

static struct span strip(struct span text, char open, char close)
{
    if (text.size >= 2 && text.ptr[0] == open && text.ptr[text.size - 1] == close)
        return span_of(text.ptr + 1, text.size - 2);
    return text;
}

bool config_value_split(const struct config_key *key, const char *value, struct arena *arena, struct config_text *text,
                        struct err *err)
{
    bool is_list = key->type == CONFIG_LIST || key->type == CONFIG_PATHS || key->type == CONFIG_ADDRESSES;
    const char *items[CONFIG_ITEM_MAX];
    unsigned count = 0;
    struct span rest = span_str(value);
    if (is_list)
        rest = trim(strip(trim(rest), '[', ']'));
    while (is_list ? rest.size > 0 : count == 0) {
        const char *comma = is_list ? memchr(rest.ptr, ',', rest.size) : NULL;
        struct span item = comma == NULL ? rest : span_of(rest.ptr, (size_t)(comma - rest.ptr));
        rest = comma == NULL ? span_of(rest.ptr + rest.size, 0) : span_skip(rest, item.size + 1);
        if (count == CONFIG_ITEM_MAX) {
            err_set(err, "more than %u items", CONFIG_ITEM_MAX);
            return false;
        }
        items[count] = arena_copy(arena, strip(is_list ? trim(item) : item, '"', '"'));
        if (items[count++] == NULL)
            return out_of_memory(err);
    }
    const char **copy = arena_take(arena, sizeof(*copy) * (count + 1));
    if (copy == NULL)
        return out_of_memory(err);
    memcpy(copy, items, sizeof(*items) * count);
    *text = (struct config_text){copy, count, is_list};
    return true;
}

static void quoted_print(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void config_value_print(const struct config_key *key, const void *field, FILE *out)
{
    char number[32];
    const char *const *string = field;
    const struct config_list *list = field;
    const struct config_addresses *addresses = field;
    switch (key->type) {
    case CONFIG_BOOL:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_TIME:
        format_number(key->type, *(const uint32_t *)field, number);
        fputs(number, out);
        break;
    case CONFIG_CHOICE:
        fprintf(out, "\"%.*s\"", SPAN_ARG(config_value_choice(key->choices, *(const unsigned *)field)));
        break;
    case CONFIG_STRING:
    case CONFIG_PATH:
        quoted_print(*string, out);
        break;
    case CONFIG_LIST:
    case CONFIG_PATHS:
    case CONFIG_ADDRESSES: {
        bool is_addresses = key->type == CONFIG_ADDRESSES;
        unsigned count = is_addresses ? addresses->count : list->count;
        fputc('[', out);
        for (unsigned i = 0; i < count; i++) {
            fputs(i > 0 ? ", " : "", out);
            quoted_print(is_addresses ? addresses->items[i].text : list->items[i], out);
        }
        fputc(']', out);
        break;
    }
    }
}

bool config_value_equal(const struct config_key *key, const void *a, const void *b)
{
    const char *const *string_a = a, *const *string_b = b;
    const struct config_list *list_a = a, *list_b = b;
    const struct config_addresses *addresses_a = a, *addresses_b = b;
    bool equal = true;
    switch (key->type) {
    case CONFIG_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case CONFIG_COUNT:
    case CONFIG_SIZE:
    case CONFIG_TIME:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case CONFIG_CHOICE:
        return *(const unsigned *)a == *(const unsigned *)b;
    case CONFIG_STRING:
    case CONFIG_PATH:
        return strcmp(*string_a, *string_b) == 0;
    case CONFIG_LIST:
    case CONFIG_PATHS:
        equal = list_a->count == list_b->count;
        for (unsigned i = 0; equal && i < list_a->count; i++)
            equal = strcmp(list_a->items[i], list_b->items[i]) == 0;
        return equal;
    case CONFIG_ADDRESSES:
        equal = addresses_a->count == addresses_b->count;
        for (unsigned i = 0; equal && i < addresses_a->count; i++)
            equal = strcmp(addresses_a->items[i].text, addresses_b->items[i].text) == 0;
        return equal;
    }
    return equal;
}
