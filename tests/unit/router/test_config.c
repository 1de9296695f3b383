/* SPDX-License-Identifier: MIT */
#include "core/base/log.h"
#include "router/admin/config.h"
#include "router/admin/config_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define DOMAIN_LINE "domain \"example.com\" { certificate = \"a.pem\"; key = \"a.key\"; }\n"

static char folder[64];
static char path[128];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sluice-config-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/sluice.conf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void write_file(const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static struct config *load(const char *text, struct err *err)
{
    write_file(text, strlen(text));
    return config_load(path, NULL, 0, err);
}

static struct config *must_load(const char *text)
{
    struct err err = {""};
    struct config *config = load(text, &err);
    if (config == NULL)
        fail_msg("refused: %s", err.text);
    return config;
}

/* The message behind "<path>"; expected begins with ":LINE: " or ": ". */
static void must_refuse(const char *text, const char *expected)
{
    struct err err = {""};
    struct config *config = load(text, &err);
    assert_null(config);
    if (strncmp(err.text, path, strlen(path)) != 0)
        fail_msg("\"%s\" does not begin with the file's path", err.text);
    assert_string_equal(err.text + strlen(path), expected);
}

static void config__of_nothing__has_defaults(void **state)
{
    (void)state;
    struct err err;
    struct config *config = config_load(NULL, NULL, 0, &err);
    assert_non_null(config);
    assert_int_equal(config->domain_count, 0);
    assert_int_equal(config->shards, 0);
    assert_true(config->tls_required);
    assert_int_equal(config->tls_version_min, CONFIG_TLS_1_2);
    assert_int_equal(config->bind_conflict, CONFLICT_REPLACE);
    assert_int_equal(config->log_level, LOG_INFO);
    assert_int_equal(config->limits_stanza_size, 256 * 1024);
    assert_int_equal(config->limits_stanza_size_unauthenticated, 16 * 1024);
    assert_int_equal(config->timeouts_header_ms, 10000);
    assert_int_equal(config->timeouts_idle_ms, 300000);
    assert_int_equal(config->timeouts_keepalive_ms, 0); /* the ping after timeouts.idle does its work */
    assert_int_equal(config->sasl_mechanisms.count, 6);
    assert_string_equal(config->sasl_mechanisms.items[0], "EXTERNAL");
    assert_string_equal(config->sasl_mechanisms.items[5], "PLAIN");
    assert_int_equal(config->tls_client_certificates, CLIENT_CERTIFICATES_OFF);
    assert_int_equal(config->listen_c2s.count, 2);
    assert_string_equal(config->listen_c2s.items[1].text, "[::]:5222");
    assert_string_equal(config->listen_c2s.items[1].host, "::");
    assert_int_equal(config->listen_c2s.items[1].port, 5222);
    assert_int_equal(config->listen_c2s_tls.count, 0);
    assert_string_equal(config->log_file, "");
    config_unref(config);
}

static void config__with_every_form__is_read(void **state)
{
    (void)state;
    struct config *config = must_load("# a comment; with { marks }\n"
                                      "domain \"Example.COM\" { certificate = \"a.pem\"; key = \"/k/a.key\" }\n"
                                      "domain xn--strae-oqa.example { certificate b.pem\n key b.key }\n"
                                      "shards 3\n"
                                      "tls { required = off; version_min = \"1.3\"; tickets no }\n"
                                      "listen.c2s = [\n  \"127.0.0.1:0\",\n  \"127.0.0.1:0\", # twice any port\n]\n"
                                      "sasl { mechanisms = [PLAIN, SCRAM-SHA-1]; anonymous yes }\n"
                                      "limits.stanza_size=1MiB; limits.stanza_size_unauthenticated = 20000;;\n"
                                      "timeouts { header = 500ms; login = 2min; idle = 1h; keepalive = 15min }\n"
                                      "limits { queue_hard = 2MiB }\n"
                                      "certs.crl_files = [one.crl, \"/k/two crl\"]\n"
                                      "log { level debug; file = \"a \\\"b\\\\c\" }");
    assert_int_equal(config->domain_count, 2);
    assert_string_equal(config->domains[0].name, "example.com");
    assert_string_equal(config->domains[0].key, "/k/a.key");
    assert_string_equal(config->domains[0].certificate + strlen(folder), "/a.pem");
    assert_ptr_equal(config_domain_find(config, SPAN("example.com")), &config->domains[0]);
    assert_null(config_domain_find(config, SPAN("Example.COM")));
    assert_int_equal(config->shards, 3);
    assert_false(config->tls_required);
    assert_false(config->tls_tickets);
    assert_int_equal(config->tls_version_min, CONFIG_TLS_1_3);
    assert_int_equal(config->listen_c2s.count, 2);
    assert_int_equal(config->sasl_mechanisms.count, 2);
    assert_true(config->sasl_anonymous);
    assert_int_equal(config->limits_stanza_size, 1 << 20);
    assert_int_equal(config->limits_stanza_size_unauthenticated, 20000);
    assert_int_equal(config->timeouts_header_ms, 500);
    assert_int_equal(config->timeouts_login_ms, 120000);
    assert_int_equal(config->timeouts_idle_ms, 3600000);
    assert_int_equal(config->timeouts_keepalive_ms, 900000);
    assert_int_equal(config->log_level, LOG_DEBUG);
    assert_string_equal(config->log_file + strlen(folder), "/a \"b\\c");
    assert_int_equal(config->certs_crl_files.count, 2);
    assert_string_equal(config->certs_crl_files.items[0] + strlen(folder), "/one.crl");
    assert_string_equal(config->certs_crl_files.items[1], "/k/two crl");
    config_unref(config);
}

static void config__without_tls__needs_no_certificate(void **state)
{
    (void)state;
    struct config *config = must_load("tls.required = false\ndomain localhost {}\n");
    assert_string_equal(config->domains[0].name, "localhost");
    assert_string_equal(config->domains[0].certificate, "");
    config_unref(config);
}

struct refusal {
    const char *text;
    const char *message;
};

static const struct refusal syntax_refusals[] = {
    {"tls {\n required = true;\n", ":1: the section that begins here is not closed by '}'"},
    {"\n\ntls.required = true; }\n", ":3: '}' closes nothing"},
    {"tls.required = true tls.tickets = true\n", ":1: tls.required: ';' is missing behind the value"},
    {"tls.required true; tls.tickets true log.level info\n", ":1: tls.tickets: ';' is missing behind the value"},
    {"tls.required =\n", ":1: tls.required: the value is missing"},
    {"tls.required\n= true", ":1: tls.required: the value is missing"},
    {"tls.required", ":1: tls.required: the value is missing"},
    {"tls.required = ;", ":1: tls.required: the value is missing"},
    {"= true", ":1: the name of a key is missing"},
    {"\"tls.required\" = true", ":1: the name of a key is missing"},
    {"\nlog.file = \"abc\nlog.level = info\n", ":2: a quoted text is not closed on its line"},
    {"log.file = \"abc", ":1: a quoted text is not closed on its line"},
    {"log.file = \"abc\\", ":1: a quoted text is not closed on its line"},
    {"log.file = \"a\\nb\"", ":1: a backslash in quotes stands before '\"' or '\\' only"},
    {"log.file = \"a\tb\"", ":1: a control character in a quoted text"},
    {"log.file = a\x01", ":1: byte 0x01 has no place here"},
    {"\x7f", ":1: byte 0x7f has no place here"},
    {"sasl.mechanisms = [PLAIN SCRAM-SHA-1]", ":1: sasl.mechanisms: ',' or ']' is missing in the list"},
    {"sasl.mechanisms = [PLAIN,\n\n{", ":3: sasl.mechanisms: the list is not closed by ']'"},
    {"sasl.mechanisms = [,]", ":1: sasl.mechanisms: the list is not closed by ']'"},
    {"sasl.mechanisms = [PLAIN", ":1: sasl.mechanisms: ',' or ']' is missing in the list"},
    {"sasl.mechanisms = [[PLAIN]]", ":1: sasl.mechanisms: the list is not closed by ']'"},
    {"a { b { c { d { e { } } } } }", ":1: e: sections are nested too deep"},
    {"domain \"a\" { domain \"b\" { } }", ":1: domain: a section with a name stands in another one"},
    {"tls \"x\" { required = true }", ":1: tls \"x\": this section takes no name"},
    {"tls = { required = true }", ":1: tls: the value is missing"},
};

static const struct refusal value_refusals[] = {
    {"limits.stanza_siz = 1MiB", ":1: limits.stanza_siz: unknown key; did you mean limits.stanza_size?"},
    {"\nstanza_size = 1MiB", ":2: stanza_size: unknown key; did you mean limits.stanza_size?"},
    {"limits {\n  queue_sot = 1MiB\n}", ":2: limits.queue_sot: unknown key; did you mean limits.queue_soft?"},
    {"colour = red", ":1: colour: unknown key"},
    {"include = \"other.conf\"", ":1: include: unknown key"},
    {"tls {} tls.required = on\n\ntls { required = on }", ":3: tls.required: set twice; first on line 1"},
    {"shards = two", ":1: shards: \"two\" is not a number"},
    {"shards = -1", ":1: shards: \"-1\" is not a number"},
    {"shards = 2x", ":1: shards: \"2x\" is not a whole number"},
    {"shards = 257", ":1: shards: 257 is out of range: 0 to 256"},
    {"shards = 99999999999999999999", ":1: shards: 99999999999999999999 is out of range: 0 to 256"},
    {"shards = [1]", ":1: shards: takes one value, not a list"},
    {"shards = \"\"", ":1: shards: \"\" is not a number"},
    {"limits.stanza_size = 9999", ":1: limits.stanza_size: 9999 is out of range: 10000B to 16MiB"},
    {"limits.stanza_size = 17MiB", ":1: limits.stanza_size: 17MiB is out of range: 10000B to 16MiB"},
    {"limits.stanza_size = 18446744073709551615GiB",
     ":1: limits.stanza_size: 18446744073709551615GiB is out of range: 10000B to 16MiB"},
    {"limits.stanza_size = 20kB",
     ":1: limits.stanza_size: \"20kB\" has an unknown unit; known are B, KiB, MiB and GiB"},
    {"timeouts.tls = 10", ":1: timeouts.tls: \"10\" needs a unit: ms, s, min, h or d"},
    {"timeouts.tls = soon", ":1: timeouts.tls: \"soon\" is not a number with a unit"},
    {"timeouts.tls = 0", ":1: timeouts.tls: 0 is out of range: 100ms to 10min"},
    {"timeouts.tls = 11min", ":1: timeouts.tls: 11min is out of range: 100ms to 10min"},
    {"tls.required = 1", ":1: tls.required: \"1\" is neither true nor false"},
    {"tls.version_min = 1.1", ":1: tls.version_min: \"1.1\" is not one of 1.2, 1.3"},
    {"bind.conflict = kill", ":1: bind.conflict: \"kill\" is not one of replace, refuse, rename"},
    {"bind.conflict = \"\"", ":1: bind.conflict: \"\" is not one of replace, refuse, rename"},
    {"sasl.mechanisms = [PLAIN, LOGIN]", ":1: sasl.mechanisms: \"LOGIN\" is not one of EXTERNAL, SCRAM-SHA-256-PLUS, "
                                         "SCRAM-SHA-256, SCRAM-SHA-1-PLUS, SCRAM-SHA-1, PLAIN"},
    {"certs.crl_files = [a.crl, \"\"]", ":1: certs.crl_files: an empty path"},
    {"certs.crl_files = [a.crl, b.crl, a.crl]", ":1: certs.crl_files: \"a.crl\" stands twice in the list"},
    {"sasl.mechanisms = [PLAIN, PLAIN]", ":1: sasl.mechanisms: \"PLAIN\" stands twice in the list"},
    {"listen.c2s = [\"0.0.0.0\"]",
     ":1: listen.c2s: \"0.0.0.0\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222"},
    {"listen.c2s = [localhost:5222]",
     ":1: listen.c2s: \"localhost:5222\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222"},
    {"listen.c2s = [\"::1:5222\"]",
     ":1: listen.c2s: \"::1:5222\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222"},
    {"listen.c2s = [\"1.2.3.4:65536\"]",
     ":1: listen.c2s: \"1.2.3.4:65536\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222"},
    {"listen.c2s = [\"1.2.3.4:\"]",
     ":1: listen.c2s: \"1.2.3.4:\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222"},
    {"listen.c2s = [\"1.2.3.4:1\", \"1.2.3.4:1\"]", ":1: listen.c2s: \"1.2.3.4:1\" stands twice in the list"},
};

static const struct refusal domain_refusals[] = {
    {"", ": no domain: at least one section domain \"example.com\" { certificate = ...; key = ...; }"},
    {"domain \"a.example\" { }", ": domain \"a.example\": certificate and key are missing, and tls.required is on"},
    {"\ndomain \"a.example\" { certificate = x }", ":2: domain \"a.example\": key is missing"},
    {"domain \"a.example\" { key = x }", ":1: domain \"a.example\": certificate is missing"},
    {"domain \"a.example\" { certificate = x\n key = y\n key = z }", ":3: domain.key: set twice; first on line 2"},
    {"domain \"a.example\" {\n cert = x }",
     ":2: domain.cert: unknown key; a domain has certificate, key and mechanism_min"},
    {"domain \"a.example\" {\n tls { key = x } }",
     ":2: domain.tls.key: unknown key; a domain has certificate, key and mechanism_min"},
    {"domain a.example {\n mechanism_min = CRAM-MD5 }",
     ":2: domain.mechanism_min: \"CRAM-MD5\" is not one of global, PLAIN, "
     "SCRAM-SHA-1, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, EXTERNAL"},
    {"domain \"a.example\" { key = [x] }", ":1: domain.key: takes one value, not a list"},
    {DOMAIN_LINE "domain \"EXAMPLE.com\" { certificate = x; key = y }", ":2: domain \"EXAMPLE.com\": stands twice"},
    {"domain { key = x }", ":1: domain.key: unknown key"},
};

static const struct refusal together_refusals[] = {
    {DOMAIN_LINE "listen.c2s = []", ":2: listen.c2s: empty, and listen.c2s_tls too: nobody could connect"},
    {DOMAIN_LINE "sasl.mechanisms = []", ":2: sasl.mechanisms: empty, and sasl.anonymous is off: nobody could log in"},
    {DOMAIN_LINE "sasl { mechanisms = [PLAIN, SCRAM-SHA-1]; mechanism_min = SCRAM-SHA-256 }",
     ": domain \"example.com\": no mechanism of sasl.mechanisms is strong enough: nobody could log in"},
    {DOMAIN_LINE "sasl.mechanisms = [SCRAM-SHA-1]\n"
                 "domain b.example { certificate = x; key = y; mechanism_min = SCRAM-SHA-1-PLUS }",
     ": domain \"b.example\": no mechanism of sasl.mechanisms is strong enough: nobody could log in"},
    {DOMAIN_LINE "sasl.mechanism_min = EXTERNAL", /* nobody is asked for a certificate */
     ": domain \"example.com\": no mechanism of sasl.mechanisms is strong enough: nobody could log in"},
    {DOMAIN_LINE "tls { client_certificates = optional; client_ca_file = x }\n"
                 "sasl { mechanism_min = EXTERNAL; mechanisms = [SCRAM-SHA-256-PLUS] }",
     ": domain \"example.com\": no mechanism of sasl.mechanisms is strong enough: nobody could log in"},
    {DOMAIN_LINE "tls.client_certificates = optional",
     ": tls.client_ca_file: empty, and tls.client_certificates is on: nobody could be believed"},
    {DOMAIN_LINE "tls.client_certificates = required\n\ntls.client_ca_file = \"\"",
     ":4: tls.client_ca_file: empty, and tls.client_certificates is on: nobody could be believed"},
    {DOMAIN_LINE "tls { client_ca_file = x; required = off\n client_certificates = required }",
     ":3: tls.client_certificates: required, and tls.required is off: without TLS nobody could present one"},
    {DOMAIN_LINE "limits.stanza_size = 10000", ": limits.stanza_size_unauthenticated: larger than limits.stanza_size"},
    {DOMAIN_LINE "\nlimits.elements = 32", ": limits.elements_unauthenticated: larger than limits.elements"},
    {DOMAIN_LINE "limits.queue_soft = 2MiB", ":2: limits.queue_soft: larger than limits.queue_hard"},
    {DOMAIN_LINE "limits.stanza_size = 2MiB\n", ": limits.queue_hard: smaller than limits.stanza_size"},
    {DOMAIN_LINE "s2s.queue_hard = 100KiB\n", ":2: s2s.queue_hard: smaller than limits.stanza_size"},
    {DOMAIN_LINE "s2s.deny = [example.org, Example.net]",
     ":2: s2s.deny: \"Example.net\" is no domain as it stands in addresses"},
    {DOMAIN_LINE "s2s.allow = [\"*.*.example\"]",
     ":2: s2s.allow: \"*.*.example\" is no domain as it stands in addresses"},
    {DOMAIN_LINE "s2s.allow = [\"a@b\"]", ":2: s2s.allow: \"a@b\" is no domain as it stands in addresses"},
    {DOMAIN_LINE "s2s.policy = dane", ":2: s2s.policy: \"dane\" needs s2s.dnssec_anchor"},
    {DOMAIN_LINE "s2s.policies = [\"a.example=dane\"]", ":2: s2s.policies: \"a.example=dane\" needs s2s.dnssec_anchor"},
    {DOMAIN_LINE "s2s.policies = [\"a.example\"]",
     ":2: s2s.policies: \"a.example\" is not of the form DOMAIN=WORD with a word of s2s.policy"},
    {DOMAIN_LINE "s2s.policies = [\"a.example=dialback\"]",
     ":2: s2s.policies: \"a.example=dialback\" is not of the form DOMAIN=WORD with a word of s2s.policy"},
    {DOMAIN_LINE "s2s.policies = [\"=pkix\"]",
     ":2: s2s.policies: \"=pkix\" is not of the form DOMAIN=WORD with a word of s2s.policy"},
    {DOMAIN_LINE "s2s.policies = [\"A.example=pkix\"]",
     ":2: s2s.policies: \"A.example=pkix\" has no domain as it stands in addresses"},
    {DOMAIN_LINE "s2s.policies = [\"*.*.example=pkix\"]",
     ":2: s2s.policies: \"*.*.example=pkix\" has no domain as it stands in addresses"},
    {DOMAIN_LINE "s2s.policies = [\"a.example=pkix\", \"*.example=pkix\", \"a.example=dane-or-pkix\"]",
     ":2: s2s.policies: \"a.example=dane-or-pkix\" says for a second time what holds for this domain"},
    {DOMAIN_LINE "limits.link_size = 1000000", ":2: limits.link_size: not a power of two"},
    {DOMAIN_LINE "admin.mode = rw-------", ":2: admin.mode: not an octal mode like 0600"},
    {DOMAIN_LINE "admin.mode = 7777", ":2: admin.mode: not an octal mode like 0600"},
    {DOMAIN_LINE "store.path = \"\"", ":2: store.path: empty"},
};

static void refuse_all(const struct refusal *refusals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        must_refuse(refusals[i].text, refusals[i].message);
}

/* A domain says the weakest mechanism for itself, or takes what all have; printed, it loads to the same. */
static void mechanism_min__of_a_domain__goes_before_the_global_one(void **state)
{
    (void)state;
    static const char text[] = DOMAIN_LINE "sasl.mechanism_min = SCRAM-SHA-256\n"
                                           "domain a.example { certificate = x; key = y; mechanism_min = PLAIN }\n"
                                           "domain b.example { certificate = x; key = y; "
                                           "mechanism_min = SCRAM-SHA-256-PLUS }\n"
                                           "domain c.example { certificate = x; key = y; mechanism_min = global }";
    struct config *config = must_load(text);
    assert_int_equal(config_strength_min(config, SPAN("example.com")), STRENGTH_SHA256);
    assert_int_equal(config_strength_min(config, SPAN("a.example")), STRENGTH_PLAIN);
    assert_int_equal(config_strength_min(config, SPAN("b.example")), STRENGTH_SHA256_PLUS);
    assert_int_equal(config_strength_min(config, SPAN("c.example")), STRENGTH_SHA256);
    assert_int_equal(config_strength_min(config, SPAN("d.example")), STRENGTH_SHA256);
    config_unref(config);
}

static void config__of_bad_syntax__is_refused_with_its_line(void **state)
{
    (void)state;
    refuse_all(syntax_refusals, sizeof(syntax_refusals) / sizeof(syntax_refusals[0]));
}

static void config__with_bad_values__is_refused_with_line_and_key(void **state)
{
    (void)state;
    refuse_all(value_refusals, sizeof(value_refusals) / sizeof(value_refusals[0]));
}

static void config__with_bad_domains__is_refused(void **state)
{
    (void)state;
    refuse_all(domain_refusals, sizeof(domain_refusals) / sizeof(domain_refusals[0]));
}

static void config__with_values_that_do_not_fit__is_refused(void **state)
{
    (void)state;
    refuse_all(together_refusals, sizeof(together_refusals) / sizeof(together_refusals[0]));
}

static void config__with_bad_domain_name__says_which_part(void **state)
{
    (void)state;
    struct err err;
    assert_null(load("domain \"a b\" { certificate = x; key = y }", &err));
    assert_non_null(strstr(err.text, ":1: domain \"a b\": "));
}

static void config__with_nul_bytes__is_refused(void **state)
{
    (void)state;
    struct err err;
    static const char text[] = "shards = 1\0\n" DOMAIN_LINE;
    write_file(text, sizeof(text) - 1);
    assert_null(config_load(path, NULL, 0, &err));
    assert_string_equal(err.text + strlen(path), ":1: byte 0x00 has no place here");
}

static void config__with_long_key__is_refused(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'k', sizeof(text));
    text[sizeof(text) - 1] = 0;
    must_refuse(text, ":1: the name of a key is too long");
}

