/* SPDX-License-Identifier: MIT */
#include "router/admin/config.h"

#include "core/base/check.h"
#include "core/jid/jid.h"
#include "router/admin/config_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* The whole file, allocated; NULL with err set. */
static char *read_file(const char *path, size_t *out_size, struct err *err)
{
    FILE *file = fopen(path, "re");
    char *bytes = file == NULL ? NULL : malloc(CONFIG_FILE_MAX + 1);
    size_t size = bytes == NULL ? 0 : fread(bytes, 1, CONFIG_FILE_MAX + 1, file);
    bool failed = bytes == NULL || ferror(file) != 0;
    if (failed)
        err_set(err, "%s: cannot be read: %s", path, strerror(errno));
    else if (size > CONFIG_FILE_MAX)
        err_set(err, "%s: is larger than %u bytes", path, CONFIG_FILE_MAX);
    if (file != NULL)
        fclose(file);
    *out_size = size;
    if (!failed && size <= CONFIG_FILE_MAX)
        return bytes;
    free(bytes);
    return NULL;
}

/* The folder that relative paths are taken from: that of the file, else the working folder. */
static const char *folder_of(const char *path, struct arena *arena, struct err *err)
{
    char folder[PATH_MAX];
    if (getcwd(folder, sizeof(folder)) == NULL) {
        err_set(err, "the working folder is not known: %s", strerror(errno));
        return NULL;
    }
    const char *slash = path == NULL ? NULL : strrchr(path, '/');
    struct span head = slash == NULL ? SPAN_NONE : span_of(path, slash == path ? 1 : (size_t)(slash - path));
    char *out = arena_take(arena, strlen(folder) + head.size + 2);
    if (out == NULL) {
        err_set(err, "the configuration is too large");
        return NULL;
    }
    if (slash == NULL)
        strcpy(out, folder);
    else if (path[0] == '/')
        memcpy(out, head.ptr, head.size);
    else
        sprintf(out, "%s/%.*s", strcmp(folder, "/") == 0 ? "" : folder, SPAN_ARG(head));
    return out;
}

