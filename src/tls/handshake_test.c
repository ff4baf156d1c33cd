/* Handshakes of two ends of ours: whole, resumed, with early data, retried, refused, in any pieces,
 * and short of memory. */
#include "tls/ends_test.h"

static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};

/* ---- whole ---- */

static void test_full(void **state)
{
    ends both = {.s.answer = {.ask = true, .tickets = 2}};
    tern_handshake_config config = end_client_config();
    (void)state;
    ends_begin(&both, &config);
    ends_run(&both);
    ends_check(&both);
    assert_string_equal(both.c.said, "send0 in2 out2 params certificate1 in3 send2 out3 done");
    assert_string_equal(both.s.said,
                        "params hello send0 out2 in2 send2 out3 certificate1 in3 done");
    assert_int_equal(both.c.secrets[TERN_LEVEL_TRAFFIC][0].cipher, TERN_AES_128_GCM);
    tern_span cert = tern_cert_der(end_cert());
    assert_int_equal(both.c.cert_n, cert.len);
    assert_memory_equal(both.c.cert, cert.data, cert.len);
    assert_int_equal(both.s.cert_n, cert.len);
    assert_int_equal(tern_handshake_tickets(both.c.h), 2);
    assert_false(tern_handshake_resumed(both.c.h) || tern_handshake_resumed(both.s.h));
    assert_false(tern_handshake_early(both.c.h) || tern_handshake_early(both.s.h));
    ends_clear(&both);
}

/* No certificate is asked for; there is none to show; it is asked for, and there is none. */
static void test_certificates(void **state)
{
    tern_handshake_config config = end_client_config();
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        for (int there = 0; there < 2; there++) {
            ends both = {.s.answer = {.ask = asked, .tickets = -1}};
            config.cert = there ? end_cert() : NULL;
            ends_begin(&both, &config);
            ends_run(&both);
            if (asked && !there) {
                assert_true(tern_handshake_done(both.c.h)); /* the server's word comes later */
                assert_int_equal(both.s.error, TERN_E_PROTOCOL);
                assert_int_equal(tern_handshake_alert(both.s.h), TERN_ALERT_CERTIFICATE_REQUIRED);
            } else {
                ends_check(&both);
                assert_int_equal(both.s.cert_n > 0, asked);
                assert_int_equal(tern_handshake_tickets(both.c.h), -1);
            }
            ends_clear(&both);
        }
    }
}

static void test_suites(void **state)
{
    static const tern_aead_kind ciphers[] = {TERN_AES_128_GCM, TERN_AES_256_GCM,
                                             TERN_CHACHA20_POLY1305};
    const tern_handshake_config config = end_client_config();
    (void)state;
    for (int i = 0; i < 3; i++) {
        ends both = {.c = {.only_suite = suites[i]}, .s.answer = {.ask = true, .tickets = -1}};
        ends_begin(&both, &config);
        ends_run(&both);
        ends_check(&both);
        assert_int_equal(both.s.secrets[TERN_LEVEL_TRAFFIC][1].cipher, ciphers[i]);
        ends_clear(&both);
    }
    ends both = {.c = {.only_suite = 0x1304}};
    ends_begin(&both, &config);
    ends_run(&both);
    assert_int_equal(both.s.error, TERN_E_NEGOTIATION);
    assert_int_equal(tern_handshake_alert(both.s.h), TERN_ALERT_HANDSHAKE_FAILURE);
    ends_clear(&both);
}

static void test_protocols(void **state)
{
    ends both = {.s.alpn = "h3"};
    const tern_handshake_config config = end_client_config();
    (void)state;
    ends_begin(&both, &config);
    ends_run(&both);
    assert_int_equal(both.s.error, TERN_E_NEGOTIATION);
    assert_int_equal(tern_handshake_alert(both.s.h), TERN_ALERT_NO_APPLICATION_PROTOCOL);
    assert_string_equal(both.s.said, "params hello");
    ends_clear(&both);
}

/* Without QUIC's parameters nobody sends any, nor asks for them. */
static void test_without_params(void **state)
{
    ends both = {.s.answer = {.tickets = -1}};
    tern_handshake_config config = end_client_config();
    (void)state;
    config.params = 0;
    ends_begin(&both, &config);
    ends_run(&both);
    assert_true(ends_done(&both));
    assert_string_equal(both.c.said, "send0 in2 out2 certificate1 in3 send2 out3 done");
    ends_clear(&both);
}

/* ---- resumed ---- */