static void config__larger_than_the_bound__is_refused(void **state)
{
    (void)state;
    struct err err;
    size_t size = CONFIG_FILE_MAX + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    write_file(text, size);
    assert_null(config_load(path, NULL, 0, &err));
    assert_string_equal(err.text + strlen(path), ": is larger than 1048576 bytes");
    memcpy(text + 10, DOMAIN_LINE, strlen(DOMAIN_LINE));
    write_file(text, size - 1);
    struct config *config = config_load(path, NULL, 0, &err);
    assert_non_null(config);
    config_unref(config);
    free(text);
}

static void config__of_missing_file__says_so(void **state)
{
    (void)state;
    struct err err;
    assert_null(config_load("/nonexistent/sluice.conf", NULL, 0, &err));
    assert_string_equal(err.text, "/nonexistent/sluice.conf: cannot be read: No such file or directory");
    assert_null(config_load(folder, NULL, 0, &err));
    assert_non_null(strstr(err.text, "cannot be read: Is a directory"));
}

static void override__of_good_value__wins_over_file(void **state)
{
    (void)state;
    struct err err;
    static const char *const overrides[] = {"shards=7",
                                            "listen.c2s=127.0.0.1:1, [::1]:2",
                                            "sasl.mechanisms=[\"PLAIN\"]",
                                            "tls.required=false",
                                            "log.file=/a b/c=d",
                                            "listen.c2s_tls="};
    static const char text[] = DOMAIN_LINE "shards = 2\nlisten.c2s_tls = [\"0.0.0.0:5223\"]";
    write_file(text, sizeof(text) - 1);
    struct config *config = config_load(path, overrides, 6, &err);
    assert_non_null(config);
    assert_int_equal(config->shards, 7);
    assert_int_equal(config->listen_c2s.count, 2);
    assert_string_equal(config->listen_c2s.items[1].host, "::1");
    assert_int_equal(config->listen_c2s_tls.count, 0);
    assert_int_equal(config->sasl_mechanisms.count, 1);
    assert_string_equal(config->sasl_mechanisms.items[0], "PLAIN");
    assert_false(config->tls_required);
    assert_string_equal(config->log_file, "/a b/c=d");
    config_unref(config);
}

