/* Handshakes with GnuTLS at the other end, over memory and without records, in both roles: suites,
 * groups, certificates, tickets and early data. What both derive is the same. */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "tls/ends_test.h"

/* GnuTLS, as an end whose queue and secrets are filled by it. */
typedef struct peer {
    end *e;
    gnutls_session_t s;
    gnutls_certificate_credentials_t credentials;
    bool done;
    int error;
} peer;

typedef struct options {
    const char *ciphers, *groups, *signatures; /* of its priority string */
    unsigned flags;
    const tern_cert *cert;
    bool ask;
    const gnutls_datum_t *ticket_key; /* server */
    gnutls_anti_replay_t replay;      /* server: takes early data */
    const gnutls_datum_t *session;    /* client: to be resumed */
    bool early;                       /* ... with early data */
} options;

static const char all_ciphers[] = "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305";
static const char both_groups[] = "+GROUP-X25519:+GROUP-SECP256R1";

/* ---- what GnuTLS tells ---- */

static tern_level level_of(gnutls_record_encryption_level_t level)
{
    return level == GNUTLS_ENCRYPTION_LEVEL_INITIAL     ? TERN_LEVEL_INITIAL
           : level == GNUTLS_ENCRYPTION_LEVEL_EARLY     ? TERN_LEVEL_EARLY
           : level == GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE ? TERN_LEVEL_HANDSHAKE
                                                        : TERN_LEVEL_TRAFFIC;
}

static int on_message(gnutls_session_t s, gnutls_record_encryption_level_t level,
                      gnutls_handshake_description_t type, const void *p, size_t n)
{
    peer *q = gnutls_session_get_ptr(s);
    return type == GNUTLS_HANDSHAKE_CHANGE_CIPHER_SPEC ? 0
                                                       : end_on_send(q->e, level_of(level), p, n);
}

static tern_aead_kind cipher_of(gnutls_session_t s, bool early)
{
    gnutls_cipher_algorithm_t c = early ? gnutls_early_cipher_get(s) : gnutls_cipher_get(s);
    return c == GNUTLS_CIPHER_AES_128_GCM   ? TERN_AES_128_GCM
           : c == GNUTLS_CIPHER_AES_256_GCM ? TERN_AES_256_GCM
                                            : TERN_CHACHA20_POLY1305;
}

static int on_secret(gnutls_session_t s, gnutls_record_encryption_level_t level, const void *in,
                     const void *out, size_t n)
{
    peer *q = gnutls_session_get_ptr(s);
    tern_level l = level_of(level);
    if (l == TERN_LEVEL_EARLY) {
        q->e->secrets[l][1].known = false; /* it tells of it with its second hello, too */
    }
    if (in != NULL) {
        end_on_secret(q->e, l, false, cipher_of(s, l == TERN_LEVEL_EARLY), in, n);
    }
    if (out != NULL) {
        end_on_secret(q->e, l, true, cipher_of(s, l == TERN_LEVEL_EARLY), out, n);
    }
    return 0;
}

static int on_alert(gnutls_session_t s, gnutls_record_encryption_level_t level,
                    gnutls_alert_level_t severity, gnutls_alert_description_t what)
{
    (void)s;
    (void)level;
    (void)severity;
    (void)what;
    return 0;
}

static int on_params(gnutls_session_t s, const unsigned char *p, size_t n)
{
    peer *q = gnutls_session_get_ptr(s);
    snprintf(q->e->peer_params, sizeof q->e->peer_params, "%.*s", (int)n, (const char *)p);
    return 0;
}

static int put_params(gnutls_session_t s, gnutls_buffer_t out)
{
    peer *q = gnutls_session_get_ptr(s);
    size_t n = strlen(q->e->params);
    assert_int_equal(gnutls_buffer_append_data(out, q->e->params, n), 0);
    return (int)n;
}

/* ---- birth and end ---- */

static void set_cert(peer *q, const tern_cert *cert)
{
    uint8_t der[4096];
    if (cert == NULL) {
        return;
    }
    uint8_t *end_of_key = der;
    int n = i2d_PrivateKey(cert->pkey, &end_of_key);
    assert_true(n > 0 && (size_t)n <= sizeof der);
    tern_span shown = tern_cert_der(cert);
    gnutls_datum_t chain = {(uint8_t *)(uintptr_t)shown.data, (unsigned)shown.len};
    gnutls_datum_t key = {der, (unsigned)n};
    assert_int_equal(
        gnutls_certificate_set_x509_key_mem(q->credentials, &chain, &key, GNUTLS_X509_FMT_DER), 0);
}

