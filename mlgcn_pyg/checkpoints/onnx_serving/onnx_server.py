"""Serves a network of ``mlgcn export --format onnx`` to this machine: ``python onnx_server.py model.onnx [port]``.

Open http://127.0.0.1:8000, or send an image: ``curl --data-binary @photo.jpg http://127.0.0.1:8000/predict``.
"""

import asyncio
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, responses
from onnx_network import ImageError, Label, OnnxNetwork, open_network
from starlette.requests import ClientDisconnect


def application(network: OnnxNetwork, limit: int = 20_000_000, seconds: int = 60) -> FastAPI:
    app = FastAPI()
    app.get("/", response_class=responses.FileResponse)(lambda: Path(__file__).with_name("onnx_page.html"))
    app.exception_handler(ImageError)(lambda _, error: responses.JSONResponse({"detail": str(error)}, error.status))
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
    model, port = words[:2] if words[1:] and words[1] in map(str, range(65536)) else sys.exit(__doc__)
    uvicorn.run(application(open_network(model)), port=int(port), limit_concurrency=128, timeout_graceful_shutdown=5)