static void override__of_bad_value__is_refused(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {"shards", "--set shards: not of the form KEY=VALUE"},
        {"shard=1", "--set shard: unknown key; did you mean shards?"},
        {"shards=many", "--set shards: \"many\" is not a number"},
        {"limits.queue_soft=1GiB", "--set limits.queue_soft: larger than limits.queue_hard"},
        {"listen.c2s=1.2.3.4",
         "--set listen.c2s: \"1.2.3.4\" is not an address and a port, like 0.0.0.0:5222 or [::]:5222"},
    };
    write_file(DOMAIN_LINE, strlen(DOMAIN_LINE));
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct err err;
        assert_null(config_load(path, &refusals[i].text, 1, &err));
        assert_string_equal(err.text, refusals[i].message);
    }
}

static char *printed(const struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    if (config == NULL)
        config_print_manual(file);
    else
        config_print(config, file);
    fclose(file);
    char *copy = strdup(text); /* GCC takes text itself, whose address the stream knew, for a pointer to a local */
    free(text);
    return copy;
}

static void count_change(void *context, const char *key, bool needs_restart)
{
    (void)key;
    (void)needs_restart;
    ++*(unsigned *)context;
}

static void print__of_effective__loads_to_the_same(void **state)
{
    (void)state;
    struct config *config =
        must_load(DOMAIN_LINE "shards = 3; timeouts.idle = 90s; limits.name_size = 1000\n"
                              "log.file = \"a \\\"quoted\\\" name\"; listen.c2s_tls = [\"[::1]:5223\"]");
    char *first = printed(config);
    assert_non_null(strstr(first, "shards = 3; # line 2\n"));
    assert_non_null(strstr(first, "tls.required = true; # default\n"));
    assert_non_null(strstr(first, "timeouts.idle = 90s; # line 2\n"));
    assert_non_null(strstr(first, "limits.queue_hard = 1MiB; # default\n"));
    struct config *again = must_load(first);
    unsigned changes = 0;
    config_compare(config, again, count_change, &changes);
    assert_int_equal(changes, 0);
    config_unref(again);
    config_unref(config);
    free(first);
}

