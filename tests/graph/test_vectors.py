"""Word-vector files of every format, valid and damaged, written here by the definitions of the formats."""

import bz2
import gzip
import lzma
import struct
import tracemalloc

import numpy as np
import pytest

from mlgcn_pyg.errors import InputError
from mlgcn_pyg.graph import label_embeddings
from mlgcn_pyg.graph.spelling import edits, nearest_spellings
from mlgcn_pyg.graph.vectors import CHUNK, embeddings_format, read_vectors

VECTORS = {"the": [0.25, -1.5, 3.0], "naïve": [1.0, 0.0, 0.5], "dog": [-2.0, 8.0, 0.125]}
BODY = "".join(f"{word} {' '.join(map(str, v))}\n" for word, v in VECTORS.items())


def binary(vectors=VECTORS, newline=b"", count=None):
    entries = [word.encode() + b" " + struct.pack(f"<{len(v)}f", *v) + newline for word, v in vectors.items()]
    return f"{len(vectors) if count is None else count} 3\n".encode() + b"".join(entries)


WHOLE = {
    "glove": BODY.encode(),
    "glove with a byte order mark": b"\xef\xbb\xbf" + BODY.encode(),
    "glove with DOS lines": BODY.replace("\n", "\r\n").encode(),
    "word2vec text": b"3 3\n" + BODY.encode(),
    "fasttext": b"3 3\n" + BODY.replace("\n", " \n").encode(),  # its lines end with a space
    "word2vec binary": binary(),
    "word2vec binary, entries ended": binary(newline=b"\n"),
    "glove, gzip": gzip.compress(BODY.encode()),
    "word2vec binary, gzip": gzip.compress(binary()),
}


@pytest.mark.parametrize("name", WHOLE)
def test_every_format_is_recognised_and_gives_the_same_vectors(tmp_path, name):
    (tmp_path / "v").write_bytes(WHOLE[name])
    format = "binary" if "binary" in name else "text"
    assert embeddings_format(tmp_path / "v") == format
    found, width = read_vectors(tmp_path / "v", {*VECTORS, "absent"}, format)
    assert width == 3 and {word: v.tolist() for word, v in found.items()} == VECTORS
    made = label_embeddings(["the dog", "Naïve"], tmp_path / "v")
    assert made.x.tolist() == [[-0.875, 3.25, 1.5625], [1.0, 0.0, 0.5]] and made.source["format"] == format


@pytest.mark.parametrize("name", WHOLE)
def test_truncated_files_are_refused(tmp_path, name):
    """Wherever the file ends, it is refused or gives the true vectors, never other numbers."""
    whole, format = WHOLE[name], "binary" if "binary" in name else "text"
    refused = 0
    for end in range(len(whole)):
        (tmp_path / "v").write_bytes(whole[:end])
        try:
            found, _ = read_vectors(tmp_path / "v", VECTORS, format)
        except InputError:
            refused += 1
            continue
        assert all(v.tolist() == VECTORS[word] for word, v in found.items())
    # without a header, a file that ends with a line is whole as far as anyone can tell
    lines = 2 if name.startswith("glove") and "gzip" not in name else 0
    assert refused >= len(whole) - 1 - lines


