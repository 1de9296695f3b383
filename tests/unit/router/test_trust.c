/* SPDX-License-Identifier: MIT */
/* By what the domains of s2s.policy and s2s.policies have to prove themselves. */
#include "router/s2s/trust.h"
#include "tests/unit/core/suite.h"

static struct config *load(const char *policy, const char *policies)
{
    char texts[2][256];
    const char *const settings[] = {texts[0], texts[1]};
    struct err err = {""};
    snprintf(texts[0], sizeof texts[0], "s2s.policy=%s", policy);
    snprintf(texts[1], sizeof texts[1], "s2s.policies=%s", policies);
    struct config *config = config_load(NULL, settings, 2, &err);
    if (!config)
        fail_msg("%s", err.text);
    return config;
}

static void policy__of_domains__that_of_the_closest_item(void **state)
{
    (void)state;
    static const struct {
        const char *policies, *domain;
        enum config_s2s_policy policy;
    } cases[] = {
        {"", "bank.example", S2S_PKIX_OR_DIALBACK},
        {"bank.example=pkix", "bank.example", S2S_PKIX},
        {"bank.example=pkix", "www.bank.example", S2S_PKIX_OR_DIALBACK},
        {"bank.example=pkix", "xbank.example", S2S_PKIX_OR_DIALBACK},
        {"bank.example=pkix", "bank.exampl", S2S_PKIX_OR_DIALBACK},
        {"bank.example=pkix", "", S2S_PKIX_OR_DIALBACK},
        {"*.bank.example=pkix", "bank.example", S2S_PKIX_OR_DIALBACK},
        {"*.bank.example=pkix", ".bank.example", S2S_PKIX_OR_DIALBACK},
        {"*.bank.example=pkix", "", S2S_PKIX_OR_DIALBACK},
        {"*.bank.example=pkix", "www.bank.example", S2S_PKIX},
        {"*.bank.example=pkix", "a.b.bank.example", S2S_PKIX},
        {"*.example=dane, bank.example=pkix", "bank.example", S2S_PKIX},
        {"bank.example=pkix, *.example=dane", "bank.example", S2S_PKIX},
        {"bank.example=pkix, *.example=dane", "shop.example", S2S_DANE},
        {"*.example=dane, *.bank.example=dane-or-pkix", "www.bank.example", S2S_DANE_OR_PKIX},
        {"*.bank.example=dane-or-pkix, *.example=dane", "www.bank.example", S2S_DANE_OR_PKIX},
        {"*.bank.example=dane-or-pkix, www.bank.example=pkix-or-dialback", "www.bank.example", S2S_PKIX_OR_DIALBACK},
        {"m\xc3\xbcller.example=pkix", "m\xc3\xbcller.example", S2S_PKIX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config *config = load("pkix-or-dialback", cases[i].policies);
        if (trust_policy(config, span_str(cases[i].domain)) != cases[i].policy)
            fail_msg("%s: %s", cases[i].policies, cases[i].domain);
        config_unref(config);
    }
}

/* The whole table of trust.h. */
static void proof__of_each_kind__accepted_by_these_words(void **state)
{
    (void)state;
    static const struct {
        enum config_s2s_policy policy;
        bool accepts[PROOF_DANE_DIALBACK + 1];
    } rows[] = {
        {S2S_PKIX, {[PROOF_PKIX] = true}},
        {S2S_DANE, {[PROOF_DANE] = true, [PROOF_DANE_DIALBACK] = true}},
        {S2S_DANE_OR_PKIX, {[PROOF_PKIX] = true, [PROOF_DANE] = true, [PROOF_DANE_DIALBACK] = true}},
        {S2S_PKIX_OR_DIALBACK,
         {[PROOF_PKIX] = true, [PROOF_DANE] = true, [PROOF_DANE_DIALBACK] = true, [PROOF_DIALBACK] = true}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (enum proof proof = PROOF_NONE; proof <= PROOF_DANE_DIALBACK; proof++)
            assert_int_equal(trust_accepts(rows[i].policy, proof), rows[i].accepts[proof]);
}

static void dialback__of_words__where_any_is_believed(void **state)
{
    (void)state;
    struct config *config = load("pkix", "a.example=dane, b.example=dane-or-pkix, c.example=pkix-or-dialback");
    assert_false(trust_may_dialback(config, SPAN("example")));
    assert_true(trust_may_dialback(config, SPAN("a.example")));
    assert_true(trust_may_dialback(config, SPAN("b.example")));
    assert_true(trust_may_dialback(config, SPAN("c.example")));
    config_unref(config);
}

static void name__of_each_proof__its_own(void **state)
{
    (void)state;
    assert_null(trust_proof_name(PROOF_NONE));
    assert_string_equal(trust_proof_name(PROOF_PKIX), "pkix");
    assert_string_equal(trust_proof_name(PROOF_DANE), "dane");
    assert_string_equal(trust_proof_name(PROOF_DIALBACK), "dialback");
    assert_string_equal(trust_proof_name(PROOF_DANE_DIALBACK), "dane-dialback");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy__of_domains__that_of_the_closest_item),
        cmocka_unit_test(proof__of_each_kind__accepted_by_these_words),
        cmocka_unit_test(dialback__of_words__where_any_is_believed),
        cmocka_unit_test(name__of_each_proof__its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
