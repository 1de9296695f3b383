/* SPDX-License-Identifier: MIT */
#include "router/admin/command_priv.h"

#include "core/base/log.h"
#include "router/admin/config_priv.h"
#include "router/admin/control_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SESSIONS_DEFAULT 100u
#define SESSIONS_MAX     1000000u

static uint64_t sum(const struct control *control, enum counter counter)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < control->config.shard_count; i++)
        total += counter_read(control->config.counters[i], counter);
    return total;
}

/* Resident bytes of the process; 0 if the system does not tell. */
static uint64_t resident(void)
{
    unsigned long long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &size, &pages) != 2)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void command_show_info(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    struct control *control = console->control;
    const struct config *config = control_configuration(control);
    struct answer *out = &console->out;
    answer_record(out);
    for (unsigned i = 0; i < control->config.fact_count; i++)
        answer_string(out, control->config.facts[i].name, control->config.facts[i].value);
    answer_number(out, "pid", (uint64_t)getpid());
    answer_number(out, "uptime_s", (control->now_ms - control->started_ms) / 1000);
    answer_string(out, "config", config->path);
    answer_number(out, "shards", control->config.shard_count);
    answer_number(out, "domains", config->domain_count);
    if (config->domain_count > 0)
        answer_string(out, "domain", config->domains[0].name);
    answer_number(out, "connections", sum(control, COUNTER_CONNECTIONS));
    answer_number(out, "memory_resident", resident());
    answer_number(out, "log_dropped", log_dropped());
    answer_record_end(out);
    console_finish(console);
}

void command_show_stats(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    struct control *control = console->control;
    struct answer *out = &console->out;
    answer_rows(out);
    for (unsigned c = 0; c < COUNTER_COUNT; c++) {
        answer_row(out);
        answer_string(out, "name", counter_infos[c].name);
        answer_number(out, "total", sum(control, (enum counter)c));
        answer_verbatim(out, "shards", SPAN("["));
        for (unsigned i = 0; i < control->config.shard_count; i++)
            answer_format(out, "%s%llu", i > 0 ? "," : "",
                          (unsigned long long)counter_read(control->config.counters[i], (enum counter)c));
        answer_append(out, SPAN("]"));
        answer_row_end(out);
    }
    answer_rows_end(out);
    console_finish(console);
}

static const char *kind_text(enum counter_kind kind)
{
    return kind == COUNTER_GAUGE ? "gauge" : "counter";
}

void command_show_stats_manual(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    struct answer *out = &console->out;
    answer_rows(out);
    for (unsigned c = 0; c < COUNTER_COUNT; c++) {
        answer_row(out);
        answer_string(out, "name", counter_infos[c].name);
        answer_string(out, "kind", kind_text(counter_infos[c].kind));
        answer_string(out, "text", counter_infos[c].text);
        answer_row_end(out);
    }
    answer_rows_end(out);
    console_finish(console);
}

/* Of each leaf of ours. Domains were prepared: none has a quote or a backslash. */
struct own_gauge {
    const char *name;
    const char *text;
    bool (*read)(const struct control_own *own, int64_t *value); /* false: it has none */
};

static bool read_expiry(const struct control_own *own, int64_t *value)
{
    *value = own->expires;
    return own->expires != 0;
}

static bool read_chain_expiry(const struct control_own *own, int64_t *value)
{
    *value = own->chain_expires;
    return own->chain_expires != 0;
}

static bool read_staple_expiry(const struct control_own *own, int64_t *value)
{
    *value = own->staple.until;
    return own->staple.state != NULL;
}

static bool read_staple_age(const struct control_own *own, int64_t *value)
{
    *value = own->staple.age;
    return own->staple.made != 0;
}

static const struct own_gauge own_gauges[] = {
    {"certificate_expires_seconds", "When our certificate of the domain ends, since 1970.", read_expiry},
    {"certificate_chain_expires_seconds", "The same of it and those behind it, whichever is first.", read_chain_expiry},
    {"certificate_staple_expires_seconds", "When the answer stapled to it ends, since 1970; 0: none is.",
     read_staple_expiry},
    {"certificate_staple_age_seconds", "How long ago that answer was made.", read_staple_age},
};

