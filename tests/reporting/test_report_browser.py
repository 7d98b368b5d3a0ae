"""The pages in a browser: no errors, nothing fetched, everything named, nothing cut off; and the slider moves."""

import pytest

from doggan.reporting import write_comparison, write_report


@pytest.fixture(scope="module")
def pages(finished_run, begun_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    write_report(finished_run, folder / "finished.html")
    write_report(begun_run, folder / "begun.html")
    write_comparison([finished_run, begun_run], folder / "compared.html")
    return folder


@pytest.fixture
def open_page(browser, pages):
    """Open a page by its name; whatever it complains of or asks for fails the test at its end."""
    complaints, opened = [], []
    addresses = {path.as_uri() for path in pages.iterdir()}

    def asked(address):
        if address not in addresses and not address.startswith("data:"):
            complaints.append(address)

    def open_(name, width=1280, colours="light"):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=colours)
        opened.append(page)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.goto((pages / name).as_uri())
        return page

    yield open_
    for page in opened:
        page.close()
    assert complaints == []


ALL_PICTURES = "[...document.images].every((image) => image.alt.trim() && image.complete && image.naturalWidth)"
ALL_CHARTS = "[...document.querySelectorAll('svg[role=img]')].every((svg) => svg.getAttribute('aria-label'))"
ALL_LINKS = "[...document.querySelectorAll('nav a')].every((link) => document.querySelector(link.getAttribute('href')))"


@pytest.mark.parametrize("name", ["finished.html", "begun.html", "compared.html"])
@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (375, "dark")])
def test_a_page_is_whole(open_page, name, width, colours):
    page = open_page(name, width, colours)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate(ALL_PICTURES)
    assert page.evaluate(ALL_CHARTS)
    assert page.evaluate(ALL_LINKS)
    assert page.locator("nav a").count() >= 5
    assert page.locator("h1").count() == 1


COLOUR = """(name) => {
  const element = document.body.appendChild(document.createElement("i"));
  element.style.color = `var(--${name})`;
  return getComputedStyle(element).color.match(/[0-9]+/g).slice(0, 3).map(Number);
}"""
ON = {"page": ("ink", "soft", "link"), "card": ("ink", "soft"), "mark": ("ink",)}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_text_stands_out(open_page, colours):
    """WCAG's contrast of the text's, the soft text's and the links' colours, on the page and on cards: 4.5 and more."""
    page = open_page("finished.html", colours=colours)
    for back, fronts in ON.items():
        for front in fronts:
            assert contrast(page.evaluate(COLOUR, front), page.evaluate(COLOUR, back)) >= 4.5, (front, back)


def contrast(first, second):
    def luminance(rgb):
        linear = [(v / 255 / 12.92) if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_slider_shows_other_sheets(open_page):
    page = open_page("finished.html")
    image, slider = page.locator("[data-frames] img"), page.locator("input[type=range]")
    newest = image.get_attribute("src")
    assert page.locator("[data-frames] output").inner_text() == "epoch 3"
    slider.focus()
    page.keyboard.press("Home")
    assert page.locator("[data-frames] output").inner_text() == "epoch 0"
    assert image.get_attribute("src") != newest
    assert "epoch 0" in image.get_attribute("alt")
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-frames] output").inner_text() == "epoch 1"
    page.keyboard.press("End")
    assert image.get_attribute("src") == newest


def test_play_runs_to_the_end_and_stops(open_page):
    page = open_page("finished.html")
    button = page.locator("[data-frames] button")
    button.click()
    assert button.inner_text() == "Stop"
    page.wait_for_function("document.querySelector('[data-frames] button').textContent === 'Play'", timeout=5000)
    assert page.locator("[data-frames] output").inner_text() == "epoch 3"


def test_the_pointer_reads_the_curves(open_page):
    page = open_page("finished.html")
    chart = page.locator("[data-chart]", has_text="What D says")
    chart.locator("svg[role=img]").hover(position={"x": 300, "y": 60})
    said = chart.locator(".readout").inner_text()
    assert said.startswith("epoch ")
    assert "real pictures 0." in said
