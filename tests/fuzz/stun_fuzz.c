/* Datagrams that begin as STUN: whatever they say, the verdict is one of the few, an answer is not
 * longer than its request and reads back as what it is. */
#include <stdlib.h>

#include "webrtc/ice_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const tern_endpoint from = {.family = 4, .port = 4001, .ip = {192, 0, 2, 1}};
    tern_stun m, answer;
    tern_ice_user user, nobody;
    uint8_t out[TERN_STUN_MAX];
    tern_ice_verdict v = tern_ice_judge(data, n, &m, &user);
    if (v == TERN_ICE_CHECK || v == TERN_ICE_CONFLICT) {
        ssize_t k = tern_ice_answer(out, v, &m, n, &user, &from);
        if (k > 0 && ((size_t)k > n ||
                      tern_ice_judge(out, (size_t)k, &answer, &nobody) != TERN_ICE_ANSWER)) {
            abort();
        }
    }
    (void)tern_ice_read_user((tern_span){data, n}, &nobody);
    return 0;
}