struct gauge_listing {
    struct answer *out;
    const struct own_gauge *gauge;
};

static void add_gauge(void *context, const struct control_own *own)
{
    const struct gauge_listing *listing = context;
    int64_t value;
    if (own->depth != 0 || !listing->gauge->read(own, &value))
        return;
    answer_format(listing->out, "sluice_%s{domain=\"%s\"", listing->gauge->name, own->domain);
    if (own->use != NULL)
        answer_format(listing->out, ",use=\"%s\"", own->use);
    answer_format(listing->out, "} %lld\n", (long long)value);
}

static void add_own_gauges(const struct control *control, struct answer *out)
{
    for (size_t i = 0; i < sizeof(own_gauges) / sizeof(own_gauges[0]); i++) {
        struct gauge_listing listing = {out, &own_gauges[i]};
        answer_format(out, "# HELP sluice_%s %s\n# TYPE sluice_%s gauge\n", own_gauges[i].name, own_gauges[i].text,
                      own_gauges[i].name);
        control->config.hooks.own(control->config.context, add_gauge, &listing);
    }
}

void command_show_metrics(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    struct control *control = console->control;
    struct answer *out = &console->out;
    if (out->is_json) {
        console_fail(console, "metrics are not available as JSON: leave out json");
        return;
    }
    for (unsigned c = 0; c < COUNTER_COUNT; c++) {
        const struct counter_info *info = &counter_infos[c];
        const char *suffix = info->kind == COUNTER_TOTAL ? "_total" : "";
        answer_format(out, "# HELP sluice_%s%s %s\n# TYPE sluice_%s%s %s\n", info->name, suffix, info->text, info->name,
                      suffix, kind_text(info->kind));
        for (unsigned i = 0; i < control->config.shard_count; i++)
            answer_format(out, "sluice_%s%s{shard=\"%u\"} %llu\n", info->name, suffix, i,
                          (unsigned long long)counter_read(control->config.counters[i], (enum counter)c));
    }
    if (control->config.hooks.own != NULL)
        add_own_gauges(control, out);
    console_finish(console);
}

void command_show_shards(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    static const enum counter columns[] = {COUNTER_CONNECTIONS, COUNTER_ACCEPTED,  COUNTER_ARRIVED, COUNTER_DEPARTED,
                                           COUNTER_BYTES_IN,    COUNTER_BYTES_OUT, COUNTER_TURNS,   COUNTER_WAKES};
    struct control *control = console->control;
    struct answer *out = &console->out;
    answer_rows(out);
    for (unsigned i = 0; i < control->config.shard_count; i++) {
        answer_row(out);
        answer_number(out, "shard", i);
        for (unsigned c = 0; c < sizeof(columns) / sizeof(columns[0]); c++)
            answer_number(out, counter_infos[columns[c]].name, counter_read(control->config.counters[i], columns[c]));
        answer_row_end(out);
    }
    answer_rows_end(out);
    console_finish(console);
}

/* ---- configuration ---- */

static bool is_limit(const char *name)
{
    return strncmp(name, "limits.", 7) == 0 || strncmp(name, "timeouts.", 9) == 0 || strncmp(name, "bind.", 5) == 0;
}

/* The value as config_value_print() spells it; JSON has no units, so a number with one becomes a string. */
static void print_value(struct answer *out, const struct config *config, const struct config_key *key)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (file == NULL)
        return;
    config_value_print(key, (const char *)config + key->offset, file);
    fclose(file);
    if (out->is_json && (key->type == CONFIG_SIZE || key->type == CONFIG_TIME))
        answer_text(out, "value", span_of(text, size));
    else
        answer_verbatim(out, "value", span_of(text, size));
    free(text);
}

static void print_source(struct answer *out, unsigned line)
{
    if (line == CONFIG_LINE_NONE)
        answer_string(out, "from", "default");
    else if (line == CONFIG_LINE_OVERRIDE)
        answer_string(out, "from", "--set");
    else
        answer_number(out, "line", line);
}

