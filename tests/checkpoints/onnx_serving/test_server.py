"""The server over loopback, in a process without torch: its logits, its statuses, and its memory."""

import contextlib
import http.client
import io
import json
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import pytest
import torch
from PIL import Image

from mlgcn_pyg.checkpoints import onnx_scripts
from tests.checkpoints.onnx_serving.conftest import NAMES, served
from tests.checkpoints.onnx_serving.photographs import colours, photographs, saved


def send(server, body, path="/predict", method="POST", **options):
    """The status and the answer, decoded if it is JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body, **options)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if "json" in answer.getheader("Content-Type") else content.decode()


def logits_of(answer):
    found = {label["label"]: label["logit"] for label in answer["labels"]}
    return torch.tensor([found[name] for name in NAMES])


@pytest.mark.filterwarnings("ignore:.*Corrupt EXIF data")
def test_a_hundred_requests_from_several_threads_give_the_logits_of_predict(server, exported, tmp_path):
    bodies = photographs()
    files = [tmp_path / name for name in bodies]
    for path, body in zip(files, bodies.values(), strict=True):
        path.write_bytes(body)
    expected = exported.predictor.logits(files)
    assert len(expected.unique(dim=0)) > 20 and expected.std(dim=0).min() > 0.1  # the photographs differ
    order = [k % len(files) for k in range(100)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda k: send(server, files[k].read_bytes()), order))
    for k, (status, answer) in zip(order, answers, strict=True):
        assert status == 200, (files[k].name, answer)
        assert (logits_of(answer) - expected[k]).abs().max() < 1e-4, files[k].name


def test_real_photographs(server, exported, shared):
    files = sorted((shared / "voc2007/VOCdevkit/VOC2007/JPEGImages").glob("*.jpg"))[:20]
    for path, expected in zip(files, exported.predictor.logits(files), strict=True):
        assert (logits_of(send(server, path.read_bytes())[1]) - expected).abs().max() < 1e-4


def test_an_answer_has_the_labels_of_predict_and_the_most_probable_one_first(server, exported):
    for seed in range(8):
        image = colours(seed=seed)
        labels = send(server, saved(image, "PNG"))[1]["labels"]
        assert all(list(label) == ["label", "probability", "logit", "predicted"] for label in labels)
        (expected,) = exported.predictor.predict(image)
        predicted = [(label["label"], label["probability"]) for label in labels if label["predicted"]]
        assert [name for name, _ in predicted] == [name for name, _ in expected.labels]
        assert [p for _, p in predicted] == pytest.approx([p for _, p in expected.labels], abs=1e-5)
        probabilities = [label["probability"] for label in labels]
        assert len(labels) == 3 and probabilities == sorted(probabilities, reverse=True)
        assert probabilities == pytest.approx(torch.tensor([label["logit"] for label in labels]).sigmoid().tolist())


def bomb(width, height):
    """A small PNG file of a large image."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    start = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", start) + chunk(b"IEND", b"")


