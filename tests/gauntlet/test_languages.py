"""Is it English? Two dozen other languages, what is only near to English, and what must raise no alarm."""

import json
from pathlib import Path

import pytest

from gauntlet.cases import Case
from gauntlet.english import WORD, fault_of
from gauntlet.languages import FOREIGN, other_than_english
from gauntlet.suite_files import read_suites
from tests.gauntlet.oracle import GERMAN, PROSE

SENTENCES = json.loads(Path(__file__).with_name("languages.json").read_text(encoding="utf-8"))
TOO_SHORT = {"To není pravda.", "To nije istina."}  # three words, of which one is a small word
ALIKE = {"See ei ole tõsi.", "Joki virtaa", "Rugsteunkopieë"}  # told to be foreign, with a neighbour's name


def _words(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


@pytest.mark.parametrize("language", SENTENCES)
def test_another_language_is_told_with_its_name(language: str):
    """Three sentences of each, one of them short, none of them in what the lists were written from."""
    assert language in FOREIGN
    for text in SENTENCES[language]:
        said = other_than_english(_words(text))
        if text in TOO_SHORT:
            continue
        assert said.startswith("looks "), text
        assert language in said or any(text.startswith(start) for start in ALIKE), (text, said)


@pytest.mark.parametrize(
    "text",
    [
        "Ann and Bill live in Los Angeles, near La Brea.",
        "Vincent van Gogh, Ludwig van Beethoven, Simone de Beauvoir and Leonardo da Vinci",
        "Los Angeles, La Paz, Las Vegas, San Juan de la Cruz, Rio de Janeiro, El Paso, Le Mans, Des Moines",
        "Kowalski, Nguyen, Okonkwo, Szczepański, Bhattacharya, Xiaoming, Müller, Ljubljana, Reykjavik",
        "São Paulo, Bogotá, Córdoba, Łódź and Kraków",
        "The answer is 42.",
        "42 kilometres",
        "3.5 million euros in 2024",
        "Paris, Lyon, Nice",
        "Yes, on Tuesday.",
        "The word “und” is German for “and”, and “nicht” means “not”.",
        "Ken took his wee dog to Edinburgh for Auld Lang Syne.",
        "Use this:\n```python\nfor el in los:\n    de = el.la(es, en)\n    print(de, le, la, y, que)\n```",
        "Call `si.el(la, que, por)` and see https://es.example.org/los/de/la/que/por for more.",
        "Déjà vu, café, résumé and naïve are words that we took from French.",
        "He plays the piano da capo, al fine, con brio.",
        "Select id, name from users where id in one of these.",
    ],
)
def test_names_numbers_code_and_short_answers_raise_no_alarm(text: str):
    """Nor loan words, nor a word that is spoken about."""
    assert fault_of(text, min_words=1) == ""


def test_our_own_english_raises_no_alarm():
    """All questions of ours that are asked in English, and a page of prose."""
    assert fault_of(PROSE) == ""
    other = {"translated", "encoded", "unicode", "multi-turn"}  # those speak other languages on purpose
    for suite in read_suites():
        for case in suite.cases:
            if case.category not in other and not any(word in case.id for word in ("german", "language", "translat")):
                assert _faults(case) == "", f"{suite.name}/{case.id}"


def _faults(case: Case) -> str:
    return other_than_english(_words(case.messages[-1]["content"]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Ye dinnae ken whit ye hae till it's gaun frae ye.", "looks Scots"),
        ("Ik was in het water, en we zijn op tijd in de stad.", "looks Dutch"),
        ("Mae'r afon yn llifo trwy'r dref, a gyda'r nos mae llawer o bobl yn eistedd ar y lan.", "doesn't read like"),
        ("Ibaiak hiria zeharkatzen du, eta arratsaldean jende asko esertzen da ertzean.", "English"),
        ("thement ofing andation fortheir wasion thater iting anders theinto beation ofher", "doesn't read like"),
    ],
    ids=["Scots", "Dutch", "Welsh", "Basque", "tokens-in-a-heap"],
)
def test_what_is_near_to_english_or_listed_nowhere(text: str, says: str):
    """Scots by what is its own; languages without a list, and heaps of tokens, by the small words that they lack."""
    assert says in fault_of(text)


def test_nonsense_in_english_dress_is_left_to_a_judge():
    """Made-up nouns between real small words: no sign of ours tells it, and none pretends to."""
    assert fault_of("The wibble gave a grand sprocket to the mirthful zonk, and it was plimmed by the quib.") == ""


def test_an_answer_that_changes_its_language_is_told_where():
    """English for a page, then German: a model that drifts. A quoted sentence is no drift."""
    assert fault_of(f"{PROSE} {GERMAN} {GERMAN.replace('Sonne', 'Lampe')}").startswith("turns German after about 1")
    assert fault_of(f"{PROSE} In German: “Das ist einfach, und es ist nicht weit.” {PROSE[::1][:200]}") == ""
