/* What all engines of TLS have in common: see tls_engine.h. */
#include "crypto/tls_engine.h"

#include "base/error.h"
#include "crypto/tls_traffic.h"

void tern_tls_engine_free(tern_tls_engine *e)
{
    if (e != NULL) {
        tern_tls_traffic_free(e->traffic);
        e->ops->free(e);
    }
}

void tern_tls_engine_output(tern_tls_engine *e, const tern_tls_output *output)
{
    e->output = *output;
}

int tern_tls_engine_handshake(tern_tls_engine *e, tern_span *in, tern_error *reterr)
{
    return e->ops->handshake(e, in, reterr);
}

const char *tern_tls_engine_alpn(const tern_tls_engine *e)
{
    return e->alpn;
}

bool tern_tls_engine_untrusted(const tern_tls_engine *e)
{
    return e->untrusted;
}

int tern_tls_engine_go_on(tern_tls_engine *e, tern_tls_secrets *secrets, bool server,
                          tern_error *reterr)
{
    e->traffic = tern_tls_traffic_new(secrets, server);
    tern_wipe(secrets, sizeof *secrets);
    return e->traffic != NULL ? 1 : tern_fail(reterr, TERN_E_NOMEM, "tls", "out of memory");
}

ssize_t tern_tls_engine_read(tern_tls_engine *e, uint8_t *record, size_t n, uint8_t **ret_plain,
                             tern_error *reterr)
{
    return e->traffic != NULL
               ? tern_tls_traffic_read(e->traffic, &e->output, record, n, ret_plain, reterr)
               : e->ops->read(e, record, n, ret_plain, reterr);
}

int tern_tls_engine_write(tern_tls_engine *e, const tern_span *v, unsigned count, size_t n)
{
    return e->traffic != NULL ? tern_tls_traffic_write(e->traffic, &e->output, v, count, n)
                              : e->ops->write(e, v, count, n);
}

int tern_tls_engine_close(tern_tls_engine *e)
{
    return e->traffic != NULL ? tern_tls_traffic_close(e->traffic, &e->output) : e->ops->close(e);
}
