/* GnuTLS for QUIC: see tls.h. Whom we talk to is judged by crypto/cert, as over TCP. */
#include "quic/tls.h"

#include "base/bytes.h"
#include "base/error.h"
#include "crypto/cert.h"
#include "quic/wiring.h"

/* AES first: ChaCha20 is slow in GnuTLS. Tickets only with a fresh key exchange (psk_dhe_ke). No
 * record is ever sent for the sake of middleboxes. */
static const char priority[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+ECDHE-PSK:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-"
    "POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:%DISABLE_TLS13_COMPAT_MODE";

int quic_tls_show(const tern_cert *cert, gnutls_certificate_credentials_t *ret)
{
    uint8_t der[512];
    ssize_t n = tern_cert_private(cert, der, sizeof der);
    tern_span shown = tern_cert_der(cert);
    /* GnuTLS only reads them */
    gnutls_datum_t chain = {(uint8_t *)(uintptr_t)shown.data, (unsigned)shown.len};
    gnutls_datum_t key = {der, n > 0 ? (unsigned)n : 0};
    gnutls_certificate_credentials_t made = NULL;
    int e = n < 0 || gnutls_certificate_allocate_credentials(&made) != 0 ||
                    gnutls_certificate_set_x509_key_mem(made, &chain, &key, GNUTLS_X509_FMT_DER) < 0
                ? TERN_E_CRYPTO
                : 0;
    tern_wipe(der, sizeof der);
    if (e == 0) {
        *ret = made;
    } else if (made != NULL) {
        gnutls_certificate_free_credentials(made);
    }
    return e;
}

int quic_tls_prepare(tern_quic *quic)
{
    tern_net *net = quic->net;
    tern_cert *cert;
    int e = 0;
    if (quic->priority == NULL && gnutls_priority_init(&quic->priority, priority, NULL) != 0) {
        quic->priority = NULL;
        return TERN_E_NOMEM;
    }
    if (quic->credentials == NULL) {
        e = tern_cert_make(net->key, tern_loop_wall(net->loop), &cert);
        if (e == 0) {
            e = quic_tls_show(cert, &quic->credentials);
            tern_cert_free(cert);
        }
    }
    return e;
}

void quic_tls_release(tern_quic *quic)
{
    if (quic->credentials != NULL) {
        gnutls_certificate_free_credentials(quic->credentials);
    }
    if (quic->priority != NULL) {
        gnutls_priority_deinit(quic->priority);
    }
}

int quic_tls_session(const tern_quic *quic, bool server, bool early, void *ref,
                     int (*verify)(gnutls_session_t session), gnutls_session_t *ret)
{
    unsigned flags =
        server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT | GNUTLS_KEY_SHARE_TOP;
    flags |= early ? GNUTLS_ENABLE_EARLY_DATA | GNUTLS_NO_END_OF_EARLY_DATA : 0;
    gnutls_session_t s;
    if (gnutls_init(&s, flags) != 0) {
        return TERN_E_NOMEM;
    }
    if (gnutls_priority_set(s, quic->priority) != 0 ||
        gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, quic->credentials) != 0 ||
        quic_wire(s) != 0 ||
        (server && early && gnutls_record_set_max_early_data_size(s, UINT32_MAX) != 0)) {
        gnutls_deinit(s);
        return TERN_E_NOMEM;
    }
    if (server) {
        gnutls_certificate_server_set_request(s, GNUTLS_CERT_REQUIRE);
        gnutls_certificate_send_x509_rdn_sequence(s, 1); /* no names of authorities */
    }
    gnutls_session_set_verify_function(s, verify);
    gnutls_session_set_ptr(s, ref);
    *ret = s;
    return 0;
}

int quic_tls_peer(tern_net *net, gnutls_session_t session, tern_known *known, tern_key **ret,
                  tern_error *reterr)
{
    unsigned n = 0;
    const char *text = "the peer shows no certificate";
    const gnutls_datum_t *list = gnutls_certificate_get_peers(session, &n);
    if (list == NULL || n != 1) {
        net->counters.tls_bad_certificate++;
        return tern_fail(reterr, TERN_E_PROTOCOL, "quic", "%s",
                         n > 1 ? "the peer shows more than one certificate" : text);
    }
    tern_span der = {list[0].data, list[0].size};
    int e = tern_cert_verify(der, tern_loop_wall(net->loop), known, ret, &text);
    if (e != 0) {
        *(e == TERN_E_SIGNATURE ? &net->counters.tls_bad_signature
                                : &net->counters.tls_bad_certificate) += 1;
        return tern_fail(reterr, e, "quic", "%s", text);
    }
    return 0;
}
