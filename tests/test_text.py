"""The normal form of labels, words and aliases."""

import sys
import unicodedata

import pytest

from mlgcn_pyg.text import described_forms, merged_forms, normal_form


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("", ""),
        ("dog", "dog"),
        ("Dog", "Dog"),  # the case is kept
        (" cat ", "cat"),
        ("cat\n", "cat"),
        ("traffic light", "traffic light"),
        ("traffic  light", "traffic light"),
        ("traffic\u00a0light", "traffic light"),  # no-break space
        ("traffic\u3000light", "traffic light"),  # ideographic space
        ("traffic \u2009\tlight", "traffic light"),
        ("traffic \u200b light", "traffic light"),  # the blanks on both sides of a removed character are one run
        ("do\u200bg", "dog"),  # zero-width space
        ("do\u200dg", "dog"),  # zero-width joiner
        ("do\u00adg", "dog"),  # soft hyphen
        ("\ufeffdog", "dog"),  # byte order mark
        ("\u202edog\u202c", "dog"),  # direction marks
        ("caf\u00e9", "caf\u00e9"),
        ("cafe\u0301", "caf\u00e9"),
        ("cafe\u200b\u0301", "caf\u00e9"),  # composed after the removal
        ("\u1112\u1161\u11ab", "\ud55c"),  # Hangul
        ("\u212b", "\u00c5"),  # ångström sign
        ("\ufb01sh", "\ufb01sh"),  # compatibility forms look different and are kept
    ],
)
def test_normal_form(written, form):
    assert normal_form(written) == form


def test_normal_form_of_every_character_is_stable():
    for code in range(sys.maxunicode + 1):
        form = normal_form(f"a{chr(code)}b")
        assert normal_form(form) == form


def test_format_characters_are_removed_except_those_that_are_drawn():
    kept = {c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) == "Cf" and normal_form(c)}
    names = {unicodedata.name(c, "") for c in kept}
    # Arabic, Syriac and Kaithi signs that enclose digits, and hieroglyph joiners, which arrange signs
    assert all(name.startswith(("ARABIC", "SYRIAC", "KAITHI", "EGYPTIAN")) for name in names), names


def test_merged_forms_are_described_so_that_they_differ():
    merged = merged_forms(["caf\u00e9", "cafe\u0301", "caf\u00e9", "dog", "dog"])
    assert merged == {"caf\u00e9": ["caf\u00e9", "cafe\u0301"]}
    assert described_forms(merged) == "'caf\u00e9' ('caf\\xe9', 'cafe\\u0301')"
    assert described_forms(merged_forms(["a b", "a  b"])) == r"'a b' ('a b', 'a \x20b')"
    many = {str(k): ["a", "b"] for k in range(7)}
    assert described_forms(many).endswith(" and 2 more")
