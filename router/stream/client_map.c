/* SPDX-License-Identifier: MIT */
#include "router/stream/client_map.h"

#include "core/base/hex.h"
#include "core/jid/jid.h"
#include "router/admin/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct row {
    uint8_t sha256[CLIENT_MAP_KEY_SIZE];
    uint32_t line;
    struct span account; /* allocated */
};

struct client_map {
    unsigned count;
    unsigned room;
    struct row *rows; /* by fingerprint, then by line */
};

void client_map_free(struct client_map *map)
{
    if (!map)
        return;
    for (unsigned i = 0; i < map->count; i++)
        span_free(&map->rows[i].account);
    free(map->rows);
    free(map);
}

/* ---- a line ------------------------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span text)
{
    while (text.size && is_blank(text.ptr[0]))
        text = span_skip(text, 1);
    while (text.size && is_blank(text.ptr[text.size - 1]))
        text.size--;
    return text;
}

/* The first word of the text, which begins with none of the blanks; *text is what is behind it. */
static struct span take_word(struct span *text)
{
    size_t size = 0;
    while (size < text->size && !is_blank(text->ptr[size]))
        size++;
    struct span word = span_of(text->ptr, size);
    *text = trim(span_skip(*text, size));
    return word;
}

/* As much of it as fits into a message. */
static struct span clip(struct span text)
{
    return span_of(text.ptr, text.size > 100 ? 100 : text.size);
}

static bool read_account(struct span text, const struct config *config, struct span *out, struct err *err)
{
    struct jid_buffer buffer;
    struct jid jid;
    enum jid_status status = jid_prepare(text, &buffer, &jid);
    if (status != JID_OK) {
        err_set(err, "\"%.*s\": %s", SPAN_ARG(clip(text)), jid_status_text(status));
        return false;
    }
    if (!jid.local_size || jid.resource_size) {
        err_set(err, "\"%.*s\" is no account: wanted is an address like juliet@example.com", SPAN_ARG(clip(text)));
        return false;
    }
    if (!config_domain_find(config, jid_domain(&jid))) {
        err_set(err, "\"%.*s\" is of none of the domains here", SPAN_ARG(clip(text)));
        return false;
    }
    *out = span_copy(jid_bare(&jid));
    if (!out->ptr)
        err_set(err, "out of memory");
    return out->ptr;
}

static bool grow(struct client_map *map)
{
    if (map->count < map->room)
        return true;
    unsigned room = map->room ? 2 * map->room : 64;
    struct row *rows = realloc(map->rows, room * sizeof *rows);
    if (!rows)
        return false;
    map->rows = rows;
    map->room = room;
    return true;
}

static bool read_line(struct client_map *map, struct span line, uint32_t number, const struct config *config,
                      struct err *err)
{
    struct span rest = trim(line);
    if (!rest.size || rest.ptr[0] == '#')
        return true;
    if (!grow(map)) {
        err_set(err, "out of memory");
        return false;
    }
    struct row *row = &map->rows[map->count];
    row->line = number;
    struct span word = take_word(&rest);
    size_t octets;
    if (!hex_decode(word, row->sha256, sizeof row->sha256, &octets) || octets != sizeof row->sha256) {
        err_set(err, "\"%.*s\" is no SHA-256 fingerprint, which has 64 hexadecimal digits", SPAN_ARG(clip(word)));
        return false;
    }
    if (!rest.size) {
        err_set(err, "an account is missing behind the fingerprint");
        return false;
    }
    if (!read_account(rest, config, &row->account, err))
        return false;
    map->count++;
    return true;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = memcmp(x->sha256, y->sha256, sizeof x->sha256);
    return order ? order : (x->line > y->line) - (x->line < y->line);
}

static bool read_lines(struct client_map *map, struct span text, const char *path, const struct config *config,
                       struct err *err)
{
    for (uint32_t number = 1; text.size; number++) {
        const char *end = memchr(text.ptr, '\n', text.size);
        struct span line = span_of(text.ptr, end ? (size_t)(end - text.ptr) : text.size);
        text = span_skip(text, line.size + (end != NULL));
        if (!read_line(map, line, number, config, err)) {
            err_prefix(err, "%s:%u", path, number);
            return false;
        }
    }
    if (map->count) /* qsort's array must not be NULL */
        qsort(map->rows, map->count, sizeof *map->rows, compare);
    return true;
}

/* The whole of an open file, allocated; NULL with err set. */
static char *read_whole(FILE *file, const char *path, size_t *size, struct err *err)
{
    struct stat status;
    if (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode)) {
        err_set(err, "%s: is no file", path);
        return NULL;
    }
    if (status.st_size > (off_t)CLIENT_MAP_SIZE_MAX) {
        err_set(err, "%s: is larger than %u bytes", path, CLIENT_MAP_SIZE_MAX);
        return NULL;
    }
    char *bytes = malloc((size_t)status.st_size + 1);
    *size = bytes ? fread(bytes, 1, (size_t)status.st_size, file) : 0;
    if (bytes && !ferror(file))
        return bytes;
    err_set(err, "%s: cannot be read: %s", path, strerror(errno));
    free(bytes);
    return NULL;
}

static char *read_file(const char *path, size_t *size, struct err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        err_set(err, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    char *bytes = read_whole(file, path, size, err);
    fclose(file);
    return bytes;
}

struct client_map *client_map_new(const char *path, const struct config *config, struct err *err)
{
    size_t size;
    struct client_map *map = calloc(1, sizeof *map);
    char *bytes = map ? read_file(path, &size, err) : NULL;
    bool is_good = bytes && read_lines(map, span_of(bytes, size), path, config, err);
    free(bytes);
    if (is_good)
        return map;
    if (!map)
        err_set(err, "out of memory");
    client_map_free(map);
    return NULL;
}

struct span client_map_account(const struct client_map *map, const uint8_t sha256[CLIENT_MAP_KEY_SIZE], unsigned index)
{
    unsigned low = 0, high = map ? map->count : 0;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (memcmp(map->rows[middle].sha256, sha256, CLIENT_MAP_KEY_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool is_there =
        map && index < map->count - low && memcmp(map->rows[low + index].sha256, sha256, CLIENT_MAP_KEY_SIZE) == 0;
    return is_there ? map->rows[low + index].account : SPAN_NONE;
}
