/* SPDX-License-Identifier: MIT */
#include "core/base/err.h"
#include "tls/context.h"
#include "tls/staple_priv.h"

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

#include <stdio.h>
#include <wolfssl_origin.h>

/* 5.5.4 is Debian 12's, the oldest that is built and tested; what is older lacks fixes that were never backported. */
#define VERSION_MIN 0x05005004u

bool tls_start(struct err *err)
{
    if (wolfSSL_lib_version_hex() < VERSION_MIN) {
        err_set(err, "wolfSSL %s is too old, 5.5.4 or later is needed: run tools/setup --update",
                wolfSSL_lib_version());
        return false;
    }
    int code = wolfSSL_Init();
    if (code != WOLFSSL_SUCCESS) {
        err_set(err, "wolfSSL does not start: %s", wolfSSL_ERR_reason_error_string((unsigned long)code));
        return false;
    }
    staple_start();
    return true;
}

void tls_stop(void)
{
    wolfSSL_Cleanup();
}

const char *tls_library(void)
{
    return "wolfSSL " LIBWOLFSSL_VERSION_STRING " (" WOLFSSL_ORIGIN ")";
}
