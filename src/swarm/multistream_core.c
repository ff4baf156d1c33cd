/* multistream-select's state machine: see multistream_core.h. */
#include "swarm/multistream_core.h"

#include <string.h>

#include <tern/error.h>

#include "codec/varint.h"

static const char header[] = "/multistream/1.0.0";

static int say(tern_buf *out, const char *text, size_t n)
{
    uint8_t prefix[TERN_VARINT_MAX];
    size_t len = tern_varint_put(prefix, n + 1);
    uint8_t *p = tern_buf_reserve(out, len + n + 1);
    if (p == NULL) {
        return TERN_E_NOMEM;
    }
    memcpy(p, prefix, len);
    if (n > 0) { /* an empty list has no bytes */
        memcpy(p + len, text, n);
    }
    p[len + n] = '\n';
    tern_buf_commit(out, len + n + 1);
    return 0;
}

/* The answer to "ls": one message that holds a message for each id, then '\n'. */
static int say_list(const tern_ms *ms, tern_buf *out)
{
    tern_buf list;
    tern_buf_init(&list, 0);
    int code = 0;
    for (size_t i = 0; ms->ids[i] != NULL && code == 0; i++) {
        code = say(&list, ms->ids[i], strlen(ms->ids[i]));
    }
    if (code == 0) {
        code = say(out, (const char *)tern_buf_data(&list), tern_buf_len(&list));
    }
    tern_buf_free(&list);
    return code;
}

int tern_ms_start(tern_ms *ms, bool initiator, const char *const *ids, tern_buf *out)
{
    memset(ms, 0, sizeof *ms);
    ms->initiator = initiator;
    ms->ids = ids;
    tern_frame_init(&ms->frame, TERN_MS_MESSAGE_MAX);
    if (!initiator) {
        return 0;
    }
    int code = say(out, header, sizeof header - 1);
    return code != 0 ? code : say(out, ids[0], strlen(ids[0]));
}

void tern_ms_free(tern_ms *ms)
{
    tern_frame_free(&ms->frame);
}

static bool is(tern_span text, const char *want)
{
    return text.len == strlen(want) && memcmp(text.data, want, text.len) == 0;
}

static int answer_proposal(tern_ms *ms, tern_span text, tern_buf *out, const char **ret_id)
{
    if (++ms->proposals > TERN_MS_PROPOSALS_MAX) {
        return TERN_E_LIMIT;
    }
    if (is(text, "ls")) {
        return say_list(ms, out);
    }
    for (size_t i = 0; ms->ids[i] != NULL; i++) {
        if (is(text, ms->ids[i])) {
            *ret_id = ms->ids[i];
            int code = say(out, ms->ids[i], text.len);
            return code != 0 ? code : 1;
        }
    }
    return say(out, "na", 2);
}

static int read_answer(tern_ms *ms, tern_span text, tern_buf *out, const char **ret_id)
{
    if (is(text, ms->ids[ms->at])) {
        *ret_id = ms->ids[ms->at];
        return 1;
    }
    if (!is(text, "na")) {
        return TERN_E_MALFORMED;
    }
    ms->at++;
    if (ms->ids[ms->at] == NULL) {
        return TERN_E_NEGOTIATION;
    }
    return say(out, ms->ids[ms->at], strlen(ms->ids[ms->at]));
}

static int on_message(tern_ms *ms, tern_span msg, tern_buf *out, const char **ret_id)
{
    if (msg.len == 0 || msg.data[msg.len - 1] != '\n') {
        return TERN_E_MALFORMED;
    }
    tern_span text = {msg.data, msg.len - 1};
    if (!ms->header_seen) {
        if (!is(text, header)) {
            return TERN_E_MALFORMED;
        }
        ms->header_seen = true;
        return ms->initiator ? 0 : say(out, header, sizeof header - 1);
    }
    return ms->initiator ? read_answer(ms, text, out, ret_id)
                         : answer_proposal(ms, text, out, ret_id);
}

int tern_ms_feed(tern_ms *ms, const uint8_t *data, size_t n, tern_buf *out, size_t *ret_used,
                 const char **ret_id)
{
    *ret_used = 0;
    while (*ret_used < n) {
        size_t used = 0;
        tern_span msg;
        int code = tern_frame_feed(&ms->frame, data + *ret_used, n - *ret_used, &used, &msg);
        *ret_used += used;
        if (code == 1) {
            code = on_message(ms, msg, out, ret_id);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}
