"""Serves a network of ``mlgcn export --format onnx`` to this machine: ``python onnx_server.py model.onnx [port]``.

Open http://127.0.0.1:8000, or send an image: ``curl --data-binary @photo.jpg http://127.0.0.1:8000/predict``.
"""

import asyncio
import sys

from fastapi import FastAPI, Request, responses
from onnx_network import PAGE, ImageError, Label, OnnxNetwork, open_network
from starlette.requests import ClientDisconnect
from uvicorn import run


def application(network: OnnxNetwork, limit: int = 20_000_000, seconds: int = 60) -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, title="mlgcn_pyg")  # pages of these load scripts from elsewhere
    app.get("/", response_class=responses.FileResponse)(lambda: PAGE)
    app.exception_handler(ImageError)(lambda _, error: responses.JSONResponse({"detail": error.answer}, error.status))
    for late in (TimeoutError, ClientDisconnect):
        app.exception_handler(late)(lambda *_: responses.JSONResponse({"detail": f"no image within {seconds} s"}, 408))

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, list[Label]]:
        body = bytearray()
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk[: limit + 1 - len(body)]  # the rest of a larger body is received, but not kept
        if not 0 < len(body) <= limit:
            raise ImageError(413 if body else 400, f"expected an image of 1 to {limit:,} bytes as the body")
        return {"labels": await asyncio.to_thread(network.labels, bytes(body))}

    return app


if __name__ == "__main__":
    words = [*sys.argv[1:], "8000"]
    if len(words) not in (2, 3) or words[0].startswith("-") or words[1] not in map(str, range(65536)):
        sys.exit(f"{__doc__}\nexpected a model and a port from 0 to 65535, found {' '.join(sys.argv[1:]) or 'neither'}")
    run(application(open_network(words[0])), port=int(words[1]), limit_concurrency=128, timeout_graceful_shutdown=5)
