"""Look at every page of the book in a browser, on a phone and on a screen, in light and in dark.

What is wrong is printed, a line a page: messages of the console, pictures that do not load or have no words, what is
wider than the page, and addresses elsewhere that it asks for. The search is tried too. The exit status is 1 if anything
is wrong, 2 if nothing could be looked at.

python tools/make_book.py && python tools/look_at_book.py
python tools/look_at_book.py --shots FOLDER                 # and a picture of each page, as it was seen
python tools/look_at_book.py lessons/09 lessons/10 --shots FOLDER    # of these pages alone

It needs what the project does not: `pip install selenium`, and Chromium or Chrome with its driver
(on Debian and Ubuntu `apt-get install chromium-driver`).
"""

import base64
import contextlib
import functools
import http.server
import json
import shutil
import threading
from pathlib import Path

import typer
from tqdm import tqdm

BOOK = Path(__file__).resolve().parent.parent / "book" / "_build" / "html"
SIZES = {"phone": (390, 844), "screen": (1440, 900)}  # pixels, width and height
LONGEST = 16000  # pixels of a page that a picture of it shows
INSTALL = (
    "`pip install selenium`, and Chromium or Chrome with its driver (Debian, Ubuntu: `apt-get install chromium-driver`)"
)
LOOK = """
const width = document.documentElement.clientWidth, found = [];
for (const each of document.images) {
  if (!each.complete || each.naturalWidth === 0) found.push("a picture does not load: " + each.src.slice(-60));
  if (!(each.getAttribute("alt") || "").trim()) found.push("a picture has no words: " + each.src.slice(-60));
}
function stays(each) {  // whether something around it scrolls or cuts
  for (; each && each !== document.body; each = each.parentElement) {
    const style = getComputedStyle(each);
    if (["auto", "scroll", "hidden"].includes(style.overflowX) || style.position === "fixed") return true;
  }
  return false;
}
for (const each of document.querySelectorAll("article *, footer *")) {
  const box = each.getBoundingClientRect();
  if (box.width > 0 && box.right > width + 1 && !stays(each))
    found.push(`${each.tagName} reaches to ${Math.round(box.right)}: ${(each.textContent || "").trim().slice(0, 40)}`);
}
const whole = document.documentElement.scrollWidth;
if (whole > width) found.push(`the page is ${whole} wide`);
return found;
"""
FOUND = "return document.querySelectorAll('#search-results li').length"


def main(
    pages: list[str] = typer.Argument(None, help="Parts of pages' paths, such as lessons/09; all if none is given."),
    book: Path = typer.Option(BOOK, help="Folder of the site that make_book.py has made."),
    shots: Path = typer.Option(None, help="Folder for pictures of what was seen."),
):
    found = sorted(path.relative_to(book).as_posix() for path in book.rglob("*.html") if "_static" not in path.parts)
    if not found:
        stop(f"looking at the book needs one that was made. Received: {book}. Make it: `python tools/make_book.py`.")
    chosen = [path for path in found if not pages or any(part in path for part in pages)]
    if not chosen:
        stop(f"a page's path must have one of {', '.join(pages)} in it. None of {len(found)} has, such as {found[0]}.")
    with browser() as driver, served(book) as address:
        wrong = look(driver, address, chosen, shots)
        wrong += [] if searches(driver, address) else ["search.html finds nothing about calibration"]
    print("".join(f"{line}\n" for line in wrong), end="")
    print(f"pages: {len(chosen)}, each at {len(SIZES)} sizes, light and dark. Things that are wrong: {len(wrong)}.")
    raise typer.Exit(bool(wrong))


def stop(sentence):
    print(sentence)
    raise typer.Exit(2)


@contextlib.contextmanager
def browser():
    """A browser without a window; the reason and the way to one where there is none."""
    try:
        from selenium import webdriver
        from selenium.common.exceptions import WebDriverException
    except ImportError:
        stop(f"looking at the book needs selenium, which is not installed here. Install it: {INSTALL}.")
    options = webdriver.ChromeOptions()
    for each in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(each)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    program = shutil.which("chromedriver")  # without one, Selenium looks for it, and may fetch it
    try:
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(program) if program else None)
    except WebDriverException as error:
        said = (error.msg or "").splitlines()[0]
        stop(f"looking at the book needs a browser, and none could be started ({said}). Install it: {INSTALL}.")
    try:
        yield driver
    finally:
        driver.quit()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """Serve a folder on this machine alone; give its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def look(driver, address, pages, shots):
    """Return what is wrong with pages, lines; write pictures of them if there is a folder for it."""
    wrong = []
    views = [(size, scheme, page) for size in SIZES for scheme in ("light", "dark") for page in pages]
    for size, scheme, page in tqdm(views, unit="page"):
        show(driver, address + page, size, scheme)
        wrong += [f"{page}, {size}, {scheme}: {each}" for each in seen(driver, address)]
        if shots:
            shots.mkdir(parents=True, exist_ok=True)
            name = page.removesuffix(".html").replace("/", "_")
            (shots / f"{name}_{size}_{scheme}.png").write_bytes(picture(driver, size))
    return wrong


def show(driver, address, size, scheme):
    """Open a page as a device of a size shows it, all pictures loaded."""
    width, height = SIZES[size]
    device = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == "phone"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", device)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    driver.get(address)
    driver.execute_async_script(
        "const all = [...document.images]; all.forEach(each => each.loading = 'eager');"
        "Promise.allSettled(all.map(each => each.decode())).then(arguments[0]);"
    )


def seen(driver, address):
    """Return what is wrong with the page that is open."""
    console = [f"the console says {line['message'][:150]}" for line in driver.get_log("browser")]
    return console + driver.execute_script(LOOK) + [f"it asks for {each}" for each in asked(driver, address)]


def asked(driver, address):
    """Return what was asked for at other addresses."""
    events = (json.loads(line["message"])["message"] for line in driver.get_log("performance"))
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return sorted({url for url in urls if not url.startswith((address, "data:"))})


def picture(driver, size):
    """Return a picture of the page that is open, the bytes of a PNG file."""
    height = min(driver.execute_script("return document.documentElement.scrollHeight"), LONGEST)
    clip = {"x": 0, "y": 0, "width": SIZES[size][0], "height": height, "scale": 1}
    given = {"format": "png", "captureBeyondViewport": True, "clip": clip}
    return base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", given)["data"])


def searches(driver, address):
    """Whether the search finds something that the book is full of."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    show(driver, address + "search.html?q=calibration", "screen", "light")
    try:
        return WebDriverWait(driver, 10).until(lambda driver: driver.execute_script(FOUND))
    except TimeoutException:
        return False


if __name__ == "__main__":
    typer.run(main)