DAMAGED = [
    (b"", "words and their vectors, found none"),
    (b"\n", "a word and at least one number in every line, found 0 in line 1"),
    (b"dog 1 2\nthe 1\n", "a word and 2 numbers in every line, found 1 in line 2"),
    (b"2 2\ndog 1 2\nthe 1 2 3\n", "a word and 2 numbers in every line, found 3 in line 3"),
    (b"9 2\ndog 1 2\nthe 1 2\n", "the 9 words that the first line announces, found 2"),
    (b"1 2\ndog 1 2\nthe 1 2\n", "the 1 words that the first line announces, found 2"),
    (b"2 3\ndog 1 2\nthe 1 2\n", "a word and 3 numbers in every line, found 2 in line 2"),
    (b"dog 1 nan\n", "finite numbers, found NaN or Inf in entry 1"),
    (b"dog 1 1e39\n", "finite numbers"),  # no float32
    (b"the 1 2\ndog 1 x\n", "a word and numbers in every line, found other text in entry 2"),
    (b"dog 1 2\ndog 1 3\n", "each word once, found 'dog' again as entry 2"),
    (b"dog 1 2", "truncated in line 1"),
    ("dog 1 2\n".encode("utf-16"), "UTF-16"),
    ((793712314).to_bytes(4, "little") + b"\x0c\0\0\0", "a fastText model.*; use the .vec file"),
    (b"\x1f\x8b\x08\x00 no gzip after all", "a complete file"),
    (gzip.compress(BODY.encode())[:-9], "a complete file"),
    (binary({"dog": [1, float("nan"), 2]}), "finite numbers"),
    (binary(count=4), "the 4 words that the first line announces, found the end of the file in entry 4"),
    (binary(count=2), "the 2 words that the first line announces, found more bytes"),
    (binary()[:-1], "found the end of the file in entry 3"),
    (b"1 3\n\xff" + b"\x01" * 100_000, "words and float32 numbers"),
    (b"PK\x03\x04 glove.6B.50d.txt", "compressed by gzip, found an archive .*; unpack it"),
    (bz2.compress(BODY.encode()), "compressed by gzip, found an archive .*; unpack it"),
    (lzma.compress(BODY.encode()), "compressed by gzip, found an archive .*; unpack it"),
]


@pytest.mark.parametrize("content, message", DAMAGED, ids=[message[:40] for _, message in DAMAGED])
def test_damaged_files(tmp_path, content, message):
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(InputError, match=f"path: expected .*{message}"):
        label_embeddings(["dog"], tmp_path / "v")


def test_a_word_may_occur_twice_with_the_same_vector(tmp_path):
    (tmp_path / "v").write_bytes(b"dog 1 2\ncat 1 1\ndog 1.0 2\n")
    assert label_embeddings(["dog"], tmp_path / "v").x.tolist() == [[1, 2]]


def test_words_that_contain_spaces(tmp_path):
    (tmp_path / "v").write_bytes(b"the 1 2\nat name 9 9\nat 3 4\n. . . 5 5\n")  # glove.840B has such lines
    assert label_embeddings(["at"], tmp_path / "v").x.tolist() == [[3, 4]]
    assert read_vectors(tmp_path / "v", ["at name", ". . ."], "text")[0]["at name"].tolist() == [9, 9]


@pytest.mark.parametrize("first", ["the", ". . ."])
def test_words_that_contain_spaces_after_a_header(tmp_path, first):
    """gensim writes glove.840B like this; the first word may contain spaces, too."""
    words = {first: [1, 2, 7], "at name": [9, 9, 9], "at": [3, 4, 5], ". .": [5, 5, 5]}
    lines = "".join(f"{word} {' '.join(map(str, v))}\n" for word, v in words.items())
    (tmp_path / "v").write_text(f"{len(words)} 3\n{lines}")
    assert embeddings_format(tmp_path / "v") == "text"
    assert label_embeddings(["at"], tmp_path / "v").x.tolist() == [[3, 4, 5]]
    found, width = read_vectors(tmp_path / "v", words, "text")
    assert width == 3 and {word: v.tolist() for word, v in found.items()} == words


@pytest.mark.parametrize("header", ["", "2 2\n"])
@pytest.mark.parametrize("number", ["3", "-0.5", ".5", "1e-05"])
def test_a_surplus_number_is_not_part_of_the_word(tmp_path, header, number):
    (tmp_path / "v").write_text(f"{header}dog 1 2\nthe {number} 1 2\n")
    with pytest.raises(InputError, match=r"a word and 2 numbers in every line, found 3 in line \d"):
        label_embeddings(["dog"], tmp_path / "v")


def test_a_number_too_long_for_a_count_is_not_a_header(tmp_path):
    (tmp_path / "v").write_bytes(b"9" * 5000 + b" 2\ndog 1\n")
    assert embeddings_format(tmp_path / "v") == "text" and label_embeddings(["dog"], tmp_path / "v").x.tolist() == [[1]]


