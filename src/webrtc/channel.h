/* What the files of the data channels share. Private to them and to conn.h.
 *
 *     channels.c         which there are, opening, deadlines, their end
 *     channel_read.c     what comes: DCEP, frames, SCTP's events
 *     channel_write.c    what their owners write and do
 *     channel_close.c    FIN, FIN_ACK, RESET, and the end of a channel
 *
 * A stream's life on its channel (libp2p specs, webrtc):
 *
 *   we end         FIN out                          peer ends    FIN in, FIN_ACK out
 *   both ended     the stream is over; with FIN_ACK in (or 5 s) our half of the channel is reset
 *   we stop        STOP_SENDING out                 peer stops   what we write is dropped, FIN out
 *   we reset       RESET out, channel reset         peer resets  the stream is over, channel reset
 *
 * A call that may find no memory ends the conn; the channel is then still there. */
#ifndef TERN_WEBRTC_CHANNEL_H
#define TERN_WEBRTC_CHANNEL_H

#include "webrtc/conn.h"

enum { WEBRTC_QUEUED_MAX = 1 << 20 }; /* bytes that all channels of a conn have waiting */

/* ---- channels.c ---- */

webrtc_channel *webrtc_channel_find(webrtc_conn *c, uint16_t sid);
webrtc_channel *webrtc_channel_new(webrtc_conn *c, uint16_t sid); /* NULL: no memory, counted */
/* When both halves were reset its id is free; frees it when nobody needs its stream either. It is
 * not to be touched afterwards. */
void webrtc_channel_free_if_done(webrtc_channel *ch);
/* What its owner has not read counts as read. */
void webrtc_channel_release(webrtc_channel *ch);

/* ---- channel_write.c ---- */

extern const tern_stream_ops webrtc_channel_ops;
size_t webrtc_channel_room(const tern_stream *base);

/* ---- channel_close.c ---- */

void webrtc_channel_deadline(webrtc_channel *ch, uint64_t time);
/* What is due at `now`. */
void webrtc_channel_late(webrtc_channel *ch, uint64_t now);
void webrtc_channel_flag(webrtc_channel *ch, uint32_t flag, uint64_t code);
void webrtc_channel_acknowledge(webrtc_channel *ch); /* the peer's FIN */
void webrtc_channel_fin(webrtc_channel *ch);
/* Looks at what was said by both sides. */
void webrtc_channel_settle(webrtc_channel *ch);
/* The stream's owner learns of its end. */
void webrtc_channel_finish(webrtc_channel *ch, int code, uint64_t wire, const char *text);
/* RESET out, and the channel's end. */
void webrtc_channel_cut(webrtc_channel *ch, uint64_t code);
/* Our half is reset as soon as all is sent; then, with the peer's, the id is free. */
void webrtc_channel_close(webrtc_channel *ch);
void webrtc_channel_ask_reset(webrtc_channel *ch);

#endif
