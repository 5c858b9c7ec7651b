"""Chromium without a window, spoken to in its DevTools protocol over two pipes: no driver, no port, no package.

Selenium would want a driver of the very version of the browser, Playwright a browser of its own.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--no-proxy-server",
    "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",  # the projector draws with WebGL
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # what a page would fetch from elsewhere fails
)  # fmt: skip
PATIENCE = 120.0
"""Seconds that a busy machine may take for what should take one."""
WALK = """(function walk(node, visit) {
  visit(node);
  for (const inner of [node.shadowRoot, node.tagName === 'IFRAME' && node.contentDocument])
    if (inner) walk(inner, visit);
  node.childNodes.forEach(child => walk(child, visit));
})"""
"""Visits every node, also inside of shadow trees and frames."""
TEXT = f"""(() => {{ const words = [];
  {WALK}(document, node => {{
    if (node.nodeType === 3 && !['STYLE', 'SCRIPT', 'NOSCRIPT', 'TEMPLATE'].includes(node.parentElement?.tagName))
      words.push(node.textContent);
  }});
  return words.join(' ').replace(/\\s+/g, ' '); }})()"""
COUNT = f"""(() => {{ let count = 0;
  {WALK}(document, e => {{ if (e.matches?.(%s) && (%s)) count++; }});
  return count; }})()"""


def chromium() -> str | None:
    """Where the browser is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page.

    Attributes:
        errors: What the console said that is an error, and uncaught exceptions, since the last ``open``.
    """

    def __init__(self, program: str, profile: Path) -> None:
        self.errors: list[str] = []
        self._number, self._rest = 0, b""
        self._session: str | None = None
        told, self._out = os.pipe()
        self._in, answers = os.pipe()
        told, answers = (_moved_up(end) for end in (told, answers))
        command = f'exec "$0" "$@" 3<&{told} 4>&{answers}'  # where the browser expects its pipes
        self._process = subprocess.Popen(
            ["bash", "-c", command, program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(told, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(told)
        os.close(answers)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        (target,) = [t for t in self._ask("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._ask(f"{domain}.enable")

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Go to an address, in a window of this size in CSS pixels."""
        self._ask("Page.navigate", url="about:blank")  # else another fragment of the same address is no other page
        self._ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.run("new Promise(done => setTimeout(done, 100))")
        self.errors = []
        self._ask("Page.navigate", url=address)
        self.until(lambda: self.run("document.readyState") == "complete", f"{address} is loaded")

    def run(self, script: str) -> Any:
        """Value of an expression in the page; of a promise what it comes to."""
        answer = self._ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, happened: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
        """Wait until something is so."""
        end = time.monotonic() + patience
        while not happened():
            assert time.monotonic() < end, f"after {patience:.0f} s not yet: {what}; console: {self.errors}"
            time.sleep(0.2)

    @property
    def text(self) -> str:
        """What is written on the page."""
        return str(self.run(TEXT))

    def count(self, selector: str, condition: str = "true") -> int:
        """Elements ``e`` that a selector of CSS finds and of which a condition holds, everywhere on the page."""
        return int(self.run(COUNT % (json.dumps(selector), condition)))

    def click(self, selector: str, condition: str = "true") -> None:
        """Click on what ``count`` would count."""
        assert self.run(COUNT % (json.dumps(selector), f"({condition}) && (e.click(), true)")), f"no {selector}"

    def picture(self, whole: bool = False) -> bytes:
        """What is seen, or the whole page, as PNG."""
        answer = self._ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def close(self) -> None:
        """End the browser, and only this one."""
        os.close(self._out)  # it leaves when nobody speaks to it any more
        os.close(self._in)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self._note(answer.get("method", ""), answer.get("params", {}))

    def _read(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            received = os.read(self._in, 1 << 20) if ready else b""
            assert received, f"the browser {'left' if ready else 'does not answer'}"
            self._rest += received
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(str(details.get("exception", {}).get("description") or details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")


def _moved_up(descriptor: int) -> int:
    """The same file by a number that is not one of the two that the browser wants."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


def temporary_profile() -> tempfile.TemporaryDirectory[str]:
    """A folder for what the browser writes; it may still write while it leaves."""
    return tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
