/* The real backend: a loop of libuv's, ours or the embedder's. */
#ifndef TERN_LOOP_UV_H
#define TERN_LOOP_UV_H

#include "loop/loop.h"

struct uv_loop_s;

/* Makes a loop over `uv` (the embedder's, who runs it) or over an own one when NULL. TERN_E_NOMEM
 * or TERN_E_IO. */
int tern_loop_new_uv(struct uv_loop_s *uv, tern_loop **ret);

/* Runs an own loop until tern_loop_stop or until nothing is left to wait for. */
void tern_loop_run(tern_loop *loop);
void tern_loop_stop(tern_loop *loop);

/* Starts closing an own or embedded loop's handles; `closed` runs when libuv has let go of them
 * all; only then may tern_loop_free follow (done inside for own loops run by tern_loop_run). */
void tern_loop_close(tern_loop *loop, void (*closed)(void *arg), void *arg);

/* Asks these name servers instead of the system's: "192.0.2.1:53,[2001:db8::1]:53", ports optional.
 * TERN_E_INVALID, TERN_E_NOMEM, TERN_E_IO. */
int tern_loop_set_name_servers(tern_loop *loop, const char *list);

/* SIGINT and SIGTERM: fn runs on the loop, each time. One registration; NULL ends it. For programs.
 * It does not keep the loop running by itself. */
int tern_loop_on_signal(tern_loop *loop, void (*fn)(void *arg, int signal), void *arg);

/* Lines on standard input, without the newline, longest 64 KiB (longer ones are cut and reported
 * with n = SIZE_MAX); line = NULL at its end. For programs. */
int tern_loop_on_stdin(tern_loop *loop, void (*fn)(void *arg, char *line, size_t n), void *arg);

#endif
