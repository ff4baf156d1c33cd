/* The two contexts of the web's TLS on a net: see web_tls.h. */
#include "transport/web_tls.h"

#include <tern/error.h>

#include "base/mem.h"

struct tern_web {
    tern_tls_context *server, *client;
};

static struct tern_web *web_of(tern_net *net)
{
    if (net->web == NULL) {
        net->web = tern_calloc(1, sizeof *net->web);
    }
    return net->web;
}

/* Replaces *slot by a context of these settings; on an error it stays. */
static int renew(tern_tls_context **slot, const tern_tls_settings *settings)
{
    tern_tls_context *made;
    int code = tern_tls_context_new(settings, &made);
    if (code == 0) {
        tern_tls_context_free(*slot);
        *slot = made;
    }
    return code;
}

int tern_web_set_certificate(tern_net *net, tern_span chain_pem, tern_span key_pem)
{
    struct tern_web *web = web_of(net);
    tern_tls_settings settings = {.chain_pem = chain_pem, .key_pem = key_pem};
    if (chain_pem.len == 0) { /* settings without a chain are a client's */
        return TERN_E_INVALID;
    }
    return web != NULL ? renew(&web->server, &settings) : TERN_E_NOMEM;
}

int tern_web_set_authorities(tern_net *net, tern_span ca_pem)
{
    struct tern_web *web = web_of(net);
    tern_tls_settings settings = {.ca_pem = ca_pem};
    if (ca_pem.len == 0) { /* the system's, if they were read */
        return TERN_E_INVALID;
    }
    return web != NULL ? renew(&web->client, &settings) : TERN_E_NOMEM;
}

int tern_web_self_sign(tern_net *net)
{
    struct tern_web *web = web_of(net);
    return web != NULL ? renew(&web->server, &(tern_tls_settings){.self_signed = true})
                       : TERN_E_NOMEM;
}

int tern_web_trust_any(tern_net *net)
{
    struct tern_web *web = web_of(net);
    return web != NULL ? renew(&web->client, &(tern_tls_settings){.trust_any = true})
                       : TERN_E_NOMEM;
}

tern_tls_context *tern_web_server(tern_net *net)
{
    return net->web != NULL ? net->web->server : NULL;
}

tern_tls_context *tern_web_client(tern_net *net)
{
    struct tern_web *web = web_of(net);
    if (web != NULL && web->client == NULL) {
        renew(&web->client, &(tern_tls_settings){0});
    }
    return web != NULL ? web->client : NULL;
}

void tern_web_free(tern_net *net)
{
    if (net->web != NULL) {
        tern_tls_context_free(net->web->server);
        tern_tls_context_free(net->web->client);
        tern_free(net->web);
        net->web = NULL;
    }
}
