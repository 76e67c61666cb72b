"""Sentence encoders for tests: a tiny random one, and the folder of the packaged one."""

import json
from pathlib import Path

import torch

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "photo", "of", "the", "dog", "cat", "traffic", "light"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]


def tiny_encoder(folder: Path) -> Path:
    """Writes a sentence encoder with 2 layers, 8 features and a vocabulary of a few words and all letters."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    raw = folder.with_name(f"{folder.name}-bert")
    raw.mkdir(parents=True)
    vocabulary = [*WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (raw / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(raw / "vocab.txt")).save_pretrained(raw)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        model = BertModel(
            BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, initializer_range=1.0, **sizes)
        )
        model.save_pretrained(raw)
        SentenceTransformer(modules=[Transformer(str(raw)), Pooling(8)], device="cpu").save(str(folder))
    return folder


def change_json(file: Path, **values: object) -> None:
    """Replaces entries of a JSON object in a file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
