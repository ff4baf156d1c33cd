/* multistream-select 1.0 without I/O (multiformats, multistream-select): which protocol a stream
 * speaks.
 *
 *   initiator  header, proposal ->            every message: varint length, text, '\n'
 *              <- header, proposal (agreed) or "na" (propose the next)
 *
 * The initiator's header and first proposal are written at once; the protocol's own first bytes may
 * follow them before any answer (optimism is the driver's business). Bytes behind the agreed
 * message belong to the protocol and are not used here. */
#ifndef TERN_SWARM_MULTISTREAM_CORE_H
#define TERN_SWARM_MULTISTREAM_CORE_H

#include "base/buf.h"
#include "streams/frame.h"

enum { TERN_MS_MESSAGE_MAX = 1024, TERN_MS_PROPOSALS_MAX = 100 };

typedef struct tern_ms {
    bool initiator;
    const char *const *ids; /* NULL-terminated: what we propose, or what we accept; lent */
    size_t at;              /* initiator: the one proposed */
    unsigned proposals;     /* responder: seen so far */
    bool header_seen;
    tern_frame frame;
} tern_ms;

/* Starts; appends what the role says first to out (the responder says nothing). 0, TERN_E_NOMEM. */
int tern_ms_start(tern_ms *ms, bool initiator, const char *const *ids, tern_buf *out);
void tern_ms_free(tern_ms *ms);

/* Feeds bytes; appends answers to out. 1: agreed on *ret_id (one of ids); 0: more bytes needed;
 * TERN_E_NEGOTIATION (nothing in common), TERN_E_MALFORMED, TERN_E_TOO_LARGE, TERN_E_LIMIT (too
 * many proposals), TERN_E_NOMEM. *ret_used says how many bytes were used, always. */
int tern_ms_feed(tern_ms *ms, const uint8_t *data, size_t n, tern_buf *out, size_t *ret_used,
                 const char **ret_id);

#endif
