/* Inside crypto/: the keys that its unit tests read: the specs' vectors, signatures made by other
 * programs, and tables of what must be refused, each with its code. Hex throughout. */
#ifndef TERN_CRYPTO_KEY_VECTORS_TEST_H
#define TERN_CRYPTO_KEY_VECTORS_TEST_H

#include "crypto/key.h"

#define ED_SEED     "7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d"
#define ED_POINT    "1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e"
#define ED_PUBLIC   "08011220" ED_POINT
#define ED_PRIVATE  "08011240" ED_SEED ED_POINT
#define SECP_PUBLIC "08021221037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99"

/* The project's test identities: seeds 00 01 .. 1f and 20 21 .. 3f. */
#define KEY1_PRIVATE                                                                               \
    "08011240000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"                     \
    "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
#define KEY2_PRIVATE                                                                               \
    "08011240202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"                     \
    "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"

/* libp2p specs, peer-ids: the test vectors (without RSA), and the first test identity. */
static const struct key_vector {
    tern_key_type type;
    const char *private_pb, *public_pb, *id;
} key_vectors[] = {
    {TERN_KEY_ED25519, ED_PRIVATE, ED_PUBLIC,
     "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"},
    {TERN_KEY_SECP256K1, "0802122053dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb",
     SECP_PUBLIC, "16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY"},
    {TERN_KEY_ECDSA,
     "08031279307702010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3d"
     "fa4a4ca00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e62",
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e62",
     "QmVMT29id3TUASyfZZ6k9hmNyc2nYabCo4uMSpDw4zrgDk"},
    {TERN_KEY_ED25519, KEY1_PRIVATE,
     "0801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
     "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"},
};

/* Made with Python's cryptography package over the message "tern". */
static const struct ecdsa_signature {
    const char *public_pb, *signature;
} ecdsa_signatures[] = {
    {"0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e62",
     "3044022056aa3ed76c1cb80f5a013dd740cb6f2087bdb4bd3882c89abd440cca52b7f78002202a47"
     "313ce9e1b32cf2c4a1aba01e72052e3378b0402eeaf0464134b9cc576c50"},
    {"080312783076301006072a8648ce3d020106052b8104002203620004283c1d7365ce4788f29f8ebf"
     "234edffead6fe997fbea5ffa2d58cc9dfa7b1c508b05526f55b9ebb2040f05b48fb6d0e19475c990"
     "61e41b88ba52efdb8c1690471a61d867ed799729d9c92cd01dbd225630d84ede32a78f9e64664cda"
     "c512ef8c",
     "3065023061694f5e2688634e77b53c508fad433bf1473dc1a7f11634c77ebc6faccb87355b57f788"
     "6df14a0425be10fd267704d40231008b963a8a1469b82e686bc721b5998b0e72a2ed54bf79eab583"
     "b3bf29b32723d458d79160cf739a5614818c76bad8a662"},
    {"0803129e0130819b301006072a8648ce3d020106052b8104002303818600040056d5d1d99d5b7f63"
     "46eeb65fda0b073a0c5f22e0e8f5483228f018d2c2f7114c5d8c308d0abfc698d8c9a6df30dce3bb"
     "c46f953f50fdc2619a01cead882816ecd4003d2d1b7d9baaa2a110d1d8317a39d68478b5c582d028"
     "24f0dd71dbd98a26cbde556bd0f293cdec9e2b9523a34591ce1a5f9e76712a5ddefc7b5c6b8bc905"
     "25251b",
     "308187024200bf7743a9b34ce2a62697960acb6de4515d4212d93fd39a1bc9cc66658506d98bf059"
     "824789fcc45ebd4d219e6751c44d627e26d326641e0d40ea4a91dd1f8c8fea02410bc57dae2d1cc6"
     "121aab181cef1e6b84223ec7dc55f183174756f4459f2063966f06caf9da6163c45f8dab403553ac"
     "91547599ddbafa5bdc9f078e114e1a13b737"},
};

struct bad_key {
    const char *name, *hex;
    int code;
};

