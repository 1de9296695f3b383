/* SPDX-License-Identifier: MIT */
/*
 * Accounts: written through the store, so a command says OK when the change is durable. Passwords come as a line of
 * their own, are turned into SCRAM keys here, and wiped.
 */
#include "router/admin/command_priv.h"

#include "core/base/log.h"
#include "core/jid/jid.h"
#include "router/admin/config.h"
#include "router/admin/control_priv.h"
#include "router/store/account.h"
#include "tls/digest.h"

#include <stdio.h>
#include <sys/random.h>

#define SALT_SIZE         16u
#define LIST_DEFAULT      1000u
#define LIST_MAX          UINT64_C(1000000000)
#define IMPORT_REASON_MAX 20u /* refused lines that are told one by one; the rest is counted */

static const char *store_status_text(enum store_status status)
{
    switch (status) {
    case STORE_DONE:
    case STORE_FOUND:
        return "done";
    case STORE_MISSING:
        return "there is no such account";
    case STORE_EXISTS:
        return "the account exists already";
    case STORE_FULL:
        return "the store is full: nothing was changed";
    case STORE_FAILED:
        return "the store failed: see the log; nothing was changed";
    }
    return "";
}

/* Prepares a bare JID of one of our domains as the store's key. NULL, or what is wrong. */
static const char *prepare(struct control *control, struct span text, char *out, size_t *size)
{
    struct jid_buffer buffer;
    struct jid jid;
    enum jid_status status = jid_prepare(text, &buffer, &jid);
    if (status != JID_OK)
        return jid_status_text(status);
    if (jid.local_size == 0 || jid.resource_size > 0)
        return "an account is named user@domain";
    if (config_domain_find(control_configuration(control), jid_domain(&jid)) == NULL)
        return "the domain is not served here";
    struct span bare = jid_bare(&jid);
    if (bare.size > STORE_KEY_MAX)
        return "the address is too long for the store";
    memcpy(out, bare.ptr, bare.size);
    *size = bare.size;
    return NULL;
}

static bool take_jid(struct console *console, struct span word)
{
    if (console->control->store == NULL) {
        console_fail(console, "there is no store");
        return false;
    }
    const char *why = prepare(console->control, word, console->state.jid, &console->state.jid_size);
    if (why != NULL)
        console_fail(console, "%s", why);
    return why == NULL;
}

static struct span state_jid(const struct console *console)
{
    return span_of(console->state.jid, console->state.jid_size);
}

static void tell_changed(struct console *console, enum control_account_change change)
{
    struct control *control = console->control;
    static const char *const events[] = {
        [ACCOUNT_ADDED] = "account.added",       [ACCOUNT_DELETED] = "account.deleted",
        [ACCOUNT_PASSWORD] = "account.password", [ACCOUNT_DISABLED] = "account.disabled",
        [ACCOUNT_ENABLED] = "account.enabled",
    };
    log_event(LOG_INFO, events[change], "uid=%u jid=%s", console->uid, log_quoted(state_jid(console)).text);
    if (control->config.hooks.account_changed != NULL)
        control->config.hooks.account_changed(control->config.context, state_jid(console), change);
}

/* ---- add ---- */

static bool derive(const struct control *control, struct span line, struct account *account, const char **why)
{
    char prepared[3 * CONSOLE_LINE_MAX];
    size_t size = 0;
    uint8_t salt[SALT_SIZE];
    enum jid_status status = jid_prepare_password(line, prepared, sizeof(prepared), &size);
    *why = size == 0 ? "the password is empty" : "the password has characters that are not allowed (RFC 8265 s4.2)";
    bool ok = status == JID_OK && size > 0;
    if (ok && getrandom(salt, sizeof(salt), 0) != (ssize_t)sizeof(salt)) {
        *why = "the system gave no random bytes";
        ok = false;
    }
    const struct config *config = control->config.hooks.config(control->config.context);
    if (ok)
        account_derive(account, span_of(prepared, size), span_of(salt, sizeof(salt)), config->sasl_iterations);
    digest_wipe(prepared, sizeof(prepared));
    return ok;
}

