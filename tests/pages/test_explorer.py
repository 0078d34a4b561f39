"""What the explorer answers, whom, and what it does with nonsense."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image
from tornado.httpserver import HTTPServer

from codeword import MLP, AutoEncoder, Data, OutlierDetector, load, neighbors
from codeword.base.errors import DataError, InputError
from codeword.data.display import Display
from codeword.pages.content import gather
from codeword.pages.explorer import Explorer, application, listen
from codeword.pages.uploads import Frame, row_as_text, sample_of

IMAGE = Display("image", (8, 8), 0.0, 1.0)
TABLE = Display("table", (3,), -1.0, 1.0, ("a", "b", "c"))


@pytest.fixture(scope="module")
def test_digits():
    return load("digits", "test")[:80]


@pytest.fixture(scope="module")
def explorer(model, test_digits):
    content = gather(model, test_digits, source="digits", points=60, method="pca", seed=1)
    return Explorer(model, test_digits, content)


def png(pixels, mode="L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8), mode).save(file, "png")
    return file.getvalue()


# -- answers ------------------------------------------------------------------------------------------------


def test_it_decodes_as_the_model_does(explorer, model):
    codes = np.random.default_rng(0).normal(size=(3, 5))
    expected = model.inverse_transform(codes).reshape(3, -1)  # in [0, 1]: scaled units are those of x
    np.testing.assert_allclose(explorer.decode(codes.tolist()), expected, rtol=0, atol=1e-5)


def test_a_row_of_the_source_is_looked_at_by_number(explorer, model, test_digits):
    found = explorer.find(7)
    np.testing.assert_allclose(found["code"], model.transform(test_digits.x[7:8])[0], rtol=0, atol=1e-5)
    assert found["error"] == pytest.approx(-model.score_samples(test_digits.x[7:8])[0], rel=1e-4)
    detector = OutlierDetector.from_model(model, max_false_alarms=0.5)
    assert found["held"] == len(model.training_codes_.held_codes)
    assert found["p_value"] == pytest.approx(detector.p_values(test_digits.x[7:8])[0])
    there = explorer.content.map
    expected = [i for i in neighbors(there.codes, [found["code"]], 11)[0][0] if there.rows[i] != 7][:10]
    assert found["neighbors"] == expected
    assert found["title"] == f"no. 7 · {test_digits.y[7]}"


def test_a_sample_that_is_on_the_map_is_placed_where_it_lies(explorer, test_digits):
    there = explorer.content.map
    for i in (0, 5, 30):
        place = explorer.find(int(there.rows[i]))["place"]
        np.testing.assert_allclose(place, there.plane[i], atol=1e-3 * np.ptp(there.plane))


def test_a_picture_of_a_sample_is_that_sample(explorer, test_digits):
    upload = png(np.rint(255 * test_digits.x[3]))
    mine, known = explorer.upload(upload), explorer.find(3)
    np.testing.assert_allclose(mine["code"], known["code"], atol=0.05)
    assert mine["neighbors"][0] in known["neighbors"] or explorer.content.map.rows[mine["neighbors"][0]] == 3


def test_noise_is_unusual(explorer):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8))
    assert explorer.upload(png(noise))["p_value"] <= 1 / (len(explorer.model.training_codes.held_errors) + 1)


def test_clusters_are_numbered_by_size(explorer):
    sizes = np.bincount(explorer.cluster(4))
    assert len(sizes) == 4
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_selection_as_a_file(explorer, test_digits, kind):
    file = io.BytesIO(explorer.table([4, 2], kind, 3))
    table = pyarrow.csv.read_csv(file) if kind == "csv" else pyarrow.parquet.read_table(file)
    there = explorer.content.map
    assert table.column_names == ["row", "x", "y", "error", "label", "cluster", *(f"z{i}" for i in range(5))]
    rows = [int(i) for i in there.rows[[4, 2]]]
    assert table["row"].to_pylist() == rows
    assert [str(v) for v in table["label"].to_pylist()] == [str(test_digits.y[i]) for i in rows]
    np.testing.assert_allclose(table["z3"], there.codes[[4, 2], 3], rtol=1e-5)
    assert len(pyarrow.csv.read_csv(io.BytesIO(explorer.table([], "csv")))) == 60  # nothing selected: all


NONSENSE = [None, "", "x", -1, 1e99, 3.5, True, [], {}, [[]], [None], ["1"], [[1, 2]], [[1e999] * 5]]


@pytest.mark.parametrize("what", ["decode", "samples", "find", "cluster", "places", "format"])
@pytest.mark.parametrize("value", [*NONSENSE, [10**30], [[float("nan")] * 5], [0] * 65, 10**30], ids=str)
def test_nonsense_in_a_field_is_named(explorer, what, value):
    ask = {
        "decode": explorer.decode,
        "samples": explorer.samples,
        "find": explorer.find,
        "cluster": explorer.cluster,
        "places": lambda places: explorer.table(places, "csv"),
        "format": lambda kind: explorer.table([0], kind),
    }[what]
    if what == "places" and value in ([], [0] * 65):
        assert ask(value)  # all, and one many times
        return
    if what == "samples" and value == [[]]:
        value = [[0]]
    with pytest.raises(DataError, match="expected") as caught:
        ask(value)
    assert "\n" not in str(caught.value)


def test_without_held_out_rows_there_is_a_reason_and_no_p_value(digits, test_digits):
    ae = AutoEncoder(2, network=MLP(hidden=(4,)), epochs=1, validation_fraction=0, random_state=0)
    ae.fit(digits.x[:50])
    explorer = Explorer(ae, test_digits, gather(ae, test_digits, source="digits", method="pca"))
    found = explorer.find(0)
    assert (found["p_value"], found["held"]) == (None, 0)


# -- uploads ------------------------------------------------------------------------------------------------


def test_numbers_come_as_text_in_any_usual_form():
    expected = [[1.0, -2.5, 3e-3]]
    for text in (
        "1,-2.5,3e-3",
        "1 -2.5  0.003\n",
        "1;-2.5;3e-3",
        "1\n-2.5\n3e-3",
        "\ufeffa,b,c\n1,-2.5,.003\n",
    ):
        np.testing.assert_array_equal(sample_of(text.encode(), TABLE), expected)


def test_a_line_of_names_brings_the_columns_into_order():
    text = b'label,c,"b",a\ncat,3,2,1\n'
    np.testing.assert_array_equal(sample_of(text, TABLE), [[1, 2, 3]])
    with pytest.raises(DataError, match="no b"):
        sample_of(b"a,c\n1,3\n", TABLE)


def test_an_empty_cell_is_missing_only_where_the_model_takes_that():
    assert np.isnan(sample_of(b"1,,3", TABLE, missing=True)[0, 1])
    with pytest.raises(DataError, match="missing"):
        sample_of(b"1,,3", TABLE)


def test_arrays_pictures_and_their_colors():
    file = io.BytesIO()
    np.save(file, np.arange(64).reshape(8, 8))
    np.testing.assert_array_equal(sample_of(file.getvalue(), IMAGE)[0].ravel(), np.arange(64))
    white = png(np.full((20, 30), 255))
    np.testing.assert_array_equal(sample_of(white, IMAGE), np.ones((1, 8, 8)))
    np.testing.assert_array_equal(sample_of(white, IMAGE, invert=True), np.zeros((1, 8, 8)))
    planar = Display("image", (3, 4, 4), 0.0, 255.0)
    red = png(np.broadcast_to([255, 0, 0], (9, 9, 3)), "RGB")
    np.testing.assert_array_equal(sample_of(red, planar)[0, :, 2, 2], [255, 0, 0])


def test_an_array_with_its_axes_in_another_order_is_refused():
    planar = Display("image", (3, 4, 4), 0.0, 255.0)
    for shape, good in (((3, 4, 4), True), ((1, 3, 4, 4), True), ((48,), True), ((4, 4, 3), False)):
        file = io.BytesIO()
        np.save(file, np.zeros(shape))
        if good:
            assert sample_of(file.getvalue(), planar).shape == (1, 3, 4, 4)
        else:
            with pytest.raises(DataError, match="expected one sample"):
                sample_of(file.getvalue(), planar)
    file = io.BytesIO()
    np.save(file, [1, np.nan, 3])
    assert np.isnan(sample_of(file.getvalue(), TABLE, missing=True)).sum() == 1


def test_values_far_too_large_are_named(curve):
    ae = AutoEncoder(2, network=MLP(hidden=(8,)), epochs=1, random_state=0, device="cpu").fit(curve[:80])
    data = Data(curve[:40])
    explorer = Explorer(ae, data, gather(ae, data, source="curve", method="pca"))
    for value in ("1e30", "1e39", "1e300", "-1e300"):
        with pytest.raises(DataError, match=r"too large|infinite|far beyond"):
            explorer.upload((value + ",1" * 9).encode())


def bomb(width: int, height: int) -> bytes:
    """A PNG of some hundred bytes that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("upload", "view", "problem"),
    [
        (b"", IMAGE, "nothing was sent"),
        (b"\x89PNG\r\n\x1a\nnonsense", IMAGE, "cannot be read as a PNG"),
        (png(np.random.default_rng(0).integers(0, 256, (8, 8)))[:60], IMAGE, "cannot be read as a PNG"),
        (bomb(100_000, 100_000), IMAGE, "decompression bomb"),
        (bomb(7_000, 6_000), IMAGE, "more than 40,000,000 pixels"),
        (b"x" * 10_000_001, IMAGE, "too many"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O'}", IMAGE, "npy"),
        (b"\x93NUMPY", TABLE, "npy"),
        (b"\xff\xfe\x00", TABLE, "UTF-8"),
        (b"a\xff,b,c\n1,2,3", TABLE, "UTF-8"),
        (b"1,2", TABLE, "2 numbers: expected one sample, which has 3"),
        (b"1,2,3\n4,5,6", TABLE, "6 numbers"),
        (b"a,b,c\n1,2,x", TABLE, "'x'"),
        (b"1,2,inf", TABLE, "holds inf"),
        (b"1," + b"x" * 200_000 + b",3", TABLE, "cannot be read as a table"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", IMAGE, "give a PNG or a JPEG"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:30],
)
def test_what_cannot_be_read_is_named(upload, view, problem):
    with pytest.raises(DataError, match=problem) as caught:
        sample_of(upload, view)
    assert "\n" not in str(caught.value)


def test_a_small_drawing_in_a_corner_comes_to_where_the_samples_are(mnist):
    images = mnist[1].x[:200]
    frame = Frame(images)
    assert frame.dark
    assert frame.share == pytest.approx(20 / 28, abs=0.05)
    one = images[3]
    for scale, corner in ((1, 0), (3, 40), (8, 11)):
        large = np.zeros((300, 320), np.uint8)
        drawn = np.kron(one, np.ones((scale, scale), np.uint8))
        large[corner : corner + drawn.shape[0], corner : corner + drawn.shape[1]] = drawn
        framed = frame.fit(large, 28, 28)
        off = np.abs(framed.astype(int) - one).mean()
        assert off < 0.5 * one.mean()  # the same digit, to within a pixel or so
    blank = np.zeros((50, 50), np.uint8)
    np.testing.assert_array_equal(frame.fit(blank, 28, 28), np.zeros((28, 28)))


# -- the server ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(saved_model):
    """`codeword explore` itself, and its port."""
    command = [sys.executable, "-m", "codeword.cli", "explore", str(saved_model), "digits", "--port", "0"]
    options = ["--no-browser", "--json", "--quiet", "--method", "pca"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        said = process.stdout.readline()
        assert said, process.stderr.read()
        known = json.loads(said)
        KEY["now"] = known["url"].split("?key=")[1]
        yield process, int(known["url"].split("/")[2].split(":")[1]), known
        process.kill()


KEY = {"now": ""}
"""Of the server that is running."""


def ask(port, method="GET", path="/", body=None, **headers):
    """Status, headers and body of an answer."""
    own = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}", "X-Key": KEY["now"]} | headers
    path += f"?key={KEY['now']}" if "?" not in path else ""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, {k: v for k, v in own.items() if v is not None})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_it_says_its_address_and_serves_its_page(running):
    _, port, known = running
    assert known == {"url": f"http://127.0.0.1:{port}/?key={KEY['now']}", "n": 359, "points": 359}
    assert len(KEY["now"]) > 20
    status, headers, page = ask(port, Origin=None)
    assert status == 200
    assert b"codeword explore" in page
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": None},
        {"X-Key": None},
        {"X-Key": "wrong"},
        {"X-Key": "ä"},
    ],
    ids=str,
)
def test_it_answers_its_own_host_and_origin_only(running, headers):
    _, port, _ = running
    status, _, body = ask(port, "POST", "/api/find", b'{"row": 0}', **headers)
    assert status == 403
    assert list(json.loads(body)) == ["error"]
    assert ask(port, "POST", "/api/find", b'{"row": 0}')[0] == 200


