/* SPDX-License-Identifier: MIT */
#include "router/admin/command_priv.h"

#include "core/jid/jid.h"
#include "router/admin/config.h"
#include "router/admin/control_priv.h"

/* ---- close: one shard after the other ---- */

static void close_next(struct console *console)
{
    struct console_state *state = &console->state;
    if (state->shard == console->control->config.shard_count) {
        answer_record(&console->out);
        answer_number(&console->out, "closed", state->count);
        answer_record_end(&console->out);
        console_finish(console);
        return;
    }
    state->is_waiting = !control_ask(console, ASK_S2S_CLOSE, state->shard, 0, span_of(state->jid, state->jid_size), 0);
    state->pending = !state->is_waiting;
}

static void close_answered(struct console *console, struct control_ask *ask, const struct answer *rows)
{
    (void)rows;
    console->state.pending = 0;
    console->state.count += ask->count;
    console->state.shard++;
    close_next(console);
}

static void close_drained(struct console *console)
{
    if (console->state.pending == 0)
        close_next(console);
}

static const struct console_task close_task = {.answered = close_answered, .drained = close_drained};

void command_s2s_close(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    if (!command_domain(console, words[0]))
        return;
    console->task = &close_task;
    close_next(console);
}

/* ---- test: one shard does it, and answers when it is over ---- */

#define STEPS_MAX 1000u

static void test_ask(struct console *console)
{
    struct console_state *state = &console->state;
    state->is_waiting = !control_ask(console, ASK_S2S_TEST, 0, 0, span_of(state->jid, state->jid_size), STEPS_MAX);
    state->pending = !state->is_waiting;
}

static void test_answered(struct console *console, struct control_ask *ask, const struct answer *rows)
{
    answer_append(&console->out, span_of(rows->bytes, rows->size));
    console->out.has_row = rows->has_row;
    answer_rows_end(&console->out);
    if (ask->count > 0)
        console_finish(console);
    else
        console_fail(console, "%.*s was not reached", (int)console->state.jid_size, console->state.jid);
}

static void test_drained(struct console *console)
{
    if (console->state.pending == 0)
        test_ask(console);
}

static const struct console_task test_task = {.answered = test_answered, .drained = test_drained};

/* Ours as it stands in addresses, into state.key. */
static bool take_ours(struct console *console, const struct span *word)
{
    struct console_state *state = &console->state;
    const struct config *config = control_configuration(console->control);
    struct span name = span_str(config->domains[0].name);
    if (word && jid_prepare_domain(*word, state->key, &state->key_size) == JID_OK)
        name = span_of(state->key, state->key_size);
    else if (word)
        name = SPAN("");
    if (config_domain_find(config, name) == NULL) {
        console_fail(console, "FROM is none of the domains served here");
        return false;
    }
    memmove(state->key, name.ptr, name.size);
    state->key_size = name.size;
    return true;
}

void command_s2s_test(struct console *console, const struct span *words, unsigned count)
{
    if (!command_domain(console, words[0]) || !take_ours(console, count > 1 ? &words[1] : NULL))
        return;
    if (config_domain_find(control_configuration(console->control),
                           span_of(console->state.jid, console->state.jid_size)) != NULL) {
        console_fail(console, "that domain is served here");
        return;
    }
    console->task = &test_task;
    answer_rows(&console->out);
    test_ask(console);
}
