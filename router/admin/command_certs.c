/* SPDX-License-Identifier: MIT */
#include "router/admin/command_priv.h"

#include "core/base/hex.h"
#include "router/admin/control_priv.h"

#define CHAINS_DEFAULT 100u
#define CHAINS_MAX     4000u /* in one answer of CONSOLE_OUT_MAX */

static const struct control_certs *take_certs(struct console *console)
{
    const struct control_certs *certs = &console->control->config.certs;
    if (certs->list)
        return certs;
    console_fail(console, "this router was started without the part that checks certificates");
    return NULL;
}

/* ---- show certs peers ---- */

struct listing {
    struct answer *out;
    uint64_t left;
};

static void text_if_known(struct answer *out, const char *name, struct span value)
{
    if (value.size > 0)
        answer_text(out, name, value);
}

static void add_chain(void *context, const struct control_chain *chain)
{
    struct listing *listing = context;
    struct answer *out = listing->out;
    if (listing->left == 0)
        return;
    listing->left--;
    answer_row(out);
    answer_string(out, "certificate", chain->certificate);
    answer_string(out, "sha256", chain->sha256);
    answer_string(out, "serial", chain->serial);
    text_if_known(out, "names", chain->names);
    answer_number(out, "streams", chain->streams);
    answer_date(out, "expires", chain->expires);
    answer_string(out, "source", chain->source);
    text_if_known(out, "url", chain->url);
    if (chain->file != NULL)
        answer_string(out, "file", chain->file);
    answer_string(out, "standing", chain->standing);
    if (chain->answer != NULL)
        answer_string(out, "answer", chain->answer);
    answer_bool(out, "stapled", chain->is_stapled);
    answer_date(out, "checked", chain->checked);
    answer_date(out, "next", chain->next);
    answer_bool(out, "asking", chain->is_asking);
    answer_row_end(out);
}

void command_show_certs_peers(struct console *console, const struct span *words, unsigned count)
{
    struct listing listing = {&console->out, CHAINS_DEFAULT};
    const struct control_certs *certs = take_certs(console);
    if (certs == NULL)
        return;
    bool has_number = count > 0 && command_number(words[0], CHAINS_MAX, &listing.left);
    if (!has_number)
        listing.left = CHAINS_DEFAULT;
    if (count > 1 && !has_number) {
        console_fail(console, "the first word is not a number up to %u", CHAINS_MAX);
        return;
    }
    if (count > (has_number ? 1u : 0u) && !command_domain(console, words[has_number ? 1 : 0]))
        return;
    answer_rows(&console->out);
    certs->list(certs->context, span_of(console->state.jid, console->state.jid_size), add_chain, &listing);
    answer_rows_end(&console->out);
    console_finish(console);
}

/* ---- show certs: ours ---- */

static void string_if_known(struct answer *out, const char *name, const char *value)
{
    if (value != NULL)
        answer_string(out, name, value);
}

static void add_staple(struct answer *out, const struct control_staple *staple)
{
    string_if_known(out, "staple", staple->state);
    string_if_known(out, "must_staple", staple->demanded);
    answer_date(out, "staple_made", staple->made);
    answer_date(out, "staple_until", staple->until);
    answer_date(out, "revoked", staple->revoked);
    answer_date(out, "failing", staple->failing);
    string_if_known(out, "answer", staple->answer);
    text_if_known(out, "url", staple->url);
    answer_date(out, "checked", staple->checked);
    answer_date(out, "next", staple->next);
}

static void add_own(void *context, const struct control_own *own)
{
    struct answer *out = context;
    answer_row(out);
    answer_string(out, "domain", own->domain);
    string_if_known(out, "use", own->use);
    answer_number(out, "depth", own->depth);
    text_if_known(out, "names", own->names);
    text_if_known(out, "subject", own->subject);
    text_if_known(out, "issuer", own->issuer);
    answer_string(out, "sha256", own->sha256);
    answer_string(out, "serial", own->serial);
    answer_date(out, "expires", own->expires);
    if (own->expires != 0)
        answer_integer(out, "days_left", own->days_left);
    if (own->depth == 0)
        add_staple(out, &own->staple);
    answer_row_end(out);
}

