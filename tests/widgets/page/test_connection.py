"""What is true only as long as the kernel lives; how the page shows it is tested in a browser."""

from __future__ import annotations

from mattertune_nb.widgets.live.progress import Progress, progress_html


def shown(state: str) -> str:
    return progress_html(Progress("water", state, 1, 4, 20, 40, rate=9.0, eta=30.0, memory=1.5))


def test_how_a_run_goes_gives_way_to_words_and_how_it_has_ended_stays():
    running = shown("running")
    assert '<span class="mt-live">running</span>' in running
    assert 'class="mt-lost" hidden>disconnected: run the cell again<' in running
    assert 'epoch 2 of 4 · step 20 of 40<span class="mt-live"> · 9 structures/s' in running
    assert "mt-l" not in shown("finished")
    assert "finished</span>" in shown("finished")