typedef struct again {
    ends both;
    tern_ticket ticket;
    tern_psk psk;
} again;

/* A second handshake with the ticket of a first one, which the server knows. */
static void resume(again *a, uint16_t first, uint16_t second, bool early)
{
    tern_handshake_config config = end_client_config();
    ends_ticket(first, early, &a->ticket, &a->psk);
    config.ticket = &a->ticket;
    config.ticket_age = 5;
    config.early = early;
    a->both.c.only_suite = second;
    a->both.s.answer = (tern_answer){.psk = &a->psk, .ask = true, .early = early, .tickets = 1};
    ends_begin(&a->both, &config);
}

static void test_ticket(void **state)
{
    tern_ticket ticket;
    tern_psk psk;
    (void)state;
    for (int i = 0; i < 6; i++) {
        ends_ticket(suites[i / 2], i % 2, &ticket, &psk);
        assert_int_equal(ticket.lifetime, 7200);
        assert_int_equal(ticket.age_add, 0x01020304);
        assert_int_equal(ticket.early, i % 2);
        assert_int_equal(ticket.bytes.len, 6);
        assert_memory_equal(ticket.bytes.data, "ticket", 6);
        assert_int_equal(ticket.psk.cipher, psk.cipher);
        assert_memory_equal(ticket.psk.key, psk.key, tern_hash_size(tls_hash(psk.cipher)));
    }
}

/* Each of several has a key of its own. */
static void test_tickets_differ(void **state)
{
    ends both = {.s.answer = {.tickets = 2}};
    const tern_handshake_config config = end_client_config();
    tern_psk one, two;
    (void)state;
    ends_begin(&both, &config);
    ends_run(&both);
    ends_give(&both, false, &one);
    ends_give(&both, true, &two);
    assert_memory_not_equal(one.key, two.key, TERN_SHA256);
    assert_memory_equal(both.c.ticket.psk.key, two.key, TERN_SHA256);
    ends_clear(&both);
}

static void test_resumed(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        again a = {.psk.cipher = 0};
        resume(&a, suites[i], suites[i], false);
        ends_run(&a.both);
        ends_check(&a.both);
        assert_true(tern_handshake_resumed(a.both.c.h) && tern_handshake_resumed(a.both.s.h));
        assert_string_equal(a.both.c.said, "send0 in2 out2 params in3 send2 out3 done");
        assert_string_equal(a.both.s.said,
                            "params hello resumed send0 out2 in2 send2 out3 in3 done");
        assert_int_equal(tern_handshake_tickets(a.both.c.h), 1);
        ends_give(&a.both, true, &a.psk);
        ends_clear(&a.both);
    }
}

static void test_early(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        again a = {.psk.cipher = 0};
        resume(&a, suites[i], suites[i], true);
        assert_string_equal(a.both.c.said, "send0 out1");
        ends_run(&a.both);
        ends_check(&a.both);
        ends_agree(&a.both, TERN_LEVEL_EARLY, false);
        assert_true(tern_handshake_early(a.both.c.h) && tern_handshake_early(a.both.s.h));
        assert_string_equal(a.both.s.said,
                            "params hello resumed in1 send0 out2 in2 send2 out3 in3 done");
        ends_clear(&a.both);
    }
}

/* The ticket is taken, early data are not. */
static void test_early_refused(void **state)
{
    again a = {.psk.cipher = 0};
    (void)state;
    resume(&a, 0, 0, true);
    a.both.s.answer.early = false;
    ends_run(&a.both);
    ends_check(&a.both);
    assert_true(tern_handshake_resumed(a.both.c.h));
    assert_false(tern_handshake_early(a.both.c.h) || tern_handshake_early(a.both.s.h));
    assert_false(a.both.s.secrets[TERN_LEVEL_EARLY][0].known);
    ends_clear(&a.both);
}

/* A ticket that takes none goes without, even if the owner would send some. */
static void test_early_not_in_ticket(void **state)
{
    tern_handshake_config config = end_client_config();
    again a = {.psk.cipher = 0};
    (void)state;
    ends_ticket(0, false, &a.ticket, &a.psk);
    config.ticket = &a.ticket;
    config.early = true;
    a.both.s.answer = (tern_answer){.psk = &a.psk, .early = true, .tickets = -1};
    ends_begin(&a.both, &config);
    ends_run(&a.both);
    ends_check(&a.both);
    assert_true(tern_handshake_resumed(a.both.s.h));
    assert_false(tern_handshake_early(a.both.s.h));
    ends_clear(&a.both);
}