def test_vectors_of_other_words_are_counted_but_not_parsed(tmp_path):
    (tmp_path / "v").write_bytes(b"the x y\ndog 1 2\n")
    assert label_embeddings(["dog"], tmp_path / "v").x.tolist() == [[1, 2]]


def test_a_given_format_is_not_recognised_by_content(tmp_path):
    (tmp_path / "v").write_bytes(binary())
    with pytest.raises(InputError, match="path: expected"):
        label_embeddings(["dog"], tmp_path / "v", format="text")
    (tmp_path / "v").write_bytes(BODY.encode())
    with pytest.raises(InputError, match="a first line 'count width'"):
        label_embeddings(["dog"], tmp_path / "v", format="binary")
    with pytest.raises(InputError, match="a matrix of numbers"):
        label_embeddings(["dog"], tmp_path / "v", format="npy")


def test_binary_entries_across_chunks(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(CHUNK // 1000, 300)).astype("<f4")
    assert vectors.nbytes > CHUNK
    entries = b"".join(f"w{k}".encode() + b" " + v.tobytes() for k, v in enumerate(vectors))
    (tmp_path / "v.bin").write_bytes(f"{len(vectors)} 300\n".encode() + entries)
    found, _ = read_vectors(tmp_path / "v.bin", [f"w{k}" for k in range(len(vectors))], "binary")
    assert (
        all(np.array_equal(found[f"w{k}"], v) for k, v in enumerate(vectors))
        and embeddings_format(tmp_path / "v.bin") == "binary"
    )


def test_distances_by_hand():
    for a, b, far in [("", "", 0), ("dog", "dog", 0), ("dog", "dgo", 1), ("abcd", "dcba", 3), ("kitten", "sitting", 3)]:
        assert edits(a, b) == edits(b, a) == far


def test_nearest_spellings_equal_a_full_search():
    vocabulary = ["".join(w) for w in zip("abcdeabcde" * 8, "aabbc" * 16, "xyzxyzwv" * 10, "ghgh" * 20, strict=True)]
    for word in ("acxg", "bbyh"):
        near = nearest_spellings([word], vocabulary, count=5)[word]
        eligible = sorted(edits(word, v) for v in vocabulary if v[0] == word[0] or v[-1] == word[-1])
        assert [edits(word, v) for v in near] == [d for d in eligible if d <= 1][:5] and near
    assert nearest_spellings(["tv", ""], ["TV", "", "tvs"])["tv"] == ["TV", "tvs"]


def test_a_line_without_an_end_does_not_fill_the_memory(tmp_path):
    with gzip.open(tmp_path / "v.gz", "wb", compresslevel=1) as file:
        file.write(b"dog 1 " + b"1" * 30_000_000)
    tracemalloc.start()
    with pytest.raises(InputError, match="over 4 MiB in line 1"):
        label_embeddings(["dog"], tmp_path / "v.gz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 15_000_000


def test_memory_does_not_grow_with_the_file(tmp_path):
    """A file of 10 MB is read with less than a third of it at a time, whatever else the reader keeps."""
    row = " ".join(["0.12345"] * 50)
    with open(tmp_path / "v", "w") as file:
        file.writelines(f"w{k} {row}\n" for k in range(25_000))
    assert (tmp_path / "v").stat().st_size > 10_000_000
    tracemalloc.start()
    found, _ = read_vectors(tmp_path / "v", ["w0", "w24999"], "text")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == 2 and peak < 3_000_000


def test_a_small_compressed_file_that_expands_without_end_is_refused(tmp_path):
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b"dog 1 2\n" + b"".join(b"w%07d 0 0\n" % n for n in range(100_000)))
    with pytest.raises(InputError, match=r"path: expected at most 50,000 bytes after decompression.*max_bytes=200000"):
        label_embeddings(["dog"], tmp_path / "a.gz", max_bytes=50_000)
    assert label_embeddings(["dog"], tmp_path / "a.gz").x.tolist() == [[1, 2]]
    with gzip.open(tmp_path / "a.gz") as file:
        (tmp_path / "a.txt").write_bytes(file.read())
    assert label_embeddings(["dog"], tmp_path / "a.txt", max_bytes=50_000).x.tolist() == [[1, 2]]  # not compressed
