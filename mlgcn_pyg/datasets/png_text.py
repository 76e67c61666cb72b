"""PNG files without their texts, which Pillow refuses if they are long."""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
FRAME = 12  # bytes of a chunk besides its data: length, type and checksum


def without_texts(content: bytes) -> bytes:
    """Returns a PNG file without its texts, such as the settings of a program that generated the image.

    The texts are not decompressed.

    >>> chunk = lambda kind, data: len(data).to_bytes(4, "big") + kind + data + bytes(4)
    >>> without_texts(SIGNATURE + chunk(b"tEXt", b"abc") + chunk(b"IEND", b"")) == SIGNATURE + chunk(b"IEND", b"")
    True
    """
    kept = [content[: len(SIGNATURE)]]
    start = len(SIGNATURE)
    while start < len(content):
        end = start + FRAME + int.from_bytes(content[start : start + 4], "big")
        if content[start + 4 : start + 8] not in TEXTS:
            kept.append(content[start:end])
        start = end
    return b"".join(kept)