struct changes {
    char text[256];
};

static void note_change(void *context, const char *key, bool needs_restart)
{
    struct changes *changes = context;
    size_t size = strlen(changes->text);
    snprintf(changes->text + size, sizeof(changes->text) - size, "%s%s ", key, needs_restart ? "!" : "");
}

static void compare__of_two__names_what_differs(void **state)
{
    (void)state;
    struct changes changes = {""};
    struct config *a = must_load(DOMAIN_LINE);
    struct config *b = must_load("domain \"example.com\" { certificate = \"b.pem\"; key = \"a.key\"; } shards = 2\n"
                                 "sasl.mechanisms = [PLAIN]; listen.c2s = [\"127.0.0.1:5222\"]; log.level = debug");
    config_compare(a, b, note_change, &changes);
    assert_string_equal(changes.text, "domain shards! log.level listen.c2s! sasl.mechanisms ");
    config_unref(a);
    config_unref(b);
}

static void config_ref__of_two_holders__lives_until_the_last(void **state)
{
    (void)state;
    struct config *config = must_load(DOMAIN_LINE);
    assert_ptr_equal(config_ref(config), config);
    config_unref(config);
    assert_string_equal(config->domains[0].name, "example.com");
    config_unref(config);
    config_unref(NULL);
}

/* ---- the table ---- */

