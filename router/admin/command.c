/* SPDX-License-Identifier: MIT */
#include "router/admin/command_priv.h"

#include "core/base/log.h"
#include "core/jid/jid.h"
#include "router/admin/control_priv.h"

#include <stdio.h>

static void help(struct console *console, const struct span *words, unsigned count);
static void quit(struct console *console, const struct span *words, unsigned count);

/* Longer names before shorter ones that they begin with: the first that fits the line is taken. */
const struct command commands[] = {
    {"help", "[COMMAND]", 0, COMMAND_WORDS_MAX, help, "Lists the commands, or those that begin with these words."},
    {"show info", "", 0, 0, command_show_info, "Version, process, listeners, domains, memory."},
    {"show stats manual", "", 0, 0, command_show_stats_manual, "What each counter means, and whether it is a gauge."},
    {"show stats", "", 0, 0, command_show_stats,
     "Each counter: the sum over all shards, then the value of each shard."},
    {"show metrics", "", 0, 0, command_show_metrics, "The same in Prometheus' text format."},
    {"show shards", "", 0, 0, command_show_shards, "One row a shard: connections, streams moved, bytes, turns."},
    {"show sessions", "[N] [PREFIX]", 0, 2, command_show_sessions,
     "Up to N (100) sessions, those whose full JID begins with PREFIX; with the shard that owns each."},
    {"show s2s", "[N] [PREFIX]", 0, 2, command_show_s2s,
     "Up to N (100) streams with other servers whose domain begins with PREFIX; and the pairs of domains that have "
     "none, "
     "with the error and when it is tried again."},
    {"show certs peers", "[N] [DOMAIN]", 0, 2, command_show_certs_peers,
     "Up to N (100) chains of certificates that streams were authenticated by, those of DOMAIN and of people there; "
     "with "
     "what their issuers say of them."},
    {"show certs distrusted", "", 0, 0, command_show_certs_distrusted,
     "What certs distrust was told: a SHA-256 or a serial number each."},
    {"show certs", "", 0, 0, command_show_certs,
     "What we show for each domain: certificate and those behind it, issuer, end, days left, and what is stapled."},
    {"show limits", "", 0, 0, command_show_limits, "The limits and time-outs in force."},
    {"show config", "", 0, 0, command_show_config, "The configuration in force, and where each value came from."},
    {"account add", "JID", 1, 1, command_account_add, "New account; the next line sent is its password."},
    {"account passwd", "JID", 1, 1, command_account_passwd, "New password; the next line sent is it."},
    {"account del", "JID", 1, 1, command_account_del, "Deletes the account and closes its sessions."},
    {"account disable", "JID", 1, 1, command_account_disable,
     "Closes the account's sessions and lets nobody log in; the password is kept."},
    {"account enable", "JID", 1, 1, command_account_enable, "Lets its owner log in again."},
    {"account list", "[N] [PREFIX]", 0, 2, command_account_list,
     "Up to N (1000) accounts whose JID begins with PREFIX."},
    {"account export", "[PREFIX]", 0, 1, command_account_export, "All accounts with their SCRAM keys, a line each."},
    {"account import", "[replace]", 0, 1, command_account_import,
     "Accounts as exported, a line each, up to a line with a single dot. With replace, those there are overwritten."},
    {"s2s test", "DOMAIN [FROM]", 1, 2, command_s2s_test,
     "Resolves the domain, connects, negotiates a stream from our domain FROM (the first one) and closes it, telling "
     "each "
     "step; no stanza is sent, and streams that are there are left alone."},
    {"s2s close", "DOMAIN", 1, 1, command_s2s_close,
     "Closes all streams with that domain; what they have not sent goes out on the next one or is answered with an "
     "error. "
     "Ends the rest after failures: the next stanza is tried at once."},
    {"certs check", "DOMAIN", 1, 1, command_certs_check,
     "Asks the issuers of the certificates in use of that domain, and of people there, now whether they took them "
     "back."},
    {"certs distrust", "SERIAL|SHA256", 1, 1, command_certs_distrust,
     "Ends the streams of all chains with that certificate and trusts it no more. In hex, as show certs peers has "
     "them."},
    {"certs trust", "SERIAL|SHA256", 1, 1, command_certs_trust,
     "Takes certs distrust back; tells whether there was anything to take back."},
    {"reload", "", 0, 0, command_reload,
     "Reads the configuration file again; if anything in it is wrong, nothing changes."},
    {"drain", "", 0, 0, command_drain, "Ends all streams in order (system-shutdown), then the process."},
    {"stop", "", 0, 0, command_stop, "Ends the process at once."},
    {"log level", "error|warn|info|debug", 1, 1, command_log_level,
     "The least urgent level written, until the next reload."},
    {"log reopen", "", 0, 0, command_log_reopen, "Opens the log file anew (after its rotation)."},
    {"quit", "", 0, 0, quit, "Closes this connection."},
};
const unsigned command_count = sizeof(commands) / sizeof(commands[0]);

