/* AutoNAT 1, the server, for old peers: only the peer's own IP is dialled. See autonat.h. */
#include "nat/autonat_inner.h"

static void answer(request *q, uint32_t status, tern_multiaddr *reached)
{
    tern_autonat_1_message m = {.response = true, .status = status};
    tern_counters *c = &q->autonat->net->counters;
    tern_buf out;
    if (reached != NULL) {
        m.addrs[m.addr_count++] = reached;
    }
    tern_buf_init(&out, TERN_AUTONAT_1_MESSAGE_MAX);
    c->autonat_refused += status != TERN_AUTONAT_1_OK && status != TERN_AUTONAT_1_DIAL_ERROR;
    c->autonat_reached += status == TERN_AUTONAT_1_OK;
    c->allocation_failures += tern_autonat_1_build(&m, &out) != 0; /* nothing is written then */
    autonat_answer(q, &out);
    tern_buf_free(&out);
}

static void on_late(tern_timer *timer)
{
    answer(TERN_CONTAINER(timer, request, timer), TERN_AUTONAT_1_DIAL_ERROR, NULL);
}

static void on_dialled(void *owner, tern_conn *conn, const tern_error *error)
{
    request *q = owner;
    (void)error;
    q->dial = NULL;
    if (conn == NULL) {
        answer(q, TERN_AUTONAT_1_DIAL_ERROR, NULL);
        return;
    }
    tern_multiaddr *reached = tern_multiaddr_ref(conn->facts.remote);
    tern_conn_close(conn, 0, "dialled back");
    answer(q, TERN_AUTONAT_1_OK, reached);
    tern_multiaddr_unref(reached);
}

/* The addresses named, with the IP where the peer is; each once. */
static size_t choose(request *q, tern_autonat_1_message *m,
                     tern_multiaddr *out[TERN_AUTONAT_1_ADDRS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < m->addr_count; i++) {
        tern_endpoint e, at = q->from;
        uint32_t transport;
        tern_multiaddr *bare = tern_ma_without_p2p(m->addrs[i]);
        if (bare == NULL || !tern_ma_endpoint(bare, &e, &transport) || e.family != at.family) {
            tern_multiaddr_unref(bare);
            continue;
        }
        at.port = e.port;
        tern_multiaddr *there = tern_ma_at(bare, &at);
        bool good = autonat_dialable(q->autonat, there, &e);
        for (size_t k = 0; good && k < n; k++) {
            good = !tern_multiaddr_equal(out[k], there);
        }
        if (good) {
            out[n++] = tern_multiaddr_ref(there);
        }
        tern_multiaddr_unref(there);
        tern_multiaddr_unref(bare);
    }
    return n;
}

static void on_request(request *q, tern_autonat_1_message *m)
{
    tern_autonat *a = q->autonat;
    tern_multiaddr *addrs[TERN_AUTONAT_1_ADDRS_MAX];
    size_t n = choose(q, m, addrs);
    if (n == 0) {
        answer(q, TERN_AUTONAT_1_DIAL_REFUSED, NULL);
    } else if (!tern_rate_admit(&a->rate_1, tern_loop_now(a->net->loop), &q->from, &q->peer)) {
        a->net->counters.autonat_rate++;
        answer(q, TERN_AUTONAT_1_DIAL_REFUSED, NULL);
    } else {
        autonat_phase(q, DIALLING, TERN_AUTONAT_DIAL_TIME, on_late);
        if (!autonat_dial(q, addrs, n, on_dialled)) {
            a->net->counters.allocation_failures++;
            answer(q, TERN_AUTONAT_1_INTERNAL_ERROR, NULL);
        }
    }
    while (n > 0) {
        tern_multiaddr_unref(addrs[--n]);
    }
}

void autonat_1_serve(request *q, tern_span message)
{
    tern_autonat_1_message m;
    if (tern_autonat_1_parse(message, &m) != 0) {
        autonat_break(q);
        return;
    }
    if (m.response) {
        autonat_break(q);
    } else if (m.peer.len > 0 && !tern_peer_id_equal(&m.peer, &q->peer)) {
        answer(q, TERN_AUTONAT_1_BAD_REQUEST, NULL);
    } else {
        on_request(q, &m);
    }
    tern_autonat_1_clear(&m);
}
