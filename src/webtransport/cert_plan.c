/* When which certificate is shown: see cert_plan.h. */
#include "webtransport/cert_plan.h"

/* Number 1 begins within the first period of 1970; there is none before. */
uint64_t tern_wt_cert_from(uint64_t number, uint64_t phase)
{
    return (number - 1) * TERN_WT_CERT_PERIOD + phase % TERN_WT_CERT_PERIOD;
}

uint64_t tern_wt_cert_at(uint64_t now, uint64_t phase)
{
    uint64_t first = phase % TERN_WT_CERT_PERIOD + TERN_WT_CERT_SKEW;
    return now < first ? 1 : (now - first) / TERN_WT_CERT_PERIOD + 1;
}
