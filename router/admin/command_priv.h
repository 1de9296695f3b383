/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Command: the table of what can be said on the admin socket. Each row has its name, arguments, handler and manual
 * text; help and the documentation's test come from it.
 *
 * A handler writes to console->out and ends with console_finish() or console_fail(), at once or, after setting
 * console->task, later.
 */
#include "router/admin/console_priv.h"

#define COMMAND_WORDS_MAX 8u

struct command {
    const char *name;              /* "account add" */
    const char *args;              /* "JID", for people */
    unsigned words_min, words_max; /* of the arguments */
    void (*handler)(struct console *console, const struct span *words, unsigned count);
    const char *text;
};

extern const struct command commands[];
extern const unsigned command_count;

void command_run(struct console *console, struct span line);
/* A number from a word; false if it is none or above max. */
bool command_number(struct span word, uint64_t max, uint64_t *out);
/* The word as it stands in addresses, into state.jid; false: told why not. */
bool command_domain(struct console *console, struct span word);

/* command_show.c */
void command_show_info(struct console *console, const struct span *words, unsigned count);
void command_show_stats(struct console *console, const struct span *words, unsigned count);
void command_show_stats_manual(struct console *console, const struct span *words, unsigned count);
void command_show_metrics(struct console *console, const struct span *words, unsigned count);
void command_show_shards(struct console *console, const struct span *words, unsigned count);
void command_show_sessions(struct console *console, const struct span *words, unsigned count);
void command_show_s2s(struct console *console, const struct span *words, unsigned count);
void command_show_limits(struct console *console, const struct span *words, unsigned count);
void command_show_config(struct console *console, const struct span *words, unsigned count);
/* command_account.c */
void command_account_add(struct console *console, const struct span *words, unsigned count);
void command_account_passwd(struct console *console, const struct span *words, unsigned count);
void command_account_disable(struct console *console, const struct span *words, unsigned count);
void command_account_enable(struct console *console, const struct span *words, unsigned count);
void command_account_del(struct console *console, const struct span *words, unsigned count);
void command_account_list(struct console *console, const struct span *words, unsigned count);
void command_account_export(struct console *console, const struct span *words, unsigned count);
void command_account_import(struct console *console, const struct span *words, unsigned count);
/* command_s2s.c */
void command_s2s_test(struct console *console, const struct span *words, unsigned count);
void command_s2s_close(struct console *console, const struct span *words, unsigned count);
/* command_certs.c */
void command_show_certs(struct console *console, const struct span *words, unsigned count);
void command_show_certs_peers(struct console *console, const struct span *words, unsigned count);
void command_certs_check(struct console *console, const struct span *words, unsigned count);
void command_certs_distrust(struct console *console, const struct span *words, unsigned count);
void command_certs_trust(struct console *console, const struct span *words, unsigned count);
void command_show_certs_distrusted(struct console *console, const struct span *words, unsigned count);
/* command_process.c */
void command_reload(struct console *console, const struct span *words, unsigned count);
void command_drain(struct console *console, const struct span *words, unsigned count);
void command_stop(struct console *console, const struct span *words, unsigned count);
void command_log_level(struct console *console, const struct span *words, unsigned count);
void command_log_reopen(struct console *console, const struct span *words, unsigned count);