void command_show_certs(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    const struct control_hooks *hooks = &console->control->config.hooks;
    answer_rows(&console->out);
    if (hooks->own != NULL)
        hooks->own(console->control->config.context, add_own, &console->out);
    answer_rows_end(&console->out);
    console_finish(console);
}

/* ---- certs check, certs distrust, certs trust ---- */

void command_certs_check(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    const struct control_certs *certs = take_certs(console);
    if (certs == NULL || !command_domain(console, words[0]))
        return;
    answer_record(&console->out);
    answer_number(&console->out, "chains",
                  certs->check(certs->context, span_of(console->state.jid, console->state.jid_size)));
    answer_record_end(&console->out);
    console_finish(console);
}

#define HASH_SIZE   32u
#define SERIAL_SIZE 20u /* of the number itself (RFC 5280 s4.1.2.2); an octet more where its first bit is set */

/* A serial number as DER has it: positive, in its shortest form (X.690 s8.3.2), where people and other programs leave
 * out the octet for the sign or write more zeros. octets has one to spare in front. False: too long. */
static bool take_serial(uint8_t *octets, size_t used, struct span *name)
{
    uint8_t *first = octets + 1;
    while (used > 1 && *first == 0) {
        first++;
        used--;
    }
    if (used > SERIAL_SIZE)
        return false;
    if (*first & 0x80) {
        *--first = 0;
        used++;
    }
    *name = span_of(first, used);
    return true;
}

/* What the word says, in octets of 1 + HASH_SIZE, and who is to be told. NULL: it was answered. */
static const struct control_certs *take_name(struct console *console, struct span word, uint8_t *octets,
                                             struct span *name)
{
    size_t used;
    const struct control_certs *certs = take_certs(console);
    if (certs == NULL)
        return NULL;
    *name = span_of(octets + 1, HASH_SIZE);
    if (hex_decode(word, octets + 1, HASH_SIZE, &used) && used > 0 &&
        (used == HASH_SIZE || take_serial(octets, used, name)))
        return certs;
    console_fail(console, "neither a serial number of up to %u octets nor a SHA-256, in pairs of hex digits",
                 SERIAL_SIZE);
    return NULL;
}

void command_certs_distrust(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    uint8_t octets[1 + HASH_SIZE] = {0};
    struct span name;
    const struct control_certs *certs = take_name(console, words[0], octets, &name);
    if (certs == NULL)
        return;
    answer_record(&console->out);
    answer_number(&console->out, "chains", certs->distrust(certs->context, name));
    answer_string(&console->out, "lasts",
                  certs->is_lasting(certs->context) ? "over restarts"
                                                    : "until the process ends, for certs.cache_file is not set");
    answer_record_end(&console->out);
    console_finish(console);
}

void command_certs_trust(struct console *console, const struct span *words, unsigned count)
{
    (void)count;
    uint8_t octets[1 + HASH_SIZE] = {0};
    struct span name;
    const struct control_certs *certs = take_name(console, words[0], octets, &name);
    if (certs == NULL)
        return;
    answer_record(&console->out);
    answer_bool(&console->out, "was_distrusted", certs->trust(certs->context, name));
    answer_record_end(&console->out);
    console_finish(console);
}

static void add_distrusted(void *context, const char *name, bool is_sha256)
{
    struct answer *out = context;
    answer_row(out);
    answer_string(out, "name", name);
    answer_string(out, "kind", is_sha256 ? "sha256" : "serial");
    answer_row_end(out);
}

void command_show_certs_distrusted(struct console *console, const struct span *words, unsigned count)
{
    (void)words;
    (void)count;
    const struct control_certs *certs = take_certs(console);
    if (certs == NULL)
        return;
    answer_rows(&console->out);
    certs->distrusted(certs->context, add_distrusted, &console->out);
    answer_rows_end(&console->out);
    console_finish(console);
}
