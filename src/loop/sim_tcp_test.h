/* For the tests of simulated TCP: two hosts, a listener on the second, and the two ends of a
 * connection between them, which write a known pattern and record all that happens to them. */
#ifndef TERN_LOOP_SIM_TCP_TEST_H
#define TERN_LOOP_SIM_TCP_TEST_H

#include "base/test.h"

#include <tern/error.h>

#include "loop/sim.h"
#include "loop/tcp.h"

enum { PORT = 4001, PIECE = 256 * 1024 };

#define MIB UINT64_C(1048576)

/* One side of a connection and what happened to it. */
struct end {
    tern_sim *sim;
    tern_tcp *t;
    unsigned connects;
    int code, error;
    uint64_t connected_at, accepted_at, first_at, last_at, end_at, error_at;
    uint64_t want, sent, got; /* bytes to write, written, read */
    size_t largest;
    unsigned pieces, ends, errors;
    bool finish;     /* end after the last byte */
    bool echo;       /* answer what arrives with as many bytes */
    bool wrong_byte; /* got something else than was sent */
    bool close_on_data;
    bool starves;    /* memory may fail: a write too */
    bool sips;       /* pauses after every piece */
    uint64_t *trace; /* FNV-1a of every event */
};

static inline void trace(struct end *e, unsigned what, uint64_t n)
{
    if (e->trace != NULL) {
        uint64_t values[3] = {what, tern_sim_now(e->sim), n};
        for (size_t i = 0; i < sizeof values; i++) {
            *e->trace = (*e->trace ^ ((const uint8_t *)values)[i]) * UINT64_C(0x100000001b3);
        }
    }
}

static inline uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 167 + (i >> 8) * 13 + (i >> 16));
}

static inline void pump(struct end *e)
{
    static uint8_t data[PIECE];
    while (e->sent < e->want) {
        size_t n = e->want - e->sent < PIECE ? (size_t)(e->want - e->sent) : PIECE;
        for (size_t i = 0; i < n; i++) {
            data[i] = pattern(e->sent + i);
        }
        size_t cut = n / 3;
        tern_span v[2] = {{data, cut}, {data + cut, n - cut}};
        ssize_t took = tern_tcp_write(e->t, v, 2);
        if (took == TERN_E_NOMEM && e->starves) {
            return;
        }
        assert_true(took >= 0);
        e->sent += (size_t)took;
        if ((size_t)took < n) {
            return;
        }
    }
    if (e->finish) {
        e->finish = false;
        tern_tcp_shutdown(e->t);
    }
}

static inline void on_connected(void *owner, int code)
{
    struct end *e = owner;
    e->connects++;
    e->code = code;
    e->connected_at = tern_sim_now(e->sim);
    trace(e, 1, (uint64_t)code);
    if (code == 0) {
        tern_tcp_read(e->t);
        pump(e);
    }
}

static inline void on_data(void *owner, uint8_t *data, size_t n)
{
    struct end *e = owner;
    e->first_at = e->got == 0 ? tern_sim_now(e->sim) : e->first_at;
    e->last_at = tern_sim_now(e->sim);
    for (size_t i = 0; i < n; i++) {
        e->wrong_byte |= data[i] != pattern(e->got + i);
    }
    memset(data, 0xee, n); /* the receiver may change it */
    e->got += n;
    e->pieces++;
    e->largest = n > e->largest ? n : e->largest;
    trace(e, 2, n);
    if (e->sips) {
        tern_tcp_pause(e->t);
    }
    if (e->close_on_data) {
        tern_tcp_close(e->t, false);
        e->t = NULL;
    } else if (e->echo) {
        e->want += n;
        pump(e);
    }
}

static inline void on_end(void *owner)
{
    struct end *e = owner;
    e->ends++;
    e->end_at = tern_sim_now(e->sim);
    trace(e, 3, 0);
}

static inline void on_writable(void *owner)
{
    pump(owner);
}

static inline void on_error(void *owner, int code)
{
    struct end *e = owner;
    e->errors++;
    e->error = code;
    e->error_at = tern_sim_now(e->sim);
    trace(e, 4, (uint64_t)code);
}

static const tern_tcp_events events = {.on_connected = on_connected,
                                       .on_data = on_data,
                                       .on_end = on_end,
                                       .on_writable = on_writable,
                                       .on_error = on_error};

static inline void on_accept(void *owner, tern_tcp *t)
{
    struct end *e = owner;
    e->t = t;
    e->accepted_at = tern_sim_now(e->sim);
    trace(e, 5, 0);
    tern_tcp_set_owner(t, &events, e);
    tern_tcp_read(t);
    pump(e);
}

/* Two hosts, a listener on the second, a dial from the first. */
struct fixture {
    tern_sim *sim;
    tern_loop *a, *b;
    tern_tcp_listener *l;
    uint64_t start;
    struct end d, s; /* dialler, server */
};

static inline tern_endpoint at(const char *ip, uint16_t port)
{
    tern_endpoint e;
    assert_int_equal(tern_endpoint_parse_ip(&e, ip), 0);
    e.port = port;
    return e;
}

static inline void setup(struct fixture *f, uint64_t seed, const tern_sim_link *link)
{
    memset(f, 0, sizeof *f);
    assert_int_equal(tern_sim_new(seed, &f->sim), 0);
    tern_sim_set_default_link(f->sim, link);
    assert_int_equal(tern_sim_host(f->sim, "10.0.0.1", &f->a), 0);
    assert_int_equal(tern_sim_host(f->sim, "10.0.0.2", &f->b), 0);
    f->d.sim = f->s.sim = f->sim;
    tern_endpoint any = {.family = 4, .port = PORT};
    assert_int_equal(tern_tcp_listen(f->b, &any, on_accept, &f->s, &f->l), 0);
    f->start = tern_sim_now(f->sim);
}

static inline void dial(struct fixture *f, const char *ip, uint16_t port)
{
    tern_endpoint to = at(ip, port);
    assert_int_equal(tern_tcp_dial(f->a, &to, NULL, &events, &f->d, &f->d.t), 0);
}

static inline void run(struct fixture *f)
{
    tern_sim_run(f->sim, TERN_NEVER, NULL, NULL);
}

static inline void teardown(struct fixture *f)
{
    tern_tcp_close(f->d.t, false);
    tern_tcp_close(f->s.t, false);
    tern_tcp_listener_close(f->l);
    run(f);
    tern_sim_free(f->sim);
}

#endif
