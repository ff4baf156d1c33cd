/* ClientHellos: a ticket that is found lies within the message. */
#include <stdlib.h>

#include "quic/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    quic_hello h;
    if (quic_hello_read(data, n, &h) && h.offered > 0 &&
        (h.ticket.data < data || h.ticket.data + h.ticket.len > data + n)) {
        abort();
    }
    return 0;
}
