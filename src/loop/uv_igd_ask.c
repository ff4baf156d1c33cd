/* A round with a router's UPnP: its description, which miniupnpc reads (devices within devices,
 * URLs that are relative or have a base, several services), and three actions of WANIPConnection:1
 * or WANPPPConnection:1 over SOAP. The network is uv_igd_net.c's. */
#ifdef TERN_UPNP
#include "loop/uv_igd_ask.h"

#include <miniupnpc/miniupnpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tern/error.h>

#include "base/mem.h"
#include "loop/uv_igd_net.h"

enum {
    NO_ANSWER = -1,       /* not UPnP's: nothing came back, or not HTTP */
    NO_ERROR_CODE = -2,   /* it failed and does not say why */
    TAKEN = 718,          /* ConflictInMappingEntry */
    PERMANENT_ONLY = 725, /* OnlyPermanentLeasesSupported */
    BODY_MAX = 2048,
    VALUE_MAX = 64,
};

/* ---- SOAP ---- */

/* Runs an action; `answer` (TERN_IGD_ANSWER bytes) has what came back. 0, UPnP's error, or a
 * negative one. */
static int act(const tern_igd_round *r, const char *action, const char *arguments, char *answer)
{
    char body[BODY_MAX], name[TERN_IGD_SERVICE + 64], code[VALUE_MAX];
    unsigned status = 0;
    int n = snprintf(body, sizeof body,
                     "<?xml version=\"1.0\"?>\r\n<s:Envelope "
                     "xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" "
                     "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
                     "<u:%s xmlns:u=\"%s\">%s</u:%s></s:Body></s:Envelope>\r\n",
                     action, r->service, arguments, action);
    snprintf(name, sizeof name, "%s#%s", r->service, action);
    if (n < 0 || n >= (int)sizeof body ||
        tern_igd_exchange(&r->gateway, r->control, name, body, answer, &status) < 0) {
        return NO_ANSWER;
    }
    if (status == 200) {
        return 0;
    }
    int said = tern_igd_value(answer, "errorCode", code, sizeof code) ? atoi(code) : 0;
    return said > 0 ? said : NO_ERROR_CODE;
}

/* The router's address outside; family 0 when it has none. NO_ANSWER or 0. */
static int ask_outside(tern_igd_round *r, char *answer)
{
    char ip[VALUE_MAX];
    int code = act(r, "GetExternalIPAddress", "", answer);
    memset(&r->outside, 0, sizeof r->outside);
    if (code == 0 && tern_igd_value(answer, "NewExternalIPAddress", ip, sizeof ip) &&
        tern_endpoint_parse_ip(&r->outside, ip) != 0) {
        memset(&r->outside, 0, sizeof r->outside);
    }
    return code == NO_ANSWER ? code : 0;
}

/* ---- finding ---- */

/* The service's name goes into what is said: letters, figures and what is between them. */
static bool is_name(const char *text)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:.-_";
    return *text != '\0' && strspn(text, allowed) == strlen(text);
}

static bool fits(char *to, size_t cap, const char *from)
{
    int n = from != NULL ? snprintf(to, cap, "%s", from) : 0;
    return n > 0 && (size_t)n < cap;
}

/* One service of a description: whether it can be asked. */
static bool take_service(tern_igd_round *r, struct IGDdatas *data, const char *description)
{
    struct UPNPUrls urls;
    memset(&urls, 0, sizeof urls);
    GetUPNPUrls(&urls, data, description, 0);
    bool fine = is_name(data->first.servicetype) &&
                fits(r->control, sizeof r->control, urls.controlURL) &&
                fits(r->service, sizeof r->service, data->first.servicetype);
    FreeUPNPUrls(&urls);
    return fine;
}

/* A device with two connections may use only the second: the one that has an address. */
static bool look_at(tern_igd_round *r, const char *description, char *answer)
{
    struct IGDdatas data;
    unsigned status = 0;
    ssize_t n = tern_igd_exchange(&r->gateway, description, NULL, NULL, answer, &status);
    if (n < 0 || status != 200) {
        return false;
    }
    memset(&data, 0, sizeof data);
    parserootdesc(answer, (int)n, &data);
    struct IGDdatas_service first = data.first;
    for (int i = 0; i < 2; i++) {
        data.first = i == 0 ? first : data.second;
        if (take_service(r, &data, description) && ask_outside(r, answer) == 0 &&
            r->outside.family != 0) {
            return true;
        }
    }
    data.first = first;
    return take_service(r, &data, description) && ask_outside(r, answer) == 0;
}

