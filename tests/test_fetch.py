"""What fails on the way is tried again, or not, and says what was wrong."""

from __future__ import annotations

import pytest

from pipeline.errors import StoreError
from pipeline.sources import fetch
from pipeline.sources.fetch import insist
from tests.support.far import FakeWay


class Failing:
    """Fails so often, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def test_what_may_pass_is_tried_again():
    """Waits become longer, by chance up to twice as long; the answer comes through."""
    waits = []
    failing = Failing(OSError("reset"), RuntimeError("odd"), TimeoutError(), OSError("short"))

    answer = insist(failing, {}, is_closed=waits.append)

    assert "answer" == answer
    assert all(0.2 * 2**n <= wait <= 0.4 * 2**n for n, wait in enumerate(waits)), waits
    assert 4 == len(waits)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "gone"), "missing"),
        (PermissionError(13, "no"), "denied"),
        (type("NoCredentialsError", (Exception,), {})("none"), "denied"),
        (StoreError("changed", "other"), "changed"),
    ],
)
def test_what_stays_wrong_is_not_tried_again(error, kind):
    """A second try would change nothing."""
    failing = Failing(error)

    with pytest.raises(StoreError) as caught:
        insist(failing, {}, is_closed=lambda _: pytest.fail("waited"))

    assert kind == caught.value.kind


def test_what_a_library_says_is_scrubbed_and_not_chained():
    """Its own error, whose traceback holds the request, goes no further."""
    failing = Failing(PermissionError("the key s3cr3t is not known"))

    with pytest.raises(StoreError, match=r"^the key \*\*\* is not known$") as caught:
        insist(failing, {"secret": "s3cr3t"})

    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_who_was_waited_for_in_vain_is_not_waited_for_again(monkeypatch):
    """A dead store costs its patience once, not for each of its files; an answer resets that."""
    clock = [0.0]
    monkeypatch.setattr(fetch.time, "monotonic", lambda: clock[0])

    def wait(seconds: float) -> None:
        clock[0] += seconds

    def fail() -> None:
        raise OSError("away")

    spent = []
    for call in (fail, fail, lambda: "answer", fail):
        begin = clock[0]
        try:
            insist(call, {}, is_closed=wait)
        except StoreError:
            spent.append(clock[0] - begin)
    fetch._given_up.clear()

    first, second, third = spent
    assert fetch.PATIENCE_S / 4 < first <= fetch.PATIENCE_S
    assert second <= 1
    assert third > fetch.PATIENCE_S / 4


def test_short_answers_are_asked_for_again_and_damage_names_its_range(monkeypatch):
    """A store that ends an answer early, without an error, loses nothing."""
    monkeypatch.setattr(fetch, "PATIENCE_S", 1.0)
    fetch._given_up.clear()

    class Short(FakeWay):
        def get(self, start, stop):
            n = len(self.asked)
            return super().get(start, stop)[: (n + 1) * 3]

    assert b"0123456" == fetch.fetch(Short(b"0123456789"), 0, 7, {}, lambda _: False)
    with pytest.raises(StoreError, match=r"bytes 0 to 9 could not be read: only \d of 10 bytes"):
        fetch.fetch(Short(b"01"), 0, 10, {}, lambda _: False)
    fetch._given_up.clear()
