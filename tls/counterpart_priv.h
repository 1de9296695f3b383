/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Counterpart: what is known of the peer's certificates: what it sent is judged while the handshake goes on, and kept
 * until somebody has made use of it.
 *
 * Thread:  its engine's.
 */
#include "tls/anchors.h"
#include "tls/certificate_priv.h"
#include "tls/credential.h"
#include "tls/dane.h"
#include "tls/staple_priv.h"

struct counterpart {
    bool is_unfinished; /* between two of them */
    bool is_unstapled;  /* see engine_is_unstapled() */
    uint8_t end_point_size;
    struct credential *credential; /* what came of that; NULL: none was presented, or it was taken */
    struct dane *dane;             /* the records that it is to be judged by too; NULL: none */
    struct dane_finding finding;
    struct staple *staple; /* a server's: its issuer's answer; NULL: none was shown, or it was dropped */
    uint8_t end_point[CERTIFICATE_HASH_MAX];
};

void counterpart_free(struct counterpart *remote); /* NULL: nothing */
void counterpart_see_certificate(struct counterpart *remote, struct span leaf);
/* All that the peer sent, leaf first. False: no memory. */
bool counterpart_judge(struct counterpart *remote, const struct anchors *anchors, const struct span *sent,
                       unsigned count, enum credential_role role, int64_t now);
/* What is too large to be judged, or than there is memory for, is as if none had been shown. */
void counterpart_see_staple(struct counterpart *remote, struct span staple);
/* Once both are there, of a server that was asked for one: should it have shown one? (RFC 7633 s4.3.3.) */
void counterpart_judge_staple(struct counterpart *remote, int64_t now);
