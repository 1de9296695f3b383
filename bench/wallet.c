/* SPDX-License-Identifier: MIT */
#include "bench/wallet.h"

#include "core/base/check.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME_ROOM 24u  /* "4294967295.example" */
#define PATH_ROOM 256u /* folder and "/4294967295.pem" */
#define ROOM      (NAME_ROOM + 2 * PATH_ROOM)

bool wallet_open(struct wallet *wallet, const char *folder, uint32_t first, uint32_t count, struct err *err)
{
    SL_CHECK(count > 0 && count <= WALLET_MAX);
    if (strlen(folder) + sizeof "/4294967295.pem" > PATH_ROOM) {
        err_set(err, "%s: the name of the folder is too long", folder);
        return false;
    }
    *wallet = (struct wallet){
        .count = count, .domains = calloc(count, sizeof *wallet->domains), .texts = calloc(count, ROOM)};
    if (!wallet->domains || !wallet->texts) {
        err_set(err, "no memory for %u certificates", count);
        wallet_free(wallet);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        char *name = wallet->texts + (size_t)i * ROOM, *certificate = name + NAME_ROOM, *key = certificate + PATH_ROOM;
        snprintf(name, NAME_ROOM, "%u.example", first + i);
        snprintf(certificate, PATH_ROOM, "%s/%u.pem", folder, first + i);
        snprintf(key, PATH_ROOM, "%s/%u.key", folder, first + i);
        wallet->domains[i] = (struct context_domain){name, certificate, key};
    }
    return true;
}

void wallet_free(struct wallet *wallet)
{
    free(wallet->domains);
    free(wallet->texts);
    *wallet = (struct wallet){0};
}

struct span wallet_name(const struct wallet *wallet, uint32_t session)
{
    return wallet->count ? span_str(wallet->domains[session % wallet->count].name) : SPAN("");
}
