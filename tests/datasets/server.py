"""A local server of small archives that can interrupt a transfer and may or may not resume it."""

import io
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], **links: str) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


class Files:
    """What a server offers: ``content`` {path: bytes}; ``requests`` are (path, Range header or None) as they came.

    ``cut`` {path: n}: a transfer ends after n bytes, once. ``ranges`` False: the server knows no ranges.
    ``announced``: a Content-Length other than the true one.
    """

    def __init__(self):
        self.content, self.cut, self.requests, self.ranges, self.url = {}, {}, [], True, ""
        self.announced = None

    def offer(self, path: Path) -> str:
        self.content["/" + path.name] = path.read_bytes()
        return f"{self.url}/{path.name}"


@contextmanager
def serve():
    files = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked = self.headers.get("Range")
            files.requests.append((self.path, asked))
            content = files.content.get(self.path)
            if content is None:
                return self.send_error(404)
            start = int(asked.split("=")[1].rstrip("-")) if asked and files.ranges else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                return self.end_headers()
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", files.announced or str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : start + files.cut.pop(self.path, len(content))])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    files.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield files
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