static void table__of_keys__has_text_and_name_of_its_field(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        const struct config_key *key = &config_keys[i];
        assert_ptr_equal(config_key_find(key->name), key);
        assert_true(strlen(key->text) > 10 && key->text[strlen(key->text) - 1] == '.');
        assert_null(strchr(key->text, '|')); /* it stands in a table of the manual */
        bool is_number = key->type == CONFIG_COUNT || key->type == CONFIG_SIZE || key->type == CONFIG_TIME;
        assert_int_equal(is_number, key->max > 0);
        assert_int_equal(key->type == CONFIG_CHOICE, key->choices[0] != 0 && key->type != CONFIG_LIST);
    }
}

static char *read_source(const char *name)
{
    char file_name[512];
    const char *root = getenv("SL_SOURCE_ROOT");
    assert_non_null(root);
    snprintf(file_name, sizeof(file_name), "%s/%s", root, name);
    FILE *file = fopen(file_name, "r");
    if (file == NULL)
        fail_msg("%s is missing", file_name);
    char *text = calloc(1, 1 << 20);
    size_t size = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_true(size > 0);
    return text;
}

static void manual__of_table__is_the_committed_page(void **state)
{
    (void)state;
    char *page = read_source("docs/CONFIGURATION.md"), *made = printed(NULL);
    if (strcmp(page, made) != 0)
        fail_msg("docs/CONFIGURATION.md is not what the table says: run sluiced --print-config-manual > "
                 "docs/CONFIGURATION.md");
    free(page);
    free(made);
}

