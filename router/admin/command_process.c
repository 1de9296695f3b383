/* SPDX-License-Identifier: MIT */
#include "router/admin/command_priv.h"

#include "core/base/log.h"
#include "router/admin/control_priv.h"

void command_reload(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    struct err notice, err;
    if (!control_reload(console->control, &notice, &err)) {
        console_fail(console, "%s", err.text);
        return;
    }
    if (notice.text[0] != 0) {
        answer_record(&console->out);
        answer_string(&console->out, "notice", notice.text);
        answer_record_end(&console->out);
    }
    console_finish(console);
}

void command_drain(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    control_stop(console->control, true);
    console_finish(console);
}

void command_stop(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    control_stop(console->control, false);
    console_finish(console);
}

void command_log_level(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    static const char *const names[] = {"error", "warn", "info", "debug"}; /* in the order of enum log_level */
    for (unsigned i = 0; i < 4; i++) {
        if (span_is(words[0], names[i])) {
            log_set_level((enum log_level)i);
            console_finish(console);
            return;
        }
    }
    console_fail(console, "usage: log level error|warn|info|debug");
}

void command_log_reopen(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    log_reopen();
    console_finish(console);
}
