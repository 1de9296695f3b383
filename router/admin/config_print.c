/* SPDX-License-Identifier: MIT */
#include "router/admin/config_priv.h"

void config_print(const struct config *config, FILE *out)
{
    for (unsigned i = 0; i < config->domain_count; i++) {
        fprintf(out, "domain \"%s\" {\n", config->domains[i].name);
        for (unsigned k = 0; k < CONFIG_DOMAIN_KEY_COUNT; k++) {
            const struct config_key *key = &config_domain_keys[k];
            if (key->type == CONFIG_PATH && config->domains[i].key[0] == 0)
                continue; /* a domain without TLS */
            fprintf(out, "    %s = ", key->name);
            config_value_print(key, (const char *)&config->domains[i] + key->offset, out);
            fputs(";\n", out);
        }
        fputs("}\n", out);
    }
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        unsigned line = config->private->lines[i];
        fprintf(out, "%s = ", config_keys[i].name);
        config_value_print(&config_keys[i], (const char *)config + config_keys[i].offset, out);
        if (line == CONFIG_LINE_NONE)
            fputs("; # default\n", out);
        else if (line == CONFIG_LINE_OVERRIDE)
            fputs("; # --set\n", out);
        else
            fprintf(out, "; # line %u\n", line);
    }
}

static const char manual_head[] =
    "# Configuration\n"
    "\n"
    "*Made by `sluiced --print-config-manual` from `router/admin/config_keys.def`; a test compares it with the "
    "table.*\n"
    "\n"
    "`sluiced --config FILE` reads one file. `sluiced --config FILE --check` validates it and prints the effective\n"
    "configuration, each line with where it came from. `--set KEY=VALUE` overrides one key. A reload (`SIGHUP` or\n"
    "`sluicectl reload`) reads the file again: if anything in it is wrong, nothing changes.\n"
    "\n"
    "## Syntax\n"
    "\n"
    "```\n"
    "# a comment, up to the end of the line\n"
    "domain \"example.com\" { certificate = \"example.com.pem\"; key = \"example.com.key\"; }\n"
    "tls { required = true; version_min = \"1.2\"; }    # the same as: tls.required = true; tls.version_min = "
    "\"1.2\";\n"
    "listen.c2s = [\"0.0.0.0:5222\", \"[::]:5222\"];\n"
    "timeouts.header = 10s;\n"
    "limits.stanza_size = 256KiB;\n"
    "```\n"
    "\n"
    "- A value is a word, a text in double quotes (`\\\"` and `\\\\` inside), or a list in brackets. The `=` may be "
    "left\n"
    "  out, and the `;` at the end of a line.\n"
    "- Sizes have a unit B, KiB, MiB or GiB (none: bytes). Times need one: ms, s, min, h, d.\n"
    "- Relative paths are relative to the folder of the file.\n"
    "- An unknown key, a key set twice and a value out of range are refused with file, line and key.\n"
    "- There are no includes.\n"
    "\n";

static const char *type_text(enum config_type type, bool has_choices)
{
    switch (type) {
    case CONFIG_BOOL:
        return "true or false";
    case CONFIG_COUNT:
        return "number";
    case CONFIG_SIZE:
        return "size";
    case CONFIG_TIME:
        return "time";
    case CONFIG_STRING:
        return "text";
    case CONFIG_PATH:
        return "path";
    case CONFIG_CHOICE:
        return "one of";
    case CONFIG_LIST:
        return has_choices ? "list of" : "list";
    case CONFIG_PATHS:
        return "list of paths";
    case CONFIG_ADDRESSES:
        return "list of ADDRESS:PORT";
    }
    return "";
}

static void print_number(const struct config_key *key, uint64_t number, FILE *out)
{
    uint32_t value = (uint32_t)number;
    config_value_print(key, &value, out);
}

static void print_type(const struct config_key *key, FILE *out)
{
    fputs(type_text(key->type, key->choices[0] != 0), out);
    if (key->max > 0) {
        fputs(", ", out);
        print_number(key, key->min, out);
        fputs(" to ", out);
        print_number(key, key->max, out);
    }
    for (unsigned i = 0; config_value_choice(key->choices, i).size > 0; i++)
        fprintf(out, "%s `%.*s`", i > 0 ? "," : "", SPAN_ARG(config_value_choice(key->choices, i)));
}

static void print_domain_key(const struct config_key *key, FILE *out)
{
    fprintf(out, "| `%s` | ", key->name);
    print_type(key, out);
    fprintf(out, "%s | %s |\n", key->type == CONFIG_PATH ? ", required if `tls.required`" : "", key->text);
}

void config_print_manual(FILE *out)
{
    fputs(manual_head, out);
    fputs("## `domain \"NAME\" { ... }`\n\n"
          "One section for each domain served; at least one. The first one answers TLS clients that name none. Applied "
          "by a\n"
          "reload.\n\n| key | value | meaning |\n|---|---|---|\n",
          out);
    for (unsigned i = 0; i < CONFIG_DOMAIN_KEY_COUNT; i++)
        print_domain_key(&config_domain_keys[i], out);
    fputs("\n## Keys\n\n| key | value | default | applied by | meaning |\n|---|---|---|---|---|\n", out);
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        fprintf(out, "| `%s` | ", key->name);
        print_type(key, out);
        fprintf(out, " | %s%s%s | %s | %s |\n", key->initial[0] != 0 ? "`" : "empty", key->initial,
                key->initial[0] != 0 ? "`" : "", key->apply == CONFIG_RELOAD ? "reload" : "restart", key->text);
    }
}