def many_scans():
    """A progressive JPEG file of 70 scans, which takes a decoder 70 passes."""
    content = saved(colours(), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * (70 - content.count(b"\xff\xda")) + b"\xff\xd9"


PNG = saved(colours(), "PNG")
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n"


@pytest.mark.parametrize(
    "body, status, reason",
    [
        (b"", 400, "expected an image of 1 to 20,000,000 bytes as the body"),
        (b"a text file\n" * 100, 415, "no image of a known format (JPEG, PNG, WEBP, GIF, BMP, TIFF)"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "no image of a known format"),
        (EPS, 415, "no image of a known format"),
        (PNG[: len(PNG) // 2], 422, "an image that cannot be decoded: "),
        (saved(colours(), "JPEG")[:-300], 422, "an image that cannot be decoded: "),
        (bomb(60_000, 60_000), 413, "an image of more than 64,000,000 pixels"),
        (bomb(8_001, 8_001), 413, "an image of more than 64,000,000 pixels"),
        (saved(Image.new("L", (65_536, 1)), "PNG"), 413, "an image of more than 65,535 pixels a side"),
        (saved(Image.new("L", (1, 65_536)), "PNG"), 413, "an image of more than 65,535 pixels a side"),
        (many_scans(), 422, "a JPEG file of more than 64 scans"),
        (saved(Image.new("I;16", (9, 9)), "TIFF"), 415, "a grey image with more than 8 bits per pixel"),
        (saved(Image.new("F", (9, 9)), "TIFF"), 415, "a grey image with more than 8 bits per pixel"),
    ],
)  # fmt: skip
def test_what_is_refused_has_a_clear_status(server, body, status, reason):
    found, answer = send(server, body)
    assert found == status and list(answer) == ["detail"] and answer["detail"].startswith(reason)
    assert send(server, PNG)[0] == 200


FORM = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PNG + b"\r\n--x--\r\n"


@pytest.mark.parametrize(
    "body, kind",
    [
        (FORM, "multipart/form-data; boundary=x"),
        (b'{"image": "iVBORw0KGgo="}', "application/json"),
        (b"file=a.png", "application/x-www-form-urlencoded"),
        (saved(colours(), "JPEG")[:-300], "application/x-www-form-urlencoded"),
    ],
)
def test_bodies_of_other_forms_are_told_how_to_send_an_image(server, body, kind):
    status, answer = send(server, body, headers={"Content-Type": kind})
    assert status in (415, 422) and answer["detail"].endswith("of the image, as of curl --data-binary @photo.jpg")


def test_no_page_loads_scripts_from_elsewhere(server):
    assert [send(server, None, path, "GET")[0] for path in ("/docs", "/redoc")] == [404, 404]


def test_other_requests(server):
    assert send(server, None, method="GET")[0] == 405
    assert send(server, PNG, "/other")[0] == 404
    assert send(server, None, "/../onnx_network.py", "GET")[0] == 404
    assert send(server, PNG, headers={"Content-Type": "application/json"})[0] == 200
    assert send(server, PNG, headers={"Content-Length": "many"})[0] == 400


def memory(pid):
    """The largest memory that a process has had, in MB."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("no /proc")
    return next(int(line.split()[1]) / 1e3 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


def test_a_body_of_100_mb_is_refused_and_not_kept(folder, exported):
    with served(folder, exported.path, 0) as server:
        assert send(server, PNG)[0] == 200
        before, megabyte = memory(server.pid), bytes(1_000_000)
        for headers in ({"Content-Length": "100000000"}, {}):
            body = (megabyte for _ in range(100))
            status, answer = send(server, body, headers=headers, encode_chunked=not headers)
            assert status == 413 and answer["detail"] == "expected an image of 1 to 20,000,000 bytes as the body"
        assert memory(server.pid) - before < 60


def test_a_body_of_20_mb_is_accepted(server):
    content = saved(colours(), "BMP")
    assert send(server, content + bytes(20_000_000 - len(content)))[0] == 200
    assert send(server, content + bytes(20_000_001 - len(content)))[0] == 413


SLOW = """
import sys, uvicorn
from onnx_server import application, open_network
uvicorn.run(application(open_network(sys.argv[1]), limit=1000, seconds=1), port=0)
"""


def test_a_slow_client_is_answered_and_others_are_served_meanwhile(folder, exported):
    with served(folder, exported.path, code=SLOW) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
            slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
            assert send(server, saved(colours(9, 9), "PNG"))[0] == 200
            started = time.monotonic()
            assert b" 408 " in slow.recv(1000) and time.monotonic() - started < 20
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as gone:
            gone.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
        assert send(server, saved(colours(9, 9), "PNG"))[0] == 200
    assert "Traceback" not in server.log


def test_a_slow_client_does_not_keep_the_server_from_stopping(folder, exported):
    with served(folder, exported.path, 0) as server:
        slow = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nabc")
        assert send(server, PNG)[0] == 200
        started = time.monotonic()
    slow.close()
    assert time.monotonic() - started < 40  # less than the 60 seconds that a body may take


def test_two_models_are_served_at_once(server, folder, exported, tmp_path):
    model, image = onnx.load(exported.path), colours()
    head = [values for values in model.graph.initializer if sorted(values.dims) in ([3], [3, 512])]
    for values in head:
        values.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(values), values.name))
    assert len(head) == 2  # weight and bias
    model.metadata_props.add(key="thresholds", value="null")
    onnx.save(model, tmp_path / "negative.onnx")
    with served(folder, tmp_path / "negative.onnx", 0) as second:
        answers = [send(one, saved(image, "PNG"))[1] for one in (server, second)]
    (expected,) = exported.predictor.logits(image)
    assert (logits_of(answers[0]) - expected).abs().max() < 1e-4 > (logits_of(answers[1]) + expected).abs().max()
    assert all(label["predicted"] == (label["logit"] > 0) for label in answers[1]["labels"])  # without thresholds


def test_the_server_is_a_short_example():
    assert len((onnx_scripts.SCRIPTS / "onnx_server.py").read_text(encoding="utf-8").splitlines()) < 40


def test_the_page_shows_the_labels_of_a_photograph(server, exported, browser, tmp_path):  # noqa: F811
    image = tmp_path / "photo.png"
    image.write_bytes(PNG)
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    context = browser.new_context(viewport={"width": 360, "height": 740})
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(server.url)
    page.locator("input").set_input_files(image)
    page.locator("tr").first.wait_for()
    labels = send(server, image.read_bytes())[1]["labels"]
    assert page.locator("th").all_inner_texts() == [label["label"] for label in labels]  # not as HTML
    assert page.locator("td:last-child").all_inner_texts() == [f"{label['probability']:.3f}" for label in labels]
    predicted = [label["label"] for label in labels if label["predicted"]]
    assert page.locator(".predicted th").all_inner_texts() == predicted
    assert page.locator("[role=status]").inner_text() == f"{len(predicted)} of 3 labels are predicted."
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator("input").set_input_files(text)
    page.get_by_text("No labels: no image of a known format").wait_for()
    page.route("**/predict", lambda route: route.fulfill(status=503, body="Service Unavailable"))
    page.locator("input").set_input_files(image)
    page.get_by_text("No labels: the server does not answer").wait_for()
    assert page.locator("table").is_hidden() and page.locator("img").is_hidden() and not errors
    context.close()


REQUEST = b"POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "headers, statuses",
    [
        (b"Content-Length: 9\r\n", (415,)),  # fewer bytes than there are
        (b"Content-Length: -1\r\n", (400,)),
        (b"Content-Length: 9\r\nContent-Length: 8\r\n", (400,)),
        (b"Transfer-Encoding: chunked\r\n", (400,)),  # no chunks
        (b"X: " + b"a" * 100_000 + b"\r\n", (400,)),
        (b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(PNG), (100, 200)),
    ],
)
def test_wrong_and_rare_headers(server, headers, statuses):
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(REQUEST + headers + b"\r\n" + PNG)
        answer = client.recv(100_000)
        for status in statuses:
            while f"HTTP/1.1 {status} ".encode() not in answer:
                answer += (more := client.recv(100_000))
                assert more, answer
    assert send(server, PNG)[0] == 200


def test_more_clients_than_the_limit_are_refused_and_served_later(server):
    with contextlib.ExitStack() as stack:
        for _ in range(130):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        status, answer = send(server, PNG)
        assert (status, answer) == (503, "Service Unavailable")
    deadline = time.monotonic() + 30
    while send(server, PNG)[0] != 200:  # until the connections are closed
        assert time.monotonic() < deadline


def test_the_largest_accepted_photograph_takes_bounded_memory(folder, exported):
    image = io.BytesIO()
    Image.new("RGB", (8000, 7900), (20, 90, 160)).save(image, "JPEG")
    with served(folder, exported.path, 0) as server:
        before = memory(server.pid)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: send(server, image.getvalue())[0], range(4))) == {200}
        assert memory(server.pid) - before < 600  # one at a time: 190 MB of pixels, and a copy
