/* SPDX-License-Identifier: MIT */
#include "router/certs/inspector_script.h"

#include "core/base/check.h"

#include <stdlib.h>

#define WATCHES_MAX 4096u
#define RULES_MAX   16u

struct rule {
    bool is_for_all;
    uint8_t sha256[CREDENTIAL_SHA256];
    enum standing standing;
};

struct script_watch {
    uint64_t tag;
    struct credential *credential;
    bool has_news;
};

struct inspector_client {
    struct script_watch watches[WATCHES_MAX];
    unsigned count;
    struct rule rules[RULES_MAX]; /* the last one that fits counts */
    unsigned rule_count;
    unsigned refuse; /* watches */
    bool clock_was_set;
    inspector_wake_fn wake; /* NULL: nobody is woken */
    void *wake_context;
};

struct inspector_client *inspector_script_new(void)
{
    struct inspector_client *client = calloc(1, sizeof *client);
    SL_CHECK(client);
    return client;
}

void inspector_script_free(struct inspector_client *client)
{
    for (unsigned i = 0; i < client->count; i++)
        credential_free(client->watches[i].credential);
    free(client);
}

void inspector_script_wake(struct inspector_client *client, inspector_wake_fn wake, void *wake_context)
{
    client->wake = wake;
    client->wake_context = wake_context;
}

void inspector_script_refuse(struct inspector_client *client, unsigned count)
{
    client->refuse = count;
}

unsigned inspector_script_count(const struct inspector_client *client)
{
    return client->count;
}

static bool fits(const struct rule *rule, const struct credential *credential)
{
    return rule->is_for_all || memcmp(rule->sha256, credential->path[0].sha256, CREDENTIAL_SHA256) == 0;
}

static bool standing_of(const struct inspector_client *client, const struct credential *credential, enum standing *out)
{
    for (unsigned i = client->rule_count; i-- > 0;) {
        if (!fits(&client->rules[i], credential))
            continue;
        *out = client->rules[i].standing;
        return true;
    }
    return false;
}

void inspector_script_find(struct inspector_client *client, const uint8_t *sha256, enum standing standing)
{
    SL_CHECK(client->rule_count < RULES_MAX);
    struct rule *rule = &client->rules[client->rule_count++];
    *rule = (struct rule){.is_for_all = sha256 == NULL, .standing = standing};
    if (sha256)
        memcpy(rule->sha256, sha256, sizeof rule->sha256);
    for (unsigned i = 0; i < client->count; i++)
        client->watches[i].has_news |= fits(rule, client->watches[i].credential);
}

void inspector_script_clock(struct inspector_client *client)
{
    client->clock_was_set = true;
}

bool inspector_watch(struct inspector_client *client, uint64_t tag, struct credential *credential, struct span staple)
{
    enum standing standing;
    (void)staple;
    if (client->count == WATCHES_MAX || client->refuse) {
        client->refuse -= client->refuse > 0;
        return false;
    }
    credential_ref(credential);
    bool has_news = standing_of(client, credential, &standing);
    client->watches[client->count++] = (struct script_watch){tag, credential, has_news};
    return true;
}

bool inspector_shown(struct inspector_client *client, uint64_t tag, struct span staple)
{
    (void)client;
    (void)tag;
    (void)staple;
    return true;
}

bool inspector_unwatch(struct inspector_client *client, uint64_t tag)
{
    for (unsigned i = 0; i < client->count; i++) {
        if (client->watches[i].tag != tag)
            continue;
        credential_free(client->watches[i].credential);
        client->watches[i] = client->watches[--client->count];
        return true;
    }
    SL_CHECK(false); /* it was watched before */
    return true;
}

void inspector_flush(struct inspector_client *client)
{
    bool has_news = false;
    for (unsigned i = 0; i < client->count; i++)
        has_news |= client->watches[i].has_news;
    if (has_news && client->wake)
        client->wake(client->wake_context);
}

void inspector_poll(struct inspector_client *client, inspector_finding_fn finding, void *context)
{
    const struct inspector_finding clock = {.tag = INSPECTOR_CLOCK_TAG};
    if (client->clock_was_set)
        finding(context, &clock);
    client->clock_was_set = false;
    for (unsigned i = 0; i < client->count; i++) {
        struct inspector_finding one = {.tag = client->watches[i].tag};
        if (!client->watches[i].has_news || !standing_of(client, client->watches[i].credential, &one.standing))
            continue;
        client->watches[i].has_news = false;
        if (one.standing == STANDING_REVOKED)
            one.status = REVOCATION_REVOKED;
        finding(context, &one);
    }
}
