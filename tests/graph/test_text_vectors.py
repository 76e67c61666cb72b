"""Word vectors in text files with any separator."""

import gzip

import numpy as np
import pandas as pd
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import embeddings_format, label_embeddings
from mlgcn_pyg.graph.text_vectors import Layout, layout_of
from mlgcn_pyg.graph.vectors import read_vectors, read_words

WORDS = {"dog": [0.5, -1.0], "New York": [2.0, 3e-2], "x-ray": [1.0, 1.0], "2000": [7.0, 8.0]}


def lines(first, between):
    return "".join(word + first + between.join(map(str, vector)) + "\n" for word, vector in WORDS.items())


@pytest.mark.parametrize("header", ["", "4 2\n"])
@pytest.mark.parametrize(
    "first, between",
    [(" ", " "), ("\t", "\t"), (",", ","), (";", ";"), (", ", ", "), ("\t", " "), ("\t", ","), (" ", ",")],
)
def test_every_separator_gives_the_same_vectors(tmp_path, first, between, header):
    file = tmp_path / "v.txt"
    file.write_text(header + lines(first, between))
    assert embeddings_format(file) == "text"
    vectors, width = read_vectors(file, WORDS, "text")
    assert width == 2 and {word: vector.tolist() for word, vector in vectors.items()} == {
        word: np.float32(vector).tolist() for word, vector in WORDS.items()
    }
    assert list(read_words(file, "text")) == list(WORDS)


def test_tables_that_pandas_writes(tmp_path):
    table = pd.DataFrame(WORDS).T
    for separator, header, name in ((",", True, "a.csv"), ("\t", False, "b.tsv"), (",", ["x", "y"], "c.csv")):
        table.to_csv(tmp_path / name, sep=separator, header=header)
        vectors, _ = read_vectors(tmp_path / name, WORDS, "text")
        assert vectors.keys() == WORDS.keys() and vectors["dog"].tolist() == [0.5, -1.0], name
    table.to_csv(tmp_path / "d.tsv", sep="\t", index_label="word")
    (tmp_path / "d.tsv.gz").write_bytes(gzip.compress((tmp_path / "d.tsv").read_bytes()))
    assert read_vectors(tmp_path / "d.tsv.gz", WORDS, "text")[0].keys() == WORDS.keys()


def test_words_with_the_separator_are_quoted(tmp_path):
    (tmp_path / "v.csv").write_text('"Washington, D.C.",1,2\n"say ""hi""",3,4\n"1,2",5,6\n')
    assert list(read_words(tmp_path / "v.csv", "text")) == ["Washington, D.C.", 'say "hi"', "1,2"]


@pytest.mark.parametrize(
    "text, found",
    [
        ("dog\t1\t2\ncat\t1\n", "1 in line 2"),
        ("dog,1,2\ncat,1,2,3\n", "3 in line 2"),
        ("dog,1,2\nNew York,1\n", "2 in line 2"),  # York is no number
        ("dog\t1\t2\ncat 1 2\n", "2 in line 2"),
        ("dog,1,2\n\ncat,1,2\n", "0 in line 2"),
        ("3\t2\ndog\t1\t2\n", "1 .*v.txt"),  # fewer words than announced
        ("word,name\n", "none"),
    ],
)
def test_uneven_lines_are_refused(tmp_path, text, found):
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(InputError, match=f"path: expected .*found {found}"):
        read_vectors(tmp_path / "v.txt", ["dog", "cat"], "text")


def test_words_that_are_separators_are_words(tmp_path):
    (tmp_path / "v.txt").write_text(", 1 2\n; 3 4\n. . . 5 6\n1,000 7 8\n")
    vectors, _ = read_vectors(tmp_path / "v.txt", [",", ";", ". . .", "1,000"], "text")
    assert {word: vector.tolist() for word, vector in vectors.items()} == {
        ",": [1, 2], ";": [3, 4], ". . .": [5, 6], "1,000": [7, 8],
    }  # fmt: skip
    assert layout_of(b"1,000 7 8") == Layout(2) and layout_of(b"; 0.5") == Layout(1)


def test_words_in_another_form_are_found_and_the_exact_form_wins(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    (tmp_path / "v.txt").write_text(f"{decomposed} 1 2\ndo\u200bg 3 4\n", encoding="utf-8")
    assert label_embeddings([decomposed, "dog"], tmp_path / "v.txt").x.tolist() == [[1, 2], [3, 4]]
    (tmp_path / "w.txt").write_text(f"{decomposed} 1 2\n{composed} 5 6\ndo\u200bg 3 4\ndog 7 8\n", encoding="utf-8")
    assert label_embeddings([composed, "dog"], tmp_path / "w.txt").x.tolist() == [[5, 6], [7, 8]]


@pytest.mark.parametrize("alias", ["New_York", "x-ray", "/c/en/dog", "a=b", "Wi-Fi/WLAN"])
def test_an_alias_names_a_phrase(tmp_path, alias):
    (tmp_path / "v.txt").write_text(f"{alias} 1 2\nlight 3 4\n")
    x = label_embeddings(
        ["thing", "two"], tmp_path / "v.txt", aliases={"thing": alias, "two": f" {alias}\u00a0 light "}
    ).x
    assert x.tolist() == [[1, 2], [2, 3]]


def test_aliases_match_labels_in_any_form(tmp_path):
    (tmp_path / "v.txt").write_text("coffee 1 2\n")
    aliases = {"cafe\u0301  bar": "coffee"}
    assert label_embeddings(["caf\u00e9\u00a0bar"], tmp_path / "v.txt", aliases=aliases).source["aliases"] == {
        "caf\u00e9 bar": "coffee"
    }
    with pytest.raises(InputError, match="aliases: expected each label once, found 'caf\u00e9' as 'tea' and 'coffee'"):
        label_embeddings(["a"], tmp_path / "v.txt", aliases={"caf\u00e9": "tea", "cafe\u0301": "coffee"})


SEEDS = [lines(" ", " "), lines("\t", "\t"), "w,d0,d1\n" + lines(",", ","), "4 2\n" + lines("\t", " "), lines(" ", ",")]


def test_damaged_files_are_read_or_refused_in_one_line(tmp_path):
    generator, file = np.random.default_rng(0), tmp_path / "v.txt"
    for _ in range(300):
        content = bytearray(SEEDS[generator.integers(len(SEEDS))].encode())
        for _ in range(generator.integers(1, 5)):
            place = int(generator.integers(len(content)))
            new = bytes(generator.choice(list(b'\t,; \n\r"01.e-+naif\x00\xff\x85'), generator.integers(3)).tolist())
            content[place : place + int(generator.integers(3))] = new
        file.write_bytes(content)
        try:
            read_vectors(file, WORDS, embeddings_format(file))
        except InputError as error:
            assert error.argument == "path" and "\n" not in str(error)