static int find(tern_igd_round *r, const atomic_bool *cancelled, char *answer)
{
    static const char *const kinds[] = {"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
                                        "urn:schemas-upnp-org:device:InternetGatewayDevice:2"};
    char url[TERN_IGD_URL];
    for (size_t i = 0; i < 2 && !atomic_load(cancelled); i++) {
        if (tern_igd_search(&r->own, &r->gateway, kinds[i], url, sizeof url)) {
            return look_at(r, url, answer) ? 0 : TERN_E_NOT_FOUND;
        }
    }
    return TERN_E_NOT_FOUND;
}

/* ---- mapping ---- */

static const char *kind_of(const tern_igd_port *p)
{
    return p->udp ? "UDP" : "TCP";
}

static int add(const tern_igd_round *r, const tern_igd_port *p, uint16_t outside, uint32_t lifetime,
               char *answer)
{
    char arguments[BODY_MAX / 2], own[TERN_ENDPOINT_TEXT];
    snprintf(arguments, sizeof arguments,
             "<NewRemoteHost></NewRemoteHost><NewExternalPort>%u</NewExternalPort>"
             "<NewProtocol>%s</NewProtocol><NewInternalPort>%u</NewInternalPort>"
             "<NewInternalClient>%s</NewInternalClient><NewEnabled>1</NewEnabled>"
             "<NewPortMappingDescription>tern</NewPortMappingDescription>"
             "<NewLeaseDuration>%u</NewLeaseDuration>",
             outside, kind_of(p), p->port, tern_endpoint_ip_text(own, &r->own), lifetime);
    return act(r, "AddPortMapping", arguments, answer);
}

/* The wanted port, or another one while it is somebody else's; a lifetime, or none where routers
 * have no such thing. */
static void map_port(tern_igd_round *r, tern_igd_port *p, const atomic_bool *cancelled,
                     char *answer)
{
    for (unsigned i = 0; i <= TERN_IGD_OTHERS && !atomic_load(cancelled); i++) {
        uint16_t outside = i == 0 ? p->wanted : r->others[i - 1];
        p->code = add(r, p, outside, r->lifetime, answer);
        if (p->code == PERMANENT_ONLY) {
            p->code = add(r, p, outside, 0, answer);
        }
        if (p->code == 0) {
            p->mapped = outside;
        }
        if (p->code != TAKEN) {
            return;
        }
    }
}

static int map(tern_igd_round *r, const atomic_bool *cancelled, char *answer)
{
    if (ask_outside(r, answer) != 0) {
        return TERN_E_IO;
    }
    for (size_t i = 0; i < r->count && tern_endpoint_is_public(&r->outside); i++) {
        r->ports[i].mapped = 0;
        map_port(r, &r->ports[i], cancelled, answer);
        if (r->ports[i].code == NO_ANSWER) {
            return TERN_E_IO;
        }
    }
    return 0;
}

/* Who does not answer once is not asked again. */
static int unmap(tern_igd_round *r, char *answer)
{
    for (size_t i = 0; i < r->count; i++) {
        char arguments[BODY_MAX / 2];
        snprintf(arguments, sizeof arguments,
                 "<NewRemoteHost></NewRemoteHost><NewExternalPort>%u</NewExternalPort>"
                 "<NewProtocol>%s</NewProtocol>",
                 r->ports[i].mapped, kind_of(&r->ports[i]));
        if (r->ports[i].mapped != 0 &&
            act(r, "DeletePortMapping", arguments, answer) == NO_ANSWER) {
            return TERN_E_IO;
        }
        r->ports[i].mapped = 0;
    }
    return 0;
}

int tern_igd_ask(tern_igd_round *r, const atomic_bool *cancelled)
{
    char *answer = tern_malloc(TERN_IGD_ANSWER);
    if (answer == NULL) {
        return TERN_E_NOMEM;
    }
    int code = r->act == TERN_IGD_FIND  ? find(r, cancelled, answer)
               : r->act == TERN_IGD_MAP ? map(r, cancelled, answer)
                                        : unmap(r, answer);
    tern_free(answer);
    return code;
}
#endif