static const struct bad_key bad_public_keys[] = {
    {"nothing", "", TERN_E_MALFORMED},
    {"type alone", "0801", TERN_E_MALFORMED},
    {"data alone", "12201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_MALFORMED},
    {"no data of RSA, type dropped", "12021234", TERN_E_MALFORMED},
    {"type twice", "0801080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_MALFORMED},
    {"data twice",
     "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e12201ed1"
     "e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_MALFORMED},
    {"an unknown field",
     "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e1800",
     TERN_E_MALFORMED},
    {"type as bytes", "0a010112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_MALFORMED},
    {"type as fixed32",
     "0d0100000012201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_MALFORMED},
    {"data as a number", "08011001", TERN_E_MALFORMED},
    {"type 4", "080412201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_UNSUPPORTED},
    {"type 2^32 + 1",
     "08818080801012201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_UNSUPPORTED},
    {"data past the end",
     "0801127f1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e", TERN_E_MALFORMED},
    {"data length 2^64 - 1",
     "080112ffffffffffffffffff011ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42"
     "d474fce27e",
     TERN_E_MALFORMED},
    {"Ed25519 of 31 bytes",
     "0801121f1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2", TERN_E_MALFORMED},
    {"Ed25519 of 33 bytes",
     "080112211ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e00",
     TERN_E_MALFORMED},
    {"Ed25519 of none", "08011200", TERN_E_MALFORMED},
    {"Ed25519 zero", "080112200000000000000000000000000000000000000000000000000000000000000000",
     TERN_E_MALFORMED},
    {"Ed25519 one", "080112200100000000000000000000000000000000000000000000000000000000000000",
     TERN_E_MALFORMED},
    {"Ed25519 minus one",
     "08011220ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", TERN_E_MALFORMED},
    {"Ed25519 zero with a sign",
     "080112200000000000000000000000000000000000000000000000000000000000000080", TERN_E_MALFORMED},
    {"Ed25519 of order 8",
     "0801122026e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", TERN_E_MALFORMED},
    {"Ed25519 of order 8, other sign",
     "08011220c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", TERN_E_MALFORMED},
    {"Ed25519 p, a second zero",
     "08011220edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", TERN_E_MALFORMED},
    {"Ed25519 p + 1, a second one",
     "08011220eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", TERN_E_MALFORMED},
    {"Ed25519 2^255 - 1",
     "08011220ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", TERN_E_MALFORMED},
    {"secp256k1 of 32 bytes",
     "08021220037777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca", TERN_E_MALFORMED},
    {"secp256k1 without a square root",
     "08021221020000000000000000000000000000000000000000000000000000000000000005",
     TERN_E_MALFORMED},
    {"secp256k1 with x = p",
     "0802122102fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
     TERN_E_MALFORMED},
    {"secp256k1 point at infinity", "0802120100", TERN_E_MALFORMED},
    {"secp256k1 hybrid point",
     "08021241077777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca991b41b3"
     "0efa52b659e9db235c31f9975578a17e2b356a6b84837b5b45c555cfb1",
     TERN_E_MALFORMED},
    {"secp256k1 long, off the curve",
     "08021241047777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca991b41b3"
     "0efa52b659e9db235c31f9975578a17e2b356a6b84837b5b45c555cfb2",
     TERN_E_MALFORMED},
    {"secp256k1 with tag 5",
     "08021221057777e994e452c21604f91de093ce415f5432f701dd8cd1a7a6fea0e630bfca99",
     TERN_E_MALFORMED},
    {"ECDSA off the curve",
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e63",
     TERN_E_MALFORMED},
    {"ECDSA with a byte more",
     "0803125c3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e6200",
     TERN_E_MALFORMED},
    {"ECDSA compressed",
     "0803123b3039301306072a8648ce3d020106082a8648ce3d03010703220002de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e",
     TERN_E_MALFORMED},
    {"ECDSA hybrid",
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420006de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA on P-224",
     "08031250304e301006072a8648ce3d020106052b81040021033a0004db2f6be630e246a5cf7d99b8"
     "5194b123d487e2d466b94b24a03c3e280f3a30085497f2f611ee2517b163ef8c53b715d18bb4e480"
     "8d02b963",
     TERN_E_MALFORMED},
    {"ECDSA, inner length too long",
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010743420004de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA, a bare point",
     "0803124104de3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f"
     "8da30525e71d6851510c098e5c47c646a597fb4dcec034e9f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA coordinates over p",
     "0803125b3059301306072a8648ce3d020106082a8648ce3d03010703420004ffffffffffffffffff"
     "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
     "ffffffffffffffffffffffffffffff",
     TERN_E_MALFORMED},
    {"RSA data of another type",
     "0800125b3059301306072a8648ce3d020106082a8648ce3d03010703420004de3d300fa36ae0e8f5"
     "d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47"
     "c646a597fb4dcec034e9f77c409e62",
     TERN_E_MALFORMED},
    {"RSA data empty", "08001200", TERN_E_MALFORMED},
};

static const struct bad_key bad_private_keys[] = {
    {"nothing", "", TERN_E_MALFORMED},
    {"a public key", "080112201ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_MALFORMED},
    {"type 4",
     "080412407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fa"
     "e2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e",
     TERN_E_UNSUPPORTED},
    {"Ed25519 seed alone",
     "080112207e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d", TERN_E_MALFORMED},
    {"Ed25519 of 63 bytes",
     "0801123f7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fa"
     "e2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce2",
     TERN_E_MALFORMED},
    {"Ed25519, halves of two keys",
     "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d03a107bf"
     "f3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8",
     TERN_E_MALFORMED},
    {"Ed25519, copies differ",
     "080112607e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d1ed1e8fa"
     "e2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e03a107bff3ce10be1d70dd18"
     "e74bc09967e4d6309ba50d5f1ddc8664125531b8",
     TERN_E_MALFORMED},
    {"Ed25519, zeros as public half",
     "080112407e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d00000000"
     "00000000000000000000000000000000000000000000000000000000",
     TERN_E_MALFORMED},
    {"secp256k1 zero", "080212200000000000000000000000000000000000000000000000000000000000000000",
     TERN_E_MALFORMED},
    {"secp256k1 the order",
     "08021220fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", TERN_E_MALFORMED},
    {"secp256k1 of 31 bytes",
     "0802121f53535353535353535353535353535353535353535353535353535353535353", TERN_E_MALFORMED},
    {"secp256k1 of 33 bytes",
     "08021221005353535353535353535353535353535353535353535353535353535353535353",
     TERN_E_MALFORMED},
    {"ECDSA with a byte more",
     "0803127a307702010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3d"
     "fa4a4ca00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e6200",
     TERN_E_MALFORMED},
    {"ECDSA of version 2",
     "08031279307702010204203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3d"
     "fa4a4ca00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA, point of another key",
     "08031279307702010104200101010101010101010101010101010101010101010101010101010101"
     "010101a00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA zero",
     "08031279307702010104200000000000000000000000000000000000000000000000000000000000"
     "000000a00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA without a curve",
     "08031227302502010104200102020202020202020202020202020202020202020202020202020202"
     "020202",
     TERN_E_MALFORMED},
    {"ECDSA length past the end",
     "08031279307902010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3d"
     "fa4a4ca00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e62",
     TERN_E_MALFORMED},
    {"ECDSA, indefinite length",
     "0803127b308002010104203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3d"
     "fa4a4ca00a06082a8648ce3d030107a14403420004de3d300fa36ae0e8f5d530899d83abab44abf3"
     "161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d6851510c098e5c47c646a597fb4dcec034e9"
     "f77c409e620000",
     TERN_E_MALFORMED},
    {"ECDSA on P-224",
     "0803126a3068020101041c00000000000000000000000000000000000000000000000000000007a0"
     "0706052b81040021a13c033a0004db2f6be630e246a5cf7d99b85194b123d487e2d466b94b24a03c"
     "3e280f3a30085497f2f611ee2517b163ef8c53b715d18bb4e4808d02b963",
     TERN_E_UNSUPPORTED},
    {"PKCS#8 in place of SEC1",
     "0803128a01308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b02010104"
     "203e5b1fe9712e6c314942a750bd67485de3c1efe85b1bfb520ae8f9ae3dfa4a4ca14403420004de"
     "3d300fa36ae0e8f5d530899d83abab44abf3161f162a4bc901d8e6ecda020e8b6d5f8da30525e71d"
     "6851510c098e5c47c646a597fb4dcec034e9f77c409e62",
     TERN_E_MALFORMED},
    {"RSA of 8 bits", "0800121d301b020100020137020103020103020103020103020103020103020103",
     TERN_E_UNSUPPORTED},
};

enum {
    KEY_VECTORS = sizeof key_vectors / sizeof key_vectors[0],
    ECDSA_SIGNATURES = sizeof ecdsa_signatures / sizeof ecdsa_signatures[0],
    BAD_PUBLIC_KEYS = sizeof bad_public_keys / sizeof bad_public_keys[0],
    BAD_PRIVATE_KEYS = sizeof bad_private_keys / sizeof bad_private_keys[0],
};

#endif
