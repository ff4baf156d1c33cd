/* HTTP/3 and capsules: what a stream begins with, then its frames, cut by the first byte; fields,
 * SETTINGS and capsules as they come out. */
#include <stdlib.h>

#include "webtransport/h3_core.h"
#include "webtransport/h3_fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see_item(const tern_h3_item *item, bool both_ways, tern_h3_reader *capsules)
{
    tern_h3_fields fields;
    tern_h3_settings settings;
    tern_h3_item capsule;
    tern_span rest = item->value;
    if (both_ways && item->type == TERN_H3_HEADERS) {
        tern_h3_fields_read(item->value, true, &fields);
        tern_h3_fields_read(item->value, false, &fields);
    } else if (!both_ways && item->type == TERN_H3_SETTINGS) {
        tern_h3_settings_read(item->value, &settings);
    } else if (both_ways && item->type == TERN_H3_DATA) {
        while (tern_h3_next(capsules, &rest, &capsule) == 1) {
            if (capsule.type == TERN_WT_CLOSE && capsule.value.len > TERN_H3_CLOSE_MAX) {
                abort();
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tern_h3_prefix prefix = {.n = 0};
    tern_h3_reader reader, capsules;
    tern_h3_item item;
    size_t used;
    uint8_t cancels = 0;
    if (size < 1) {
        return 0;
    }
    bool both_ways = (data[0] & 1) != 0;
    size_t cut = (size_t)(data[0] >> 1) + 1;
    data++;
    size--;
    tern_h3_kind kind = tern_h3_prefix_feed(&prefix, both_ways, data, size, &used);
    if (kind == TERN_H3_FRAMES) {
        used = 0; /* they are frames already */
    }
    tern_span rest = {data + used, size - used};
    tern_qpack_encoder_says_nothing(rest);
    tern_qpack_decoder_cancels(&cancels, rest);
    tern_h3_reader_init(&reader, both_ways ? tern_h3_most_of_request : tern_h3_most_of_control);
    tern_h3_reader_init(&capsules, tern_h3_most_of_capsule);
    int r = 0;
    while (rest.len > 0 && r >= 0) {
        tern_span part = {rest.data, cut < rest.len ? cut : rest.len};
        rest.data += part.len;
        rest.len -= part.len;
        while ((r = tern_h3_next(&reader, &part, &item)) == 1) {
            see_item(&item, both_ways, &capsules);
        }
    }
    tern_h3_reader_clear(&reader);
    tern_h3_reader_clear(&capsules);
    return 0;
}
