"""A thread that looks for a view ends with what it looks at, and with the view."""

from __future__ import annotations

import gc
import threading
import weakref

from mattertune_nb.widgets.page.looking import keep_looking


class View:
    looks = 0


def test_it_looks_until_there_is_nothing_more_to_see():
    view = View()

    def look(view: View) -> float | None:
        view.looks += 1
        return 0.01 if view.looks < 3 else None

    keep_looking(weakref.ref(view), look)
    assert view.looks == 3


def test_it_keeps_no_view_alive():
    view, looked = View(), threading.Event()

    def look(view: View) -> float:
        looked.set()
        return 0.01

    thread = threading.Thread(target=keep_looking, args=(weakref.ref(view), look), daemon=True)
    thread.start()
    assert looked.wait(20)
    del view
    gc.collect()
    thread.join(20)
    assert not thread.is_alive()
