/* The default gateway of a simulated host: where it is, what it has mapped, and its UPnP. What it
 * says over PCP and NAT-PMP comes from a host of its own, as all datagrams do. */
#include <string.h>

#include "base/error.h"
#include "loop/sim_world.h"

#define FIND_TIME (1 * TERN_SEC)
#define ASK_TIME  (5 * TERN_MS)

int tern_sim_gateway(tern_loop *loop, const char *ip)
{
    struct sim_host *host = tern_sim_host_of(loop);
    memset(&host->gateway, 0, sizeof host->gateway);
    return ip != NULL ? tern_endpoint_parse_ip(&host->gateway, ip) : 0;
}

int tern_sim_gateway_of(tern_loop *loop, tern_endpoint *ret, tern_endpoint *ret_own)
{
    const struct sim_host *host = tern_sim_host_of(loop);
    if (host->gateway.family == 0 || !tern_sim_source(host, &host->gateway, ret_own)) {
        return TERN_E_NOT_FOUND;
    }
    *ret = host->gateway;
    return 0;
}

int tern_sim_forward(tern_loop *loop, bool udp, uint16_t outside, uint16_t port)
{
    struct sim_host *host = tern_sim_host_of(loop);
    size_t i = 0;
    while (i < host->forward_count &&
           (host->forwards[i].udp != udp || host->forwards[i].outside != outside)) {
        i++;
    }
    if (port == 0) {
        if (i < host->forward_count) {
            host->forwards[i] = host->forwards[--host->forward_count];
        }
        return 0;
    }
    if (i == SIM_FORWARDS) {
        return TERN_E_LIMIT;
    }
    host->forward_count += i == host->forward_count;
    host->forwards[i] = (struct sim_forward){.udp = udp, .outside = outside, .port = port};
    return 0;
}

/* ---- UPnP ---- */

void tern_sim_igd(tern_loop *loop, tern_sim_igd_fn *fn, void *owner)
{
    tern_sim_host_of(loop)->igd = fn;
    tern_sim_host_of(loop)->igd_owner = owner;
}

static void answer(tern_timer *timer)
{
    tern_igd *igd = TERN_CONTAINER(timer, tern_igd, timer);
    const struct sim_host *host = tern_sim_host_of(igd->op.loop);
    int code = host->igd != NULL ? host->igd(host->igd_owner, &igd->round) : TERN_E_NOT_FOUND;
    tern_error error;
    tern_fail(&error, code, "upnp", "%s", tern_code_text(code));
    tern_op_finish(&igd->op, code != 0 ? &error : NULL);
}

static void cancel(tern_op *op)
{
    tern_timer_stop(&TERN_CONTAINER(op, tern_igd, op)->timer);
}

int tern_sim_igd_start(tern_igd *igd)
{
    uint64_t time = igd->round.act == TERN_IGD_FIND ? FIND_TIME : ASK_TIME;
    tern_op_start(&igd->op, "upnp", cancel, NULL);
    tern_timer_start(igd->op.loop, &igd->timer, tern_loop_now(igd->op.loop) + time, answer);
    return 0;
}
