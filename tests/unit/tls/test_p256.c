/* SPDX-License-Identifier: MIT */
/*
 * P-256 where a carry is easily lost: the library as it ships gets these exchanges wrong on x86-64
 * (tools/adapt_wolfssl).
 *
 * Of a point that is doubled the library computes 4 x y^2, in Montgomery's form, and lets it stay anywhere below 2^256.
 * Each point here was chosen so that this is congruent to a number between 2^223 and 2^224, and therefore comes out
 * above the modulus by as much, which happens to one in 2^33 by chance: a root of 4 x (x^3 - 3 x + b) = t / 2^256. The
 * secrets were computed with whole numbers.
 */
#include <wolfssl/options.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/random.h>

/* RFC 6979 appendix A.2.5. */
static const char ours[] = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
static const char ours_x[] = "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6";
static const char ours_y[] = "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

static const struct exchange {
    const char *x, *y, *secret;
} exchanges[] = {{"50d154255cf6d00b54ca8ecf52e1098425ad2a1599bcb2d5721758191d5cf601",
                  "9a8dc7dc199dc42d28193b76e21401ff184cff196538f8e008b83ea9bdab9622",
                  "a37e3a96374c657700a7cbb6da7b8dad4661f81f0b5c8c735fdc0e48d7e014d9"},
                 {"a07f01e9bc8e8f94bb2082e809b4df334d6b5406bd108ed22d7931e4b025c3f8",
                  "85b5130778bffef8c67e5bfe829b7ad6638eafaeb4b9faad5b42b9c699a5e6dd",
                  "ae8707aa1f8c44803c1205f023959c59a87529c91651600a469726e94597bfd6"},
                 {"42861a13aa54c6822b8e9de8d0c855f7c7f5e908cbe848a140d03528a2d27c91",
                  "03de3142b84b672e4973805dd3685e723ebaf7f4875cb7e5fc2d15d335aec44e",
                  "75b15a04aa647a2e9e29e644a9c256a5635da3b598c101b2c9dc90dac71133bb"}};

static void ecdh__product_above_the_modulus__secret_is_right(void **state)
{
    (void)state;
    WC_RNG random;
    assert_int_equal(wc_InitRng(&random), 0);
    for (size_t i = 0; i < sizeof exchanges / sizeof exchanges[0]; i++) {
        ecc_key key, peer;
        uint8_t secret[32], wanted[32];
        word32 size = sizeof secret;
        assert_int_equal(wc_ecc_init(&key) | wc_ecc_init(&peer), 0);
        assert_int_equal(wc_ecc_import_raw(&key, ours_x, ours_y, ours, "SECP256R1"), 0);
        assert_int_equal(wc_ecc_import_raw(&peer, exchanges[i].x, exchanges[i].y, NULL, "SECP256R1"), 0);
        assert_int_equal(wc_ecc_set_rng(&key, &random), 0);
        assert_int_equal(wc_ecc_check_key(&peer), 0);
        assert_int_equal(wc_ecc_shared_secret(&key, &peer, secret, &size), 0);
        for (unsigned at = 0; at < sizeof wanted; at++) {
            char pair[] = {exchanges[i].secret[2 * at], exchanges[i].secret[2 * at + 1], 0};
            wanted[at] = (uint8_t)strtoul(pair, NULL, 16);
        }
        assert_int_equal(size, sizeof wanted);
        assert_memory_equal(secret, wanted, sizeof wanted);
        wc_ecc_free(&key);
        wc_ecc_free(&peer);
    }
    assert_int_equal(wc_FreeRng(&random), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecdh__product_above_the_modulus__secret_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
