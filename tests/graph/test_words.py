import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import label_words, read_aliases


def test_words_of_label_names():
    assert label_words("Hair-drier/dryer  old_one") == ["hair", "drier", "dryer", "old", "one"]
    assert label_words("TVmonitor") == ["tv", "monitor"]  # the table's names in any case
    assert label_words("crème brûlée") == ["crème", "brûlée"]
    assert label_words("dog", {"dog": "New_York"}) == ["New_York"]  # split at blanks only, the case is kept


def test_alias_files(tmp_path):
    expected = {"tvset": "tv set", "naïve, one": "naïve"}
    files = {
        "a.csv": 'label,words\ntvset,tv set\n"naïve, one", naïve \n\n',
        "b.csv": '\ufeffLabel,Words\r\ntvset,tv set\r\n"naïve, one",naïve',
        "c.json": '{"tvset": "tv set", "naïve, one": "naïve"}',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_aliases(tmp_path / name) == expected


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.csv", "tvset,tv set\n", "columns label and words, found .*first line 'tvset,tv set'"),
        ("a.csv", "", "first line"),
        ("a.csv", "label,words\ntvset\n", "a label and its words, found 'tvset': None"),
        ("a.csv", "label,words\ntvset,tv,set\n", "a label and its words"),
        ("a.csv", "label,words\ntvset,\n", "a label and its words"),
        ("a.csv", "label,words\ntv,a\ntv ,b\n", "each label once, found 'tv' twice"),
        ("a.json", '{"tv": "a", "tv": "b"}', "each label once, found 'tv' twice"),
        ("a.json", '{"tv": {"a": "b"}}', "a label and its words"),
        ("a.json", '{"tv": 1}', "a label and its words"),
        ("a.json", '[["tv", "b"]]', "not a JSON object"),
        ("a.json", '{"tv": ', "a JSON object"),
    ],
)
def test_invalid_alias_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=f"path: expected .*{message}"):
        read_aliases(tmp_path / name)


def test_alias_files_in_other_encodings_and_missing_files(tmp_path):
    (tmp_path / "a.csv").write_bytes("label,words\nnaïve,a\n".encode("latin1"))
    with pytest.raises(InputError, match="path.*UnicodeDecodeError"):
        read_aliases(tmp_path / "a.csv")
    with pytest.raises(InputError, match="no file"):
        read_aliases(tmp_path / "absent.csv")


def test_deeply_nested_aliases_are_refused(tmp_path):
    (tmp_path / "a.json").write_text('{"cat": ' + "[" * 100_000)
    with pytest.raises(InputError, match="a JSON object"):
        read_aliases(tmp_path / "a.json")
