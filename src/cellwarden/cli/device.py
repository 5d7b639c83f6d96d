"""Running a device of this machine."""

import threading
from pathlib import Path

from cellwarden.edge.agent import Agent, Sender, keep_sending
from cellwarden.edge.config import open_device, open_outbox, open_transport
from cellwarden.edge.drivers import ReplayDriver
from cellwarden.errors import Error
from cellwarden.readers import read
from cellwarden.wire.notes import PackNote

__all__ = ["send_record"]


def send_record(folder: Path, record: Path, batch_frames: int) -> None:
    """Send a battery file as the device of a folder; ends when the hub has it all."""
    device, outbox = open_device(folder), open_outbox(folder)
    transport = open_transport(folder)
    series = read(record)
    pack = PackNote(series.chemistry, series.nominal_capacity_ah, 1, record.name)
    driver = ReplayDriver(series, outbox.state.position)
    agent = Agent(device, driver, outbox, pack=pack, batch_frames=batch_frames)
    made = threading.Event()
    failures: list[Error] = []

    def make() -> None:
        try:
            while agent.step():
                pass
        except Error as error:
            failures.append(error)
        finally:
            made.set()

    maker = threading.Thread(target=make, name="agent", daemon=True)
    maker.start()
    try:
        keep_sending(Sender(device, outbox, transport), made.is_set, lambda error: print(error))
        maker.join()
    finally:
        transport.close()
        outbox.close()
    if failures:
        raise failures[0]
