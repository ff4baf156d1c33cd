/* Whether others can connect to an address of ours (AutoNAT). */
#ifndef TERN_REACHABILITY_H
#define TERN_REACHABILITY_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tern_reachability {
    TERN_REACHABILITY_UNKNOWN, /* too few were asked, or they disagree */
    TERN_REACHABILITY_PUBLIC,  /* servers in different networks connected to it */
    TERN_REACHABILITY_PRIVATE  /* servers in different networks could not */
} tern_reachability;

#ifdef __cplusplus
}
#endif
#endif