static void *field_of(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

static bool set_default(struct config *config, const struct config_key *key)
{
    struct arena *arena = &config->private->arena;
    struct config_text text;
    struct err err;
    if (!config_value_split(key, key->initial, arena, &text, &err))
        return false;
    return config_value_parse(key, &text, config->folder, arena, field_of(config, key), &err);
}

static bool refuse_unknown(const struct config_entry *entry, const char *file, struct err *err)
{
    const char *nearest = config_key_nearest(entry->key);
    err_set(err, "%s:%u: %s: unknown key%s%s%s", file, entry->line, entry->key,
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    return false;
}

static bool apply_entry(struct config *config, const struct config_entry *entry, struct err *err)
{
    const struct config_key *key = config_key_find(entry->key);
    if (key == NULL)
        return refuse_unknown(entry, config->path, err);
    unsigned *line = &config->private->lines[key - config_keys];
    if (*line != CONFIG_LINE_NONE) {
        err_set(err, "%s:%u: %s: set twice; first on line %u", config->path, entry->line, entry->key, *line);
        return false;
    }
    *line = entry->line;
    if (config_value_parse(key, &entry->text, config->folder, &config->private->arena, field_of(config, key), err))
        return true;
    err_prefix(err, "%s:%u: %s", config->path, entry->line, entry->key);
    return false;
}

/* The entries of one domain section: the one that opened it, and those behind it with the same title. */
static bool read_domain(struct config *config, const struct config_entry *open, struct config_domain *domain,
                        struct err *err)
{
    char name[JID_PART_MAX];
    size_t size = 0;
    enum jid_status status = jid_prepare_domain(span_str(open->title), name, &size);
    if (status != JID_OK) {
        err_set(err, "%s:%u: domain \"%s\": %s", config->path, open->line, open->title, jid_status_text(status));
        return false;
    }
    domain->name = arena_copy(&config->private->arena, span_of(name, size));
    unsigned lines[CONFIG_DOMAIN_KEY_COUNT] = {0};
    for (const struct config_entry *entry = open->next; entry != NULL && entry->title == open->title;
         entry = entry->next) {
        const char *dot = strchr(entry->key, '.');
        const struct config_key *key = dot == NULL ? NULL : config_domain_key_find(dot + 1);
        if (key == NULL) {
            err_set(err, "%s:%u: %s: unknown key; a domain has certificate, key and mechanism_min", config->path,
                    entry->line, entry->key);
            return false;
        }
        unsigned *line = &lines[key - config_domain_keys];
        if (*line != 0) {
            err_set(err, "%s:%u: %s: set twice; first on line %u", config->path, entry->line, entry->key, *line);
            return false;
        }
        *line = entry->line;
        if (!config_value_parse(key, &entry->text, config->folder, &config->private->arena,
                                (char *)domain + key->offset, err)) {
            err_prefix(err, "%s:%u: %s", config->path, entry->line, entry->key);
            return false;
        }
    }
    if ((domain->certificate[0] == 0) != (domain->key[0] == 0)) {
        err_set(err, "%s:%u: domain \"%s\": %s is missing", config->path, open->line, open->title,
                domain->key[0] == 0 ? "key" : "certificate");
        return false;
    }
    return domain->name != NULL;
}

static bool add_domain(struct config *config, struct config_domain *domains, const struct config_entry *open,
                       struct err *err)
{
    if (strcmp(open->key, "domain") != 0) {
        err_set(err, "%s:%u: %s \"%s\": this section takes no name", config->path, open->line, open->key, open->title);
        return false;
    }
    if (config->domain_count == CONFIG_DOMAIN_MAX) {
        err_set(err, "%s:%u: domain \"%s\": more than %u domains", config->path, open->line, open->title,
                CONFIG_DOMAIN_MAX);
        return false;
    }
    struct config_domain domain = {.certificate = "", .key = ""};
    if (!read_domain(config, open, &domain, err))
        return false;
    if (config_domain_find(config, span_str(domain.name)) != NULL) {
        err_set(err, "%s:%u: domain \"%s\": stands twice", config->path, open->line, open->title);
        return false;
    }
    domains[config->domain_count++] = domain;
    return true;
}

static bool apply_entries(struct config *config, const struct config_entry *first, struct err *err)
{
    size_t sections = 1;
    for (const struct config_entry *entry = first; entry != NULL; entry = entry->next)
        sections += entry->opens_section;
    struct config_domain *domains = arena_take(&config->private->arena, sizeof(*domains) * sections);
    config->domains = domains;
    if (domains == NULL) {
        err_set(err, "%s: the configuration is too large", config->path);
        return false;
    }
    for (const struct config_entry *entry = first; entry != NULL; entry = entry->next) {
        if (entry->opens_section && !add_domain(config, domains, entry, err))
            return false;
        if (entry->title == NULL && !apply_entry(config, entry, err))
            return false;
    }
    return true;
}

static bool apply_file(struct config *config, struct err *err)
{
    size_t size;
    char *bytes = read_file(config->path, &size, err);
    if (bytes == NULL)
        return false;
    struct config_entry *first;
    bool ok = config_reader_read(span_of(bytes, size), config->path, &config->private->arena, &first, err) &&
              apply_entries(config, first, err);
    free(bytes);
    return ok;
}

static bool apply_override(struct config *config, const char *override, struct err *err)
{
    struct arena *arena = &config->private->arena;
    const char *equals = strchr(override, '=');
    const char *name = equals == NULL ? NULL : arena_copy(arena, span_of(override, (size_t)(equals - override)));
    if (name == NULL) {
        err_set(err, "--set %s: not of the form KEY=VALUE", override);
        return false;
    }
    const struct config_key *key = config_key_find(name);
    if (key == NULL) {
        const char *nearest = config_key_nearest(name);
        err_set(err, "--set %s: unknown key%s%s%s", name, nearest != NULL ? "; did you mean " : "",
                nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
        return false;
    }
    config->private->lines[key - config_keys] = CONFIG_LINE_OVERRIDE;
    struct config_text text;
    const char *folder = folder_of(NULL, arena, err);
    if (folder != NULL && config_value_split(key, equals + 1, arena, &text, err) &&
        config_value_parse(key, &text, folder, arena, field_of(config, key), err))
        return true;
    err_prefix(err, "--set %s", name);
    return false;
}

/* "file:line" of a key, "--set", or the file alone when it was left at its default. */
static bool refuse_value(const struct config *config, enum config_key_index index, const char *reason, struct err *err)
{
    unsigned line = config->private->lines[index];
    const char *name = config_keys[index].name;
    if (line == CONFIG_LINE_OVERRIDE)
        err_set(err, "--set %s: %s", name, reason);
    else if (line == CONFIG_LINE_NONE)
        err_set(err, "%s: %s: %s", config->path, name, reason);
    else
        err_set(err, "%s:%u: %s: %s", config->path, line, name, reason);
    return false;
}

/* "example.org" or "*.example.org", spelled as it stands in addresses: what would never match is a mistake. */
static bool is_domain_pattern(struct span name)
{
    char prepared[JID_PART_MAX];
    size_t size;
    if (name.size > 2 && name.ptr[0] == '*' && name.ptr[1] == '.')
        name = span_skip(name, 2);
    return jid_prepare_domain(name, prepared, &size) == JID_OK && span_equal(span_of(prepared, size), name);
}

static bool check_patterns(const struct config *config, enum config_key_index index, const struct config_list *list,
                           struct err *err)
{
    for (unsigned i = 0; i < list->count; i++) {
        char reason[256];
        if (is_domain_pattern(span_str(list->items[i])))
            continue;
        snprintf(reason, sizeof(reason), "\"%.200s\" is no domain as it stands in addresses", list->items[i]);
        return refuse_value(config, index, reason, err);
    }
    return true;
}

struct span config_policy_item(const char *item, enum config_s2s_policy *policy)
{
    const char *choices = config_keys[CONFIG_KEY_s2s_policy].choices;
    const char *equals = strchr(item, '=');
    struct span choice;
    for (unsigned i = 0; equals != NULL && (choice = config_value_choice(choices, i)).size > 0; i++) {
        if (!span_is(choice, equals + 1))
            continue;
        *policy = (enum config_s2s_policy)i;
        return span_of(item, (size_t)(equals - item));
    }
    return SPAN_NONE;
}

/* What would never be looked at is a mistake. */
static bool check_policy_item(const struct config *config, unsigned index, struct err *err)
{
    const struct config_list *list = &config->s2s_policies;
    enum config_s2s_policy policy, other;
    char reason[320];
    struct span name = config_policy_item(list->items[index], &policy);
    const char *fault = NULL;
    if (name.size == 0)
        fault = "is not of the form DOMAIN=WORD with a word of s2s.policy";
    else if (!is_domain_pattern(name))
        fault = "has no domain as it stands in addresses";
    else if (policy == S2S_DANE && config->s2s_dnssec_anchor[0] == 0)
        fault = "needs s2s.dnssec_anchor";
    for (unsigned i = 0; i < index && fault == NULL; i++)
        if (span_equal(config_policy_item(list->items[i], &other), name))
            fault = "says for a second time what holds for this domain";
    if (fault == NULL)
        return true;
    snprintf(reason, sizeof(reason), "\"%.200s\" %s", list->items[index], fault);
    return refuse_value(config, CONFIG_KEY_s2s_policies, reason, err);
}

/* A server that has to prove itself by TLSA records could not, if nothing validates them. */
static bool check_policies(const struct config *config, struct err *err)
{
    if (config->s2s_policy == S2S_DANE && config->s2s_dnssec_anchor[0] == 0)
        return refuse_value(config, CONFIG_KEY_s2s_policy, "\"dane\" needs s2s.dnssec_anchor", err);
    for (unsigned i = 0; i < config->s2s_policies.count; i++)
        if (!check_policy_item(config, i, err))
            return false;
    return true;
}

/* Of the mechanisms configured at least one must be strong enough for every domain. */
static bool check_strength(const struct config *config, struct err *err)
{
    const struct config_key *key = &config_domain_keys[CONFIG_DOMAIN_KEY_COUNT - 1];
    for (unsigned d = 0; d < config->domain_count && !config->sasl_anonymous; d++) {
        enum config_strength min = config_strength_min(config, span_str(config->domains[d].name));
        bool has_any = false;
        unsigned max = config->tls_client_certificates ? STRENGTH_EXTERNAL : STRENGTH_SHA256_PLUS;
        for (unsigned m = 0; m < config->sasl_mechanisms.count; m++)
            for (unsigned s = min; s <= max; s++)
                has_any |=
                    span_equal(config_value_choice(key->choices, s + 1), span_str(config->sasl_mechanisms.items[m]));
        if (has_any)
            continue;
        err_set(err, "%s: domain \"%s\": no mechanism of sasl.mechanisms is strong enough: nobody could log in",
                config->path, config->domains[d].name);
        return false;
    }
    return true;
}

static bool check_client_certificates(const struct config *config, struct err *err)
{
    if (config->tls_client_certificates == CLIENT_CERTIFICATES_OFF)
        return true;
    if (config->tls_client_ca_file[0] == 0)
        return refuse_value(config, CONFIG_KEY_tls_client_ca_file,
                            "empty, and tls.client_certificates is on: nobody could be believed", err);
    if (config->tls_client_certificates == CLIENT_CERTIFICATES_REQUIRED && !config->tls_required)
        return refuse_value(config, CONFIG_KEY_tls_client_certificates,
                            "required, and tls.required is off: without TLS nobody could present one", err);
    return true;
}

/* What one key alone cannot tell. */
static bool check_together(const struct config *config, struct err *err)
{
    if (config->domain_count == 0) {
        err_set(err, "%s: no domain: at least one section domain \"example.com\" { certificate = ...; key = ...; }",
                config->path);
        return false;
    }
    for (unsigned i = 0; config->tls_required && i < config->domain_count; i++) {
        if (config->domains[i].certificate[0] != 0)
            continue;
        err_set(err, "%s: domain \"%s\": certificate and key are missing, and tls.required is on", config->path,
                config->domains[i].name);
        return false;
    }
    if (config->listen_c2s.count + config->listen_c2s_tls.count == 0)
        return refuse_value(config, CONFIG_KEY_listen_c2s, "empty, and listen.c2s_tls too: nobody could connect", err);
    if (config->sasl_mechanisms.count == 0 && !config->sasl_anonymous)
        return refuse_value(config, CONFIG_KEY_sasl_mechanisms, "empty, and sasl.anonymous is off: nobody could log in",
                            err);
    if (!check_strength(config, err) || !check_client_certificates(config, err))
        return false;
    if (!check_patterns(config, CONFIG_KEY_s2s_allow, &config->s2s_allow, err) ||
        !check_patterns(config, CONFIG_KEY_s2s_deny, &config->s2s_deny, err) || !check_policies(config, err))
        return false;
    if (config->limits_stanza_size_unauthenticated > config->limits_stanza_size)
        return refuse_value(config, CONFIG_KEY_limits_stanza_size_unauthenticated, "larger than limits.stanza_size",
                            err);
    if (config->limits_elements_unauthenticated > config->limits_elements)
        return refuse_value(config, CONFIG_KEY_limits_elements_unauthenticated, "larger than limits.elements", err);
    if (config->limits_queue_soft > config->limits_queue_hard)
        return refuse_value(config, CONFIG_KEY_limits_queue_soft, "larger than limits.queue_hard", err);
    if (config->limits_queue_hard < config->limits_stanza_size)
        return refuse_value(config, CONFIG_KEY_limits_queue_hard, "smaller than limits.stanza_size", err);
    if (config->s2s_queue_hard < config->limits_stanza_size)
        return refuse_value(config, CONFIG_KEY_s2s_queue_hard, "smaller than limits.stanza_size", err);
    if ((config->limits_link_size & (config->limits_link_size - 1)) != 0)
        return refuse_value(config, CONFIG_KEY_limits_link_size, "not a power of two", err);
    size_t octal = strspn(config->admin_mode, "01234567");
    if (octal < 3 || octal > 4 || config->admin_mode[octal] != 0 || strtoul(config->admin_mode, NULL, 8) > 0777)
        return refuse_value(config, CONFIG_KEY_admin_mode, "not an octal mode like 0600", err);
    if (config->store_path[0] == 0)
        return refuse_value(config, CONFIG_KEY_store_path, "empty", err);
    return true;
}

static struct config *config_new(const char *path, struct err *err)
{
    struct config *config = calloc(1, sizeof(*config));
    struct config_private *private = calloc(1, sizeof(*private));
    if (config == NULL || private == NULL) {
        free(config);
        free(private);
        err_set(err, "no memory for the configuration");
        return NULL;
    }
    arena_init(&private->arena, CONFIG_MEMORY_MAX);
    atomic_init(&private->references, 1);
    config->private = private;
    config->path = arena_copy(&private->arena, span_str(path == NULL ? "(no file)" : path));
    config->folder = folder_of(path, &private->arena, err);
    if (config->path == NULL || config->folder == NULL) {
        config_unref(config);
        return NULL;
    }
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++)
        SL_CHECK(set_default(config, &config_keys[i])); /* a default that its own row refuses is a bug of the table */
    return config;
}

struct config *config_load(const char *path, const char *const *overrides, unsigned override_count, struct err *err)
{
    struct config *config = config_new(path, err);
    if (config == NULL)
        return NULL;
    bool ok = path == NULL || apply_file(config, err);
    for (unsigned i = 0; ok && i < override_count; i++)
        ok = apply_override(config, overrides[i], err);
    if (ok && (path == NULL || check_together(config, err)))
        return config;
    config_unref(config);
    return NULL;
}

struct config *config_ref(struct config *config)
{
    atomic_fetch_add_explicit(&config->private->references, 1, memory_order_relaxed);
    return config;
}

void config_unref(struct config *config)
{
    if (config == NULL)
        return;
    /* Release: what this thread read is over; acquire by the last one, who frees it. */
    if (atomic_fetch_sub_explicit(&config->private->references, 1, memory_order_acq_rel) != 1)
        return;
    arena_fini(&config->private->arena);
    free(config->private);
    free(config);
}

/* Linear: for the control thread and the loading itself. The router keeps its own table of domains. */
const struct config_domain *config_domain_find(const struct config *config, struct span name)
{
    for (unsigned i = 0; i < config->domain_count; i++) {
        if (span_is(name, config->domains[i].name))
            return &config->domains[i];
    }
    return NULL;
}

static bool are_domains_equal(const struct config *a, const struct config *b)
{
    if (a->domain_count != b->domain_count)
        return false;
    for (unsigned i = 0; i < a->domain_count; i++) {
        const struct config_domain *x = &a->domains[i], *y = &b->domains[i];
        if (strcmp(x->name, y->name) != 0 || strcmp(x->certificate, y->certificate) != 0 ||
            strcmp(x->key, y->key) != 0 || x->mechanism_min != y->mechanism_min)
            return false;
    }
    return true;
}

enum config_strength config_strength_min(const struct config *config, struct span domain)
{
    const struct config_domain *found = config_domain_find(config, domain);
    unsigned min = found && found->mechanism_min ? found->mechanism_min - 1 : config->sasl_mechanism_min;
    return (enum config_strength)min;
}

void config_compare(const struct config *before, const struct config *after, config_change_fn each, void *context)
{
    if (!are_domains_equal(before, after))
        each(context, "domain", false);
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        const void *a = (const char *)before + key->offset, *b = (const char *)after + key->offset;
        if (!config_value_equal(key, a, b))
            each(context, key->name, key->apply == CONFIG_RESTART);
    }
}