/* Without breaks inside of its comments, a page of lines "; text\n#key = ". */
static void example__of_docs__has_the_texts_of_the_manual(void **state)
{
    (void)state;
    char *example = read_source("docs/sluice.conf.example");
    size_t size = 0;
    for (const char *c = example; *c != 0; c++) {
        bool is_break = strncmp(c, "\n# ", 3) == 0;
        example[size++] = is_break ? ' ' : *c;
        c += is_break ? 2 : 0;
    }
    example[size] = 0;
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        char wanted[2048];
        int wanted_size = snprintf(wanted, sizeof(wanted), " %s\n#%s = ", config_keys[i].text, config_keys[i].name);
        assert_in_range(wanted_size, 1, sizeof(wanted) - 1);
        const char *at = strstr(example, wanted);
        if (at == NULL || at == example || (at[-1] != ';' && at[-1] != '\n'))
            fail_msg("docs/sluice.conf.example says something else of %s than the manual", config_keys[i].name);
    }
    free(example);
}

/* Every key stands in the example, behind at most a '#', with its default where it is commented out. */
static void example__of_docs__has_every_key_and_loads(void **state)
{
    (void)state;
    char *example = read_source("docs/sluice.conf.example");
    struct config *config = must_load(example);
    char *defaults = printed(config);
    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        char line[256];
        snprintf(line, sizeof(line), "\n#%s = ", config_keys[i].name);
        const char *at = strstr(example, line);
        snprintf(line, sizeof(line), "\n%s = ", config_keys[i].name);
        if (at == NULL && strstr(example, line) == NULL)
            fail_msg("docs/sluice.conf.example lacks %s", config_keys[i].name);
        if (at == NULL || config_keys[i].type == CONFIG_PATH)
            continue;
        const char *effective = strstr(defaults, line);
        assert_non_null(effective);
        effective += strlen(line);
        size_t size = strcspn(effective, ";");
        if (strncmp(at + strlen(line) + 1, effective, size) != 0)
            fail_msg("docs/sluice.conf.example has another default for %s than %.*s", config_keys[i].name, (int)size,
                     effective);
    }
    /* With every comment sign before a key taken away it loads too. */
    for (char *c = example; *c != 0; c++) {
        if (*c == '\n' && c[1] == '#' && c[2] >= 'a' && c[2] <= 'z')
            c[1] = ' ';
    }
    struct config *all = must_load(example);
    config_unref(all);
    config_unref(config);
    free(defaults);
    free(example);
}

