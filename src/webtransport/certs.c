/* The certificates of WebTransport servers: see certs.h and cert_plan.h. */
#include "webtransport/certs.h"

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/cert_derive.h"
#include "crypto/symmetric.h"
#include "webtransport/cert_plan.h"
#include "webtransport/webtransport.h"

#define AGAIN (60 * TERN_SEC) /* after a change that failed */

static uint64_t seconds(const tern_webtransport *w)
{
    return tern_loop_wall(w->net->loop) / TERN_SEC;
}

/* The certificate of a number, and its hash. */
static int derive(const tern_webtransport *w, uint64_t number, tern_cert **ret,
                  uint8_t hash[WT_HASH])
{
    const tern_cert_recipe recipe = {"tern webtransport certificate",
                                     tern_wt_cert_from(number, w->phase),
                                     tern_wt_cert_until(number, w->phase)};
    tern_cert *cert;
    int code = tern_cert_derive(w->net->key, &recipe, &cert);
    if (code != 0) {
        return code;
    }
    const tern_span der = tern_cert_der(cert);
    hash[0] = 0x12; /* sha2-256 */
    hash[1] = WT_HASH - 2;
    code = tern_sha256(&der, 1, hash + 2);
    if (code == 0 && ret != NULL) {
        *ret = cert;
    } else {
        tern_cert_free(cert);
    }
    return code;
}

/* Shows the certificate of now and tells the next one. */
static int show(tern_webtransport *w)
{
    uint64_t number = tern_wt_cert_at(seconds(w), w->phase);
    uint8_t hashes[WT_HASHES][WT_HASH];
    tern_cert *cert;
    int code = derive(w, number, &cert, hashes[1]);
    if (code != 0) {
        return code;
    }
    code = derive(w, number > 1 ? number - 1 : number, NULL, hashes[0]);
    if (code == 0) {
        code = derive(w, number + 1, NULL, hashes[2]);
    }
    if (code != 0) {
        tern_cert_free(cert);
        return code;
    }
    tern_cert_free(w->before);
    w->before = w->shown;
    w->shown = cert;
    w->number = number;
    memcpy(w->hashes, hashes, sizeof hashes);
    return 0;
}

static void on_change(tern_timer *timer);

/* The wall clock may be set meanwhile: it is looked at once an hour at least. */
static void arm(tern_webtransport *w, bool failed)
{
    uint64_t now = seconds(w), at = tern_wt_cert_change(w->number, w->phase);
    uint64_t wait = at > now ? (at - now) * TERN_SEC : 0;
    wait = wait < 3600 * TERN_SEC ? wait : 3600 * TERN_SEC;
    if (failed) {
        wait = AGAIN;
    }
    tern_timer_start(w->net->loop, &w->change, tern_loop_now(w->net->loop) + wait, on_change);
}

static void on_change(tern_timer *timer)
{
    tern_webtransport *w = TERN_CONTAINER(timer, tern_webtransport, change);
    int code = 0;
    if (tern_wt_cert_at(seconds(w), w->phase) != w->number) {
        code = show(w);
        if (code == 0) {
            wt_listeners_changed(w);
        } else {
            TERN_LOG(TERN_LOG_DEBUG, "webtransport", "the next certificate cannot be made: %s",
                     tern_code_text(code));
        }
    }
    arm(w, code != 0);
}

/* Nodes change their certificates at different times. */
static int find_phase(tern_webtransport *w)
{
    uint8_t digest[TERN_SHA256];
    const tern_span id = {w->net->self.bytes, w->net->self.len};
    int code = tern_sha256(&id, 1, digest);
    w->phase = code == 0 ? tern_get64(digest) % TERN_WT_CERT_PERIOD : 0;
    return code;
}

int wt_of(tern_net *net, tern_webtransport **ret, tern_error *reterr)
{
    if (net->webtransport == NULL) {
        tern_webtransport *w = tern_calloc(1, sizeof *w);
        int code = w != NULL ? 0 : TERN_E_NOMEM;
        if (code == 0) {
            w->net = net;
            tern_list_init(&w->listeners);
            code = find_phase(w);
        }
        if (code == 0) {
            code = show(w);
        }
        if (code != 0) {
            tern_free(w);
            return tern_fail(reterr, code, "webtransport", "the certificate cannot be made: %s",
                             tern_code_text(code));
        }
        arm(w, false);
        net->webtransport = w;
    }
    *ret = net->webtransport;
    return 0;
}

void tern_webtransport_free(tern_net *net)
{
    tern_webtransport *w = net->webtransport;
    if (w != NULL) {
        tern_timer_stop(&w->change);
        tern_cert_free(w->shown);
        tern_cert_free(w->before);
        tern_free(w);
        net->webtransport = NULL;
    }
}

static tern_multiaddr *and_then(tern_multiaddr *addr, uint32_t code, const void *value, size_t n)
{
    tern_multiaddr *longer = addr != NULL ? tern_ma_with(addr, code, value, n) : NULL;
    tern_multiaddr_unref(addr);
    return longer;
}

tern_multiaddr *wt_addr(const tern_endpoint *e, const tern_webtransport *w)
{
    tern_endpoint plain = *e;
    tern_endpoint_unmap(&plain);
    tern_multiaddr *addr =
        and_then(tern_ma_from_endpoint(&plain, TERN_MA_UDP), TERN_MA_QUIC_V1, NULL, 0);
    addr = and_then(addr, TERN_MA_WEBTRANSPORT, NULL, 0);
    for (size_t i = 1; w != NULL && i < WT_HASHES; i++) {
        addr = and_then(addr, TERN_MA_CERTHASH, w->hashes[i], WT_HASH);
    }
    return addr;
}