static void peer_begin(peer *q, end *e, bool server, const options *o)
{
    char priority[256];
    gnutls_datum_t name = {(uint8_t *)(uintptr_t) "libp2p", 6};
    q->e = e;
    e->server = server;
    e->params = "of another";
    snprintf(priority, sizeof priority,
             "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:%s:-GROUP-ALL:%s:"
             "%%DISABLE_TLS13_COMPAT_MODE%s",
             o->ciphers != NULL ? o->ciphers : all_ciphers,
             o->groups != NULL ? o->groups : both_groups,
             o->signatures != NULL ? o->signatures : "");
    unsigned flags = o->flags | GNUTLS_NO_END_OF_EARLY_DATA |
                     (server ? GNUTLS_SERVER : GNUTLS_CLIENT) |
                     (o->early || o->replay != NULL ? GNUTLS_ENABLE_EARLY_DATA : 0);
    assert_int_equal(gnutls_init(&q->s, flags), 0);
    assert_int_equal(gnutls_priority_set_direct(q->s, priority, NULL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&q->credentials), 0);
    set_cert(q, server && o->cert == NULL ? end_cert() : o->cert);
    gnutls_credentials_set(q->s, GNUTLS_CRD_CERTIFICATE, q->credentials);
    gnutls_alpn_set_protocols(q->s, &name, 1, GNUTLS_ALPN_MANDATORY);
    gnutls_session_set_ptr(q->s, q);
    gnutls_handshake_set_secret_function(q->s, on_secret);
    gnutls_handshake_set_read_function(q->s, on_message);
    gnutls_alert_set_read_function(q->s, on_alert);
    assert_int_equal(gnutls_session_ext_register(
                         q->s, "params", END_PARAMS, GNUTLS_EXT_TLS, on_params, put_params, NULL,
                         NULL, NULL,
                         GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE),
                     0);
    if (o->ask) {
        gnutls_certificate_server_set_request(q->s, o->signatures != NULL ? GNUTLS_CERT_REQUEST
                                                                          : GNUTLS_CERT_REQUIRE);
    }
    if (o->ticket_key != NULL) {
        assert_int_equal(gnutls_session_ticket_enable_server(q->s, o->ticket_key), 0);
    }
    if (o->replay != NULL) {
        gnutls_anti_replay_enable(q->s, o->replay);
        gnutls_record_set_max_early_data_size(q->s, UINT32_MAX);
    }
    if (o->session != NULL) {
        assert_int_equal(gnutls_session_set_data(q->s, o->session->data, o->session->size), 0);
    }
}

static void peer_clear(peer *q)
{
    gnutls_deinit(q->s);
    gnutls_certificate_free_credentials(q->credentials);
}

static void go_on(peer *q)
{
    if (!q->done && q->error == 0) {
        int r = gnutls_handshake(q->s);
        q->done = r == 0;
        q->error = r == 0 || !gnutls_error_is_fatal(r) ? 0 : r;
    }
}

static void hear(peer *q, const end_message *m)
{
    static const gnutls_record_encryption_level_t levels[] = {
        [TERN_LEVEL_INITIAL] = GNUTLS_ENCRYPTION_LEVEL_INITIAL,
        [TERN_LEVEL_HANDSHAKE] = GNUTLS_ENCRYPTION_LEVEL_HANDSHAKE,
        [TERN_LEVEL_TRAFFIC] = GNUTLS_ENCRYPTION_LEVEL_APPLICATION};
    if (q->error == 0) {
        int r = gnutls_handshake_write(q->s, levels[m->level], m->bytes, m->n);
        q->error = r < 0 && gnutls_error_is_fatal(r) ? r : 0;
        go_on(q);
    }
}

static void run(peer *q, end *ours)
{
    end_message *m;
    if (!q->e->server) {
        go_on(q);
    }
    do {
        while ((m = end_next(ours)) != NULL) {
            hear(q, m);
        }
        m = end_next(q->e);
        if (m != NULL) {
            end_feed(ours, m->level, m->bytes, m->n);
        }
    } while (m != NULL || ours->first < ours->last);
}

static void check(const peer *q, const ends *both, const end *ours)
{
    if (q->error != 0 || ours->error != 0) {
        print_error("GnuTLS: %s; ours: %d, %s\n", gnutls_strerror(q->error), ours->error,
                    tern_handshake_why(ours->h));
    }
    assert_true(q->done && q->error == 0 && ours->error == 0 && tern_handshake_done(ours->h));
    ends_agree(both, TERN_LEVEL_HANDSHAKE, true);
    ends_agree(both, TERN_LEVEL_TRAFFIC, true);
    assert_string_equal(both->c.peer_params, both->s.params);
    assert_string_equal(both->s.peer_params, both->c.params);
}

/* GnuTLS is the server, ours the client; or the other way round. */
static void serve(ends *both, peer *q, const options *o, const tern_handshake_config *client)
{
    peer_begin(q, &both->s, true, o);
    end_begin(&both->c, client);
    run(q, &both->c);
    check(q, both, &both->c);
}