static enum console_taken add_line(struct console *console, struct span line)
{
    struct account account = {0};
    uint8_t record[ACCOUNT_RECORD_MAX];
    const char *why;
    if (console->state.pending > 0)
        return LINE_LATER; /* a next command, while this one waits for the store */
    if (!derive(console->control, line, &account, &why)) {
        console_fail(console, "%s", why);
        return LINE_TAKEN;
    }
    size_t size = account_encode(&account, record);
    bool posted = control_store(console, STORE_CREATE, state_jid(console), span_of(record, size));
    digest_wipe(&account, sizeof(account));
    digest_wipe(record, sizeof(record));
    return posted ? LINE_TAKEN : LINE_LATER;
}

static void add_reply(struct console *console, const struct store_reply *reply)
{
    if (reply->status != STORE_DONE) {
        console_fail(console, "%s", store_status_text(reply->status));
        return;
    }
    tell_changed(console, ACCOUNT_ADDED);
    console_finish(console);
}

static const struct console_task add_task = {.line = add_line, .reply = add_reply};

void command_account_add(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    if (!take_jid(console, words[0]))
        return;
    console->task = &add_task;
    console_more(console, "the password");
}

/* ---- passwd, disable, enable: the record is read, changed and written, so that what is not named stays as it is ----
 */

static void change_post(struct console *console)
{
    struct console_state *state = &console->state;
    uint8_t record[ACCOUNT_RECORD_MAX];
    if (state->pending > 0 || !state->is_known)
        return;
    if (state->has_read) {
        size_t size = account_encode(&state->account, record);
        state->is_waiting = !control_store(console, STORE_UPDATE, state_jid(console), span_of(record, size));
        digest_wipe(record, sizeof(record));
    } else {
        state->writes = console->control->account_writes;
        state->is_waiting = !control_store(console, STORE_GET, state_jid(console), SPAN_NONE);
    }
}

/* What the command leaves alone comes from the record that is there. */
static bool change_merge(struct console_state *state, struct span record)
{
    struct account before;
    bool is_fine = account_decode(record, &before);
    if (is_fine && state->change == ACCOUNT_PASSWORD) {
        state->account.is_disabled = before.is_disabled;
    } else if (is_fine) {
        state->account = before;
        state->account.is_disabled = state->change == ACCOUNT_DISABLED;
    }
    digest_wipe(&before, sizeof(before));
    return is_fine;
}

static void change_reply(struct console *console, const struct store_reply *reply)
{
    struct console_state *state = &console->state;
    if (reply->status == STORE_FOUND && !change_merge(state, reply->value)) {
        console_fail(console, "the account's record is damaged: delete the account and add or import it again");
    } else if (reply->status == STORE_FOUND) {
        /* All accounts are written from this thread: if nothing was since, the record is still the one that was read.
         */
        state->has_read = state->writes == console->control->account_writes;
        change_post(console);
        return;
    } else if (reply->status != STORE_DONE) {
        console_fail(console, "%s", store_status_text(reply->status));
    } else {
        tell_changed(console, state->change);
        console_finish(console);
    }
    digest_wipe(&state->account, sizeof(state->account));
}

static enum console_taken change_line(struct console *console, struct span line)
{
    struct console_state *state = &console->state;
    const char *why;
    if (state->is_known)
        return LINE_LATER; /* a next command, while this one waits for the store */
    state->is_known = derive(console->control, line, &state->account, &why);
    if (!state->is_known)
        console_fail(console, "%s", why);
    change_post(console);
    return LINE_TAKEN;
}

static const struct console_task passwd_task = {.line = change_line, .reply = change_reply, .drained = change_post};
static const struct console_task change_task = {.reply = change_reply, .drained = change_post};

void command_account_passwd(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    console->state.change = ACCOUNT_PASSWORD;
    if (!take_jid(console, words[0]))
        return;
    console->task = &passwd_task;
    console_more(console, "the password");
}

static void change_start(struct console *console, struct span jid, enum control_account_change change)
{
    console->state.change = change;
    console->state.is_known = true;
    if (!take_jid(console, jid))
        return;
    console->task = &change_task;
    change_post(console);
}

void command_account_disable(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    change_start(console, words[0], ACCOUNT_DISABLED);
}