static void print_keys(struct console *console, bool (*wants)(const char *name))
{
    const struct config *config = control_configuration(console->control);
    struct answer *out = &console->out;
    answer_rows(out);
    for (unsigned i = 0; i < config->domain_count && wants == NULL; i++) {
        answer_row(out);
        answer_string(out, "key", "domain");
        answer_string(out, "value", config->domains[i].name);
        answer_string(out, "certificate", config->domains[i].certificate);
        answer_row_end(out);
    }
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (wants != NULL && !wants(config_keys[i].name))
            continue;
        answer_row(out);
        answer_string(out, "key", config_keys[i].name);
        print_value(out, config, &config_keys[i]);
        print_source(out, config->private->lines[i]);
        answer_row_end(out);
    }
    answer_rows_end(out);
    console_finish(console);
}

void command_show_limits(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    print_keys(console, is_limit);
}

void command_show_config(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    print_keys(console, NULL);
}

/* ---- sessions, streams with other servers: one shard after the other, each in bounded pieces ---- */

static void ask_next(struct console *console)
{
    struct console_state *state = &console->state;
    if (state->shard == console->control->config.shard_count || state->count == state->count_max) {
        answer_rows_end(&console->out);
        console_finish(console);
        return;
    }
    state->is_waiting = !control_ask(console, state->kind, state->shard, state->position,
                                     span_of(state->jid, state->jid_size), state->count_max - state->count);
    state->pending = !state->is_waiting;
}

static void sessions_answered(struct console *console, struct control_ask *ask, const struct answer *rows)
{
    struct console_state *state = &console->state;
    state->pending = 0;
    state->count += ask->private->count;
    if (!ask->is_done && ask->position == state->position && state->count < state->count_max) {
        answer_rows_end(&console->out);
        console_fail(console, "shard %u made no progress: ask again; if that lasts, ask for fewer or give a PREFIX",
                     ask->shard);
        return;
    }
    state->position = ask->position;
    if (ask->is_done) {
        state->shard++;
        state->position = 0;
    }
    answer_append(&console->out, span_of(rows->bytes, rows->size));
    console->out.has_row = rows->has_row;
    if (console_waiting(console) < CONSOLE_OUT_HIGH)
        ask_next(console);
}

static void sessions_drained(struct console *console)
{
    if (console->state.pending == 0)
        ask_next(console);
}

static const struct console_task sessions_task = {.answered = sessions_answered, .drained = sessions_drained};

/* [N] [PREFIX] */
static bool take_range(struct console *console, const struct span *words, unsigned count, uint64_t normal, uint64_t max)
{
    struct console_state *state = &console->state;
    bool has_number = count > 0 && command_number(words[0], max, &state->count_max);
    if (!has_number)
        state->count_max = normal;
    if (count > 1 && !has_number) {
        console_fail(console, "the first word is not a number up to %llu", (unsigned long long)max);
        return false;
    }
    if (count > (has_number ? 1u : 0u)) {
        struct span prefix = words[has_number ? 1 : 0];
        if (prefix.size >= sizeof(((struct control_ask_private *)0)->prefix)) {
            console_fail(console, "the prefix is too long");
            return false;
        }
        memcpy(state->jid, prefix.ptr, prefix.size);
        state->jid_size = prefix.size;
    }
    return true;
}

static void show_rows(struct console *console, enum control_ask_kind kind, const struct span *words, unsigned count)
{
    console->state.kind = kind;
    if (!take_range(console, words, count, SESSIONS_DEFAULT, SESSIONS_MAX))
        return;
    console->task = &sessions_task;
    answer_rows(&console->out);
    ask_next(console);
}

void command_show_sessions(struct console *console, const struct span *words, unsigned count)
{
    show_rows(console, ASK_SESSIONS, words, count);
}

void command_show_s2s(struct console *console, const struct span *words, unsigned count)
{
    show_rows(console, ASK_S2S, words, count);
}
