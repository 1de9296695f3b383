/* SPDX-License-Identifier: MIT */
#include "router/admin/command_priv.h"

#include "core/jid/jid.h"
#include "router/admin/control_priv.h"

/* The word as it stands in addresses, into state.jid; false: told why not. */
static bool take_domain(struct console *console, struct span word)
{
    struct console_state *state = &console->state;
    enum jid_status status = jid_prepare_domain(word, state->jid, &state->jid_size);
    if (status != JID_OK)
        console_fail(console, "not a domain: %s", jid_status_text(status));
    return status == JID_OK;
}

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
    if (!take_domain(console, words[0]))
        return;
    console->task = &close_task;
    close_next(console);
}
