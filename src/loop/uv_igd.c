/* UPnP in the real loop: what blocks, on a thread for each job. A job has its own copy of what is
 * asked and answered, so whoever asked may go at any time, and the loop too: what a slow gateway
 * holds up is a thread, of which there are few at once, and nothing waits for it. (libuv's pool
 * would be waited for when the program ends.)
 *
 *     loop: start --> thread: ask --> under the gate's lock: is the loop there? --> loop: done
 *                                               no: it takes back what it mapped
 *
 * A cancelled job ends after the exchange that it is in, and then takes back what it has mapped. */
#include "loop/uv_backend.h"

#ifdef TERN_UPNP
#include <pthread.h>
#include <signal.h>

#include "base/error.h"
#include "base/mem.h"
#include "loop/uv_igd_ask.h"

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
    job->code = tern_igd_ask(&job->round, &job->cancelled);
    pthread_mutex_lock(&job->gate->lock);
    tern_loop *loop = job->gate->loop;
    bool heard = loop != NULL && tern_loop_post_kept(loop, &job->post) == 0;
    pthread_mutex_unlock(&job->gate->lock);
    if (!heard) {
        if (job->round.act == TERN_IGD_MAP) {
            job->round.act = TERN_IGD_UNMAP;
            tern_igd_ask(&job->round, &job->cancelled);
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
