"""A browser with the page in it, and what a check does with it: find, click, press keys, wait."""

import json
import os
import re
import shutil
import tempfile

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

import graphs

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--window-size=1440,900"]
PATIENCE = 30  # seconds until a wait gives up; never a condition to pass


class Page:
    def __init__(self, chromium, driver, template):
        self.folder = tempfile.mkdtemp(prefix="lineagefs-browser-")
        options = Options()
        options.binary_location = chromium
        for flag in FLAGS + ["--user-data-dir=" + os.path.join(self.folder, "profile")]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.browser = webdriver.Chrome(service=Service(driver), options=options)
        with open(template, encoding="utf-8") as f:
            self.template = f.read()
        self.theme = "light"

    def close(self):
        try:
            self.browser.quit()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def use_theme(self, theme):
        """What the system prefers, as the page is told."""
        self.theme = theme
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": theme}]})

    # --- opening ---

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def open(self, doc):
        self.open_file(self.write("graph.html", graphs.page(self.template, doc)))

    def open_file(self, path):
        self.browser.get("about:blank")
        self.browser.get("file://" + os.path.abspath(path))
        self.wait(lambda: self.js("return document.body.dataset.ready") == "yes", "the page is ready")

    def errors(self):
        """What the browser complained of since the last call."""
        return [line["message"] for line in self.browser.get_log("browser")
                if line["level"] == "SEVERE"]

    def screenshot(self, name):
        folder = os.environ.get("LINEAGEFS_SCREENSHOTS")
        if folder:
            os.makedirs(folder, exist_ok=True)
            # Two frames: what was asked for is drawn.
            self.browser.execute_async_script(
                "const done = arguments[0];"
                "requestAnimationFrame(() => requestAnimationFrame(() => done()))")
            self.browser.save_screenshot(os.path.join(folder, f"{name}-{self.theme}.png"))

    # --- finding ---

    def js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition, what):
        def holds(_):
            try:
                return condition()
            except (StaleElementReferenceException, IndexError):
                return False
        WebDriverWait(self.browser, PATIENCE, poll_frequency=0.05).until(holds, "never: " + what)

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def one(self, css):
        self.wait(lambda: self.all(css), css)
        return self.all(css)[0]

    def seen(self, css):
        return any(e.is_displayed() for e in self.all(css))

    def text(self, css):
        return self.js("const e = document.querySelector(arguments[0]);"
                       "return e ? e.textContent : null", css)

    def texts(self, css):
        return self.js("return [...document.querySelectorAll(arguments[0])]"
                       ".map(e => e.textContent)", css)

    def style(self, css, name):
        return self.js("return getComputedStyle(document.querySelector(arguments[0]))"
                       ".getPropertyValue(arguments[1])", css, name)

    def rect(self, css):
        return self.js("const r = document.querySelector(arguments[0]).getBoundingClientRect();"
                       "return {left: r.left, top: r.top, right: r.right, bottom: r.bottom,"
                       " x: r.left + r.width / 2, y: r.top + r.height / 2}", css)

    def active(self, css):
        """Does the element with the keyboard match?"""
        return self.js("return document.activeElement.matches(arguments[0])", css)

    # --- doing ---

    def click(self, css):
        self.one(css).click()

    def key(self, *keys):
        """Keys, to whatever has the keyboard."""
        ActionChains(self.browser).send_keys(*keys).perform()

    def fill(self, css, text):
        """Replaces what a field holds."""
        self.click(css)
        self.chord("\ue009", "a")
        self.key(text or "\ue003")

    def chord(self, modifier, key):
        ActionChains(self.browser).key_down(modifier).send_keys(key).key_up(modifier).perform()

    def tab_to(self, css, key="\ue004"):
        for _ in range(60):
            self.key(key)
            if self.active(css):
                return
        raise AssertionError("Tab never came to " + css)

    def drag(self, css, dx, dy, x=0, y=0):
        ActionChains(self.browser).move_to_element_with_offset(self.one(css), x, y) \
            .click_and_hold().move_by_offset(dx // 2, dy // 2) \
            .move_by_offset(dx - dx // 2, dy - dy // 2).release().perform()

    def wheel(self, css, dy, x=0, y=0):
        from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
        origin = ScrollOrigin.from_element(self.one(css), x, y)
        ActionChains(self.browser).scroll_from_origin(origin, 0, dy).perform()

    # --- the page's own things ---

    def view(self):
        """Where the world stands: x, y, scale."""
        numbers = re.findall(r"-?[\d.]+(?:e-?\d+)?", self.js(
            "return document.getElementById('world').style.transform"))
        return [float(n) for n in numbers]

    def node(self, node_id):
        return f".node[data-id={json.dumps(node_id)}]"

    def is_out(self, node_id):
        return bool(self.all(self.node(node_id)))

    def panel(self):
        """The name of the node in the panel; None when there is none."""
        return self.text("#panel h2") if self.seen("#panel") else None

    def arrows(self):
        return self.js("return [...document.querySelectorAll('.edge')].map(e => ({from: e.dataset.from,"
                       " to: e.dataset.to, kind: e.dataset.kind, count: +e.dataset.count,"
                       " dashed: getComputedStyle(e.querySelector('.line')).strokeDasharray !== 'none',"
                       " marked: e.classList.contains('marked')}))")

    def marked(self):
        """Ids of highlighted nodes that stand by themselves, and of highlighted entries in sight."""
        return set(self.js("return [...document.querySelectorAll('.node.marked, .row.marked')]"
                           ".map(e => e.dataset.id)"))

    def focus_box(self, node_id):
        """By keyboard alone: through the search to a node."""
        self.key("/")
        self.wait(lambda: self.active("#find"), "the search field has the keyboard")
        self.key(node_id, "\ue007")
        self.wait(lambda: self.active(self.node(node_id) + " .face"), f"{node_id} has the keyboard")


__all__ = ["Page", "WebDriverException"]
