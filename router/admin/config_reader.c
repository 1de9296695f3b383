/* SPDX-License-Identifier: MIT */
/*
 * The file's grammar, without any knowledge of keys:
 *
 *   file   := entry*
 *   entry  := word [string|word] "{" entry* "}"            a section, with a name or without
 *           | word ["="] value (";" | end of line | before "}")
 *   value  := word | string | "[" [value ("," value)* [","]] "]"
 *   string := '"' (any byte but '"', '\', control | '\"' | '\\')* '"'
 *   word   := any bytes but white space, control and { } [ ] ; , = " #
 *   "#" begins a comment up to the end of the line
 */
#include "router/admin/config_priv.h"

#include <stdarg.h>

#define SECTION_DEPTH_MAX 4u
#define KEY_SIZE_MAX      200u

enum token { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_MARK };

struct config_reader {
    const char *at, *end;
    const char *name;
    unsigned line; /* of at */
    struct arena *arena;
    struct err *err;
    /* The token read last. */
    enum token token;
    char mark;        /* the character of TOKEN_MARK */
    const char *text; /* of TOKEN_WORD and TOKEN_STRING, NUL-terminated */
    unsigned token_line;
    unsigned value_line; /* where the last value ended */
    /* The sections around. */
    char prefix[KEY_SIZE_MAX]; /* "limits." */
    size_t prefix_size[SECTION_DEPTH_MAX + 1];
    unsigned section_line[SECTION_DEPTH_MAX + 1];
    unsigned depth;
    const char *title;
    unsigned title_depth; /* the depth of the section that title belongs to */
    struct config_entry **tail;
};