/* A ticket that the server does not know, or one for another hash: a full handshake. */
static void test_ticket_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        again a = {.psk.cipher = 0};
        resume(&a, i == 1 ? 0x1302 : 0x1301, i == 2 ? 0x1302 : 0x1301, true);
        if (i == 0) {
            a.both.s.answer.psk = NULL;
        }
        ends_run(&a.both);
        ends_check(&a.both);
        assert_int_equal(a.both.s.offered, 1);
        assert_false(tern_handshake_resumed(a.both.c.h) || tern_handshake_resumed(a.both.s.h));
        assert_false(tern_handshake_early(a.both.c.h) || tern_handshake_early(a.both.s.h));
        assert_int_equal(a.both.s.resumptions, 0);
        assert_true(a.both.c.cert_n > 0 && a.both.s.cert_n > 0);
        ends_clear(&a.both);
    }
}

/* The same hash, another cipher: resumed, but early data cannot be read. */
static void test_ticket_of_another_cipher(void **state)
{
    again a = {.psk.cipher = 0};
    (void)state;
    resume(&a, 0x1301, 0x1303, true);
    ends_run(&a.both);
    ends_check(&a.both);
    assert_true(tern_handshake_resumed(a.both.c.h) && tern_handshake_resumed(a.both.s.h));
    assert_false(tern_handshake_early(a.both.c.h) || tern_handshake_early(a.both.s.h));
    ends_clear(&a.both);
}

/* Who saw a ticket on its way has not its key. */
static void test_wrong_key(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * (size_t)TERN_SHA256; bit += 17) {
        again a = {.psk.cipher = 0};
        resume(&a, 0, 0, true);
        a.psk.key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ends_run(&a.both);
        assert_int_equal(a.both.s.error, TERN_E_CRYPTO);
        assert_int_equal(tern_handshake_alert(a.both.s.h), TERN_ALERT_DECRYPT_ERROR);
        assert_string_equal(a.both.s.said, "params hello"); /* no secret, nothing sent */
        ends_clear(&a.both);
    }
}

/* ---- retried ---- */

/* X25519 that was not guessed, and P-256 since nothing else is left. */
static void test_retry(void **state)
{
    const tern_handshake_config config = end_client_config();
    (void)state;
    for (int i = 0; i < 6; i++) {
        ends both = {.c = {.only_suite = suites[i / 2],
                           .no_share = NO_GROUP,
                           .no_group = i % 2 ? NO_GROUP : 0},
                     .s.answer = {.ask = true, .tickets = -1}};
        ends_begin(&both, &config);
        ends_run(&both);
        ends_check(&both);
        assert_string_equal(both.c.said,
                            "send0 send0 in2 out2 params certificate1 in3 send2 out3 done");
        assert_string_equal(both.s.said,
                            "params send0 hello send0 out2 in2 send2 out3 certificate1 in3 done");
        ends_clear(&both);
    }
}

/* The binder is of both hellos; early data are over. */
static void test_retry_resumed(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        again a = {.both.c = {.no_share = NO_GROUP, .no_group = i % 2 ? NO_GROUP : 0}};
        resume(&a, suites[i / 2], suites[i / 2], true);
        ends_run(&a.both);
        ends_check(&a.both);
        assert_true(tern_handshake_resumed(a.both.c.h) && tern_handshake_resumed(a.both.s.h));
        assert_false(tern_handshake_early(a.both.c.h) || tern_handshake_early(a.both.s.h));
        assert_true(a.both.c.secrets[TERN_LEVEL_EARLY][1].known);
        ends_clear(&a.both);
    }
}

/* The server wants another hash than the ticket's: the second ClientHello goes without it. */
static void test_retry_other_hash(void **state)
{
    again a = {.both.c.no_share = NO_GROUP};
    (void)state;
    resume(&a, 0x1301, 0x1302, true);
    ends_run(&a.both);
    ends_check(&a.both);
    assert_int_equal(a.both.s.offered, 0);
    assert_false(tern_handshake_resumed(a.both.c.h));
    ends_clear(&a.both);
}

static void test_no_group(void **state)
{
    const tern_handshake_config config = end_client_config();
    ends both = {.c = {.no_share = NO_GROUP, .no_group = NO_GROUP}};
    size_t n;
    (void)state;
    ends_begin(&both, &config);
    end_message *m = &both.c.queue[0];
    uint8_t *groups = end_extension(m->bytes, m->n, TLS_EXT_SUPPORTED_GROUPS, &n);
    tern_put16(groups + 4, NO_GROUP + 1);
    ends_run(&both);
    assert_int_equal(both.s.error, TERN_E_NEGOTIATION);
    assert_int_equal(tern_handshake_alert(both.s.h), TERN_ALERT_HANDSHAKE_FAILURE);
    ends_clear(&both);
}

