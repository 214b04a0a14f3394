from crm.lib.text import clean, clean_json, fold, shorten


def test_nul_and_lone_surrogates_never_reach_postgres() -> None:
    assert clean("a\x00b\ud800c") == "ab\ufffdc"
    assert clean_json({"k\x00": ["\udfff", 1, None, {"x": "\x00"}]}) == {
        "k": ["\ufffd", 1, None, {"x": ""}]
    }


def test_a_pair_of_surrogates_that_is_an_emoji_stays() -> None:
    assert clean("🙌") == "🙌"


def test_folding_forgets_case_and_accents() -> None:
    assert fold("Ñáñez ÁVILA Straße") == "nanez avila strasse"


def test_shortening_keeps_one_line() -> None:
    assert shorten("hola\n  mundo", 20) == "hola mundo"
    assert shorten("abcdefghij", 5) == "abcd…"