def test_the_page_is_for_who_has_its_address(running):
    _, port, _ = running
    for path in ("/?key=", "/?key=wrong", "/?"):
        status, _, said = ask(port, path=path)
        assert status == 403
        assert "ends in a key" in json.loads(said)["error"]


@pytest.mark.parametrize("path", ["/etc/passwd", "/../../../../etc/passwd", "/%2e%2e/x", "/web/page.js"])
def test_it_serves_nothing_from_disk(running, path):
    _, port, _ = running
    assert ask(port, path=path)[0] == 404


@pytest.mark.parametrize("path", ["decode", "samples", "find", "upload", "clusters", "table"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff" * 50, b"[" * 100_000, b'{"row": "<b>"}'], ids=len)
def test_nonsense_is_refused_in_one_line_and_it_goes_on(running, path, body):
    _, port, _ = running
    status, _, said = ask(port, "POST", f"/api/{path}", body)
    assert status == 400
    problem = json.loads(said)["error"]
    assert problem
    assert "\n" not in problem
    assert "Traceback" not in problem


def test_clusters_that_take_long_do_not_keep_the_decoder_waiting(explorer, monkeypatch):
    begun, over = threading.Event(), threading.Event()

    def slow(count):
        begun.set()
        assert over.wait(20)
        return np.zeros(1, int)

    monkeypatch.setattr(explorer, "cluster", slow)
    with listen(0) as taken, ThreadPoolExecutor() as pool:
        port = taken.getsockname()[1]
        loop = asyncio.new_event_loop()

        async def run():
            HTTPServer(application(explorer, port, "key")).add_socket(taken)

        loop.run_until_complete(run())
        threading.Thread(target=loop.run_forever, daemon=True).start()
        known = {"X-Key": "key"}
        clusters = pool.submit(ask, port, "POST", "/api/clusters?", b'{"count": 3}', **known)
        assert begun.wait(20)
        codes = json.dumps({"codes": [[0] * 5]})
        assert ask(port, "POST", "/api/decode?", codes, **known)[0] == 200
        assert not clusters.done()
        over.set()
        assert clusters.result()[0] == 200
        loop.call_soon_threadsafe(loop.stop)


def test_a_body_of_11_megabytes_is_refused_and_it_goes_on(running):
    _, port, _ = running
    try:
        status = ask(port, "POST", "/api/upload", b"x" * 11_000_000)[0]
    except (ConnectionError, http.client.HTTPException):
        status = 400  # it does not wait for the end
    assert status in (400, 413)
    assert ask(port)[0] == 200


def test_a_question_by_get_and_another_method_are_refused(running):
    _, port, _ = running
    assert ask(port, path="/api/find")[0] == 404
    assert ask(port, "DELETE")[0] == 405
    assert ask(port, "OPTIONS", "/api/find")[0] == 405


def test_a_port_in_use_is_named(running, saved_model, refused):
    _, port, _ = running
    said = refused("explore", saved_model, "digits", "--port", port, "--no-browser")
    assert f"port {port} is in use: give another as --port, or --port 0" in said


def test_a_port_that_is_taken_says_so_in_the_library_too():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="is in use"):
            listen(taken.getsockname()[1])


def test_bad_sources_and_models_are_refused(saved_model, refused, tmp_path):
    assert "none.ae" in refused("explore", tmp_path / "none.ae", "digits", "--port", 0)
    assert "none.csv" in refused("explore", saved_model, tmp_path / "none.csv", "--port", 0)
    assert "--port" in refused("explore", saved_model, "digits", "--port", 70000)


def test_ctrl_c_ends_it_without_complaint(saved_model):
    command = [sys.executable, "-m", "codeword.cli", "explore", str(saved_model), "digits", "--port", "0"]
    command += ["--no-browser", "--method", "pca", "--max-points", "50"]

    def listening() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # shells turn it off for background jobs

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=listening
    ) as process:
        said = process.stdout.readline()
        assert "Ctrl-C stops it" in said, process.stderr.read()
        with urllib.request.urlopen(re.search(r"http://\S+", said)[0]) as page:
            assert page.status == 200
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err


def test_names_and_labels_are_escaped(curve):
    bad = "</script><img src=x onerror=alert(1)>"
    ae = AutoEncoder(2, network=MLP(hidden=(8,)), epochs=1, random_state=0, device="cpu")
    names = (bad, *"bcdefghij")
    ae.fit(Data(curve[:80], names=names))
    data = Data(curve[:40], np.array([bad, "b" * 500])[np.arange(40) % 2], names)
    page = Explorer(ae, data, gather(ae, data, source=bad, method="pca")).html
    assert "<img" not in page
    assert "b" * 500 in page


def test_a_row_of_a_mixed_table_is_typed_in_its_own_words():
    import pandas as pd

    rng = np.random.default_rng(0)
    kind = rng.choice(["cat", "dog, big", "bird"], 90)
    frame = pd.DataFrame(
        {"kind": kind, "weight": rng.normal(size=90) + (kind == "dog, big"), "tame": kind != "bird"}
    )
    ae = AutoEncoder(2, network=MLP(hidden=(8,)), epochs=3, random_state=0, device="cpu").fit(frame)
    data = ae.columns_.transform(frame)
    explorer = Explorer(ae, data, gather(ae, data, source="animals.csv", method="pca"))
    first = explorer.content.pictures.x[:1]
    begin = row_as_text(explorer.display, first)  # what stands in the page to be changed
    assert begin.startswith("kind,weight,tame\n")
    assert "kind,weight,tame" in explorer.html
    np.testing.assert_allclose(sample_of(begin.encode(), explorer.display), first, atol=1e-5)
    row = f'weight,tame,kind\n{frame.weight[4]:.17g},{str(frame.tame[4]).lower()},"{frame.kind[4]}"\n'
    found = explorer.upload(row.encode())
    np.testing.assert_allclose(found["code"], explorer.find(4)["code"], atol=1e-5)
    for text, problem in (
        (b"kind\ncat", "weight"),
        (b"kind,weight,tame\n", "no rows"),
        (b"\xff\x00", "cannot"),
    ):
        with pytest.raises(DataError, match=problem):
            explorer.upload(text)
