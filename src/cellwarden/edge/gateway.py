"""Several devices in one process, each with its own identity, outbox and connection."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cellwarden.edge.agent import Agent, Sender, keep_sending, watch_nothing
from cellwarden.edge.config import open_device, open_outbox, open_transport
from cellwarden.edge.device_config import has_device_config
from cellwarden.edge.source import open_source, read_source
from cellwarden.edge.watch import PackWatch
from cellwarden.errors import Error, UsageError

__all__ = ["State", "run_devices"]


@dataclass(frozen=True, slots=True)
class State:
    """How far a device is: batches made and acknowledged; `trouble` says what stands in its way."""

    device: str
    made_count: int
    sent_count: int
    done: bool = False
    trouble: str = ""


def run_devices(folders: Sequence[Path], tell: Callable[[State], None]) -> dict[str, Error]:
    """Run the devices of these folders until each has sent all; gives who failed and why.

    Failures stand in the order of the folders, whichever came first.
    """
    failures: dict[str, Error] = {}
    faults: list[Exception] = []

    def run(folder: Path) -> None:
        try:
            _run_device(folder, tell)
        except Exception as error:  # noqa: BLE001  a thread's end must not pass for success
            if not isinstance(error, Error):
                faults.append(error)
                error = Error(f"a fault in the program: {error!r}", hint="Report it.")
            failures[folder.name] = error
            tell(State(folder.name, 0, 0, done=True, trouble=str(error)))

    threads = [threading.Thread(target=run, args=(folder,), daemon=True) for folder in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return {folder.name: failures[folder.name] for folder in folders if folder.name in failures}


def _run_device(folder: Path, tell: Callable[[State], None]) -> None:
    if has_device_config(folder):
        raise UsageError(
            f"{folder.name} is a controlled pack, which has a process of its own",
            hint=f"cellwarden device run {folder.name}",
        )
    device, outbox, transport = open_device(folder), open_outbox(folder), open_transport(folder)
    finished = threading.Event()
    failures: list[Exception] = []

    def make() -> None:
        try:
            opened = open_source(read_source(folder), outbox.state.position)
            agent = Agent(
                device,
                opened.driver,
                outbox,
                pack=opened.note,
                batch_frames=opened.batch_frames,
                watch=watch_nothing if opened.pack is None else PackWatch(opened.pack),
                report=hinder,
            )
            while agent.step():
                pass
        except Exception as error:  # noqa: BLE001  raised again where it is heard
            failures.append(error)
        finally:
            finished.set()

    def state(*, done: bool = False, trouble: str = "") -> State:
        ack = outbox.last_ack()  # before what is made: never more sent than made
        sent = ack.sequence if ack else 0
        return State(device.name, outbox.state.sequence, sent, done, trouble)

    def hinder(error: Error) -> None:
        tell(state(trouble=str(error)))

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        keep_sending(
            Sender(device, outbox, transport, transport.expected),
            finished.is_set,
            hinder,
            lambda: tell(state()),
        )
        maker.join()
        if failures:
            raise failures[0]
        tell(state(done=True))
    finally:
        transport.close()
        outbox.close()