/* Words are apart by blanks; one that holds blanks stands in double quotes. False when there are too many. */
static bool split(struct span line, struct span *words, unsigned *count)
{
    *count = 0;
    while (true) {
        while (line.size > 0 && (*line.ptr == ' ' || *line.ptr == '\t'))
            line = span_skip(line, 1);
        if (line.size == 0)
            return true;
        if (*count == COMMAND_WORDS_MAX)
            return false;
        size_t size = 0, skip = 0;
        if (*line.ptr == '"') {
            const char *close = memchr(line.ptr + 1, '"', line.size - 1);
            if (close == NULL)
                return false;
            line = span_skip(line, 1);
            size = (size_t)(close - line.ptr);
            skip = 1;
        } else {
            while (size < line.size && line.ptr[size] != ' ' && line.ptr[size] != '\t')
                size++;
        }
        words[(*count)++] = span_of(line.ptr, size);
        line = span_skip(line, size + skip);
    }
}

/* How many words of the line are the command's name; 0: it is another one. */
static unsigned match(const struct command *command, const struct span *words, unsigned count)
{
    const char *name = command->name;
    unsigned used = 0;
    while (*name != 0) {
        size_t size = strcspn(name, " ");
        if (used == count || !span_equal(words[used], span_of(name, size)))
            return 0;
        used++;
        name += size;
        name += *name == ' ';
    }
    return used;
}

/* Only what is understood is logged word by word: a line that is not may hold a password in the wrong place. */
static void run(struct console *console, struct span line, const struct span *words, unsigned count)
{
    for (unsigned i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        unsigned used = match(command, words, count);
        if (used == 0)
            continue;
        unsigned rest = count - used;
        if (rest < command->words_min || rest > command->words_max) {
            log_event(LOG_INFO, "admin.misused", "uid=%u command=\"%s\"", console->uid, command->name);
            console_fail(console, "usage: %s%s%s", command->name, command->args[0] != 0 ? " " : "", command->args);
            return;
        }
        log_event(LOG_INFO, "admin.command", "uid=%u line=%s", console->uid, log_quoted(line).text);
        command->handler(console, words + used, rest);
        return;
    }
    console_fail(console, "unknown command \"%.*s\": see help", (int)(words[0].size < 60 ? words[0].size : 60),
                 words[0].ptr);
}

void command_run(struct console *console, struct span line)
{
    struct span words[COMMAND_WORDS_MAX];
    unsigned count;
    memset(&console->state, 0, sizeof(console->state));
    console->out.is_json = false;
    if (!split(line, words, &count)) {
        console_fail(console, "a quote that is not closed, or more than %u words", COMMAND_WORDS_MAX);
        return;
    }
    if (count == 0)
        return;
    if (span_is(words[0], "json")) {
        if (count == 1) {
            console_fail(console, "json stands before a command");
            return;
        }
        console->out.is_json = true;
        run(console, line, words + 1, count - 1);
    } else {
        run(console, line, words, count);
    }
}

bool command_number(struct span word, uint64_t max, uint64_t *out)
{
    uint64_t number = 0;
    if (word.size == 0 || word.size > 15)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(word.ptr[i] - '0');
    }
    *out = number;
    return number <= max;
}

bool command_domain(struct console *console, struct span word)
{
    struct console_state *state = &console->state;
    enum jid_status status = jid_prepare_domain(word, state->jid, &state->jid_size);
    if (status != JID_OK)
        console_fail(console, "not a domain: %s", jid_status_text(status));
    return status == JID_OK;
}

static bool begins_with(const struct command *command, const struct span *words, unsigned count)
{
    const char *name = command->name;
    for (unsigned i = 0; i < count; i++) {
        size_t size = strcspn(name, " ");
        if (!span_equal(words[i], span_of(name, size)))
            return false;
        name += size;
        name += *name == ' ';
    }
    return true;
}

static void help(struct console *console, const struct span *words, unsigned count)
{
    struct answer *out = &console->out;
    unsigned found = 0;
    if (out->is_json)
        answer_rows(out);
    for (unsigned i = 0; i < command_count; i++) {
        const struct command *command = &commands[i];
        if (!begins_with(command, words, count))
            continue;
        found++;
        if (out->is_json) {
            answer_row(out);
            answer_string(out, "name", command->name);
            answer_string(out, "args", command->args);
            answer_string(out, "text", command->text);
            answer_row_end(out);
        } else {
            answer_format(out, "%s%s%s\n    %s\n", command->name, command->args[0] != 0 ? " " : "", command->args,
                          command->text);
        }
    }
    if (out->is_json)
        answer_rows_end(out);
    else if (found > 0 && count == 0)
        answer_format(out, "json COMMAND\n    The same answer as one line of JSON.\n");
    if (found == 0)
        console_fail(console, "no such command");
    else
        console_finish(console);
}

static void quit(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    console_finish(console);
    console->is_closing = true;
}
