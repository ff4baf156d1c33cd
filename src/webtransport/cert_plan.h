/* When which certificate is shown (libp2p specs, webtransport, "Certificates"), without I/O.
 *
 * Browsers take certificates of 14 days at most. Ours follow each other on a grid that depends on
 * the identity, so a restart finds the same ones, and nodes do not all change at once.
 *
 *     k      |--1h--|=========== shown ===========|--1h--|
 *     k + 1                              |--1h--|=========== shown ===========|--1h--|
 *     told   {k - 1}, k, k + 1 while k is shown
 *
 * So a clock that is an hour off still finds what is shown valid, and an address with the hashes
 * of k and k + 1 holds until k + 1 is not shown any more: for two weeks at least. */
#ifndef TERN_WEBTRANSPORT_CERT_PLAN_H
#define TERN_WEBTRANSPORT_CERT_PLAN_H

#include <stdint.h>

#define TERN_WT_CERT_LIFE   UINT64_C(1209600) /* seconds from notBefore to notAfter */
#define TERN_WT_CERT_SKEW   UINT64_C(3600)
#define TERN_WT_CERT_PERIOD (TERN_WT_CERT_LIFE - 2 * TERN_WT_CERT_SKEW)

/* The number of the certificate that is shown at `now` (seconds since 1970), for a node with that
 * phase (any number). */
uint64_t tern_wt_cert_at(uint64_t now, uint64_t phase);
/* The validity of a number, and when the next one takes over. */
uint64_t tern_wt_cert_from(uint64_t number, uint64_t phase);
static inline uint64_t tern_wt_cert_until(uint64_t number, uint64_t phase)
{
    return tern_wt_cert_from(number, phase) + TERN_WT_CERT_LIFE;
}
static inline uint64_t tern_wt_cert_change(uint64_t number, uint64_t phase)
{
    return tern_wt_cert_until(number, phase) - TERN_WT_CERT_SKEW;
}

#endif
