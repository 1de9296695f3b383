/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Config: what the operator chose, as an immutable snapshot. A reload makes a new one; nothing is ever half-applied.
 *
 * Every key is one row of config_keys.def (name, type, bounds, default, manual text); the fields of struct config, the
 * loader, the printed effective configuration, the manual and the tests all come from that table.
 *
 * Syntax, nginx-like; unknown and repeated keys are refused with the line:
 *   # comment
 *   domain "example.com" { certificate = "example.pem"; key = "example.key"; }
 *   tls { required = true; version_min = "1.2"; }        the same as  tls.required = true;
 *   listen.c2s = ["0.0.0.0:5222", "[::]:5222"];
 *   timeouts.header = 10s; limits.stanza_size = 256KiB;
 *
 * Relative paths are relative to the folder of the file; in an override, to the working folder.
 *
 * Thread:  load on any; ref and unref on any (atomic count); the content is read-only.
 */
#include "core/base/err.h"
#include "core/base/span.h"

#include <stdint.h>
#include <stdio.h>

/* Indices of the CHOICE keys, in the order of the row's choices. log.level is enum log_level of core/base/log.h. */
enum config_tls_version { CONFIG_TLS_1_2, CONFIG_TLS_1_3 };
enum config_s2s_policy { S2S_PKIX, S2S_PKIX_OR_DIALBACK, S2S_DANE, S2S_DANE_OR_PKIX };
enum config_certs_revocation { CERTS_OFF, CERTS_SOFT, CERTS_HARD };
enum config_certs_unchecked { UNCHECKED_ALLOW, UNCHECKED_REFUSE };
enum config_conflict { CONFLICT_REPLACE, CONFLICT_REFUSE, CONFLICT_RENAME };
enum config_client_certificates { CLIENT_CERTIFICATES_OFF, CLIENT_CERTIFICATES_OPTIONAL, CLIENT_CERTIFICATES_REQUIRED };
/* SASL mechanisms from the weakest on: passwords by their hash first, then by whether they bind to TLS; certificates.
 */
enum config_strength {
    STRENGTH_PLAIN,
    STRENGTH_SHA1,
    STRENGTH_SHA1_PLUS,
    STRENGTH_SHA256,
    STRENGTH_SHA256_PLUS,
    STRENGTH_EXTERNAL
};
enum config_namespace_errors { NAMESPACE_ERRORS_STREAM, NAMESPACE_ERRORS_STANZA };

struct config_domain {
    const char *name;        /* prepared (jid_prepare_domain), as it stands in addresses */
    const char *certificate; /* a file; both empty only if tls.required is off */
    const char *key;
    unsigned mechanism_min; /* enum config_strength + 1; 0: sasl.mechanism_min */
};

struct config_list {
    const char *const *items;
    unsigned count;
};

struct config_address {
    const char *text; /* "[::]:5222" */
    const char *host; /* "::" */
    uint16_t port;    /* 0: any free one */
};

struct config_addresses {
    const struct config_address *items;
    unsigned count;
};

typedef bool config_BOOL;
typedef uint32_t config_COUNT;
typedef uint32_t config_SIZE;      /* bytes */
typedef uint32_t config_TIME;      /* milliseconds */
typedef const char *config_STRING; /* never NULL */
typedef const char *config_PATH;   /* absolute; empty when unset */
typedef unsigned config_CHOICE;
typedef struct config_list config_LIST;
typedef struct config_list config_PATHS; /* absolute each */
typedef struct config_addresses config_ADDRESSES;

struct config {
    const char *path;   /* the file */
    const char *folder; /* its folder, absolute */
    const struct config_domain *domains;
    unsigned domain_count;
#define CONFIG_KEY(field, name, type, initial, min, max, choices, apply, text) config_##type field;
#include "router/admin/config_keys.def"
#undef CONFIG_KEY
    struct config_private *private;
};

/* overrides: "KEY=VALUE" each, applied after the file (sluiced --set). The message has the file, the line and the key.
 * path NULL: defaults and overrides only, paths relative to the working folder. The result has one reference. */
struct config *config_load(const char *path, const char *const *overrides, unsigned override_count, struct err *err)
    __attribute__((warn_unused_result));
struct config *config_ref(struct config *config);
void config_unref(struct config *config);

/* The domain of that prepared name, or NULL. */
const struct config_domain *config_domain_find(const struct config *config, struct span name);

/* The effective configuration, as a file that loads to the same; each line with "default" or where it came from. */
void config_print(const struct config *config, FILE *out);
/* docs/CONFIGURATION.md, from the table. */
void config_print_manual(FILE *out);

/* The weakest mechanism accepted for accounts of that domain. */
enum config_strength config_strength_min(const struct config *config, struct span domain);

/* An item of s2s.policies taken apart: "bank.example" or "*.example.org", and the word. Empty when it is none. */
struct span config_policy_item(const char *item, enum config_s2s_policy *policy);

/* Calls each for every key (or "domain") whose value differs. needs_restart: a reload does not apply it. */
typedef void (*config_change_fn)(void *context, const char *key, bool needs_restart);
void config_compare(const struct config *before, const struct config *after, config_change_fn each, void *context);