static void dial(ends *both, peer *q, const options *o)
{
    const tern_handshake_config server = {.server = true, .params = END_PARAMS};
    end_begin(&both->s, &server);
    peer_begin(q, &both->c, false, o);
    run(q, &both->s);
    check(q, both, &both->s);
}

static void clear(ends *both, peer *q)
{
    peer_clear(q);
    ends_clear(both);
}

/* ---- suites and groups ---- */

static const char *const ciphers[] = {"+AES-128-GCM", "+AES-256-GCM", "+CHACHA20-POLY1305"};
static const tern_aead_kind kinds[] = {TERN_AES_128_GCM, TERN_AES_256_GCM, TERN_CHACHA20_POLY1305};

static void test_server(void **state)
{
    static const char *const groups[] = {"+GROUP-X25519", "+GROUP-SECP256R1"}; /* it asks again */
    const tern_handshake_config config = end_client_config();
    (void)state;
    for (int i = 0; i < 6; i++) {
        ends both = {.count = 0};
        peer q = {.done = false};
        const options o = {.ciphers = ciphers[i / 2], .groups = groups[i % 2], .ask = true};
        serve(&both, &q, &o, &config);
        assert_int_equal(both.c.secrets[TERN_LEVEL_TRAFFIC][0].cipher, kinds[i / 2]);
        assert_int_equal(both.c.h->retried, i % 2);
        assert_int_equal(tern_handshake_tickets(both.c.h), -1);
        clear(&both, &q);
    }
}

static void test_client(void **state)
{
    static const struct {
        const char *groups;
        bool retry;
    } groups[] = {{"+GROUP-X25519", false},
                  {"+GROUP-SECP256R1", false},
                  {"+GROUP-SECP384R1:+GROUP-X25519", true},
                  {"+GROUP-SECP384R1:+GROUP-SECP256R1", true}};
    (void)state;
    for (int i = 0; i < 12; i++) {
        ends both = {.s.answer = {.ask = true, .tickets = -1}};
        peer q = {.done = false};
        const options o = {.ciphers = ciphers[i / 4],
                           .groups = groups[i % 4].groups,
                           .flags = GNUTLS_KEY_SHARE_TOP,
                           .cert = end_cert()};
        dial(&both, &q, &o);
        assert_int_equal(both.s.secrets[TERN_LEVEL_TRAFFIC][0].cipher, kinds[i / 4]);
        assert_int_equal(both.s.h->retried, groups[i % 4].retry);
        clear(&both, &q);
    }
}

/* ---- certificates ---- */

static void test_certificates(void **state)
{
    static const char *const keys[] = {"P-256", "P-384", "ED25519", "RSA"};
    const tern_handshake_config config = end_client_config();
    (void)state;
    for (int i = 0; i < 8; i++) {
        const forge f = {
            .key = keys[i / 2], .digest = i / 2 == 1 ? "SHA384" : NULL, .no_extension = true};
        tern_cert *cert = forge_cert(NULL, &f);
        ends both = {.s.answer = {.ask = true, .tickets = -1}};
        peer q = {.done = false};
        const options o = {.cert = cert};
        if (i % 2) {
            dial(&both, &q, &o);
        } else {
            serve(&both, &q, &o, &config);
        }
        const end *ours = i % 2 ? &both.s : &both.c;
        assert_int_equal(ours->cert_n, cert->der_n);
        assert_memory_equal(ours->cert, cert->der, cert->der_n);
        clear(&both, &q);
        tern_cert_free(cert);
    }
}

/* An end that verifies nothing but Ed25519: our client shows no certificate when that is asked for,
 * our server has none that would do. */
static void test_signatures(void **state)
{
    static const char ed25519[] = ":-SIGN-ALL:+SIGN-EDDSA-ED25519";
    const tern_handshake_config config = end_client_config(),
                                server = {.server = true, .params = END_PARAMS};
    const forge f = {.key = "ED25519", .no_extension = true};
    tern_cert *cert = forge_cert(NULL, &f);
    ends both = {.count = 0}, other = {.s.answer = {.tickets = -1}};
    peer q = {.done = false}, p = {.done = false};
    unsigned n;
    (void)state;
    serve(&both, &q, &(options){.signatures = ed25519, .cert = cert, .ask = true}, &config);
    assert_null(gnutls_certificate_get_peers(q.s, &n));
    end_begin(&other.s, &server);
    peer_begin(&p, &other.c, false, &(options){.signatures = ed25519});
    run(&p, &other.s);
    assert_int_equal(other.s.error, TERN_E_NEGOTIATION);
    assert_int_equal(tern_handshake_alert(other.s.h), TERN_ALERT_HANDSHAKE_FAILURE);
    clear(&both, &q);
    clear(&other, &p);
    tern_cert_free(cert);
}

