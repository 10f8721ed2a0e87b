"""Open a page in headless Chromium: its layout and its log."""
import html
import json
import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
# Run in the loaded page: sizes of its images, whether anything is wider than the screen, its parts.
PROBE = """
<script>
const errors = [];
addEventListener("error", event => errors.push(String(event.message || event.target.src || "").slice(0, 200)), true);
addEventListener("load", () => {    // before the frame's own, so that it is there when the page is dumped
  const images = [...document.images];
  const found = {
    errors, width: innerWidth, page: document.documentElement.scrollWidth,
    images: images.map(image => [image.alt, image.naturalWidth, image.clientWidth]),
    parts: [...document.querySelectorAll("[id]")].map(part => part.id),
    text: document.querySelector("main").innerText,
    outside: [...document.querySelectorAll("[src], [href]")].map(part => part.src || part.href)
      .filter(address => !address.startsWith("data:"))};
  parent.document.getElementById("found").textContent = JSON.stringify(found);
});
</script>
"""
# The page in a frame of the screen's width: Chromium's own windows are never as narrow as a phone.
FRAME = """<!doctype html><body><pre id="found"></pre><iframe style="border:0;width:{width}px;height:900px"
srcdoc="{page}"></iframe></body>"""


def find_browser() -> str:
    """The program; or a skip that says how to get it."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip("looking at pages needs: apt-get install chromium")
    return program


def look_at(page, width: int, folder) -> dict:
    """Chromium's layout of the page on a screen `width` pixels wide, without a network; see PROBE.

    "log" holds the lines of its console.
    """
    document = page.read_text(encoding="utf-8").replace("<head>", "<head>" + PROBE, 1)
    document = document.replace('loading="lazy"', "")
    framed = folder / f"framed_{width}.html"
    framed.write_text(FRAME.format(width=width, page=html.escape(document)), encoding="utf-8")
    done = subprocess.run(
        [find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
         f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000",
         "--dump-dom", framed.as_uri()], capture_output=True, text=True, timeout=300)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.S)
    assert found and found[1], (done.stdout[:300], done.stderr[-1000:])
    return json.loads(html.unescape(found[1])) | {"log": re.findall(r".*CONSOLE.*", done.stderr)}
