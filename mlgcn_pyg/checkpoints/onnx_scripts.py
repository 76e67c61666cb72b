"""Scripts that run and serve ONNX files without this package and without torch."""

from pathlib import Path

from mlgcn_pyg.checks import check_path
from mlgcn_pyg.errors import InputError
from mlgcn_pyg.files.atomic import write_text

SCRIPTS = Path(__file__).with_name("onnx_serving")
NETWORK, SERVER, PAGE = "onnx_network.py", "onnx_server.py", "onnx_page.html"


def write_server(folder: str | Path) -> Path:
    """Writes a web server for the files of :func:`export_onnx` and returns its path.

    ``python onnx_server.py model.onnx`` serves a page on http://127.0.0.1:8000 that predicts the labels of a chosen
    photograph. ``POST /predict`` with the bytes of an image as the body returns ``{"labels": [{"label", "probability",
    "logit", "predicted"}, …]}``, the most probable label first. Statuses of refused images: 400 for an empty body, 408
    for a slow one, 413 for more than 20 MB, 64 megapixels or 65,535 pixels a side, 415 for an unknown format, and 422
    for a damaged image.

    The server requires fastapi, uvicorn, onnxruntime and Pillow (the extra ``serve``), and neither this package nor
    torch. Two more files are written beside it: the page, and ``onnx_network.py``, which runs the network and also
    predicts without a server: ``python onnx_network.py model.onnx photo.jpg``.

    The server accepts connections of the machine that it runs on. Use a reverse proxy, such as nginx, to make it
    available to others: it limits the time and the number of their connections.

    Args:
        folder: the folder, which is created if it does not exist.

    Raises:
        InputError: if the folder has a different file of one of these names. Nothing is written then.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_server(folder).name
    'onnx_server.py'
    """
    for path, text in server_files(folder).items():
        if not path.exists():
            write_text(path, text)
    return Path(folder) / SERVER


def server_files(folder: str | Path) -> dict[Path, str]:
    """Returns the texts of the files that :func:`write_server` writes, by path; its errors are the same."""
    folder, files = check_path("folder", folder), {}
    for name in (NETWORK, PAGE, SERVER):
        path = folder / name
        files[path] = text = (SCRIPTS / name).read_text(encoding="utf-8")
        if path.exists() and not (path.is_file() and _holds(path, text.encode())):
            raise InputError("folder", f"no other file of the name {name}", path, "move it or choose another folder")
    return files


def _holds(path: Path, content: bytes) -> bool:
    """Returns whether a file has this content. A file of a different size is not read."""
    return path.stat().st_size == len(content) and path.read_bytes() == content