/* ---- tickets ---- */

static int remember(void *context, time_t until, const gnutls_datum_t *key,
                    const gnutls_datum_t *data)
{
    (void)context;
    (void)until;
    (void)key;
    (void)data;
    return 0; /* each is new */
}

/* GnuTLS' tickets, resumed by our client: early data taken, and not. */
static void test_its_tickets(void **state)
{
    gnutls_datum_t key;
    gnutls_anti_replay_t replay;
    (void)state;
    assert_int_equal(gnutls_session_ticket_key_generate(&key), 0);
    assert_int_equal(gnutls_anti_replay_init(&replay), 0);
    gnutls_anti_replay_set_add_function(replay, remember);
    for (int i = 0; i < 6; i++) {
        tern_handshake_config config = end_client_config();
        ends first = {.count = 0}, second = {.count = 0};
        peer q = {.done = false}, p = {.done = false};
        const options o = {
            .ciphers = ciphers[i / 2], .ticket_key = &key, .replay = i % 2 ? replay : NULL};
        serve(&first, &q, &o, &config);
        assert_true(first.c.tickets > 0);
        assert_int_equal(first.c.ticket.early, i % 2);
        config.ticket = &first.c.ticket;
        config.early = true;
        serve(&second, &p, &o, &config);
        assert_true(tern_handshake_resumed(second.c.h));
        assert_true(gnutls_session_is_resumed(p.s));
        assert_int_equal(second.c.cert_n, 0);
        assert_int_equal(tern_handshake_early(second.c.h), i % 2);
        if (i % 2) {
            ends_agree(&second, TERN_LEVEL_EARLY, false);
        }
        clear(&first, &q);
        clear(&second, &p);
    }
    gnutls_anti_replay_deinit(replay);
    gnutls_free(key.data);
}

/* The same, but its key is another by now: a full handshake. */
static void test_its_tickets_refused(void **state)
{
    tern_handshake_config config = end_client_config();
    ends first = {.count = 0}, second = {.count = 0};
    peer q = {.done = false}, p = {.done = false};
    gnutls_datum_t keys[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gnutls_session_ticket_key_generate(&keys[i]), 0);
    }
    serve(&first, &q, &(options){.ticket_key = &keys[0]}, &config);
    config.ticket = &first.c.ticket;
    serve(&second, &p, &(options){.ticket_key = &keys[1]}, &config);
    assert_false(tern_handshake_resumed(second.c.h));
    assert_true(second.c.cert_n > 0);
    clear(&first, &q);
    clear(&second, &p);
    gnutls_free(keys[0].data);
    gnutls_free(keys[1].data);
}

/* Our tickets, resumed by GnuTLS' client: with early data, without, and with a request for another
 * hello. That without early data: GnuTLS' second hello goes on to offer them, against
 * section 4.1.2.
 */
static void test_our_tickets(void **state)
{
    (void)state;
    for (int i = 0; i < 9; i++) {
        ends first = {.s.answer = {.tickets = -1}}, second = {.s.answer = {.tickets = -1}};
        peer q = {.done = false}, p = {.done = false};
        bool early = i % 3 == 1, retried = i % 3 == 2;
        options o = {.ciphers = ciphers[i / 3], .early = early};
        tern_psk psk;
        gnutls_datum_t session;
        dial(&first, &q, &o);
        assert_int_equal(tern_handshake_give(first.s.h, (tern_span){(const uint8_t *)"ticket", 6},
                                             7200, 99, early, &psk),
                         0);
        hear(&q, end_next(&first.s));
        assert_int_equal(q.error, 0);
        assert_int_equal(gnutls_session_get_data2(q.s, &session), 0);
        o.session = &session;
        if (retried) {
            o.groups = "+GROUP-SECP384R1:+GROUP-SECP256R1";
            o.flags = GNUTLS_KEY_SHARE_TOP;
        }
        second.s.answer.psk = &psk;
        second.s.answer.early = early;
        dial(&second, &p, &o);
        assert_int_equal(second.s.offered, 1);
        assert_true(tern_handshake_resumed(second.s.h));
        assert_true(gnutls_session_is_resumed(p.s));
        assert_int_equal(second.s.h->retried, retried);
        assert_int_equal(tern_handshake_early(second.s.h), early);
        if (early) {
            ends_agree(&second, TERN_LEVEL_EARLY, false);
        }
        gnutls_free(session.data);
        clear(&first, &q);
        clear(&second, &p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_server),
                                       cmocka_unit_test(test_client),
                                       cmocka_unit_test(test_certificates),
                                       cmocka_unit_test(test_signatures),
                                       cmocka_unit_test(test_its_tickets),
                                       cmocka_unit_test(test_our_tickets),
                                       cmocka_unit_test(test_its_tickets_refused)};
    return TERN_TEST_MAIN(tests);
}