void command_account_enable(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    change_start(console, words[0], ACCOUNT_ENABLED);
}

/* ---- del ---- */

static void del_post(struct console *console)
{
    if (console->state.pending == 0)
        console->state.is_waiting = !control_store(console, STORE_DELETE, state_jid(console), SPAN_NONE);
}

static void del_reply(struct console *console, const struct store_reply *reply)
{
    if (reply->status != STORE_DONE) {
        console_fail(console, "%s", store_status_text(reply->status));
        return;
    }
    tell_changed(console, ACCOUNT_DELETED);
    console_finish(console);
}

static const struct console_task del_task = {.reply = del_reply, .drained = del_post};

void command_account_del(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    if (!take_jid(console, words[0]))
        return;
    console->task = &del_task;
    del_post(console);
}

/* ---- list, export: from one key to the next ---- */

static void list_end(struct console *console)
{
    if (!console->state.exports)
        answer_rows_end(&console->out);
    console_finish(console);
}

static void list_next(struct console *console)
{
    struct console_state *state = &console->state;
    if (state->pending > 0)
        return;
    if (state->count == state->count_max)
        list_end(console);
    else
        state->is_waiting = !control_store(console, STORE_LIST, span_of(state->key, state->key_size), SPAN_NONE);
}

static void list_row(struct console *console, const struct store_reply *reply, const struct account *account)
{
    char line[ACCOUNT_LINE_MAX];
    struct answer *out = &console->out;
    if (console->state.exports) {
        size_t size = account_to_line(reply->key, account, line);
        answer_append(out, span_of(line, size));
        answer_append(out, SPAN("\n"));
        digest_wipe(line, sizeof(line));
        return;
    }
    answer_row(out);
    answer_text(out, "jid", reply->key);
    answer_number(out, "iterations", account->iterations);
    answer_bool(out, "sha1", account->has_sha1);
    answer_bool(out, "sha256", account->has_sha256);
    answer_bool(out, "disabled", account->is_disabled);
    answer_row_end(out);
}

/* Keys come in the order of their bytes, so the first one that does not begin with the prefix ends the listing, except
 * that prefix itself when it is a key: the listing starts just before it. */
static void list_reply(struct console *console, const struct store_reply *reply)
{
    struct console_state *state = &console->state;
    struct account account;
    bool is_ours = reply->status == STORE_FOUND && reply->key.size >= state->jid_size &&
                   memcmp(reply->key.ptr, state->jid, state->jid_size) == 0;
    if (reply->status == STORE_FAILED) {
        answer_rows_end(&console->out);
        console_fail(console, "%s", store_status_text(reply->status));
        return;
    }
    if (!is_ours) {
        list_end(console);
        return;
    }
    memcpy(state->key, reply->key.ptr, reply->key.size);
    state->key_size = reply->key.size;
    if (account_decode(reply->value, &account)) {
        list_row(console, reply, &account);
        state->count++;
    } else {
        log_event(LOG_ERROR, "account.damaged", "jid=%s", log_quoted(reply->key).text);
    }
    digest_wipe(&account, sizeof(account));
    if (console_waiting(console) < CONSOLE_OUT_HIGH)
        list_next(console);
}

static const struct console_task list_task = {.reply = list_reply, .drained = list_next};

static void list_start(struct console *console, struct span prefix)
{
    struct console_state *state = &console->state;
    if (console->control->store == NULL) {
        console_fail(console, "there is no store");
        return;
    }
    if (prefix.size > STORE_KEY_MAX) {
        console_fail(console, "the prefix is too long");
        return;
    }
    memcpy(state->jid, prefix.ptr, prefix.size);
    state->jid_size = prefix.size;
    /* LIST gives the first key greater than this one: the prefix with its last byte one less and 0xff behind it lies
     * before every key that begins with the prefix, and behind every key that does not and is smaller. */
    memcpy(state->key, prefix.ptr, prefix.size);
    state->key_size = prefix.size;
    if (prefix.size > 0) {
        state->key[prefix.size - 1] = (char)((unsigned char)state->key[prefix.size - 1] - 1);
        while (state->key_size < STORE_KEY_MAX)
            state->key[state->key_size++] = (char)0xff;
    }
    console->task = &list_task;
    if (!state->exports)
        answer_rows(&console->out);
    list_next(console);
}

