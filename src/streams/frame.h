/* Length-prefixed messages over a stream: a varint length, then that many bytes. The reader
 * collects one message at a time and checks its announced length before anything is allocated. */
#ifndef TERN_STREAMS_FRAME_H
#define TERN_STREAMS_FRAME_H

#include "base/buf.h"
#include "core/stream.h"

typedef struct tern_frame {
    size_t limit;  /* longest message */
    tern_buf part; /* what has come of the current one */
    bool given;    /* part holds a message that was given out: dropped at the next feed */
} tern_frame;

void tern_frame_init(tern_frame *f, size_t limit);
void tern_frame_free(tern_frame *f);

/* Feeds bytes of an on_data event. When a message is complete, *ret_msg is set (valid until the
 * next call; len may be 0) and the call returns 1, *ret_used says how many bytes were used: feed
 * the rest again. 0: all used, no message yet. TERN_E_TOO_LARGE, TERN_E_MALFORMED, TERN_E_NOMEM. */
int tern_frame_feed(tern_frame *f, const uint8_t *data, size_t n, size_t *ret_used,
                    tern_span *ret_msg);
/* Whether bytes of an unfinished message wait (an end here is an error). */
bool tern_frame_partial(const tern_frame *f);

/* Writes one message whole. TERN_E_LIMIT when the stream has not that much room; TERN_E_NOMEM when
 * a part of it may have been written: reset the stream. */
int tern_frame_write(tern_stream *s, const void *msg, size_t n);

#endif
