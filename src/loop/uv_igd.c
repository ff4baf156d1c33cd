/* UPnP in the real loop: miniupnpc, which blocks, on a thread for each job. A job has its own copy
 * of what is asked and answered, so whoever asked may go at any time, and the loop too: what a
 * gateway that drips bytes holds up is a thread, of which there are few at once, and nothing waits
 * for it. (libuv's pool would be waited for when the program ends.)
 *
 *     loop: start --> thread: run --> under the gate's lock: is the loop there? --> loop: done
 *                                                                  '-- no: takes back what it
 * mapped
 *
 * A cancelled job ends after the exchange that it is in, and then takes back what it has mapped. */
#include "loop/uv_backend.h"

#ifdef TERN_UPNP
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

enum {
    SEARCH_MS = 1000,
    HOPS = 2, /* UPnP Device Architecture 1.1, section 1.3.2 */
    IP_TEXT = 40,
    TAKEN = 718,          /* ConflictInMappingEntry */
    PERMANENT_ONLY = 725, /* OnlyPermanentLeasesSupported */
};

enum { JOBS_MAX = 4 };

/* What a loop shares with the threads that work for it. */
struct tern_uv_igd {
    pthread_mutex_t lock;
    tern_loop *loop; /* NULL once it closes */
    unsigned jobs;   /* that are not freed */
    bool closed;
};

typedef struct igd_job {
    tern_uv_igd *gate;
    tern_post post;
    tern_igd *igd; /* NULL once cancelled; the loop's */
    atomic_bool cancelled;
    tern_igd_round round;
    int code;
} igd_job;

/* ---- on the job's thread: its copy is all that is touched ---- */

/* Whether a URL leads to that address and nowhere else. */
static bool leads_to(const char *url, const char *ip)
{
    static const char front[] = "http://";
    size_t n = strlen(ip);
    return url != NULL && strncmp(url, front, sizeof front - 1) == 0 &&
           strncmp(url + sizeof front - 1, ip, n) == 0 &&
           strchr(":/", url[sizeof front - 1 + n]) != NULL && url[sizeof front - 1 + n] != '\0';
}

static bool fits(char *to, size_t cap, const char *from)
{
    int n = from != NULL ? snprintf(to, cap, "%s", from) : 0;
    return n > 0 && (size_t)n < cap;
}

/* Takes the service from a device's description; one that has two connections may use only the
 * second. */
static bool take_service(igd_job *job, const char *description, const char *gateway)
{
    struct UPNPUrls urls;
    struct IGDdatas data;
    char lan[IP_TEXT], outside[IP_TEXT];
    tern_igd_round *r = &job->round;
    bool found = false;
    memset(&urls, 0, sizeof urls);
    memset(&data, 0, sizeof data);
    if (!UPNP_GetIGDFromUrl(description, &urls, &data, lan, sizeof lan)) {
        return false;
    }
    for (int i = 0; i < 2 && !atomic_load(&job->cancelled); i++) {
        if (i == 1) {
            data.first = data.second;
            FreeUPNPUrls(&urls);
            GetUPNPUrls(&urls, &data, description, 0);
        }
        if (data.first.servicetype[0] == '\0' || !leads_to(urls.controlURL, gateway)) {
            continue;
        }
        bool up = UPNP_GetExternalIPAddress(urls.controlURL, data.first.servicetype, outside) ==
                  UPNPCOMMAND_SUCCESS;
        if (up || !found) {
            found = fits(r->control, sizeof r->control, urls.controlURL) &&
                    fits(r->service, sizeof r->service, data.first.servicetype);
        }
        if (up) {
            break;
        }
    }
    FreeUPNPUrls(&urls);
    return found;
}