void command_account_list(struct console *console, const struct span *words, unsigned count)
{
    bool has_number = count > 0 && command_number(words[0], LIST_MAX, &console->state.count_max);
    if (!has_number)
        console->state.count_max = LIST_DEFAULT;
    if (count > 1 && !has_number) {
        console_fail(console, "usage: account list [N] [PREFIX]");
        return;
    }
    list_start(console, count > (has_number ? 1u : 0u) ? words[count - 1] : SPAN(""));
}

void command_account_export(struct console *console, const struct span *words, unsigned count)
{
    if (console->out.is_json) {
        console_fail(console, "an export is not available as JSON: leave out json");
        return;
    }
    console->state.count_max = UINT64_MAX;
    console->state.exports = true;
    list_start(console, count > 0 ? words[0] : SPAN(""));
}

/* ---- import: lines are posted as they come, replies are counted ---- */

/* line 0: not known any more, since the store refused it. */
static void import_refuse(struct console *console, uint64_t line, struct span jid, const char *why)
{
    struct answer *out = &console->out;
    if (console->state.refused++ >= IMPORT_REASON_MAX)
        return;
    answer_row(out);
    answer_string(out, "result", "refused");
    if (line > 0)
        answer_number(out, "line", line);
    answer_text(out, "jid", jid);
    answer_string(out, "reason", why);
    answer_row_end(out);
}

static void import_end(struct console *console)
{
    struct console_state *state = &console->state;
    answer_row(&console->out);
    answer_string(&console->out, "result", "summary");
    answer_number(&console->out, "imported", state->count);
    answer_number(&console->out, "refused", state->refused);
    answer_row_end(&console->out);
    answer_rows_end(&console->out);
    if (state->refused > 0)
        console_fail(console, "%llu of %llu lines were refused", (unsigned long long)state->refused,
                     (unsigned long long)state->line);
    else
        console_finish(console);
}

static enum console_taken import_line(struct console *console, struct span line)
{
    struct console_state *state = &console->state;
    struct account account = {0};
    struct span jid = SPAN_NONE;
    const char *why = NULL;
    uint8_t record[ACCOUNT_RECORD_MAX];
    char key[JID_SIZE_MAX];
    size_t key_size = 0;
    if (state->has_all)
        return LINE_LATER; /* a next command, while the last accounts are written */
    if (span_is(line, ".")) {
        state->has_all = true;
        if (state->pending == 0)
            import_end(console);
        return LINE_TAKEN;
    }
    if (line.size == 0 || line.ptr[0] == '#')
        return LINE_TAKEN;
    if (account_from_line(line, &jid, &account, &why))
        why = prepare(console->control, jid, key, &key_size);
    else if (why == NULL)
        why = "not a line of an export";
    if (why == NULL) {
        size_t size = account_encode(&account, record);
        enum store_op op = state->replaces ? STORE_PUT : STORE_CREATE;
        if (!control_store(console, op, span_of(key, key_size), span_of(record, size)))
            return LINE_LATER; /* the store's queue is full: again with the next replies */
        digest_wipe(record, sizeof(record));
    }
    digest_wipe(&account, sizeof(account));
    state->line++;
    if (why != NULL)
        import_refuse(console, state->line, jid, why);
    return LINE_TAKEN;
}

static void import_reply(struct console *console, const struct store_reply *reply)
{
    struct console_state *state = &console->state;
    if (reply->status == STORE_DONE)
        state->count++;
    else
        import_refuse(console, 0, reply->key, store_status_text(reply->status));
    if (state->has_all && state->pending == 0)
        import_end(console);
}

static const struct console_task import_task = {.line = import_line, .reply = import_reply};

void command_account_import(struct console *console, const struct span *words, unsigned count)
{
    if (count > 0 && !span_is(words[0], "replace")) {
        console_fail(console, "usage: account import [replace]");
        return;
    }
    if (console->control->store == NULL) {
        console_fail(console, "there is no store");
        return;
    }
    console->state.replaces = count > 0;
    console->task = &import_task;
    console_more(console, "accounts, then a dot");
    answer_rows(&console->out);
}
