/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Constraints: may an authority vouch for the names of a certificate below it (RFC 5280 s4.2.1.10, s6.1.3 (b), (c))?
 *
 * Whatever identifies a server by a domain, be it a dNSName, an SRV-ID or an XmppAddr, is held to the dNSName
 * constraints: else an authority that is confined to example.org could vouch for any domain by an otherName.
 * Constraints for SRV-IDs (RFC 4985 s4) come on top. Directory names are compared octet by octet, IP addresses under
 * their mask; mail addresses have constraints of their own only. A constraint of any other kind, or with a minimum or a
 * maximum, refuses every name of that kind. A wildcard is refused when one of the names that it stands for would be.
 *
 * Thread:  any; no state.
 * Bounds:  CONSTRAINTS_STEPS_MAX comparisons for a path; one that wants more is refused.
 */
#include "tls/certificate_priv.h"

#define CONSTRAINTS_STEPS_MAX 65536u

bool constraints_allow(const struct certificate *authority, const struct certificate *certificate, unsigned *steps);
