/* Datagrams that begin as STUN: whatever they say, the verdict is one of the few, an answer is not
 * longer than its request and reads back as what it is. And a client's check made of the same bytes
 * is taken, answered and confirmed; damaged it is not. */
#include <stdlib.h>
#include <string.h>

#include "webrtc/ice_core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void ask(const uint8_t *data, size_t n)
{
    uint8_t seed[TERN_ICE_SEED + TERN_STUN_ID] = {0}, request[TERN_STUN_MAX], out[TERN_STUN_MAX];
    tern_endpoint at = {.family = n % 2 == 0 ? 4 : 6, .port = (uint16_t)(n + 1), .ip = {192, 0, 2}};
    tern_endpoint seen;
    tern_ice_client c;
    tern_stun m, answer;
    tern_ice_user user, nobody;
    memcpy(seed, data, n < sizeof seed ? n : sizeof seed);
    tern_ice_client_init(&c, 1 + n / 2 % 2, seed);
    ssize_t len = tern_ice_client_check(&c, seed + TERN_ICE_SEED, request);
    check(len > 0 && tern_ice_judge(request, (size_t)len, NULL, &m, &user) == TERN_ICE_CHECK);
    ssize_t k = tern_ice_answer(out, TERN_ICE_CHECK, &m, (size_t)len, &user, &at);
    check(k > 0 && tern_ice_judge(out, (size_t)k, &c, &answer, &nobody) == TERN_ICE_ANSWER);
    check(tern_ice_client_confirmed(&c, out, &answer, &seen) && tern_endpoint_eq(&seen, &at));
    k = tern_ice_answer(out, TERN_ICE_CONFLICT, &m, (size_t)len, &user, &at);
    check(k < 0 || (tern_ice_judge(out, (size_t)k, &c, &answer, &nobody) == TERN_ICE_ANSWER &&
                    !tern_ice_client_confirmed(&c, out, &answer, &seen)));
    request[n % (size_t)len] ^= 1;
    check(tern_ice_judge(request, (size_t)len, NULL, &m, &user) != TERN_ICE_CHECK);
    check(tern_ice_judge(data, n, &c, &m, &user) != TERN_ICE_CHECK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const tern_endpoint from = {.family = 4, .port = 4001, .ip = {192, 0, 2, 1}};
    tern_stun m, answer;
    tern_ice_user user, nobody;
    uint8_t out[TERN_STUN_MAX];
    tern_ice_verdict v = tern_ice_judge(data, n, NULL, &m, &user);
    if (v == TERN_ICE_CHECK || v == TERN_ICE_CONFLICT) {
        ssize_t k = tern_ice_answer(out, v, &m, n, &user, &from);
        if (k > 0 && ((size_t)k > n ||
                      tern_ice_judge(out, (size_t)k, NULL, &answer, &nobody) != TERN_ICE_ANSWER)) {
            abort();
        }
    }
    (void)tern_ice_read_user((tern_span){data, n}, &nobody);
    ask(data, n);
    return 0;
}
