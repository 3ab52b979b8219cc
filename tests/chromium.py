"""A real Chromium without a window, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 60.0
WAIT_SECONDS = 60.0  # for a page on a busy machine
STILL = {"name": "prefers-reduced-motion", "value": "reduce"}
"""A page that still scrolls has nothing where it was said to be."""
UNAVAILABLE = "unavailable: no Chromium on the PATH (package 'chromium' of the operating system)"


def find_chromium() -> str | None:
    """Its program, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Page:
    """One page. ``asked`` are the addresses that it fetched, ``errors`` what its console told."""

    line: ClientConnection
    session: str
    asked: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _number: int = 0
    _loads: int = 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command and its result; events that come first are taken in."""
        self._number += 1
        told = {"id": self._number, "method": method, "params": params, "sessionId": self.session}
        self.line.send(json.dumps(told))
        while True:
            heard = json.loads(self.line.recv(timeout=WAIT_SECONDS))
            if heard.get("id") == self._number:
                assert "error" not in heard, heard
                result: dict[str, Any] = heard["result"]
                return result
            self._take_in(heard)

    def _take_in(self, heard: dict[str, Any]) -> None:
        params = heard.get("params", {})
        if heard.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif heard.get("method") == "Page.loadEventFired":
            self._loads += 1
        elif heard.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif heard.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def go(self, url: str) -> None:
        """Open an address and wait until all of it is there."""
        before = self._loads
        self.call("Page.navigate", url=url)
        self.wait(
            lambda: self._loads > before and self.run("document.readyState") == "complete", url
        )

    def run(self, script: str) -> Any:
        """What an expression gives, as JSON."""
        told = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in told, (script, told["exceptionDetails"])
        return told["result"].get("value")

    def click(self, selector: str, *, leads_on: bool = True) -> None:
        """Click with the mouse at an element's middle; wait for the next page if it leads on."""
        before, quoted = self._loads, json.dumps(selector)
        place = self.run(
            f"(() => {{ const e = document.querySelector({quoted}); if (!e) return null;"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        assert place is not None, f"{selector} is not on {self.run('location.href')}"
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **button)
        if leads_on:
            self.wait(
                lambda: self._loads > before and self.run("document.readyState") == "complete",
                selector,
            )

    def hover(self, selector: str) -> None:
        """Move the mouse over an element."""
        quoted = json.dumps(selector)
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({quoted});"
            "e.scrollIntoView({block: 'center'});"
            "const r = e.getClientRects()[0]; return [r.x + 5, r.y + r.height / 2]; })()"
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def key(self, key: str) -> None:
        """Press a key."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into a form."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def fill(self, selector: str, text: str) -> None:
        """Type into an input."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def look(self, dark: bool, width: int = 1280, height: int = 900) -> None:
        """Choose colours and size."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}, STILL]
        self.call("Emulation.setEmulatedMedia", features=features)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def without_script(self, off: bool) -> None:
        self.call("Emulation.setScriptExecutionDisabled", value=off)

    def picture(self) -> bytes:
        """What is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Until it is so."""
        end = time.monotonic() + WAIT_SECONDS
        while not until():
            assert time.monotonic() < end, f"{what}: still not there"
            with suppress(TimeoutError):  # events are heard only by who listens
                self._take_in(json.loads(self.line.recv(timeout=0.05)))


@contextmanager
def open_page(program: str) -> Iterator[Page]:
    """A page of a browser of its own, with a profile of its own."""
    with TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        browser = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--remote-debugging-port=0",
             f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            with connect(_address(Path(profile), browser), max_size=2**26) as line:
                yield _begin(line)
        finally:
            browser.terminate()
            browser.wait(30)


def _address(profile: Path, browser: subprocess.Popen[bytes]) -> str:
    told, end = profile / "DevToolsActivePort", time.monotonic() + START_SECONDS
    while not (told.exists() and told.read_text().count("\n") >= 1):
        assert browser.poll() is None, f"Chromium ended with {browser.returncode}"
        assert time.monotonic() < end, "Chromium does not start"
        time.sleep(0.05)
    port, path = told.read_text().split("\n")[:2]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/version", timeout=30) as reply:
        assert json.load(reply)["Browser"]
    return f"ws://127.0.0.1:{port}{path}"


def _begin(line: ClientConnection) -> Page:
    first = Page(line, "")

    def plain(method: str, **params: Any) -> dict[str, Any]:
        first._number += 1
        line.send(json.dumps({"id": first._number, "method": method, "params": params}))
        while (heard := json.loads(line.recv(timeout=WAIT_SECONDS))).get("id") != first._number:
            pass
        result: dict[str, Any] = heard["result"]
        return result

    target = plain("Target.createTarget", url="about:blank")["targetId"]
    page = Page(line, plain("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
    page._number = first._number
    for domain in ("Page", "Network", "Runtime", "Log", "DOM"):
        page.call(f"{domain}.enable")
    page.look(dark=False)
    return page