/* ---- property: no text, however mangled, does anything but load or be refused with a message ---- */

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void config__of_mangled_text__loads_or_is_refused(void **state)
{
    (void)state;
    static const char base[] = DOMAIN_LINE "tls { required = off; version_min = \"1.3\" } # c\n"
                                           "sasl.mechanisms = [PLAIN, \"SCRAM-SHA-1\"]; limits.depth = 9\n";
    static const char bytes[] = "{}[];,=\"#\\\n \ta0\x80";
    uint64_t seed = 0x5eed0001;
    print_message("seed %#llx\n", (unsigned long long)seed);
    unsigned loaded = 0, refused = 0;
    for (unsigned round = 0; round < 3000; round++) {
        char text[sizeof(base)];
        memcpy(text, base, sizeof(base));
        size_t size = sizeof(base) - 1;
        for (uint64_t edits = 1 + next_random(&seed) % 3; edits > 0; edits--)
            text[next_random(&seed) % size] = bytes[next_random(&seed) % (sizeof(bytes) - 1)];
        size -= next_random(&seed) % 4 == 0 ? next_random(&seed) % size : 0;
        struct err err = {""};
        struct arena arena;
        struct config_entry *first;
        arena_init(&arena, CONFIG_MEMORY_MAX);
        /* An exact copy, so that a read behind the end is seen by the sanitizer. */
        char *copy = malloc(size);
        memcpy(copy, text, size);
        if (config_reader_read(span_of(copy, size), "x", &arena, &first, &err)) {
            loaded++;
        } else {
            refused++;
            assert_true(strncmp(err.text, "x:", 2) == 0);
        }
        free(copy);
        arena_fini(&arena);
    }
    assert_true(loaded > 100 && refused > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config__of_nothing__has_defaults),
        cmocka_unit_test(config__with_every_form__is_read),
        cmocka_unit_test(config__without_tls__needs_no_certificate),
        cmocka_unit_test(mechanism_min__of_a_domain__goes_before_the_global_one),
        cmocka_unit_test(config__of_bad_syntax__is_refused_with_its_line),
        cmocka_unit_test(config__with_bad_values__is_refused_with_line_and_key),
        cmocka_unit_test(config__with_bad_domains__is_refused),
        cmocka_unit_test(config__with_values_that_do_not_fit__is_refused),
        cmocka_unit_test(config__with_bad_domain_name__says_which_part),
        cmocka_unit_test(config__with_nul_bytes__is_refused),
        cmocka_unit_test(config__with_long_key__is_refused),
        cmocka_unit_test(config__larger_than_the_bound__is_refused),
        cmocka_unit_test(config__of_missing_file__says_so),
        cmocka_unit_test(override__of_good_value__wins_over_file),
        cmocka_unit_test(override__of_bad_value__is_refused),
        cmocka_unit_test(print__of_effective__loads_to_the_same),
        cmocka_unit_test(compare__of_two__names_what_differs),
        cmocka_unit_test(config_ref__of_two_holders__lives_until_the_last),
        cmocka_unit_test(table__of_keys__has_text_and_name_of_its_field),
        cmocka_unit_test(manual__of_table__is_the_committed_page),
        cmocka_unit_test(example__of_docs__has_every_key_and_loads),
        cmocka_unit_test(example__of_docs__has_the_texts_of_the_manual),
        cmocka_unit_test(config__of_mangled_text__loads_or_is_refused),
    };
    return cmocka_run_group_tests_name("config", tests, make_folder, remove_folder);
}
