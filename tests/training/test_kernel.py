"""While a cell waits, widgets are heard; the cells after it are executed in order, each once."""

from __future__ import annotations

import time

import pytest
from jupyter_client.manager import start_new_kernel

SETUP = """
import signal, time
import ipywidgets
from mattertune_nb.training.runs.kernel import widgets_served
clicks, order = [], []
button = ipywidgets.Button()
button.on_click(lambda _: clicks.append(len(order)))
def wait(seconds, clicked=1):
    end = time.monotonic() + seconds
    with widgets_served() as sleep:
        while len(clicks) < clicked and time.monotonic() < end:
            sleep(0.05)
    order.append("waited")
before = signal.getsignal(signal.SIGINT)
print(button.comm.comm_id)
"""


@pytest.fixture
def kernel():
    """Return a kernel and a client of it, as a page is one."""
    manager, client = start_new_kernel()
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def execute(client, code: str) -> str:
    """Execute a cell and return what it prints."""
    printed: list[str] = []
    reply = client.execute_interactive(
        code,
        timeout=60,
        output_hook=lambda m: printed.append(m["content"].get("text", "")),
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    return "".join(printed).strip()


def click(client, comm_id: str) -> str:
    """Send what the page sends for a click; return the number of the message."""
    content = {"method": "custom", "content": {"event": "click"}}
    message = client.session.msg("comm_msg", {"comm_id": comm_id, "data": content})
    client.shell_channel.send(message)
    return message["header"]["msg_id"]


def replies(client, sent: list[str]) -> list[dict]:
    """Return the replies to requests in the order in which they come."""
    found = []
    while len(found) < len(sent):
        reply = client.get_shell_msg(timeout=60)
        if reply["parent_header"]["msg_id"] in sent:
            found.append(reply)
    return found


def states(client, request: str) -> list[str]:
    """Return what the kernel says it is doing on behalf of a message."""
    found: list[str] = []
    while "idle" not in found:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "status" and message["parent_header"]["msg_id"] == request:
            found.append(message["content"]["execution_state"])
    return found


def test_a_click_is_heard_while_a_cell_waits_and_later_cells_come_in_order_once(kernel):
    _, client = kernel
    comm_id = execute(client, SETUP)
    waiting = client.execute("wait(60); wait(60, 2)")
    later = [client.execute(f"order.append({i})") for i in range(3)]
    time.sleep(1)
    first = click(client, comm_id)
    # the page sends no second click before it hears that the first was dealt with
    assert states(client, first) == ["busy", "idle"]
    later += [client.execute(f"order.append({i})") for i in range(3, 6)]
    click(client, comm_id)
    found = replies(client, [waiting, *later])
    assert [r["parent_header"]["msg_id"] for r in found] == [waiting, *later]
    assert execute(client, "print(order, clicks)") == (
        "['waited', 'waited', 0, 1, 2, 3, 4, 5] [0, 1]"
    )
    assert execute(client, "print(signal.getsignal(signal.SIGINT) == before)") == "True"


def test_a_page_that_is_reloaded_hears_which_widgets_there_are_while_a_cell_waits(kernel):
    _, client = kernel
    comm_id = execute(client, SETUP)
    waiting = client.execute("wait(60)")
    time.sleep(1)
    asked = client.comm_info()
    (answer,) = replies(client, [asked])
    assert comm_id in answer["content"]["comms"]
    click(client, comm_id)
    (ended,) = replies(client, [waiting])
    assert ended["content"]["status"] == "ok"


def test_what_a_cell_prints_after_a_click_is_still_its_own(kernel):
    _, client = kernel
    comm_id = execute(client, SETUP)
    click(client, comm_id)  # heard before
    waiting = client.execute("wait(60, 2); print('mine')")
    time.sleep(1)
    click(client, comm_id)
    while True:
        message = client.get_iopub_msg(timeout=60)
        if message["msg_type"] == "stream":
            break
    assert message["content"]["text"].strip() == "mine"
    assert message["parent_header"]["msg_id"] == waiting


def test_an_interrupt_ends_the_wait_and_the_kernel_is_as_before(kernel):
    manager, client = kernel
    comm_id = execute(client, SETUP)
    waiting = client.execute("wait(60)")
    time.sleep(1.5)
    queued = client.execute("order.append('queued')")
    time.sleep(0.5)
    manager.interrupt_kernel()
    found = replies(client, [waiting, queued])
    # as after any cell that fails, those that were queued behind it are not executed
    assert [r["content"]["status"] for r in found] == ["error", "aborted"]
    assert found[0]["content"]["ename"] == "KeyboardInterrupt"
    click(client, comm_id)
    assert execute(client, "print(order, clicks)") == "[] [0]"


def test_a_wait_within_a_wait_leaves_both_to_go_on(kernel):
    _, client = kernel
    comm_id = execute(client, SETUP)
    execute(client, "button.on_click(lambda _: len(clicks) == 1 and wait(60, 2))")
    waiting = client.execute("wait(60, 3)")
    later = client.execute("order.append('later')")
    for _ in range(3):
        time.sleep(0.5)
        click(client, comm_id)
    found = replies(client, [waiting, later])
    assert [r["parent_header"]["msg_id"] for r in found] == [waiting, later]
    assert execute(client, "print(order)") == "['waited', 'waited', 'later']"