static int find(igd_job *job)
{
    static const char *const kinds[][2] = {
        {"urn:schemas-upnp-org:device:InternetGatewayDevice:1", NULL},
        {"urn:schemas-upnp-org:device:InternetGatewayDevice:2", NULL}};
    char own[TERN_ENDPOINT_TEXT], gateway[TERN_ENDPOINT_TEXT];
    tern_endpoint_ip_text(own, &job->round.own);
    tern_endpoint_ip_text(gateway, &job->round.gateway);
    bool found = false;
    for (size_t i = 0; i < 2 && !found && !atomic_load(&job->cancelled); i++) {
        int error = 0;
        struct UPNPDev *all = upnpDiscoverDevices(kinds[i], SEARCH_MS, own, NULL,
                                                  UPNP_LOCAL_PORT_ANY, 0, HOPS, &error, 0);
        for (struct UPNPDev *d = all; d != NULL && !found && !atomic_load(&job->cancelled);
             d = d->pNext) {
            found = leads_to(d->descURL, gateway) && take_service(job, d->descURL, gateway);
        }
        freeUPNPDevlist(all);
    }
    return found ? 0 : TERN_E_NOT_FOUND;
}

static const char *kind_of(const tern_igd_port *p)
{
    return p->udp ? "UDP" : "TCP";
}

static int add(const tern_igd_round *r, const tern_igd_port *p, uint16_t outside, uint32_t lifetime)
{
    char from[8], to[8], life[12], own[TERN_ENDPOINT_TEXT];
    snprintf(from, sizeof from, "%u", outside);
    snprintf(to, sizeof to, "%u", p->port);
    snprintf(life, sizeof life, "%u", lifetime);
    return UPNP_AddPortMapping(r->control, r->service, from, to,
                               tern_endpoint_ip_text(own, &r->own), "tern", kind_of(p), NULL, life);
}

/* The wanted port, or another one while it is somebody else's; a lifetime, or none where routers
 * have no such thing. */
static void map_port(igd_job *job, tern_igd_port *p)
{
    tern_igd_round *r = &job->round;
    for (unsigned i = 0; i <= TERN_IGD_OTHERS && !atomic_load(&job->cancelled); i++) {
        uint16_t outside = i == 0 ? p->wanted : r->others[i - 1];
        p->code = add(r, p, outside, r->lifetime);
        if (p->code == PERMANENT_ONLY) {
            p->code = add(r, p, outside, 0);
        }
        if (p->code == UPNPCOMMAND_SUCCESS) {
            p->mapped = outside;
        }
        if (p->code != TAKEN) {
            return;
        }
    }
}

static int unmap(tern_igd_round *r)
{
    for (size_t i = 0; i < r->count; i++) {
        char outside[8];
        snprintf(outside, sizeof outside, "%u", r->ports[i].mapped);
        if (r->ports[i].mapped != 0 &&
            UPNP_DeletePortMapping(r->control, r->service, outside, kind_of(&r->ports[i]), NULL) ==
                UPNPCOMMAND_HTTP_ERROR) {
            return TERN_E_IO; /* nobody is there: not a wait for each */
        }
        r->ports[i].mapped = 0;
    }
    return 0;
}

static int map(igd_job *job)
{
    tern_igd_round *r = &job->round;
    char outside[IP_TEXT] = "";
    int code = UPNP_GetExternalIPAddress(r->control, r->service, outside);
    if (code == UPNPCOMMAND_HTTP_ERROR) {
        return TERN_E_IO;
    }
    if (code != UPNPCOMMAND_SUCCESS || tern_endpoint_parse_ip(&r->outside, outside) != 0) {
        memset(&r->outside, 0, sizeof r->outside);
    }
    for (size_t i = 0; i < r->count && tern_endpoint_is_public(&r->outside); i++) {
        r->ports[i].mapped = 0;
        map_port(job, &r->ports[i]);
        if (r->ports[i].code == UPNPCOMMAND_HTTP_ERROR) {
            return TERN_E_IO;
        }
    }
    return 0;
}

/* Also frees the gate, behind the last. Without the lock. */
static void free_job(igd_job *job)
{
    tern_uv_igd *gate = job->gate;
    pthread_mutex_lock(&gate->lock);
    bool last = --gate->jobs == 0 && gate->closed;
    pthread_mutex_unlock(&gate->lock);
    tern_free(job);
    if (last) {
        pthread_mutex_destroy(&gate->lock);
        tern_free(gate);
    }
}

