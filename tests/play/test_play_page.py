"""The page in a real browser, served from this process."""

import base64
import re
import socket
import urllib.error
import urllib.request
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from doggan.play.studio import Dog

pytest.importorskip("gradio")

IMAGE = ".stage .made img"


@pytest.fixture(scope="module")
def served(studio):
    """The page's address, and the addresses outside this machine that serving it asked for."""
    from doggan.play.page import build_page
    from doggan.play.server import serve

    foreign = []
    connect = socket.socket.connect

    def watched(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            foreign.append(address)
        return connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", watched)
        page = build_page(studio)
        address = serve(page, port=7900)
        try:
            yield address, foreign
        finally:
            page.close(verbose=False)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)


@pytest.fixture
def page(served, browser):
    """A fresh view of it; nothing in it may be asked of another host, fail, or be an error of a script."""
    address, foreign = served
    view = browser.new_page(viewport={"width": 1280, "height": 1000})
    wrong = []
    view.on("request", lambda request: _is_foreign(request.url, address) and wrong.append(request.url))
    view.on("response", lambda response: response.status >= 400 and wrong.append((response.status, response.url)))
    view.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.goto(address)
    view.wait_for_selector(IMAGE)
    yield view
    view.close()
    assert wrong == []
    assert foreign == []


def _is_foreign(url, address):
    return urlsplit(url).scheme != "data" and urlsplit(url).netloc != urlsplit(address).netloc


def shown(page, selector=IMAGE):
    """The picture that is shown, uint8 [H, W, 3]."""
    return decoded(page.locator(selector).get_attribute("src"))


def decoded(url):
    kind, data = url.split(",")
    assert kind == "data:image/png;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def changed(page, act):
    """Do something, and wait until another picture is shown: the picture."""
    before = page.locator(IMAGE).get_attribute("src")
    act()
    page.wait_for_function("([s, b]) => document.querySelector(s).src !== b", arg=[IMAGE, before])
    return shown(page)


def caption(page):
    return page.locator(".stage .made figcaption span").inner_text()


def test_another_picture_a_move_and_the_way_back(page, studio):
    np.testing.assert_array_equal(shown(page), studio.view(Dog(0)).picture)
    other = changed(page, lambda: page.get_by_role("button", name="Another picture").click())
    seed = int(re.search(r"seed (\d+)", caption(page))[1])
    np.testing.assert_array_equal(other, studio.view(Dog(seed)).picture)
    assert page.get_by_label("Seed").input_value() == str(seed)

    slider = page.get_by_label("range slider for Direction 1")
    slider.focus()
    moved = changed(page, lambda: slider.press("End"))
    np.testing.assert_array_equal(moved, studio.view(Dog(seed, moves=(4.0,))).picture)
    assert "moved" in caption(page)
    back = changed(page, lambda: page.get_by_role("button", name="Reset directions").click())
    np.testing.assert_array_equal(back, other)
    np.testing.assert_array_equal(
        changed(page, lambda: page.get_by_label("Seed").fill("3")), studio.view(Dog(3)).picture
    )


def test_of_many_moves_the_last_one_counts(page, studio):
    slider = page.get_by_label("range slider for Direction 2")
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight", no_wait_after=True)
    value = float(slider.input_value())
    assert value == pytest.approx(1.2)
    expected = studio.view(Dog(0, moves=(0.0, value))).picture
    for _ in range(100):
        if np.array_equal(shown(page), expected):
            break
        page.wait_for_timeout(100)
    page.wait_for_timeout(300)  # in which an earlier answer would come too late
    np.testing.assert_array_equal(shown(page), expected)


def test_classes_truncation_and_what_is_known(page, studio):
    label = next(each for each in studio.run.find_classes([]) if each != studio.label(Dog(0)))
    name = studio.class_name(label)

    def choose():
        page.get_by_label("Class").click()
        page.get_by_role("option", name=name, exact=True).click()

    view = studio.view(Dog(0, label))
    np.testing.assert_array_equal(changed(page, choose), view.picture)
    assert caption(page).startswith(name)
    near = shown(page, ".stage .near img")
    np.testing.assert_array_equal(near, studio.training.images[view.neighbor.index])
    text = page.locator(".stage").inner_text()
    assert studio.neighbor_name(view.neighbor) in text
    assert f"{view.neighbor.distance:.1f} levels" in text
    assert f"{view.opinion.probability:.0%} real" in text
    assert f"{view.opinion.above_training:.0%} of training pictures" in " ".join(text.split())
    slider = page.get_by_label("range slider for Truncation")
    slider.focus()
    truncated = changed(page, lambda: slider.press("Home"))
    np.testing.assert_array_equal(truncated, studio.view(Dog(0, label, 0.1)).picture)


def test_the_download_is_the_picture(page, studio, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("link", name="Download PNG").click()
    name = download.value.suggested_filename
    assert name.startswith(f"run-step-{studio.step}-seed-0-")
    assert name.endswith(".png")
    download.value.save_as(tmp_path / name)
    stored = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored[..., ::-1], studio.view(Dog(0)).picture)


def test_a_morph_goes_from_one_picture_to_the_other(page, studio):
    moved = page.get_by_label("range slider for Direction 1")
    moved.focus()
    kept = changed(page, lambda: moved.press("Home"))
    page.get_by_role("button", name="Keep as B").click()
    page.get_by_text("Kept as B").first.wait_for()
    half = changed(page, lambda: page.get_by_role("tab", name="Morph").click())
    a, b = Dog(0), Dog(0, moves=(-4.0,))
    np.testing.assert_array_equal(half, studio.morph(a, b, 0.5).picture)
    slider = page.get_by_label("range slider for From A to B")
    slider.focus()
    ends = [changed(page, lambda key=key: slider.press(key)) for key in ("Home", "End")]
    np.testing.assert_array_equal(ends[0], studio.view(a).picture)
    np.testing.assert_array_equal(ends[1], kept)
    for i, end in enumerate(ends):
        np.testing.assert_array_equal(decoded(page.locator(".ends img").nth(i).get_attribute("src")), end)
    other = changed(page, lambda: page.get_by_role("button", name="Another B").click())
    assert not np.array_equal(other, kept)


def test_every_control_and_picture_has_words(page):
    assert page.evaluate("""() => [...document.querySelectorAll("img")].every(image => image.alt.length > 5)""")
    unnamed = """() => [...document.querySelectorAll("input, button")].filter(each => each.offsetParent &&
        !each.labels?.length && !each.ariaLabel && !each.innerText.trim()).map(each => each.outerHTML)"""
    assert page.evaluate(unnamed) == []
    assert page.evaluate(f"getComputedStyle(document.querySelector('{IMAGE}')).imageRendering") == "pixelated"
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