static bool fail(struct config_reader *reader, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(struct config_reader *reader, unsigned line, const char *format, ...)
{
    char text[300];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err_set(reader->err, "%s:%u: %s", reader->name, line, text);
    return false;
}

static bool is_word_byte(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("{}[];,=\"#", c) == NULL;
}

static void skip_blank(struct config_reader *reader)
{
    while (reader->at < reader->end) {
        char c = *reader->at;
        if (c == '#') {
            const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
            reader->at = newline == NULL ? reader->end : newline;
        } else if (c == '\n' || c == ' ' || c == '\t' || c == '\r') {
            reader->line += c == '\n';
            reader->at++;
        } else {
            return;
        }
    }
}

static bool keep_text(struct config_reader *reader, struct span text)
{
    reader->text = arena_copy(reader->arena, text);
    return reader->text != NULL || fail(reader, reader->line, "the file is too large");
}

/* at is behind the opening quote. */
static bool read_string(struct config_reader *reader)
{
    const char *start = reader->at;
    size_t size = 0;
    const char *close = start;
    while (close < reader->end && *close != '"' && *close != '\n')
        close += (*close == '\\' && close + 1 < reader->end) ? 2 : 1;
    if (close >= reader->end || *close != '"')
        return fail(reader, reader->line, "a quoted text is not closed on its line");
    char *copy = arena_take(reader->arena, (size_t)(close - start) + 1);
    if (copy == NULL)
        return fail(reader, reader->line, "the file is too large");
    for (const char *c = start; c < close; c++) {
        if (*c == '\\') {
            c++;
            if (*c != '"' && *c != '\\')
                return fail(reader, reader->line, "a backslash in quotes stands before '\"' or '\\' only");
        } else if ((unsigned char)*c < ' ' || *c == 0x7f) {
            return fail(reader, reader->line, "a control character in a quoted text");
        }
        copy[size++] = *c;
    }
    reader->at = close + 1;
    reader->text = copy;
    reader->token = TOKEN_STRING;
    return true;
}

static bool next_token(struct config_reader *reader)
{
    skip_blank(reader);
    reader->token_line = reader->line;
    if (reader->at == reader->end) {
        reader->token = TOKEN_END;
        return true;
    }
    char c = *reader->at;
    if (c == '"') {
        reader->at++;
        return read_string(reader);
    }
    if (!is_word_byte(c)) {
        if (strchr("{}[];,=", c) == NULL || c == 0)
            return fail(reader, reader->line, "byte 0x%02x has no place here", (unsigned)(unsigned char)c);
        reader->at++;
        reader->token = TOKEN_MARK;
        reader->mark = c;
        return true;
    }
    const char *start = reader->at;
    while (reader->at < reader->end && is_word_byte(*reader->at))
        reader->at++;
    reader->token = TOKEN_WORD;
    return keep_text(reader, span_of(start, (size_t)(reader->at - start)));
}

static bool is_mark(const struct config_reader *reader, char mark)
{
    return reader->token == TOKEN_MARK && reader->mark == mark;
}

static bool is_text(const struct config_reader *reader)
{
    return reader->token == TOKEN_WORD || reader->token == TOKEN_STRING;
}

static struct config_entry *add_entry(struct config_reader *reader, const char *name, unsigned line)
{
    struct config_entry *entry = arena_take(reader->arena, sizeof(*entry));
    size_t prefix = reader->prefix_size[reader->depth];
    size_t size = strlen(name);
    char *key = arena_take(reader->arena, prefix + size + 1);
    if (entry == NULL || key == NULL) {
        fail(reader, line, "the file is too large");
        return NULL;
    }
    memcpy(key, reader->prefix, prefix);
    memcpy(key + prefix, name, size);
    *entry = (struct config_entry){.key = key, .title = reader->title, .line = line};
    *reader->tail = entry;
    reader->tail = &entry->next;
    return entry;
}

/* The token is "{". */
static bool open_section(struct config_reader *reader, const char *name, const char *title, unsigned line)
{
    size_t prefix = reader->prefix_size[reader->depth];
    size_t size = strlen(name);
    if (reader->depth == SECTION_DEPTH_MAX || prefix + size + 1 >= KEY_SIZE_MAX)
        return fail(reader, line, "%s: sections are nested too deep", name);
    if (title != NULL) {
        if (reader->title != NULL)
            return fail(reader, line, "%s: a section with a name stands in another one", name);
        reader->title = title;
        reader->title_depth = reader->depth + 1;
        struct config_entry *entry = add_entry(reader, name, line);
        if (entry == NULL)
            return false;
        entry->opens_section = true;
    }
    memcpy(reader->prefix + prefix, name, size);
    reader->prefix[prefix + size] = '.';
    reader->depth++;
    reader->prefix_size[reader->depth] = prefix + size + 1;
    reader->section_line[reader->depth] = line;
    return true;
}

static bool close_section(struct config_reader *reader)
{
    if (reader->depth == 0)
        return fail(reader, reader->token_line, "'}' closes nothing");
    if (reader->title != NULL && reader->title_depth == reader->depth)
        reader->title = NULL;
    reader->depth--;
    return true;
}

/* The token is the one behind "[". Ends behind "]". */
static bool read_list(struct config_reader *reader, const char *key, struct config_text *text)
{
    const char *items[CONFIG_ITEM_MAX];
    unsigned count = 0;
    while (!is_mark(reader, ']')) {
        if (!is_text(reader))
            return fail(reader, reader->token_line, "%s: the list is not closed by ']'", key);
        if (count == CONFIG_ITEM_MAX)
            return fail(reader, reader->token_line, "%s: more than %u items", key, CONFIG_ITEM_MAX);
        items[count++] = reader->text;
        if (!next_token(reader))
            return false;
        if (is_mark(reader, ']'))
            break;
        if (!is_mark(reader, ','))
            return fail(reader, reader->token_line, "%s: ',' or ']' is missing in the list", key);
        if (!next_token(reader))
            return false;
    }
    const char **copy = arena_take(reader->arena, sizeof(*copy) * (count + 1));
    if (copy == NULL)
        return fail(reader, reader->token_line, "the file is too large");
    memcpy(copy, items, sizeof(*items) * count);
    *text = (struct config_text){copy, count, true};
    reader->value_line = reader->token_line;
    return next_token(reader);
}

static bool keep_scalar(struct config_reader *reader, struct config_text *text, const char *value)
{
    const char **copy = arena_take(reader->arena, sizeof(*copy));
    if (copy == NULL)
        return fail(reader, reader->token_line, "the file is too large");
    *copy = value;
    *text = (struct config_text){copy, 1, false};
    return true;
}

/* The token is the one behind the value. */
static bool end_value(struct config_reader *reader, const char *key)
{
    if (is_mark(reader, ';'))
        return next_token(reader);
    if (reader->token == TOKEN_END || is_mark(reader, '}') || reader->token_line > reader->value_line)
        return true;
    return fail(reader, reader->token_line, "%s: ';' is missing behind the value", key);
}

static bool read_value(struct config_reader *reader, const char *name, unsigned line)
{
    struct config_entry *entry = add_entry(reader, name, line);
    if (entry == NULL)
        return false;
    if (is_mark(reader, '[')) {
        if (!next_token(reader) || !read_list(reader, entry->key, &entry->text))
            return false;
        return end_value(reader, entry->key);
    }
    if (!is_text(reader) || reader->token_line != line)
        return fail(reader, line, "%s: the value is missing", entry->key);
    reader->value_line = reader->token_line;
    if (!keep_scalar(reader, &entry->text, reader->text) || !next_token(reader))
        return false;
    return end_value(reader, entry->key);
}

/* The token is behind the name: "{", "=", or a text that is either the section's name or the value. */
static bool read_entry(struct config_reader *reader, const char *name, unsigned line)
{
    if (is_mark(reader, '='))
        return next_token(reader) && read_value(reader, name, line);
    if (is_mark(reader, '{'))
        return open_section(reader, name, NULL, line) && next_token(reader);
    if (!is_text(reader) || reader->token_line != line)
        return read_value(reader, name, line); /* a list, or the value is missing */
    const char *text = reader->text;
    if (!next_token(reader))
        return false;
    if (is_mark(reader, '{'))
        return open_section(reader, name, text, line) && next_token(reader);
    struct config_entry *entry = add_entry(reader, name, line);
    reader->value_line = line;
    return entry != NULL && keep_scalar(reader, &entry->text, text) && end_value(reader, entry->key);
}

bool config_reader_read(struct span text, const char *name, struct arena *arena, struct config_entry **first,
                        struct err *err)
{
    struct config_reader reader = {.at = text.ptr,
                                   .end = text.ptr + text.size,
                                   .name = name,
                                   .line = 1,
                                   .arena = arena,
                                   .err = err,
                                   .tail = first};
    *first = NULL;
    if (!next_token(&reader))
        return false;
    while (reader.token != TOKEN_END) {
        if (is_mark(&reader, '}')) {
            if (!close_section(&reader) || !next_token(&reader))
                return false;
            continue;
        }
        if (is_mark(&reader, ';')) { /* behind a "}" or another one: harmless */
            if (!next_token(&reader))
                return false;
            continue;
        }
        if (reader.token != TOKEN_WORD)
            return fail(&reader, reader.token_line, "the name of a key is missing");
        const char *key = reader.text;
        unsigned line = reader.token_line;
        if (strlen(key) + reader.prefix_size[reader.depth] >= KEY_SIZE_MAX)
            return fail(&reader, line, "the name of a key is too long");
        if (!next_token(&reader) || !read_entry(&reader, key, line))
            return false;
    }
    if (reader.depth > 0)
        return fail(&reader, reader.section_line[reader.depth], "the section that begins here is not closed by '}'");
    return true;
}
