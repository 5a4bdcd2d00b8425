"""The page of a review in a real browser: edits of all kinds by mouse and keys, as somebody makes them."""

import json
import tempfile

from insitrack.tests.support.browser import Browser

_PLACE = """(() => {{ const one = review.viewer.outlines.find(one => one.id === "{id}"), box = review.viewer.overlay.getBoundingClientRect();
  const [l, t, r, b] = one.box, p = review.viewer.toScreen((l + r) / 2, (t + b) / 2); return [box.left + p.x, box.top + p.y]; }})()"""
ALT, CONTROL, SHIFT = 1, 2, 8
KINDS = (
    "delete",
    "delete in frame",
    "class",
    "class by key",
    "draw",
    "freehand",
    "paint",
    "adjust",
    "split",
    "merge",
    "restore",
    "span",
)


class ReviewPage:
    """A review, open in a browser."""

    def __init__(self, address, width=1400, height=900):
        self.browser = Browser(tempfile.mkdtemp(), address, width, height)
        self.browser.until("document.documentElement.dataset.ready === '1'", 120)

    def value(self, code):
        return self.browser.value(code)

    @property
    def n_edits(self):
        return self.value("review.lists.edits.length")

    @property
    def edits(self):
        return json.loads(self.value("JSON.stringify(review.lists.edits)"))

    def settled(self):
        """Wait until all edits are made and shown."""
        self.value("review.busy.then(() => review.paint()).then(() => 1)")
        self.browser.until("review.viewer.outlines.length >= 0 && review.shown === review.place")

    def go_to(self, place):
        self.value(f"review.goTo({place}).then(() => 1)")
        self.browser.until(f"review.shown === {place}")

    def seen(self):
        """Ids of the outlines of this frame that were seen and lie apart from the border, the largest first."""
        return json.loads(
            self.value(
                "JSON.stringify(review.viewer.outlines.filter(one => one.observed && review.viewer.at("
                "(one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2)?.id === one.id)"
                ".sort((a, b) => (b.box[2] - b.box[0]) - (a.box[2] - a.box[0])).map(one => one.id))"
            )
        )

    def place_of(self, name):
        return self.value(_PLACE.format(id=name))

    def select(self, name, *others):
        self.browser.key("Escape")
        self.browser.click(*self.place_of(name))
        for other in others:
            self.browser.click(*self.place_of(other), modifiers=SHIFT)

    def at(self, x, y):
        """Place on the screen of a place in the frame."""
        return self.value(
            f"(() => {{ const box = review.viewer.overlay.getBoundingClientRect(), p = review.viewer.toScreen({x}, {y});"
            " return [box.left + p.x, box.top + p.y]; })()"
        )

    def ring(self, x, y, side):
        return [self.at(x + dx * side, y + dy * side) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1))]

    def edit(self, kind, n=0):
        """Make the n-th edit of a kind in the frame that is shown; return whether the page took it."""
        before, browser = self.n_edits, self.browser
        names = self.seen()
        name = names[n % len(names)]
        free = 8 + 13 * (n % 9), 8 + 17 * (n % 7)
        if kind == "delete":
            self.select(name)
            browser.key("Delete")
        elif kind == "delete in frame":
            self.select(name)
            browser.key("Delete", SHIFT)
        elif kind == "class":
            self.select(name)
            self.value(
                "(() => { const one = document.querySelector('#chosen select'); one.value = [...one.options].at(-2).value;"
                " one.dispatchEvent(new Event('change')); })()"
            )
        elif kind == "class by key":
            self.select(name)
            browser.key("6" if n % 2 else "2")
        elif kind == "draw":
            browser.key("Escape")
            browser.key("d")
            for place in self.ring(*free, 9):
                browser.click(*place)
            browser.key("Enter")
        elif kind == "freehand":
            browser.key("Escape")
            browser.key("d")
            side = 10 / min(1.0, self.value("review.viewer.scale"))  # as large on the screen in every frame
            corners = self.ring(free[0] + 3, free[1] + 5, side)
            sides = zip(corners, [*corners[1:], corners[0]], strict=True)
            browser.drag([_between(a, b, k / 8) for a, b in sides for k in range(8)])
        elif kind == "paint":
            browser.key("Escape")
            browser.key("b")
            browser.drag([self.at(free[0] + k, free[1] + 20) for k in range(0, 9, 2)])
            browser.key("Enter")
        elif kind == "adjust":
            self.select(name)
            browser.key("e")
            x, y = self.place_of(name)
            browser.drag([(x, y), (x + 3, y + 2), (x + 6, y + 3)])
            browser.key("ArrowRight")
            browser.key("Enter")
        elif kind == "split":
            self._split(names)
        elif kind == "merge":
            return self._merge(names)
        elif kind == "restore":
            self.value("review.lists.show('dropped'); review.readDropped().then(() => 1)")
            self.value("document.querySelector('#list li button').click()")
        elif kind == "span":
            self.select(name)
            browser.key("[")
            self.value("review.goTo(review.place + 2).then(() => 1)")
            browser.key("]")
            browser.key("3")
            browser.key("a")
        self.settled()
        return self.n_edits > before

    def _split(self, names):
        """Split the first track that began before this frame; return whether there was one."""
        before = self.n_edits
        for name in names:
            self.select(name)
            self.browser.key("s")
            self.settled()
            if self.n_edits > before:
                return True
        return False

    def _merge(self, names):
        """Split a track, and join its parts again: they are never both in one frame."""
        if not self._split(names):
            return False
        before, part = self.n_edits, self.edits[-1]
        new = self.value("Math.max(...review.lists.tracks.track_id)")
        self.value(f"review.select([{json.dumps(part['track_id'])}, '{new}'])")
        self.browser.key("m")
        self.settled()
        return self.n_edits == before + 1

    def undo_all(self):
        n = self.n_edits
        for left in range(n - 1, -1, -1):
            self.browser.key("z", CONTROL)
            self.settled()
            assert self.n_edits == left
        return n

    def close(self):
        self.browser.close()


def _between(a, b, share):
    return a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])