static void *run(void *arg)
{
    igd_job *job = arg;
    tern_igd_round *r = &job->round;
    job->code = r->act == TERN_IGD_FIND ? find(job) : r->act == TERN_IGD_MAP ? map(job) : unmap(r);
    pthread_mutex_lock(&job->gate->lock);
    tern_loop *loop = job->gate->loop;
    bool heard = loop != NULL && tern_loop_post_kept(loop, &job->post) == 0;
    pthread_mutex_unlock(&job->gate->lock);
    if (!heard) {
        if (r->act == TERN_IGD_MAP) {
            unmap(r);
        }
        free_job(job);
    }
    return NULL;
}

/* ---- on the loop ---- */

static int start_thread(igd_job *job)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attr) != 0) {
        return TERN_E_NOMEM;
    }
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are not its affair */
    int rc = pthread_create(&thread, &attr, run, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc == 0 ? 0 : TERN_E_NOMEM;
}

/* Whoever wanted it has gone; whether the job goes on to take back what it has mapped. */
static bool undo(igd_job *job)
{
    bool any = false;
    for (size_t i = 0; i < job->round.count; i++) {
        any |= job->round.ports[i].mapped != 0;
    }
    if (job->igd != NULL || job->round.act != TERN_IGD_MAP || !any) {
        return false;
    }
    job->round.act = TERN_IGD_UNMAP;
    return start_thread(job) == 0;
}

static void done(void *arg)
{
    igd_job *job = arg;
    tern_igd *igd = job->igd;
    if (undo(job)) {
        return;
    }
    if (igd != NULL) {
        tern_error error;
        igd->round = job->round;
        igd->op.provider = NULL;
        tern_fail(&error, job->code, "upnp", "%s",
                  job->code == TERN_E_NOT_FOUND
                      ? "no UPnP device at the gateway"
                      : "the gateway's UPnP does not answer as it should");
        tern_op_finish(&igd->op, job->code != 0 ? &error : NULL);
    }
    free_job(job);
}

static void cancel(tern_op *op)
{
    igd_job *job = op->provider;
    if (job != NULL) {
        job->igd = NULL;
        atomic_store(&job->cancelled, true);
    }
}

/* The loop's gate, made when it is first needed; NULL without memory. */
static tern_uv_igd *gate_of(tern_uv *u)
{
    if (u->igd == NULL) {
        u->igd = tern_calloc(1, sizeof *u->igd);
        if (u->igd != NULL) {
            pthread_mutex_init(&u->igd->lock, NULL);
            u->igd->loop = &u->base;
        }
    }
    return u->igd;
}

void tern_uv_igd_close(tern_uv_igd *gate)
{
    if (gate == NULL) {
        return;
    }
    pthread_mutex_lock(&gate->lock);
    gate->loop = NULL;
    gate->closed = true;
    bool last = gate->jobs == 0;
    pthread_mutex_unlock(&gate->lock);
    if (last) {
        pthread_mutex_destroy(&gate->lock);
        tern_free(gate);
    }
}

int tern_uv_igd_start(tern_igd *igd)
{
    tern_uv_igd *gate = gate_of(tern_uv_of(igd->op.loop));
    igd_job *job = gate != NULL ? tern_calloc(1, sizeof *job) : NULL;
    if (job == NULL) {
        return TERN_E_NOMEM;
    }
    job->gate = gate;
    job->igd = igd;
    job->round = igd->round;
    job->post = (tern_post){.fn = done, .arg = job};
    atomic_init(&job->cancelled, false);
    pthread_mutex_lock(&gate->lock);
    bool full = ++gate->jobs > JOBS_MAX;
    pthread_mutex_unlock(&gate->lock);
    int code = full ? TERN_E_LIMIT : start_thread(job);
    if (code != 0) {
        free_job(job);
        return code;
    }
    tern_op_start(&igd->op, "upnp", cancel, job);
    return 0;
}
#else
int tern_uv_igd_start(tern_igd *igd)
{
    (void)igd;
    return TERN_E_UNSUPPORTED;
}

void tern_uv_igd_close(tern_uv_igd *gate)
{
    (void)gate;
}
#endif