/* ---- what an owner refuses ---- */

static void refused(ends *both, const end *who, int code, tern_alert alert)
{
    const tern_handshake_config config = end_client_config();
    both->s.answer = (tern_answer){.ask = true, .tickets = -1};
    ends_begin(both, &config);
    ends_run(both);
    assert_int_equal(who->error, code);
    assert_int_equal(tern_handshake_alert(who->h), alert);
    assert_false(ends_done(both));
    assert_int_equal(tern_handshake_feed(who->h, TERN_LEVEL_TRAFFIC, (const uint8_t *)"", 1),
                     TERN_E_STATE);
    ends_clear(both);
}

static void test_owner_refuses(void **state)
{
    ends a = {.s.refuse_params = TERN_E_LIMIT}, b = {.c.refuse_params = TERN_E_LIMIT};
    ends c = {.s.refuse_certificate = TERN_E_PEER_ID}, d = {.c.refuse_certificate = TERN_E_PEER_ID};
    ends e = {.s.refuse_hello = TERN_E_STATE}, f = {.s.refuse_done = TERN_E_LIMIT};
    ends g = {.s.no_params = TERN_E_NOMEM}, h = {.c.no_params = TERN_E_NOMEM};
    (void)state;
    refused(&a, &a.s, TERN_E_LIMIT, TERN_ALERT_ILLEGAL_PARAMETER);
    refused(&b, &b.c, TERN_E_LIMIT, TERN_ALERT_ILLEGAL_PARAMETER);
    refused(&c, &c.s, TERN_E_PEER_ID, TERN_ALERT_BAD_CERTIFICATE);
    refused(&d, &d.c, TERN_E_PEER_ID, TERN_ALERT_BAD_CERTIFICATE);
    refused(&e, &e.s, TERN_E_STATE, TERN_ALERT_INTERNAL_ERROR);
    refused(&f, &f.s, TERN_E_LIMIT, TERN_ALERT_INTERNAL_ERROR);
    refused(&g, &g.s, TERN_E_NOMEM, TERN_ALERT_INTERNAL_ERROR);
    refused(&h, &h.c, TERN_E_NOMEM, TERN_ALERT_INTERNAL_ERROR);
}

/* ---- pieces ---- */

static bool byte_by_byte(ends *both, end *to, end_message *m)
{
    (void)both;
    for (size_t i = 0; i < m->n; i++) {
        end_feed(to, m->level, m->bytes + i, 1);
    }
    return true;
}

/* All that waits at the same level, at once. */
static bool together(ends *both, end *to, end_message *m)
{
    uint8_t all[8192];
    size_t n = 0;
    end *from = to == &both->c ? &both->s : &both->c;
    for (;;) {
        assert_true(n + m->n <= sizeof all);
        memcpy(all + n, m->bytes, m->n);
        n += m->n;
        if (from->first == from->last || from->queue[from->first].level != m->level) {
            break;
        }
        m = end_next(from);
    }
    end_feed(to, m->level, all, n);
    return true;
}

static void test_pieces(void **state)
{
    static bool (*const ways[])(ends *, end *, end_message *) = {byte_by_byte, together};
    (void)state;
    for (int i = 0; i < 4; i++) {
        again a = {.both.on_way = ways[i % 2]};
        resume(&a, 0, 0, true);
        if (i / 2) {
            a.both.s.answer.psk = NULL;
        }
        ends_run(&a.both);
        ends_check(&a.both);
        assert_int_equal(tern_handshake_resumed(a.both.s.h), !(i / 2));
        ends_give(&a.both, true, &a.psk);
        ends_clear(&a.both);
    }
}

/* Extensions that we do not know, as browsers send them: reserved ones without a meaning (RFC
 * 8701), names of servers, and long ones; up to 16 KiB in as many pieces as datagrams need. */
static void test_unknown_extensions(void **state)
{
    static uint8_t more[17 << 10];
    const tern_handshake_config config = end_client_config();
    (void)state;
    for (size_t n = 0; n <= 17 << 10; n += 1 << 10) {
        ends both = {.c.more = {more, n}, .s.answer = {.tickets = 2}};
        for (size_t i = 0, at = 0; at < n; at += 512, i++) { /* each of 512 bytes */
            tern_put16(more + at, (uint16_t)(i % 2 ? 0x0a0a + 0x1010 * i : 0xfe00 + i));
            tern_put16(more + at + 2, 512 - 4);
        }
        ends_begin(&both, &config);
        end_message *m = end_next(&both.c);
        for (size_t at = 0, piece; at < m->n; at += piece) {
            piece = m->n - at < 1100 ? m->n - at : 1100;
            end_feed(&both.s, m->level, m->bytes + at, piece);
        }
        if (m->n <= TLS_HEAD + (16 << 10)) {
            ends_run(&both);
            ends_check(&both);
        } else {
            assert_true(n >= 16 << 10);
            assert_int_equal(both.s.error, TERN_E_TOO_LARGE);
        }
        ends_clear(&both);
    }
}

/* ---- memory ---- */

/* A ticket that finds no memory is not given, and costs nothing but itself. */
static void test_ticket_memory(void **state)
{
    bool whole = false;
    (void)state;
    for (size_t i = 1; !whole; i++) {
        ends both = {.s.answer = {.tickets = -1}};
        const tern_handshake_config config = end_client_config();
        tern_psk psk;
        ends_begin(&both, &config);
        ends_run(&both);
        ends_check(&both);
        tern_mem_fail_at(i, 0);
        int e = tern_handshake_give(both.s.h, (tern_span){(const uint8_t *)"ticket", 6}, 1, 1, true,
                                    &psk);
        whole = tern_mem_count() < i;
        tern_mem_fail_at(0, 0);
        assert_int_equal(e, whole ? 0 : TERN_E_NOMEM);
        ends_run(&both);
        assert_int_equal(both.c.tickets, whole);
        assert_true(ends_done(&both));
        ends_clear(&both);
    }
}

/* Each allocation fails in turn: an end may fail, and both never end up differently. */
static void starve(bool again_and_retried)
{
    tern_ticket ticket;
    tern_psk psk;
    bool whole = false;
    size_t most = 0;
    tern_handshake_config config = end_client_config();
    ends_ticket(0, true, &ticket, &psk);
    config.ticket = &ticket;
    config.early = true;
    size_t alive = tern_mem_alive();
    for (size_t i = 1; !whole; i++) {
        ends both = {.on_way = again_and_retried ? NULL : byte_by_byte,
                     .s.answer = {.ask = true, .tickets = 1}};
        if (again_and_retried) {
            both.c.no_share = both.c.no_group = NO_GROUP;
            both.s.answer.psk = &psk;
        }
        tern_mem_fail_at(i, 0);
        ends_begin(&both, &config);
        if (both.s.h != NULL && both.c.h != NULL) {
            ends_run(&both);
            whole = tern_mem_count() < i;
            tern_mem_fail_at(0, 0);
            assert_true(!whole || ends_done(&both));
            if (ends_done(&both)) {
                ends_check(&both);
            }
        }
        tern_mem_fail_at(0, 0);
        ends_clear(&both);
        assert_int_equal(tern_mem_alive(), alive);
        most = i;
    }
    assert_true(most > 5); /* there was something to fail */
}

static void test_memory(void **state)
{
    (void)state;
    starve(false);
    starve(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_certificates),
                                       cmocka_unit_test(test_suites),
                                       cmocka_unit_test(test_protocols),
                                       cmocka_unit_test(test_without_params),
                                       cmocka_unit_test(test_ticket),
                                       cmocka_unit_test(test_tickets_differ),
                                       cmocka_unit_test(test_resumed),
                                       cmocka_unit_test(test_early),
                                       cmocka_unit_test(test_early_refused),
                                       cmocka_unit_test(test_early_not_in_ticket),
                                       cmocka_unit_test(test_ticket_refused),
                                       cmocka_unit_test(test_ticket_of_another_cipher),
                                       cmocka_unit_test(test_wrong_key),
                                       cmocka_unit_test(test_retry),
                                       cmocka_unit_test(test_retry_resumed),
                                       cmocka_unit_test(test_retry_other_hash),
                                       cmocka_unit_test(test_no_group),
                                       cmocka_unit_test(test_owner_refuses),
                                       cmocka_unit_test(test_pieces),
                                       cmocka_unit_test(test_unknown_extensions),
                                       cmocka_unit_test(test_memory),
                                       cmocka_unit_test(test_ticket_memory)};
    return TERN_TEST_MAIN(tests);
}
